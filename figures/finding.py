"""One thing that a run found."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One sentence or two, and the numbers in it."""

    name: str
    sentence: str
    present: bool | None
    """Whether an effect was found; None where the sentence claims none, or is of two minds."""
    numbers: dict[str, Any] = field(default_factory=dict)
