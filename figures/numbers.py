"""Every number of a run as plain data: what the report's tables show, and ``numbers.json``."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from fnmatch import fnmatchcase
from itertools import chain, count
from math import isfinite
from typing import Any

from analysis.answers import answers
from boundary.points import Status
from figures.curvature_tables import curvature_numbers
from figures.findings import Findings
from figures.formats import number
from figures.latex import fit_key
from figures.plates import RunResults
from figures.rates import CLIPPED, clip_policies
from figures.spectrum_tables import energy_rows, spectrum_numbers
from figures.tables import (
    class_rows,
    family_rows,
    rate_rows,
    transfer_rows,
    universal_rows,
)

_BY_DIMENSION = "R {dimension}"

_NAMES = {
    "rates": "{family} R {dimension} norm {norm} {clipped}",
    "families/*": "{family}",
    "by_class": "class {index}",
    "universal": "{family}",
    "transfer": "{family} from {made_on} on {tried_on}",
    "learning": "{family} images {images}",
    "energy": _BY_DIMENSION,
    "spectrum/nulls": "{name}",
    "spectrum/dimensions": "{name}",
    "spectrum/values": "{index}",
    "spectrum/stability": _BY_DIMENSION,
    "spectrum/explained": _BY_DIMENSION,
    "spectrum/means": "{kind}",
    "spectrum/groups": "{kind} {classes}",
    "curvature/frames": "third {third}",
    "curvature/curves": "{family} {anchor} {estimator} {surface}",
    "curvature/theory": "{law} {family} R {dimension} norm {norm}",
    "curvature/profiles": "scale {scale}",
    "curvature/sections": "{family} {surface}",
    "curvature/maps": "image {image}",
}
"""By which the rows of a table go, so that a number keeps its key in a run with other rows."""


def run_tables(results: RunResults) -> dict[str, Any]:
    """Return the tables of a run by name."""
    collection, fooling = results.collection, results.fooling
    return {
        "answers": answers(results.universal, fooling, results.curvature),
        "rates": rate_rows(fooling),
        "families": {CLIPPED[clip]: family_rows(fooling, clip) for clip in clip_policies(fooling)},
        "by_class": class_rows(fooling),
        "universal": universal_rows(results.universal),
        "transfer": [] if results.transfer is None else transfer_rows(results.transfer),
        "curvature": curvature_numbers(results.curvature),
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


def plain_numbers(findings: Findings, tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return findings and tables as JSON values, null for what is not finite, rows by name."""
    found = {**_findings_as_json(findings), **tables}
    numbers = {name: _by_name(plain(value), name) for name, value in found.items()}
    spectrum = numbers["spectrum"]
    for row in (*spectrum["dimensions"].values(), *spectrum["values"].values()):
        row["nulls"] = dict(zip(spectrum["nulls"], row["nulls"], strict=True))
    return numbers


def _by_name(value: Any, path: str) -> Any:
    """Return JSON values in which the rows of a table are a mapping.

    Args:
        value: JSON values.
        path: To them from the whole.
    """
    if isinstance(value, Mapping):
        return _unique((key, _by_name(item, f"{path}/{key}")) for key, item in value.items())
    name = next((name for kind, name in _NAMES.items() if fnmatchcase(path, kind)), None)
    if name is None or not isinstance(value, list):
        return value
    return _unique((_row_name(name, row), _by_name(row, f"{path}/*")) for row in value)


def _unique(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a mapping whose keys fit LaTeX; of those that are alike then, later ones are told."""
    found: dict[str, Any] = {}
    for name, value in items:
        fit = fit_key(name)
        others = (f"{fit} again {turn}" for turn in count(1))
        found[next(key for key in chain([fit], others) if key not in found)] = value
    return found


def _row_name(name: str, row: Mapping[str, Any]) -> str:
    return name.format(**{key: _in_a_name(value) for key, value in row.items()})


def _in_a_name(value: Any) -> str:
    if isinstance(value, bool):
        return CLIPPED[value]
    if isinstance(value, list):
        return " ".join(map(str, value))
    return number(value) if isinstance(value, float) else str(value)


def _findings_as_json(findings: Findings) -> dict[str, Any]:
    return {
        "summary": findings.summary,
        "findings": {
            finding.name: {
                "sentence": finding.sentence,
                "details": finding.details,
                **finding.numbers,
            }
            for finding in findings.findings
        },
    }


def plain(value: Any) -> Any:
    """Return JSON values: dataclasses as mappings, and null for a number that is not finite."""
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    return value
