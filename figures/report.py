"""The report of a run: figures, one self-contained page, and every number of it as JSON.

Everything is read from the run directory. Names of models, classes and images, the configuration
and the provenance are a stranger's text: the page escapes them and the figures draw them as they
are.
"""

import json
from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path
from shlex import quote
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis.results import (
    CurvatureResult,
)
from boundary.errors import StoreError
from boundary.files import write_text
from boundary.points import Status
from figures import formats
from figures.curvature_tables import curvature_numbers, rows_of_test
from figures.curves import ESTIMATOR_LABELS
from figures.export import chosen_plates, save_plate
from figures.findings import Findings, list_findings
from figures.plates import OPTIONAL, Plate, RunResults
from figures.rates import clip_policies, family_label
from figures.spectrum_tables import energy_rows, spectrum_numbers
from figures.style import svg_bytes
from figures.tables import (
    class_rows,
    family_differences,
    family_rows,
    rate_rows,
    transfer_rows,
    universal_rows,
)
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
_NOT_RECORDED = "not recorded"
_CLIPPED = {False: "not clipped", True: "clipped"}


def write_report(directory: Path, optional: Collection[str] = OPTIONAL) -> Path:
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
    results = RunResults.read(directory, optional)
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
        "plates": [_plate(plate, results, directory) for plate in chosen_plates(results)],
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


def _tables(results: RunResults) -> dict[str, Any]:
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


def _plate(plate: Plate, results: RunResults, directory: Path) -> dict[str, Any]:
    """Write a figure as PDF and PNG, and what it shows as CSV.

    Returns:
        What the page shows of it, the picture as a data URI.
    """
    folder = directory / "figures"
    figure = plate.draw(results)
    save_plate(plate.name, figure, folder, ("pdf", "png"))
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
