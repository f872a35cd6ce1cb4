"""Several runs side by side: one self-contained page, LaTeX, every number as CSV, JSON and TeX.

Names of runs, models and images are a stranger's text: the page and the LaTeX escape them, and the
figures draw them as they are.
"""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd

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
from figures.export import csv_text
from figures.finding import Finding
from figures.latex import latex_macros, latex_report
from figures.page import drawn_plate, write_page
from figures.plates import Plate
from figures.table import CLIPPED, COLUMNS, EXPLORATORY, SHARE, numbers_of, table_of_run

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
        quantities=("singular value",),
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
        quantities=("fooling rate",),
    ),
    Plate(
        "families",
        "Every common family at the reference norms",
        plot_compared_families,
        "Reference norms may differ between runs: the same mark says how often a family fools at "
        "the norm of that run. Within a run families share one norm.",
        quantities=("fooling rate",),
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
        quantities=("squared cosine of two subspaces",),
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
    table = table_of_runs(comparison, differences, shared)
    numbers = {
        "runs": comparison.names,
        "directories": [run.directory for run in comparison.runs],
        "findings": [finding.sentence for finding in findings],
        "numbers": {run: numbers_of(rows) for run, rows in table.groupby("run", sort=False)},
    }
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
            {**drawn_plate(plate, comparison, folder / "figures", table), "number": place}
            for place, plate in enumerate(
                (plate for plate in PLATES if plate.there(comparison)), start=1
            )
        ],
    }
    write_text(folder / "comparison.csv", csv_text(table))
    write_text(folder / NUMBERS, json.dumps(numbers, indent=1, allow_nan=False) + "\n")
    write_text(folder / "numbers.tex", latex_macros(table))
    write_text(folder / "comparison.tex", latex_report(context, "comparison.tex.j2"))
    write_page(folder / PAGE, context)
    return lines, findings


def table_of_runs(
    comparison: Comparison,
    differences: Sequence[FamilyDifferences],
    shared: Sequence[SharedSubspaces],
) -> pd.DataFrame:
    """Return the tables of all runs as one, with a column `run`, and what pairs of runs come to."""
    parts = [table_of_run(run.results).assign(run=run.name) for run in comparison.runs]
    pairs = [
        {
            "key": f"difference/{family.family}/{CLIPPED[family.clipped]}/"
            + ("equal norm" if family.equal else "reference norms"),
            "quantity": "difference of fooling rates",
            "family": family.label,
            "clipped": family.clipped,
            "norm": comparison.equal_norm if family.equal else None,
            "run": f"{pair.first} less {pair.second}",
            "value": pair.difference,
            "low": pair.interval.low,
            "high": pair.interval.high,
            "unit": SHARE,
        }
        for family in differences
        for pair in family.pairs
    ] + [
        {
            "key": "squared cosine of two subspaces",
            "quantity": "squared cosine of two subspaces",
            "R": pair.dimension,
            "run": f"{pair.first} and {pair.second}",
            "value": pair.shared,
        }
        for pair in shared
    ]
    found = pd.concat([*parts, pd.DataFrame(pairs, columns=["run", *COLUMNS])], ignore_index=True)
    return found[["run", *COLUMNS]].fillna({"unit": "", "role": EXPLORATORY})
