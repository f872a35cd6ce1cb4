"""A run at a glance: what is done, and what it found."""

from textwrap import fill
from typing import TypeVar

from analysis.natural import NaturalResult
from analysis.results import (
    CollectionResult,
    FoolingResult,
    SpectrumResult,
    UniversalResult,
    load_result,
)
from analysis.transfer import TransferResult
from boundary.store import MANIFEST, NormalsStore
from figures.findings import list_findings
from study.run import OPTIONAL, STAGES, RunDirectory

Result = TypeVar("Result")


def describe(run: RunDirectory) -> str:
    """Return one screen of text about a run directory."""
    done = [stage for stage in (*STAGES, *OPTIONAL) if run.result(stage).exists()]
    lines = [f"{run.path}: {', '.join(done) or 'nothing'} done, {_kept(run)} images collected"]
    outdated = run.out_of_date()
    if outdated:
        return "\n".join([*lines, outdated])
    collection = _result(run, "collect", CollectionResult)
    if collection is not None:
        spectrum = _result(run, "spectrum", SpectrumResult)
        fooling = _result(run, "fooling", FoolingResult)
        universal = _result(run, "universal", UniversalResult)
        natural = _result(run, "natural", NaturalResult)
        transfer = _result(run, "transfer", TransferResult)
        lines += [
            fill(finding.sentence, 100, initial_indent="- ", subsequent_indent="  ")
            for finding in list_findings(
                collection, spectrum, fooling, universal, natural, transfer
            ).findings
        ]
    if run.report.exists():
        lines.append(f"report: {run.report}")
    return "\n".join(lines)


def _result(run: RunDirectory, stage: str, kind: type[Result]) -> Result | None:
    return load_result(run.result(stage), kind) if run.result(stage).exists() else None


def _kept(run: RunDirectory) -> int:
    if not (run.normals / MANIFEST).exists():
        return 0
    return len(NormalsStore.open(run.normals))
