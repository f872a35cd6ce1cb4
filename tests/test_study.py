import csv
import json
import re
import shutil
from dataclasses import asdict, replace
from inspect import signature
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch
import yaml

from analysis.results import CollectionResult, FoolingResult, SpectrumResult
from analysis.saved import load_result
from boundary import (
    Classifier,
    InputError,
    NormalsStore,
    StoreError,
    collect,
    nearest_boundary_points,
)
from study import perturbing, stages, universals
from study.cli import main
from study.config import SearchOptions, SubjectOptions, config_from
from study.run import RunDirectory
from study.subject import batch_size_for, load_classifier, load_subject
from testbed import CIFAR10, MODELS, needs_testbed

SMALL = [
    "--collect=120",
    "--evaluate=40",
    "--fooling.draws=4",
    "--universal.gradients=200",
    "--spectrum.null_draws=3",
    "--spectrum.splits=2",
    "--untrained=1",
    "--device=cpu",
    "--curvature.images=9",
    "--curvature.judge=6",
    "--curvature.steps=3",
    "--curvature.scales=[0.5]",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "run"
    assert main(["run", *SMALL, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that the command prints when it refuses its arguments."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("boundary: ")]
    assert len(lines) == 1
    assert "Traceback" not in printed.err
    assert printed.out == ""
    return lines[0]


def test_a_run_leaves_every_result_and_the_report(run: Path) -> None:
    collected = load_result(run / "collect.h5", CollectionResult)
    assert len(collected.margin) == 120
    assert collected.judged == 900
    assert collected.correct / collected.judged >= 0.97
    assert collected.on_boundary.mean() > 0.95

    spectrum = load_result(run / "spectrum.h5", SpectrumResult)
    assert collected.choosing.sum() == 24  # a fifth of them chooses R and makes nothing
    making = collected.on_boundary & ~collected.choosing
    assert spectrum.spectrum.count == making.sum()
    assert spectrum.isotropic.leading(spectrum.spectrum.singular_values) >= 1
    assert spectrum.energy.held_out.shape[1] == 64

    fooling = load_result(run / "fooling.h5", FoolingResult)
    collected_ids = set(NormalsStore.open(run / "normals").ids)
    assert len(fooling.image_ids) == 40
    assert not collected_ids & set(fooling.image_ids)
    assert {rate.fooled.shape[1] for rate in fooling.rates} == {40}
    R = fooling.reference_dimension
    judged = [
        (rate.family, len(rate.fooled), rate.per_draw)
        for rate in fooling.rates
        if rate.norm == fooling.reference_norm
        and not rate.clipped
        and rate.subspace_dimension == R
        and rate.family in {"subspace", "spectrum-matched"}
    ]
    assert judged == [("subspace", 4, 1), ("spectrum-matched", 5, 1)]
    assert fooling.beyond_noise.noise.shape == (5, 1, 40)
    assert fooling.shared.noise.shape[0] == 5
    assert len(fooling.shared.untrained) + len(fooling.shared.undecided) == 1
    reference = max(0.04 * fooling.mean_image_norm, 2 * collected.median_margin)
    assert any(rate.norm == pytest.approx(reference) for rate in fooling.rates)
    families = {rate.family for rate in fooling.rates}
    assert {"sphere", "subspace", "spectrum-matched", "untrained", "mean image"} < families
    assert {rate.clipped for rate in fooling.rates} == {False, True}

    assert (run / "report.html").stat().st_size > 10_000
    numbers = json.loads((run / "numbers.json").read_text())
    assert numbers
    record = json.loads((run / "provenance.json").read_text())
    every = {"collect", "untrained", "spectrum", "universal", "fooling", "curvature", "report"}
    assert every <= set(record["stages"])
    recorded = {"finished", "seconds", "device", "processes", "sha256"}
    assert record["stages"]["fooling"].keys() == recorded
    assert record["versions"]["torch"] == torch.__version__


def test_figures_alone_with_the_numbers_that_they_show(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--only=fooling,margins", "--format=svg", "--to", str(tmp_path / "new" / "figures")]
    capsys.readouterr()
    assert main(["figures", str(run), *words]) == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    names = ["fooling_norm", "fooling_dimension", "margins"]
    assert [path.name for path in printed] == [
        f"{n}.{kind}" for n in names for kind in ("svg", "csv")
    ]
    assert all(path.stat().st_size > 100 for path in printed)
    fooling = load_result(run / "fooling.h5", FoolingResult)
    sphere = next(r for r in fooling.rates if r.family == "sphere" and not r.clipped)
    rows = csv.DictReader(printed[1].read_text().splitlines())
    shown = [
        row["value"] for row in rows if row["family"] == "sphere" and row["clipped"] == "False"
    ]
    assert float(shown[0]) == pytest.approx(sphere.rate)
    said = refusal(capsys, "figures", str(run), "--only=spectum")
    assert "`only` should name figures of the run" in said
    assert "did you mean `spectrum`?" in said


def test_a_finished_run_is_not_computed_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    for name in ("survey", "shared_directions", "write_report"):
        monkeypatch.setattr(stages, name, never)
    monkeypatch.setattr(universals, "make_universal", never)
    monkeypatch.setattr(perturbing, "fooling_rates", never)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*.h5")}
    assert main(["run", *SMALL, "--out", str(run)]) == 0
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.h5")} == before


@pytest.mark.usefixtures("without_report")
def test_the_saved_configuration_repeats_the_run(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert main(["run", "--config", str(run / "study.yaml"), "--out", str(again)]) == 0
    first, second = (load_result(r / "fooling.h5", FoolingResult) for r in (run, again))
    assert first.image_ids == second.image_ids
    assert [rate.count for rate in first.rates] == [rate.count for rate in second.rates]


@pytest.mark.usefixtures("without_report")
def test_stages_alone_on_a_run_directory(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert main(["collect", *SMALL, "--out", str(folder)]) == 0
    capsys.readouterr()
    assert "spectrum" in refusal(capsys, "universal", str(folder))
    assert main(["spectrum", str(folder), "--directions=30"]) == 0
    capsys.readouterr()
    assert "universal" in refusal(capsys, "fooling", str(folder))
    assert main(["universal", str(folder), "--algorithms=[deepfool]", "--gradients=50"]) == 0
    assert main(["fooling", str(folder), "--norms=[0.5]", "--draws=2"]) == 0
    capsys.readouterr()
    assert "curvature" in refusal(capsys, "report", str(folder))
    assert main(["curvature", str(folder)]) == 0
    assert main(["report", str(folder)]) == 0
    kept = yaml.safe_load((folder / "study.yaml").read_text())
    assert kept["spectrum"]["directions"] == 30
    assert kept["fooling"]["norms"] == [0.5]
    capsys.readouterr()

    text = refusal(capsys, "spectrum", str(folder), "--directions=20")
    assert "directions was 30, is 20" in text
    assert "--redo" in text
    assert main(["spectrum", str(folder), "--directions=20", "--redo"]) == 0
    capsys.readouterr()
    identity = RunDirectory(folder).identity("universal")
    assert main(["universal", str(folder)]) == 0  # made anew, as what it was made from is gone
    assert RunDirectory(folder).identity("universal") != identity
    assert main(["universal", str(folder), "--algorithms=[]", "--redo"]) == 0
    capsys.readouterr()
    text = refusal(capsys, "fooling", str(folder), "--draws=3")
    assert "draws was 2, is 3" in text
    assert main(["fooling", str(folder)]) == 0
    assert main(["inspect", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert re.search("done .*collect .*spectrum .*universal .*fooling", printed)


def test_untrained_networks_can_be_left_out_of_what_was_begun_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert main(["collect", *SMALL, "--out", str(folder)]) == 0
    shutil.rmtree(folder / "untrained")
    capsys.readouterr()
    text = refusal(capsys, "spectrum", str(folder))
    assert "does not hold the normals of an untrained network yet" in text
    assert "--untrained 0" in text
    same = ["--config", str(folder / "study.yaml"), "--out", str(folder)]
    assert main(["collect", *same, "--untrained=0"]) == 0
    assert main(["spectrum", str(folder), "--method=lapack"]) == 0
    result = load_result(folder / "spectrum.h5", SpectrumResult)
    assert [null.name for null in result.nulls] == ["isotropic", "permuted", "phases"]
    assert result.spectrum.method == "lapack"
    assert result.not_reset == ()


def test_other_settings_for_the_same_directory_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = refusal(capsys, "run", *SMALL, "--out", str(run), "--seed=1")
    assert "seed was 0, is 1" in text
    assert "--config" in text


def test_another_batch_size_is_no_other_setting(run: Path) -> None:
    assert main(["run", *SMALL, "--out", str(run), "--batch-size", "17"]) == 0


@pytest.mark.usefixtures("without_report")
def test_an_interrupted_run_is_finished_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    command = ["run", *SMALL, "--batch_size=32", "--out", str(folder)]
    append, calls = NormalsStore.append, iter(range(100))

    def interrupted(store: NormalsStore, *args: object) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt
        append(store, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(NormalsStore, "append", interrupted)
        assert main(command) == 130
    lines = [line for line in capsys.readouterr().err.splitlines() if "nterrupted" in line]
    assert len(lines) == 1
    assert "the same command goes on" in lines[0]
    assert len(NormalsStore.open(folder / "normals")) == 64
    assert main(command) == 0
    assert len(NormalsStore.open(folder / "normals")) == 120
    assert (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "a command is missing: one of run, collect"),
        ("rnu", "`rnu` is not a command; did you mean `run`?"),
        ("run --colect 5", "`--colect` is no option here; did you mean `--collect`?"),
        (
            "run --fooling.norms 0.1 0.5",
            "`0.5` is one word more than this command takes; a",
        ),
        ("run --collect five", "`--collect` should be a whole number. Found `five`."),
        ("run --fooling.norms 1,x", "`--fooling.norms` should be a list of numbers, like [0.5,1]."),
        ("run --collect 0", "`--collect` should be at least 1. Found 0."),
        ("run --seed -1", "`--seed` should not be negative, nor above 2^63. Found -1."),
        ("run --search.max_gradients 2", "`--search.max_gradients` should be at least 3. Found 2."),
        ("run --search.alignment_tol 1", "`--search.alignment_tol` should be a share"),
        ("run --fooling.norms [.nan,1]", "`--fooling.norms` should be positive and finite."),
        ("run --fooling.norms [-1]", "`--fooling.norms` should be positive and finite."),
        ("run --spectrum.directions 0", "`--spectrum.directions` should lie in 1..400"),
        ("run --fooling.dimensions [5,600]", "`--fooling.dimensions` should lie in 1..400"),
        ("run --out /dev/null", "`/dev/null` should be a directory"),
        ("run --out /dev/null/run", "`/dev/null/run` should be a directory"),
        (
            "run --universal.reference 0",
            "`--universal.reference` should be positive and finite. Found 0.0.",
        ),
        ("run --spectrum.splits 0", "`--spectrum.splits` should be at least 1. Found 0."),
        ("run --untrained -1", "`--untrained` should be at least 0. Found -1."),
        (
            "run --spectrum.method svd",
            "`--spectrum.method` should be one of gram, lapack. Found `svd`.",
        ),
        (
            "run --spectrum.float32 true --device cpu",
            "`--spectrum.float32` is for products on a GPU. Found `--device cpu`; leave it out.",
        ),
        ("run --collect 899 --evaluate 2", "at least 901 images"),
        ("run --model digit", "`digit`"),
        ("run --images /nowhere", "/nowhere"),
        ("run --device tpu", "`device` should be auto, cpu"),
        ("run --config nowhere.yaml", "nowhere.yaml"),
        ("spectrum", "a run directory is missing"),
        ("spectrum /nowhere", "`/nowhere` holds no study"),
        ("inspect /nowhere", "`/nowhere` holds no study"),
    ],
)
def test_mistakes_are_answered_in_one_sentence(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refusal(capsys, *arguments.split())
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colect: 5", "`colect` is not a setting; did you mean `collect`?"),
        ("collect: five", "`--collect` should be a whole number"),
        ("fooling: {drows: 3}", "`fooling.drows` is not a setting; did you mean `fooling.draws`"),
        ("model: {class_path: os.system}", "model"),
        ("fooling: 3", "`fooling` should be a group of settings. Found `3`"),
        ("model: \xff", "UTF-8"),
    ],
)
def test_mistakes_in_a_configuration_are_answered_too(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("study.yaml").write_text(text, encoding="latin-1")
    assert message in refusal(capsys, "run", "--config", "study.yaml")


@pytest.mark.usefixtures("without_report")
def test_settings_of_stages_that_are_not_done_may_still_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "run")
    assert main(["collect", *SMALL, "--out", folder]) == 0
    assert "Clean accuracy is" in " ".join(capsys.readouterr().out.split())
    changed = [*SMALL, "--fooling.norms=[0.5]", "--fooling.draws=2", "--out", folder]
    assert "holds a study already" in refusal(capsys, "run", "--no_resume", *changed)
    assert main(["run", *changed]) == 0
    capsys.readouterr()
    assert "fooling.norms" in refusal(capsys, "run", *SMALL, "--out", folder)


@pytest.mark.usefixtures("without_report")
def test_results_that_do_not_belong_together_are_not_reported(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    assert main(["spectrum", str(folder), "--directions=5", "--redo"]) == 0
    printed = capsys.readouterr().out
    assert "universal.h5` was made from another `spectrum.h5` than is there" in printed
    assert "makes it anew" in refusal(capsys, "report", str(folder))
    assert main(["run", "--config", str(folder / "study.yaml"), "--out", str(folder)]) == 0
    assert "made from another" not in capsys.readouterr().out


def test_other_pictures_under_the_same_ids_are_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = load_subject(config_from({})).images.read(range(160)).images.numpy()
    file, folder = tmp_path / "images.npy", str(tmp_path / "run")
    np.save(file, images)
    assert main(["collect", f"--images={file}", *SMALL, "--out", folder]) == 0
    np.save(file, images[::-1])
    capsys.readouterr()
    assert "pixels was" in refusal(capsys, "run", f"--images={file}", *SMALL, "--out", folder)
    assert main(["spectrum", folder]) == 0
    capsys.readouterr()
    assert "pixels was" in refusal(capsys, "universal", folder)


def test_two_processes_do_not_work_in_one_directory(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunDirectory(run).locked():
        text = refusal(capsys, "run", *SMALL, "--out", str(run))
    assert "another process is working in" in text


@pytest.mark.usefixtures("without_report")
def test_a_mended_model_of_the_same_weights_is_another_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = """
        import torch
        from boundary import load_model
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = load_model("digits").module
            def forward(self, images):
                return self.inner({scale} * images)
        def make():
            return Net().eval()
    """
    command = ["run", f"--model={tmp_path}/net.py:make", *SMALL, f"--out={tmp_path}/run"]
    (tmp_path / "net.py").write_text(dedent(code.format(scale=0.5)))
    assert main(command) == 0
    (tmp_path / "net.py").write_text(dedent(code.format(scale=1.0)))
    capsys.readouterr()
    assert "logits was" in refusal(capsys, *command)


def test_a_report_of_an_unfinished_run_names_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert main(["collect", *SMALL, "--out", str(folder)]) == 0
    capsys.readouterr()
    assert "no result of the stage `spectrum` yet" in refusal(capsys, "report", str(folder))
    assert "report" not in json.loads((folder / "provenance.json").read_text())["stages"]


def test_the_search_of_a_study_has_the_defaults_of_the_function() -> None:
    defaults = signature(nearest_boundary_points).parameters
    settings = asdict(SearchOptions())
    for name, value in settings.items():
        assert defaults[name].default == value
    assert set(defaults) - set(settings) == {"classifier", "images", "targets", "subspace"}


def test_a_model_is_called_what_the_last_command_says(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    command = ["run", *SMALL, "--out", str(folder)]
    written = (folder / "report.html").stat().st_mtime_ns
    assert main(command) == 0
    assert (folder / "report.html").stat().st_mtime_ns == written
    assert main([*command, "--name=A net of mine"]) == 0
    assert "A net of mine on digits" in capsys.readouterr().out
    assert "A net of mine" in (folder / "report.html").read_text()
    assert json.loads((folder / "provenance.json").read_text())["model"]["name"] == "A net of mine"
    assert main(["run", "--config", str(folder / "study.yaml"), "--out", str(folder)]) == 0
    assert RunDirectory(folder).model_name() == "A net of mine"


@pytest.mark.parametrize("at", ["survey", "first batch"])
def test_a_run_that_failed_before_anything_was_computed_binds_nothing(
    at: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise InputError("it failed")

    begin = ["collect", "--collect=20", "--evaluate=10", "--untrained=0", "--out=run"]
    with monkeypatch.context() as patch:
        if at == "survey":
            patch.setattr(stages, "survey", failing)
        else:
            patch.setattr(collect, "_search", failing)
        assert "it failed" in refusal(capsys, *begin)
    Path("net.py").write_text(
        "from boundary import load_model\ndef make():\n    return load_model('digits').module"
    )
    other = [*begin, "--seed=1", "--search.candidates=3", "--model=net.py:make", "--no_resume"]
    assert main(other) == 0
    record = json.loads(Path("run/provenance.json").read_text())
    assert record["model"]["spec"].endswith("net.py:make")
    assert record["seed"] == 1
    capsys.readouterr()
    assert "holds a study already" in refusal(capsys, *other)
    assert "seed was 1, is 0" in refusal(capsys, *begin)
    assert json.loads(Path("run/provenance.json").read_text()) == record


def kept(folder: str) -> tuple[int, int]:
    """Return how many images a run collects at and evaluates on."""
    settings = yaml.safe_load(Path(folder, "study.yaml").read_text())
    return settings["collect"], settings["evaluate"]


def few_images(count: int) -> str:
    """Return the option that names so many of the digits, in a file."""
    images = load_subject(config_from({})).images.read(range(count)).images.numpy()
    np.save("few.npy", images)
    return "--images=few.npy"


@pytest.mark.parametrize(
    ("count", "given", "shared"),
    [
        (201, [], (112, 89)),
        (30, [], (17, 13)),
        (899, [], (499, 400)),
        (900, [], (500, 400)),
        (201, ["--collect=20"], (20, 181)),
        (450, ["--collect=20"], (20, 400)),
        (201, ["--evaluate=20"], (181, 20)),
        (201, ["--collect=20", "--evaluate=10"], (20, 10)),
    ],
)
def test_few_images_are_shared_out_unless_it_is_said_how(
    count: int, given: list[str], shared: tuple[int, int]
) -> None:
    config = config_from({name[2:]: int(n) for name, n in (one.split("=") for one in given)})
    subject = load_subject(replace(config, images=few_images(count).removeprefix("--images=")))
    assert (len(subject.collecting), len(subject.evaluating)) == shared
    assert not set(subject.collecting) & set(subject.evaluating)


@pytest.mark.usefixtures("without_report")
def test_a_study_of_few_images_says_so_and_is_repeated_and_continued(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    images = few_images(40)
    quick = [option for option in SMALL if "collect" not in option and "evaluate" not in option]
    command = [images, *quick, "--out=run"]
    assert main(["run", *command, "--dry_run"]) == 0
    assert "18 make subspaces, 4 choose R, 18 are evaluated" in capsys.readouterr().out
    assert main(["collect", *command]) == 0
    said = "40 images, so that defaults are lowered: --collect from 500 to 22, --evaluate from 400"
    assert said in caplog.text
    assert kept("run") == (22, 18)
    assert main(["run", *command]) == 0
    caplog.clear()
    assert main(["collect", "--config=run/study.yaml", "--out=again"]) == 0
    assert kept("again") == (22, 18)
    assert "lowered" not in caplog.text
    capsys.readouterr()
    assert "collect was 22, is 20" in refusal(capsys, "run", *command, "--collect=20")


def test_settings_are_held_against_what_is_collected_of_few_images(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = refusal(capsys, "run", few_images(40), "--fooling.dimensions=[23]")
    assert "should lie in 1..18" in text
    text = refusal(capsys, "run", few_images(3))
    assert "few.npy should hold at least 18 images for a study. Found 3; bring more, or" in text
    text = refusal(capsys, "run", few_images(40), "--collect=40")
    assert "few.npy should hold at least 41 images, 40 to collect normals at and 1 others" in text
    assert not Path("run").exists()


def test_more_directions_than_normals_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = refusal(capsys, "spectrum", str(run), "--directions=80", "--redo")
    assert re.search(r"should lie in 1\.\.64.*Found 80", text)


def test_a_model_changed_since_collecting_is_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_from(yaml.safe_load((run / "study.yaml").read_text()))
    subject = load_subject(config)
    other = replace(subject, classifier=Classifier(subject.model.module, bounds=(0, 2)))
    with pytest.raises(StoreError, match="bounds was"):
        perturbing.fooling(RunDirectory(run), config, other)


def test_a_folder_called_digits_does_not_hide_the_digits() -> None:
    Path("digits").mkdir()
    assert load_classifier(SubjectOptions())[2].shape == (1, 8, 8)


@pytest.mark.usefixtures("without_report")
def test_a_model_that_guesses_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = load_subject(config_from({})).images
    batch = digits.read(range(150))
    wrong = (batch.labels + 1) % 10
    np.savez(tmp_path / "shifted.npz", images=batch.images.numpy(), labels=wrong.numpy())
    arguments = [f"--images={tmp_path}/shifted.npz", *SMALL, "--collect=60"]
    assert main(["run", *arguments, "--out=run"]) == 0
    assert "no better than guessing among 10 classes" in caplog.text
    assert "no better than guessing" in " ".join(capsys.readouterr().out.split())


def test_large_images_go_in_smaller_batches_on_a_cpu() -> None:
    subject = load_subject(config_from({}))
    assert subject.batch_size == 64
    assert batch_size_for((3, 227, 227), torch.device("cpu")) == 6
    assert batch_size_for((3, 2000, 2000), torch.device("cpu")) == 1
    assert batch_size_for((3, 227, 227), torch.device("cuda")) == 64


def test_print_config_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["run", "--print_config"], ["--help"], ["run", "--help"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 0
    printed = capsys.readouterr().out
    assert "accuracy_images: 5000" in printed
    assert "boundary inspect RUN" in printed
    assert "--fooling.norms" in printed


@pytest.mark.usefixtures("without_report")
@needs_testbed
def test_a_users_own_network_and_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [
        "run",
        f"--model={MODELS}:resnet20",
        f"--images={CIFAR10}",
        "--collect=24",
        "--evaluate=16",
        "--accuracy_images=100",
        "--channels_last=true",
        "--fuse_batch_norm=true",
        "--untrained=1",
        "--universal.gradients=100",
        "--curvature.images=6",
        "--curvature.judge=4",
        "--curvature.steps=2",
        "--curvature.scales=[0.1]",
        "--fooling.draws=2",
        "--fooling.norms=[1.0]",
        "--fooling.dimensions=[5]",
        f"--out={folder}",
    ]
    assert main(command) == 0
    collected = load_result(folder / "collect.h5", CollectionResult)
    assert collected.correct >= 65
    assert collected.on_boundary.all()
    assert 0.02 < np.median(collected.margin) < 0.1
