"""The numbers that a figure shows, read off the figure itself, as a table for a CSV file.

What is in the file is what is drawn, series by series. A series without a name of its own has that
of a named one of its colour, and for a line of its dashes, as a band has that of its line.
"""

import csv
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from io import StringIO
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import StrCategoryLocator
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.colors import to_rgb, to_rgba_array
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, PercentFormatter


@dataclass(frozen=True)
class DrawnRow:
    """One mark; what it does not have is empty."""

    panel: int
    """From 1, in the order of drawing."""
    title: str
    x_label: str
    y_label: str
    series: str
    kind: str
    """``line`` (its points), ``band``, ``bar``, ``points``, ``cell`` or ``text``."""
    x: float | str = ""
    """Of a tick that is a text, such as a class, that text."""
    y: float | str = ""
    x_low: float | str = ""
    """Of an interval or a band along x."""
    x_high: float | str = ""
    y_low: float | str = ""
    y_high: float | str = ""
    value: float | str = ""
    """Of a cell of a matrix, or a text."""


def csv_text(figure: Figure) -> str:
    """Return every mark of a drawn figure as lines of CSV, under a header of `DrawnRow`'s fields.

    Pictures in colours and arrows are left out; of a figure that has nothing else, the text is
    empty. Shares that an axis shows as percentages are percentages here.
    """
    panels = [_Panel(figure, axes, number) for number, axes in enumerate(figure.axes, 1)]
    rows = [row for panel in panels for row in panel.rows()]
    if not rows:
        return ""
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([field.name for field in fields(DrawnRow)])
    writer.writerows(map(astuple, rows))
    return buffer.getvalue()


class _Panel:
    """One panel of a figure."""

    def __init__(self, figure: Figure, axes: Axes, number: int) -> None:
        title = axes.get_title(loc="left") or axes.get_title()
        self._axes = axes
        self._head = (number, csv_label(title), axes.get_xlabel(), axes.get_ylabel())
        legends = [axes.get_legend(), *figure.legends]
        self._known = [
            (text.get_text(), handle)
            for legend in legends
            if legend is not None
            for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True)
        ]

    def rows(self) -> Iterator[DrawnRow]:
        """Yield every mark."""
        grouped: set[Artist] = set()
        for container in self._axes.containers:
            if isinstance(container, ErrorbarContainer):
                line, caps, bars = container.lines
                grouped |= {line, *caps, *bars}
                yield from self._intervals(container)
            elif isinstance(container, BarContainer):
                grouped |= set(container.patches)
                yield from self._bars(container)
        for artist in self._axes.get_children():
            if artist not in grouped and artist.get_visible():
                yield from self._marks(artist)

    def _row(self, series: str, kind: str, x: Any = "", y: Any = "", **more: Any) -> DrawnRow:
        shown = {"x": x, "y": y, **more}
        for name, value in shown.items():
            if name != "value":
                axis = self._axes.xaxis if name.startswith("x") else self._axes.yaxis
                shown[name] = _as_shown(axis, value)
        return DrawnRow(*self._head, series, kind, **shown)

    def _marks(self, artist: Artist) -> Iterator[DrawnRow]:
        if isinstance(artist, Line2D):
            yield from self._points(self._series(artist), "line", self._placed(artist))
        elif isinstance(artist, Text) and artist in self._axes.texts and artist.get_text():
            x, y = artist.get_position()
            yield self._row("", "text", x, y, value=csv_label(artist.get_text()))
        elif isinstance(artist, PathCollection):
            points = np.asarray(artist.get_offsets())
            yield from self._points(self._series(artist), "points", points)
        elif isinstance(artist, PolyCollection):
            series = self._series(artist)
            for path in artist.get_paths():
                corners = np.asarray(path.vertices)
                for x in np.unique(corners[:, 0]):
                    heights = corners[corners[:, 0] == x, 1]
                    ends = {"y_low": heights.min(), "y_high": heights.max()}
                    yield self._row(series, "band", x, **ends)
        elif isinstance(artist, AxesImage):
            cells: Any = artist.get_array()
            if cells is not None and cells.ndim == 2:
                for y, x in np.argwhere(~np.ma.getmaskarray(cells)):
                    yield self._row("", "cell", x, y, value=float(cells[y, x]))

    def _placed(self, line: Line2D) -> list[tuple[Any, Any]]:
        """Return a line's points; one across the panel has a single one, and one coordinate."""
        of_x, of_y = line.get_transform().contains_branch_seperately(self._axes.transData)
        points = np.column_stack(line.get_data())
        if of_x and of_y:
            return [(x, y) for x, y in points if np.isfinite(x) and np.isfinite(y)]
        first = (points[0, 0] if of_x else "", points[0, 1] if of_y else "")
        return [first] if of_x or of_y else []

    def _points(self, series: str, kind: str, points: Any) -> Iterator[DrawnRow]:
        for x, y in points:
            yield self._row(series, kind, x, y)

    def _intervals(self, container: ErrorbarContainer) -> Iterator[DrawnRow]:
        line, _, bars = container.lines
        series = self._series(line, container.get_label())
        segments = iter(bars)
        along_x = next(segments).get_segments() if container.has_xerr else None
        along_y = next(segments).get_segments() if container.has_yerr else None
        for place, (x, y) in enumerate(np.column_stack(line.get_data())):
            ends: dict[str, float] = {}
            for name, found, axis in (("x", along_x, 0), ("y", along_y, 1)):
                if found is not None:
                    ends |= zip((f"{name}_low", f"{name}_high"), found[place][:, axis], strict=True)
            yield self._row(series, "line", x, y, **ends)

    def _bars(self, container: BarContainer) -> Iterator[DrawnRow]:
        for bar in container.patches:
            series = self._series(bar, container.get_label())
            x, y = bar.get_x(), bar.get_y()
            if container.orientation == "horizontal":
                yield self._row(series, "bar", x + bar.get_width(), y + bar.get_height() / 2)
            else:
                yield self._row(series, "bar", x + bar.get_width() / 2, y + bar.get_height())

    def _series(self, artist: Artist, label: object = None) -> str:
        own = str(artist.get_label() if label is None else label)
        if own and not own.startswith("_"):
            return own
        return next((name for name, known in self._known if _alike(artist, known)), "")


def _alike(artist: Artist, known: Any) -> bool:
    """Return whether an artist looks as one that a legend names: colour, and dashes if lines."""
    if not np.allclose(_colour(artist), _colour(known)):
        return False
    dashes = {one.get_linestyle() for one in (artist, known) if isinstance(one, Line2D)}
    return len(dashes - {"None"}) < 2


def _colour(artist: Any) -> tuple[float, ...]:
    """Return an artist's colour without its opacity."""
    if isinstance(artist, Line2D):
        return to_rgb(artist.get_color())
    found = artist.get_facecolor() if hasattr(artist, "get_facecolor") else artist.get_color()
    colours = to_rgba_array(found)
    return tuple(colours[0, :3]) if len(colours) else (np.nan,) * 3


def _as_shown(axis: Axis, value: Any) -> float | str:
    """Return a place on an axis as its ticks tell it: a text, a percentage, or the number."""
    formatter = axis.get_major_formatter()
    if value == "":
        return ""
    if isinstance(formatter, PercentFormatter):
        return _rounded(value * 100 / formatter.xmax)
    if isinstance(axis.get_major_locator(), FixedLocator | StrCategoryLocator):
        places = np.asarray(axis.get_majorticklocs())
        texts = [label.get_text() for label in axis.get_majorticklabels()]
        text = texts[int(np.abs(places - value).argmin())] if len(places) == len(texts) > 0 else ""
        if any(letter.isalpha() for letter in text):
            return csv_label(text)
    return _rounded(value)


def _rounded(value: Any) -> float:
    """Return a number without the last digits, which are rounding."""
    return float(f"{float(value):.12g}")


def csv_label(text: str) -> str:
    """Return a stranger's text on one line, and as no formula of a spreadsheet."""
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
