import io
import json
import logging
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.results import CollectionResult, FoolingResult
from analysis.saved import load_result
from boundary import progress
from boundary.images import IMAGE_ORIGINS
from boundary.models import ORIGINS
from boundary.progress import no_progress_bars, progress_bar
from figures.findings import list_findings
from study import cli
from study.config import StudyConfig
from study.inspection import HEIGHT, describe
from study.known import known
from study.output import encodable
from study.parser import COMMANDS, DESCRIPTION, PLANNED, build_parser, underscored
from study.planning import plan
from study.run import RunDirectory
from study.sparkline import BLOCKS, LETTERS, binned, sparkline
from study.subject import Subject, load_subject

SMALL = [
    "--collect=60",
    "--evaluate=30",
    "--accuracy_images=200",
    "--untrained=1",
    "--spectrum.null_draws=2",
    "--spectrum.splits=2",
    "--universal.gradients=100",
    "--fooling.draws=2",
    "--device=cpu",
    "--curvature.images=9",
    "--curvature.judge=6",
    "--curvature.steps=3",
    "--curvature.scales=[0.5]",
]
STAGES = ("collect", "untrained", "spectrum", "universal", "fooling", "curvature")


def counted_passes(stage: str, arguments: list[str]) -> Counter[str]:
    """Run a command; return how many images went forward through its model, and how many back."""
    seen: Counter[str] = Counter()
    load = cli.load_subject

    def loaded(config: StudyConfig) -> Subject:
        subject = load(config)

        def forward(_: torch.nn.Module, inputs: Any, output: Any) -> None:
            seen["forward"] += len(inputs[0])
            if output.requires_grad:
                output.register_hook(lambda _: seen.update(backward=len(output)))

        subject.classifier.module.register_forward_hook(forward)
        return subject

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "load_subject", loaded)
        assert cli.main([stage, *arguments]) == 0
    return seen


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Counter[str]]]:
    """Return a run up to fooling rates, and what each of its stages passed through the model."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    found = {}
    for stage in ("collect", "spectrum", "universal", "fooling"):
        words = [*SMALL, "--out"] if stage == "collect" else []
        found[stage] = counted_passes(stage, [*words, str(folder), "-q"])
    return folder, found


@pytest.fixture
def run(counted: tuple[Path, dict[str, Counter[str]]]) -> Path:
    return counted[0]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that the command prints when it refuses its arguments."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert cli.main(arguments) == 0
    return capsys.readouterr().out


def content(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of every file of a folder."""
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
    }


# Help


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_fits_and_its_example_is_taken(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    example = COMMANDS[name].example
    assert example in text
    assert COMMANDS[name].text in text
    words = shlex.split(example.removeprefix("source <(").removesuffix(")"))
    assert words[:2] == ["boundary", name]
    assert build_parser().parse_args(words[1:], defaults=False).subcommand == name


def test_every_example_of_the_first_help_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert DESCRIPTION in capsys.readouterr().out
    examples = re.findall(r"^  (boundary .*?)(?:   .*)?$", DESCRIPTION, re.MULTILINE)
    assert len(examples) == 16
    named = {shlex.split(example)[1] for example in examples}
    assert named == set(COMMANDS) - {"completion"}
    for example in examples:
        words = [underscored(word) for word in shlex.split(example)[1:]]
        build_parser().parse_args(words, defaults=False)


def test_a_list_may_be_written_with_commas_alone() -> None:
    def parsed(*words: str) -> dict[str, Any]:
        given = build_parser().parse_args(words, defaults=False).as_dict()
        settings: dict[str, Any] = given[given["subcommand"]]
        return settings

    for norms in (["--fooling.norms", "0.5,1,2"], ["--fooling.norms=[0.5,1,2]"]):
        assert parsed("run", *norms)["fooling"] == {"norms": [0.5, 1, 2]}
    assert parsed("collect", "--fooling.files=a,b/c")["fooling"] == {"files": ["a", "b/c"]}
    one = parsed(
        "fooling", "RUN", "--norms=1", "--files", "v.mat", "--dimensions", "null", "--redo"
    )
    assert (one["norms"], one["files"], one["dimensions"]) == ([1], ["v.mat"], None)
    awkward = ["x[1].npy", "{a}", "007", "b #2.npy", "c: d"]
    assert parsed("fooling", "RUN", f"--files={','.join(awkward)}")["files"] == awkward
    made = parsed("universal", "RUN", "--algorithms", "smooth_rate,deepfool", "--counts", "[]")
    assert (made["algorithms"], made["counts"]) == (["smooth_rate", "deepfool"], [])
    assert parsed("transfer", "A", "B", "--families", "subspace")["families"] == ["subspace"]
    assert parsed("curvature", "RUN", "--images", "5", "--scales=0.5,1") == {
        "run": "RUN",
        "images": 5,
        "scales": [0.5, 1],
    }


# Lists


def test_what_is_known_by_name_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "list")
    for origin in (*ORIGINS, *IMAGE_ORIGINS):
        for pattern in origin.patterns:
            assert re.search(rf"^  .*{re.escape(pattern)}", text, re.MULTILINE)
    assert re.search(r"timm:NAME .*\((timm \d|not)", text)
    assert max(map(len, text.splitlines())) <= 100
    assert "universal deepfool linf" in text
    assert "spectrum-matched" not in printed(capsys, "list", "models")
    assert "did you mean `families`?" in refusal(capsys, "list", "familie")


def test_the_help_names_every_kind_of_model() -> None:
    with_help = " ".join(str(StudyConfig.__mro__[1].__doc__).split())
    for origin in ORIGINS:
        for pattern in origin.patterns:
            assert pattern in with_help


def test_every_family_of_a_run_is_listed(run: Path) -> None:
    result = load_result(run / "fooling.h5", FoolingResult)
    names = {line[2:].split("  ")[0] for line in known("families").splitlines()}
    assert {rate.family for rate in result.rates} <= names


# A run at a glance


def test_a_run_fits_one_screen(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = printed(capsys, "inspect", str(run)).splitlines()
    assert len(lines) <= HEIGHT
    assert max(len(line.replace(str(run), "RUN")) for line in lines) <= 100
    text = "\n".join(lines)
    assert "digits on digits, 60 of 900 images collected" in text
    assert re.search(r"done \d{4}-\d\d-\d\d: collect \d\d:\d\d, spectrum", text)
    assert re.search(f"singular values  [{BLOCKS}]{{48}}  ", text)
    result = load_result(run / "fooling.h5", FoolingResult)
    assert f"{100 * result.reference_norm / result.mean_image_norm:.2g}" in text


@pytest.mark.parametrize("columns", [60, 100])
def test_what_is_said_is_shown_whole_and_as_wide_as_the_terminal(
    columns: int, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    told = list_findings(load_result(run / "collect.h5", CollectionResult))
    for stage in ("", "fooling"):
        text = describe(RunDirectory(run), stage=stage)
        assert " ".join(" ".join(told.summary).split()) in " ".join(text.split())
        last = text.splitlines()[-1]
        assert 10 < len(last) <= columns


def test_a_terminal_without_blocks_gets_letters(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli.main(["inspect", str(run)]) == 0
    stream.seek(0)
    text = stream.read()
    assert re.search(rf"singular values  [{re.escape(LETTERS)}]{{48}}", text)
    assert "?" not in text


def test_a_run_without_a_record_is_described_too(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    (folder / "provenance.json").unlink()
    (folder / "fooling.h5").unlink()
    text = describe(RunDirectory(folder))
    assert "done: collect, spectrum, universal" in text
    assert "to do: fooling" in text
    (folder / "provenance.json").write_text(json.dumps({"images": 3, "stages": {"collect": 4}}))
    assert "done: collect, spectrum, universal" in describe(RunDirectory(folder))


def test_sparklines() -> None:
    assert sparkline([1, 10, 100], 1, 100, "abc") == "abc"
    assert sparkline([0.1, 1000], 1, 100, "abc") == "ac"
    assert sparkline([5, 5], 5, 5) == BLOCKS[0] * 2
    np.testing.assert_allclose(binned([8, 2, 1, 0], 2), [4, np.sqrt(8e-3)])
    assert len(binned(np.ones(3), 10)) == 3


def test_what_a_stream_cannot_encode_is_replaced() -> None:
    assert encodable("−1.5 ≤ x", "utf-8") == "−1.5 ≤ x"
    assert encodable("−1.5 ≤ “x” …", "ascii") == '-1.5 <= "x" ...'
    assert encodable("猫", "ascii") == "?"


# Plans


def test_a_plan_writes_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, "run", *SMALL, "--out", "new", "--dry-run")
    assert list(tmp_path.iterdir()) == []
    assert re.search(r"^  boundary points of 90 images +3,600 +3,600$", text, re.MULTILINE)
    assert "48 make subspaces, 12 choose R, 30 are evaluated" in " ".join(text.split())
    assert "on disk: 180 normals and points of 64 numbers, 92.2 kB" in text
    assert "Gram matrices of 48 x 48, 18.4 kB each" in text
    before = content(run)
    text = printed(capsys, "run", *SMALL, "--out", str(run), "--dry-run")
    for stage in ("collect", "spectrum", "universal", "fooling"):
        assert re.search(f"^{stage}: done$", text, re.MULTILINE)
    assert re.search("^curvature$", text, re.MULTILINE)
    for name in PLANNED[2:]:
        assert "a plan for" in printed(capsys, name, str(run), "--dry-run")
    assert content(run) == before


def test_a_plan_is_refused_where_the_command_would_be(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [*SMALL, "--seed=1", "--out", str(run), "--dry-run"]
    assert "seed was 0, is 1" in refusal(capsys, "run", *other)
    text = refusal(capsys, "spectrum", str(run), "--directions=20", "--dry-run")
    assert "directions was None, is 20" in text
    told = printed(capsys, "spectrum", str(run), "--directions=20", "--redo", "--dry-run")
    assert "SVD of" in told
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    (folder / "spectrum.h5").unlink()
    assert "no result of the stage `spectrum`" in refusal(
        capsys, "universal", str(folder), "--dry-run"
    )


def test_the_plan_of_a_spectrum_loads_no_model(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "load_subject", lambda _: pytest.fail("loaded"))
    text = printed(capsys, "spectrum", str(run), "--redo", "--dry-run")
    assert re.search(r"^spectrum\n  SVD of \d+ x 64, 7 draws of nulls +- +-$", text, re.MULTILINE)


def test_what_rests_on_a_stage_that_is_left_is_left_too(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    (folder / "spectrum.h5").unlink()
    directory = RunDirectory(folder)
    config = directory.study()
    text = plan(directory, config, load_subject(config), STAGES)
    done = {stage: f"\n{stage}: done" in text for stage in STAGES}
    assert done == {stage: stage in {"collect", "untrained"} for stage in STAGES}


def planned(text: str) -> dict[str, list[float]]:
    """Return the images forward and backward of each part of a plan, and in all."""
    found = re.findall(r"^(?:  )?(\S.*?) {2,}([\d,]+|-) +([\d,]+|-)$", text, re.MULTILINE)
    return {
        what: [0.0 if cell == "-" else float(cell.replace(",", "")) for cell in cells]
        for what, *cells in found
    }


@pytest.mark.parametrize("stage", ["collect", "universal", "fooling"])
def test_planned_passes_are_the_most_that_are_made_and_not_far_from_it(
    stage: str, counted: tuple[Path, dict[str, Counter[str]]], tmp_path: Path
) -> None:
    folder, made = counted
    run = RunDirectory(folder)
    config = run.study()
    text = plan(run, config, load_subject(config), [stage], redo=True)
    forward, backward = planned(text)["in all"]
    parts = [cells for what, cells in planned(text).items() if what != "in all"]
    assert [forward, backward] == np.sum(parts, axis=0).tolist()
    assert 0 < made[stage]["forward"] <= forward
    assert made[stage]["backward"] <= backward
    if stage != "collect":  # where a search ends is not known before
        assert made[stage]["forward"] >= forward / 2
        assert made[stage]["backward"] >= backward / 2


# Quiet, verbose, and log files


def test_quiet_shows_results_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert cli.main(["spectrum", str(run), "--redo", "--quiet"]) == 0
    quiet = capsys.readouterr()
    assert quiet.err == ""
    assert "singular values" in quiet.out
    assert cli.main(["spectrum", str(run), "--redo"]) == 0
    assert "halves: 100 %" in capsys.readouterr().err


def test_verbose_logs_what_is_done(
    run: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["spectrum", str(run), "--redo", "-v"]) == 0
    assert "stage `spectrum` done in" in caplog.text
    assert logging.getLogger("boundary").level == logging.DEBUG
    caplog.clear()
    assert cli.main(["spectrum", str(run), "--redo"]) == 0
    assert "stage `spectrum` done in" not in caplog.text
    assert "contradict" in refusal(capsys, "inspect", str(run), "-q", "-v")


def test_what_takes_long_is_named(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    capsys.readouterr()
    assert cli.main(["universal", str(folder), "--redo", "--counts=20"]) == 0
    bars = re.findall(r"^(universal .*?): 100 %", capsys.readouterr().err, re.MULTILINE)
    free = "universal smooth_rate l2, 48 images"
    inside = "universal smooth_rate l2 in subspace, 48 images"
    few = "universal smooth_rate l2, 20 images"
    assert bars[:5] == [free, "universal smooth_rate linf, 48 images", inside, few, inside]
    assert bars[4:9] == [inside] * 5
    assert re.fullmatch(r"universal smooth_rate l2, \d+ images", bars[9])  # without the sink
    assert len(bars) == 10
    assert cli.main(["fooling", str(folder)]) == 0
    assert cli.main(["curvature", str(folder)]) == 0
    assert "writing the report" not in caplog.text
    assert cli.main(["report", str(folder)]) == 0
    assert "writing the report" in caplog.text


def test_a_bar_in_a_log_file_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def bar() -> list[str]:
        with progress_bar("search", 50, "images", shown=True) as shown:
            for step in range(50):
                shown.update(1)
                shown.set_postfix_str(f"rate {step}")
        text = capsys.readouterr().err
        assert "\r" not in text
        assert text.endswith("\n")
        return text.splitlines()

    (line,) = bar()
    assert re.fullmatch("search: 100 %, 50 of 50 images, 00:00 gone, 00:00 left, rate 49", line)
    monkeypatch.setattr(progress, "LOGGED_EVERY", 0.0)
    assert len(bar()) > 50
    with no_progress_bars():
        assert not sys.stderr.isatty()
        with progress_bar("search", 50, "images", shown=True) as hidden:
            hidden.update(50)
    assert capsys.readouterr().err == ""


# Completion


def test_bash_completes_commands_options_and_choices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    script = tmp_path / "boundary.bash"
    script.write_text(printed(capsys, "completion", "bash"))

    def completed(*words: str) -> set[str]:
        line = " ".join(map(shlex.quote, words))
        asked = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _shtab_boundary; "
        done = subprocess.run(
            [bash, "-c", f"source {script}; {asked} printf '%s\\n' \"${{COMPREPLY[@]}}\""],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return set(done.stdout.split())

    assert completed("boundary", "") == set(COMMANDS)
    assert completed("boundary", "fo") == {"fooling"}
    assert {"--redo", "--dry_run", "--norms"} < completed("boundary", "fooling", "--")
    assert completed("boundary", "run", "--spectrum.method", "") == {"gram", "lapack"}
    assert completed("boundary", "list", "") == {"models", "images", "families"}
    (tmp_path / "photos").mkdir()
    assert completed("boundary", "inspect", "ph") == {"photos"}


def test_zsh_gets_a_script_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "completion", "zsh").startswith("#compdef boundary")
    assert "did you mean `bash`" in refusal(capsys, "completion", "bsh")
    assert "a shell is missing" in refusal(capsys, "completion")


def test_a_warning_reaches_the_terminal_without_control_characters() -> None:
    code = (
        "import logging; from study.output import speaking\n"
        "with speaking(): logging.getLogger('boundary').warning('\\x1b[2J\\x07evil.png')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "WARNING: ?[2J?evil.png\n"
