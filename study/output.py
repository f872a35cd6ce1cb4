"""What a command says: how much of its log, and in which characters."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from boundary.errors import InputError, printable
from boundary.progress import no_progress_bars

PACKAGES = ("boundary", "analysis", "figures", "study")

_PLAIN, _DETAILED = "%(levelname)s: %(message)s", "%(asctime)s %(levelname)s %(name)s: %(message)s"

_ASCII = str.maketrans(
    {
        "−": "-",
        "“": '"',
        "”": '"',
        "∞": "inf",
        "√": "sqrt ",
        "²": "^2",
        "–": "-",
        "≤": "<=",
        "≥": ">=",
        "≈": "~",
        "…": "...",
        "\u00a0": " ",
        "\u202f": " ",
    }
)
"""Of what the findings use; a mark takes the place of any other."""


class _OnTerminal(logging.Formatter):
    """Log lines without the control characters that a stranger's name may hold."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text."""
        return printable(super().format(record))


@contextmanager
def speaking(*, quiet: bool = False, verbose: bool = False) -> Iterator[None]:
    """Log warnings alone, or what is done, or everything, within the block.

    Args:
        quiet: Warnings, and no progress bars.
        verbose: Everything that the packages of this project log, and what others inform of.

    Raises:
        InputError: If both are asked for.
    """
    if quiet and verbose:
        raise InputError("`--quiet` and `--verbose` contradict each other: give one of them.")
    handler = logging.StreamHandler()
    handler.setFormatter(_OnTerminal(_DETAILED if verbose else _PLAIN))
    logging.basicConfig(handlers=[handler])
    logging.getLogger().setLevel(logging.INFO if verbose else logging.WARNING)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.DEBUG if verbose else logging.NOTSET)
    if not (quiet or verbose):
        logging.getLogger("study").setLevel(logging.INFO)
    with no_progress_bars() if quiet else nullcontext():
        yield


def can_encode(text: str, encoding: str | None) -> bool:
    """Return whether a stream of some encoding takes a text; one that names none takes all."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def encodable(text: str, encoding: str | None) -> str:
    """Return a text with other characters for those that a stream cannot encode."""
    if can_encode(text, encoding):
        return text
    plain = text.translate(_ASCII)
    return plain.encode(encoding or "utf-8", "replace").decode(encoding or "utf-8")
