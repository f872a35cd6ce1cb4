"""What each stage of a study saves: one self-describing HDF5 file, read back as the same dataclass.

A result is a frozen dataclass of arrays, numbers, texts and other results. In the file an array is
a dataset, a number or a text an attribute, a nested result a group and a tuple of results a group
of groups.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import h5py
import numpy as np
from numpy.typing import NDArray

from analysis.curvature_sweep import CurvatureCurve
from analysis.curved_checks import CurvedSubspace, LearnedCurvature
from analysis.detector import Detector
from analysis.energy import CapturedEnergy
from analysis.fooling import FoolingRate
from analysis.groups import ClassMeans, GroupSpectra
from analysis.halves import HalfSamples, Overlaps
from analysis.hypothesis import HypothesisRow, ItemVerdict
from analysis.labels import LabelFlows
from analysis.learning import LearnedRate
from analysis.nulls import Null
from analysis.planes import BoundarySections, RegionMap
from analysis.predicted import PredictionQuality, PredictionRow
from analysis.profile import CurvatureProfile
from analysis.spectrum import SingularSpectrum
from analysis.theorems import SubspaceMargins
from boundary.errors import StoreError
from boundary.files import open_hdf5, read_array, write_whole
from boundary.points import ON_BOUNDARY

Result = TypeVar("Result")

_TEXTS = "S"


@dataclass(frozen=True, eq=False)
class CollectionResult:
    """What was collected, and from what: one number an image where nothing else is said."""

    images: int
    """Images that the source holds."""
    classes: int
    """K."""
    judged: int
    """Images with a true class on which the clean accuracy was taken; 0 where none is known."""
    correct: int
    """How many of them the classifier gets right."""
    mean_image_norm: float
    """Mean Euclidean norm of the images looked at."""
    status: NDArray[np.int64]
    margin: NDArray[np.float64]
    alignment: NDArray[np.float64]
    residual: NDArray[np.float64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    forward_passes: NDArray[np.int64]
    backward_passes: NDArray[np.int64]
    unreadable: tuple[str, ...]
    """Images that could not be read: ``id: reason``."""

    @property
    def on_boundary(self) -> NDArray[np.bool_]:
        """Which points lie on the boundary and have a normal."""
        return np.isin(self.status, ON_BOUNDARY)

    @property
    def median_margin(self) -> float:
        """Median margin of the points on the boundary, input units."""
        return float(np.median(self.margin[self.on_boundary]))


@dataclass(frozen=True, eq=False)
class SpectrumResult:
    """Singular spectrum of all usable normals, its nulls, and on what it rests."""

    spectrum: SingularSpectrum
    halves: HalfSamples
    random: Overlaps
    """Of random subspaces, beside those of the halves."""
    nulls: tuple[Null, ...]
    """Weakest first, the isotropic one always."""
    energy: CapturedEnergy
    """Of a spectrum made without the held-out normals."""
    by_source: GroupSpectra
    by_pair: GroupSpectra
    means: ClassMeans
    not_reset: tuple[str, ...]
    """Parameters that no layer of the untrained networks could initialise anew."""
    networks_left_out: int
    """Untrained networks that gave fewer than half as many normals."""
    left_out: int
    """Rows of the store without a usable normal."""
    image_shape: tuple[int, ...]
    """(C, H, W)."""
    seed: int
    """Of all splits, and of the nulls."""

    @property
    def isotropic(self) -> Null:
        """The weakest null."""
        return self.nulls[0]


@dataclass(frozen=True, eq=False)
class MadeUniversal:
    """One universal perturbation: how it was made, and how often it fools."""

    algorithm: str
    vector: NDArray[np.float64]
    """(C, H, W), input units."""
    images_used: int
    """Images that made it."""
    forward_passes: int
    """Images passed forward to make it."""
    backward_passes: int
    """Images passed backward to make it."""
    spent: NDArray[np.int64]
    """Backward passes at each look at the fooling rate on the way."""
    watched: NDArray[np.float64]
    """Fooling rate on some other images then."""
    own: tuple[FoolingRate, ...]
    """On the images that made it, not clipped and clipped."""
    others: tuple[FoolingRate, ...]
    """On held-out images, not clipped and clipped."""

    @property
    def family(self) -> str:
        """Of its fooling rates."""
        return self.own[0].family


@dataclass(frozen=True, eq=False)
class UniversalResult:
    """Universal perturbations, judged on the images that made them and on others."""

    found: tuple[MadeUniversal, ...]
    noise: tuple[FoolingRate, ...]
    """Of random directions at the same norms, the sphere or random signs, on held-out images, not
    clipped and clipped."""
    target: int
    """Class that images were to be moved to; -1 where it was away from their own."""
    learning: tuple[LearnedRate, ...]
    """Of the first of them, and of random vectors of the subspace, from fewer images."""
    labels: tuple[LabelFlows, ...]
    """Where images go under the first perturbation of each norm; images that made none."""
    reference_norm: float
    """Euclidean norm at which families are ranked, input units."""
    reference_dimension: int
    """R of the subspace that perturbations were confined to."""
    mean_image_norm: float
    seed: int


@dataclass(frozen=True, eq=False)
class Examples:
    """A few images, clean and perturbed, clipped to the bounds."""

    clean: NDArray[np.float32]
    """(E, C, H, W)."""
    predictions: NDArray[np.int64]
    """(E,), predicted class of the clean images."""
    perturbed: NDArray[np.float32]
    """(F, E, C, H, W), by each of F families."""
    perturbed_predictions: NDArray[np.int64]
    """(F, E)."""
    families: tuple[str, ...]
    """F names."""
    norm: float
    """Euclidean norm of the perturbations, before clipping."""


@dataclass(frozen=True, eq=False)
class FoolingResult:
    """Fooling rates of all families, on images that had no part in making any."""

    rates: tuple[FoolingRate, ...]
    own: tuple[FoolingRate, ...]
    """On images that did make them, not clipped; the dimension is not varied."""
    examples: Examples
    image_ids: tuple[str, ...]
    """The n images, in the order of ``FoolingRate.fooled``."""
    predictions: NDArray[np.int64]
    """(n,), predicted class of the clean images."""
    labels: NDArray[np.int64]
    """(n,), true class, -1 where unknown."""
    class_names: tuple[str, ...]
    """Index -> name; empty where unknown."""
    mean_image_norm: float
    reference_norm: float
    """The norm at which R is swept: a share of the mean image norm."""
    reference_dimension: int
    """The R at which the norm is swept."""
    median_margin: float
    """Of the collected points on the boundary."""
    seed: int
    """Of the draws."""


@dataclass(frozen=True, eq=False)
class CurvatureResult:
    """Curved subspaces, curvature over scales, and the test of the curvature hypothesis."""

    subspaces: tuple[CurvedSubspace, ...]
    """S_c by several methods; the first is the one that is tested."""
    learning: tuple[LearnedCurvature, ...]
    """By how many images make it, ascending, all of them last."""
    curves: tuple[CurvatureCurve, ...]
    """Of every family at every kind of anchor, at held-out images."""
    anchor_kinds: tuple[str, ...]
    met: NDArray[np.int64]
    """(kinds,), held-out images with an anchor of that kind."""
    tried: int
    """Held-out images."""
    rates: tuple[FoolingRate, ...]
    """Fooling rates on held-out images, over norms and dimensions, not clipped."""
    mirrored: tuple[FoolingRate, ...]
    """Those of the opposite vectors, of some of them: the same draws on the same images."""
    rows: tuple[HypothesisRow, ...]
    """Of the test, corrected together."""
    verdicts: tuple[ItemVerdict, ...]
    predictions: tuple[PredictionRow, ...]
    """Fooling rates of families at several norms, predicted from geometry, beside those measured
    on the images whose geometry it is."""
    quality: tuple[PredictionQuality, ...]
    """Of each model of prediction, over all families and norms."""
    margins: tuple[SubspaceMargins, ...]
    """Within subspaces of several R."""
    margin_families: tuple[str, ...]
    """Whose subspaces these are."""
    profiles: tuple[CurvatureProfile, ...]
    """Principal curvatures at a few nearest boundary points, one a scale."""
    detectors: tuple[Detector, ...]
    """Curvature along shared directions as a mark of perturbed images, one a kind of them."""
    sections: tuple[BoundarySections, ...]
    """Along one direction of some families, at some nearest boundary points."""
    maps: tuple[RegionMap, ...]
    """Around some judged images, in the plane of two directions of S_c."""
    random_energy: NDArray[np.float64]
    """(pairs,), mean squared cosine of pairs of random subspaces of the same R."""
    dimension: int
    """R of S_c."""
    ambient_dimension: int
    """D."""
    scale: float
    """s at which S_c was made, input units."""
    reference_norm: float
    median_margin: float
    model_name: str
    seed: int


def save_result(path: Path, result: Any, settings: Mapping[str, Any]) -> None:
    """Write a result whole, with the settings that made it.

    Args:
        path: Of the HDF5 file.
        result: One of the dataclasses above.
        settings: JSON values; `load_settings` returns them.
    """

    def write(temporary: Path) -> None:
        with h5py.File(temporary, "w") as file:
            file.attrs["settings"] = json.dumps(dict(settings))
            file.attrs["version"] = _version(type(result))
            _write(file, result)

    write_whole(path, write)


def load_result(path: Path, kind: type[Result]) -> Result:
    """Return the result that `save_result` wrote.

    Args:
        path: Of the HDF5 file.
        kind: Its dataclass.

    Returns:
        The result, equal to what was saved.

    Raises:
        StoreError: If the file is missing, damaged, or holds another kind of result.
    """
    with open_hdf5(path) as file:
        found = file.attrs.get("version", 1)
        if found != _version(kind):
            raise StoreError(
                f"`{path}` was made by another version of this program (format {found}, not "
                f"{_version(kind)}); make it anew with `boundary {path.stem} {path.parent} --redo`."
            )
        try:
            result: Result = _read(file, kind)
        except (KeyError, ValueError, TypeError) as error:
            raise StoreError(f"`{path}` is damaged: {error}.") from error
    return result


def _version(kind: type[Any]) -> int:
    """Return the format of a result; what differs cannot be read."""
    return {SpectrumResult: 3, FoolingResult: 2}.get(kind, 1)


def load_settings(path: Path) -> dict[str, Any]:
    """Return the settings that made a result.

    Raises:
        StoreError: If the file is missing or damaged.
    """
    with open_hdf5(path) as file:
        try:
            settings: dict[str, Any] = json.loads(str(file.attrs["settings"]))
        except (KeyError, ValueError) as error:
            raise StoreError(f"`{path}` is damaged: it does not say what made it.") from error
    return settings


def _write(group: h5py.Group, result: Any) -> None:
    group.attrs["kind"] = type(result).__name__
    hints = get_type_hints(type(result))
    for field in fields(result):
        _write_value(group, field.name, getattr(result, field.name), hints[field.name])


def _write_value(group: h5py.Group, name: str, value: Any, hint: Any) -> None:
    if is_dataclass(value):
        _write(group.create_group(name), value)
    elif get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
        members = group.create_group(name)
        for place, member in enumerate(value):
            _write(members.create_group(str(place)), member)
    elif isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        group[name] = np.array([item.encode("utf-8") for item in value], dtype=_TEXTS)
    elif isinstance(value, (tuple, np.ndarray)):
        group[name] = np.asarray(value)
    else:
        group.attrs[name] = value


def _read(group: h5py.Group, kind: type[Any]) -> Any:
    found = group.attrs["kind"]
    if found != kind.__name__:
        raise ValueError(f"`{group.name}` should be a {kind.__name__}, found {found!r}")
    hints = get_type_hints(kind)
    return kind(
        **{field.name: _read_value(group, field.name, hints[field.name]) for field in fields(kind)}
    )


def _read_value(group: h5py.Group, name: str, hint: Any) -> Any:
    if is_dataclass(hint):
        return _read(_own_group(group, name), hint)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        if is_dataclass(item):
            members = _own_group(group, name)
            return tuple(
                _read(_own_group(members, str(place)), item)  # type: ignore[arg-type]
                for place in range(len(members))
            )
        values = read_array(group, name)
        return tuple(raw.decode("utf-8") if item is str else item(raw) for raw in values.tolist())
    if hint in {int, float, str, bool}:
        return hint(group.attrs[name])
    return read_array(group, name)


def _own_group(group: h5py.Group, name: str) -> h5py.Group:
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"`{name}` is missing or points elsewhere")
    child = group[name]
    if not isinstance(child, h5py.Group):
        raise ValueError(f"`{name}` should be a group")
    return child
