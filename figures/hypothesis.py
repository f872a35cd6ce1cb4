"""The verdicts of the test of the curvature hypothesis, item by item, as a grid."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from analysis.curvature_sweep import BETWEEN, IMAGE, NEAREST, RANDOM
from analysis.hypothesis import (
    CONTRADICTED,
    CORRECTED,
    HALVES,
    NOT_SUPPORTED,
    SUPPORTED,
    ItemVerdict,
)
from analysis.results import CurvatureResult
from boundary.errors import InputError
from figures.curves import tested_surface
from figures.formats import number
from figures.style import TWO_COLUMNS, add_caption, new_figure, styled
from figures.verdicts import SHORT_ITEMS, VerdictLine, verdict_lines

_MARKS = {SUPPORTED: "✓", NOT_SUPPORTED: "○", CONTRADICTED: "✗"}
_FILLS = {SUPPORTED: "#a8d0ea", NOT_SUPPORTED: "#ececec", CONTRADICTED: "#f6bfa0"}
_ANCHORS = {
    NEAREST: "nearest",
    RANDOM: "random direction",
    BETWEEN: "between images",
    IMAGE: "image itself",
    HALVES: HALVES,
}
_ROW = 0.33
"""Inches."""


class _Block(NamedTuple):
    """Lines of the grid that share their columns."""

    title: str
    label: str
    lines: list[VerdictLine]

    @property
    def columns(self) -> list[float]:
        return sorted({verdict.scale for line in self.lines for verdict in line.verdicts})


@styled
def plot_verdicts(result: CurvatureResult) -> Figure:
    """Return a grid of verdicts: curvature by scale and anchor above, fooling by norm below.

    Raises:
        InputError: If there is no verdict.
    """
    lines = verdict_lines(result)
    if not lines:
        raise InputError("`result.rows` should hold rows of the test. Found none.")
    blocks = [
        _Block(title, label, own)
        for title, label, own in (
            ("curvature", "scale s (input units)", [line for line in lines if line.anchor]),
            (
                "fooling",
                "norm of the perturbations (input units)",
                [line for line in lines if not line.anchor],
            ),
        )
        if own
    ]
    widest = max(len(block.columns) for block in blocks)
    figure = new_figure(TWO_COLUMNS, _ROW * len(lines) + 0.75 * len(blocks) + 1.0)
    heights = [len(block.lines) for block in blocks]
    grid = figure.subplots(len(blocks), 1, squeeze=False, height_ratios=heights).ravel()
    for axes, block in zip(grid, blocks, strict=True):
        _draw_block(axes, block, widest)
    shown = [
        Patch(facecolor=_FILLS[word], label=f"{mark}  {word}") for word, mark in _MARKS.items()
    ]
    figure.legend(handles=shown, loc="outside upper center", ncols=3)
    add_caption(figure, _caption(result))
    return figure


def _draw_block(axes: Axes, block: _Block, widest: int) -> None:
    """Draw cells of equal width in every block; what was not tested stays empty."""
    columns = block.columns
    for row, line in enumerate(block.lines):
        for verdict in line.verdicts:
            _draw_cell(axes, columns.index(verdict.scale), row, verdict)
    axes.set_title(block.title)
    axes.set_xlabel(block.label, loc="left")
    axes.set_xlim(-0.5, widest - 0.5)
    axes.set_ylim(len(block.lines) - 0.5, -0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(range(len(columns)), [number(scale) for scale in columns])
    axes.set_yticks(range(len(block.lines)), list(map(_line_label, block.lines)))


def _draw_cell(axes: Axes, column: int, row: int, verdict: ItemVerdict) -> None:
    corner = column - 0.47, row - 0.44
    axes.add_patch(Rectangle(corner, 0.94, 0.88, color=_FILLS[verdict.verdict], lw=0))
    told = ((verdict.supporting, "+"), (verdict.contradicting, "−"))
    counts = " ".join(f"{count}{sign}" for count, sign in told if count) or "0"
    mark = _MARKS[verdict.verdict]
    axes.text(column, row - 0.15, mark, ha="center", va="center", fontsize=9)
    axes.text(
        column, row + 0.24, f"{counts} /{verdict.rows}", ha="center", va="center", fontsize=6.5
    )


def _line_label(line: VerdictLine) -> str:
    where = f", {_ANCHORS[line.anchor]}" if line.anchor else ""
    return f"{line.item}  {SHORT_ITEMS[line.item]}{where}"


def _caption(result: CurvatureResult) -> str:
    return (
        "Left: item of the hypothesis and anchor. In a cell: rows of the test that support (+) and "
        f"contradict (−) it, of all there, over estimators and rivals, on the surface of the "
        f"{tested_surface(result)}. A row decides where p, corrected for {len(result.rows)} rows "
        f"(Holm), is below {CORRECTED:g}; a cell is supported where every row supports, "
        f"contradicted where some contradict and none supports. S_c of R = {result.dimension} "
        f"made at s = {number(result.scale)}; reference norm {number(result.reference_norm)}; "
        f"{result.tried} held-out images; seed {result.seed}."
    )
