"""Several processes under torchrun: rows and spectrum of one, and kills that cost nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.results import (
    CollectionResult,
    CurvatureResult,
    FoolingResult,
    SpectrumResult,
    UniversalResult,
)
from analysis.saved import load_result
from boundary import NormalsStore
from boundary.ranks import ALONE
from boundary.shards import COLUMNS
from made import report_left_out
from study.cli import main

SETTINGS = [
    "--untrained=1",
    "--universal.gradients=200",
    "--spectrum.null_draws=3",
    "--spectrum.splits=3",
    "--fooling.draws=2",
    "--batch_size=16",
    "--device=cpu",
    "--curvature.images=30",
    "--curvature.judge=17",
    "--curvature.dimension=3",
    "--curvature.steps=6",
    "--curvature.scales=[0.5]",
]
ROOT = Path(__file__).parents[1]


def command(processes: int, *words: str) -> list[str]:
    """Return a command of this program in several processes, or in one."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    return [sys.executable, "-m", *(launcher if processes > 1 else []), "study", *words]


def run(processes: int, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(processes, *words), env=one_thread(), capture_output=True, text=True, timeout=300
    )


def one_thread() -> dict[str, str]:
    """As torchrun gives its processes: thread counts change the rounding of a network."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def require_same_store(one: Path, other: Path) -> None:
    stores = [NormalsStore.open(folder) for folder in (one, other)]
    for store in stores:
        store.verify()
    assert stores[0].ids == stores[1].ids
    for name in (*COLUMNS, "label", "position"):
        np.testing.assert_array_equal(stores[0].column(name), stores[1].column(name))
    np.testing.assert_array_equal(*(np.asarray(store.normals()[:]) for store in stores))


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("single") / "run"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with report_left_out():
        words = ["--collect=120", "--evaluate=40", *SETTINGS, "--out", str(folder)]
        assert main(["run", *words]) == 0
    torch.set_num_threads(threads)
    return folder


def test_two_processes_give_the_rows_and_the_spectrum_of_one(single: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = run(2, "run", "--collect=120", "--evaluate=40", *SETTINGS, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report: ") == 1
    assert (folder / "normals" / "manifest-0001.jsonl").stat().st_size > 0
    require_same_store(single / "normals", folder / "normals")
    for name in ("evaluated", "untrained/0", "untrained/0-evaluated"):
        require_same_store(single / name, folder / name)

    alone, together = (load_result(r / "collect.h5", CollectionResult) for r in (single, folder))
    assert alone.correct == together.correct
    assert alone.mean_image_norm == pytest.approx(together.mean_image_norm, rel=1e-12)
    one, two = (load_result(r / "spectrum.h5", SpectrumResult) for r in (single, folder))
    same = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(one.spectrum.singular_values, two.spectrum.singular_values, **same)
    np.testing.assert_allclose(one.spectrum.directions, two.spectrum.directions, atol=1e-7)
    np.testing.assert_allclose(one.halves.singular_values, two.halves.singular_values, **same)
    for first, second in zip(one.nulls, two.nulls, strict=True):
        assert first.name == second.name
        np.testing.assert_allclose(first.singular_values, second.singular_values, **same)
    np.testing.assert_allclose(one.energy.held_out, two.energy.held_out, atol=1e-7)
    np.testing.assert_allclose(one.means.energy, two.means.energy, **same)

    made = [load_result(r / "universal.h5", UniversalResult) for r in (single, folder)]
    for first, second in zip(made[0].found, made[1].found, strict=True):
        np.testing.assert_allclose(first.vector, second.vector, atol=1e-6)
    rates = [load_result(r / "fooling.h5", FoolingResult) for r in (single, folder)]
    assert rates[0].image_ids == rates[1].image_ids
    for first, second in zip(rates[0].rates, rates[1].rates, strict=True):
        assert (first.family, first.norm, first.clipped) == (
            second.family,
            pytest.approx(second.norm),
            second.clipped,
        )
        np.testing.assert_array_equal(first.fooled, second.fooled)

    bent = [load_result(r / "curvature.h5", CurvatureResult) for r in (single, folder)]
    near = {"rtol": 1e-2, "atol": 1e-3}
    for first, second in zip(bent[0].frames, bent[1].frames, strict=True):
        assert first.images == second.images == 10
        np.testing.assert_allclose(first.directions, second.directions, atol=1e-3)
        np.testing.assert_allclose(first.values, second.values, **near)
    np.testing.assert_array_equal(bent[0].met, bent[1].met)
    for first, second in zip(bent[0].curves, bent[1].curves, strict=True):
        np.testing.assert_allclose(first.mean, second.mean, **near)
    for first, second in zip(bent[0].theory, bent[1].theory, strict=True):
        assert (first.law, first.dimension, first.images) == (
            second.law,
            second.dimension,
            second.images,
        )
        assert first.predicted == pytest.approx(second.predicted, rel=1e-3)
        assert first.measured == pytest.approx(second.measured, abs=0.1)


def test_a_mistake_is_answered_in_a_sentence(tmp_path: Path) -> None:
    done = run(2, "run", "--collect=0", "--out", str(tmp_path / "run"))
    assert done.returncode != 0
    assert "boundary: `--collect` should be at least 1. Found 0." in done.stderr


def shards(folder: Path) -> int:
    return len(list((folder / "normals").glob("shard-*.h5")))


@contextmanager
def started(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        arguments,
        env=one_thread(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def children(process: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            parent = stat.read_text().rpartition(")")[2].split()[1]
            found += [int(stat.parent.name)] if int(parent) == process else []
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_killing_one_of_two_and_resuming_with_one_gives_the_same_store(tmp_path: Path) -> None:
    words = ["--collect=400", "--evaluate=40", "--untrained=0", "--batch_size=8", "--device=cpu"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with started(command(2, "collect", *words, "--out", str(killed))) as launcher:
        deadline = time.monotonic() + 120
        while shards(killed) < 12 and time.monotonic() < deadline:
            time.sleep(0.02)
        ranks = children(launcher.pid)
        assert len(ranks) == 2
        os.kill(ranks[1], signal.SIGKILL)
        assert launcher.wait(timeout=120) != 0
    begun = len(NormalsStore.open(killed / "normals"))
    assert 0 < begun < 400
    for processes, folder in ((1, killed), (1, whole)):
        done = run(processes, "collect", *words, "--out", str(folder))
        assert done.returncode == 0, done.stderr
    require_same_store(whole / "normals", killed / "normals")


def test_alone_nothing_is_shared() -> None:
    values = np.ones(3)
    ALONE.sum_array(values)
    ALONE.wait()
    assert values.tolist() == [1, 1, 1]
    assert ALONE.gather("x") == ["x"]
    assert ALONE.share([1, 2, 3]) == [1, 2, 3]
    assert ALONE.spread(3, lambda place: place**2) == [0, 1, 4]
    assert ALONE.from_first(lambda: 7) == 7
    assert ALONE.first_goes_ahead(lambda: 8) == 8
