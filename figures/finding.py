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
    details: str = ""
    """Further sentences, its particulars."""
    doubtful: bool = False
    """Whether it puts in doubt what all others say."""

    @property
    def text(self) -> str:
        """All sentences."""
        return f"{self.sentence} {self.details}".rstrip()
