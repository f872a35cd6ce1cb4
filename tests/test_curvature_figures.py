"""Figures and numbers of curvature say what the result holds, and change with it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

import figures
from analysis.curvature_sweep import CurvatureCurve
from analysis.results import CurvatureResult
from boundary.errors import InputError
from figures.curves import ANCHOR_LABELS
from figures.family import family
from figures.maps import class_colours
from figures.sections import drawn_sections
from made import SCALES, curvature_result

Points = NDArray[np.float64]


@cache
def drawn(name: str) -> Figure:
    figure = getattr(figures, name)(curvature_result())
    assert isinstance(figure, Figure)
    return figure


def texts(figure: Figure) -> str:
    found = [item.get_text() for item in figure.findobj(Text) if item.get_visible()]
    return "\n".join(text.replace("\n", " ") for text in found if text).replace("\xa0", " ")


def panel(figure: Figure, title: str) -> Axes:
    (found,) = [axes for axes in figure.axes if axes.get_title(loc="left").startswith(title)]
    return found


def curve(result: CurvatureResult, *wanted: str) -> CurvatureCurve:
    (found,) = [
        curve
        for curve in result.curves
        if (curve.family, curve.anchor, curve.estimator, curve.surface) == wanted
    ]
    return found


def test_curves_of_every_family_are_drawn_at_every_anchor() -> None:
    result, figure = curvature_result(), drawn("plot_curvature")
    for anchor, points in (("nearest", 20), ("random", 4), ("image", 20)):
        axes = panel(figure, ANCHOR_LABELS[anchor])
        assert axes.get_title(loc="left").endswith(f"n = {points}")
        lines = {str(line.get_label()): line for line in axes.lines}
        for name in ("curved", "subspace", "spectrum-matched", "sphere"):
            own = curve(result, name, anchor, "values", "pair")
            shown = lines[family(name).short]
            np.testing.assert_array_equal(shown.get_xdata(), SCALES)
            np.testing.assert_array_equal(shown.get_ydata(), own.mean)
        assert axes.get_xscale() == "log"
        assert axes.get_yscale() == "asinh"
    assert not [
        axes for axes in figure.axes if axes.get_title(loc="left").startswith("boundary on")
    ]
    assert panel(figure, "nearest").get_ylabel() == "curvature (1 / input units)"


def test_bands_are_intervals_over_draws_and_points() -> None:
    own = curve(curvature_result(), "curved", "nearest", "values", "pair")
    low, high = np.array([(one.low, one.high) for one in own.intervals]).T
    assert (low < own.mean).all()
    assert (own.mean < high).all()
    axes = panel(drawn("plot_curvature"), "nearest")
    edges = [band.get_paths()[0].vertices[:, 1] for band in axes.collections]
    assert any(np.isclose(edge.min(), low.min()) for edge in edges)
    assert any(np.isclose(edge.max(), high.max()) for edge in edges)


def test_captions_of_curvature_say_what_was_measured() -> None:
    said = texts(drawn("plot_curvature"))
    for words in (
        "on the surface of the pair",
        "8 directions of a family at most",
        "n of 20 held-out images, seed 23",
        "95 % intervals of the mean, over draws and points",
        "scale at which S_c was made 1 (dashed), reference norm 2 (dash-dotted)",
        "Exactly zero, that is piecewise linear at the scale and not flat: 4.7 % at s = 0.5.",
    ):
        assert words in said
    same = texts(figures.plot_curvature(replace(curvature_result(), scale=2.0)))
    assert "scale at which S_c was made and reference norm 2 (dashed)" in same
    sections = texts(drawn("plot_estimators"))
    assert "count with a bound: 5.0 % at most (s = 2, nearest boundary point, " in sections
    assert "3 random directions of it" in sections


def test_marks_stand_where_the_result_says() -> None:
    axes = panel(drawn("plot_curvature"), "nearest")
    upright = [line for line in axes.lines if len(set(np.asarray(line.get_xdata()))) == 1]
    assert [(line.get_xdata()[0], line.get_linestyle()) for line in upright] == [
        (0.7, ":"),
        (1.0, "--"),
        (2.0, "-."),
    ]


def test_estimators_differ_in_line_and_surfaces_in_colour() -> None:
    axes = panel(drawn("plot_estimators"), "nearest")
    shown = {str(line.get_label()): line for line in axes.lines}
    labels = {
        f"{estimator}, {surface}"
        for estimator in ("values", "gradients", "normal sections")
        for surface in ("pair", "region")
    }
    assert labels <= set(shown)
    assert {shown[f"values, {surface}"].get_color() for surface in ("pair", "region")} == {
        shown[f"normal sections, {surface}"].get_color() for surface in ("pair", "region")
    }
    assert [shown[f"{e}, pair"].get_linestyle() for e in ("values", "gradients")] == ["-", "--"]
    section = curve(curvature_result(), "curved", "nearest", "section", "pair")
    np.testing.assert_array_equal(shown["normal sections, pair"].get_ydata(), section.mean)
    image = panel(drawn("plot_estimators"), "the image itself")
    assert "normal sections, pair" not in {str(line.get_label()) for line in image.lines}


def test_what_is_not_there_cannot_be_drawn() -> None:
    result = curvature_result()
    with pytest.raises(InputError, match="curves to draw"):
        figures.plot_curvature(replace(result, curves=()))
    for draw in (figures.plot_sections, figures.plot_maps, figures.plot_profile):
        with pytest.raises(InputError, match="Found n"):
            draw(replace(result, sections=(), maps=(), profiles=()))


def lines_of(axes: Axes) -> dict[str, list[tuple[Points, Points]]]:
    """Return the points of every line, by its colour."""
    found: dict[str, list[tuple[Points, Points]]] = {}
    for line in axes.lines:
        points = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        found.setdefault(str(line.get_color()), []).append(points)
    return found


def test_the_boundary_is_drawn_above_every_image() -> None:
    figure = drawn("plot_sections")
    titles = [axes.get_title(loc="left").replace("\xa0", " ") for axes in figure.axes]
    assert titles == [
        f"{space}, n = 6, censored 2.1 %"
        for space in ("S_c", "S_f", "matched noise", "random directions")
    ]
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}) == 1
    (own,) = [sections for sections in curvature_result().sections if sections.family == "curved"]
    drawn_lines = lines_of(panel(figure, "S_c"))[family("curved").colour]
    *each, (offsets, median) = drawn_lines
    assert len(each) == 6
    for (_, height), margin in zip(each, own.margin, strict=True):
        assert height[4] == margin  # straight above the image
    assert np.isnan(each[0][1][-1])
    assert not np.isnan(each[1][1]).any()
    np.testing.assert_allclose(each[1][1], own.margin[1] - 0.1 * offsets**2)
    np.testing.assert_allclose(median[:-1], np.median(own.margin) - 0.1 * offsets[:-1] ** 2)
    said = texts(figure)
    assert "upwards is out of the source region" in said
    assert "Not divided by the margin (median 0.75)" in said
    assert "surface of the pair, seed 23" in said


def test_sections_of_a_universal_perturbation_stand_in_for_noise() -> None:
    result = curvature_result()
    left = tuple(one for one in result.sections if one.family != "spectrum-matched")
    names = [one.family for one in drawn_sections(replace(result, sections=left))]
    assert names == ["curved", "subspace", "universal smooth_rate l2", "sphere"]


def test_maps_show_the_source_class_in_grey_and_a_class_in_one_colour() -> None:
    figure = drawn("plot_maps")
    pictures = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    for picture in pictures:
        np.testing.assert_allclose(picture[10, 10], to_rgb("#e8e8e8"))
        np.testing.assert_array_equal(picture[18], pictures[0][18])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["class of the image", "class 5", "class 7"]
    shown = dict(zip(labels, figure.legends[0].get_patches(), strict=True))
    np.testing.assert_allclose(pictures[0][18, 2], shown["class 5"].get_facecolor()[:3])
    np.testing.assert_allclose(pictures[0][18, 18], shown["class 7"].get_facecolor()[:3])
    said = texts(figure)
    assert "image 1, class 0: 76.2 %" in said
    assert "image 2, class 3: 76.2 %" in said
    assert "21 × 21 points to 4 input units" in said


def test_classes_without_a_colour_are_one() -> None:
    result = curvature_result()
    classes = np.zeros((21, 21), dtype=np.int64)
    classes[12:] = np.arange(21) // 2 + 1
    many = replace(result.maps[0], classes=classes, source=0)
    assert len(class_colours([many])) == 7
    assert "other classes" in texts(figures.plot_maps(replace(result, maps=(many,))))


def test_the_profile_is_drawn_with_both_ends_and_its_tail_is_told() -> None:
    result, figure = curvature_result(), drawn("plot_profile")
    left, middle = figure.axes
    lines = {str(line.get_label()): line for line in left.lines}
    for profile in result.profiles:
        shown = lines[f"principal curvatures at s = {profile.scale:g}"]
        assert np.isnan(np.asarray(shown.get_ydata())[5])  # between both ends
        np.testing.assert_array_equal(np.delete(shown.get_ydata(), 5), profile.average)
    shared = [np.asarray(line.get_ydata()) for line in middle.lines]
    (own, _) = [line for line in shared if len(line) == 11]
    np.testing.assert_array_equal(np.delete(own, 5), result.profiles[0].sharing)
    assert left.get_xlabel() == "5 largest, then 5 smallest"
    assert "those at both ends, parted by the dotted line, of D − 1 = 59" in texts(figure)
