"""What is known by name: models, images, and families of perturbations."""

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from math import inf
from textwrap import wrap

from analysis.algorithms import ALGORITHMS, family_name
from analysis.perturbations import SPHERE, SUBSPACE
from analysis.rivals import MATCHED, UNTRAINED
from boundary.errors import InputError, did_you_mean
from boundary.images import IMAGE_ORIGINS
from boundary.models import ORIGINS
from figures.family import LABELLED, family

WIDTH = 100

_MEANINGS = {
    SPHERE: "random directions of all of image space",
    SUBSPACE: "random vectors of S_f, the span of the leading singular vectors of the normals",
    MATCHED: "random vectors of the subspace of normals with random phases: their smoothness",
    UNTRAINED: "random vectors of the subspace of an untrained network's normals: the architecture",
    "displacement": "the way of one image to its nearest boundary point",
    "displacement sum": "the sum of these ways over all collected images",
    "gradient sign": "signs of the gradient of the mean cross-entropy: one step",
    "mean image": "the mean of the collected images",
    "singular vectors": "leading singular vectors of the normals, with both signs",
}
"""Of the families of the fooling stage; one without an entry is called by its label."""

Row = tuple[str, str]
"""A name and what it is."""


def known(what: str | None) -> str:
    """Return a table of what is known by name.

    Args:
        what: ``models``, ``images`` or ``families``; None for all.

    Raises:
        InputError: If it is none of these.
    """
    if what is not None and what not in TABLES:
        raise InputError(
            f"`boundary list` should be followed by {', '.join(TABLES)}, or nothing. Found "
            f"`{what}`{did_you_mean(what, TABLES) or '.'}"
        )
    return "\n\n".join(TABLES[name]() for name in ([what] if what else TABLES))


def models() -> str:
    """Return the kinds of names that `--model` takes."""
    rows = [
        (", ".join(origin.patterns), f"{origin.text}{_installed(origin.package, origin.extra)}")
        for origin in ORIGINS
    ]
    return _table("Models, for --model:", rows)


def images() -> str:
    """Return the kinds of names that `--images` takes."""
    rows = [
        (", ".join(origin.patterns), f"{origin.text}{_installed(origin.package, origin.extra)}")
        for origin in IMAGE_ORIGINS
    ]
    return _table("Images, for --images:", rows)


def families() -> str:
    """Return the families of perturbations, by the stage that makes them."""
    universal = [family_name(algorithm, p) for algorithm in ALGORITHMS for p in (2.0, inf)]
    universal.append(family_name(ALGORITHMS[0], 2.0, inside=True))
    fooling = [(name, _MEANINGS.get(name, family(name).label)) for name in LABELLED]
    fooling.append(("file NAME", "a perturbation of others, given by --fooling.files"))
    return "\n\n".join(
        [
            _table(
                "Families of perturbations that the stage `fooling` makes, tried at every norm:",
                fooling,
            ),
            _table(
                "Those of the stage `universal`, of which --universal.algorithms chooses:",
                [(name, family(name).label) for name in universal],
            ),
        ]
    )


TABLES: dict[str, Callable[[], str]] = {"models": models, "images": images, "families": families}


def _installed(package: str | None, extra: str | None) -> str:
    """Return which version of a package is installed, or how to install it."""
    if package is None:
        return ""
    try:
        return f" ({package} {version(package)})"
    except PackageNotFoundError:
        return f" (not installed: pip install 'boundary-geometry[{extra}]')"


def _table(title: str, rows: Sequence[Row]) -> str:
    """Return lines of names and what they are."""
    column = max(len(name) for name, _ in rows) + 4
    lines = [title]
    for name, text in rows:
        said = wrap(text, WIDTH - column, break_on_hyphens=False)
        lines.append(f"  {name:<{column - 2}}{said[0]}")
        lines += [" " * column + more for more in said[1:]]
    return "\n".join(lines)
