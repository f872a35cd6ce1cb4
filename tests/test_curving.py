"""The curvature stage on small runs of the built-in digits."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.curvature_sweep import ANCHORS, NEAREST
from analysis.curved_checks import ASCENT, EIGENVECTORS, METHODS, REFERENCE
from analysis.exact_curvature import exact_agreement
from analysis.hypothesis import item_verdicts
from analysis.predicted import MODELS
from analysis.results import CurvatureResult
from analysis.saved import load_result
from boundary.errors import InputError
from boundary.sections import ESTIMATORS, GRADIENTS, SECTION, VALUES
from study import curving
from study.cli import main

SMALL = [
    "--collect=60",
    "--evaluate=80",
    "--fooling.draws=2",
    "--fooling.norms=[0.5]",
    "--spectrum.null_draws=2",
    "--spectrum.splits=2",
    "--universal.gradients=200",
    "--universal.counts=[]",
    "--untrained=0",
    "--device=cpu",
]
QUICK = ["--images=40", "--judge=24", "--dimension=4", "--draws=2", "--steps=10", "--passes=2"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("curving") / "run"
    assert main(["collect", *SMALL, "--out", str(run)]) == 0
    assert main(["spectrum", str(run)]) == 0
    assert main(["universal", str(run)]) == 0
    assert main(["curvature", str(run), *QUICK, "--scales", "[0.2,0.8]", "--counts", "[20]"]) == 0
    return run


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def test_every_number_carries_its_four_words(made: Path) -> None:
    result = load_result(made / "curvature.h5", CurvatureResult)
    families = {curve.family for curve in result.curves}
    assert families >= {"curved", "curved (eigenvectors)", "subspace", "spectrum-matched", "sphere"}
    found = {(c.family, c.anchor, c.estimator, c.surface) for c in result.curves}
    beside = {one.family for one in result.subspaces} - {"curved"}
    for family in families:
        for anchor in result.anchor_kinds:
            taken = {e for f, a, e, _ in found if (f, a) == (family, anchor)}
            if family not in beside:
                assert taken == {e for e in ESTIMATORS if e != SECTION or anchor == NEAREST}
            else:
                assert taken == ({VALUES, GRADIENTS} if anchor == NEAREST else set())
    for curve in result.curves:
        np.testing.assert_array_equal(curve.scales, [0.2, 0.8])
        place = result.anchor_kinds.index(curve.anchor)
        draws = 1 if curve.family.startswith("universal") else 2 if curve.family in beside else 4
        assert curve.sampled == (curve.family in {*beside, "sphere"})
        assert curve.curvature.shape == (2, draws, result.met[place])
        assert np.isfinite(curve.curvature).all()
        assert curve.censored.any() == 0 or curve.estimator == SECTION
    assert result.anchor_kinds == ANCHORS
    assert result.met[0] == result.met[3] == 24


def test_the_subspaces_and_their_checks(made: Path) -> None:
    result = load_result(made / "curvature.h5", CurvatureResult)
    assert [one.method for one in result.subspaces] == list(METHODS)
    for one in result.subspaces:
        rows = one.directions
        np.testing.assert_allclose(rows @ rows.T, np.eye(4), atol=1e-8)
        assert one.images == 40
        assert one.held_out.shape == (24, 4)
    ascent, pairs, negative, flattest, reference = result.subspaces
    for one, sign in ((ascent, 1), (pairs, 1), (negative, -1), (reference, 1)):
        assert (sign * np.diff(one.values) <= 1e-12).all()
    assert negative.values.max() < 0 < pairs.values.min()
    assert abs(flattest.values).mean() < min(pairs.values.mean(), -negative.values.mean())
    assert negative.held_out.mean() < pairs.held_out.mean()
    for one in (pairs, negative, flattest):
        assert one.residual.shape == (4,)
        assert one.asymmetry == pairs.asymmetry
    assert ascent.halves.shape == (3,)
    assert 0 < ascent.shared_by_halves < 1
    assert pairs.halves.shape == negative.halves.shape == (1,)
    assert reference.halves.shape == (0,)
    assert 0 < pairs.starts < 1
    assert reference.scale == pytest.approx(8 * 10 / 512)
    assert ascent.scale == pytest.approx(result.reference_norm)
    assert [frame.images for frame in result.learning] == [20, 40]
    np.testing.assert_array_equal(result.learning[-1].directions, ascent.directions)


def test_the_rows_and_verdicts_follow_from_what_was_measured(made: Path) -> None:
    result = load_result(made / "curvature.h5", CurvatureResult)
    assert result.verdicts == item_verdicts(result.rows)
    assert {row.item for row in result.rows} == {1, 2, 3, 4, 5}
    predicted = {(row.anchor, row.estimator) for row in result.rows if row.item == 5}
    assert predicted == {(c.anchor, c.estimator) for c in result.curves}
    curve = next(
        c
        for c in result.curves
        if (c.family, c.anchor, c.estimator, c.surface) == ("curved", NEAREST, "values", "region")
    )
    row = next(
        r
        for r in result.rows
        if (r.item, r.anchor, r.estimator, r.surface, r.rival, r.scale)
        == (1, NEAREST, "values", "region", "", 0.8)
    )
    assert row.estimate == pytest.approx(curve.mean[1])
    assert row.n == 24
    rates = {
        rate.family: rate.rate
        for rate in result.rates
        if rate.norm == result.reference_norm and rate.subspace_dimension in {4, 64}
    }
    against = next(
        r
        for r in result.rows
        if r.item == 3 and r.rival == "sphere" and r.scale == pytest.approx(result.reference_norm)
        if r.dimension == 4
    )
    assert against.estimate == pytest.approx(rates["curved"] - rates["sphere"])
    assert min(r.corrected - r.p for r in result.rows) >= 0


def test_the_digits_network_is_smooth(made: Path) -> None:
    result = load_result(made / "curvature.h5", CurvatureResult)
    near = {c.family: c for c in result.curves if c.anchor == NEAREST and c.estimator == SECTION}
    for curve in result.exact:
        assert curve.anchor == NEAREST
        assert curve.curvature.shape == (1, *near[curve.family].curvature.shape[1:])
        assert curve.curvature.any()
    by_scale = [
        one.correlation
        for one in exact_agreement(result.exact, result.curves)
        if one.estimator == VALUES
    ]
    assert by_scale[0] > 0.9  # s = 0.2
    assert by_scale[0] > by_scale[1]


def test_what_geometry_predicts(made: Path) -> None:
    result = load_result(made / "curvature.h5", CurvatureResult)
    models = {quality.model for quality in result.quality}
    assert models == set(MODELS)
    flat = next(q for q in result.quality if q.model == "flat")
    many = next(q for q in result.quality if q.model == "many planes")
    assert many.explained >= flat.explained
    for row in result.predictions:
        rate = next(
            r
            for r in result.rates
            if r.family == row.family and r.norm == row.norm and r.subspace_dimension in {4, 64}
        )
        np.testing.assert_allclose(row.measured, rate.fooled[:, :24].mean(1)[: len(row.measured)])
    assert result.margin_families == ("random", "subspace", "curved")
    random = result.margins[0]
    assert random.slope < -0.2
    assert [profile.points for profile in result.profiles] == [16, 16]
    assert {detector.family for detector in result.detectors} == {"minimal", "universal"}
    assert len(result.maps) == 3
    assert {cut.family for cut in result.sections} >= {"curved", "subspace", "sphere"}
    assert result.sections[0].displacement.shape == (24, result.met[0])


def test_the_stage_is_not_run_twice_and_refuses_other_settings(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "curvature.h5").stat().st_mtime_ns
    same = ["curvature", str(run), *QUICK, "--scales", "[0.2,0.8]", "--counts", "[20]"]
    assert main(same) == 0
    assert (run / "curvature.h5").stat().st_mtime_ns == before
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([*same, "--surface", "pair"])
    assert "surface was region, is pair" in capsys.readouterr().err
    assert main([*same, "--surface", "pair", "--passes", "0", "--counts", "[]", "--redo"]) == 0
    result = load_result(run / "curvature.h5", CurvatureResult)
    assert [one.method for one in result.subspaces] == [ASCENT]
    assert result.subspaces[0].surface == "pair"
    assert len(result.learning) == 1


def test_an_interrupted_stage_keeps_what_was_made(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = ["curvature", str(run), *QUICK, "--scales", "[0.2,0.8]", "--counts", "[20]"]
    before = load_result(run / "curvature.h5", CurvatureResult)
    (run / "curvature.h5").unlink()
    made: list[str] = []
    original = curving.curved_by

    def counted(method: str, *arguments: Any, **options: Any) -> Any:
        made.append(method)
        if method == REFERENCE and len(made) == 3:
            raise KeyboardInterrupt
        return original(method, *arguments, **options)

    monkeypatch.setattr(curving, "curved_by", counted)
    assert main(same) == 130
    kept = {file.stem for file in (run / "unfinished").iterdir()}
    assert kept >= {
        ASCENT,
        EIGENVECTORS,
        f"{ASCENT}, split 3 half 2",
        f"{EIGENVECTORS}, another start",
    }
    assert main(same) == 0
    assert made == [ASCENT, EIGENVECTORS, REFERENCE, REFERENCE]
    assert not (run / "unfinished").exists()
    after = load_result(run / "curvature.h5", CurvatureResult)
    for one, other in zip(before.subspaces, after.subspaces, strict=True):
        np.testing.assert_allclose(one.directions, other.directions, atol=1e-6)
    assert len(after.rows) == len(before.rows)


def test_each_class_has_a_curved_subspace(
    run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    same = ["curvature", str(run), *QUICK, "--scales", "[0.8]", "--counts", "[]", "--passes", "0"]
    assert main([*same, "--per_class", "true", "--redo"]) == 0
    assert "fewer than two classes have 20 collected boundary points" in caplog.text
    assert load_result(run / "curvature.h5", CurvatureResult).classes == ()
    monkeypatch.setattr(curving, "_FEWEST_OF_CLASS", 6)

    def refused(*arguments: Any, **options: Any) -> Any:
        raise InputError("it has no second derivatives")

    monkeypatch.setattr(curving, "exact_curvatures", refused)
    assert main([*same, "--per_class", "true", "--redo"]) == 0
    result = load_result(run / "curvature.h5", CurvatureResult)
    assert result.exact == ()
    assert "no exact curvature was taken: it has no second derivatives" in caplog.text
    (found,) = result.classes
    assert 2 <= len(found.classes) < 10
    assert found.images.min() >= 6
    assert found.held_out.shape == (24, len(found.classes))
    assert found.directions.shape == (len(found.classes), 4, 64)
    np.testing.assert_allclose(
        found.pooled, result.subspaces[0].held_out.mean(1), rtol=1e-4, atol=1e-5
    )


def test_what_is_curved_on_another_model(run: Path, made: Path) -> None:
    same = ["curvature", str(run), *QUICK, "--scales", "[0.8]", "--counts", "[]", "--passes", "0"]
    assert main([*same, "--others", f"[{made}]", "--redo"]) == 0
    result = load_result(run / "curvature.h5", CurvatureResult)
    other = "curved of digits (run)"
    rows = [row for row in result.rows if row.item == 6]
    assert {row.family for row in rows} == {other}
    assert {row.question for row in rows} == {"mean curvature", "fooling rate"}
    # The other run is of the same model, images and seed, but for the images of its S_c.
    own = next(c for c in result.curves if c.family == "curved" and c.anchor == NEAREST)
    theirs = next(c for c in result.curves if c.family == other and c.anchor == NEAREST)
    np.testing.assert_allclose(own.curvature, theirs.curvature, atol=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dimension=0"], "`--curvature.dimension` should be at least 1"),
        (["--draws=1"], "`--curvature.draws` should be at least 2"),
        (["--scale=-1"], "`--curvature.scale` should be positive"),
        (["--scales=[0]"], "`--curvature.scales` should be positive"),
        (
            ["--dimension=15", "--passes=3"],
            "`dimension` should lie in 1..14, as images have 64 numbers",
        ),
        (["--dimension=51", "--passes=0"], "`--curvature.dimension` should be at most"),
        (["--passes=-1"], "`--curvature.passes` should be at least 0"),
        (["--surface=both"], "region"),
        (["--others=[nowhere]"], "nowhere"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(
    run: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["curvature", str(run), *words, "--redo"])
    assert message in capsys.readouterr().err
    assert (run / "curvature.h5").exists()
