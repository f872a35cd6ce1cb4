"""What every figure shares: sizes, colours, log axes, the caption line, and how it is saved."""

from collections.abc import Callable, Iterable
from functools import partial, wraps
from io import BytesIO
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple, TypeVar

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
    PercentFormatter,
)
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import KDTree

from boundary.files import write_whole
from figures.formats import math_text, unbroken

STYLE = Path(__file__).with_name("boundary.mplstyle")

ONE_COLUMN = 3.4
"""Inches."""
TWO_COLUMNS = 7.0
"""Inches."""

# Of the palette of Okabe and Ito (2008), told apart by readers with any common colour blindness.
BLUE, VERMILION, GREY, BLACK = "#0072b2", "#d55e00", "#8c8c8c", "#000000"

SKY, PINK, GREEN, ORANGE, YELLOW = "#56b4e9", "#cc79a7", "#009e73", "#e69f00", "#b8a800"

PURPLE, BROWN, TEAL, RASPBERRY = "#8f63b0", "#8c564b", "#00807a", "#c2457d"

NULL_COLOURS = {"isotropic": GREY, "permuted": GREEN, "phases": ORANGE, "untrained": PINK}

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_CHARACTERS_PER_INCH = 19.0
"""Of the caption line, at its font size."""

Result = TypeVar("Result")


def styled(draw: Callable[[Result], Figure]) -> Callable[[Result], Figure]:
    """Return ``draw`` with the project's style around it, and nothing of the caller's own style.

    Ticks are made and room is given when a figure is drawn, so that happens here, once: the figure
    then looks the same wherever, and however often, it is saved.
    """

    @wraps(draw)
    def inside(result: Result) -> Figure:
        with matplotlib.style.context(STYLE, after_reset=True):
            figure = draw(result)
            set_subscripts(figure)
            figure.draw_without_rendering()
        figure.set_layout_engine("none")
        return figure

    return inside


class RunLook(NamedTuple):
    """How the marks of one of several runs are told apart: also without colours."""

    colour: str
    marker: str
    line: str


_RUN_LOOKS = tuple(
    map(
        RunLook,
        (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, BLACK, PURPLE),
        ("o", "s", "^", "D", "v", "P", "X", "h"),
        ("-", "--", "-.", ":", "-", "--", "-.", ":"),
    )
)


def run_looks(names: Iterable[str]) -> dict[str, RunLook]:
    """Return colour, marker and dashes of each of several runs, in their order."""
    return dict(zip(names, cycle(_RUN_LOOKS), strict=False))


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def add_caption(figure: Figure, text: str) -> Text:
    """Return the small line below a figure, now there, that says what it was drawn from."""
    width = int(figure.get_figwidth() * _CHARACTERS_PER_INCH)
    return figure.supxlabel(fill(unbroken(text), width), x=0.012, ha="left", color="#404040")


def add_legend(figure: Figure, panels: Iterable[Axes], columns: int) -> None:
    """Write one legend above a figure: every label of its panels once, in their order."""
    shown: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    figure.legend(list(shown.values()), list(shown), loc="outside upper center", ncols=columns)


def add_legend_above(axes: Axes, columns: int = 1) -> None:
    """Write the legend of one panel above it, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, fontsize=6.5)


class Percentages(PercentFormatter):
    """Ticks of shares as percentages, with no more digits than they need."""

    def __init__(self) -> None:
        super().__init__(1.0, symbol="")

    def format_pct(self, x: float, display_range: float) -> str:
        """Return the text of a tick."""
        return f"{100 * x:.6g}".replace("-", "\N{MINUS SIGN}")


def plain_log_ticks(axis: Axis, low: float, high: float) -> None:
    """Give a logarithmic axis from ``low`` to ``high`` plain numbers: 1, 2, 5, 10 or 1, 10, 100."""
    short = np.log10(high / low) < 2.2
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if short else (1.0,)))
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_locator(NullLocator() if short else LogLocator(subs=(2.0, 5.0)))
    axis.set_minor_formatter(NullFormatter())


def set_subscripts(figure: Figure) -> None:
    """Have S_f and S_c drawn with a subscript; texts stay what they are, and unparsed else."""
    for text in figure.findobj(Text):
        # What matplotlib asks before it lays out a line, and draws it: its text, and if to parse.
        text.__dict__["_preprocess_math"] = partial(_with_subscripts, text)


def _with_subscripts(text: Text, line: str) -> tuple[str, bool]:
    symbols = math_text(line)
    return (symbols, True) if symbols else Text._preprocess_math(text, line)  # type: ignore[attr-defined]


def _plain(value: float, _: int | None = None) -> str:
    """Return a number as a tick of a logarithmic axis has it: 0.001, or 10⁻⁵."""
    if value <= 0 or value >= 1e-4:
        return f"{value:g}"
    digits, power = f"{value:.0e}".split("e")
    times = "" if digits == "1" else f"{digits}·"
    return f"{times}10{str(int(power)).translate(SUPERSCRIPTS)}"


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure whole, in the format that the ending of ``path`` names: pdf, png or svg.

    No time is written into the file: equal results give equal files.
    """
    write_whole(path, figure_bytes(figure, path.suffix.removeprefix(".")))


_CANVASES = {
    "pdf": (FigureCanvasPdf, {"CreationDate": None}),
    "svg": (FigureCanvasSVG, {"Date": None}),
}
_DOTS_PER_INCH = 200
_COLOURS, _VISIBLE = 256, 0.5
"""Of a PNG, unless the mean change of a channel, of 255 levels, is larger than this."""


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Return a figure as the content of a file: pdf, png, or svg, which needs no font.

    It is drawn by the canvas itself, once: ``savefig`` draws it twice, for a layout that it has.
    """
    buffer, dpi = BytesIO(), figure.dpi
    with matplotlib.style.context(STYLE, after_reset=True):
        if kind == "png":  # the others have no pixels
            figure.set_dpi(_DOTS_PER_INCH)
            raster: Any = FigureCanvasAgg(figure)
            raster.draw()
            picture = few_colours(np.asarray(raster.buffer_rgba())[..., :3])
            picture.save(buffer, "PNG", dpi=(_DOTS_PER_INCH, _DOTS_PER_INCH))
        else:
            make, undated = _CANVASES[kind]
            canvas: Any = make(figure)
            getattr(canvas, f"print_{kind}")(buffer, metadata=undated)
    figure.set_dpi(dpi)
    return buffer.getvalue()


def few_colours(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return a picture of its most frequent colours, a third of the size; photographs as they are.

    Args:
        pixels: (H, W, 3).
    """
    packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    colours, places, counts = np.unique(packed, return_inverse=True, return_counts=True)
    levels = (colours[:, None] >> np.array([16, 8, 0], dtype=np.uint32) & 255).astype(np.int64)
    kept = levels[np.argsort(counts, kind="stable")[-_COLOURS:]]
    nearest = np.asarray(KDTree(kept).query(levels)[1])
    if counts @ np.abs(kept[nearest] - levels).mean(1) > _VISIBLE * packed.size:
        return Image.fromarray(pixels)
    picture = Image.fromarray(nearest[places].reshape(packed.shape).astype(np.uint8))
    picture.putpalette(kept.astype(np.uint8).tobytes())
    return picture
