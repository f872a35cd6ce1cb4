"""Families of perturbations, each described once: its words, and its colour, marker and line."""

from dataclasses import dataclass
from functools import cache
from math import inf

from analysis.algorithms import ALGORITHMS, universal_parts
from analysis.curved import CURVED
from analysis.perturbation_files import FILE
from analysis.perturbations import SPHERE, SUBSPACE
from analysis.rivals import MATCHED, UNTRAINED
from figures.style import (
    BLACK,
    BLUE,
    BROWN,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    PURPLE,
    RASPBERRY,
    SKY,
    TEAL,
    VERMILION,
    YELLOW,
)

SUBSPACES = (SUBSPACE, MATCHED, UNTRAINED)
"""Families whose dimension is varied."""

_ALGORITHMS = dict(
    zip(
        ALGORITHMS,
        (
            ("smooth rate", BLACK),
            ("clipped cross-entropy", PURPLE),
            ("aggregated gradients", BROWN),
            ("2017 loop", TEAL),
            ("hidden layer", RASPBERRY),
        ),
        strict=True,
    )
)


@dataclass(frozen=True)
class Family:
    """How a family is called and drawn, colours and marks in matplotlib's words."""

    name: str
    """In results and files."""
    label: str
    colour: str
    marker: str
    line: str
    space: str = ""
    """What its vectors are drawn from, where that has a name of its own."""

    @property
    def short(self) -> str:
        """What its vectors are drawn from, or its label."""
        return self.space or self.label


_KNOWN = (
    Family(SPHERE, "random directions (sphere)", GREY, "s", "-.", "random directions"),
    Family(SUBSPACE, "random in S_f", BLUE, "o", "-", "S_f"),
    Family(MATCHED, "matched noise", ORANGE, "^", "--"),
    Family(UNTRAINED, "random in S_f, untrained network", PINK, "v", ":"),
    Family("displacement", "one image's displacement", GREEN, "D", "--"),
    Family("displacement sum", "sum of displacements", GREEN, "D", "-"),
    Family("gradient sign", "one gradient-sign step", VERMILION, "v", "--"),
    Family("mean image", "mean image", YELLOW, "x", "--"),
    Family("singular vectors", "singular vectors, both signs", SKY, "^", "-"),
)
_CURVED = Family(CURVED, CURVED, GREEN, "o", "-", "S_c")
_FILES = ("P", "X", "p", "h")
"""Markers of perturbations from files."""
LABELLED = tuple(one.name for one in _KNOWN)
"""Families of the fooling stage that have a name of their own: not universal ones, nor files."""


@cache
def family(name: str) -> Family:
    """Return a family by its name in results."""
    known = {one.name: one for one in (*_KNOWN, _CURVED)}
    if name in known:
        return known[name]
    if name.startswith(FILE):
        marker = _FILES[sum(name.encode()) % len(_FILES)]
        return Family(name, f"{name.removeprefix(FILE)} (file)", GREY, marker, ":")
    parts = universal_parts(name)
    if parts is None or parts.algorithm not in _ALGORITHMS:
        return Family(name, name, GREY, "X", ":")
    words, colour = _ALGORITHMS[parts.algorithm]
    within = " within S_f" if parts.inside else ""
    aim = "" if parts.target is None else f" to class {parts.target}"
    ball = ", l∞" if parts.p == inf else ""
    label = f"universal{within}{aim} ({words}{ball})"
    line = "--" if parts.inside else "-." if aim else ":" if ball else "-"
    return Family(name, label, colour, "*", line)
