"""A run at a glance: what is done, and what it found."""

from textwrap import fill

from analysis.results import CollectionResult, FoolingResult, SpectrumResult, load_result
from boundary.store import MANIFEST, NormalsStore
from figures.findings import list_findings
from study.run import RunDirectory

RESULTS = ("collect", "spectrum", "fooling")


def describe(run: RunDirectory) -> str:
    """Return one screen of text about a run directory."""
    done = [stage for stage in RESULTS if run.result(stage).exists()]
    lines = [f"{run.path}: {', '.join(done) or 'nothing'} done, {_kept(run)} images collected"]
    if len(done) == len(RESULTS):
        found = list_findings(
            load_result(run.result("collect"), CollectionResult),
            load_result(run.result("spectrum"), SpectrumResult),
            load_result(run.result("fooling"), FoolingResult),
        )
        lines += [
            fill(finding.sentence, 100, initial_indent="- ", subsequent_indent="  ")
            for finding in found.findings
        ]
    if run.report.exists():
        lines.append(f"report: {run.report}")
    return "\n".join(lines)


def _kept(run: RunDirectory) -> int:
    if not (run.normals / MANIFEST).exists():
        return 0
    return len(NormalsStore.open(run.normals))
