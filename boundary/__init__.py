"""One point: the classifier, its nearest boundary point, the normal there; and where normals are kept."""
