"""Several runs side by side: one self-contained page, LaTeX, every number as CSV, JSON and TeX.

Names of runs, models and images are a stranger's text: the page and the LaTeX escape them, and the
figures draw them as they are.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from analysis.answers import answers
from analysis.perturbations import SUBSPACE
from boundary.files import make_folder, write_text
from figures.answer_sentences import QUESTIONS, answers_told
from figures.compared import ComparedRun, Comparison, told_of_runs
from figures.compared_figures import plot_compared_rates, plot_compared_spectra
from figures.export import csv_text
from figures.family import SUBSPACES, family
from figures.finding import Finding
from figures.formats import (
    first_directions,
    number,
    percent,
    percent_interval,
    points,
    points_interval,
)
from figures.latex import latex_macros, latex_report
from figures.listed import Listed, cell_told, row_told
from figures.page import drawn_plate, write_page
from figures.plates import Plate
from figures.table import COLUMNS, EXPLORATORY, KEYS, PRIMARY, RATE, SHARE, numbers_of

PAGE, NUMBERS = "comparison.html", "numbers.json"
ANSWERS = "Answers, and what they rest on"
POINTS = "Boundary points and spectrum"
_COLUMNS = 3
"""Runs in one table of the LaTeX."""
_EQUAL = "at the equal norm"

PLATES: tuple[Plate[Comparison], ...] = (
    Plate(
        "spectra",
        "Singular spectra of all runs",
        plot_compared_spectra,
        "Left: the share of the normals' energy along each singular direction. Right: along the "
        "first R together. Each run stands above the faint band of its own colour by as much as "
        "its normals share more than random directions of the same number; curves of other n or "
        "D are to be held against their own band first.",
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
        quantities=(RATE,),
    ),
)


def write_comparison(
    comparison: Comparison, folder: Path
) -> tuple[list[Listed], tuple[Finding, ...]]:
    """Write the comparison of several runs into a folder, made if need be.

    Args:
        comparison: The runs.
        folder: Of ``comparison.html``, ``comparison.tex``, ``comparison.csv``, ``numbers.json``,
            ``numbers.tex`` and ``figures/``.

    Returns:
        Its tables, those with a column a run first, and its findings.
    """
    findings, table = comparison_findings(comparison), table_of_runs(comparison)
    numbers = {
        "runs": comparison.names,
        "directories": [run.directory for run in comparison.runs],
        "findings": [finding.sentence for finding in findings],
        "numbers": {run: numbers_of(rows) for run, rows in table.groupby("run", sort=False)},
    }
    make_folder(folder)
    by_run, of_pairs = tables_by_run(comparison), tables_of_pairs(comparison)
    blocks = range(0, len(comparison.runs), _COLUMNS)
    context = {
        "names": comparison.names,
        "findings": findings,
        "listed": [*by_run, *of_pairs],
        "blocks": [
            *(some_runs(one, slice(start, start + _COLUMNS)) for one in by_run for start in blocks),
            *of_pairs,
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
    return by_run, findings


def table_of_runs(comparison: Comparison) -> pd.DataFrame:
    """Return the tables of all runs as one, with a column `run`, and what pairs of runs come to."""
    parts = [run.table.assign(run=run.name) for run in comparison.runs]
    pairs = [
        {
            "key": f"difference of fooling rates/{pair.family}",
            "quantity": "difference of fooling rates",
            "family": pair.family,
            "clipped": False,
            "run": f"{pair.first} less {pair.second}",
            "value": pair.difference,
            "low": pair.interval.low,
            "high": pair.interval.high,
            "unit": SHARE,
        }
        for pair in comparison.differences
    ] + [
        {
            "key": "squared cosine of two subspaces",
            "quantity": "squared cosine of two subspaces",
            "R": pair.dimension,
            "run": f"{pair.first} and {pair.second}",
            "value": pair.shared,
        }
        for pair in comparison.shared
    ]
    found = pd.concat([*parts, pd.DataFrame(pairs, columns=["run", *COLUMNS])], ignore_index=True)
    return found[["run", *COLUMNS]].fillna({"unit": "", "role": EXPLORATORY})


def tables_by_run(comparison: Comparison) -> list[Listed]:
    """Return what the runs found, a column each: answers, points and spectrum, fooling rates."""
    told = [
        (run.model, run.weights[:12] or "not recorded", run.images, str(run.results.fooling.seed))
        for run in comparison.runs
    ]
    said = [
        answers_told(answers(of.universal, of.fooling, of.curvature))
        for of in (run.results for run in comparison.runs)
    ]
    dimension = comparison.dimension
    listed = [
        Listed(
            "What was run",
            "",
            ("", *comparison.names),
            tuple(
                (name, *row)
                for name, row in zip(
                    ("model", "weights, SHA-256", "images", "seed"),
                    zip(*told, strict=True),
                    strict=True,
                )
            ),
            1 + len(told),
        ),
        _by_run(
            comparison,
            ANSWERS,
            "At the R and the norm of each run.",
            lambda rows, _: (rows["role"] == PRIMARY) & rows["third"].isna(),
            without=("R", "norm"),
            first=[
                (question, *(one[place].answer for one in said))
                for place, question in enumerate(QUESTIONS)
            ],
        ),
        _by_run(
            comparison,
            POINTS,
            f"Energies and halves are of the first R = {dimension} directions of each run. Counts, "
            "dimensions and energies depend on n and D.",
            lambda rows, _: _points(rows, dimension),
            without=("R", "images"),
        ),
        _by_run(
            comparison,
            "Fooling rates at the reference norm of each run",
            "" if comparison.equal_is_reference else "A difference may be that of the norms.",
            lambda rows, run: _reference(rows, run, comparison.families),
            without=("R", "norm", "p"),
        ),
    ]
    if any(comparison.equal_norms) and not comparison.equal_is_reference:
        listed.append(
            _by_run(
                comparison,
                f"Fooling rates {_EQUAL}, not clipped",
                equal_norm_told(comparison),
                lambda rows, run: _at_equal(rows, run, comparison),
                without=("R", "norm", "p", "clipped"),
            )
        )
    return listed


def _points(rows: pd.DataFrame, dimension: int) -> pd.Series:
    plain = (
        "images collected",
        "clean accuracy",
        "boundary points found",
        "mean image norm",
        "median margin",
        "median alignment",
        "normals",
        "dimension of an image",
        "singular values above",
    )
    filled = (rows["quantity"] == "dimensions filled") & rows["rival"].isna()
    of_R = rows["quantity"].isin(["captured energy", "squared cosine of two halves"])
    held = (rows["R"] == dimension) & (rows["images"] != "in sample")
    return rows["quantity"].isin(plain) | filled | (of_R & held)


def _reference(rows: pd.DataFrame, run: ComparedRun, families: Sequence[str]) -> pd.Series:
    fooling = run.results.fooling
    norms = rows["quantity"].isin(["reference norm", "R of S_f", "images evaluated"])
    return norms | (_rates(rows, run, fooling.reference_norm) & rows["family"].isin(families))


def _at_equal(rows: pd.DataFrame, run: ComparedRun, comparison: Comparison) -> pd.Series:
    norm = comparison.equal_norms[comparison.runs.index(run)]
    found = _rates(rows, run, norm) & rows["family"].isin(comparison.families)
    return found & rows["clipped"].eq(other=False)


def _rates(rows: pd.DataFrame, run: ComparedRun, norm: float | None) -> pd.Series:
    """Return which rows are rates at a norm, of subspaces those at the reference R."""
    R = run.results.fooling.reference_dimension
    plain = rows[["images", "source", "tried_on", "rival"]].isna().all(axis=1)
    chosen = ~rows["family"].isin(SUBSPACES) | (rows["R"] == R)
    near = (rows["norm"] - (norm or 0.0)).abs() <= 1e-9 * (norm or 0.0)
    return (rows["quantity"] == RATE) & plain & chosen & near


def _by_run(
    comparison: Comparison,
    title: str,
    note: str,
    choose: Callable[[pd.DataFrame, ComparedRun], pd.Series],
    *,
    without: Sequence[str],
    first: Sequence[tuple[str, ...]] = (),
) -> Listed:
    """Return chosen numbers with a column a run; keys that runs have of their own are not told."""
    keys = [key for key in KEYS if key not in without]
    cells: dict[str, dict[str, str]] = {}
    for run in comparison.runs:
        for row in run.table[choose(run.table, run)].to_dict("records"):
            told = row_told(row, keys, run.results.fooling.class_names)
            cells.setdefault(told, {}).setdefault(run.name, cell_told(row))
    rows = tuple(
        (told, *(of.get(name, "–") for name in comparison.names)) for told, of in cells.items()
    )
    return Listed(title, note, ("", *comparison.names), (*first, *rows), 1)


def some_runs(listed: Listed, some: slice) -> Listed:
    """Return a table with the columns of some of the runs."""
    head, *rows = ((row[0], *row[1:][some]) for row in (listed.head, *listed.rows))
    return Listed(listed.title, listed.note, head, tuple(rows), listed.words)


def tables_of_pairs(comparison: Comparison) -> list[Listed]:
    """Return the differences of fooling rates, and what subspaces share, a row a pair of runs."""
    differences = Listed(
        f"Differences of fooling rates {_EQUAL}, not clipped",
        "In percentage points. Intervals hold for all pairs of runs of a family together "
        "(Bonferroni). In pairs: on the same images, subtracted one by one; else as of "
        "independent samples.",
        ("family", "run", "less", "how", "difference", "95 % interval"),
        tuple(
            (
                family(pair.family).label,
                pair.first,
                pair.second,
                "in pairs" if pair.paired else "independent",
                points(pair.difference),
                points_interval(pair.interval),
            )
            for pair in comparison.differences
        ),
        4,
    )
    subspaces = Listed(
        "What subspaces share",
        "Mean squared cosine of the principal angles between the "
        f"{first_directions(comparison.dimension)} of two runs. Two halves "
        "are of half as many normals, and share less than two full samples of one model would.",
        ("run", "and", "shared", "R/D", "largest of random pairs", "halves of the one", "other"),
        tuple(
            (
                pair.first,
                pair.second,
                *map(number, (pair.shared, pair.random, pair.random_largest, *pair.halves)),
            )
            for pair in comparison.shared
        ),
        2,
    )
    return [one for one in (differences, subspaces) if one.rows]


def comparison_findings(comparison: Comparison) -> tuple[Finding, ...]:
    """Return how runs differ: how often random vectors of S_f fool, and what subspaces share.

    Nothing is called more but where the interval of the difference lies on one side of 0.
    """
    return (_of_rates(comparison), _of_subspaces(comparison))


def _of_rates(comparison: Comparison) -> Finding:
    rates = comparison.rates(SUBSPACE)
    pairs = [pair for pair in comparison.differences if pair.family == SUBSPACE]
    if not pairs:
        return Finding("rates", equal_norm_told(comparison))
    told = ", ".join(
        f"{percent(rate.rate)} in {name} ({percent_interval(rate.interval)})"
        for name, rate in zip(comparison.names, rates, strict=True)
        if rate is not None
    )
    apart = [
        f"{pair.first} less {pair.second} {points(pair.difference)} "
        f"({points_interval(pair.interval)}) points"
        for pair in pairs
        if pair.interval.sign
    ]
    differ = "; ".join(apart) or "no difference shown"
    sentence = (
        f"At an equal norm random vectors of S_f fool {told}: {differ}. "
        f"{equal_norm_told(comparison)}"
    )
    return Finding("rates", sentence, bool(apart))


def equal_norm_told(comparison: Comparison) -> str:
    """Return in a sentence which norm is the equal one, and which runs were not tried at it."""
    both = zip(comparison.runs, comparison.equal_norms, strict=True)
    tried = [(run, norm) for run, norm in both if norm]
    if not tried:
        return (
            "No two runs were tried at one norm: their rates are not compared at an equal one. "
            "`boundary fooling RUN --norms 0.5,1,2 --redo` tries others."
        )
    told = told_of_runs([run.name for run, _ in tried], [_norm_told(*of) for of in tried])
    left_out = comparison.left_out
    without = f" Not tried at it, and left out: {', '.join(left_out)}." if left_out else ""
    return f"The equal norm, in input units, is {told}.{without}"


def _norm_told(run: ComparedRun, norm: float) -> str:
    mean = run.results.fooling.mean_image_norm
    share = f", {percent(norm / mean)} of the mean image norm" if mean else ""
    return number(norm) + share


def _of_subspaces(comparison: Comparison) -> Finding:
    if not comparison.shared:
        sentence = "No two runs have images of one shape: their subspaces are not compared."
        return Finding("subspaces", sentence)
    told = "; ".join(
        f"{pair.first} and {pair.second} {number(pair.shared)}, random ones at most "
        f"{number(pair.random_largest)}, halves of each {number(pair.halves[0])} and "
        f"{number(pair.halves[1])}"
        for pair in comparison.shared
    )
    sentence = (
        f"Mean squared cosine between the normals' {first_directions(comparison.dimension)} of two "
        f"runs: {told}. Smooth normals share directions by their smoothness alone; `boundary "
        "transfer` holds this apart."
    )
    return Finding("subspaces", sentence)
