"""What each stage of a study saves, in one file each: see `analysis.saved`."""

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analysis.ascent import AscendedFrame
from analysis.bounds import TheoryRow
from analysis.causes import FoolingCauses
from analysis.choice import ChosenDimension
from analysis.curvature_sweep import CurvatureCurve
from analysis.curvature_test import CurvatureTest
from analysis.curved import shared_energy
from analysis.energy import CapturedEnergy
from analysis.fooling import FoolingRate
from analysis.groups import ClassMeans, GroupSpectra
from analysis.halves import HalfSamples, Overlaps
from analysis.labels import LabelFlows
from analysis.learning import LearnedRate
from analysis.nulls import Null
from analysis.paths import FoolingPath
from analysis.perturbations import SUBSPACE
from analysis.planes import BoundarySections, RegionMap
from analysis.profile import CurvatureProfile
from analysis.questions import BeyondNoise, SharedNormals, Within
from analysis.rivals import MATCHED
from analysis.spectrum import SingularSpectrum
from boundary.points import ON_BOUNDARY
from boundary.result import Result


@dataclass(frozen=True, eq=False, repr=False)
class CollectionResult(Result):
    """What was collected, and from what: one number an image where nothing else is said."""

    FORMAT: ClassVar[int] = 2
    AXES: ClassVar = {
        "choosing": "image",
        "status": "image",
        "on_boundary": "image",
        "margin": "image",
        "alignment": "image",
        "residual": "image",
        "source": "image",
        "target": "image",
        "forward_passes": "image",
        "backward_passes": "image",
    }
    ROWS = "image"

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
    choosing: NDArray[np.bool_]
    """Whether it chooses R, and makes no subspace."""
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


@dataclass(frozen=True, eq=False, repr=False)
class SpectrumResult(Result):
    """Singular spectrum of all usable normals, its nulls, and on what it rests."""

    FORMAT: ClassVar[int] = 3

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


@dataclass(frozen=True, eq=False, repr=False)
class MadeUniversal(Result):
    """One universal perturbation: how it was made, and how often it fools."""

    AXES: ClassVar = {"vector": "channel height width", "spent": "look", "watched": "look"}
    ROWS = "look"

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


@dataclass(frozen=True, eq=False, repr=False)
class UniversalResult(Result):
    """Universal perturbations, judged on the images that made them and on others."""

    FORMAT: ClassVar[int] = 2
    ROWS = "rates"

    choice: ChosenDimension
    """R of S_f, and how it was chosen."""
    within: tuple[Within, ...]
    """What can be had inside S_f, in one; none where no universal perturbation was made."""
    paths: tuple[FoolingPath, ...]
    """Of evaluated images under the Euclidean one, in one; none where none was made."""
    rate_without_sink: float
    """Fooling rate of one that is made and judged without the class that most images go to; NaN
    where that says nothing."""
    found: tuple[MadeUniversal, ...]
    noise: tuple[FoolingRate, ...]
    """Of random directions at the same norms, the sphere or random signs, on held-out images, not
    clipped and clipped."""
    target: int
    """Class that images were to be moved to; -1 where it was away from their own."""
    learning: tuple[LearnedRate, ...]
    """Of the first of them, from fewer images, where that was asked for."""
    labels: tuple[LabelFlows, ...]
    """Where images go under the first perturbation of each norm; images that made none."""
    reference_norm: float
    """Euclidean norm at which families are ranked, input units."""
    reference_dimension: int
    """R of the subspace that perturbations were confined to."""
    mean_image_norm: float
    seed: int

    @property
    def rates(self) -> tuple[FoolingRate, ...]:
        """Of every perturbation on held-out images, not clipped and clipped, and of the noise."""
        return (*(rate for one in self.found for rate in one.others), *self.noise)

    @property
    def euclidean(self) -> MadeUniversal | None:
        """The first that was made within a Euclidean ball; None where none was."""
        return next((one for one in self.found if one.own[0].p == 2), None)


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


@dataclass(frozen=True, eq=False, repr=False)
class FoolingResult(Result):
    """Fooling rates of all families, on images that had no part in making any."""

    FORMAT: ClassVar[int] = 3
    AXES: ClassVar = {"image_ids": "image", "predictions": "image", "labels": "image"}
    ROWS = "rates"

    rates: tuple[FoolingRate, ...]
    shared: SharedNormals
    """Energies of evaluated images' normals."""
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
    """The R of S_f, at which the norm is swept."""
    noise_dimension: int
    """The R at which matched noise fools most choosing images."""
    median_margin: float
    """Of the collected points on the boundary."""
    seed: int
    """Of the draws."""

    @property
    def beyond_noise(self) -> BeyondNoise:
        """Random vectors of S_f beside those of matched noise, not clipped."""
        found = {
            (rate.family, rate.subspace_dimension): rate
            for rate in self.rates
            if not rate.clipped and rate.norm == self.reference_norm
        }
        return BeyondNoise(
            dimension=self.reference_dimension,
            best_dimension=self.noise_dimension,
            norm=self.reference_norm,
            own=found[SUBSPACE, self.reference_dimension].fooled,
            noise=found[MATCHED, self.reference_dimension].by_subspace,
            best_noise=found[MATCHED, self.noise_dimension].by_subspace,
        )


@dataclass(frozen=True, eq=False, repr=False)
class CurvatureResult(Result):
    """Three curved subspaces, and how the boundary bends along them and others over scales."""

    FORMAT: ClassVar[int] = 4
    AXES: ClassVar = {"anchor_kinds": "anchor_kinds", "met": "anchor_kinds"}
    ROWS = "theory"

    frames: tuple[AscendedFrame, ...]
    """S_c of each of three disjoint thirds of the collected boundary points."""
    causes: tuple[FoolingCauses, ...]
    """Of the universal perturbation, and of random vectors of each family."""
    test: CurvatureTest
    """Of the curvature hypothesis."""
    curves: tuple[CurvatureCurve, ...]
    """Of every family at every kind of anchor, at held-out images."""
    sections: tuple[BoundarySections, ...]
    """Along one direction of each family, at some nearest boundary points."""
    maps: tuple[RegionMap, ...]
    """Around some held-out images, in the plane of two directions of S_c."""
    profiles: tuple[CurvatureProfile, ...]
    """Principal curvatures at a few nearest boundary points, one a scale."""
    theory: tuple[TheoryRow, ...]
    """The law of margins and both theorems, beside what is measured."""
    anchor_kinds: tuple[str, ...]
    met: NDArray[np.int64]
    """(kinds,), held-out images with an anchor of that kind."""
    tried: int
    """Held-out images."""
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

    @property
    def shared(self) -> NDArray[np.float64]:
        """(pairs,), mean squared cosine of every two frames; R/D if they shared nothing."""
        pairs = combinations((frame.directions for frame in self.frames), 2)
        return np.array([shared_energy(*pair) for pair in pairs])
