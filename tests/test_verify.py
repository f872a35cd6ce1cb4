"""`boundary verify`: what is sound, what is not, and keeping what is."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from boundary import NormalsStore
from boundary.lock import locked
from boundary.manifest import MANIFEST
from study.cli import main
from study.verifying import UNSOUND

SETTINGS = [
    "--collect=24",
    "--evaluate=20",
    "--untrained=0",
    "--batch_size=8",
    "--device=cpu",
    "--spectrum.null_draws=2",
    "--spectrum.splits=2",
]


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify") / "run"
    assert main(["collect", *SETTINGS, "--out", str(folder)]) == 0
    assert main(["spectrum", str(folder)]) == 0
    return folder


@pytest.fixture
def run(collected: Path, tmp_path: Path) -> Path:
    shutil.copytree(collected, tmp_path / "run")
    return tmp_path / "run"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Return the exit status of `boundary verify`, and what it prints."""
    capsys.readouterr()
    try:
        status = main(["verify", *words])
    except SystemExit as left:
        status = int(left.code or 0)
    return status, capsys.readouterr().out


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_sound_run_is_told_file_by_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = said(capsys, str(run))
    assert status == 0
    assert text.splitlines() == [
        "study.yaml: sound",
        "provenance.json: sound",
        "normals: 3 sound shards, 24 rows",
        "evaluated: 3 sound shards, 20 rows",
        "collect.h5: sound",
        "spectrum.h5: sound",
        "everything is sound",
    ]


def test_a_damaged_shard_is_named_and_repair_keeps_the_others(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = NormalsStore.open(run / "normals")
    ids, normals = whole.ids, whole.normals()[:]
    flip(run / "normals" / "shard-00000008.h5", 4000)
    status, text = said(capsys, str(run))
    assert status == UNSOUND
    assert "1 fault:" in text
    assert "shard-00000008.h5` is damaged: its checksum differs" in text
    status, text = said(capsys, str(run), "--repair")
    assert status == UNSOUND
    assert "keeps its 16 sound rows" in text
    assert (run / "normals" / "damaged" / "shard-00000008.h5").exists()
    status, text = said(capsys, str(run))
    assert status == UNSOUND
    assert "normals` does not hold the normals of all images; `boundary collect" in text
    assert main(["collect", *SETTINGS, "--out", str(run)]) == 0
    assert said(capsys, str(run))[0] == 0
    again = NormalsStore.open(run / "normals")
    assert again.ids == ids
    np.testing.assert_array_equal(again.normals()[:], normals)


def test_damaged_results_are_moved_away_and_can_be_made_anew(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "spectrum.h5").write_bytes((run / "spectrum.h5").read_bytes()[:5000])
    status, text = said(capsys, str(run))
    assert status == UNSOUND
    assert "spectrum.h5` cannot be read as HDF5" in text
    status, text = said(capsys, str(run), "--repair")
    assert "moved to" in text
    assert not (run / "spectrum.h5").exists()
    assert main(["spectrum", str(run)]) == 0
    assert said(capsys, str(run))[0] == 0


def test_lines_of_the_manifest_that_mean_nothing_are_told_and_taken_out(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = run / "normals" / MANIFEST
    text = manifest.read_text()
    line = text.splitlines()[1]
    forged = json.loads(line) | {"name": "../../secret.h5"}
    manifest.write_text(f"{text}{json.dumps(forged)}\n{line}\nnonsense\n")
    status, found = said(capsys, str(run / "normals"))
    assert status == UNSOUND
    assert "3 faults" in found
    assert "two shards cover images" in found
    said(capsys, str(run / "normals"), "--repair")
    assert manifest.read_text() == text


def test_a_header_that_is_damaged_cannot_be_repaired(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = run / "normals" / MANIFEST
    manifest.write_text("x" + manifest.read_text())
    status, text = said(capsys, str(run), "--repair")
    assert status == UNSOUND
    assert "a line is not JSON" in text
    assert manifest.read_text().startswith("x")


def test_a_strangers_run_is_read_in_another_process(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = said(capsys, str(run), "--untrusted")
    assert status == 0
    assert text == said(capsys, str(run))[1]
    flip(run / "normals" / "shard-00000000.h5", 100)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    status, text = said(capsys, str(run), "--untrusted")
    assert status == UNSOUND
    assert "its checksum differs" in text
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_strangers_folder_runs_no_module(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "yaml.py").write_text("open('canary', 'w').close()\n")
    monkeypatch.chdir(run)
    status, text = said(capsys, ".", "--untrusted")
    assert not (run / "canary").exists()
    assert (status, text.splitlines()[-1]) == (0, "everything is sound")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("collect.h5", "collect.h5` is damaged: its checksum is not that of the file written"),
        ("study.yaml", "study.yaml` is damaged: `--seed` should not be negative"),
        ("provenance.json", "provenance.json` is damaged"),
        ("normals/manifest.jsonl", "normals` does not hold the normals of all images"),
    ],
)
def test_what_reads_well_may_still_be_wrong(
    run: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    file = run / name
    if name == "collect.h5":
        with h5py.File(file, "r+") as opened:
            opened["margin"][3] *= 2
    elif name == "study.yaml":
        file.write_text(file.read_text().replace("seed: 0", "seed: -1"))
    elif name == "provenance.json":
        file.write_text("[1")
    else:
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    status, text = said(capsys, str(run))
    assert status == UNSOUND
    assert words in text


def test_results_that_do_not_fit_each_other_are_not_shown(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with h5py.File(run / "collect.h5", "r+") as file:
        margins = file["margin"][:3]
        del file["margin"]
        file["margin"] = margins
    with pytest.raises(SystemExit, match="2"):
        main(["inspect", str(run)])
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "do not fit each other (IndexError: " in said[0]
    assert "`boundary verify" in said[0]


def test_files_of_a_finished_result_are_put_in_their_place(run: Path) -> None:
    """As after a kill between the result and the files that belong to it."""
    words = ["universal", str(run), "--gradients=40", "--counts=[]"]
    assert main(words) == 0
    kept, unfinished = run / "perturbations", run / "perturbations" / "unfinished"
    whole = {file.name: file.read_bytes() for file in kept.glob("universal-*")}
    assert len(whole) == 3
    unfinished.mkdir()
    for name in whole:
        (kept / name).rename(unfinished / name)
    assert main(words) == 0
    assert {file.name: file.read_bytes() for file in kept.glob("universal-*")} == whole
    assert not unfinished.exists()


def test_no_stage_computes_on_a_store_that_has_lost_rows(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(run / "normals" / "shard-00000008.h5", 4000)
    said(capsys, str(run), "--repair")
    for words in (["spectrum", "--redo"], ["universal"]):
        with pytest.raises(SystemExit, match="2"):
            main([words[0], str(run), *words[1:]])
        assert (
            "does not hold the normals of all images; `boundary collect" in capsys.readouterr().err
        )
    assert main(["collect", "--config", str(run / "study.yaml"), "--out", str(run)]) == 0
    assert said(capsys, str(run))[0] == 0


def test_one_spoilt_byte_spoils_its_line_alone(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = run / "normals" / MANIFEST
    content = bytearray(manifest.read_bytes())
    content[-10] |= 128
    manifest.write_bytes(content)
    status, text = said(capsys, str(run), "--repair")
    assert status == UNSOUND
    assert "normals: 2 sound shards, 16 rows" in text


def test_what_is_moved_away_replaces_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "damaged").mkdir()
    (run / "damaged" / "spectrum.h5").write_text("of an earlier repair")
    (run / "spectrum.h5").write_bytes(b"no HDF5")
    said(capsys, str(run), "--repair")
    assert (run / "damaged" / "spectrum.h5").read_text() == "of an earlier repair"
    assert (run / "damaged" / "spectrum.h51").read_bytes() == b"no HDF5"


def test_control_characters_of_a_stranger_do_not_reach_the_terminal(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = run / "normals" / MANIFEST
    line = json.loads(manifest.read_text().splitlines()[1]) | {"name": "\x1b[2J\x07shard"}
    with manifest.open("a") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    for words in ([], ["--untrusted"]):
        status, text = said(capsys, str(run), *words)
        assert status == UNSOUND
        assert "\x1b" not in text
        assert "?[2J?shard" in text
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        main(["spectrum", str(run), "--redo"])
    printed = capsys.readouterr().err
    assert "?[2J?shard" in printed
    assert "\x1b" not in printed


def test_what_is_no_run_and_what_is_in_use_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["verify", str(tmp_path)])
    assert "should be a run directory" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["verify", str(run), "--repair", "--untrusted"])
    assert "give one of them" in capsys.readouterr().err
    flip(run / "normals" / "shard-00000000.h5", 100)
    with locked(run / "normals"), pytest.raises(SystemExit, match="2"):
        main(["verify", str(run), "--repair"])
    assert "another process is working in" in capsys.readouterr().err
