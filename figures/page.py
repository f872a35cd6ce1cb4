"""A self-contained page: its templates, its figures, and its scripts with the policy they need.

Names of models, classes and images are a stranger's text, which the templates escape; the policy
of the page allows the scripts given here by their hashes, and no other.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from boundary.files import write_text
from figures.export import FORMATS, save_plate
from figures.formats import FILTERS
from figures.plates import Plate, Source

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Script:
    """A script of a page."""

    text: str

    @property
    def hash(self) -> str:
        """By which the policy of the page allows it."""
        digest = sha256(self.text.encode()).digest()
        return f"sha256-{b64encode(digest).decode('ascii')}"


def page_script(name: str) -> Script:
    """Return a script of this package."""
    return Script((TEMPLATES / name).read_text(encoding="utf-8"))


def drawn_plate(
    plate: Plate[Source], source: Source, folder: Path, table: pd.DataFrame
) -> dict[str, Any]:
    """Write a figure as PDF and PNG, and what it shows as CSV.

    Returns:
        What a page shows of it, the PNG as a data URI.
    """
    figure = plate.draw(source)
    rows = table[table["quantity"].isin(plate.quantities)]
    _, picture, *_ = save_plate(plate.name, figure, folder, FORMATS[:2], rows)
    width, height = figure.get_size_inches()
    return {
        "name": plate.name,
        "title": plate.title,
        "how_to_read": plate.how_to_read,
        "wide": plate.wide,
        "uri": f"data:image/png;base64,{b64encode(picture.read_bytes()).decode('ascii')}",
        "width": round(96 * width),
        "height": round(96 * height),
    }


def write_page(
    path: Path,
    context: Mapping[str, Any],
    *,
    scripts: Sequence[Script] = (),
    filters: Mapping[str, Callable[..., str]] | None = None,
) -> None:
    """Write a page, whose template has its name.

    Args:
        path: Of the page, such as ``report.html``.
        context: What the template shows.
        scripts: Beside the one of every page, which comes first.
        filters: Of the template, beside numbers, shares and class names as text.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # charts name what came before
    environment.filters.update(FILTERS)
    environment.filters.update(filters or {})
    every = [page_script("page.js"), *scripts]
    template = environment.get_template(f"{path.name}.j2")
    write_text(path, template.render({**context, "scripts": every}))
