"""Faults of the disk while normals are collected: what was acknowledged stays, and it goes on."""

import errno
import resource
import shutil
import signal
import sys
from pathlib import Path

import pytest
from soak.faults import ERRORS, Collecting, Disk, Faults

from boundary import NormalsStore


@pytest.fixture
def collecting(tmp_path: Path) -> Collecting:
    return Collecting(tmp_path)


def require_nothing_lost(collecting: Collecting) -> None:
    """Go on with what is there."""
    found = Faults()
    collecting.go_on(found)
    assert not found.wrong


def test_every_kind_of_call_is_in_the_way(collecting: Collecting) -> None:
    assert {"open", "open to write", "write", "fsync", "replace", "mkdir"} <= set(collecting.calls)
    assert collecting.calls.count("replace") == 1 + 3  # the manifest, and three shards


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_a_fault_at_any_call_costs_nothing_that_was_acknowledged(
    error: int, collecting: Collecting
) -> None:
    for place in range(len(collecting.calls)):
        assert not collecting.with_fault(place, error).wrong


def test_writes_that_take_a_part_only_are_gone_on_with(collecting: Collecting) -> None:
    with Disk(collecting.folder, short=True).installed() as disk:
        collecting.collect()
    assert disk.calls.count("write") > 50
    require_nothing_lost(collecting)


def test_a_folder_that_vanishes_is_an_error_and_a_new_one_is_begun(
    collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended = NormalsStore.append

    def vanishing(store: NormalsStore, start: int, *rest: object) -> None:
        if start == 4:
            shutil.rmtree(collecting.folder)
        appended(store, start, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(NormalsStore, "append", vanishing)
        with pytest.raises(FileNotFoundError):
            collecting.collect()
    require_nothing_lost(collecting)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are of POSIX")
def test_a_file_size_limit_of_the_system_costs_nothing_that_was_acknowledged(
    collecting: Collecting,
) -> None:
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in (0, 100, 700, 1000, 1500, 4000, 12000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                with pytest.raises(OSError, match="File too large"):
                    collecting.collect()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
            require_nothing_lost(collecting)
    finally:
        signal.signal(signal.SIGXFSZ, handler)
