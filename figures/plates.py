"""Every figure of a run: its name, what draws it, how to read it, and whether a run has it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from matplotlib.figure import Figure

from analysis.labels import LabelFlows
from figures.causes import plot_causes
from figures.choice import plot_choice
from figures.classes import plot_classes
from figures.curvature import plot_curvature, plot_estimators
from figures.dimensions import plot_dimensions
from figures.endpoints import plot_endpoints
from figures.energy import plot_energy
from figures.examples import plot_examples
from figures.families import plot_families
from figures.fooling import plot_fooling_dimension, plot_fooling_norm
from figures.labels import plot_labels
from figures.maps import plot_maps
from figures.margins import plot_margins
from figures.profile import plot_profile
from figures.run_results import RunResults
from figures.sections import drawn_sections, plot_sections
from figures.spectrum import plot_spectrum
from figures.stability import plot_stability
from figures.transfer import plot_transfer
from figures.universal import plot_universal
from figures.vectors import plot_singular_vectors

Result = TypeVar("Result")
Source = TypeVar("Source")


@dataclass(frozen=True)
class Plate(Generic[Source]):
    """A figure of a report, drawn from the results of a run or from another source."""

    name: str
    title: str
    draw: Callable[[Source], Figure]
    how_to_read: str
    quantities: tuple[str, ...] = ()
    """Of the table, those that it shows."""
    wide: bool = True
    there: Callable[[Source], bool] = lambda _: True
    """Whether the source has what it shows."""


def _labels(results: RunResults) -> list[LabelFlows]:
    return [flows for flows in results.universal.labels if flows.p == 2]


def _present(result: Result | None) -> Result:
    assert result is not None, "a plate is drawn only of a result that is there"
    return result


PLATES: tuple[Plate[RunResults], ...] = (
    Plate(
        "spectrum",
        "Singular spectrum of the normals",
        lambda results: plot_spectrum(results.spectrum),
        "Singular values of the matrix whose rows are the unit normals. If normals shared nothing, "
        "they would follow the grey band (the smallest and largest draw of random directions) and "
        "the dashed law. The other bands are what is left when each coordinate is permuted across "
        "images, when each normal keeps its power spectrum but gets random phases, and what "
        "untrained networks give. Values above a band are directions shared beyond that null; a "
        "dot marks the last before the curve first meets it.",
        wide=False,
        quantities=("singular value", "singular values above"),
    ),
    Plate(
        "dimensions",
        "How many directions",
        lambda results: plot_dimensions(results.spectrum),
        "Left: how many directions the spectrum fills, by five definitions, none of which is the "
        "only right one; random directions fill nearly all, and a smaller number is a more "
        "concentrated spectrum. Right: how many leading singular values stand above every draw of "
        "each null.",
        quantities=("dimensions filled", "singular values above"),
    ),
    Plate(
        "energy",
        "Energy of held-out normals",
        lambda results: plot_energy(results.spectrum),
        "How much of a new image's unit normal lies in the first R directions: the solid curve, "
        "with its 95 % interval over images. The dotted line is what any R directions hold of a "
        "random one. The dashed curve is the sample that made the directions; it is too high even "
        "for noise, and is drawn to show by how much.",
        wide=False,
        quantities=("captured energy",),
    ),
    Plate(
        "stability",
        "What two halves share",
        lambda results: plot_stability(results.spectrum),
        "The normals are split at random in two halves, and each half makes its own subspace. "
        "Left: how much the two subspaces of R directions share, 1 if they are the same and R/D if "
        "random. Right: the angles between them; a subspace that is real and well determined has "
        "small ones. Directions that other images do not find again are noise.",
        quantities=("squared cosine of two halves", "median angle of two halves"),
    ),
    Plate(
        "classes",
        "Classes and pairs of classes",
        lambda results: plot_classes(results.spectrum),
        "Left: how much of the leading directions of one half of the normals lies in the span of "
        "the mean normals of pairs of classes, made from the other half; were the shared "
        "directions but those of class pairs, this would be near 1, for R up to the number of pair "
        "means. Right: how many directions the normals of one class, or of one pair, fill "
        "(participation ratio); on the dotted line they share nothing.",
        quantities=(
            "energy of a mean normal",
            "S_f of one half in that of the other",
            "dimensions filled by a class",
        ),
    ),
    Plate(
        "causes",
        "What carries images across the boundary",
        lambda results: plot_causes(results.curvature),
        "Left: of the pairs of an image and a vector that are fooled, how many cross the tangent "
        "plane at the image's own nearest boundary point; not that, but the plane of another "
        "class; no plane, but the bending boundary of a class; none of these. Right: planes and "
        "bending also foretell pairs that are not fooled: the share of all pairs that they tell "
        "right, each model holding the one before.",
        there=lambda results: bool(results.curvature.causes),
        quantities=("cause of fooling", "pairs told right"),
    ),
    Plate(
        "endpoints",
        "The curvature hypothesis, comparison by comparison",
        lambda results: plot_endpoints(results.curvature),
        "To the right of zero is what the hypothesis says: the boundary between the two classes "
        "bends towards the image along S_c, and more than along matched noise; random vectors of "
        "S_c fool more than those of rivals; bending tells more pairs right than planes do. It is "
        "supported if all of these lie surely to the right.",
        quantities=("bends", "fools", "predicts"),
    ),
    Plate(
        "families",
        "Every family of perturbations",
        lambda results: plot_families(results.fooling),
        "Share of images whose predicted class a perturbation of the reference norm changes. One "
        "image's displacement and matched noise cost nothing to make: what random vectors of S_f, "
        "the span of the first R singular vectors of the normals, fool says little unless they "
        "fool more than these.",
        wide=False,
        quantities=("fooling rate",),
    ),
    Plate(
        "fooling_norm",
        "Random families against norm",
        lambda results: plot_fooling_norm(results.fooling),
        "Random perturbations of S_f beside their rivals: the subspace of the same normals with "
        "their phases randomised (matched noise), the subspace of an untrained network's "
        "normals, and all directions. Left: the geometry alone. Right (hollow): perturbed images "
        "clipped to the bounds, as a camera would deliver them, at the reference norm. Bars are "
        "95 % intervals.",
        quantities=("fooling rate",),
    ),
    Plate(
        "fooling_dimension",
        "Fooling rate against subspace dimension",
        lambda results: plot_fooling_dimension(results.fooling),
        "The same at the reference norm, for perturbations drawn from the span of the first R "
        "singular vectors. Horizontal lines with their bands: the whole sphere, where R = D, and "
        "the universal perturbations of that norm.",
        quantities=("fooling rate",),
    ),
    Plate(
        "choice",
        "How R was chosen",
        lambda results: plot_choice(results.universal),
        "Fooling rates on images that do nothing but choose R: the smallest R within a standard "
        "error of the best of S_f. The rates that are judged are those of other images.",
        quantities=("fooling rate on choosing images",),
    ),
    Plate(
        "universal",
        "Universal perturbations",
        lambda results: plot_universal(results.universal),
        "How the fooling rate on images that have no part in it grows while a universal "
        "perturbation is made; where it was asked for, right: how many images it takes, and how "
        "many normals a subspace.",
        there=lambda results: bool(results.universal.found),
        quantities=("fooling rate", "fooling rate on the way"),
    ),
    Plate(
        "labels",
        "Where images go",
        lambda results: plot_labels(_labels(results)[0]),
        "Rows: the class that the network gives to an image; columns: the class of the same image "
        "with the Euclidean universal perturbation. A dark column is a class that attracts images "
        "of others.",
        wide=False,
        there=lambda results: bool(_labels(results)),
        quantities=("images that go from a class to another",),
    ),
    Plate(
        "transfer",
        "Transfer between models",
        lambda results: plot_transfer(_present(results.transfer)),
        "Rows: the model that a perturbation was made on; columns: the one that it is tried on. "
        "The first matrices are fooling rates, the last two say how much the subspaces share: the "
        "share of the row's normals that lies in the column's subspace, and the mean squared "
        "cosine of the principal angles.",
        there=lambda results: results.transfer is not None,
        quantities=(
            "fooling rate",
            "energy in the subspace of another",
            "squared cosine of two subspaces",
        ),
    ),
    Plate(
        "curvature",
        "Curvature along families of directions",
        lambda results: plot_curvature(results.curvature),
        "Mean curvature of the boundary at images that made no subspace, against the scale at "
        "which it is measured. Above the line of zero the boundary bends towards the image, as the "
        "hypothesis says of S_c, the span of the directions along which it bends most on average "
        "over images; below, away from it. A panel for each way to meet the boundary, since the "
        "sign depends on it.",
        there=lambda results: bool(results.curvature.curves),
        quantities=("mean curvature",),
    ),
    Plate(
        "estimators",
        "Curvature along S_c, by every estimator on both surfaces",
        lambda results: plot_estimators(results.curvature),
        "The same along S_c alone: by the values of the logits, by their gradients, and, where "
        "taken, by normal sections, which follow the boundary itself. Where colours part, other "
        "classes than that of the pair bound the region; where lines of a colour part, the logits "
        "and the boundary tell different things at that scale.",
        there=lambda results: bool(results.curvature.curves),
        quantities=("mean curvature",),
    ),
    Plate(
        "sections",
        "The boundary above the images",
        lambda results: plot_sections(results.curvature),
        "The boundary itself, in the plane of a direction and the normal, with every image at the "
        "cross. Where lines come down at the sides the boundary bends towards the image. Inside "
        "the circle a perturbation of the reference norm in this plane reaches across the line. A "
        "boundary that is level near its nearest point can still come down farther out.",
        there=lambda results: bool(drawn_sections(results.curvature)),
        quantities=("median height of the boundary",),
    ),
    Plate(
        "maps",
        "Classes around a few images",
        lambda results: plot_maps(results.curvature),
        "The predicted class in the plane of the first two directions of S_c, the image at the "
        "cross. Where another colour enters the circle a perturbation of the reference norm in "
        "this plane fools.",
        there=lambda results: bool(results.curvature.maps),
    ),
    Plate(
        "profile",
        "Principal curvatures",
        lambda results: plot_profile(results.curvature),
        "Left: how the boundary bends in its own directions, towards the image above zero. "
        "Right: whether other points bend along these too; above 1 more than along random "
        "directions.",
        there=lambda results: bool(results.curvature.profiles),
        quantities=("principal curvature", "curvature along another's direction"),
    ),
    Plate(
        "singular_vectors",
        "Leading singular vectors",
        lambda results: plot_singular_vectors(results.spectrum),
        "The directions that the normals share most, as images, with index and singular value. "
        "The sign of a vector means nothing, and each has its own scale.",
    ),
    Plate(
        "examples",
        "Examples",
        lambda results: plot_examples(results.fooling),
        "The same images clean and perturbed, with the predicted class below. An arrow, bold type "
        "and a frame mark a prediction that changed. A few images show what a norm looks like, not "
        "how often it fools.",
    ),
    Plate(
        "margins",
        "Margins and alignment",
        lambda results: plot_margins(results.collection),
        "Left: distance from each image to the boundary point found for it. Middle: cosine between "
        "that displacement and the normal, which is 1 at a smooth nearest point; a smaller one is "
        "a kink or a search that ran out of gradients. Right: how every search ended; grey ones "
        "gave no normal.",
        quantities=("median margin", "median alignment", "median residual"),
    ),
)
