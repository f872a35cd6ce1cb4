"""Every number of a run as plain data: what the report's tables show, and ``numbers.json``."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any

from boundary.points import Status
from figures.curvature_tables import curvature_numbers
from figures.findings import Findings
from figures.plates import RunResults
from figures.rates import CLIPPED, clip_policies
from figures.spectrum_tables import energy_rows, spectrum_numbers
from figures.tables import (
    class_rows,
    family_differences,
    family_rows,
    rate_rows,
    transfer_rows,
    universal_rows,
)


def run_tables(results: RunResults) -> dict[str, Any]:
    """Return the tables of a run by name."""
    collection, fooling = results.collection, results.fooling
    return {
        "rates": rate_rows(fooling),
        "families": {CLIPPED[clip]: family_rows(fooling, clip) for clip in clip_policies(fooling)},
        "family_differences": {
            CLIPPED[clip]: family_differences(fooling, clip) for clip in clip_policies(fooling)
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


def plain_numbers(findings: Findings, tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return findings and tables as JSON values, null for what is not finite."""
    return {**plain(_findings_as_json(findings)), **plain(tables)}


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


def plain(value: Any) -> Any:
    """Return JSON values: dataclasses as mappings, and null for a number that is not finite."""
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value
