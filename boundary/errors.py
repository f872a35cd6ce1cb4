"""The errors this project raises on purpose, and the sentences that several of them share."""

import difflib
import importlib
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

_MOST, _LONGEST = 8, 240
"""Lines of an error of the user's code, and characters of each, that are kept."""


class BoundaryError(Exception):
    """Something the user can mend: the message names what was found and the way out.

    The command line answers each in one sentence.
    """


class InputError(BoundaryError, ValueError):
    """An argument, a model or an image that cannot be used as it is."""


class StoreError(BoundaryError):
    """A file of a run that is damaged, or that belongs to other settings."""


@contextmanager
def as_input_error(
    sentence: str, way_out: str = "", code: str | Path | None = None
) -> Iterator[None]:
    """Turn any error of other people's code into an InputError that names it.

    Args:
        sentence: What failed; the error follows after a colon.
        way_out: What may help, from its semicolon on.
        code: A file of the user's, who can mend it: its line and several lines of the error follow.

    Raises:
        InputError: If the code within raised an error, of whatever type.
    """
    try:
        yield
    except InputError:
        raise
    except StoreError as error:  # a sentence already
        raise InputError(str(error)) from error
    except (Exception, SystemExit) as error:
        where, said = ("", _first_line(error)) if code is None else (_at(error, code), _said(error))
        cause = f"{type(error).__name__}: {said}".rstrip(": .")
        raise InputError(f"{sentence}{where}: {cause}{way_out}.") from error


def did_you_mean(name: str, choices: Iterable[str], prefix: str = "") -> str:
    """Return ``"; did you mean `x` or `y`?"`` for choices close to a name, or an empty text.

    Args:
        name: As it was typed.
        choices: What it could have been.
        prefix: Shown before each, such as ``--``.
    """
    close = difflib.get_close_matches(name, list(dict.fromkeys(choices)), n=3)
    return f"; did you mean {' or '.join(f'`{prefix}{c}`' for c in close)}?" if close else ""


def require_path(path: Path) -> None:
    """Refuse a path that is not there, naming its neighbours of similar name.

    Raises:
        InputError: If there is neither a file nor a folder.
    """
    if path.exists():
        return
    missing = next((part for part in reversed(path.parents) if not part.exists()), path)
    try:
        neighbours = [entry.name for entry in missing.parent.iterdir()]
    except OSError:
        neighbours = []
    raise InputError(f"{missing} does not exist{did_you_mean(missing.name, neighbours) or '.'}")


def import_extra(module: str, extra: str) -> Any:
    """Return an optional package.

    Args:
        module: Its name.
        extra: The extra of this project that installs it.

    Raises:
        InputError: If it is not installed, or was built for another torch.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module} could not be imported ({error}); "
            f"install it with: pip install 'boundary-geometry[{extra}]'"
        ) from error
    except Exception as error:  # a torchvision built for another torch: RuntimeError
        raise InputError(
            f"{module} is installed but cannot be imported: {_first_line(error)}; it should be "
            f"built for the torch that is installed, {version('torch')}."
        ) from error


def printable(text: str) -> str:
    """Return a text for a terminal: lines and tabs stay, other control characters become ``?``."""
    kept = "\n\t\N{NO-BREAK SPACE}"
    return "".join(one if one.isprintable() or one in kept else "?" for one in text)


def type_of(value: object) -> str:
    """Return the type of a value with its article: ``a str``, ``an int``."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _lines(error: BaseException) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()]


def _first_line(error: BaseException) -> str:
    return next(iter(_lines(error)), "")


def _said(error: BaseException) -> str:
    """Return what an error says, as a list of missing keys has several lines; long ones are cut."""
    lines = [line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..." for line in _lines(error)]
    more = f" ({len(lines) - _MOST} lines more)" if len(lines) > _MOST else ""
    return " ".join(lines[:_MOST]) + more


def _at(error: BaseException, code: str | Path) -> str:
    """Return in words at which line of a file an error arose, the last that was entered."""
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(code)), None)
    return "" if line is None else f" at line {line}"
