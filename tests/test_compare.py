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

from analysis import FoolingRate, Subspace
from analysis.comparisons import compare_all
from analysis.intervals import median_estimate
from analysis.results import FoolingResult
from boundary import InputError
from figures.compared import ComparedRun, Comparison, RunDifference
from figures.compared_figures import plot_compared_rates, plot_compared_spectra
from figures.comparison import comparison_findings, tables_by_run, write_comparison
from figures.families import plot_families
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


def of_subspace(*runs: ComparedRun) -> list[RunDifference]:
    return [pair for pair in Comparison(runs).differences if pair.family == "subspace"]


def said(*runs: ComparedRun) -> dict[str, str]:
    found = comparison_findings(Comparison(runs))
    return {one.name: one.sentence.replace("\xa0", " ") for one in found}


def rows(comparison: Comparison, title: str) -> dict[str, tuple[str, ...]]:
    """Return the cells of a table by the names of its rows."""
    (table,) = [one for one in tables_by_run(comparison) if one.title.startswith(title)]
    return {row[0]: tuple(cell.replace("\xa0", " ") for cell in row[1:]) for row in table.rows}


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
    found = comparison.differences
    assert {pair.family for pair in found} == {"sphere", "subspace", "spectrum-matched"}
    for pair in found:
        assert (pair.difference, pair.paired) == (0, True)
        assert pair.interval.low < 0 < pair.interval.high
    (shared,) = comparison.shared
    assert shared.shared == pytest.approx(1)
    assert shared.dimension == 5
    assert (
        ": no difference shown. The equal norm, in input units, is 2, 5.0 %"
        in (said(*comparison.runs)["rates"])
    )


def test_subspaces_that_share_nothing() -> None:
    (shared,) = Comparison((made_run("a"), made_run("b", first=12))).shared
    assert shared.shared == pytest.approx(0, abs=1e-9)
    assert shared.random == pytest.approx(5 / 48)
    sentence = said(made_run("a"), made_run("b", first=3))["subspaces"]
    assert "first R = 5 directions of two runs: a and b 0.4, random ones at most" in sentence


def test_images_of_other_shapes_have_no_common_subspace() -> None:
    run = made_run("b")
    other = replace(
        run, results=replace(run.results, spectrum=replace(run.results.spectrum, image_shape=(48,)))
    )
    assert Comparison((made_run("a"), other)).shared == ()
    assert "are not compared" in said(made_run("a"), other)["subspaces"]


def test_a_planted_difference_is_found() -> None:
    runs = made_run("a"), made_run("b", (0.1, 0.9, 0.9))
    (pair,) = of_subspace(*runs)
    assert pair.interval.high < 0
    assert pair.difference == pytest.approx(-0.4)
    sentence = said(*runs)["rates"]
    assert "fool 50.0 % in a" in sentence
    assert "a less b −40.0 (" in sentence


# Which images


def test_rates_on_the_same_images_differ_in_pairs() -> None:
    first, second = made_run("a"), made_run("b", (0.1, 0.6, 0.9))
    (paired,) = of_subspace(first, second)
    (apart,) = of_subspace(first, other_images(second))
    assert (paired.paired, apart.paired) == (True, False)
    assert paired.difference == apart.difference
    paired_width, width = (pair.interval.high - pair.interval.low for pair in (paired, apart))
    assert paired_width < 0.7 * width


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
    assert of_subspace(first, shuffled) == of_subspace(first, second)


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
        assert not of_subspace(first, other)[0].paired
    three = first, others[0], replace(second, name="c")
    assert Comparison(three).judged == (0, 1, 0)
    assert [pair.paired for pair in of_subspace(*three)] == [False, True, False]


# Which norms


def test_an_equal_norm_is_one_of_the_mean_image_norm() -> None:
    comparison = Comparison((made_run("a"), in_units(made_run("b"), 255.0)))
    assert comparison.equal_norms == pytest.approx((2.0, 510.0))
    assert comparison.equal_is_reference
    assert "is a: 2, 5.0 % of the mean image norm; b: 510, 5.0 %" in said(*comparison.runs)["rates"]


def test_other_reference_norms_are_compared_at_an_equal_one() -> None:
    """2 and 4 are as near to the two reference norms: the smaller is taken."""
    first, second = made_run("a"), made_run("b", (0.1, 0.9, 0.6))
    fooling = second.results.fooling
    noise = [rate for rate in fooling.rates if rate.family == "spectrum-matched"]
    rates = (*fooling.rates, *(replace(rate, norm=4.0) for rate in noise))
    far = judged_on(second, replace(fooling, rates=rates, reference_norm=4.0))
    comparison = Comparison((first, far))
    assert comparison.equal_norms == (2.0, 2.0)
    assert not comparison.equal_is_reference
    assert rows(comparison, "Fooling rates at the equal norm")["S_f"][1].startswith("90.0 %")
    assert rows(comparison, "Fooling rates at the reference")["S_f, not clipped"][1].startswith(
        "60.0 %"
    )
    (pair,) = of_subspace(first, far)
    assert pair.difference == pytest.approx(-0.4)


def at_norms(run: ComparedRun, factor: float) -> ComparedRun:
    """Return a run that was tried at other norms of the same images."""
    fooling = run.results.fooling
    moved = tuple(replace(rate, norm=factor * rate.norm) for rate in fooling.rates)
    other = factor * fooling.reference_norm
    return judged_on(run, replace(fooling, rates=moved, reference_norm=other))


def test_without_a_common_norm_nothing_is_compared_at_one(tmp_path: Path) -> None:
    comparison = Comparison((made_run("a"), at_norms(made_run("b"), 1.3)))
    assert (comparison.equal_norms, comparison.differences) == ((None, None), ())
    sentence = said(*comparison.runs)["rates"]
    assert "No two runs were tried at one norm" in sentence
    assert "`boundary fooling RUN --norms 0.5,1,2 --redo` tries others" in sentence
    write_comparison(comparison, tmp_path)


def test_a_run_of_other_norms_is_named_and_the_others_are_compared(tmp_path: Path) -> None:
    odd = at_norms(made_run("odd"), 1.3)
    comparison = Comparison((made_run("a"), odd, made_run("b", (0.1, 0.9, 0.9))))
    assert comparison.equal_norms == (2.0, None, 2.0)
    assert comparison.left_out == ("odd",)
    assert not comparison.equal_is_reference
    (pair,) = of_subspace(*comparison.runs)
    assert (pair.first, pair.second, pair.interval.sign) == ("a", "b", -1)
    assert said(*comparison.runs)["rates"].endswith("Not tried at it, and left out: odd.")
    assert rows(comparison, "Fooling rates at the equal norm")["S_f"][1] == "–"
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
    assert Comparison(runs).equal_norms == (2.0, None, 2.0, 2.0)
    assert Comparison(runs[:2]).equal_norms == (2.0, 3.0)


# Rows


def test_what_a_run_lacks_is_a_dash(tmp_path: Path) -> None:
    bare = made_run("b")
    fooling = bare.results.fooling
    rates = tuple(rate for rate in fooling.rates if rate.family != "sphere")
    bare = judged_on(bare, replace(fooling, rates=rates))
    comparison = Comparison((made_run("a"), bare, made_run("c")))
    (sphere,) = {
        cells
        for name, cells in rows(comparison, "Fooling rates at the reference").items()
        if name == "random directions, not clipped"
    }
    assert (sphere[0], sphere[1]) == (sphere[2], "–")
    write_comparison(comparison, tmp_path)
    table = list(csv.DictReader(StringIO((tmp_path / "comparison.csv").read_text())))
    pairs = {"a less b", "a less c", "b less c", "a and b", "a and c", "b and c"}
    assert {row["run"] for row in table} == {"a", "b", "c", *pairs}


def test_numbers_are_those_of_the_results() -> None:
    comparison = Comparison((made_run("a", seed=1), made_run("b", seed=2)))
    assert rows(comparison, "What was run")["seed"] == ("1", "2")
    answers = rows(comparison, "Answers")
    assert all(len(set(cells)) == 1 for cells in answers.values())
    assert answers["P1 bends"][0].count(" to ") == 1
    found = rows(comparison, "Boundary points")
    assert found["clean accuracy"][1] == "90.0 % (78.6 to 95.7 %)"  # Wilson, 45 of 50
    assert found["median margin"][0].startswith("0.85 (")
    assert rows(comparison, "Fooling rates at the reference")["S_f, not clipped"][0].startswith(
        "50.0 % ("
    )


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
    assert sum(alt.endswith(": described below") for alt in alts) == 2
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
    stems = ("spectra", "rates")
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
    families = plot_families(runs[0].results.fooling)
    compared = [draw(Comparison((*runs,))) for draw in (plot_compared_spectra, plot_compared_rates)]
    for texts in (
        families.axes[0].get_yticklabels(),
        *(
            [text for legend in figure.legends for text in legend.get_texts()]
            for figure in compared
        ),
    ):
        shown = [text.get_text().replace("\n", " ").strip() for text in texts]
        assert set(STRANGERS) <= {name.removesuffix(" (file)") for name in shown}
        assert not any(text.get_parse_math() for text in texts if "S_f" not in text.get_text())


@pytest.mark.parametrize("count", [2, 8])
def test_figures_of_few_and_many_runs(count: int) -> None:
    comparison = Comparison(
        tuple(made_run(f"run {place} $", first=place) for place in range(count))
    )
    for draw in (plot_compared_spectra, plot_compared_rates):
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
    assert re.search(r"^  P1 bends .*\d \(.*\d \(", said, re.MULTILINE)
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
