"""Numbers, shares, intervals and class names as text, the same in figures, sentences and tables."""

import re
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from markupsafe import Markup, escape
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font

from analysis.intervals import Interval

SPACE = "\N{NO-BREAK SPACE}"
_FONT = "DejaVu Sans"
_CODE = re.compile("`([^`]+)`")
_SUBSPACE = re.compile(r"(?<![\w\\])S_([fc])\b")
_BEFORE_PERCENT = re.compile(r"(?<=\d) (?=%)")


def round_numbers(most: int, *also: int) -> list[int]:
    """Return 1, 2, 5, 10, ... up to a number, that number, and others, cut at it."""
    steps = {step * 10**power for power in range(7) for step in (1, 2, 5)}
    return sorted({R for R in steps if most >= R} | {min(R, most) for R in also} | {most})


def number(value: float) -> str:
    """Return three significant digits, without an exponent where that stays short."""
    if not np.isfinite(value):
        return "not finite"
    if value and abs(value) < 1e-4:
        return f"{value:.2e}".replace("-", "\N{MINUS SIGN}")
    digits = 0 if abs(value) >= 1000 else 3
    text = f"{value:.0f}" if digits == 0 else f"{value:.{digits}g}"
    return text.replace("-", "\N{MINUS SIGN}")


def cosine(value: float) -> str:
    """Return a cosine with as many decimals as tell it from 1, six at most."""
    gap = abs(1 - value)
    if not np.isfinite(value) or gap < 1e-6:
        return number(value)
    return f"{value:.{min(6, int(np.ceil(-np.log10(gap))) + 1)}f}".replace("-", "\N{MINUS SIGN}")


def first_directions(dimension: int) -> str:
    """Return the first R singular directions in words."""
    return "first direction" if dimension == 1 else f"first R = {dimension} directions"


def percent(share: float) -> str:
    """Return a share as a percentage with its sign."""
    return f"{_percentage(share)}{SPACE}%"


def percent_interval(interval: Interval) -> str:
    """Return the ends of an interval of a share as percentages."""
    return f"{_percentage(interval.low)} to {_percentage(interval.high)}{SPACE}%"


def points(difference: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    text = _percentage(difference)
    return text if text.startswith("\N{MINUS SIGN}") or float(text) == 0 else f"+{text}"


def points_interval(interval: Interval) -> str:
    """Return the ends of an interval of a difference of shares, in percentage points."""
    return f"{points(interval.low)} to {points(interval.high)}"


def number_interval(interval: Interval) -> str:
    """Return the ends of an interval."""
    return f"{number(interval.low)} to {number(interval.high)}"


def class_label(names: Sequence[str], index: int, longest: int = 40) -> str:
    """Return a class's name, cut at ``longest`` characters, or ``class 7`` if it has no fit name.

    A name comes from a stranger's file: one that the figures' font cannot draw is not drawn.

    Args:
        names: Index -> name; may be empty.
        index: Of the class.
        longest: Characters.
    """
    name = names[index].strip() if 0 <= index < len(names) else ""
    if not name or not _drawable(name):
        return f"class {index}"
    return name if len(name) <= longest else name[: longest - 1].rstrip() + "…"


def drawable(text: str, longest: int = 40) -> str:
    """Return a stranger's text for a figure: letters that its font lacks as ``?``, cut.

    Args:
        text: Such as a model's name.
        longest: Characters.
    """
    seen = f" {text}" if text.startswith("_") else text  # legends leave out what begins with _
    shown = "".join(letter if _drawable(letter) else "?" for letter in seen)
    if len(shown) <= longest:
        return shown
    tail = (longest - 1) // 3  # what tells long names apart is often at their ends
    return f"{shown[: longest - 1 - tail].rstrip()}…{shown[-tail:].lstrip()}"


def unbroken(text: str) -> str:
    """Return a text that no line can end between a number and its % sign."""
    return _BEFORE_PERCENT.sub(SPACE, text)


def prose(text: str) -> Markup:
    """Return a text as markup: escaped, its numbers unbroken, S_f and S_c with a subscript."""
    return Markup(_SUBSPACE.sub(r"S<sub>\1</sub>", unbroken(str(escape(text)))))


def sentence(text: str) -> Markup:
    """Return a sentence as markup, as `prose` does; what is between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(prose(text))))


def math_text(text: str) -> str:
    """Return a text for matplotlib to parse, if S_f or S_c is in it, each with a subscript.

    Without them it is empty: such a text may hold a stranger's ``$``, and is not parsed.
    """
    if not _SUBSPACE.search(text):
        return ""
    return _SUBSPACE.sub(r"$\\mathregular{S_\1}$", text.replace("$", r"\$"))


FILTERS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        class_label,
        number,
        number_interval,
        percent,
        percent_interval,
        points,
        points_interval,
        prose,
        sentence,
    )
}
"""Of templates, by name."""


def _percentage(share: float) -> str:
    value = 100 * share
    digits = 1 if value == 0 or abs(value) >= 1 else 2
    value = round(value, digits) + 0.0  # no minus before a zero
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _drawable(name: str) -> bool:
    font = _font()
    return name.isprintable() and all(font.get_char_index(ord(letter)) for letter in name)


@cache
def _font() -> FT2Font:
    return get_font(findfont(FontProperties(family=_FONT)))
