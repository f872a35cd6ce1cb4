"""SIGTERM, and locks: processes that end, and processes that meet."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from boundary import NormalsStore, StoreError
from boundary.lock import locked
from boundary.termination import EXIT_STATUS
from study.cli import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and locks are of POSIX")

WORDS = ["collect", "--evaluate=20", "--untrained=0", "--batch_size=4", "--device=cpu"]


def started(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "study", *words], stderr=subprocess.PIPE, text=True
    )


def until(there: Path, lines: int, process: subprocess.Popen[str]) -> None:
    """Wait until a process has written so many lines of a manifest."""
    while not there.exists() or there.read_text().count("\n") < lines:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def test_sigterm_ends_collecting_at_the_next_shard(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = [*WORDS, "--collect=800", "--out", str(folder)]
    process = started(*words)
    until(folder / "normals" / "manifest.jsonl", 3, process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == EXIT_STATUS == 143
    assert "Ended by SIGTERM. What is finished is kept" in said
    assert "Traceback" not in said
    store = NormalsStore.open(folder / "normals")
    store.verify()
    assert 8 <= len(store) < 800
    assert not list((folder / "normals").glob("*.tmp"))
    shards = len(list((folder / "normals").glob("*.h5")))
    assert shards == len(store.shards)


def test_sigterm_ends_a_later_stage_at_once_with_what_it_has_kept(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert main([*WORDS, "--collect=60", "--out", str(folder)]) == 0
    assert main(["spectrum", str(folder)]) == 0
    assert main(["universal", str(folder), "--gradients=500"]) == 0
    words = ["curvature", str(folder), "--images=40", "--judge=20", "--dimension=4"]
    process = started(*words, "--steps=20")
    kept = folder / "unfinished" / "third 1.h5"
    while not kept.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == EXIT_STATUS
    assert "Ended by SIGTERM. What is finished is kept" in said
    assert "Traceback" not in said
    assert kept.exists()
    assert not (folder / "curvature.h5").exists()
    assert not list(folder.rglob("*.tmp"))


def test_a_second_command_is_told_who_is_at_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    words = [*WORDS, "--collect=800", "--out", str(folder)]
    process = started(*words)
    try:
        until(folder / "normals" / "manifest.jsonl", 2, process)
        with pytest.raises(SystemExit, match="2"):
            main(words)
    finally:
        process.kill()
        process.communicate()
    said = capsys.readouterr().err
    assert f"another process is working in `{folder}`: process {process.pid} on " in said
    assert "--collect=800" in said
    # The lock of the killed one is taken over.
    assert json.loads((folder / ".lock").read_text())["process"] == process.pid
    with locked(folder):
        assert json.loads((folder / ".lock").read_text())["process"] == os.getpid()


def contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path: path.read_bytes() for path in files}


def test_a_command_that_is_refused_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert main([*WORDS, "--collect=40", "--out", str(folder)]) == 0
    before = {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    commands = [[*WORDS, "--collect=40", "--fooling.draws=77", "--out"], ["report"]]
    with locked(folder):
        for words in commands:
            with pytest.raises(SystemExit, match="2"):
                main([*words, str(folder)])
            assert "another process is working in" in capsys.readouterr().err
    now = {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    assert now == before


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        1 / 0  # noqa: B018
    with (
        locked(tmp_path),
        pytest.raises(StoreError, match=f"process {os.getpid()} on"),
        locked(tmp_path),
    ):
        pass


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"process": "x"}', "\x00"])
def test_a_lock_that_cannot_be_read_still_locks(tmp_path: Path, content: str) -> None:
    with locked(tmp_path):
        (tmp_path / ".lock").write_text(content)
        with pytest.raises(StoreError, match="another process is working in"), locked(tmp_path):
            pass
