"""One thing that a run, or a comparison of runs, found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One sentence or two."""

    name: str
    sentence: str
    present: bool | None = None
    """Whether runs differ; None where the sentence does not ask."""
    details: str = ""
    """Further sentences, its particulars."""
    doubtful: bool = False
    """Whether it puts in doubt what all others say."""
