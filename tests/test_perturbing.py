"""The stages that perturb images, from the command line on small runs."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from analysis import load_perturbations
from analysis.results import CurvatureResult, FoolingResult, UniversalResult
from analysis.saved import load_result
from boundary import NormalsStore, open_images
from figures.rates import reference_rate
from made import report_left_out
from study import universals
from study.cli import main
from study.run import RunDirectory

SMALL = [
    "--collect=60",
    "--evaluate=40",
    "--fooling.draws=4",
    "--fooling.norms=[0.5]",
    "--fooling.dimensions=[2]",
    "--spectrum.null_draws=2",
    "--spectrum.splits=2",
    "--universal.gradients=300",
    "--universal.counts=[]",
    "--untrained=0",
    "--device=cpu",
    "--curvature.images=9",
    "--curvature.judge=6",
    "--curvature.steps=3",
    "--curvature.scales=[0.5]",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("perturbing") / "run"
    with report_left_out():
        assert main(["run", *SMALL, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def test_every_family_is_left_as_a_file_with_its_source(run: Path) -> None:
    fooling = load_result(run / "fooling.h5", FoolingResult)
    universal = load_result(run / "universal.h5", UniversalResult)
    families = {rate.family for rate in fooling.rates}
    families |= {one.family for one in universal.found}
    directory = RunDirectory(run)
    making = len(NormalsStore.open(run / "normals").ids) * 4 // 5  # the others choose R
    for family in families:
        found = load_perturbations(directory.perturbation(family)).perturbations
        assert found.family == family
        if found.p == 2:
            assert found.norm == pytest.approx(fooling.reference_norm)
            rate = reference_rate(fooling, family, clipped=False)
            assert rate is not None
            assert rate.fooled.shape[0] == len(found.vectors)
            assert rate.subspace_dimension == found.subspace_dimension
        if family != "sphere":
            assert found.source["model"].startswith("digits")
            assert found.source["images used"] == making
            assert len(found.source["ids sha256"]) == 64
        if family in {"sphere", "subspace", "displacement", "universal smooth_rate l2"}:
            assert found.source["seed"] == 0
    assert {file.stem for file in (run / "perturbations").iterdir()} == {
        family.replace(" ", "-") for family in families
    }


def test_an_interrupted_universal_stage_keeps_what_was_made(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls, stops = universals.make_universal, [], {3, 6}

    def counted(algorithm: str, *arguments: Any, **options: Any) -> Any:
        calls.append(algorithm)
        if len(calls) in stops:
            raise KeyboardInterrupt
        return original(algorithm, *arguments, **options)

    before = load_result(run / "universal.h5", UniversalResult)
    (run / "universal.h5").unlink()
    for file in (run / "perturbations").glob("universal-*"):
        file.unlink()
    monkeypatch.setattr(universals, "make_universal", counted)
    command = ["universal", str(run)]
    assert main(command) == 130
    assert len(calls) == 3
    assert main(command) == 130
    assert len(calls) == 3 + 3  # the third again, one inside noise and half of another
    assert main(command) == 0
    assert len(calls) == 3 + 3 + 4 + 1  # that again, three more inside noise, one without the sink
    stops.discard(6)
    after = load_result(run / "universal.h5", UniversalResult)
    for one, other in zip(before.found, after.found, strict=True):
        np.testing.assert_allclose(other.vector, one.vector, atol=1e-12)
        np.testing.assert_array_equal(other.watched, one.watched)
        assert other.backward_passes == one.backward_passes
        assert [rate.count for rate in other.others] == [rate.count for rate in one.others]
    redo = [*command, "--gradients", "200", "--redo"]
    files = {file.name: file.read_bytes() for file in (run / "perturbations").glob("universal-*")}
    calls.clear()
    assert main(redo) == 130
    with pytest.raises(SystemExit):
        main([*command, "--target", "99", "--redo"])
    kept = {file.name: file.read_bytes() for file in (run / "perturbations").glob("universal-*")}
    assert kept == files  # what is there stays until all is made
    assert main(redo) == 0
    assert len(calls) == 3 + 1 + 1 + 6  # one that was refused, and one again
    again = load_result(run / "universal.h5", UniversalResult)
    assert {made.backward_passes for made in again.found} == {200}
    assert not (run / "perturbations" / "unfinished").exists()
    calls[:] = ["elsewhere"] * 5
    assert main(redo) == 0
    assert len(calls) == 5 + 3 + 6  # all are made anew, as asked


@pytest.mark.usefixtures("without_report")
def test_what_rests_on_a_redone_stage_is_made_anew(
    run: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["universal", str(run), "--gradients", "200", "--redo"]) == 0
    said = capsys.readouterr().out
    assert "fooling.h5` was made from another `universal.h5`" in said
    assert "60 of 900 images collected" in said  # what is up to date is shown
    assert main(["run", "--config", str(run / "study.yaml"), "--out", str(run)]) == 0
    assert "made from another" not in capsys.readouterr().out
    assert "made anew" in caplog.text


def test_noise_has_the_norm_of_what_it_stands_beside(run: Path) -> None:
    command = ["universal", str(run), "--algorithms", "[deepfool,aggregated]", "--redo"]
    assert main([*command, "--reference", "0.5", "--linf", "0.5"]) == 0
    result = load_result(run / "universal.h5", UniversalResult)
    for made in result.found:
        own = made.own[0]
        assert any(
            rate.p == own.p and not rate.clipped and rate.norm == pytest.approx(own.norm)
            for rate in result.noise
        )
    loop = next(made for made in result.found if made.algorithm == "deepfool")
    assert loop.own[0].norm <= result.reference_norm  # it stops when enough are fooled
    ahead = [made for made in result.found if made.algorithm == "aggregated"]
    assert [made.own[0].norm for made in ahead] == pytest.approx([result.reference_norm, 0.5])


def test_perturbations_of_others_are_compared_with(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    vector = load_result(run / "universal.h5", UniversalResult).found[0].vector
    np.save(tmp_path / "theirs.npy", 255 * vector.transpose(1, 2, 0))
    capsys.readouterr()
    command = ["fooling", str(run), "--files", f"[{tmp_path}/theirs.npy]", "--redo"]
    assert main(command) == 0
    assert "units of 0 to 255 by its largest number" in caplog.text
    fooling = load_result(run / "fooling.h5", FoolingResult)
    theirs = reference_rate(fooling, "file theirs", clipped=False)
    ours = reference_rate(fooling, "universal smooth_rate l2", clipped=False)
    assert theirs is not None
    assert ours is not None
    assert theirs.count == ours.count
    assert main(["curvature", str(run)]) == 0
    assert main(["report", str(run)]) == 0
    assert "file theirs" in (run / "numbers.json").read_text(encoding="utf-8")
    np.save(tmp_path / "theirs.npy", vector[:, ::-1].copy())
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(command[:-1])
    assert "made with other settings: files.file theirs was" in capsys.readouterr().err
    (tmp_path / "more").mkdir()
    np.save(tmp_path / "more" / "theirs.npy", vector)
    with pytest.raises(SystemExit):
        main(
            ["fooling", str(run), "--files", f"[{tmp_path}/theirs.npy,{tmp_path}/more/theirs.npy]"]
        )
    assert "Found `theirs` twice" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["fooling", str(run), "--files", "[nowhere.npy]"])
    assert "nowhere.npy" in capsys.readouterr().err


def test_a_target_and_how_often_it_is_reached(run: Path) -> None:
    command = ["universal", str(run), "--target", "8", "--reference", "0.4", "--redo"]
    assert main(command) == 0
    result = load_result(run / "universal.h5", UniversalResult)
    assert result.target == 8
    flows = result.labels[0]
    assert (flows.moved[flows.source != 8] == 8).mean() > 0.5


def test_a_hidden_layer_from_the_command_line(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["universal", str(run), "--algorithms", "[hidden_layer]", "--redo"]
    with pytest.raises(SystemExit):
        main(command)
    said = capsys.readouterr().err
    assert "`layer` should be one of the" in said
    layer = said.split("(")[1].split(",")[0]
    assert main([*command, "--layer", layer]) == 0
    result = load_result(run / "universal.h5", UniversalResult)
    assert [one.algorithm for one in result.found] == [
        "hidden_layer",
        "hidden_layer",
        "smooth_rate",
    ]
    assert result.found[0].images_used == 48
    assert result.found[0].others[0].fooled.shape == (1, 40)


@pytest.mark.usefixtures("without_report")
def test_images_that_cannot_be_read_are_left_out_of_every_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = open_images("digits").read(range(260))
    folder = tmp_path / "photos"
    for place, (image, label) in enumerate(zip(digits.images, digits.labels, strict=True)):
        (folder / str(int(label))).mkdir(parents=True, exist_ok=True)
        levels = (255 * image[0]).round().byte().numpy()
        Image.fromarray(levels).save(folder / str(int(label)) / f"{place:03d}.png")
    run = tmp_path / "run"
    options = [*SMALL, f"--images={folder}", "--channels=1", "--batch_size=8"]
    assert main(["collect", *options, "--out", str(run)]) == 0
    assert main(["spectrum", str(run)]) == 0
    collected = set(NormalsStore.open(run / "normals").ids)
    others = [file for file in sorted(folder.rglob("*.png")) if not named(file, folder) & collected]
    order = np.random.default_rng(0).permutation(260)[-40:]
    every = sorted(folder.rglob("*.png"))
    judged = [every[place] for place in order]
    assert set(judged) <= set(others)
    for file in judged[:9]:  # a whole batch, and one of the next
        file.write_bytes(b"no picture")
    for stage in ("universal", "fooling"):
        assert main([stage, str(run)]) == 0
    with pytest.raises(SystemExit):
        main(["curvature", str(run)])
    assert "none of 6 images to judge curvature on can be read" in capsys.readouterr().err
    assert main(["curvature", str(run), "--judge=20"]) == 0
    (causes, *_) = load_result(run / "curvature.h5", CurvatureResult).causes
    assert causes.fooled.shape == (1, 11)
    assert main(["report", str(run)]) == 0
    fooling = load_result(run / "fooling.h5", FoolingResult)
    assert len(fooling.image_ids) == 31
    assert {rate.fooled.shape[1] for rate in fooling.rates} == {31}


def named(file: Path, folder: Path) -> set[str]:
    """Return the ids that a picture may have in a store."""
    inside = file.relative_to(folder)
    return {str(inside), inside.as_posix(), inside.with_suffix("").as_posix()}
