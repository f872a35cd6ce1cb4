"""A run at a glance: what is done, and what it found."""

from textwrap import fill
from typing import TypeVar

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
from boundary.manifest import MANIFEST
from boundary.store import NormalsStore
from figures.findings import list_findings
from study.run import OPTIONAL, STAGES, RunDirectory

Result = TypeVar("Result")


def describe(run: RunDirectory) -> str:
    """Return one screen of text about a run directory."""
    done = [stage for stage in (*STAGES, *OPTIONAL) if run.result(stage).exists()]
    lines = [f"{run.path}: {', '.join(done) or 'nothing'} done, {_kept(run)} images collected"]
    outdated = run.out_of_date((*STAGES, *OPTIONAL))
    lines += [outdated] if outdated else []
    collection = _result(run, "collect", CollectionResult)
    if collection is not None:
        spectrum = _result(run, "spectrum", SpectrumResult)
        fooling = _result(run, "fooling", FoolingResult)
        universal = _result(run, "universal", UniversalResult)
        natural = _result(run, "natural", NaturalResult)
        transfer = _result(run, "transfer", TransferResult)
        curvature = _result(run, "curvature", CurvatureResult)
        lines += [
            fill(finding.sentence, 100, initial_indent="- ", subsequent_indent="  ")
            for finding in list_findings(
                collection, spectrum, fooling, universal, natural, transfer, curvature
            ).findings
        ]
    if run.report.exists():
        results = [path for path in map(run.result, (*STAGES, *OPTIONAL)) if path.exists()]
        newest = max((path.stat().st_mtime for path in results), default=0.0)
        older = run.report.stat().st_mtime < newest
        again = f", older than these results; `boundary report {run.path}` writes it anew"
        lines.append(f"report: {run.report}{again if older else ''}")
    return "\n".join(lines)


def _result(run: RunDirectory, stage: str, kind: type[Result]) -> Result | None:
    """Return a stage's result if it is there and rests, stage by stage, on what is there."""
    before = STAGES[: STAGES.index(stage)] if stage in STAGES else STAGES
    current = run.current(stage) and run.out_of_date(before) is None
    return load_result(run.result(stage), kind) if current else None


def _kept(run: RunDirectory) -> int:
    if not (run.normals / MANIFEST).exists():
        return 0
    return len(NormalsStore.open(run.normals))
