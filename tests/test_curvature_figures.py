"""Figures and sentences of curvature say what the result holds, and change with it."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from numpy.typing import NDArray

import figures
from analysis.curvature_sweep import CurvatureCurve
from analysis.curved_classes import ClassCurvature
from analysis.hypothesis import CONTRADICTED, HALVES, NOT_SUPPORTED, SUPPORTED
from analysis.results import CurvatureResult
from boundary.errors import InputError
from figures import Finding
from figures.curvature_findings import curvature_findings
from figures.curvature_tables import curvature_numbers, curved_rows, rows_of_test
from figures.curves import ANCHOR_LABELS, family_colours, mean_interval, space_label
from figures.formats import drawable
from figures.maps import class_colours
from figures.rates import family_label
from figures.sections import drawn_sections
from figures.verdicts import row_label, told_rows
from made import OTHER_MODEL, SCALES, curvature_result

Points = NDArray[np.float64]


@cache
def drawn(name: str) -> Figure:
    figure = getattr(figures, name)(curvature_result())
    assert isinstance(figure, Figure)
    return figure


@cache
def turned() -> CurvatureResult:
    """Return the result with every sign turned, and an S_c that fools little."""
    return curvature_result((1.0, 0.0, -1.0), 0.05, 0.05)


def finding(name: str, result: CurvatureResult) -> Finding:
    (found,) = [found for found in curvature_findings(result) if found.name == name]
    return replace(found, sentence=found.text.replace("\xa0", " "), details="")


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
        for family in ("curved", OTHER_MODEL, "subspace", "spectrum-matched", "sphere"):
            own = curve(result, family, anchor, "values", "region")
            shown = lines[space_label(family)]
            np.testing.assert_array_equal(shown.get_xdata(), SCALES)
            np.testing.assert_array_equal(shown.get_ydata(), own.mean)
        assert axes.get_xscale() == "log"
        assert axes.get_yscale() == "asinh"
    assert not [
        axes for axes in figure.axes if axes.get_title(loc="left").startswith("boundary on")
    ]
    assert panel(figure, "nearest").get_ylabel() == "curvature (1 / input units)"


def test_bands_are_intervals_over_draws_and_points() -> None:
    own = curve(curvature_result(), "curved", "nearest", "values", "region")
    low, high = mean_interval(own)
    assert (low < own.mean).all()
    assert (own.mean < high).all()
    axes = panel(drawn("plot_curvature"), "nearest")
    edges = [band.get_paths()[0].vertices[:, 1] for band in axes.collections]
    assert any(np.isclose(edge.min(), low.min()) for edge in edges)
    assert any(np.isclose(edge.max(), high.max()) for edge in edges)


def test_captions_of_curvature_say_what_was_measured() -> None:
    said = texts(drawn("plot_curvature"))
    for words in (
        "on the surface of the region",
        "8 directions of a family at most",
        "n of 20 held-out images, seed 23",
        "95 % intervals of the mean, bootstrap over draws and points",
        "median margin 0.7 (dotted), scale at which S_c was made and reference norm 2 (dashed)",
        "Exactly zero, that is piecewise linear at the scale and not flat: 2.3 % at s = 0.5.",
        drawable(space_label(OTHER_MODEL)),
    ):
        assert words in said
    apart = texts(figures.plot_curvature(replace(curvature_result(), scale=1.0)))
    assert "scale at which S_c was made 1 (dashed), reference norm 2 (dash-dotted)" in apart
    sections = texts(drawn("plot_estimators"))
    assert "count with a bound: 5.0 % at most (s = 2, nearest boundary point, " in sections
    assert "3 random directions of it" in sections


def test_marks_stand_where_the_result_says() -> None:
    result = replace(curvature_result(), scale=1.0)
    axes = panel(figures.plot_curvature(result), "nearest")
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


def test_what_s_c_keeps_on_other_images_is_drawn() -> None:
    result = curvature_result()
    learning, directions, fooling = drawn("plot_curved").axes
    lines = {str(line.get_label()): line for line in learning.lines}
    np.testing.assert_array_equal(lines["in the sample"].get_ydata(), [0.9, 0.7, 0.6])
    held_out = [learned.held_out.mean() for learned in result.learning]
    np.testing.assert_allclose(lines["held-out images"].get_ydata(), held_out)
    bars = {str(bar.get_label()): bar for bar in directions.containers}
    *ends, _ = result.subspaces  # the reference mode has another unit
    assert set(bars) == {space_label(subspace.family) for subspace in ends}
    for subspace in ends:
        points = bars[space_label(subspace.family)].lines[0].get_xydata()
        np.testing.assert_allclose(points[:, 0], subspace.values)
        np.testing.assert_allclose(points[:, 1], subspace.held_out.mean(0))
    dashed = [float(line.get_ydata()[0]) for line in directions.lines if line.get_ls() == "--"]
    means = [subspace.held_out.mean() for subspace in result.subspaces]
    np.testing.assert_allclose(sorted(dashed), sorted(means))
    rates = {
        str(bar.get_label()): bar.lines[0].get_xydata()
        for bar in fooling.containers
        if isinstance(bar, ErrorbarContainer)
    }
    assert set(rates) == {
        "S_c",
        "S_c (eigenvectors)",
        "negative eigenvectors",
        "flattest eigenvectors",
        "S_c (reference)",
        "S_f",
        "spectrum-matched noise",
    }
    expected = {
        rate.subspace_dimension: rate.rate
        for rate in result.rates
        if (rate.family, rate.norm) == ("curved", 2.0)
    }
    assert dict(rates["S_c"]) == expected
    (sphere,) = [line for line in fooling.lines if line.get_label() == "random directions"]
    (rate,) = [r for r in result.rates if (r.family, r.norm) == ("sphere", 2.0)]
    assert set(sphere.get_ydata()) == {rate.rate}
    said = texts(drawn("plot_curved"))
    for words in (
        "R = 4, made at s = 2 (input units) on the surface of the region, 40 images",
        "held-out at n = 20 nearest boundary points; seed 23",
        "The reference mode's own values, in other units, are not drawn.",
        "norm 2 (input units), not clipped, 4 draws of a family on 50 held-out images",
    ):
        assert words in said


def cells(figure: Figure) -> list[tuple[str, float, tuple[float, ...]]]:
    """Return row label, scale and colour of every cell of the upper block."""
    axes = figure.axes[0]
    rows = [tick.get_text() for tick in axes.get_yticklabels()]
    columns = [float(tick.get_text()) for tick in axes.get_xticklabels()]
    patches = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [
        (
            rows[round(patch.get_y() + 0.44)],
            columns[round(patch.get_x() + 0.47)],
            to_rgba(patch.get_facecolor()),
        )
        for patch in patches
    ]


def test_verdicts_are_told_by_mark_word_and_colour() -> None:
    figure = drawn("plot_verdicts")
    shown = {
        text.get_text().split("  ")[1]: patch.get_facecolor()
        for text, patch in zip(
            figure.legends[0].get_texts(), figure.legends[0].get_patches(), strict=True
        )
    }
    assert list(shown) == [SUPPORTED, NOT_SUPPORTED, CONTRADICTED]
    found = {(row, scale): colour for row, scale, colour in cells(figure)}
    for scale, word in zip(SCALES, (CONTRADICTED, NOT_SUPPORTED, SUPPORTED), strict=True):
        assert found["1  positive curvature, nearest", scale] == to_rgba(shown[word])
    marks = [text.get_text() for text in figure.axes[0].texts]
    assert {"✓", "○", "✗"} <= set(marks)
    counted = {text for text in marks if "/" in text}
    assert {"12− /12", "0 /12", "12+ /12"} <= counted
    said = texts(figure)
    assert f"corrected for {len(curvature_result().rows)} rows (Holm), is below 0.05" in said
    flipped = {(row, scale): c for row, scale, c in cells(figures.plot_verdicts(turned()))}
    assert flipped["1  positive curvature, nearest", 2.0] == to_rgba(shown[CONTRADICTED])


def test_verdicts_stand_at_the_scales_that_were_measured() -> None:
    verdicts = curvature_result().verdicts
    assert {verdict.scale for verdict in verdicts if verdict.item == 2} == set(SCALES)
    (halves,) = [verdict for verdict in verdicts if verdict.anchor == HALVES]
    assert (halves.verdict, halves.rows) == (SUPPORTED, 2)


def test_the_verdict_of_an_item_is_told_by_scale() -> None:
    found = finding("hypothesis_1", curvature_result())
    assert found.present is None
    assert (
        "at the nearest boundary point supported at scale 2, not supported at scale 1, "
        "contradicted at scale 0.5."
    ) in found.sentence
    row = told_rows(curvature_result(), 1)[0]
    assert (row.scale, row.estimator, row.surface) == (2.0, "values", "region")
    assert f"mean curvature along S_c {row.estimate:.3g} ({row.low:.3g} to" in found.sentence
    assert found.numbers["supported"] == 4  # the image itself, and once at the boundary
    assert found.numbers["contradicted"] == 1
    assert found.numbers["settings"] == 9
    assert "supported in 4 of 9 and contradicted in 1" in found.sentence
    other = finding("hypothesis_1", turned())
    assert (
        "supported at scale 0.5, not supported at scale 1, contradicted at scale 2."
    ) in other.sentence


def test_an_item_that_no_scale_supports_is_not_present() -> None:
    low = curvature_result((-1.0, -1.0, -1.0), 0.05, 0.05)
    found = finding("hypothesis_1", low)
    assert found.present is False
    assert "contradicted at scales 0.5, 1, 2" in found.sentence
    assert finding("curved", low).present is False
    assert "had no part in it is contradicted" in finding("curved", low).sentence


def test_items_of_fooling_and_of_other_models_are_told_by_norm() -> None:
    result = curvature_result()
    assert "supported at norm 2" in finding("hypothesis_3", result).sentence
    mirrored = finding("hypothesis_4", result)
    assert "not supported at norm 2" in mirrored.sentence
    assert "0.1 less the difference of the fooling rates of v and −v of S_c −" in mirrored.sentence
    assert "rank correlation" in finding("hypothesis_5", result).sentence
    other = finding("hypothesis_6", result).sentence
    assert f"along {space_label(OTHER_MODEL)}" in other
    assert "not supported at norms 1, 2" in other
    alone = replace(
        result,
        rows=tuple(row for row in result.rows if row.item != 6),
        verdicts=tuple(verdict for verdict in result.verdicts if verdict.item != 6),
    )
    assert "hypothesis_6" not in {found.name for found in curvature_findings(alone)}


def test_what_the_sign_depends_on_is_counted_with_an_example() -> None:
    found = finding("hypothesis_1_sign", curvature_result())
    surface = found.numbers["surface"]
    assert surface["settings"] == 21  # 3 scales, 3 estimators nearest, 2 elsewhere
    assert surface["sure"] == 6  # planted: scales 0.5 and 2, three estimators
    assert found.numbers["scale"]["sure"] == 6  # both surfaces, three estimators
    assert "nearest boundary point, pair, s = 2" in found.sentence
    steady = replace(
        curvature_result(),
        rows=tuple(
            replace(row, estimate=1.0, low=0.9, high=1.1) for row in curvature_result().rows
        ),
    )
    unchanged = finding("hypothesis_1_sign", steady)
    assert all(unchanged.numbers[name]["turned"] == 0 for name in ("anchor", "surface", "scale"))
    assert "with the estimator in 0 of 18 settings" in unchanged.sentence
    assert ", as " not in unchanged.sentence


def test_s_c_is_told_with_its_checks() -> None:
    result = curvature_result()
    found = finding("curved", result)
    assert found.present
    assert found.numbers["held_out"] == pytest.approx(0.3)
    for words in (
        "made from 40 images by ascent at the scale 2 on the surface of the region",
        "has mean curvature 0.6 in the sample; at 20 held-out nearest boundary points it is 0.3 (",
        "Two starts share 0.8 and two halves of the images 0.4 (mean squared cosine; with random "
        "phases 0.11), against R/D = 0.0667.",
    ):
        assert words in found.sentence
    operator = finding("curved_eigenvectors", result).sentence
    assert "asymmetry 0.3 and fails to be additive by 0.2" in operator
    reference = finding("curved_reference", result).sentence
    assert "step 0.25, pair, neither projected nor over the slope" in reference
    assert "Two starts" not in reference
    own = [row.own for row in curved_rows(result)]
    assert own == [pytest.approx(value) for value in (0.6, 0.6, -0.6, 0.006)] + [None]


def test_other_ends_of_the_spectrum_are_told_by_what_they_claim() -> None:
    name = "curved_negative_eigenvectors"
    found = finding(name, curvature_result())
    assert found.present is True
    assert found.numbers["held_out"] == pytest.approx(-0.22)
    assert (
        "Along the negative eigenvectors of the same operator (R = 4) mean curvature is −0.6 in "
        "the sample; at 20 held-out nearest boundary points it is −0.22 (95 % interval −0.24 to"
    ) in found.sentence
    away = "that the boundary bends away from images that had no part in them is"
    assert f"{away} supported." in found.sentence
    assert "asymmetry" not in found.sentence
    assert f"{away} contradicted." in finding(name, turned()).sentence
    assert finding(name, turned()).present is False
    level = curvature_result((-1.0, 0.0, 0.0))
    assert f"{away} not supported." in finding(name, level).sentence
    assert finding(name, level).present is False


def test_the_flattest_end_is_told_apart_from_zero_or_not() -> None:
    name, result = "curved_flattest_eigenvectors", curvature_result()
    found = finding(name, result)
    assert found.present is None
    assert found.sentence.endswith("region), which does not surely differ from 0.")
    for shift in (-0.1, 0.1):
        moved = tuple(
            replace(subspace, held_out=subspace.held_out + shift) for subspace in result.subspaces
        )
        bent = finding(name, replace(result, subspaces=moved))
        assert bent.sentence.endswith("region), which differs from 0.")
        assert bent.present is None


def test_fooling_of_s_c_is_told_beside_its_rivals_and_its_opposite() -> None:
    found = finding("curved_fooling", curvature_result())
    assert found.present
    assert "At the reference norm 2, not clipped, random vectors of S_c (R = 4)" in found.sentence
    assert f"fool {100 * found.numbers['rates']['curved']['rate']:.1f} % (" in found.sentence
    assert "points against spectrum-matched noise" in found.sentence
    assert "The opposite vectors, −v, fool 18.0 %" in found.sentence
    few = finding("curved_fooling", turned())
    assert few.present is False
    assert "not supported)" in few.sentence


def test_every_row_of_the_test_has_words_and_a_place() -> None:
    result = curvature_result()
    labels = {row_label(row) for row in result.rows}
    assert not any("{" in label or label.endswith("along ") for label in labels)
    assert "fooling rate of S_c, less that of S_f" in labels
    near, far = rows_of_test(result, nearest=True), rows_of_test(result, nearest=False)
    assert len(near) + len(far) == len(result.rows)
    assert {row.anchor for row in far} == {"random", "image"}
    numbers = curvature_numbers(result)
    assert len(numbers["curves"]) == len(result.curves)
    assert numbers["curves"][0]["mean"] == result.curves[0].mean.tolist()


def test_families_of_s_c_have_names_and_strangers_letters_are_drawn() -> None:
    assert family_label("curved") == "random in S_c"
    assert family_label("curved (eigenvectors)") == "random in S_c (eigenvectors)"
    assert space_label("curved of net (run)") == "S_c of net (run)"
    assert drawable("S_c of 猫") == "S_c of ?"
    assert drawable("a" * 30 + "b" * 20, 10) == "aaaaaa…bbb"


def test_what_is_not_there_cannot_be_drawn() -> None:
    result = curvature_result()
    with pytest.raises(InputError, match="curves to draw"):
        figures.plot_curvature(replace(result, curves=()))
    with pytest.raises(InputError, match="an S_c"):
        figures.plot_curved(replace(result, subspaces=()))
    with pytest.raises(InputError, match="rows of the test"):
        figures.plot_verdicts(replace(result, verdicts=()))


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
        for space in ("S_c", "S_f", "spectrum-matched noise", "random directions")
    ]
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}) == 1
    (own,) = [sections for sections in curvature_result().sections if sections.family == "curved"]
    drawn_lines = lines_of(panel(figure, "S_c"))[family_colours(["curved"])["curved"]]
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
    assert "surface of the region, seed 23" in said


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


def test_predicted_rates_stand_beside_measured_ones() -> None:
    result, figure = curvature_result(), drawn("plot_predicted")
    axes = panel(figure, "flat")
    points = lines_of(axes)[family_colours(["curved"])["curved"]]
    assert {
        (round(x, 9), round(y, 9)) for xs, ys in points for x, y in zip(xs, ys, strict=True)
    } == {(0.2, 0.4), (0.15, 0.3), (0.4, 0.8), (0.3, 0.6)}
    assert "error 18.8 points" in texts(figure)
    assert panel(figure, "curved, s = 2").texts[0].get_text().startswith("R² = 1\n")
    assert panel(figure, "shared curvature, s = 2")
    levels = {str(line.get_label()): line for line in panel(figure, "R² by scale").lines}
    for model in ("flat", "many planes", "curved", "shared curvature"):
        own = [quality.r_squared for quality in result.quality if quality.model == model]
        assert sorted(set(np.asarray(levels[model].get_ydata()).tolist())) == sorted(set(own))
    said = texts(figure)
    assert "12 rates over n = 20 images, seed 23" in said
    at = "at s = 2, the scale of S_c (dotted, last panel), not chosen by R²."
    assert f"Curvature by normal sections {at}" in said
    by_values = figures.plot_predicted(replace(result, predicted_by="values"))
    assert f"Curvature by values {at}" in texts(by_values)
    elsewhere = texts(figures.plot_predicted(replace(result, scale=1.2)))
    assert "Curvature by normal sections at s = 1, the one nearest that of S_c" in elsewhere


def test_without_curvature_the_planes_alone_predict() -> None:
    result, planes = curvature_result(), ("flat", "many planes")
    level = replace(
        result,
        predictions=tuple(row for row in result.predictions if row.model in planes),
        quality=tuple(quality for quality in result.quality if quality.model in planes),
    )
    figure = figures.plot_predicted(level)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["flat", "many planes"]
    assert "Curvature by" not in texts(figure)
    assert "predicted_curvature" not in {found.name for found in curvature_findings(level)}
    assert finding("predicted", level).numbers["best"] == "flat"
    assert "though no better than the mean rate would" in finding("predicted", level).sentence


def test_which_model_predicts_and_whether_curvature_adds_is_told() -> None:
    result = curvature_result()
    found = finding("predicted", result)
    assert found.numbers["best"] == "curved"
    assert "beside 12 measured on 20 images (S_c, S_f, random directions; norms 1, 2)" in (
        found.sentence
    )
    assert "curved (s = 2) R² = 1, off by 0.0 points on average" in found.sentence
    adds = finding("predicted_curvature", result)
    assert adds.present is True
    assert "Of 2 scales curved is better at 1, shared curvature at 1" in adds.sentence
    less = finding("predicted_curvature", replace(result, scale=1.0))
    assert less.present is None
    assert "curved at the norm predicts better" in less.sentence
    alone = [one for one in result.quality if one.model != "curved at the norm"]
    less = finding("predicted_curvature", replace(result, scale=1.0, quality=tuple(alone)))
    assert less.present is False
    assert "at s = 1, curved does not predict better" in less.sentence
    assert "Whether curvature by normal sections adds" in adds.sentence
    by_values = finding("predicted_curvature", replace(result, predicted_by="values"))
    assert "Whether curvature by values adds" in by_values.sentence


def with_rates(*rates: float) -> CurvatureResult:
    """Return the result with other rates at the norms of the theorems, known to 2 points."""
    result = curvature_result()
    pairs = zip(result.bounds, rates, strict=True)
    rows = [replace(row, measured=r, low=r - 0.02, high=r + 0.02) for row, r in pairs]
    return replace(result, bounds=tuple(rows))


def test_what_the_theorems_promise_is_told_kept_or_broken() -> None:
    found = finding("bounds", curvature_result())
    assert found.present is None
    for words in (
        "If all is flat, S_f (R = 4): 50.0 % at norm 9, measured 95.0 % (90.0 to 98.0 %), kept "
        "(20 images; 95 % intervals).",
        "If all is bent alike (curvature by normal sections), S_c (R = 4): 35.0 % at norm 3, "
        "measured 20.0 % (10.0 to 30.0 %), broken; 10.0 % at norm 2.5, measured 8.0 % (5.0 to "
        "12.0 %), open (20 images; 95 % intervals).",
        "Of 3 shares of images that the theorems of the ICLR 2018 paper promise random vectors to "
        "fool 1 are kept, 1 broken and 1 open, as the interval of what is measured holds them; a "
        "broken one means that its premise",
        "With the least curved 25.0 % of the pairs",
    ):
        assert words in found.sentence
    kept = finding("bounds", with_rates(0.9, 0.38, 0.5))
    assert kept.present is True
    assert "3 are kept, 0 broken and 0 open" in kept.sentence
    assert "a broken one" not in kept.sentence
    broken = finding("bounds", with_rates(0.3, 0.3, 0.07))
    assert broken.present is False
    assert broken.numbers["kept"] == 0
    assert "measured 30.0 % (28.0 to 32.0 %), broken" in broken.sentence


def test_a_curvature_that_is_not_positive_fails_the_premise() -> None:
    result = curvature_result()
    flat = replace(result, bounds=result.bounds[:1], dimension=10)
    found = finding("bounds", flat)
    assert "bent alike (" not in found.sentence
    assert "the least curved 25.0 % or 50.0 % or 75.0 % of the pairs" in found.sentence
    assert found.numbers["failing"] == [0.25, 0.5, 0.75]
    assert found.present is True
    unknown = finding("bounds", replace(flat, curves=()))
    assert unknown.numbers["failing"] == []
    assert "premise" not in unknown.sentence


def test_margins_within_subspaces_are_drawn_and_told_beside_the_law() -> None:
    result, figure = curvature_result(), drawn("plot_subspace_margins")
    (axes,) = figure.axes
    bars = {str(bar.get_label()).split(",")[0]: bar for bar in axes.containers}
    assert set(bars) == {"random subspaces", "S_c"}
    shown = bars["random subspaces"].lines[0].get_xydata()
    np.testing.assert_allclose(shown[:, 1], result.margins[0].median_ratio)
    (law,) = [line for line in axes.lines if str(line.get_label()).startswith("√(D/R)")]
    np.testing.assert_allclose(law.get_ydata(), np.sqrt(60 / np.array([2, 15])))
    label = "flat boundary, ≥ 90\xa0% of random subspaces"
    (band,) = [band for band in axes.collections if band.get_label() == label]
    edges = band.get_paths()[0].vertices
    for R, low, high in zip((2, 4, 15), *result.margins[0].bounds(0.05), strict=True):
        at = edges[edges[:, 0] == R, 1]
        assert (at.min(), at.max()) == (low, high)
    assert "with a probability of at least 90 % (NIPS 2016, theorem 1)" in texts(figure)
    alone = replace(result, margins=result.margins[1:], margin_families=("curved",))
    assert "flat boundary, ≥" not in texts(figures.plot_subspace_margins(alone))
    assert "n = 19 of 20 images that met the boundary in every subspace; D = 60" in texts(figure)
    found = finding("subspace_margins", result)
    assert found.present is True
    assert "an interval that holds the −1/2 of a flat boundary" in found.sentence
    assert "S_c: at R = 15 the ratio is 0.6" in found.sentence
    random, curved = (row["slope"] for row in found.numbers["rows"])
    assert (random, curved) == (pytest.approx(-0.5, abs=0.01), pytest.approx(-0.1, abs=0.01))


def test_the_profile_is_drawn_with_both_ends_and_its_tail_is_told() -> None:
    result, figure = curvature_result(), drawn("plot_profile")
    left, middle, _ = figure.axes
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
    found = finding("profile", result)
    assert found.present is None
    assert "Tail asymmetry of the 10 extreme principal curvatures at 8 nearest" in found.sentence
    assert "bends more towards the image than away" in found.sentence
    assert "bends more away from the image than towards it" in found.sentence
    assert finding("profile", replace(result, profiles=result.profiles[:1])).present is True


def test_detectors_are_drawn_and_told_with_their_chance_and_sign() -> None:
    result, figure = curvature_result(), drawn("plot_profile")
    axes = panel(figure, "detectors, n = 20 pairs")
    labels = {str(line.get_label()): line for line in axes.lines}
    (minimal,) = [label for label in labels if label.startswith("minimal, s = 2: AUC 0 (0 to")]
    false, true = result.detectors[0].roc
    np.testing.assert_array_equal(labels[minimal].get_xdata(), false)
    np.testing.assert_array_equal(labels[minimal].get_ydata(), true)
    assert "AUC 0.5 is chance (diagonal); below 0.5 perturbed images score lower" in texts(figure)
    found = finding("detector", result)
    assert found.present is None  # one tells them, one does not
    assert "calling negative scores perturbed is right in 100.0 % (" in found.sentence
    assert "AUC 0.5 (" in found.sentence
    assert "not surely told" in found.sentence
    assert "%), not surely more than chance" in found.sentence
    assert finding("detector", replace(result, detectors=result.detectors[:1])).present is True


def test_what_was_not_taken_has_no_plate_and_no_finding() -> None:
    result = curvature_result()
    empty = replace(
        result,
        predictions=(),
        quality=(),
        margins=(),
        margin_families=(),
        profiles=(),
        detectors=(),
        sections=(),
        maps=(),
        bounds=(),
        classes=(),
    )
    names = {"predicted", "predicted_curvature", "subspace_margins", "profile", "detector"}
    names |= {"bounds", "curved_classes"}
    assert names <= {found.name for found in curvature_findings(result)}
    assert not names & {found.name for found in curvature_findings(empty)}
    numbers = curvature_numbers(empty)
    assert not any(numbers[name] for name in ("quality", "margins", "profiles", "sections", "maps"))
    assert not any(numbers[name] for name in ("bounds", "classes"))
    for draw in (
        figures.plot_sections,
        figures.plot_maps,
        figures.plot_predicted,
        figures.plot_subspace_margins,
        figures.plot_profile,
        figures.plot_curved_classes,
    ):
        with pytest.raises(InputError, match="Found n"):
            draw(empty)
    assert len(figures.plot_profile(replace(result, detectors=())).axes) == 2
    assert len(figures.plot_profile(replace(result, profiles=())).axes) == 1


def of_classes(held_out: Points) -> CurvatureResult:
    """Return the result with other curvature along the S_c of single classes."""
    result = curvature_result()
    return replace(result, classes=(replace(result.classes[0], held_out=held_out),))


def many_classes(count: int) -> CurvatureResult:
    """Return the result with so many classes, two held-out images of each."""
    generator = np.random.default_rng(4)
    curved = ClassCurvature(
        classes=np.arange(count),
        images=np.full(count, 25),
        own=np.ones(count),
        directions=np.zeros((count, 4, 60)),
        held_out=generator.standard_normal((2 * count, count)) / 100,
        pooled=generator.standard_normal(2 * count) / 100,
        sources=np.arange(2 * count) % count,
        energy=np.full((count, count), 0.02) + 0.98 * np.eye(count),
    )
    return replace(curvature_result(), classes=(curved,))


def test_curvature_of_each_class_is_drawn_along_each_class_s_own_s_c() -> None:
    (curved,) = curvature_result().classes
    figure = drawn("plot_curved_classes")
    left, right = panel(figure, "mean curvature along S_c"), panel(figure, "what two S_c share")
    shown = np.asarray(left.images[0].get_array())
    for column, one in enumerate((0, 1, 3)):  # class 2 has no S_c
        own = curved.held_out[curved.sources == one].mean(0)
        np.testing.assert_allclose(shown[:, column], [*own, 0.2])
    assert left.images[0].norm.vmin == -np.abs(shown).max()
    assert left.images[0].norm.vmax == np.abs(shown).max()
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["0", "1", "3"]
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["0", "1", "3", "all"]
    told = [float(text.get_text().replace("−", "-")) / 10 for text in left.texts]
    np.testing.assert_allclose(told, shown.ravel(), atol=0.005)
    labels = {axes.get_xlabel() for axes in figure.axes}
    assert {"curvature (10⁻¹ / input units)", "mean squared cosine (10⁻¹)"} <= labels
    energy = np.ma.filled(right.images[0].get_array(), 0.0)
    np.testing.assert_array_equal(energy, curved.energy - np.eye(3))
    assert [text.get_text() for text in right.texts] == ["3.0", "1.0", "3.0", "2.0", "1.0", "2.0"]


def test_the_caption_of_classes_says_what_was_measured() -> None:
    said = texts(drawn("plot_curved_classes"))
    for words in (
        "S_c of R = 4 of each class alone, made by ascent from 20 to 30 images of it",
        "all: that of all classes together, 40 images",
        "by gradients at s = 2 (input units), surface of the region",
        "n = 15 held-out nearest boundary points, 5 a class, 5 of classes without an S_c left out",
        "R/D = 0.0667 for random subspaces",
        "Seed 23.",
    ):
        assert words in said


def test_a_class_without_held_out_images_has_no_column() -> None:
    result = curvature_result()
    sources = np.where(result.classes[0].sources == 3, 0, result.classes[0].sources)
    fewer = replace(result, classes=(replace(result.classes[0], sources=sources),))
    axes = panel(figures.plot_curved_classes(fewer), "mean curvature along S_c")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1"]
    assert np.asarray(axes.images[0].get_array()).shape == (4, 2)
    none = replace(result, classes=(replace(result.classes[0], sources=sources + 10),))
    with pytest.raises(InputError, match="held-out images"):
        figures.plot_curved_classes(none)
    assert "curved_classes" not in {found.name for found in curvature_findings(none)}
    assert curvature_numbers(none)["classes"][0]["held_out_classes"] == []


@pytest.mark.parametrize(("count", "told"), [(2, True), (12, True), (13, False), (60, False)])
def test_cells_of_few_classes_hold_their_values(count: int, told: bool) -> None:
    figure = figures.plot_curved_classes(many_classes(count))
    for title, rows in (("mean curvature", count + 1), ("what two", count)):
        axes = panel(figure, title)
        assert np.asarray(axes.images[0].get_array()).shape == (rows, count)
        assert bool(axes.texts) is told
        labels = [tick.get_text() for tick in axes.get_yticklabels()]
        assert len(labels) <= 21
        boxes = [tick.get_window_extent() for tick in axes.get_yticklabels()]
        assert all(above.y0 > below.y1 for above, below in pairwise(boxes))
        assert ("all" in labels) is (rows > count)


def test_whether_a_class_bends_more_along_its_own_s_c_is_told() -> None:
    (curved,) = curvature_result().classes
    found = finding("curved_classes", curvature_result())
    judged = np.isin(curved.sources, [0, 1, 3])
    own = curved.held_out[curved.sources[:, None] == curved.classes]
    others = (curved.held_out[judged].sum(1) - own) / 2
    assert found.numbers["own"].value == pytest.approx(own.mean())
    assert found.numbers["others"].value == pytest.approx(others.mean())
    assert found.numbers["pooled"].value == pytest.approx(0.2)
    assert found.numbers["difference"].value == pytest.approx((own - others).mean())
    assert found.numbers["points"] == 15
    assert found.present is True
    claim = "That the boundary of a class bends more along its own directions is"
    for words in (
        "S_c of each of 3 classes alone, R = 4, each by ascent from 20 to 30 images: at 15 held-",
        f"{own.mean():.3g} (",
        f"{claim} supported",
        "share 0.2 on average, 0.1 to 0.3 (mean squared cosine), against R/D = 0.0667",
    ):
        assert words in found.sentence
    less = finding("curved_classes", of_classes(-curved.held_out))
    assert f"{claim} contradicted" in less.sentence
    assert less.present is False
    noise = np.random.default_rng(1).standard_normal(curved.held_out.shape)
    unsure = finding("curved_classes", of_classes(noise))
    assert f"{claim} not supported" in unsure.sentence
    assert unsure.present is False


def test_own_and_other_directions_are_compared_in_pairs() -> None:
    (curved,) = curvature_result().classes
    easy = np.random.default_rng(2).standard_normal((20, 1)) * 10  # of the point, along all
    found = finding("curved_classes", of_classes(curved.held_out + easy))
    apart = found.numbers["own"].interval.low - found.numbers["others"].interval.high
    assert apart < 0
    assert found.present is True


def test_exact_curvature_is_drawn_and_told() -> None:
    result = curvature_result()
    curve = next(curve for curve in result.exact if curve.family == "curved")
    panel = figures.plot_estimators(result).axes[0]
    (line,) = [line for line in panel.lines if line.get_label() == "exact, pair"]
    assert line.get_ydata()[0] == pytest.approx(curve.mean[0])
    finding = next(f for f in curvature_findings(result) if f.name == "exact_curvature")
    assert f"{curve.mean[0]:.3g} along S_c" in finding.sentence.replace("\N{MINUS SIGN}", "-")
    assert "same sign in" in finding.sentence
    flat = [replace(one, curvature=0 * one.curvature) for one in result.exact]
    straight = replace(result, exact=tuple(flat))
    assert not [
        line
        for axes in figures.plot_estimators(straight).axes
        for line in axes.lines
        if line.get_label() == "exact, pair"
    ]
    finding = next(f for f in curvature_findings(straight) if f.name == "exact_curvature")
    assert "zero for 100.0\N{NO-BREAK SPACE}% of the pairs" in finding.sentence
    none = replace(result, exact=())
    assert "exact_curvature" not in {f.name for f in curvature_findings(none)}


def test_a_half_that_found_lesser_maxima_is_told() -> None:
    result = curvature_result()
    first = result.subspaces[0]
    assert "lesser" not in finding("curved", result).sentence
    own = np.array([[0.2, 0.19], [0.2, 0.04], [0.15, 0.08]])
    spoilt = replace(result, subspaces=(replace(first, halves_own=own), *result.subspaces[1:]))
    said = finding("curved", spoilt).sentence
    assert (
        "In 1 of 3 splits one half's directions have less than half the curvature of the other's "
        "in their samples (0.04 against 0.2)"
    ) in said
