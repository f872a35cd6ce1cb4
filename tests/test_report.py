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

from analysis import captured_energy, compare, singular_spectrum, wilson_interval
from analysis.fooling import FoolingRate
from analysis.nulls import untrained_null
from analysis.results import (
    CollectionResult,
    Examples,
    FoolingResult,
    SpectrumResult,
)
from analysis.saved import load_result, save_result
from analysis.shared import shared_directions
from boundary.errors import StoreError
from figures import Finding, list_findings, plot_classes, write_report
from figures.formats import sentence
from figures.summary import summarise
from made import curvature_result, natural_result, transfer_result, universal_result
from pages import Tags, self_contained

HOSTILE = ("<script>x()</script>", "$x$", r"\frac $", "cat & dog")
NORMS = (1.0, 2.0, 4.0)
STAGES = ("collect", "spectrum", "universal", "fooling", "curvature")
SENTENCES = ("sentence", "details")
TITLES = (
    "What was found",
    "Figures",
    "Fooling rates",
    "Spectrum in numbers",
    "What was run, on what, with which seeds",
    "Limits",
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
    clean = np.linspace(0, 1, 96, dtype=np.float32).reshape(2, 3, 4, 4)
    return FoolingResult(
        rates=tuple(rates),
        own=tuple(rate for rate in rates if not rate.clipped),
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


def finding(name: str, **results: Any) -> Finding:
    chosen = {
        "collection": collection_result(),
        "spectrum": spectrum_result(),
        "fooling": fooling_result(),
        "universal": universal_result(HOSTILE),
        "natural": natural_result(),
        "transfer": transfer_result(),
    } | results
    (found,) = [found for found in list_findings(**chosen).findings if found.name == name]
    return replace(found, sentence=found.text.replace("\xa0", " "), details="")


def test_spectrum_that_stands_out() -> None:
    result = spectrum_result()
    found = finding("spectrum", spectrum=result)
    leading = result.isotropic.leading(result.spectrum.singular_values)
    assert leading >= 1
    assert found.present
    assert found.numbers["leading"] == leading
    assert found.numbers["null_largest"] == result.isotropic.singular_values.max()
    assert f"{leading} leading singular value" in found.sentence
    assert f"the largest is {result.spectrum.singular_values[0]:.3g}" in found.sentence
    assert "absent" not in found.sentence


def test_spectrum_of_noise_is_called_absent() -> None:
    noise = spectrum_result()
    draw = noise.isotropic.singular_values[3]
    flat = replace(noise, spectrum=replace(noise.spectrum, singular_values=draw))
    found = finding("spectrum", spectrum=flat)
    assert found.present is False
    assert "no leading singular value stands above" in found.sentence
    assert "absent in this run" in found.sentence


def test_a_null_that_is_stronger_than_the_normals_is_not_beaten() -> None:
    result = spectrum_result()
    strong = np.random.default_rng(1).standard_normal((2, 40, 48))
    strong[:, :, 0] *= 30
    strong /= np.linalg.norm(strong, axis=2, keepdims=True)
    nulls = (*result.nulls[:3], untrained_null(list(strong), 40))
    found = finding("spectrum_untrained", spectrum=replace(result, nulls=nulls))
    assert found.present is False
    assert found.numbers["leading"] == 0
    assert found.numbers["ratio"] < 1
    assert "every one of 2 draws of the same architecture untrained" in found.sentence
    assert "less concentrated than those of the same architecture untrained" in found.sentence


def test_few_draws_do_not_decide_whether_a_null_is_beaten() -> None:
    result = spectrum_result()
    flat = np.random.default_rng(1).standard_normal((2, 40, 48))
    flat /= np.linalg.norm(flat, axis=2, keepdims=True)
    nulls = (*result.nulls[:3], untrained_null(list(flat), 40))
    found = finding("spectrum_untrained", spectrum=replace(result, nulls=nulls))
    assert found.numbers["leading"] >= 1
    assert found.present is None
    assert "once in 3 times" in found.sentence
    assert "not decided in this run" in found.sentence


def test_an_interval_that_goes_below_one_value_decides_nothing() -> None:
    result = spectrum_result()
    noise = np.random.default_rng(2).standard_normal(result.halves.singular_values.shape)
    halves = replace(
        result.halves, singular_values=result.halves.singular_values * np.exp(0.3 * noise)
    )
    found = finding("spectrum", spectrum=replace(result, halves=halves))
    assert found.numbers["leading"] >= 1
    assert found.numbers["leading_interval"].low < 1
    assert found.numbers["leading_interval"].high <= 40
    assert found.present is None
    assert "not decided in this run" in found.sentence


def test_untrained_networks_without_a_boundary_are_told_of() -> None:
    rows = np.random.default_rng(4).standard_normal((40, 48))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    one = np.arange(40)  # and no two normals of a pair of classes
    result = shared_directions(
        rows, one, one + 1, (3, 4, 4), null_draws=2, splits=2, untrained=[rows[:10], rows[:0]]
    )
    assert [null.name for null in result.nulls] == ["isotropic", "permuted", "phases"]
    found = finding("networks_left_out", spectrum=result)
    assert "2 untrained networks with fewer than half" in found.sentence
    assert "not decided in this run" in found.sentence
    assert "not known in this run" in finding("classes", spectrum=result).sentence
    plot_classes(result)


def with_family(family: str, dimension: int, share: float) -> FoolingResult:
    """Return the fooling result with one more family at the reference norm."""
    result = fooling_result()
    more = [
        FoolingRate(family, dimension, 2.0, clipped, outcomes(share)) for clipped in (False, True)
    ]
    return replace(result, rates=(*result.rates, *more))


def test_families_are_told_in_the_order_of_their_rates() -> None:
    found = finding("families", fooling=with_family("universal smooth_rate l2", 48, 0.9))
    assert found.present is None
    assert (
        "universal (smooth rate) 90.0 %, random in S_f 50.0 %, random directions (sphere) 20.0 %."
    ) in found.sentence


def test_universal_perturbations_and_where_they_lead() -> None:
    found = finding("universal_smooth_rate_l2")
    assert "l2 norm 2, 10.0 % of the mean image norm, changes the prediction of 70.0 %" in (
        found.sentence
    )
    assert "of 80.0 % of the 400 that made it" in found.sentence
    assert "of 60.0 % and 70.0 %" in found.sentence
    inside = finding("universal_smooth_rate_l2_in_subspace")
    assert "universal within S_f (smooth rate)" in inside.sentence
    assert "l-infinity norm 0.04, changes" in finding("universal_smooth_rate_linf").sentence
    labels = finding("labels_l2")
    assert "Of 24 images of 50" in labels.sentence
    assert "100.0 %" in labels.sentence
    assert labels.numbers["in_degree"] == {2: 4}


def test_transfer_is_told_against_noise() -> None:
    found = finding("transfer_universal_smooth_rate_l2")
    assert "fools between 10.0 %" in found.sentence
    assert "from $other$ to net <b>" not in found.sentence
    assert "70.0 % (56.2 to 80.9 %; from net <b> to $other$)" in found.sentence
    assert "In 5 of 6 pairs of models that is more than random directions" in found.sentence
    assert found.present is None
    assert finding("transfer_subspace").present is True
    shared = finding("transfer_subspaces")
    assert shared.present is True
    result = transfer_result()
    smooth = replace(result.geometry, beyond_low=result.geometry.beyond_low - 0.2)
    absent = finding("transfer_subspaces", transfer=replace(result, geometry=smooth))
    assert absent.present is False
    assert "more than the smoothness of their normals is absent" in absent.sentence
    assert "a mean squared cosine of 0.2, against R/D = 0.0667" in shared.sentence


def test_nature_is_told_beside_random_directions() -> None:
    result = natural_result()
    found = finding("natural")
    assert found.numbers["improbability"]["sphere"] == result.family("sphere").median
    assert "Under a Gaussian fitted to 20 images" in found.sentence
    gain = float(result.log_density_gain("universal smooth_rate l2").mean())
    assert found.numbers["log_density_gain"]["universal smooth_rate l2"] == gain
    assert f"{abs(gain):.3g} nats" in found.sentence


def test_directions_that_two_halves_share() -> None:
    result = spectrum_result()
    found = finding("stability", spectrum=result)
    shared = result.halves.overlaps.mean_squared_cosine[:, 4]
    assert found.present
    assert found.numbers["shared"] == shared.mean()
    assert "against R/D = 0.104" in found.sentence
    noise = replace(result, halves=replace(result.halves, overlaps=result.random))
    found = finding("stability", spectrum=noise)
    assert found.present is False
    assert "absent in this run" in found.sentence


def test_energy_that_is_shared() -> None:
    result = spectrum_result()
    found = finding("energy", spectrum=result)
    mean = result.energy.mean[4]
    assert found.present
    assert found.numbers["dimension"] == 5
    assert found.numbers["held_out"] == mean
    assert found.numbers["ratio"] == pytest.approx(mean / (5 / 48))
    assert f"hold {100 * mean:.1f} % of the energy of 200 held-out normals" in found.sentence
    assert "R/D = 10.4 %" in found.sentence
    assert "absent" not in found.sentence


@pytest.mark.parametrize(
    ("energies", "where"), [((0.05, 0.16), "contains R/D"), ((0.05, 0.07), "lies below R/D")]
)
def test_energy_that_is_not_shared_is_called_absent(
    energies: tuple[float, float], where: str
) -> None:
    result = spectrum_result()
    held_out = np.repeat(np.array(energies), 20)[:, None] * np.ones(10)
    found = finding(
        "energy", spectrum=replace(result, energy=replace(result.energy, held_out=held_out))
    )
    assert found.present is False
    assert where in found.sentence
    assert "absent in this run" in found.sentence


@pytest.mark.parametrize("name", ["fooling", "fooling_clipped"])
def test_subspace_that_fools_more(name: str) -> None:
    result = fooling_result()
    found = finding(name, fooling=result)
    pair = [
        rate
        for rate in result.rates
        if rate.norm == 2.0
        and rate.subspace_dimension != 1
        and rate.clipped == (name == "fooling_clipped")
    ]
    sphere, subspace = pair
    expected = compare(subspace, sphere)
    assert found.present
    for key in ("difference", "difference_interval", "ratio", "ratio_interval"):
        assert found.numbers[key] == getattr(expected, key)
    assert "50.0 % of trials (90 of 180;" in found.sentence
    assert "20.0 % of trials (36 of 180;" in found.sentence
    assert "a difference of +30.0 percentage points" in found.sentence
    assert "a ratio of 2.5 (" in found.sentence
    assert "5.0 % of the mean image norm" in found.sentence
    assert "absent" not in found.sentence


@pytest.mark.parametrize(
    ("subspace", "sphere", "why"),
    [(0.2, 0.2, "contains 0"), (0.1, 0.5, "lies below 0"), (0.0, 0.0, "contains 0")],
)
def test_subspace_that_fools_no_more_is_called_absent(
    subspace: float, sphere: float, why: str
) -> None:
    result = fooling_result((0.1, subspace, 0.2), (0.1, sphere, 0.3))
    found = finding("fooling", fooling=result)
    assert found.present is False
    assert why in found.sentence
    assert (
        "an advantage of the subspace at this norm and dimension is absent in this run"
        in found.sentence
    )
    if sphere == 0:
        assert found.numbers["ratio"] is None
        assert "a ratio that is not defined" in found.sentence


def test_every_norm_of_the_sweep_is_compared() -> None:
    result = fooling_result((0.1, 0.5, 0.2), (0.1, 0.2, 0.6))
    found = finding("sweep", fooling=result)
    assert found.numbers == {"above": [2.0], "contains_zero": [1.0], "below": [4.0]}
    assert found.present is None
    everywhere = finding("sweep", fooling=fooling_result((0.5, 0.5, 0.9), (0.1, 0.2, 0.4)))
    assert everywhere.present
    none = finding("sweep", fooling=fooling_result((0.1, 0.2, 0.4), (0.1, 0.2, 0.4)))
    assert none.present is False
    assert "absent at every norm" in none.sentence
    pairs = list_findings(collection_result(), spectrum_result(), result).pairs
    assert [(pair.clipped, pair.norm) for pair in pairs] == [
        (clipped, norm) for clipped in (False, True) for norm in NORMS
    ]


def test_norms_that_were_not_both_tried_are_not_compared() -> None:
    result = fooling_result()
    alone = tuple(rate for rate in result.rates if rate.family == "sphere")
    assert finding("fooling", fooling=replace(result, rates=alone)).present is None
    assert "share no norm" in finding("sweep", fooling=replace(result, rates=alone)).sentence


def test_accuracy_with_and_without_labels() -> None:
    found = finding("clean_accuracy")
    assert "90.0 % (45 of 50 images" in found.sentence
    assert found.numbers["interval"] == wilson_interval(45, 50)
    unknown = finding("clean_accuracy", collection=replace(collection_result(), judged=0))
    assert "not known" in unknown.sentence
    assert unknown.numbers["count"] is None
    assert "guessing" not in found.sentence
    guessing = replace(collection_result(), correct=9)
    assert "no better than guessing" in finding("clean_accuracy", collection=guessing).sentence


def test_what_puts_all_in_doubt_is_told_first(tmp_path: Path) -> None:
    guessing = replace(collection_result(), correct=9)
    told = list_findings(guessing, spectrum_result(), fooling_result())
    assert told.findings[0].name == "clean_accuracy"
    assert told.findings[0].doubtful
    assert told.summary[0] == told.findings[0].sentence
    write_inputs(tmp_path)
    save_result(tmp_path / "collect.h5", guessing, {})
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert page.index("no better than guessing") < page.index("leading singular value")
    assert "check first" in page
    told = list_findings(collection_result(), spectrum_result(), fooling_result())
    assert not any(finding.doubtful for finding in told.findings)
    assert "Clean accuracy is 90.0" in told.summary[0]
    assert told.summary[1].startswith("Images share directions")


@pytest.mark.parametrize(
    ("beaten", "words"),
    [
        ("untrained", "directions, and training adds to them."),
        ("phases", "directions, more than smoothness; that training adds to them is not shown."),
        ("isotropic", "directions; that these are more than smoothness is not shown."),
    ],
)
def test_a_summary_says_plainly_what_is_shared(beaten: str, words: str) -> None:
    told = list_findings(collection_result(), spectrum_result()).findings
    nulls = ["isotropic", "permuted", "phases", "untrained"]
    names = {null: "spectrum" if null == "isotropic" else f"spectrum_{null}" for null in nulls}
    present = {names[null]: nulls.index(null) <= nulls.index(beaten) for null in nulls}
    chosen = [replace(one, present=present.get(one.name, one.present)) for one in told]
    assert summarise(chosen)[1].startswith(f"Images share {words}")


def test_a_summary_says_what_is_not_shown() -> None:
    alike = fooling_result((0.2, 0.2, 0.2), (0.2, 0.2, 0.2))
    told = list_findings(collection_result(), spectrum_result(1.0), alike, universal_result())
    _, normals, random, universal = told.summary
    assert normals == (
        "The normals at 18 boundary points: that they share directions is not shown, not even "
        "against random directions. 10.3 % (9.5 to 11.1 %) of the energy of other images' normals "
        "lies in the first R = 5 directions, against R/D = 10.4 % at random, which is not shown to "
        "be less."
    ).replace(" %", "\xa0%")
    assert "not shown to differ from random directions of the whole sphere" in random
    assert "of images that had no part in it" in universal
    assert len(list_findings(collection_result()).summary) == 1


def test_collection_averages_over_points_on_the_boundary() -> None:
    found = finding("collection")
    assert "90.0 % of the images (18 of 20" in found.sentence
    assert found.numbers["median_margin"] == pytest.approx(0.85)
    assert found.numbers["alignment_median"] == pytest.approx(0.915)
    assert found.numbers["alignment_tenth"] == pytest.approx(0.847)
    assert "9.5 forward and 7 backward passes" in found.sentence
    assert "for 2 no boundary was met within the allowed distance" in found.sentence
    assert "44.4 % are smooth minima" in found.sentence
    assert "55.6 % are the nearest that were seen when the gradients ran out" in found.sentence
    assert "`--search.max_gradients` allows more" in found.sentence
    assert not found.doubtful
    lost = replace(collection_result(), status=np.full(20, 4))
    without = finding("collection", collection=lost)
    assert "median_margin" not in without.numbers
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
    assert len([tag for tag, facts in page.tags if facts.get("class") == "whole"]) == 19


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
            f"<td>{rate.norm:g}</td>"
            f'<td class="word">{"yes" if rate.clipped else "no"}</td>'
            f"<td>{rate.subspace_dimension}</td>"
            f"<td>{100 * rate.rate:.1f}\xa0%</td><td>{low:.1f} to {high:.1f}\xa0%</td>"
            f"<td>{100 * rate.norm / 40:.1f}\xa0%</td><td>{rate.norm / 0.7:.3g}</td>"
            f"<td>{len(rate.fooled)}</td><td>{rate.count}</td><td>{rate.total}</td>"
            f'<td class="word">{rate.interval_kind}</td>'
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
    result = fooling_result()
    rates = {(r.family, r.subspace_dimension, r.norm, r.clipped): r for r in result.rates}
    assert len(numbers["rates"]) == len(result.rates)
    for name, row in numbers["rates"].items():
        clip = "clipped" if row["clipped"] else "not clipped"
        assert name == f"{row['family']} R {row['dimension']} norm {row['norm']:g} {clip}"
        rate = rates[row["family"], row["dimension"], row["norm"], row["clipped"]]
        assert (row["count"], row["total"], row["rate"]) == (rate.count, rate.total, rate.rate)
        assert row["interval"] == {"low": rate.interval.low, "high": rate.interval.high}
    dimensions = numbers["spectrum"]["dimensions"]["participation_ratio"]
    null = numbers["spectrum"]["nulls"]["phases"]["participation_ratio"]
    assert dimensions["nulls"]["phases"] == null
    for row in numbers["subspace_against_sphere"].values():
        key = row["norm"], row["clipped"]
        expected = compare(rates["subspace", 5, *key], rates["sphere", 48, *key])
        assert row["difference"] == expected.difference
        # The sphere fools no image at norm 1: JSON has no infinity.
        assert row["ratio"] == (None if row["norm"] == 1 else expected.ratio)
        interval = expected.difference_interval
        assert row["difference_interval"] == {"low": interval.low, "high": interval.high}
    page = (run / "report.html").read_text(encoding="utf-8")
    told = [found[part] for found in numbers["findings"].values() for part in SENTENCES]
    assert all(sentence(said) in page for said in [*told, *numbers["summary"]])


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
        "labels_linf",
        "curvature",
        "estimators",
        "sections",
        "maps",
        "profile",
    }
    pictures = {f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png")}
    assert names == pictures | {f"{stem}.csv" for stem in stems - {"singular_vectors", "examples"}}
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


def test_curvature_has_a_section(run: Path) -> None:
    source = (run / "report.html").read_text(encoding="utf-8")
    page, result = Tags(source), curvature_result()
    assert "\nCurvature\n" in page.text
    assert ("a", {"href": "#curvature"}) in page.tags
    assert "\nLaws beside what is measured\n" in page.text
    margins, *promises = result.theory
    assert f"<td>{margins.predicted:g}</td><td>{margins.measured:g}</td>" in source
    for row in promises:
        assert (
            f"<td>{row.norm:g}</td><td>{100 * row.predicted:.1f}\xa0%</td>"
            f"<td>{100 * row.measured:.1f}\xa0%</td>"
        ) in source
    assert "an exact zero says “linear at this scale”, not “flat”" in page.text
    assert "mean squared cosines of every two: 0.5, 1, 0.5" in page.text


def test_numbers_of_curvature_are_strict_json(run: Path) -> None:
    text = (run / "numbers.json").read_text(encoding="utf-8")
    numbers = json.loads(text, parse_constant=refuse)["curvature"]
    assert list(numbers["frames"]) == ["third 1", "third 2", "third 3"]
    assert list(numbers["theory"])[1] == "flat subspace R 4 norm 9"
    assert len(numbers["curves"]) == len(curvature_result().curves)


def test_results_survive_the_disk_in_the_findings(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    made = {
        "collection": collection_result(),
        "spectrum": spectrum_result(),
        "universal": universal_result(HOSTILE),
        "fooling": fooling_result(),
    }
    loaded = {
        name: load_result(tmp_path / f"{stage}.h5", type(result))
        for stage, (name, result) in zip(STAGES, made.items(), strict=False)
    }
    assert list_findings(**loaded) == list_findings(**made)
