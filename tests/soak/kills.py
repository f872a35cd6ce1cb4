"""SIGKILL at random instants of collecting and of every later stage, and what is there then."""

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from boundary.manifest import MANIFEST, Shard
from boundary.store import NormalsStore
from boundary.verify import examine_store
from soak.children import Ended, child
from study.cli import main
from study.verifying import verify

SETTINGS = [
    "--collect=40",
    "--evaluate=36",
    "--accuracy_images=50",
    "--untrained=1",
    "--batch_size=4",
    "--device=cpu",
    "--spectrum.null_draws=2",
    "--spectrum.splits=2",
    "--universal.gradients=200",
    "--fooling.draws=2",
    "--curvature.images=20",
    "--curvature.judge=4",
    "--curvature.dimension=2",
    "--curvature.steps=5",
]
STAGES = ("collect", "spectrum", "universal", "fooling", "curvature", "report")
"""In their order; each is killed on what those before it have left."""


@dataclass
class Survival:
    """What many kills of one stage have shown."""

    stage: str
    kills: int = 0
    finished: int = 0
    """Commands that came to their end, after some kills each."""
    rows: int = 0
    """Acknowledged rows that were compared, bit for bit, after a kill."""
    rows_lost: int = 0
    wrong: list[str] = field(default_factory=list)


def undisturbed(work: Path, last: str = STAGES[-1]) -> dict[str, float]:
    """Run the stages, and keep the folder as it is before and after each.

    Args:
        work: Where ``before-STAGE`` and ``after-STAGE`` are made.
        last: Stage after which to end.

    Returns:
        Stage -> seconds that it took.
    """
    seconds, folder = {}, work / "run"
    for stage in STAGES[: STAGES.index(last) + 1]:
        if folder.exists():
            shutil.copytree(folder, work / f"before-{stage}")
        ended = _lived(stage, folder, work / "log.txt")
        if ended.status != 0:
            raise RuntimeError(f"`{stage}` failed undisturbed: {ended.said[-2000:]}")
        seconds[stage] = ended.seconds
        shutil.copytree(folder, work / f"after-{stage}")
    return seconds


def survive(
    stage: str, seconds: float, kills: int, prepared: Path, work: Path, seed: int
) -> Survival:
    """Kill a stage until it has survived so many kills.

    It is begun anew whenever it has come to its end. Lives are short as a rule; a long one now and
    then lets what is not kept on the way come to its end.

    Args:
        stage: One of `STAGES`.
        seconds: That it takes undisturbed.
        kills: How many.
        prepared: Where `undisturbed` was.
        work: An empty folder.
        seed: Of the instants.
    """
    generator, found = random.Random(seed), Survival(stage)
    folder, log = work / "killed", work / "log.txt"
    while found.kills < kills and not found.wrong:
        if (before := prepared / f"before-{stage}").exists():
            shutil.copytree(before, folder)
        known: dict[str, Shard] = {}
        while not found.wrong:
            enough = found.kills >= kills
            life = None if enough else 1.1 * seconds * generator.random() ** 3
            last = _lived(stage, folder, log, kill_after=life)
            known = _checked(folder, known, found)
            if not last.killed:
                break
            found.kills += 1
        if last.status != 0:
            found.wrong.append(f"after {found.kills} kills: {last.said[-2000:]}")
        else:
            found.wrong += differences(prepared / f"after-{stage}", folder)
            found.finished += 1
        shutil.rmtree(folder)
    return found


def _lived(stage: str, folder: Path, log: Path, kill_after: float | None = None) -> Ended:
    return child(lambda: main(command_of(stage, folder)), log, kill_after=kill_after)


def command_of(stage: str, folder: Path) -> list[str]:
    """Return the words that run a stage in a folder."""
    if stage == "collect":
        return [stage, *SETTINGS, "--out", str(folder)]
    return [stage, str(folder)]


def _checked(folder: Path, known: dict[str, Shard], found: Survival) -> dict[str, Shard]:
    """Return the acknowledged shards, after comparing them with those before."""
    present: dict[str, Shard] = {}
    for store in (path.parent for path in folder.rglob(MANIFEST)):
        state = examine_store(store)
        found.wrong += state.faults
        found.rows += state.rows
        place = store.relative_to(folder)
        present |= {str(place / shard.name): shard for shard in state.shards}
    lost = rows_lost(known, present)
    found.rows_lost += lost
    found.wrong += [f"{lost} acknowledged rows are gone, or have changed"] if lost else []
    if (folder / "study.yaml").exists():
        found.wrong += verify(str(folder)).faults
    return present


def rows_lost(before: dict[str, Shard], now: dict[str, Shard]) -> int:
    """Return how many acknowledged rows are not there any more, or not as they were."""
    return sum(shard.rows for name, shard in before.items() if now.get(name) != shard)


def differences(one: Path, other: Path) -> list[str]:
    """Return what differs between the results of two runs, bit by bit."""
    wrong = []
    for store in (path.parent for path in one.rglob(MANIFEST)):
        name = store.relative_to(one)
        wrong += different_stores(NormalsStore.open(store), NormalsStore.open(other / name))
    for path in sorted(one.glob("*.h5")):
        with h5py.File(path) as first, h5py.File(other / path.name) as second:
            if _content(first) != _content(second):
                wrong.append(f"{path.name} differs")
    return wrong + [
        f"{name} differs"
        for name in sorted(_others(one).keys() | _others(other).keys())
        if _others(one).get(name) != _others(other).get(name)
    ]


def _others(run: Path) -> dict[str, bytes]:
    """Return the files of a run, beside stores and results, that equal results make equal."""
    files = [*run.glob("perturbations/**/*"), *run.glob("figures/*.csv"), *run.glob("numbers.*")]
    return {str(path.relative_to(run)): path.read_bytes() for path in files if path.is_file()}


def different_stores(one: NormalsStore, other: NormalsStore) -> list[str]:
    """Return a sentence if two stores differ in ids, statuses, numbers or normals."""
    names = ("status", "margin", "residual", "alignment", "source", "target", "position", "label")
    same = (
        one.ids == other.ids
        and all(np.array_equal(one.column(name), other.column(name)) for name in names)
        and np.array_equal(one.normals()[:], other.normals()[:])
        and np.array_equal(one.points()[:], other.points()[:])
    )
    return [] if same else [f"the store `{other.directory.name}` differs"]


def _content(file: h5py.File) -> dict[str, bytes]:
    """Return all numbers and texts of an HDF5 file, by their paths."""
    found: dict[str, bytes] = {}

    def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
        found.update({f"{name}@{key}": repr(value).encode() for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item[()]).tobytes()

    look("/", file)
    file.visititems(look)
    return found
