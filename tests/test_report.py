"""The report says what the results hold, plainly where they hold nothing, and is safe to open."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import captured_energy, singular_spectrum
from analysis.answers import answers
from analysis.fooling import FoolingRate
from analysis.results import (
    CollectionResult,
    Examples,
    FoolingResult,
    SpectrumResult,
)
from analysis.saved import save_result
from analysis.shared import shared_directions
from boundary.errors import StoreError
from figures import Answer, Finding, answers_told, list_findings, write_report
from figures.answer_sentences import QUESTIONS
from figures.formats import sentence
from figures.run_results import RunResults
from made import (
    curvature_result,
    curvature_test,
    noise_rate,
    shared_normals,
    transfer_result,
    universal_result,
)
from pages import Tags, self_contained

HOSTILE = ("<script>x()</script>", "$x$", r"\frac $", "cat & dog")
NORMS = (1.0, 2.0, 4.0)
STAGES = ("collect", "spectrum", "universal", "fooling", "curvature")
TITLES = (
    QUESTIONS[0],
    "Limits",
    "Figures",
    "Numbers",
    "What was run, on what, with which seeds",
    "How to repeat",
)


@cache
def spectrum_result(strength: float = 8.0) -> SpectrumResult:
    """Return the spectrum of normals with one strong direction, or with none if it is 1."""
    rows = np.random.default_rng(4).standard_normal((300, 48))
    rows[:, 0] *= strength
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = shared_directions(
        rows[:40],
        np.arange(40) % 3,
        (np.arange(40) + 1) % 3,
        (3, 4, 4),
        evaluated=rows[100:],
        directions=12,
        null_draws=30,
        splits=4,
        untrained=[rows[200:240], rows[240:280]],
        not_reset=["<b>weight</b>"],
        left_out=3,
        seed=17,
    )
    fitted = singular_spectrum(rows[:100], directions=10)
    return replace(found, energy=captured_energy(fitted, rows[100:]))


def outcomes(share: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.tile(np.arange(60) < round(60 * share), (3, 1))


@cache
def fooling_result(
    subspace: tuple[float, ...] = (0.1, 0.5, 0.9), sphere: tuple[float, ...] = (0.0, 0.2, 0.4)
) -> FoolingResult:
    rates = [
        FoolingRate(family, dimension, norm, clipped, outcomes(share))
        for clipped in (False, True)
        for family, dimension, shares in (("sphere", 48, sphere), ("subspace", 5, subspace))
        for norm, share in zip(NORMS, shares, strict=True)
    ]
    rates.append(FoolingRate("subspace", 1, 2.0, False, outcomes(0.3)[:1]))
    rates += [noise_rate(0.2, dimension, 2.0, images=60) for dimension in (2, 5)]
    clean = np.linspace(0, 1, 96, dtype=np.float32).reshape(2, 3, 4, 4)
    return FoolingResult(
        rates=tuple(rates),
        shared=shared_normals(5),
        examples=Examples(
            clean=clean,
            predictions=np.array([0, 1]),
            perturbed=np.stack([clean, clean]),
            perturbed_predictions=np.array([[2, 1], [0, 3]]),
            families=("sphere", "subspace"),
            norm=2.0,
        ),
        image_ids=tuple(f"image {place}" for place in range(60)),
        predictions=np.zeros(60, dtype=np.int64),
        labels=np.full(60, -1),
        class_names=HOSTILE,
        mean_image_norm=40.0,
        reference_norm=2.0,
        reference_dimension=5,
        noise_dimension=2,
        median_margin=0.7,
        seed=23,
    )


@cache
def collection_result() -> CollectionResult:
    status = np.array([0] * 8 + [1] * 10 + [4, 4])
    on_boundary = status <= 1
    return CollectionResult(
        images=500,
        classes=4,
        judged=50,
        correct=45,
        mean_image_norm=40.0,
        choosing=np.arange(20) % 5 == 0,
        status=status,
        margin=np.where(on_boundary, np.arange(20) / 10, np.inf),
        alignment=np.where(on_boundary, 1 - np.arange(20) / 100, 0.0),
        residual=np.where(on_boundary, 1e-6, np.inf),
        source=np.zeros(20, dtype=np.int64),
        target=np.ones(20, dtype=np.int64),
        forward_passes=np.arange(20),
        backward_passes=np.full(20, 7),
        unreadable=("<img src=x onerror=y()>.png: cannot be read",),
    )


def answers_of(**results: Any) -> dict[str, Any]:
    """Return the answers of a run, some of its results replaced."""
    chosen = {
        "universal": universal_result(HOSTILE),
        "fooling": fooling_result(),
        "curvature": curvature_result(),
    } | results
    return answers(**chosen)


def told(number: int, found: dict[str, Any], names: tuple[str, ...] = ()) -> Answer:
    """Return the answer to one of the questions, 1 to 3, with plain spaces."""
    one = answers_told(found, names)[number - 1]
    sentences = tuple(text.replace("\xa0", " ") for text in one.sentences)
    return replace(one, sentences=sentences)


def finding(name: str, **results: Any) -> Finding:
    chosen = {"collection": collection_result(), "transfer": transfer_result()} | results
    (found,) = [found for found in list_findings(**chosen).findings if found.name == name]
    sentence = f"{found.sentence} {found.details}".rstrip()
    return replace(found, sentence=sentence.replace("\xa0", " "), details="")


def test_shared_directions_are_told_beside_noise_and_untrained_networks() -> None:
    one = told(1, answers_of())
    assert one.answer == "More than smooth noise; more than untrained networks"
    first, second = one.sentences
    assert first.startswith("The span of the normals' first R = 10 directions (S_f) holds 2 (1.78")
    assert "times as much energy of new normals as equally smooth noise (matched noise)." in first
    assert "beside theirs the energy is 2 (" in second


def test_no_difference_comes_with_what_would_have_been_seen() -> None:
    shared = shared_normals(5)
    alike = replace(shared, own=shared.noise[2], untrained=np.array([0.1, 0.2, 0.3]))
    one = told(1, answers_of(fooling=replace(fooling_result(), shared=alike)))
    assert one.answer == (
        "No difference shown (smooth noise); no difference shown (untrained networks)"
    )
    for text, ratio in zip(one.sentences, (alike.smoothness, alike.training), strict=True):
        assert ratio is not None
        assert text.endswith(f"; {ratio.detectable:.3g} would have been seen.")


def test_what_is_not_decided_is_told_with_the_reason() -> None:
    shared = shared_normals(5, undecided=("it predicts one class for all 500 images",))
    one = told(1, answers_of(fooling=replace(fooling_result(), shared=shared)))
    assert one.answer.endswith("; not decided (untrained networks)")
    assert one.sentences[1] == (
        "Beside untrained networks it is not decided, as fewer than two can be used: it predicts "
        "one class for all 500 images."
    )


def test_universality_is_told_with_causes_path_and_sink() -> None:
    found = answers_of()
    one = told(2, found, HOSTILE)
    beyond = found["universality"]["beyond_noise"]
    assert one.answer == "More than matched noise"
    fools, inside, causes, path, sink = one.sentences
    assert "of norm 2, fool 50.0 % of new images, those of matched noise 2" in fools
    assert f": +{100 * beyond['difference']:.1f} (+" in fools
    assert "would have been seen" not in fools
    assert "inside S_f fools 71.4 % (" in inside
    assert inside.endswith("the best inside matched noise 28.6 %.")
    assert causes == (
        "Of the images that it fools 50.0 % cross their own tangent plane, 20.0 % another class's "
        "plane, 20.0 % only the bending boundary; 10.0 % are unexplained."
    )
    assert path.startswith("The slope at the image gives 23.0 % (")
    assert sink == (
        f"100.0 % of the images that it fools end in one class, “{HOSTILE[2]}”; one made without "
        "that class fools 25.0 %."
    )


def test_rates_that_are_alike_are_told_with_the_smallest_difference() -> None:
    fooling = fooling_result((0.1, 0.21, 0.9))
    found = answers_of(fooling=fooling)
    one = told(2, found)
    assert one.answer == "No difference shown (matched noise)"
    seen = found["universality"]["beyond_noise"]["smallest_seen"]
    assert one.sentences[0].endswith(f"; {100 * seen:.1f} would have been seen.")


def test_a_universal_perturbation_that_is_none_or_fools_none_is_told() -> None:
    none = replace(universal_result(), found=(), within=(), paths=())
    bare = replace(curvature_result(), causes=curvature_result().causes[1:])
    one = told(2, answers_of(universal=none, curvature=bare))
    assert one.sentences[1:] == ("No universal perturbation was made.",)
    (way,) = universal_result().paths
    still = replace(way, final=way.source, gap=0 * way.gap, slope=0 * way.slope)
    weak = replace(universal_result(), paths=(still,), rate_without_sink=np.nan)
    one = told(2, answers_of(universal=weak))
    assert one.sentences[-1] == "The universal perturbation fools no image."
    lonely = replace(universal_result(), rate_without_sink=np.nan)
    assert "without that class" not in told(2, answers_of(universal=lonely)).sentences[-1]


@pytest.mark.parametrize(
    ("effect", "answer", "last"),
    [
        (1.0, "Supported", "told right."),
        (-1.0, "Contradicted", "told right."),
        (0.0, "Not supported", "0.67 would have been seen."),
    ],
)
def test_the_curvature_hypothesis_is_told_by_endpoint(
    effect: float, answer: str, last: str
) -> None:
    result = replace(curvature_result(), test=curvature_test(effect))
    one = told(3, answers_of(curvature=result))
    assert one.answer == answer
    bends, fools, predicts = one.sentences
    assert "(their span: S_c) the boundary's median curvature is" in bends
    assert "points of the fooling rate" in fools
    assert predicts.endswith(last)


def test_a_test_that_could_not_see_is_not_decided() -> None:
    rows = tuple(replace(row, detectable=1.0) for row in curvature_test(0.0).rows)
    blind = replace(curvature_result(), test=replace(curvature_test(0.0), rows=rows))
    one = told(3, answers_of(curvature=blind))
    assert one.answer == "Not decided"
    assert "of interest would not have been seen" in one.sentences[-1]


def test_sentences_are_short_and_hold_no_verdict_but_the_answers() -> None:
    undecided = ("it predicts one class for all 50000 collected images",)
    shared = replace(fooling_result(), shared=shared_normals(5, undecided))
    alike = replace(curvature_result(), test=curvature_test(0.0))
    for found in (answers_of(), answers_of(fooling=shared, curvature=alike)):
        for one in answers_told(found, ("x" * 500,) * 5):
            assert one.sentences
            assert len(one.short.replace("\xa0", " ").split()) <= 30, one.short
            assert len(re.findall(r"\d[\d.]*", one.short)) <= 3
            for text in one.sentences:
                assert len(text.split()) <= 35, text
                assert "absent" not in text
                assert "nan" not in text.lower()


def test_the_summary_is_of_what_there_is() -> None:
    few = list_findings(collection_result())
    assert few.summary == (few.trust,)
    assert "Clean accuracy is 90.0" in few.trust
    assert "of 20 images have a boundary point" in few.trust
    whole = list_findings(collection_result(), answers_of(), HOSTILE)
    assert [part.split("?")[0] + "?" for part in whole.summary[:3]] == [*QUESTIONS]
    assert whole.summary[-1] == whole.trust


def test_transfer_is_told_against_noise() -> None:
    found = finding("transfer_universal_smooth_rate_l2")
    assert "fools between 10.0 %" in found.sentence
    assert "from $other$ to net <b>" not in found.sentence
    assert "70.0 % (56.2 to 80.9 %; from net <b> to $other$)" in found.sentence
    assert "In 5 of 6 pairs of models that is more than random directions" in found.sentence
    shared = finding("transfer_subspaces")
    assert "a mean squared cosine of 0.2, against R/D = 0.0667" in shared.sentence


def test_accuracy_with_and_without_labels() -> None:
    found = finding("clean_accuracy")
    assert "90.0 % (45 of 50 images" in found.sentence
    unknown = finding("clean_accuracy", collection=replace(collection_result(), judged=0))
    assert "not known" in unknown.sentence
    assert "guessing" not in found.sentence
    guessing = replace(collection_result(), correct=9)
    assert "no better than guessing" in finding("clean_accuracy", collection=guessing).sentence


def test_what_puts_all_in_doubt_is_told_first(tmp_path: Path) -> None:
    guessing = replace(collection_result(), correct=9)
    found = list_findings(guessing, answers_of())
    assert found.findings[0].name == "clean_accuracy"
    assert found.findings[0].doubtful
    assert found.summary[0] == found.findings[0].sentence
    assert found.trust == ""
    write_inputs(tmp_path)
    save_result(tmp_path / "collect.h5", guessing, {})
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert page.index("no better than guessing") < page.index("More than matched noise")
    assert "check first" in page


def test_collection_averages_over_points_on_the_boundary() -> None:
    found = finding("collection")
    assert "90.0 % of the images (18 of 20" in found.sentence
    assert "median margin is 0.85 input units" in found.sentence
    assert "10th percentile 0.85" in found.sentence
    assert "9.5 forward and 7 backward passes" in found.sentence
    assert "for 2 no boundary was met within the allowed distance" in found.sentence
    assert "44.4 % are smooth minima" in found.sentence
    assert "55.6 % are the nearest that were seen when the gradients ran out" in found.sentence
    assert "`--search.max_gradients` allows more" in found.sentence
    assert not found.doubtful
    lost = replace(collection_result(), status=np.full(20, 4))
    without = finding("collection", collection=lost)
    assert "median margin" not in without.sentence
    assert without.doubtful
    assert "may not stand for the other images" in without.sentence


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run directory with its report, full of hostile text."""
    directory = tmp_path_factory.mktemp("runs") / "a run; rm"
    directory.mkdir()
    write_inputs(directory)
    assert write_report(directory) == directory / "report.html"
    return directory


def write_inputs(directory: Path) -> None:
    for name, result in zip(
        STAGES,
        (
            collection_result(),
            spectrum_result(),
            universal_result(HOSTILE),
            fooling_result(),
            curvature_result(),
        ),
        strict=True,
    ):
        save_result(directory / f"{name}.h5", result, {})
    (directory / "study.yaml").write_text("model: </pre><script>z()</script>\n", encoding="utf-8")
    provenance = {
        "model": {"name": "net <b>{{ 7 * 7 }}</b>", "sha256": "0" * 64},
        "images": {"spec": "digits"},
        "stages": {
            "collect": {"finished": "2026-01-02T03:04:05Z"},
            "fooling": {"finished": "2026-01-02T04:04:05Z", "device": None},
        },
        "<i>key</i>": [1, {"deep": ["<u>"]}, 2.5],
    }
    (directory / "provenance.json").write_text(json.dumps(provenance), encoding="utf-8")


def test_the_report_is_self_contained(run: Path) -> None:
    page = self_contained(run / "report.html")
    alts = [str(facts.get("alt")) for _, facts in page.tags]
    assert sum(alt.endswith(": described below") for alt in alts) == 21


def test_hostile_text_stays_text(run: Path) -> None:
    page = Tags((run / "report.html").read_text(encoding="utf-8")).text
    for text in (
        "net <b>{{ 7 * 7 }}</b> on digits",
        "</pre><script>z()</script>",
        "<img src=x onerror=y()>.png: cannot be read",
        "<i>key</i>",
        "<u>",
        "boundary run --config 'a run; rm'/study.yaml --out 'a run; rm-again'",
    ):
        assert text in page


def test_the_report_keeps_its_order_and_says_when(run: Path) -> None:
    page = Tags((run / "report.html").read_text(encoding="utf-8"))
    places = [page.text.index(f"\n{title}\n") for title in TITLES]
    assert places == sorted(places)
    assert "2026-01-02T04:04:05Z" in page.text
    assert str(run.parent) not in page.text


def test_every_rate_has_a_row(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    for rate in fooling_result().rates:
        low, high = (100 * end for end in (rate.interval.low, rate.interval.high))
        row = (
            f"<td>{rate.subspace_dimension}</td><td>{rate.norm:g}</td><td>2</td>"
            f"<td>{'clipped' if rate.clipped else 'not clipped'}</td>"
            f"<td>{100 * rate.rate:.1f}\xa0%</td><td>{low:.1f} to {high:.1f}\xa0%</td>"
            f"<td>60</td><td>{len(rate.fooled)}</td>"
        )
        assert row in page


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, float):
        yield value


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not strict JSON")


def test_numbers_are_strict_json_and_those_of_compare(run: Path) -> None:
    text = (run / "numbers.json").read_text(encoding="utf-8")
    numbers = json.loads(text, parse_constant=refuse)
    assert all(np.isfinite(number) for number in numbers_in(numbers))
    found = numbers["numbers"]
    for rate in fooling_result().rates:
        clip = "clipped" if rate.clipped else "not clipped"
        key = f"{rate.family}/R {rate.subspace_dimension}/norm {rate.norm:g}/p 2/{clip}"
        row = found[f"fooling rate/{key}"]
        ends = (rate.interval.low, rate.interval.high)
        assert (row["value"], row["low"], row["high"]) == (rate.rate, *ends)
        assert (row["n"], row["draws"]) == (60, len(rate.fooled))
    assert numbers["answers"] == json.loads(json.dumps(answers_of()))
    assert numbers["answers"]["curvature"]["answer"] == "supported"
    page = (run / "report.html").read_text(encoding="utf-8")
    said = [text for one in answers_told(answers_of(), HOSTILE) for text in one.sentences]
    assert all(sentence(text) in page for text in said)


def test_figures_are_written_whole(run: Path) -> None:
    names = {path.name for path in (run / "figures").iterdir()}
    stems = {"spectrum", "energy", "fooling_norm", "fooling_dimension"} | {
        "singular_vectors",
        "examples",
        "margins",
        "dimensions",
        "stability",
        "classes",
        "families",
        "universal",
        "labels",
        "curvature",
        "estimators",
        "sections",
        "maps",
        "profile",
        "causes",
        "endpoints",
        "choice",
    }
    pictures = {f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png")}
    assert names == pictures | {
        f"{stem}.csv" for stem in stems - {"singular_vectors", "examples", "maps"}
    }
    assert not list(run.rglob("*.tmp"))


@pytest.mark.parametrize("name", ["study.yaml", "provenance.json", "fooling.h5"])
def test_a_missing_or_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    write_inputs(tmp_path)
    (tmp_path / name).write_bytes(b"\xff{")
    with pytest.raises(StoreError, match=re.escape(name)):
        write_report(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(StoreError, match=re.escape(name)):
        write_report(tmp_path)


def test_laws_stand_beside_what_is_measured(run: Path) -> None:
    page = Tags((run / "report.html").read_text(encoding="utf-8"))
    assert "\nLaws beside what is measured\n" in page.text
    numbers = json.loads((run / "numbers.json").read_text(encoding="utf-8"))["numbers"]
    for row in curvature_result().theory:
        norm = f"/norm {row.norm:g}" if row.norm else ""
        key = f"law of {row.law}"
        told = [
            numbers[f"{key}/{row.family}{rival}/R {row.dimension}{norm}"]["value"]
            for rival in ("/predicted", "")
        ]
        assert told == [row.predicted, row.measured]


def test_results_survive_the_disk_in_the_answers(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    loaded = RunResults.read(tmp_path)
    found = answers(loaded.universal, loaded.fooling, loaded.curvature)
    assert found == answers_of()
