"""Planted networks: classifiers whose geometry is known, with their images."""

from boundary.controls.curved import curved
from boundary.controls.linear import linear
from boundary.controls.planted import Control, PlantedNetwork, Size
from boundary.controls.registry import CONTROLS, named_control
from boundary.controls.ridge import ridge
from boundary.controls.sink import sink
from boundary.controls.smooth import smooth

__all__ = [
    "CONTROLS",
    "Control",
    "PlantedNetwork",
    "Size",
    "curved",
    "linear",
    "named_control",
    "ridge",
    "sink",
    "smooth",
]
