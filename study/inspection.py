"""A run at a glance: what is done, and what it found."""

from study.run import RunDirectory

STAGES = ("collect", "spectrum", "fooling")


def describe(run: RunDirectory) -> str:
    """Return one screen of text about a run directory."""
    done = [stage for stage in STAGES if run.result(stage).exists()]
    lines = [f"{run.path}: {', '.join(done) or 'nothing'} done"]
    if run.report.exists():
        lines.append(f"report: {run.report}")
    return "\n".join(lines)
