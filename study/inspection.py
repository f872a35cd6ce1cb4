"""A run at a glance: what is done, and what it found."""

import re
from itertools import groupby
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any, NamedTuple, TypeVar

from analysis.answers import answers
from analysis.fooling import FoolingRate
from analysis.perturbations import SPHERE
from analysis.results import (
    CollectionResult,
    CurvatureResult,
    FoolingResult,
    SpectrumResult,
    UniversalResult,
)
from analysis.saved import load_result
from analysis.transfer import TransferResult
from boundary.manifest import MANIFEST
from boundary.store import NormalsStore
from figures.family import SUBSPACES, family
from figures.findings import list_findings
from figures.formats import number, percent, percent_interval
from figures.rates import ranked_rates
from study.run import OPTIONAL, STAGES, RunDirectory
from study.sparkline import BLOCKS, binned, sparkline

Result = TypeVar("Result")

WIDTH, HEIGHT = 100, 40
"""Of a screen."""

_SPARKS = 52
_FAMILIES = 9
"""Listed, and the sphere beside them."""
_NARROWEST = 40


class _Results(NamedTuple):
    """Of the stages, None where one is not there."""

    collection: CollectionResult
    spectrum: SpectrumResult | None
    fooling: FoolingResult | None
    universal: UniversalResult | None
    curvature: CurvatureResult | None
    transfer: TransferResult | None


def describe(run: RunDirectory, *, stage: str = "", marks: str = BLOCKS) -> str:
    """Return one screen of text about a run directory.

    Args:
        run: The directory.
        stage: Whose curves and rates are shown; by default those of all.
        marks: Of the sparkline, lowest first.
    """
    lines = _header(run)
    results = _results(run)
    if results is not None:
        lines += _spectrum(results.spectrum, marks) if stage in {"", "spectrum"} else []
        lines += _rates(results.fooling) if stage in {"", "fooling"} else []
        lines += _summary(results)
    return "\n".join([*lines, *_of_report(run)])


def _header(run: RunDirectory) -> list[str]:
    """Return what was studied and what is done."""
    record = run.provenance.read()
    images = record.get("images")
    images = images if isinstance(images, dict) else {}
    of = f" of {images['count']}" if isinstance(images.get("count"), int) else ""
    on = f" on {images['name']}" if isinstance(images.get("name"), str) else ""
    lines = [f"{run.path}: {run.model_name()}{on}, {_kept(run.normals)}{of} images collected"]
    lines[0] += f", {evaluated} evaluated" if (evaluated := _kept(run.evaluated)) else ""
    done = [stage for stage in (*STAGES, *OPTIONAL) if run.result(stage).exists()]
    missing = [stage for stage in STAGES if stage not in done]
    text = "; ".join(
        f"{day or 'done'}: {', '.join(said for _, said in same)}"
        for day, same in groupby(
            (_when(record, stage) for stage in done), key=lambda finished: finished[0]
        )
    )
    lines += wrap(f"done {text} (UTC)" if done else "nothing is done", WIDTH)
    lines += [f"to do: {', '.join(missing)}"] if missing else []
    outdated = run.out_of_date((*STAGES, *OPTIONAL))
    return [*lines, *([outdated] if outdated else [])]


def _when(record: dict[str, Any], stage: str) -> tuple[str, str]:
    """Return the day on which a stage was done, and its name with the hour."""
    known = record.get("stages", {}).get(stage)
    finished = known.get("finished") if isinstance(known, dict) else None
    if not isinstance(finished, str) or not re.fullmatch(r"[0-9-]{10}T[0-9:]{8}.*", finished):
        return "", stage
    return finished[:10], f"{stage} {finished[11:16]}"


def _results(run: RunDirectory) -> _Results | None:
    """Return what rests on what is there; None if nothing was collected."""
    collection = _result(run, "collect", CollectionResult)
    if collection is None:
        return None
    return _Results(
        collection,
        _result(run, "spectrum", SpectrumResult),
        _result(run, "fooling", FoolingResult),
        _result(run, "universal", UniversalResult),
        _result(run, "curvature", CurvatureResult),
        _result(run, "transfer", TransferResult),
    )


def _spectrum(result: SpectrumResult | None, marks: str) -> list[str]:
    """Return the singular values as a curve, and the largest of random directions beside it."""
    if result is None:
        return []
    values, null = result.spectrum.singular_values, result.isotropic.singular_values
    largest = float(null.max())
    shown = binned(values, _SPARKS)
    ends = float(min(shown.min(), largest)), float(max(values[0], largest))
    above = int((values > largest).sum())
    curve, level = (sparkline(row, *ends, marks) for row in (shown, [largest] * len(shown)))
    return [
        "",
        f"singular values  {curve}  {number(values[0])} to {number(values[-1])}, log scale",
        f"random, largest  {level}  {number(largest)}; {above} values are larger",
    ]


def _rates(fooling: FoolingResult | None) -> list[str]:
    """Return the fooling rate of every family at the reference norm, the highest first."""
    if fooling is None:
        return []
    norm = fooling.reference_norm
    ranked = sorted(ranked_rates(fooling, clipped=False), key=lambda one: -one.rate)
    shown = [one for rank, one in enumerate(ranked) if rank < _FAMILIES or one.family == SPHERE]
    left = len(ranked) - len(shown)
    share = norm / fooling.mean_image_norm
    title = f"fooling rates at norm {number(norm)} ({percent(share)} of an image's), not clipped"
    return [
        "",
        f"{title:<66}  {'rate':>7}  95 %",
        *map(_row, shown),
        *([f"  and {left} more"] if left else []),
    ]


def _row(rate: FoolingRate) -> str:
    random = rate.family in SUBSPACES
    name = family(rate.family).label + (f", R = {rate.subspace_dimension}" if random else "")
    ends = percent_interval(rate.interval)
    return f"  {name:<64}  {percent(rate.rate):>7}  {ends}"


def _summary(results: _Results) -> list[str]:
    """Return the answers, as wide as the terminal, and whether to trust them."""
    _, _, fooling, universal, curvature, transfer = results
    told = None
    if fooling is not None and universal is not None and curvature is not None:
        told = answers(universal, fooling, curvature)
    names = () if fooling is None else fooling.class_names
    columns = max(_NARROWEST, get_terminal_size((WIDTH, HEIGHT)).columns)
    found = list_findings(results.collection, told, names, transfer)
    said = [*found.summary, *(finding.sentence for finding in found.transfer)]
    return ["", *(line for one in said for line in wrap(one, columns, subsequent_indent="  "))]


def _of_report(run: RunDirectory) -> list[str]:
    if not run.report.exists():
        return []
    results = [path for path in map(run.result, (*STAGES, *OPTIONAL)) if path.exists()]
    newest = max((path.stat().st_mtime for path in results), default=0.0)
    older = run.report.stat().st_mtime < newest
    again = f", older than these results; `boundary report {run.path}` writes it anew"
    return [f"report: {run.report}{again if older else ''}"]


def _result(run: RunDirectory, stage: str, kind: type[Result]) -> Result | None:
    """Return a stage's result if it is there and rests, stage by stage, on what is there."""
    before = STAGES[: STAGES.index(stage)] if stage in STAGES else STAGES
    current = run.current(stage) and run.out_of_date(before) is None
    return load_result(run.result(stage), kind) if current else None


def _kept(folder: Path) -> int:
    return len(NormalsStore.open(folder)) if (folder / MANIFEST).exists() else 0
