"""The report of a run: figures, one self-contained page, and every number of it as JSON.

Everything is read from the run directory. Names of models, classes and images, the configuration
and the provenance are a stranger's text: the page escapes them and the figures draw them as they
are.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from functools import partial
from math import inf, isfinite
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from analysis.labels import LabelFlows
from analysis.natural import NaturalResult
from analysis.results import (
    CollectionResult,
    CurvatureResult,
    FoolingResult,
    SpectrumResult,
    UniversalResult,
)
from analysis.saved import load_result
from analysis.transfer import TransferResult
from boundary.errors import StoreError
from boundary.files import write_text
from boundary.points import Status
from figures import formats
from figures.classes import plot_classes
from figures.curvature import plot_curvature, plot_estimators
from figures.curvature_tables import curvature_numbers, rows_of_test
from figures.curved import plot_curved
from figures.curved_classes import has_curved_classes, plot_curved_classes
from figures.curves import ESTIMATOR_LABELS
from figures.dimensions import plot_dimensions
from figures.energy import plot_energy
from figures.examples import plot_examples
from figures.families import plot_families
from figures.findings import Findings, list_findings
from figures.fooling import plot_fooling_dimension, plot_fooling_norm
from figures.hypothesis import plot_verdicts
from figures.labels import plot_labels
from figures.maps import plot_maps
from figures.margins import plot_margins
from figures.natural import plot_natural
from figures.predicted import margin_rows, plot_predicted, plot_subspace_margins
from figures.profile import plot_profile
from figures.rates import clip_policies, family_label
from figures.sections import drawn_sections, plot_sections
from figures.spectrum import plot_spectrum
from figures.spectrum_tables import energy_rows, spectrum_numbers
from figures.stability import plot_stability
from figures.style import save_figure, svg_bytes
from figures.tables import (
    class_rows,
    family_differences,
    family_rows,
    rate_rows,
    transfer_rows,
    universal_rows,
)
from figures.transfer import plot_transfer
from figures.universal import plot_universal
from figures.vectors import plot_singular_vectors
from figures.verdicts import (
    ITEMS,
    place_label,
    row_estimate,
    row_interval,
    row_label,
    verdict_lines,
)

_TEMPLATES = Path(__file__).with_name("templates")
_UNREADABLE_SHOWN = 50
_OPTIONAL = ("natural", "transfer", "curvature")
_NOT_RECORDED = "not recorded"
_CLIPPED = {False: "not clipped", True: "clipped"}


Result = TypeVar("Result")


@dataclass(frozen=True)
class _Results:
    collection: CollectionResult
    spectrum: SpectrumResult
    universal: UniversalResult
    fooling: FoolingResult
    natural: NaturalResult | None
    transfer: TransferResult | None
    curvature: CurvatureResult | None


@dataclass(frozen=True)
class _Plate:
    """A figure of the report."""

    name: str
    title: str
    draw: Callable[[_Results], Figure]
    how_to_read: str
    wide: bool = True
    embed: str = "svg"
    """``svg`` for lines; ``png`` for pictures, which it holds in fewer bytes."""
    there: Callable[[_Results], bool] = lambda _: True
    """Whether a run has what it shows."""


def _labels(results: _Results, p: float) -> list[LabelFlows]:
    return [flows for flows in results.universal.labels if flows.p == p]


def _has_labels(results: _Results, p: float) -> bool:
    return bool(_labels(results, p))


def _plot_labels(results: _Results, p: float) -> Figure:
    return plot_labels(_labels(results, p)[0])


def _has_curvature(results: _Results) -> bool:
    return results.curvature is not None


def _there(result: Result | None) -> Result:
    assert result is not None, "a plate is drawn only of a result that is there"
    return result


_PLATES = (
    _Plate(
        "spectrum",
        "Singular spectrum of the normals",
        lambda results: plot_spectrum(results.spectrum),
        "Left: singular values of the matrix whose rows are the unit normals, against their index. "
        "If normals shared nothing, they would follow the grey band (the smallest and largest of "
        "the draws of random directions) and the dashed law. The other bands are what is left when "
        "each coordinate is permuted across images, when each normal keeps its power spectrum but "
        "gets random phases, and what untrained networks give. Values above a band on the left are "
        "directions shared beyond that null; a dot marks the last before the curve first meets the "
        "band. Right: the squares, which sum to the number of normals, beside the density of the "
        "law of random directions: energy that the leading directions take is missing from the "
        "bulk.",
    ),
    _Plate(
        "dimensions",
        "How many directions",
        lambda results: plot_dimensions(results.spectrum),
        "Left: how many directions the spectrum fills, by five definitions, none of which is the "
        "only right one; random directions fill nearly all, and a smaller number is a more "
        "concentrated spectrum. Right: how many leading singular values stand above every draw of "
        "each null; a null is beaten where the interval does not go below 1.",
    ),
    _Plate(
        "energy",
        "Energy of held-out normals",
        lambda results: plot_energy(results.spectrum),
        "How much of a new image's unit normal lies in the first R directions: the solid curve, "
        "with its 95 % interval over images. The dotted line is what any R directions hold of a "
        "random one. The dashed curve is the sample that made the directions; it is too high even "
        "for noise, and is drawn to show by how much.",
        wide=False,
    ),
    _Plate(
        "stability",
        "What two halves share",
        lambda results: plot_stability(results.spectrum),
        "The normals are split at random in two halves, and each half makes its own subspace. "
        "Left: how much the two subspaces of R directions share, 1 if they are the same and R/D if "
        "random. Right: the angles between them; a subspace that is real and well determined has "
        "small ones. Directions that other images do not find again are noise.",
    ),
    _Plate(
        "classes",
        "Classes and pairs of classes",
        lambda results: plot_classes(results.spectrum),
        "Left: how much of the leading directions of one half of the normals lies in the span of "
        "the mean normals of pairs of classes, made from the other half; were the shared "
        "directions but those of class pairs, this would be near 1. Right: how many "
        "directions the normals of one class, or of one pair, fill (participation ratio); on the "
        "dotted line they share nothing.",
    ),
    _Plate(
        "families",
        "Every family of perturbations",
        lambda results: plot_families(results.fooling),
        "Share of images whose predicted class a perturbation changes, by its norm, as in "
        "figure 8 of the CVPR 2017 paper on universal perturbations. Left: collected images, "
        "which made what is made of images; right: held-out ones, which is what counts. "
        "A universal perturbation was made at the reference norm and only scaled to the others. "
        "One image's displacement and spectrum-matched noise cost nothing to make: what random "
        "vectors of S_f fool says little unless they fool more than these.",
        there=lambda results: bool(results.fooling.own),
    ),
    _Plate(
        "fooling_norm",
        "Random families against norm, clipped and not",
        lambda results: plot_fooling_norm(results.fooling),
        "Random perturbations of S_f beside their rivals: the subspace of the same normals with "
        "their phases randomised (spectrum-matched noise), the subspace of an untrained network's "
        "normals, and all directions. Left (solid, filled): the geometry alone. Right (dashed, "
        "hollow): perturbed images clipped to the bounds, as a camera would deliver them. Bars are "
        "95 % intervals.",
    ),
    _Plate(
        "fooling_dimension",
        "Fooling rate against subspace dimension",
        lambda results: plot_fooling_dimension(results.fooling),
        "The same at the reference norm, for perturbations drawn from the span of the first R "
        "singular vectors. The horizontal line with its band is the whole sphere, where R = D.",
    ),
    _Plate(
        "universal",
        "Universal perturbations",
        lambda results: plot_universal(results.universal),
        "Left: how the fooling rate on images that have no part in it grows while a universal "
        "perturbation is made. Right: how many images it takes, and how many normals a subspace.",
        there=lambda results: bool(results.universal.found),
    ),
    *(
        _Plate(
            name,
            f"Where images go, {norm}",
            partial(_plot_labels, p=p),
            "Left: an arrow leads from a class to the one that most of its fooled images are taken "
            "for; a star is a class that attracts others. Right: how many images have a label "
            "before and after.",
            there=partial(_has_labels, p=p),
        )
        for name, norm, p in (("labels", "Euclidean", 2.0), ("labels_linf", "l-infinity", inf))
    ),
    _Plate(
        "natural",
        "Natural images, S_f and perturbations",
        lambda results: plot_natural(_there(results.natural)),
        "Left: power by spatial frequency, white noise being 1. Middle: energy that the leading "
        "principal components of natural images and the subspace have in common, against random "
        "ones (dotted) and S_f with random phases (dashed). Right: how improbable directions are "
        "under a Gaussian fitted to natural images, 1 for what the Gaussian itself would give. "
        "These images made no normal.",
        there=lambda results: results.natural is not None,
    ),
    _Plate(
        "transfer",
        "Transfer between models",
        lambda results: plot_transfer(_there(results.transfer)),
        "Rows: the model that a perturbation was made on; columns: the one that it is tried on. "
        "The first matrices are fooling rates, the last two say how much the subspaces share: the "
        "share of the row's normals that lies in the column's subspace, and the mean squared "
        "cosine of the principal angles.",
        there=lambda results: results.transfer is not None,
    ),
    _Plate(
        "curvature",
        "Curvature along families of directions",
        lambda results: plot_curvature(_there(results.curvature)),
        "Mean curvature of the boundary at images that made no subspace, against the scale at "
        "which it is measured. Above the line of zero the boundary bends towards the image, as the "
        "hypothesis says of S_c; below, away from it. A panel for each way to meet the boundary, "
        "since the sign depends on it.",
        there=_has_curvature,
    ),
    _Plate(
        "estimators",
        "Curvature along S_c, by every estimator on both surfaces",
        lambda results: plot_estimators(_there(results.curvature)),
        "The same along S_c alone: by the values of the logits, by their gradients, and, where "
        "taken, by normal sections, which follow the boundary itself. Where colours part, other "
        "classes than that of the pair bound the region; where lines of a colour part, the logits "
        "and the boundary tell different things at that scale.",
        there=_has_curvature,
    ),
    _Plate(
        "curved",
        "The shared curved subspace",
        lambda results: plot_curved(_there(results.curvature)),
        "Left: what an S_c made from so many images keeps on others; the gap between the lines is "
        "what it learned of its own images alone. Right: the same for each direction; between zero "
        "and the dotted line curvature carried over in part, at zero nothing is left. Below: how "
        "often random vectors of S_c fool, beside their rivals and beside the other ends of the "
        "spectrum.",
        there=_has_curvature,
    ),
    _Plate(
        "curved_classes",
        "The curved subspace of each class alone",
        lambda results: plot_curved_classes(_there(results.curvature)),
        "Left: how the boundary at images of a column's class bends along the S_c that images of "
        "the row's class made, purple towards the image; were S_c shared by all classes, a column "
        "would be of one colour, and where each class has its own, the diagonal stands out. The "
        "last row is the S_c of all classes together. Right: how much two of these subspaces have "
        "in common.",
        there=lambda results: bool(results.curvature and has_curved_classes(results.curvature)),
    ),
    _Plate(
        "verdicts",
        "The curvature hypothesis, item by item",
        lambda results: plot_verdicts(_there(results.curvature)),
        "Each cell is one item of the hypothesis at one anchor and one scale or norm, judged by "
        "all rows of the test there. Not supported means not shown in this run; contradicted, that "
        "the sign is the other one.",
        there=lambda results: bool(results.curvature and results.curvature.rows),
    ),
    _Plate(
        "sections",
        "The boundary above the images",
        lambda results: plot_sections(_there(results.curvature)),
        "The boundary itself, in the plane of a direction and the normal, with every image at the "
        "cross. Where lines come down at the sides the boundary bends towards the image. Inside "
        "the circle a perturbation of the reference norm in this plane reaches across the line. A "
        "boundary that is level near its nearest point can still come down farther out.",
        there=lambda results: bool(results.curvature and drawn_sections(results.curvature)),
    ),
    _Plate(
        "maps",
        "Classes around a few images",
        lambda results: plot_maps(_there(results.curvature)),
        "The predicted class in the plane of the first two directions of S_c, the image at the "
        "cross. Where another colour enters the circle a perturbation of the reference norm in "
        "this plane fools.",
        embed="png",
        there=lambda results: bool(results.curvature and results.curvature.maps),
    ),
    _Plate(
        "predicted",
        "Fooling predicted from geometry",
        lambda results: plot_predicted(_there(results.curvature)),
        "Flat: beyond the tangent plane at the nearest boundary point. Many planes: beyond that "
        "of any of a few classes. Curved: beyond a parabola with the curvature measured along the "
        "vector at that image. Shared curvature: with the mean curvature of the other images. A "
        "model that explains fooling has its points on the diagonal; curvature adds where its "
        "line, on the right, is above that of the flat model.",
        there=lambda results: bool(results.curvature and results.curvature.predictions),
    ),
    _Plate(
        "subspace_margins",
        "Margins within subspaces",
        lambda results: plot_subspace_margins(_there(results.curvature)),
        "How far the boundary is if only directions of a subspace may be used, in margins. Random "
        "subspaces follow the dashed law if the boundary is flat, and then mostly lie within the "
        "band; a subspace below it holds more of the way to the boundary than random ones.",
        wide=False,
        there=lambda results: bool(results.curvature and margin_rows(results.curvature)),
    ),
    _Plate(
        "profile",
        "Principal curvatures, and the detector",
        lambda results: plot_profile(_there(results.curvature)),
        "Left: how the boundary bends in its own directions, towards the image above zero. "
        "Middle: whether other points bend along these too; above 1 more than along random "
        "directions. Right: how well the mean curvature along S_c tells perturbed images from "
        "clean ones; the diagonal is chance, and a curve below it tells them by low scores.",
        there=lambda results: bool(
            results.curvature and (results.curvature.profiles or results.curvature.detectors)
        ),
    ),
    _Plate(
        "singular_vectors",
        "Leading singular vectors",
        lambda results: plot_singular_vectors(results.spectrum),
        "The directions that the normals share most, as images, with index and singular value. "
        "The sign of a vector means nothing, and each has its own scale.",
        embed="png",
    ),
    _Plate(
        "examples",
        "Examples",
        lambda results: plot_examples(results.fooling),
        "The same images clean and perturbed, with the predicted class below. An arrow, bold type "
        "and a frame mark a prediction that changed. A few images show what a norm looks like, not "
        "how often it fools.",
        embed="png",
    ),
    _Plate(
        "margins",
        "Margins and alignment",
        lambda results: plot_margins(results.collection),
        "Left: distance from each image to the boundary point found for it. Middle: cosine between "
        "that displacement and the normal, which is 1 at a smooth nearest point; a smaller one is "
        "a kink or a search that ran out of gradients. Right: how every search ended; grey ones "
        "gave no normal.",
    ),
)


def write_report(directory: Path, optional: Collection[str] = _OPTIONAL) -> Path:
    """Write the figures, ``report.html`` and ``numbers.json`` of a run.

    The title is read from the provenance: ``model`` and ``images`` (a text, or a mapping with a
    ``name`` or a ``spec``), and the latest time at which one of its ``stages`` ``finished``.

    Args:
        directory: Of the run: ``collect.h5``, ``spectrum.h5``, ``universal.h5``, ``fooling.h5``,
            ``study.yaml`` and ``provenance.json``.
        optional: Stages whose results are shown too, where they are there.

    Returns:
        The path of the page.

    Raises:
        StoreError: If one of the files is missing or damaged.
    """
    results = _Results(
        load_result(directory / "collect.h5", CollectionResult),
        load_result(directory / "spectrum.h5", SpectrumResult),
        load_result(directory / "universal.h5", UniversalResult),
        load_result(directory / "fooling.h5", FoolingResult),
        _optional(directory, "natural", NaturalResult, optional),
        _optional(directory, "transfer", TransferResult, optional),
        _optional(directory, "curvature", CurvatureResult, optional),
    )
    study = _read_text(directory / "study.yaml")
    provenance = _read_json(directory / "provenance.json")
    findings = list_findings(
        results.collection,
        results.spectrum,
        results.fooling,
        results.universal,
        results.natural,
        results.transfer,
        results.curvature,
    )
    tables = _tables(results)
    numbers = _plain({**_findings_as_json(findings), **tables})
    context = {
        "findings": findings,
        "tables": tables,
        "study": study,
        "provenance": provenance,
        "model": _name(provenance.get("model")),
        "images": _name(provenance.get("images")),
        "date": _date(provenance),
        "plates": [_plate(plate, results, directory) for plate in _PLATES if plate.there(results)],
        "curvature": _curvature_context(results.curvature),
        "class_names": results.fooling.class_names,
        "unreadable": results.collection.unreadable[:_UNREADABLE_SHOWN],
        "run": quote(directory.resolve().name),
        "again": quote(f"{directory.resolve().name}-again"),
    }
    write_text(directory / "numbers.json", json.dumps(numbers, indent=1, allow_nan=False) + "\n")
    page = directory / "report.html"
    write_text(page, _environment().get_template("report.html.j2").render(context))
    return page


def _curvature_context(result: CurvatureResult | None) -> dict[str, Any] | None:
    """Return what the section of curvature shows beside the numbers; None where there is none."""
    if result is None:
        return None
    return {
        "items": ITEMS,
        "lines": verdict_lines(result),
        "nearest": rows_of_test(result, nearest=True),
        "elsewhere": rows_of_test(result, nearest=False),
        "predicted_by": ESTIMATOR_LABELS[result.predicted_by],
    }


def _optional(
    directory: Path, stage: str, kind: type[Result], shown: Collection[str]
) -> Result | None:
    path = directory / f"{stage}.h5"
    return load_result(path, kind) if stage in shown and path.exists() else None


def _tables(results: _Results) -> dict[str, Any]:
    collection, fooling = results.collection, results.fooling
    return {
        "rates": rate_rows(fooling),
        "families": {_CLIPPED[clip]: family_rows(fooling, clip) for clip in clip_policies(fooling)},
        "family_differences": {
            _CLIPPED[clip]: family_differences(fooling, clip) for clip in clip_policies(fooling)
        },
        "by_class": class_rows(fooling),
        "universal": universal_rows(results.universal),
        "transfer": [] if results.transfer is None else transfer_rows(results.transfer),
        "curvature": None if results.curvature is None else curvature_numbers(results.curvature),
        "learning": [
            {"family": row.rate.family, "images": row.images_used, "rate": row.rate.rate}
            | {"interval": row.rate.interval}
            for row in results.universal.learning
        ],
        "spectrum": spectrum_numbers(results.spectrum, fooling.reference_dimension),
        "energy": energy_rows(results.spectrum, fooling.reference_dimension),
        "collection": {
            "images_of_the_source": collection.images,
            "images_collected": len(collection.status),
            "images_unreadable": len(collection.unreadable),
            "classes": collection.classes,
            "mean_image_norm": collection.mean_image_norm,
            "status": {
                status.name.lower(): int((collection.status == status).sum()) for status in Status
            },
        },
        "fooling": {
            "images": len(fooling.image_ids),
            "mean_image_norm": fooling.mean_image_norm,
            "reference_norm": fooling.reference_norm,
            "reference_dimension": fooling.reference_dimension,
            "median_margin": fooling.median_margin,
            "seed": fooling.seed,
            "example_norm": fooling.examples.norm,
        },
        "not_reset": results.spectrum.not_reset,
        "seeds": {
            "held_out_split": results.spectrum.seed,
            "nulls_and_halves": results.spectrum.seed,
            "perturbations": fooling.seed,
        },
    }


def _findings_as_json(findings: Findings) -> dict[str, Any]:
    return {
        "findings": {
            finding.name: {
                "sentence": finding.sentence,
                "present": finding.present,
                **finding.numbers,
            }
            for finding in findings.findings
        },
        "subspace_against_sphere": findings.pairs,
    }


def _plain(value: Any) -> Any:
    """Return JSON values: dataclasses as mappings, and null for a number that is not finite."""
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value


def _plate(plate: _Plate, results: _Results, directory: Path) -> dict[str, Any]:
    """Write a figure as PDF and PNG.

    Returns:
        What the page shows of it, the picture as a data URI.
    """
    folder = directory / "figures"
    folder.mkdir(exist_ok=True)
    figure = plate.draw(results)
    for kind in ("pdf", "png"):
        save_figure(figure, folder / f"{plate.name}.{kind}")
    if plate.embed == "svg":
        content, kind = svg_bytes(figure), "svg+xml"
    else:
        content, kind = (folder / f"{plate.name}.png").read_bytes(), "png"
    width, height = figure.get_size_inches()
    return {
        "name": plate.name,
        "title": plate.title,
        "how_to_read": plate.how_to_read,
        "wide": plate.wide,
        "uri": f"data:image/{kind};base64,{b64encode(content).decode('ascii')}",
        "width": round(96 * width),
        "height": round(96 * height),
    }


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in (
        "class_label",
        "number",
        "number_interval",
        "percent",
        "percent_interval",
        "points",
        "points_interval",
    ):
        environment.filters[name] = getattr(formats, name)
    for function in (family_label, place_label, row_estimate, row_interval, row_label):
        environment.filters[function.__name__] = function
    return environment


def _name(value: Any) -> str:
    """Return the name in a part of the provenance: a text, or a mapping with a name or a spec."""
    if isinstance(value, Mapping):
        value = value.get("name") or value.get("spec")
    return value if isinstance(value, str) and value else _NOT_RECORDED


def _date(provenance: Mapping[str, Any]) -> str:
    """Return when the last stage finished."""
    stages = provenance.get("stages")
    facts = stages.values() if isinstance(stages, Mapping) else ()
    times = [
        str(fact["finished"]) for fact in facts if isinstance(fact, Mapping) and "finished" in fact
    ]
    try:
        return f"{datetime.fromisoformat(max(times)):%d %B %Y, %H:%M %Z}".lstrip("0")
    except ValueError:  # none, or not a time
        return _NOT_RECORDED


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"`{path}` cannot be read: {error}.") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"`{path}` is damaged: {error}.") from error
    if not isinstance(found, dict):
        raise StoreError(f"`{path}` is damaged: it should hold a mapping.")
    return found
