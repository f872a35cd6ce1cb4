"""Many points: the singular spectrum of the normals, subspaces, perturbations and fooling rates."""
