"""Figures draw what the result holds, say it in words, and leave matplotlib as it was."""

import re
import warnings
from dataclasses import replace
from functools import cache
from math import inf
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

import figures
from analysis import (
    CapturedEnergy,
    FoolingRate,
    captured_energy,
    isotropic_null,
    singular_spectrum,
)
from analysis.algorithms import ALGORITHMS, family_name
from analysis.dimension import estimated_dimensions
from analysis.nulls import NULLS, marchenko_pastur_values
from analysis.results import CollectionResult, Examples, FoolingResult, SpectrumResult
from analysis.shared import shared_directions
from boundary.errors import InputError
from figures.family import LABELLED, family
from figures.formats import (
    class_label,
    cosine,
    math_text,
    number,
    percent,
    points,
    prose,
    sentence,
)
from figures.listed import DIMENSION_LABELS, NULL_LABELS
from figures.rates import ranked_rates
from figures.style import NULL_COLOURS, few_colours, figure_bytes, save_figure, set_subscripts
from made import curvature_result, shared_normals, transfer_result, universal_result

HOSTILE = ("<script>x()</script>", "$x$", r"\frac $", "cat & dog", "猫")
NORMS = (0.5, 1.0, 2.0, 4.0)
REFERENCE = 2.0
RANDOM = ("sphere", "subspace", "spectrum-matched", "untrained")
DRAWN = ("subspace", "spectrum-matched", "untrained", "sphere")
SINGLE = ("universal smooth_rate l2", "displacement sum", "displacement", "mean image")
DIMENSIONS = (1, 3, 10)
CURVATURE = (
    "plot_curvature",
    "plot_estimators",
    "plot_sections",
    "plot_maps",
    "plot_profile",
    "plot_causes",
    "plot_endpoints",
)


def unit_rows(
    count: int, dimension: int, strengths: NDArray[np.float64], seed: int = 0
) -> NDArray[np.float64]:
    """Return unit rows with a planted spectrum along the first coordinates, plus noise."""
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((count, dimension))
    rows[:, : len(strengths)] *= strengths
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@cache
def spectrum_result(
    strengths: tuple[float, ...] = (12.0, 6.0, 3.0), shape: tuple[int, int, int] = (3, 4, 5)
) -> SpectrumResult:
    dimension = int(np.prod(shape))
    rows = unit_rows(150, dimension, np.array(strengths))
    untrained = [unit_rows(40, dimension, np.array([20.0]), seed) for seed in (1, 2)]
    found = shared_directions(
        rows[:40],
        np.arange(40) % 3,
        (np.arange(40) + 1) % 3,
        shape,
        evaluated=rows[50:],
        directions=14,
        null_draws=8,
        splits=4,
        untrained=untrained,
        left_out=3,
        seed=5,
    )
    fitted = singular_spectrum(rows[:50], directions=10)
    return replace(found, energy=captured_energy(fitted, rows[50:]))


def fooling_rate(
    family: str, dimension: int, norm: float, share: float, *, clipped: bool, draws: int = 4
) -> FoolingRate:
    """Return a rate with exactly ``share`` of 50 images fooled by every draw."""
    fooled = np.tile(np.arange(50) < round(50 * share), (draws, 1))
    return FoolingRate(family, dimension, norm, clipped, fooled)


@cache
def fooling_result(
    subspace: tuple[float, ...] = (0.1, 0.4, 0.6, 0.9),
    sphere: tuple[float, ...] = (0.0, 0.1, 0.2, 0.5),
    draws: int = 4,
) -> FoolingResult:
    rates = []
    for norm, inside, outside in zip(NORMS, subspace, sphere, strict=True):
        for clipped in (True, False) if norm == REFERENCE else (False,):
            less = 0.04 if clipped else 0.0
            rates += [
                fooling_rate(family, R, norm, max(0, share - less), clipped=clipped, draws=draws)
                for family, R, share in (
                    ("sphere", 60, outside),
                    ("subspace", 10, inside),
                    ("spectrum-matched", 10, inside - 0.1),
                    ("untrained", 10, inside - 0.2),
                )
            ]
            rates += [
                fooling_rate(family, 60, norm, norm / 4 - place / 20, clipped=clipped, draws=1)
                for place, family in enumerate(SINGLE)
            ]
    rates += [
        fooling_rate("subspace", R, REFERENCE, 0.9 - R / 20, clipped=False, draws=draws)
        for R in DIMENSIONS[:-1]
    ]
    clean = np.linspace(0, 1, 3 * 60, dtype=np.float32).reshape(3, 3, 4, 5)
    examples = Examples(
        clean=clean,
        predictions=np.array([0, 1, 4]),
        perturbed=np.stack([clean, clean[::-1]]),
        perturbed_predictions=np.array([[2, 1, 4], [0, 1, 3]]),
        families=("subspace", "sphere $_a$"),
        norm=2.0,
    )
    return FoolingResult(
        rates=tuple(rates),
        shared=shared_normals(10),
        examples=examples,
        image_ids=tuple(f"image {place}" for place in range(50)),
        predictions=np.zeros(50, dtype=np.int64),
        labels=np.full(50, -1),
        class_names=HOSTILE,
        mean_image_norm=20.0,
        reference_norm=2.0,
        reference_dimension=10,
        noise_dimension=10,
        median_margin=0.7,
        seed=23,
    )


@cache
def collection_result(correct: int = 45) -> CollectionResult:
    status = np.array([0] * 30 + [1] * 10 + [2, 3, 4, 4])
    count = len(status)
    on_boundary = status <= 1
    return CollectionResult(
        images=500,
        classes=5,
        judged=50,
        correct=correct,
        mean_image_norm=20.0,
        choosing=np.arange(count) % 5 == 0,
        status=status,
        margin=np.where(on_boundary, np.linspace(0.1, 2, count), np.inf),
        alignment=np.where(on_boundary, np.linspace(1.0, 0.5, count), 0.0),
        residual=np.where(on_boundary, 1e-6, np.inf),
        source=np.zeros(count, dtype=np.int64),
        target=np.ones(count, dtype=np.int64),
        forward_passes=np.full(count, 12),
        backward_passes=np.full(count, 7),
        unreadable=("<img src=x>.png: cannot be read",),
    )


def settings() -> dict[str, object]:
    """Return matplotlib's settings; to ask for the backend would import pyplot."""
    return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}


@cache
def drawn(name: str) -> Figure:
    """Return what a function draws, once for all tests; it leaves the settings as they were."""
    result = {
        "plot_margins": collection_result,
        "plot_examples": fooling_result,
        "plot_families": fooling_result,
        "plot_universal": lambda: universal_result(HOSTILE),
        "plot_choice": universal_result,
        "plot_labels": lambda: universal_result(HOSTILE).labels[0],
        "plot_transfer": transfer_result,
        **dict.fromkeys(CURVATURE, curvature_result),
        "plot_fooling_norm": fooling_result,
        "plot_fooling_dimension": fooling_result,
    }.get(name, spectrum_result)
    before = settings()
    figure = getattr(figures, name)(result())
    assert isinstance(figure, Figure)
    assert settings() == before
    return figure


DRAWINGS = [name for name in figures.__all__ if name.startswith("plot_")]


def line(axes: Axes, label: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the data of the one line whose label starts with ``label``."""
    (found,) = [found for found in axes.lines if str(found.get_label()).startswith(label)]
    return np.asarray(found.get_xdata(orig=False)), np.asarray(found.get_ydata(orig=False))


def error_bars(axes: Axes) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return, by label, the points (P, 2) and the ends of their bars (P, 2)."""
    bars = {}
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer):
            data, _, ranges = container.lines
            ends = np.array([segment[:, 1] for segment in ranges[0].get_segments()])
            bars[str(container.get_label())] = (data.get_xydata(), ends)
    return bars


def texts(figure: Figure) -> str:
    """Return all visible text of a figure, its wrapped lines joined."""
    found = [item.get_text() for item in figure.findobj(Text) if item.get_visible()]
    return "\n".join(text.replace("\n", " ") for text in found if text).replace("\xa0", " ")


def test_png_files_have_few_colours_unless_that_shows() -> None:
    random = np.random.default_rng(0)
    for pixels, mode in (
        (np.zeros((4, 5, 3)), "P"),
        (random.integers(256, size=(60, 80, 3)), "RGB"),
    ):
        picture = few_colours(pixels.astype(np.uint8))
        assert picture.mode == mode
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), pixels)
    canvas = FigureCanvasAgg(drawn("plot_spectrum"))
    canvas.draw()
    shown = np.asarray(canvas.buffer_rgba())[..., :3]
    picture = few_colours(shown)
    assert picture.mode == "P"
    assert np.abs(np.asarray(picture.convert("RGB"), dtype=int) - shown).mean() < 0.5


@pytest.mark.parametrize("kind", ["pdf", "png", "svg"])
def test_a_figure_is_saved_whole_and_the_same_again(kind: str, tmp_path: Path) -> None:
    before = settings()
    for name in ("first", "second"):
        save_figure(drawn("plot_energy"), tmp_path / f"{name}.{kind}")
    assert settings() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"first.{kind}", f"second.{kind}"]
    assert (tmp_path / f"first.{kind}").read_bytes() == (tmp_path / f"second.{kind}").read_bytes()


def test_figures_use_neither_pyplot_nor_torch() -> None:
    sources = [path.read_text() for path in Path(figures.__file__).parent.glob("*.py")]
    assert len(sources) > 5
    assert not re.search(r"pyplot|import torch|from torch|rcParams", "".join(sources))


def test_the_style_of_the_caller_does_not_leak_in() -> None:
    plain = figure_bytes(drawn("plot_energy"), "svg")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "lines.linewidth": 9}):
        assert figure_bytes(figures.plot_energy(spectrum_result()), "svg") == plain


@pytest.mark.parametrize("name", DRAWINGS)
def test_axes_have_labels_and_no_text_is_tiny_or_leaves_the_page(name: str) -> None:
    figure = drawn(name)
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
    outside = [*figure.texts, *(text for legend in legends for text in legend.get_texts())]
    for axes in figure.axes:
        if not axes.axison:
            continue
        outside += [axes.xaxis.label, axes.yaxis.label]
        below = axes.get_shared_x_axes().get_siblings(axes)
        assert any(other.get_xlabel() for other in below) or axes.images
        beside = axes.get_shared_y_axes().get_siblings(axes)
        named = any(other.get_ylabel() for other in beside)
        named |= any(re.search("[a-z]{3}", tick.get_text()) for tick in axes.get_yticklabels())
        assert named or axes.images or axes.containers or not len(axes.get_yticks())
    for text in filter(Text.get_text, outside):
        box = text.get_window_extent()
        assert figure.bbox.padded(1).contains(box.x0, box.y0), text
        assert figure.bbox.padded(1).contains(box.x1, box.y1), text
    assert all(text.get_fontsize() >= 6 for text in figure.findobj(Text) if text.get_text())


def test_spectrum_draws_values_null_and_count() -> None:
    result = spectrum_result()
    figure = drawn("plot_spectrum")
    axes = figure.axes[0]
    index, values = line(axes, "normals")
    np.testing.assert_array_equal(index, np.arange(1, 41))
    np.testing.assert_array_equal(values, result.spectrum.singular_values)
    law = line(axes, "Marchenko–Pastur law")[1]
    np.testing.assert_array_equal(law, marchenko_pastur_values(40, 60))
    values = result.spectrum.singular_values
    assert [null.name for null in result.nulls] == list(NULLS)
    for null, draws in zip(result.nulls, (8, 8, 8, 2), strict=True):
        leading = null.leading(values)
        (band,) = (
            drawn
            for drawn in axes.collections
            if str(drawn.get_label()) == f"{NULL_LABELS[null.name]} ({draws}): {leading} above"
        )
        vertices = band.get_paths()[0].vertices
        low, high = null.band
        for place in (0, 7, 39):
            at_index = vertices[vertices[:, 0] == place + 1, 1]
            assert {at_index.min(), at_index.max()} == {low[place], high[place]}
        dots = [
            drawn.get_xydata().tolist()
            for drawn in axes.lines
            if drawn.get_color() == NULL_COLOURS[null.name]
        ]
        assert dots == ([[[leading, values[leading - 1]]]] if leading else [])
    assert result.isotropic.leading(values) >= 2
    said = texts(figure)
    for words in ("n = 40", "D = 60", "(8)", "Seed 5", "3 images without a usable normal"):
        assert words in said
    assert axes.get_xlabel() == "index of singular value"
    assert axes.get_ylabel() == "singular value (dimensionless)"


def test_dimensions_draw_every_definition_and_count() -> None:
    result = spectrum_result()
    left, right = drawn("plot_dimensions").axes
    rows = estimated_dimensions(result.spectrum, result.halves)
    ticks = [text.get_text() for text in left.get_yticklabels()]
    assert ticks == [DIMENSION_LABELS[name] for name in rows]
    drawn_at = [c.lines[0].get_xdata().item() for c in left.containers]
    assert drawn_at == [found.value for found in rows.values()]
    counts = [c.lines[0].get_xdata().item() for c in right.containers]
    values = result.spectrum.singular_values
    assert counts == [null.leading(values) for null in result.nulls]
    assert {text.get_text() for text in right.texts} == {str(count) for count in counts}
    assert "intervals from 8 random halves of 20 normals" in texts(drawn("plot_dimensions"))


def test_stability_draws_halves_and_random_subspaces() -> None:
    result = spectrum_result()
    left, right = drawn("plot_stability").axes
    shared = result.halves.overlaps.mean_squared_cosine
    np.testing.assert_array_equal(line(left, "two halves")[1], shared.mean(0))
    np.testing.assert_allclose(line(left, "R / D")[1], np.arange(1, 15) / 60)
    R, angles = line(right, "two halves")
    assert R[-1] == 14
    expected = np.degrees(np.median(result.halves.overlaps.angles(14)))
    assert angles[-1] == pytest.approx(expected)


def test_classes_draw_what_means_explain() -> None:
    result = spectrum_result()
    left, right = drawn("plot_classes").axes
    means = result.means
    rank = means.rank.mean()
    explained = line(left, f"span of {rank:.0f} pair means of the other half")[1]
    np.testing.assert_array_equal(explained, means.explained.mean(0))
    counts, ratios = line(right, "classes")
    np.testing.assert_array_equal(counts, result.by_source.counts)
    np.testing.assert_array_equal(ratios, result.by_source.participation_ratio)


def test_margins_of_a_linear_classifier_are_drawn() -> None:
    result = collection_result()
    rounded = np.where(np.arange(len(result.status)) % 2, 1.0, np.nextafter(1.0, 0.0))
    nearly = np.where(result.on_boundary, rounded, 0.0)
    alike = replace(result, alignment=nearly, margin=np.full(len(nearly), 0.5))
    for axes in figures.plot_margins(alike).axes[:2]:
        drawn_images = sum(bar.get_height() for bar in axes.patches)
        assert drawn_images == result.on_boundary.sum()


def test_spectrum_leaves_out_rounding_and_says_so() -> None:
    rows = unit_rows(30, 6, np.ones(6)) @ np.eye(6, 60)
    result = replace(
        spectrum_result(),
        spectrum=singular_spectrum(rows, directions=6),
        nulls=(isotropic_null(30, 60, draws=3),),
    )
    figure = figures.plot_spectrum(result)
    assert len(line(figure.axes[0], "normals")[0]) == 6
    assert "24 values below" in texts(figure)


def test_spectrum_of_noise_has_no_dot() -> None:
    null = isotropic_null(40, 60, draws=8)
    values = null.singular_values.mean(0)
    result = spectrum_result()
    flat = replace(result, spectrum=replace(result.spectrum, singular_values=values), nulls=(null,))
    figure = figures.plot_spectrum(flat)
    assert "random directions (8): 0 above" in texts(figure)
    assert not [drawn for drawn in figure.axes[0].lines if drawn.get_marker() == "o"]


def test_spectrum_of_many_values_is_thinned_to_true_values() -> None:
    count = 20_000
    values = np.linspace(3, 1, count)
    null = isotropic_null(30, 60, draws=2)
    wide = np.tile(np.linspace(2, 1, count), (2, 1))
    result = spectrum_result()
    big = replace(
        result,
        spectrum=replace(result.spectrum, singular_values=values, count=count, dimension=count),
        nulls=(replace(null, singular_values=wide, counts=np.full(2, count), dimension=count),),
    )
    index, shown = line(figures.plot_spectrum(big).axes[0], "normals")
    assert len(index) <= 3000
    assert index[-1] == count
    np.testing.assert_array_equal(shown, values[index.astype(int) - 1])


def test_energy_draws_held_out_in_sample_and_isotropic() -> None:
    result = spectrum_result()
    figure = drawn("plot_energy")
    axes = figure.axes[0]
    np.testing.assert_array_equal(line(axes, "held-out")[1], result.energy.mean)
    np.testing.assert_array_equal(line(axes, "in-sample (biased)")[1], result.energy.in_sample)
    np.testing.assert_allclose(line(axes, "R / D")[1], np.arange(1, 11) / 60)
    low, high = result.energy.interval()
    vertices = axes.collections[0].get_paths()[0].vertices
    assert vertices[:, 1].min() == low[0]
    assert vertices[:, 1].max() == high[-1]
    said = texts(figure)
    for words in ("n = 50", "100 held-out", "seed 5", "D = 60", "95 % interval"):
        assert words in said


@pytest.mark.parametrize("draws", [1, 4])
def test_fooling_by_norm_draws_every_rate_with_its_interval(draws: int) -> None:
    result = fooling_result(draws=draws)
    figure = figures.plot_fooling_norm(result)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    for title, clipped in (("not clipped", False), ("clipped", True)):
        bars = error_bars(panels[title])
        for place, name in enumerate(DRAWN):
            points_drawn, ends = bars[family(name).label]
            rates = [
                rate
                for rate in result.rates
                if (rate.family, rate.clipped) == (name, clipped)
                and rate.subspace_dimension in {10, 60}
            ]
            assert [rate.norm for rate in rates] == ([REFERENCE] if clipped else list(NORMS))
            where = [place if clipped else rate.norm for rate in rates]
            shown = list(zip(where, [rate.rate for rate in rates], strict=True))
            np.testing.assert_array_equal(points_drawn, shown)
            intervals = [(rate.interval.low, rate.interval.high) for rate in rates]
            np.testing.assert_allclose(ends, intervals, atol=1e-12)
    assert panels["not clipped"].get_ylabel() == "fooling rate (%)"
    assert panels["not clipped"].get_xlabel() == "norm of the perturbation (input units)"
    said = texts(figure)
    assert "seed 23" in said
    assert "50 images" in said


def test_fooling_fills_the_height_of_the_panel() -> None:
    result = fooling_result()
    shown = [r for r in result.rates if r.family in RANDOM and r.subspace_dimension in {10, 60}]
    top = max(rate.interval.high for rate in shown)
    low, high = drawn("plot_fooling_norm").axes[0].get_ylim()
    assert low < 0
    assert top < high < 1.1 * top


def test_fooling_by_norm_has_an_axis_in_percent_of_the_mean_image_norm() -> None:
    figure = drawn("plot_fooling_norm")
    axes = figure.axes[0]
    (share,) = axes.child_axes
    assert share.get_xlabel() == "% of the mean image norm"
    np.testing.assert_allclose(share.get_xlim(), np.array(axes.get_xlim()) * 100 / 20)


def test_fooling_by_dimension_draws_the_reference_norm_and_the_sphere() -> None:
    result = fooling_result()
    figure = drawn("plot_fooling_dimension")
    axes = figure.axes[0]
    rates, _ = error_bars(axes)["random in S_f"]
    np.testing.assert_allclose(rates, [(1, 0.84), (3, 0.76), (10, 0.6)], atol=0.011)
    (sphere,) = [r for r in result.rates if (r.family, r.norm, r.clipped) == ("sphere", 2.0, False)]
    assert set(line(axes, "random directions (sphere)")[1]) == {sphere.rate}
    assert "norm 2 input units, 10.0 % of the mean image norm" in texts(figure)
    assert axes.get_xlabel() == "R, dimension of the subspace"


def test_no_rates_cannot_be_drawn() -> None:
    with pytest.raises(InputError, match="at least one fooling rate"):
        figures.plot_fooling_norm(replace(fooling_result(), rates=()))


def test_all_families_are_drawn_at_the_reference_norm() -> None:
    result = fooling_result()
    figure = drawn("plot_families")
    (axes,) = figure.axes
    ticks = [text.get_text().replace("\n", " ") for text in axes.get_yticklabels()]
    for clipped, shift in ((False, -0.13), (True, 0.17)):
        for rate in ranked_rates(result, clipped):
            label = family(rate.family).label + (", R = 10" if rate.family == "subspace" else "")
            place = ticks.index(label) + shift
            shown = {
                tuple(bar.lines[0].get_xydata()[0])
                for bar in axes.containers
                if isinstance(bar, ErrorbarContainer)
            }
            assert any(np.allclose(at, (rate.rate, place)) for at in shown)
    assert len(axes.containers) == len(ranked_rates(result, False) + ranked_rates(result, True))
    assert "50 images that made nothing; up to 4 draws" in texts(figure)
    with pytest.raises(InputError, match="rates without clipping"):
        figures.plot_families(replace(result, rates=()))


def test_causes_are_shares_of_the_fooled_pairs_and_models_of_all() -> None:
    left, right = drawn("plot_causes").axes
    names = [text.get_text().replace("\n", ": ") for text in left.get_yticklabels()]
    assert names == [
        "universal (smooth rate): 40 of 50 pairs fooled",
        "S_f: 100 of 250 pairs fooled",
        "S_c: 150 of 750 pairs fooled",
        "matched noise: 50 of 250 pairs fooled",
        "random directions: 0 of 250 pairs fooled",
    ]
    shares = np.array([[bar.get_width() for bar in bars] for bars in left.containers])
    np.testing.assert_allclose(shares, [[0.5] * 4, [0.2] * 4, [0.2] * 4, [0.1] * 4], atol=1e-12)
    assert left.get_ylim() == right.get_ylim()
    bars = [found for found in right.containers if isinstance(found, ErrorbarContainer)]
    assert [found.get_label() for found in bars] == ["own plane", "planes", "planes and bending"]
    told = np.array([found.lines[0].get_xdata(orig=False) for found in bars])
    np.testing.assert_allclose(told[:, 0], [0.6, 0.76, 0.92])
    np.testing.assert_allclose(told[:, 2], [0.9, 0.94, 0.98])
    with pytest.raises(InputError, match="a family at least"):
        figures.plot_causes(replace(curvature_result(), causes=()))


def test_endpoints_draw_every_comparison_of_every_frame() -> None:
    test = curvature_result().test
    panels = drawn("plot_endpoints").axes
    drawn_at = []
    for axes in panels:
        bars = [found for found in axes.containers if isinstance(found, ErrorbarContainer)]
        assert [found.get_label() for found in bars] == [f"S_c, third {n}" for n in (1, 2, 3)]
        for found in bars:
            data, _, (ranges,) = found.lines
            ends = [segment[:, 0].tolist() for segment in ranges.get_segments()]
            drawn_at += list(zip(data.get_xdata(), *zip(*ends, strict=True), strict=True))
    rows = [(row.estimate, row.low, row.high) for row in test.rows]
    np.testing.assert_allclose(sorted(drawn_at), sorted(rows))
    ticks = [[text.get_text() for text in axes.get_yticklabels()] for axes in panels]
    assert ticks == [
        ["s = 0.35", "s = 1"],
        ["s = 0.35", "s = 1"],
        ["matched noise of S_c", "matched noise of S_f", "S_f"],
        ["planes alone"],
    ]
    least = [line(panels[place], "smallest effect")[0][0] for place in (0, 2, 3)]
    np.testing.assert_allclose(least, [0.05 / 0.7, 0.02, 0.01])


def test_the_choice_of_r_is_drawn_with_what_it_rests_on() -> None:
    choice = universal_result().choice
    figure = drawn("plot_choice")
    axes = figure.axes[0]
    rates, ends = error_bars(axes)["random in S_f"]
    np.testing.assert_allclose(rates, np.stack([choice.dimensions, choice.rate], axis=1))
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 2 * choice.error)
    assert line(axes, "R chosen: 10")[0].tolist() == [10, 10]
    noise = [one.get_ydata() for one in axes.lines if one.get_marker() == "^"]
    np.testing.assert_array_equal(noise, choice.noise)
    stated = replace(universal_result(), choice=replace(choice, stated=True))
    assert "R stated: 10" in texts(figures.plot_choice(stated))


def test_universal_perturbations_are_drawn_against_gradients_and_images() -> None:
    result = universal_result()
    figure = drawn("plot_universal")
    left, right = figure.axes
    for made in result.found:
        spent, watched = line(left, family(made.family).label)
        np.testing.assert_array_equal(spent, made.spent)
        np.testing.assert_array_equal(watched, made.watched)
    images, rates = line(right, "random in S_f")
    np.testing.assert_array_equal(images, [50, 100, 200, 390])
    np.testing.assert_allclose(rates, [0.2, 0.24, 0.3, 0.34])
    images, rates = line(right, "universal (smooth rate)")
    np.testing.assert_array_equal(images, [50, 100, 200, 400])
    assert rates[-1] == result.found[0].others[0].rate
    (alone,) = figures.plot_universal(replace(result, learning=())).axes
    assert "Right" not in texts(alone.figure)
    with pytest.raises(InputError, match=r"a universal perturbation\. Found none"):
        figures.plot_universal(replace(result, found=()))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_singular_vectors_are_scaled_symmetrically(channels: int) -> None:
    shape = (channels, 60 // channels // 5, 5)
    result = spectrum_result(shape=shape)
    figure = figures.plot_singular_vectors(result)
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 12
    for place, axes in enumerate(shown):
        image = np.asarray(axes.images[0].get_array())
        vector = result.spectrum.directions[place].reshape(shape)
        value = number(result.spectrum.singular_values[place])
        assert axes.get_title(loc="left") == f"{place + 1}:  σ = {value}"
        plane = vector.transpose(1, 2, 0) if channels == 3 else vector.mean(0)
        shares = 0.5 + 0.5 * plane / np.abs(plane).max()
        expected = shares if channels == 3 else colormaps["PuOr"](shares)[..., :3]
        np.testing.assert_allclose(image / 255, expected, atol=1 / 255)
    assert ("mid-grey" in texts(figure)) == (channels == 3)
    assert ("Mean of 2 channels" in texts(figure)) == (channels == 2)


def test_examples_mark_changed_predictions_without_colour_alone() -> None:
    figure = drawn("plot_examples")
    names = [axes.get_xlabel() for axes in figure.axes]
    frames = [axes.spines.left.get_visible() for axes in figure.axes]
    changed = [False] * 3 + [True, False, False] + [False, False, True]
    assert [name.startswith("→ ") for name in names] == changed
    assert frames == changed
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == [
        "clean",
        "random in S_f",
        "sphere $_a$",
    ]
    assert "Norm of every perturbation: 2 input units (10.0 %" in texts(figure)
    assert "seed 23" in texts(figure)


def test_hostile_class_names_stay_text() -> None:
    figure = drawn("plot_examples")
    labels = [axes.xaxis.label for axes in figure.axes]
    assert not any(label.get_parse_math() or label.get_usetex() for label in labels)
    said = [label.get_text() for label in labels]
    assert said[0].startswith("<script>")
    assert said[1] == "$x$"
    assert said[2] == "class 4"  # the font has no such letter
    assert said[3] == r"→ \frac $"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert b"<svg" in figure_bytes(figure, "svg")


def test_no_examples_cannot_be_drawn() -> None:
    result = fooling_result()
    none = replace(result.examples, clean=result.examples.clean[:0])
    with pytest.raises(InputError, match="images to draw"):
        figures.plot_examples(replace(result, examples=none))


def test_margins_count_only_points_on_the_boundary() -> None:
    result = collection_result()
    margins, alignment, status = drawn("plot_margins").axes
    assert sum(bar.get_height() for bar in margins.patches) == 40
    assert sum(bar.get_height() for bar in alignment.patches) == 40
    assert [bar.get_width() for bar in status.patches] == [30, 0, 10, 1, 1, 2]
    assert margins.get_xlabel() == "margin (input units)"
    median = float(np.median(result.margin[:40]))
    assert margins.get_title(loc="left") == f"median {number(median)} (dashed)"
    said = texts(margins.figure)
    assert "44 images" in said
    assert "40 points" in said


def test_margins_of_nothing_found_can_be_drawn() -> None:
    result = collection_result()
    lost = replace(result, status=np.full_like(result.status, 4))
    assert "0 points" in texts(figures.plot_margins(lost))


def test_energy_of_one_direction_can_be_drawn() -> None:
    energy = CapturedEnergy(np.full((5, 1), 0.2), np.array([0.3]), fitted=9, dimension=60)
    figure = figures.plot_energy(replace(spectrum_result(), energy=energy))
    assert line(figure.axes[0], "held-out")[1].item() == pytest.approx(0.2)


def test_symbols_are_drawn_with_a_subscript_and_texts_stay_what_they_are() -> None:
    figure = figures.plot_fooling_norm(fooling_result())
    texts = figure.legends[0].get_texts()
    (label,) = [text for text in texts if text.get_text().endswith("S_f")]
    assert label.get_text() == "random in S_f"
    figure.draw_without_rendering()
    wide = label.get_window_extent().width
    label.set_text("random in S_x")
    figure.draw_without_rendering()
    assert wide < 0.97 * label.get_window_extent().width
    assert math_text("S_f of $x$") == r"$\mathregular{S_f}$ of \$x\$"
    assert math_text("class $x$ of S_few") == ""


@pytest.mark.parametrize(
    "name", [r"x\S_c", r"S_f\S_c", r"\$ S_f", r"$\ S_f $", r"\frac S_f", "{S_f", "S_f^2_", "S_f$"]
)
def test_a_stranger_s_name_with_a_symbol_in_it_is_drawn(name: str) -> None:
    figure = Figure()
    figure.text(0.5, 0.5, name)
    set_subscripts(figure)
    figure.draw_without_rendering()


def test_prose_is_markup_of_a_text_and_never_of_a_stranger_s() -> None:
    assert prose("95 % of <b> in S_f") == "95\N{NO-BREAK SPACE}% of &lt;b&gt; in S<sub>f</sub>"
    assert prose("S_few, MS_f") == "S_few, MS_f"
    assert prose("give `--out`") == "give `--out`"
    assert sentence("give `--out <DIR>` in S_f") == (
        "give <code>--out &lt;DIR&gt;</code> in S<sub>f</sub>"
    )
    caption = figures.plot_fooling_norm(fooling_result()).get_supxlabel()
    assert not re.search(r"\d[ \n]%", caption)


def test_families_have_looks_of_their_own() -> None:
    universal = [family_name(algorithm, *of) for algorithm in ALGORITHMS for of in ((2.0,), (inf,))]
    universal.append(family_name(ALGORITHMS[0], 2.0, inside=True))
    found = [family(name) for name in (*LABELLED, *universal, "file v")]
    looks = {(one.colour, one.marker, one.line) for one in found}
    assert len(looks) == len({one.label for one in found}) == len(found)
    others = {family(name).colour for name in LABELLED}
    assert not {family(name).colour for name in universal} & others
    greys = [np.dot(to_rgb(family(name).colour), (0.2126, 0.7152, 0.0722)) for name in RANDOM[1:3]]
    assert abs(greys[0] - greys[1]) > 0.2  # S_f and matched noise, printed in grey


def test_percentages_have_no_more_digits_than_they_need() -> None:
    axes = figures.plot_fooling_dimension(fooling_result()).axes[0]
    shown = [axes.yaxis.get_major_formatter()(value) for value in (0.0, 0.1, 0.025, -0.2)]
    assert shown == ["0", "10", "2.5", "\N{MINUS SIGN}20"]


def test_formats() -> None:
    assert number(0.012345) == "0.0123"
    assert number(123456) == "123456"
    assert number(-2) == "−2"
    assert number(float("inf")) == "not finite"
    assert percent(0.12345) == "12.3\xa0%"
    assert percent(0.0004) == "0.04\xa0%"
    assert points(0.1) == "+10.0"
    assert points(-0.1) == "−10.0"
    assert points(0.0) == "0.0"
    assert cosine(0.99997) == "0.999970"
    assert cosine(0.7) == "0.70"
    assert cosine(1.0) == "1"
    assert class_label(["a" * 50], 0, 10) == "a" * 9 + "…"
    assert class_label([], 7) == "class 7"
    assert class_label(["x", "  "], 1) == "class 1"
    assert class_label(["two\nlines"], 0) == "class 0"
