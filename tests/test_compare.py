"""Runs side by side: known differences are found, no others are, and strangers' names stay text."""

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from analysis import FoolingRate, Subspace, wilson_interval
from analysis.comparisons import compare_all
from analysis.intervals import Estimate, difference_of_independent, median_estimate
from analysis.results import FoolingResult
from boundary import InputError
from figures.compared import ComparedRun, Comparison
from figures.compared_differences import (
    FamilyDifferences,
    differences_of,
    family_differences_of_runs,
    shared_subspaces,
)
from figures.compared_findings import comparison_findings
from figures.compared_rates import plot_compared_families, plot_compared_rates
from figures.compared_rows import Line, comparison_lines
from figures.compared_spectra import plot_compared_spectra
from figures.compared_subspaces import plot_compared_subspaces
from figures.comparison import write_comparison
from figures.families import plot_families
from figures.finding import Finding
from figures.run_results import RunResults
from made import curvature_result, report_left_out, universal_result
from pages import Tags, self_contained
from study.cli import main
from test_report import (
    HOSTILE,
    collection_result,
    fooling_result,
    numbers_in,
    refuse,
    spectrum_result,
)

NAMES = ("<script>x()</script>", r"a_b & 50 % \input{/etc/passwd} $x^2$", "=naïve 猫 #1 ~")


def made_run(
    name: str,
    subspace: tuple[float, ...] = (0.1, 0.5, 0.9),
    *,
    first: int = 0,
    seed: int = 23,
    model: str = "net",
) -> ComparedRun:
    """Return a run whose subspaces are spanned by axes from one on.

    Args:
        name: Its name.
        subspace: Fooling rates at the norms 1, 2 and 4.
        first: The axis.
        seed: Of the run.
        model: Its name.
    """
    spectrum = spectrum_result()
    directions = np.eye(48)[first : first + 12]
    return ComparedRun(
        name=name,
        model=model,
        weights="0" * 64,
        images="digits",
        directory=f"../{seed}",
        results=RunResults(
            collection_result(),
            replace(spectrum, spectrum=replace(spectrum.spectrum, directions=directions)),
            universal_result(HOSTILE),
            replace(fooling_result(subspace), seed=seed),
            curvature_result(),
            None,
        ),
    )


def judged_on(run: ComparedRun, fooling: FoolingResult) -> ComparedRun:
    return replace(run, results=replace(run.results, fooling=fooling))


def other_images(run: ComparedRun) -> ComparedRun:
    ids = tuple(f"other {name}" for name in run.results.fooling.image_ids)
    return judged_on(run, replace(run.results.fooling, image_ids=ids))


def in_units(run: ComparedRun, unit: float) -> ComparedRun:
    """Return a run on the same images in other units: every norm is multiplied."""
    fooling = run.results.fooling
    return judged_on(
        run,
        replace(
            fooling,
            rates=tuple(replace(rate, norm=unit * rate.norm) for rate in fooling.rates),
            mean_image_norm=unit * fooling.mean_image_norm,
            reference_norm=unit * fooling.reference_norm,
        ),
    )


def of_subspace(*runs: ComparedRun, equal: bool = False) -> FamilyDifferences:
    found = differences_of(Comparison(runs), "subspace", False, equal=equal)
    assert found is not None
    return found


def findings(*runs: ComparedRun) -> dict[str, Finding]:
    comparison = Comparison(runs)
    told = comparison_findings(comparison, comparison_lines(comparison))
    return {one.name: replace(one, sentence=one.sentence.replace("\xa0", " ")) for one in told}


def line(comparison: Comparison, key: str) -> Line:
    (found,) = [one for one in comparison_lines(comparison) if one.heading.key == key]
    return found


# Statistics


def test_the_interval_of_a_median_holds_whatever_the_law() -> None:
    random = np.random.default_rng(0)
    for count in (25, 100):
        held = []
        for _ in range(400):
            ends = median_estimate(random.exponential(size=count)).interval
            held.append(ends.low <= np.log(2) <= ends.high)
        assert 0.93 <= np.mean(held) <= 0.995
    few = median_estimate([3.0, 1.0, 2.0])
    assert (few.value, few.interval.low, few.interval.high) == (2.0, 1.0, 3.0)
    assert median_estimate([1.0]).interval.low == 1.0


def test_the_difference_of_two_shares_is_newcombes() -> None:
    first, second = ((count / n, wilson_interval(count, n)) for count, n in ((56, 70), (48, 80)))
    found = difference_of_independent(Estimate(*first), Estimate(*second))
    assert found.value == pytest.approx(0.2)
    ends = found.interval.low, found.interval.high
    assert [round(end, 4) for end in ends] == [0.0524, 0.3339]  # Newcombe 1998, method 10 of (a)


def test_intervals_of_other_images_hold() -> None:
    """Two models that fool alike, on images of their own: 0 lies in 95 % of the intervals."""
    random = np.random.default_rng(0)
    held = []
    for _ in range(100):
        rates = [
            FoolingRate("sphere", 4, 1.0, False, random.normal(size=(1, 150)) > norm.ppf(0.7))
            for _ in range(3)
        ]
        held.append(all(pair.sign == 0 for pair in compare_all(rates, [0, 1, 1])))
    assert np.mean(held) >= 0.9
    few = replace(rates[0], fooled=rates[0].fooled[:, :10])
    compare_all([few, *rates[1:]], [0, 1, 1])
    with pytest.raises(InputError, match="the same images"):
        compare_all([few, *rates[1:]], [1, 1, 0])


def test_the_mean_squared_cosine_of_subspaces() -> None:
    axes = np.eye(6)
    assert Subspace(axes[:2]).mean_squared_cosine(Subspace(axes[:2])) == pytest.approx(1)
    assert Subspace(axes[:2]).mean_squared_cosine(Subspace(axes[2:4])) == pytest.approx(0)
    assert Subspace(axes[:2]).mean_squared_cosine(Subspace(axes[1:3])) == pytest.approx(0.5)


# What is found


def test_a_run_does_not_differ_from_itself() -> None:
    comparison = Comparison((made_run("a"), made_run("b")))
    found = family_differences_of_runs(comparison)
    assert {(one.family, one.clipped) for one in found} == {
        *((family, clipped) for family in ("sphere", "subspace") for clipped in (False, True)),
        ("spectrum-matched", False),
    }
    for pair in (pair for one in found for pair in one.pairs):
        assert (pair.sign, pair.difference, pair.paired) == (0, 0, True)
        assert pair.interval.low < 0 < pair.interval.high
    (shared,) = shared_subspaces(comparison)
    assert shared.shared == pytest.approx(1)
    assert shared.dimension == 5
    told = findings(*comparison.runs)
    assert told["fooling_equal"].present is False
    assert "The two are not shown to differ" in told["fooling_equal"].sentence
    assert told["subspaces"].present is None
    assert told["median_margin_share"].present is False
    assert told["participation_ratio"].present is False
    assert told["energy"].present is False


def test_subspaces_that_share_nothing() -> None:
    comparison = Comparison((made_run("a"), made_run("b", first=12)))
    (shared,) = shared_subspaces(comparison)
    assert shared.shared == pytest.approx(0, abs=1e-9)
    assert shared.random == pytest.approx(5 / 48)
    found = findings(*comparison.runs)["subspaces"]
    assert found.present is None
    assert "That is not more than any simulated pair" in found.sentence
    assert "at random R/D = 0.104" in found.sentence


def test_images_of_other_shapes_have_no_common_subspace() -> None:
    run = made_run("b")
    other = replace(
        run, results=replace(run.results, spectrum=replace(run.results.spectrum, image_shape=(48,)))
    )
    found = findings(made_run("a"), other)["subspaces"]
    assert (found.present, shared_subspaces(Comparison((made_run("a"), other)))) == (None, ())
    assert "are not compared" in found.sentence


def test_a_planted_difference_is_found_and_told_the_larger_first() -> None:
    runs = made_run("a"), made_run("b", (0.1, 0.9, 0.9))
    (pair,) = of_subspace(*runs).pairs
    assert pair.sign == -1
    assert pair.difference == pytest.approx(-0.4)
    found = findings(*runs)["fooling_equal"]
    assert found.present is True
    assert "fool 50.0 % in a" in found.sentence
    assert "It is more in b than in a (by +40.0 points" in found.sentence
    assert "in pairs, on the same images" in found.sentence
    assert "fooling" not in findings(*runs)  # its norm is the equal one
    margins = replace(runs[1].results.collection, margin=np.full(20, 5.0))
    wider = replace(runs[1], results=replace(runs[1].results, collection=margins))
    margin = findings(runs[0], wider)["median_margin_share"]
    assert "larger in b than in a" in margin.sentence


def test_of_many_runs_neighbours_and_the_ends_are_told() -> None:
    runs = [
        made_run(name, (0.1, share, 0.9))
        for name, share in zip("abcd", (0.3, 0.35, 0.4, 0.9), strict=True)
    ]
    sentence = findings(*runs)["fooling_equal"].sentence
    assert re.search(r"fool 90.0 % in d .* 40.0 % in c .* 35.0 % in b .* 30.0 % in a", sentence)
    assert "more in d than in c" in sentence
    assert "more in d than in a" in sentence
    assert "than in b (" not in sentence
    assert "for all 6 pairs together" in sentence
    three = findings(*runs[:2], runs[3])["fooling_equal"].sentence
    assert "Of pairs these differ: more in d than in a" in three
    assert "more in d than in b" in three


# Which images


def test_rates_on_the_same_images_differ_in_pairs() -> None:
    first, second = made_run("a"), made_run("b", (0.1, 0.6, 0.9))
    (paired,) = of_subspace(first, second).pairs
    (apart,) = of_subspace(first, other_images(second)).pairs
    assert (paired.paired, apart.paired) == (True, False)
    assert paired.difference == apart.difference
    paired_width, width = (pair.interval.high - pair.interval.low for pair in (paired, apart))
    assert paired_width < 0.7 * width
    sentence = findings(first, other_images(second))["fooling_equal"].sentence
    assert "as of independent samples: the images are not the same" in sentence


def test_a_rate_has_the_interval_of_its_own_run() -> None:
    comparison = Comparison((made_run("a"), made_run("b", (0.1, 0.3, 0.9))))
    found = differences_of(comparison, "subspace", False, equal=False)
    assert found is not None
    rates = comparison.rates("subspace", False, equal=False)
    assert found.intervals == tuple(rate.interval for rate in rates if rate)


def test_the_order_of_the_images_does_not_matter() -> None:
    first, second = made_run("a"), made_run("b", (0.1, 0.6, 0.9))
    order = np.random.default_rng(0).permutation(60)
    fooling = second.results.fooling
    shuffled = judged_on(
        second,
        replace(
            fooling,
            image_ids=tuple(fooling.image_ids[place] for place in order),
            rates=tuple(replace(rate, fooled=rate.fooled[:, order]) for rate in fooling.rates),
        ),
    )
    assert of_subspace(first, shuffled).pairs == of_subspace(first, second).pairs


def test_the_same_ids_of_other_pictures_or_labels_are_other_images() -> None:
    first, second = made_run("a"), made_run("b")
    fooling = second.results.fooling
    pictures = replace(fooling.examples, clean=fooling.examples.clean + 1)
    others = (
        judged_on(second, replace(fooling, examples=pictures)),
        judged_on(second, replace(fooling, labels=np.zeros(60, dtype=np.int64))),
        judged_on(
            replace(second, images="other"), replace(fooling, image_ids=fooling.image_ids[::-1])
        ),
    )
    for other in others:
        assert not of_subspace(first, other).pairs[0].paired
    three = Comparison((first, others[0], replace(second, name="c")))
    assert three.judged == (0, 1, 0)
    found = differences_of(three, "subspace", False, equal=False)
    assert found is not None
    assert [pair.paired for pair in found.pairs] == [False, True, False]


# Which norms


def test_an_equal_norm_is_one_of_the_mean_image_norm() -> None:
    comparison = Comparison((made_run("a"), in_units(made_run("b"), 255.0)))
    assert comparison.equal_norm is not None
    assert comparison.equal_norm.norms == pytest.approx((2.0, 510.0))
    assert comparison.equal_norm.share == pytest.approx(0.05)
    assert comparison.equal_is_reference


def test_other_reference_norms_are_compared_at_both() -> None:
    """2 and 4 are as near to the two reference norms: the smaller is taken."""
    first, second = made_run("a"), made_run("b", (0.1, 0.9, 0.6))
    far = judged_on(second, replace(second.results.fooling, reference_norm=4.0))
    comparison = Comparison((first, far))
    assert comparison.equal_norm is not None
    assert comparison.equal_norm.norms == (2.0, 2.0)
    assert not comparison.equal_is_reference
    told = findings(first, far)
    assert "(a: 2, 5.0 % of the mean image norm; b: 4, 10.0 %" in told["fooling"].sentence
    assert "These norms are not equal" in told["fooling"].sentence
    assert told["fooling"].present is None
    assert "At an equal norm (" in told["fooling_equal"].sentence
    assert "These norms" not in told["fooling_equal"].sentence
    assert told["fooling_equal"].present is True
    cell = line(comparison, "equal_subspace").cells[1]
    assert cell is not None
    assert cell.value == 0.9


def at_norms(run: ComparedRun, factor: float) -> ComparedRun:
    """Return a run that was tried at other norms of the same images."""
    fooling = run.results.fooling
    moved = tuple(replace(rate, norm=factor * rate.norm) for rate in fooling.rates)
    other = factor * fooling.reference_norm
    return judged_on(run, replace(fooling, rates=moved, reference_norm=other))


def test_without_a_common_norm_nothing_is_compared_at_one() -> None:
    runs = made_run("a"), at_norms(made_run("b"), 1.3)
    found = findings(*runs)["fooling_equal"]
    assert found.present is None
    assert "No two runs were tried at one norm" in found.sentence
    assert "The setting fooling.norms gives a run other norms" in found.sentence
    comparison = Comparison(runs)
    assert (comparison.equal_norm, comparison.left_out) == (None, ())


def test_a_run_of_other_norms_is_named_and_the_others_are_compared(tmp_path: Path) -> None:
    odd = at_norms(made_run("odd"), 1.3)
    comparison = Comparison((made_run("a"), odd, made_run("b", (0.1, 0.9, 0.9))))
    assert comparison.equal_norm is not None
    assert comparison.equal_norm.norms == (2.0, None, 2.0)
    assert comparison.left_out == ("odd",)
    assert not comparison.equal_is_reference
    (pair,) = of_subspace(*comparison.runs, equal=True).pairs
    assert (pair.first, pair.second, pair.sign) == ("a", "b", -1)
    found = findings(*comparison.runs)["fooling_equal"]
    assert found.present is True
    assert "At an equal norm (2, 5.0 % of the mean image norm)" in found.sentence
    assert found.sentence.endswith("Not tried at it, and left out: odd.")
    assert line(comparison, "equal_subspace").cells[1] is None
    write_comparison(comparison, tmp_path)
    for name in ("comparison.html", "comparison.tex"):
        assert "left out: odd" in (tmp_path / name).read_text()


def test_norms_are_equal_in_input_units_where_more_runs_share_one_so() -> None:
    """The first two share 5 % of the mean image norm, and three have 2 in common."""
    brighter = [
        judged_on(made_run(name), replace(fooling_result(), mean_image_norm=mean))
        for name, mean in (("c", 50.0), ("d", 70.0))
    ]
    runs = made_run("a"), in_units(made_run("b"), 1.5), *brighter
    for some, norms, share in ((runs, (2.0, None, 2.0, 2.0), None), (runs[:2], (2.0, 3.0), 0.05)):
        found = Comparison(some).equal_norm
        assert found is not None
        assert (found.norms, found.share) == (norms, share)


# Rows


def test_what_a_run_lacks_is_a_dash(tmp_path: Path) -> None:
    universal = universal_result()
    bare = made_run("b")
    bare = replace(bare, results=replace(bare.results, universal=replace(universal, found=())))
    comparison = Comparison((made_run("a"), bare))
    write_comparison(comparison, tmp_path)
    key = "universal_smooth_rate_l2"
    cells = line(comparison, key).cells
    assert cells[0] is not None
    assert cells[1] is None
    rows = list(csv.DictReader(StringIO((tmp_path / "comparison.csv").read_text())))
    assert {row["run"] for row in rows if row["quantity"] == "gradients spent"} == {"a"}
    page = (tmp_path / "comparison.html").read_text()
    assert re.search(r"universal \(smooth rate\)</td><td>.*?</td><td>–</td>", page)


def test_numbers_are_those_of_the_results() -> None:
    comparison = Comparison((made_run("a"), made_run("b")))
    rate = line(comparison, "rate_subspace").cells[0]
    assert rate is not None
    assert (rate.value, rate.n) == (0.5, 180)
    accuracy = line(comparison, "clean_accuracy").cells[1]
    assert accuracy is not None
    assert accuracy.interval == wilson_interval(45, 50)
    margin = line(comparison, "median_margin").cells[0]
    assert margin is not None
    assert margin.value == pytest.approx(0.85)
    assert "sphere" in line(comparison, "beyond_sphere").heading.label


def test_seeds_of_one_model_have_a_mean_and_a_range() -> None:
    runs = (
        made_run("a", (0.1, 0.4, 0.9), seed=1),
        made_run("other", model="another"),
        made_run("b", (0.1, 0.6, 0.9), seed=2),
    )
    comparison = Comparison(runs)
    assert comparison.seeds == ((0, 2),)
    (summary,) = line(comparison, "rate_subspace").seeds
    assert summary is not None
    assert summary.runs == ("a", "b")
    assert (summary.mean, summary.lowest, summary.highest) == pytest.approx((0.5, 0.4, 0.6))
    sentence = findings(*runs)["seeds_0"].sentence
    assert "a and b are of models called net, on digits, with seeds 1, 2 and the same weights" in (
        sentence
    )
    assert "50.0 % (40.0 to 60.0 %)" in sentence
    unknown = findings(replace(runs[0], weights=""), runs[2])["seeds_0"].sentence
    assert "weights that are not recorded" in unknown
    for setting in ("model", "seed", "dimension", "normals", "reference_norm"):
        assert line(comparison, setting).seeds == (None,)
    (accuracy,) = line(comparison, "clean_accuracy").seeds
    assert accuracy is not None
    assert accuracy.told_range("share") == "the same in each"


def test_runs_of_other_numbers_of_normals_are_no_difference_of_models() -> None:
    run = made_run("b")
    spectrum = run.results.spectrum
    more = replace(spectrum, spectrum=replace(spectrum.spectrum, count=90))
    found = findings(made_run("a"), replace(run, results=replace(run.results, spectrum=more)))
    for name in ("participation_ratio", "energy"):
        assert found[name].present is None
        assert "no difference of models" in found[name].sentence


# Files


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    """Return runs with hostile names, and the folder of their comparison."""
    folder = tmp_path_factory.mktemp("compared") / "new" / "comparison"
    runs = (
        made_run(NAMES[0], model="<b>{{ 7 * 7 }}</b>"),
        made_run(NAMES[1], (0.1, 0.9, 0.9), first=3),
        made_run(NAMES[2], seed=7),
    )
    comparison = Comparison(runs)
    write_comparison(comparison, folder)
    return comparison, folder


def test_the_page_is_self_contained_and_names_stay_text(
    written: tuple[Comparison, Path],
) -> None:
    path = written[1] / "comparison.html"
    page = self_contained(path)
    alts = [str(facts.get("alt")) for _, facts in page.tags]
    assert sum(alt.endswith(": described below") for alt in alts) == 4
    for name in (*NAMES, "<b>{{ 7 * 7 }}</b>"):
        assert name in page.text
    assert path.stat().st_size < 10_000_000


def test_numbers_are_strict_json(written: tuple[Comparison, Path]) -> None:
    comparison, folder = written
    numbers = json.loads((folder / "numbers.json").read_text(), parse_constant=refuse)
    assert all(np.isfinite(number) for number in numbers_in(numbers))
    assert numbers["runs"] == list(comparison.names)
    found = numbers["numbers"]
    assert found[NAMES[1]]["fooling rate/subspace/R 5/norm 2/p 2/not clipped"]["value"] == 0.9
    shared = found[f"{NAMES[0]} and {NAMES[1]}"]["squared cosine of two subspaces"]
    assert shared["value"] == pytest.approx(0.4)
    macros = (folder / "numbers.tex").read_text()
    assert "fooling rate/subspace/R 5/norm 2/p 2/not clipped}{0.900}{0.9}{90.0}" in macros
    names = {path.name for path in (folder / "figures").iterdir()}
    stems = ("spectra", "rates", "families", "subspaces")
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png", "csv")}


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex")
def test_the_latex_of_hostile_names_compiles(written: tuple[Comparison, Path]) -> None:
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "comparison"]
    for _ in range(2):
        done = subprocess.run(
            command, cwd=written[1], capture_output=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout[-2000:]
    said = (written[1] / "comparison.log").read_text(errors="replace")
    assert "undefined" not in said
    assert "Missing character" not in said


STRANGERS = (
    "<img src=x onerror=alert(1)>",
    "$$x$$",
    r"\frac{1}{$",
    "_hidden",
    r"x\S_c",
    "</script><b>`bold`</b>",
    "javascript:alert(1)",
)
"""Names that a browser, TeX or matplotlib may take for more than text."""


def of_strangers(name: str) -> ComparedRun:
    """Return a run whose own name, model, images, classes and families of files are strangers'."""
    run = made_run(name, model=STRANGERS[0])
    fooling = run.results.fooling
    files = tuple(
        replace(rate, family=f"file {stranger}")
        for rate in fooling.rates
        if rate.family == "sphere"
        for stranger in STRANGERS
    )
    results = replace(
        run.results,
        fooling=replace(fooling, rates=(*fooling.rates, *files), class_names=STRANGERS),
        universal=universal_result((*STRANGERS[:2], "<u>class</u>")),
    )
    return replace(run, images="<iframe src=//x.test>", results=results)


def test_figures_draw_the_names_of_strangers_as_they_are() -> None:
    """No name is typeset, and none is left out of a legend, as matplotlib does with `_x`."""
    runs = [of_strangers(name) for name in STRANGERS]
    compared = (plot_compared_spectra, plot_compared_rates, plot_compared_families)
    for figure in (
        plot_families(runs[0].results.fooling),
        *(draw(Comparison((*runs,))) for draw in compared),
    ):
        texts = [text for legend in figure.legends for text in legend.get_texts()]
        shown = [text.get_text().strip().removesuffix(" (file)") for text in texts]
        assert set(STRANGERS) <= set(shown)
        assert not any(text.get_parse_math() for text in texts if "S_f" not in text.get_text())
    *_, families = (draw(Comparison((*runs,))) for draw in compared)
    ticks = {label.get_text() for label in families.axes[0].get_yticklabels()}
    assert {"$$x$$ (file)", " _hidden (file)"} <= ticks


@pytest.mark.parametrize("count", [2, 8])
def test_figures_of_few_and_many_runs(count: int) -> None:
    comparison = Comparison(
        tuple(made_run(f"run {place} $", first=place) for place in range(count))
    )
    for draw in (
        plot_compared_spectra,
        plot_compared_rates,
        plot_compared_families,
        plot_compared_subspaces,
    ):
        figure = draw(comparison)
        legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
        assert legends in ([], list(comparison.names))


# The command


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two small runs of one model, of other seeds."""
    folder = tmp_path_factory.mktemp("side by side")
    small = ["--collect=60", "--evaluate=20", "--untrained=0", "--universal.gradients=200"]
    quick = ["--fooling.draws=2", "--spectrum.null_draws=2", "--spectrum.splits=2"]
    quick += ["--curvature.images=9", "--curvature.judge=6", "--curvature.steps=3"]
    with report_left_out():
        for seed in (0, 1):
            words = ["run", *small, *quick, f"--seed={seed}", "--out", str(folder / f"seed{seed}")]
            assert main([*words, "-q"]) == 0
    return folder


@pytest.fixture
def _inside(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(runs)
    yield
    shutil.rmtree(runs / "comparison", ignore_errors=True)


@pytest.mark.usefixtures("_inside")
def test_two_runs_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("seed*/*")}
    capsys.readouterr()
    assert main(["compare", "seed0", "seed1"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    assert "digits (seed0)" in said
    assert re.search(r"^  random in S_f .*\d \(.*\d \(", said, re.MULTILINE)
    assert said.endswith("comparison: comparison/comparison.html\n")
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("seed*/*")} == before
    numbers = json.loads(Path("comparison/numbers.json").read_text())
    assert len(numbers["numbers"]["digits (seed0)"]) > 300
    assert main(["compare", "seed0", "seed1", "--names", "one,two", "--out", "comparison"]) == 0
    assert "comparison" in capsys.readouterr().out
    page = Tags(Path("comparison/comparison.html").read_text(encoding="utf-8"))
    assert "one · two" in page.text


@pytest.mark.usefixtures("_inside")
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], "takes two run directories or more. Found none; name those to hold side by side"),
        (["seed0"], "Found one, `seed0`; name those to hold side by side, as in `boundary compare"),
        (["seed0", "./seed0"], "takes each run once. Found `seed0` twice"),
        (["seed0", "seed7"], "`seed7` holds no study"),
        (["seed0", "seed1", "--names", "a"], "as many as the runs, 2"),
        (["seed0", "seed1", "--names", "a,a"], "should differ from each other"),
        (["seed0", "seed1", "--out", "seed1/figures/x"], "outside of every run"),
        (["seed0", "seed1", "--out", "seed1"], "outside of every run"),
        (["seed0", "seed1", "--out", "file/x"], "Found a file, `file/x`"),
    ],
)
def test_what_cannot_be_compared_is_answered_in_a_sentence(
    words: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    said = refusal(capsys, *words)
    assert wanted in said
    assert not Path("comparison").exists()


@pytest.mark.usefixtures("_inside")
def test_a_comparison_of_other_runs_is_not_written_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree("seed1", "copy")
    assert main(["compare", "seed0", "seed1"]) == 0
    before = Path("comparison/comparison.html").read_bytes()
    wanted = "Found one of `seed0` and `seed1` in `comparison`; name another, or remove it."
    assert wanted in refusal(capsys, "seed0", "copy")
    assert wanted in refusal(capsys, "seed0", "seed1", "copy")
    assert Path("comparison/comparison.html").read_bytes() == before
    assert main(["compare", "./seed1", "seed0"]) == 0
    assert main(["compare", "seed0", "copy", "--out", "elsewhere"]) == 0
    for damaged in ("{", "[]", '{"directories": 1}'):
        Path("comparison/numbers.json").write_text(damaged)
        assert "runs that are not on record" in refusal(capsys, "seed0", "seed1")
    for made in ("copy", "elsewhere"):
        shutil.rmtree(made)


@pytest.mark.usefixtures("_inside")
def test_a_run_that_is_not_finished_is_named_with_the_way_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    half = tmp_path / "half"
    shutil.copytree("seed1", half)
    (half / "fooling.h5").unlink()
    said = refusal(capsys, "seed0", str(half))
    assert f"`{half}` lacks fooling: run `boundary fooling {half}` first." in said
    (half / "universal.h5").unlink()
    said = refusal(capsys, "seed0", str(half))
    assert f"run `boundary universal {half}`, then `boundary fooling {half}` first." in said
    shutil.copy("seed0/fooling.h5", half / "fooling.h5")
    shutil.copy("seed1/universal.h5", half / "universal.h5")
    assert "was made from another `universal.h5` than is there" in refusal(
        capsys, "seed0", str(half)
    )


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the one line that the command prints when it refuses its arguments."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(["compare", *words])
    assert left.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    return said
