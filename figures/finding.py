"""One thing that a run, or a comparison of runs, found."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One sentence or two, and the numbers in it."""

    name: str
    sentence: str
    present: bool | None = None
    """Whether runs differ; None where the sentence does not ask."""
    numbers: dict[str, Any] = field(default_factory=dict)
    details: str = ""
    """Further sentences, its particulars."""
    doubtful: bool = False
    """Whether it puts in doubt what all others say."""
