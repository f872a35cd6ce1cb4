"""Several runs side by side: one self-contained page, LaTeX, every number as CSV, JSON and TeX.

Names of runs, models and images are a stranger's text: the page and the LaTeX escape them, and the
figures draw them as they are.
"""

import csv
import json
from collections.abc import Sequence
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

from boundary.files import make_folder, write_text
from figures.compared import Comparison
from figures.compared_differences import (
    FamilyDifferences,
    SharedSubspaces,
    family_differences_of_runs,
    shared_subspaces,
)
from figures.compared_findings import comparison_findings, equal_norm_told
from figures.compared_rates import plot_compared_families, plot_compared_rates
from figures.compared_rows import Line, comparison_lines
from figures.compared_spectra import plot_compared_spectra
from figures.compared_subspaces import plot_compared_subspaces
from figures.drawn import csv_label
from figures.finding import Finding
from figures.latex import latex_macros, latex_report
from figures.numbers import plain
from figures.page import drawn_plate, write_page
from figures.plates import Plate

PAGE, NUMBERS = "comparison.html", "numbers.json"
_COLUMNS = 3
"""Runs in one table of the LaTeX."""


PLATES: tuple[Plate[Comparison], ...] = (
    Plate(
        "spectra",
        "Singular spectra of all runs",
        plot_compared_spectra,
        "Left: the share of the normals' energy along each singular direction. Right: along the "
        "first R together. A curve that is higher on the left of its panel is of normals that "
        "share more. Each run stands above the faint band of its own colour by as much as its "
        "normals share more than random directions of the same number; curves of other n or D "
        "are to be held against their own band first.",
    ),
    Plate(
        "rates",
        "Fooling rate against norm",
        plot_compared_rates,
        "Share of images whose prediction random vectors change, by their norm as a share of the "
        "mean image norm, so that runs on images of other sizes can be read at one place. Compare "
        "runs along a vertical line, not at their filled marks, unless these lie at one norm.",
        there=lambda comparison: (
            min(run.results.fooling.mean_image_norm for run in comparison.runs) > 0
        ),
    ),
    Plate(
        "families",
        "Every common family at the reference norms",
        plot_compared_families,
        "Reference norms may differ between runs: the same mark says how often a family fools at "
        "the norm of that run. Within a run families share one norm.",
    ),
    Plate(
        "subspaces",
        "What the subspaces of two runs share",
        plot_compared_subspaces,
        "1 where two runs found the same directions, R/D where they are random to each other. Two "
        "halves of one run, on the diagonal, are made of half as many normals, and share less than "
        "two full samples of one model would.",
        wide=False,
        there=lambda comparison: bool(shared_subspaces(comparison)),
    ),
)


def write_comparison(
    comparison: Comparison, folder: Path
) -> tuple[tuple[Line, ...], tuple[Finding, ...]]:
    """Write the comparison of several runs into a folder, made if need be.

    Args:
        comparison: The runs.
        folder: Of ``comparison.html``, ``comparison.tex``, ``comparison.csv``, ``numbers.json``,
            ``numbers.tex`` and ``figures/``.

    Returns:
        The lines of its table, and its findings.
    """
    lines = comparison_lines(comparison)
    findings = comparison_findings(comparison, lines)
    differences = family_differences_of_runs(comparison)
    shared = shared_subspaces(comparison)
    numbers = _numbers(comparison, lines, findings, differences, shared)
    make_folder(folder)
    context = {
        "names": comparison.names,
        "findings": findings,
        "sections": [
            (section, list(own))
            for section, own in groupby(lines, key=lambda line: line.heading.section)
        ],
        "groups": [[comparison.names[place] for place in group] for group in comparison.seeds],
        "differences": differences,
        "clips": comparison.clips,
        "shared": shared,
        "dimension": comparison.dimension,
        "equal_norm": equal_norm_told(comparison),
        "norms_lack": comparison.equal_norm is None or bool(comparison.left_out),
        "equal_is_reference": comparison.equal_is_reference,
        "blocks": [
            range(start, min(start + _COLUMNS, len(comparison.runs)))
            for start in range(0, len(comparison.runs), _COLUMNS)
        ],
        "plates": [
            drawn_plate(plate, comparison, folder / "figures")
            for plate in PLATES
            if plate.there(comparison)
        ],
    }
    write_text(folder / "comparison.csv", comparison_csv(comparison, lines))
    write_text(folder / NUMBERS, json.dumps(numbers, indent=1, allow_nan=False) + "\n")
    write_text(folder / "numbers.tex", latex_macros(numbers))
    write_text(folder / "comparison.tex", latex_report(context, "comparison.tex.j2"))
    write_page(folder / PAGE, context)
    return lines, findings


def comparison_csv(comparison: Comparison, lines: Sequence[Line]) -> str:
    """Return every quantity of every run as a line: run, quantity, value, low, high, n, unit.

    Shares are between 0 and 1; what a run lacks has no line.
    """
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["run", "quantity", "value", "low", "high", "n", "unit"])
    for line in lines:
        for name, cell in zip(comparison.names, line.cells, strict=True):
            if cell is not None:
                low, high = (
                    ("", "") if cell.interval is None else (cell.interval.low, cell.interval.high)
                )
                n = "" if cell.n is None else cell.n
                writer.writerow(
                    [csv_label(name), line.heading.key, cell.value, low, high, n, line.heading.unit]
                )
    return buffer.getvalue()


def _numbers(
    comparison: Comparison,
    lines: Sequence[Line],
    findings: Sequence[Finding],
    differences: Sequence[FamilyDifferences],
    shared: Sequence[SharedSubspaces],
) -> dict[str, Any]:
    """Return everything of the comparison as JSON values, runs in their order."""
    found: dict[str, Any] = plain(
        {
            "runs": comparison.names,
            "directories": [run.directory for run in comparison.runs],
            "findings": {
                finding.name: {
                    "sentence": finding.sentence,
                    "present": finding.present,
                    **finding.numbers,
                }
                for finding in findings
            },
            "quantities": {
                line.heading.key: {
                    "label": line.heading.label,
                    "unit": line.heading.unit,
                    "runs": [
                        {"run": name, **_cell(cell)}
                        for name, cell in zip(comparison.names, line.cells, strict=True)
                    ],
                    "seeds": [summary for summary in line.seeds if summary is not None],
                }
                for line in lines
            },
            "differences": differences,
            "subspaces": shared,
            "equal_norm": comparison.equal_norm,
            "dimension": comparison.dimension,
        }
    )
    return found


def _cell(cell: Any) -> dict[str, Any]:
    return {} if cell is None else {"value": cell.value, "interval": cell.interval, "n": cell.n}
