"""One point: the classifier, its nearest boundary point, the normal there; and the store."""

from boundary.classifier import Classifier
from boundary.collect import collect_normals
from boundary.errors import BoundaryError, InputError, StoreError
from boundary.images import ImageBatch, ImageSource, open_images
from boundary.models import LoadedModel, load_model
from boundary.nearest import nearest_boundary_points
from boundary.points import BoundaryPoints, Status
from boundary.speed import faster
from boundary.splits import split_images
from boundary.store import NormalMatrix, NormalsStore

__all__ = [
    "BoundaryError",
    "BoundaryPoints",
    "Classifier",
    "ImageBatch",
    "ImageSource",
    "InputError",
    "LoadedModel",
    "NormalMatrix",
    "NormalsStore",
    "Status",
    "StoreError",
    "collect_normals",
    "faster",
    "load_model",
    "nearest_boundary_points",
    "open_images",
    "split_images",
]
