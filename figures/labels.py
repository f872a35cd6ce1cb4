"""Where the images of each class go under one perturbation, and which labels are left."""

from itertools import product
from math import inf
from typing import Any

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from numpy.typing import NDArray

from analysis.labels import LabelEntropy, LabelFlows
from figures.family import family
from figures.formats import class_label, number, number_interval, percent, percent_interval
from figures.style import BLACK, GREY, TWO_COLUMNS, VERMILION, add_caption, new_figure, styled

_MOST_CLASSES = 40
_MOST_SOURCES = 10
"""Drawn around one class, where not all classes can be."""
_BARS = 10
_LETTERS = 17
"""Of a name."""
_LARGEST, _SMALLEST = 10.0, 1.8
"""Radii of classes, points."""
_MARGIN = np.array([28.0, 13.0])
"""Around the centres of the classes, points."""
_APART = 3.0
"""Between classes without a path, in lengths of an edge."""

_ARROWS: dict[bool, dict[str, Any]] = {
    True: {"color": BLACK, "linewidth": 0.9},
    False: {"color": GREY, "linewidth": 0.5},
}
"""By whether the edge is a majority."""

_SPOTS = np.array(
    sorted(
        (spot for spot in product((1, -1, 0, 0.5, -0.5), repeat=2) if 1 in np.abs(spot)),
        key=lambda spot: abs(spot[1]),
    )
)
"""Where a name may be written: on the edge of a square around its class, beside it first."""


@styled
def plot_labels(result: LabelFlows) -> Figure:
    """Return the graph of where fooled images go, and the most frequent labels after and before.

    Of many classes those are drawn that receive most fooled images, and some they come from.
    """
    figure = new_figure(TWO_COLUMNS, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    graph = _graph(result)
    _draw_bars(right, result)
    left.set(xticks=[], yticks=[])
    left.set_xlabel("arrow: where most fooled images of a class go; area: how many come")
    left.spines[:].set_visible(False)
    _add_legend(
        left,
        [Line2D([], [], **_ARROWS[majority]) for majority in (True, False)],
        ["more than half of all its images", "half or fewer"],
    )
    add_caption(figure, _caption(result, graph))
    figure.draw_without_rendering()  # names are placed where the axes end up
    figure.set_layout_engine("none")
    width, height = 72 * left.get_window_extent().size / figure.dpi
    left.set(xlim=(0, width), ylim=(0, height))  # points
    if graph:
        _draw_graph(left, result, graph)
    else:
        left.text(width / 2, height / 2, "no image is fooled", ha="center", va="center")
    return figure


def _graph(result: LabelFlows) -> Any:
    """Return the directed graph to draw; each edge knows whether it is a majority."""
    edges = result.edges
    most = _MOST_SOURCES if _connected(result) > _MOST_CLASSES else _MOST_CLASSES
    kept: list[int] = []
    for label in result.dominant_labels:
        into = np.flatnonzero(edges.target == label)
        into = into[np.argsort(-edges.count[into], kind="stable")][:most]
        star = [label, *edges.source[into]] if len(into) else []
        kept += [int(node) for node in star if node not in kept]
    drawn = np.isin([edges.source, edges.target], kept[:_MOST_CLASSES]).all(0)
    graph = nx.DiGraph()
    for place in np.flatnonzero(drawn):
        ends = int(edges.source[place]), int(edges.target[place])
        graph.add_edge(*ends, majority=bool(edges.majority[place]))
    return graph


def _connected(result: LabelFlows) -> int:
    """Return how many classes have an edge."""
    return len(np.union1d(result.edges.source, result.edges.target))


def _draw_graph(axes: Axes, result: LabelFlows, graph: Any) -> None:
    places = _layout(graph, np.array(axes.viewLim.size))
    shares = result.received / result.received.max()
    radius = {node: max(_SMALLEST, _LARGEST * float(np.sqrt(shares[node]))) for node in graph}
    axes.scatter(
        x=[places[node][0] for node in graph],
        y=[places[node][1] for node in graph],
        s=[(2 * radius[node]) ** 2 for node in graph],
        c=[VERMILION if degree else GREY for _, degree in graph.in_degree],
        linewidths=0,
        zorder=2,
    )
    lines = []
    for source, target, majority in graph.edges(data="majority"):
        arrow = FancyArrowPatch(
            places[source],
            places[target],
            arrowstyle="-|>",
            connectionstyle="arc3,rad=0.15",
            mutation_scale=6,
            shrinkA=radius[source],
            shrinkB=radius[target] + 1,
            zorder=1,
            **_ARROWS[majority],
        )
        axes.add_patch(arrow)
        lines.append(_curve(arrow.get_path().vertices))
    taken = [_box(places[node], radius[node] + 1) for node in graph]
    for node in sorted(graph, key=lambda node: -radius[node]):
        more = result.in_degree[node] - graph.in_degree[node]
        name = class_label(result.class_names, node, _LETTERS) + (f" (+{more})" if more else "")
        text = axes.text(*places[node], name, ha="center", va="center", fontsize=6)
        text.set_path_effects([withStroke(linewidth=1.5, foreground="white")])
        text.set_in_layout(False)
        if graph.in_degree[node]:
            text.set(fontsize=7, fontweight="bold")
        taken.append(_put_beside(text, radius[node], np.array(taken), np.concatenate(lines)))


def _layout(graph: Any, size: NDArray[np.float64]) -> dict[int, tuple[float, float]]:
    """Return places on a page of a size, as far apart as the paths between them are long."""
    paths = dict(nx.all_pairs_shortest_path_length(graph.to_undirected()))
    lengths = {one: {other: paths[one].get(other, _APART) for other in graph} for one in graph}
    found = nx.kamada_kawai_layout(graph, dist=lengths)
    places = np.array([found[node] for node in graph])
    places -= places.min(0)
    span = places.max(0)
    shares = np.where(span > 1e-6 * span.max(), places / np.maximum(span, 1e-9), 0.5)
    points = _MARGIN + shares * (size - 2 * _MARGIN)
    return {node: (x, y) for node, (x, y) in zip(graph, points.tolist(), strict=True)}


def _put_beside(
    text: Text, radius: float, taken: NDArray[np.float64], lines: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Move a name from the centre of its class to where it hides least.

    Args:
        text: At the centre, in an axes whose unit is a point.
        radius: Of the class.
        taken: Boxes of classes and other names, (B, 2, 2).
        lines: Points on the arrows, (L, 2).

    Returns:
        Its lower and its upper corner, (2, 2).
    """
    axes = text.axes
    assert axes is not None
    extent = text.get_window_extent().transformed(axes.transData.inverted())
    half = np.array(extent.size) / 2 + 1
    centres = np.array(text.get_position()) + _SPOTS * (half + radius + 1)
    boxes = [_box(centre, half) for centre in centres]
    page = np.array([[axes.viewLim.min, axes.viewLim.max]])
    hidden = [
        4 * _shared(box, taken)
        + 10 * ((lines > box[0]) & (lines < box[1])).all(1).sum()
        - 20 * _shared(box, page)
        for box in boxes
    ]
    best = int(np.argmin(hidden))
    text.set_position(centres[best])
    return boxes[best]


def _curve(vertices: Any) -> NDArray[np.float64]:
    """Return points on the quadratic Bezier curve of three vertices, the first of an arrow."""
    start, bend, end = np.asarray(vertices, dtype=np.float64)[:3]
    t = np.linspace(0, 1, 40)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end)


def _box(centre: Any, half: Any) -> NDArray[np.float64]:
    """Return the lower and the upper corner, (2, 2)."""
    return np.array([np.subtract(centre, half), np.add(centre, half)])


def _shared(box: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return the area that a box shares with others."""
    sides = np.minimum(box[1], others[:, 1]) - np.maximum(box[0], others[:, 0])
    return float(sides.clip(min=0).prod(1).sum())


def _draw_bars(axes: Axes, result: LabelFlows) -> None:
    shown = np.argsort(-result.after, kind="stable")[:_BARS]
    rows = np.arange(len(shown))
    bars = [
        axes.barh(rows + shift, 100 * counts[shown] / len(result.source), 0.38, color=colour)
        for counts, colour, shift in ((result.after, VERMILION, -0.2), (result.before, GREY, 0.2))
    ]
    axes.set_yticks(
        rows, [class_label(result.class_names, int(label), _LETTERS) for label in shown]
    )
    axes.set_ylim(max(len(shown), 4) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("images with this label (%)")
    _add_legend(axes, bars, ["after", "before"])


def _add_legend(axes: Axes, handles: list[Any], labels: list[str]) -> None:
    axes.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize=6.5)


def _caption(result: LabelFlows, graph: Any) -> str:
    edges, sink = result.edges, result.top_sink
    before, after = result.entropy_before, result.entropy_after
    n, fooled = len(result.source), int(result.fooled.sum())
    said = [
        f"n = {n} images, {fooled} fooled ({percent(fooled / n)}); perturbation "
        f"{family(result.family).label}, {'l∞' if result.p == inf else f'l{result.p:g}'} norm "
        f"{number(result.norm)} input units, {'' if result.clipped else 'not '}clipped to the "
        f"bounds. Entropy of the labels {_entropy(before)} before, {_entropy(after)} after."
    ]
    if not (before.enough and after.enough):
        said.append(
            f"At least: too few images for {result.classes} classes; "
            f"{percent(before.unseen)} of them share their label with no other before, "
            f"{percent(after.unseen)} after."
        )
    if sink is not None:
        said.append(
            f"Top sink {class_label(result.class_names, sink.label)}: "
            f"{percent(sink.of_images.value)} of all images "
            f"({percent_interval(sink.of_images.interval)}), {percent(sink.of_fooled.value)} of "
            f"the fooled ({percent_interval(sink.of_fooled.interval)})."
        )
        said.append(f"{_classes(len(edges.source))} a fooled image")
        alone, tied = int((edges.images == 1).sum()), int(edges.tied.sum())
        said[-1] += f", {alone} of them no other image." if alone else "."
        if tied:
            said.append(f"Ties ({tied}) go to the lowest index.")
        left_out = _connected(result) - len(graph)
        said.append(f"Components: {result.components}.")
        if left_out:
            said.append(
                f"{_classes(left_out)} an edge but are left out; (+3): 3 of them lead there."
            )
    return " ".join(said)


def _classes(count: int) -> str:
    return "1 class has" if count == 1 else f"{count} classes have"


def _entropy(entropy: LabelEntropy) -> str:
    if not entropy.enough:
        return f"at least {number(entropy.plug_in)} bits"
    return f"{number(entropy.value)} bits ({number_interval(entropy.interval)})"
