"""The curvature stage on small runs of the built-in digits."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.curvature_sweep import ANCHORS, NEAREST
from analysis.results import CurvatureResult
from analysis.saved import load_result
from boundary.sections import ESTIMATORS, SECTION, VALUES
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
QUICK = ["--images=40", "--judge=24", "--dimension=4", "--steps=10", "--scales=[0.2,0.8]"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("curving") / "run"
    assert main(["collect", *SMALL, "--out", str(run)]) == 0
    assert main(["spectrum", str(run)]) == 0
    assert main(["universal", str(run)]) == 0
    assert main(["curvature", str(run), *QUICK]) == 0
    return run


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def test_every_number_carries_its_four_words(made: Path) -> None:
    result = load_result(made / "curvature.h5", CurvatureResult)
    families = {curve.family for curve in result.curves}
    assert families >= {"curved", "subspace", "spectrum-matched", "sphere"}
    found = {(c.family, c.anchor, c.estimator, c.surface) for c in result.curves}
    for family in families:
        for anchor in result.anchor_kinds:
            taken = {(e, s) for f, a, e, s in found if (f, a) == (family, anchor)}
            by = ESTIMATORS if anchor == NEAREST else (VALUES,)
            assert taken == {(e, s) for e in by for s in ("pair", "region")}
    for curve in result.curves:
        np.testing.assert_array_equal(curve.scales, [0.2, 0.8])
        place = result.anchor_kinds.index(curve.anchor)
        draws = 1 if curve.family.startswith("universal") else 2
        assert curve.sampled == (draws == 2)
        assert curve.curvature.shape == (2, draws, result.met[place])
        assert np.isfinite(curve.curvature).all()
        assert curve.estimator == SECTION or not curve.censored.any()
    assert result.anchor_kinds == ANCHORS
    assert result.met[0] == result.met[3] == 24


def test_s_c_is_made_of_three_disjoint_thirds(made: Path) -> None:
    result = load_result(made / "curvature.h5", CurvatureResult)
    assert [frame.images for frame in result.frames] == [14, 13, 13]
    for frame in result.frames:
        np.testing.assert_allclose(frame.directions @ frame.directions.T, np.eye(4), atol=1e-8)
        assert (np.diff(frame.values) <= 1e-12).all()
    assert result.shared.shape == (3,)
    assert ((result.shared > 0) & (result.shared < 1)).all()
    assert result.scale == pytest.approx(result.reference_norm / 2)


def test_what_else_is_explored(made: Path) -> None:
    result = load_result(made / "curvature.h5", CurvatureResult)
    law = [row for row in result.theory if row.law == "margins"]
    assert [row.dimension for row in law] == [4, 16]
    assert [row.predicted for row in law] == [4.0, 2.0]
    for row in law:
        assert row.measured == pytest.approx(row.predicted, rel=0.3)
    flat = [row for row in result.theory if row.law == "flat"]
    assert [row.predicted for row in flat] == [0.5, 0.8]
    assert flat[1].norm == pytest.approx(2.5 * flat[0].norm)
    assert {row.images for row in flat} == {24}
    assert {profile.points for profile in result.profiles} == {8}
    assert len(result.maps) == 3
    assert {cut.family for cut in result.sections} == {curve.family for curve in result.curves}
    assert result.sections[0].displacement.shape == (24, result.met[0])


def test_the_stage_is_not_run_twice_and_refuses_other_settings(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "curvature.h5").stat().st_mtime_ns
    same = ["curvature", str(run), *QUICK]
    assert main(same) == 0
    assert (run / "curvature.h5").stat().st_mtime_ns == before
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([*same, "--steps", "5"])
    assert "steps was 10, is 5" in capsys.readouterr().err


def test_an_interrupted_stage_keeps_what_was_made(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_result(run / "curvature.h5", CurvatureResult)
    (run / "curvature.h5").unlink()
    made: list[str] = []
    original = curving.ascended_span

    def counted(*arguments: Any, **options: Any) -> Any:
        made.append(options["title"])
        if len(made) == 3:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(curving, "ascended_span", counted)
    assert main(["curvature", str(run), *QUICK]) == 130
    assert {file.stem for file in (run / "unfinished").iterdir()} >= {"third 1", "third 2"}
    assert main(["curvature", str(run), *QUICK]) == 0
    assert made == ["S_c, third 1", "S_c, third 2", "S_c, third 3", "S_c, third 3"]
    assert not (run / "unfinished").exists()
    after = load_result(run / "curvature.h5", CurvatureResult)
    for one, other in zip(before.frames, after.frames, strict=True):
        np.testing.assert_allclose(one.directions, other.directions, atol=1e-6)


def test_by_default_s_c_has_no_more_directions_than_were_kept(run: Path) -> None:
    assert main(["spectrum", str(run), "--directions=3", "--redo"]) == 0
    assert main(["universal", str(run), "--redo"]) == 0
    text = (run / "study.yaml").read_text().replace("  dimension: 4\n", "  dimension: null\n")
    (run / "study.yaml").write_text(text)
    assert main(["curvature", str(run), "--redo"]) == 0
    assert load_result(run / "curvature.h5", CurvatureResult).dimension == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dimension=0"], "`--curvature.dimension` should be at least 1"),
        (["--images=2"], "`--curvature.images` should be at least 3"),
        (["--scale=-1"], "`--curvature.scale` should be positive"),
        (["--scales=[0]"], "`--curvature.scales` should be positive"),
        (["--dimension=51"], "`--curvature.dimension` should be at most"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(
    run: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(curving, "collected_anchors", None)  # refused before anything is computed
    with pytest.raises(SystemExit):
        main(["curvature", str(run), *words, "--redo"])
    assert message in capsys.readouterr().err
    assert (run / "curvature.h5").exists()
