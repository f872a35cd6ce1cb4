"""Figures for narrow screens: the same panels, below each other, within one column."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from test_figures import collection_result, fooling_result, spectrum_result

import figures
from figures.embedded import figure_uri
from figures.stacked import stack_panels
from figures.style import ONE_COLUMN
from made import curvature_result, transfer_result, universal_result


def stacked(figure: Figure, columns: int = 1) -> Figure:
    stack_panels(figure, columns)
    return figure


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.plot_spectrum(spectrum_result()),
        lambda: figures.plot_classes(spectrum_result()),
        lambda: figures.plot_stability(spectrum_result()),
        lambda: figures.plot_fooling_norm(fooling_result()),
        lambda: figures.plot_fooling_dimension(fooling_result()),
        lambda: figures.plot_families(fooling_result()),
        lambda: figures.plot_universal(universal_result()),
        lambda: figures.plot_choice(universal_result()),
        lambda: figures.plot_causes(curvature_result()),
        lambda: figures.plot_endpoints(curvature_result()),
        lambda: figures.plot_transfer(transfer_result()),
        lambda: figures.plot_margins(collection_result()),
        lambda: figures.plot_curvature(curvature_result()),
        lambda: figures.plot_sections(curvature_result()),
        lambda: figures.plot_maps(curvature_result()),
        lambda: figures.plot_profile(curvature_result()),
    ],
)
def test_panels_stand_below_each_other_and_nothing_is_cut(draw: object) -> None:
    assert callable(draw)
    figure = stacked(draw())
    assert figure.get_figwidth() == ONE_COLUMN
    panels = [axes for axes in figure.axes if axes.get_subplotspec()]
    boxes = [axes.get_window_extent() for axes in panels]
    for above, below in pairwise(boxes):
        assert above.y0 > below.y1
    assert min(box.width for box in boxes) > 0.3 * figure.bbox.width
    drawn = [axes.get_tightbbox() for axes in panels] + [
        legend.get_window_extent() for legend in figure.legends
    ]
    for box in drawn:
        assert box is not None
        assert box.x0 > -2
        assert box.x1 < figure.bbox.width + 2
        assert box.y0 > -2
        assert box.y1 < figure.bbox.height + 2


def test_each_panel_has_the_labels_that_it_shared() -> None:
    figure = stacked(figures.plot_curvature(curvature_result()))
    assert {axes.get_xlabel() for axes in figure.axes} == {"scale s (input units)"}
    assert {axes.get_ylabel() for axes in figure.axes} == {"curvature (1 / input units)"}
    for axes in figure.axes:
        assert any(label.get_visible() for label in axes.get_xticklabels())


def test_labels_come_from_the_row_and_the_column_of_a_panel() -> None:
    figure = Figure(layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    for row, line in enumerate(grid):
        line[0].set_ylabel(f"row {row}" + "!" * (1 - row))
        for axes in line:
            axes.plot([0, 1])
    for column in (0, 1):
        grid[0][column].set_title(f"column {column}", loc="left")
        grid[1][column].set_xlabel(f"below {column}")
    figure.draw_without_rendering()
    told = [
        (axes.get_title("left"), axes.get_xlabel(), axes.get_ylabel())
        for axes in stacked(figure).axes
    ]
    assert told == [
        (f"column {column}", f"below {column}", label)
        for label in ("row 0!", "row 1")
        for column in (0, 1)
    ]


def test_a_legend_keeps_its_words_and_markers() -> None:
    whole = figures.plot_fooling_norm(fooling_result())
    words = [text.get_text() for text in whole.legends[0].get_texts()]
    (legend,) = stacked(whole).legends
    assert [text.get_text() for text in legend.get_texts()] == words


def test_small_pictures_stay_beside_each_other() -> None:
    figure = stacked(figures.plot_singular_vectors(spectrum_result()), 3)
    tops = {round(axes.get_window_extent().y1) for axes in figure.axes}
    assert len(tops) == int(np.ceil(len(figure.axes) / 3))


def test_a_drawing_in_a_page_asks_for_nothing_and_says_nothing() -> None:
    uri = figure_uri(figures.plot_universal(universal_result()), "svg")
    assert uri.startswith("data:image/svg+xml,%3Csvg")
    assert not {'"', "<", ">", "&", "#", "\n"} & set(uri)
    assert "%3C!--" not in uri
    assert figure_uri(figures.plot_margins(collection_result()), "png").startswith(
        "data:image/png;base64,"
    )
