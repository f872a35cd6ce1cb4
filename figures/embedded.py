"""A figure as part of a page: a data URI, which asks for no font and no other file."""

import re
from base64 import b64encode
from urllib.parse import quote

from matplotlib.figure import Figure

from figures.style import figure_bytes

_REMARKS = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
_PLACES = re.compile(r'(?<= d=")[^"]*|translate\([^)]*\)')
_DIGITS = re.compile(r"(\.\d\d)\d+")
_AROUND_COMMANDS = re.compile(r"\s*([MLQCz])\s*")
_SHORT = (
    ('"', "'"),
    (" xmlns:xlink='http://www.w3.org/1999/xlink'", ""),
    ("xlink:href", "href"),
    ("#DejaVuSans-", "#"),
    ("id='DejaVuSans-", "id='"),
)
_SAFE = " ',-./:;=()!*+?@$_~"
"""Characters that an attribute between double quotes holds as they are."""


def figure_uri(figure: Figure, kind: str) -> str:
    """Return a drawn figure as a data URI, ``svg`` or ``png``."""
    content = figure_bytes(figure, kind)
    if kind == "png":
        return f"data:image/png;base64,{b64encode(content).decode('ascii')}"
    return f"data:image/svg+xml,{quote(_compact(content.decode()), safe=_SAFE)}"


def _compact(svg: str) -> str:
    """Return a drawing in fewer bytes: places to a hundredth of a point, no remarks."""
    svg = _PLACES.sub(lambda found: _shorter(found[0]), _REMARKS.sub("", svg))
    for long, short in _SHORT:
        svg = svg.replace(long, short)
    return re.sub(r"\s*\n\s*", " ", svg).replace("> <", "><").strip()


def _shorter(places: str) -> str:
    return _AROUND_COMMANDS.sub(r"\1", _DIGITS.sub(r"\1", places))
