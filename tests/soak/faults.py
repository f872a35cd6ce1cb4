"""Faults of the disk at every call of open, write, fsync, rename and the like.

The calls are those of Python: the project writes every file through `boundary.files`, which makes
HDF5 in memory.
"""

import builtins
import errno
import io
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from boundary import Classifier, NormalsStore, collect_normals
from boundary.errors import BoundaryError
from boundary.manifest import MANIFEST, Shard
from boundary.verify import examine_store
from soak.children import child
from soak.kills import command_of, differences, different_stores, rows_lost
from sources import array_source
from study.cli import main
from study.verifying import verify
from surfaces import linear

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
KILL = -1
"""Instead of an error: SIGKILL at the call."""


@dataclass
class Disk:
    """Counts the calls that change a folder, and lets one of them fail."""

    folder: Path
    fails_at: int = -1
    """Which call, from 0; none by default."""
    error: int = errno.EIO
    short: bool = False
    """Let every write take a part of what it is given."""
    calls: list[str] = field(default_factory=list)

    def call(self, name: str, path: Any) -> None:
        """Note a call, and raise if its time has come."""
        if not self._inside(path):
            return
        self.calls.append(name)
        if len(self.calls) - 1 != self.fails_at:
            return
        if self.error == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(self.error, os.strerror(self.error), str(path))

    def _inside(self, path: Any) -> bool:
        return isinstance(path, (str, os.PathLike)) and str(path).startswith(str(self.folder))

    @contextmanager
    def installed(self) -> Iterator["Disk"]:
        """Be in the way of all calls meanwhile."""
        names = ("open", "replace", "mkdir", "unlink", "rmdir")
        before = {name: getattr(os, name) for name in names}
        opened, synced, real = {}, os.fsync, io.open

        def guarded(name: str) -> Callable[..., Any]:
            def called(path: Any, *rest: Any, **options: Any) -> Any:
                if name != "mkdir" or not Path(path).exists():  # of one that is there, no matter
                    self.call(name, path)
                found = before[name](path, *rest, **options)
                if name == "open":
                    opened[found] = path
                return found

            return called

        def fsync(descriptor: Any) -> None:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            self.call("fsync", opened.get(number, ""))
            synced(descriptor)

        def file(path: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if not set(mode) & set("wxa+") or not self._inside(path):
                return real(path, mode, *rest, **options)
            self.call("open to write", path)
            raw = _Raw(path, mode.replace("b", "").replace("t", ""))
            raw.disk = self
            opened[raw.fileno()] = path
            if options.get("buffering") == 0:
                return raw
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            if "b" in mode:
                return buffered
            chosen = {key: options[key] for key in ("encoding", "newline") if key in options}
            return io.TextIOWrapper(buffered, **chosen)

        with (
            patch.multiple(os, fsync=fsync, **{name: guarded(name) for name in before}),
            patch.object(io, "open", file),
            patch.object(builtins, "open", file),
        ):
            yield self


class _Raw(io.FileIO):
    """A file whose writes are counted."""

    disk: Disk

    def write(self, content: Any) -> int:
        data = memoryview(content).cast("B")
        try:
            self.disk.call("write", self.name)
        except OSError:
            super().write(data[: len(data) // 2])  # a full disk takes a part
            raise
        return super().write(data[: -(-len(data) // 2)] if self.disk.short else data)


@dataclass
class Faults:
    """What faults of the disk have shown."""

    injected: int = 0
    rows_lost: int = 0
    wrong: list[str] = field(default_factory=list)


class Collecting:
    """A tiny collection that is made again and again, each time with a fault at another call."""

    def __init__(self, work: Path) -> None:
        self.work, self.folder = work, work / "n"
        self.source = array_source(work, 12)
        self.classifier = Classifier(linear(3, 4).float())
        with Disk(self.folder).installed() as disk:
            self.collect()
        self.calls = disk.calls
        """What one undisturbed collection calls."""
        self.whole = self.folder.rename(work / "whole")

    def collect(self) -> NormalsStore:
        return collect_normals(self.classifier, self.source, self.folder, batch_size=4)

    def with_fault(self, place: int, error: int) -> Faults:
        """Collect with a fault at one call, and then without."""
        found = Faults(injected=1)
        with Disk(self.folder, place, error).installed():
            try:
                self.collect()
            except (OSError, BoundaryError) as failure:
                if os.strerror(error) not in str(failure):
                    found.wrong.append(f"the message is: {failure}")
            else:
                found.wrong.append("nothing was said")
        self.go_on(found)
        found.wrong = [f"{os.strerror(error)} at call {place}: {said}" for said in found.wrong]
        return found

    def with_kill(self, place: int) -> Faults:
        """Collect in a child that is killed at one call, and then here."""
        found = Faults(injected=1)

        def collect() -> int:
            with Disk(self.folder, place, KILL).installed():
                self.collect()
            return 0

        ended = child(collect, self.work / "log.txt")
        if not ended.killed:
            found.wrong.append(f"the child ended with {ended.status}: {ended.said[-500:]}")
        self.go_on(found)
        found.wrong = [f"SIGKILL at call {place}: {said}" for said in found.wrong]
        return found

    def go_on(self, found: Faults) -> None:
        """Collect what is missing, and hold it against the undisturbed store."""
        kept = self.acknowledged()
        store = self.collect()
        lost = rows_lost(kept, self.acknowledged())
        found.rows_lost += lost
        found.wrong += [f"{lost} acknowledged rows are gone, or have changed"] if lost else []
        found.wrong += different_stores(NormalsStore.open(self.whole), store)
        found.wrong += examine_store(self.folder).faults
        shutil.rmtree(self.folder)

    def acknowledged(self) -> dict[str, Shard]:
        """Return the shards that whole lines of the manifest name and that are sound."""
        if not (self.folder / MANIFEST).exists():
            return {}
        return {shard.name: shard for shard in examine_store(self.folder).shards}


def fault_at_every_call(work: Path) -> Faults:
    """Let every call of a collection fail in every way, and be its last."""
    collecting = Collecting(work)
    found = Faults()
    for place in range(len(collecting.calls)):
        parts = [collecting.with_fault(place, error) for error in ERRORS]
        for part in (*parts, collecting.with_kill(place)):
            found.injected += part.injected
            found.rows_lost += part.rows_lost
            found.wrong += part.wrong
    return found


def fault_in_stage(stage: str, count: int, prepared: Path, work: Path, seed: int) -> Faults:
    """Let random calls of a later stage fail, one in each of several commands.

    Args:
        stage: One of `kills.STAGES`.
        count: How many faults.
        prepared: Where `kills.undisturbed` was.
        work: An empty folder.
        seed: Of the calls and errors.
    """
    generator, found = random.Random(f"{seed}, {stage}"), Faults()
    folder, log = work / "faulted", work / "log.txt"

    def run(disk: Disk) -> int:
        with disk.installed():
            try:
                return main(command_of(stage, folder))
            finally:
                (work / "calls").write_text(str(len(disk.calls)))

    def begin() -> None:
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(prepared / f"before-{stage}", folder)

    begin()
    child(partial(run, Disk(folder)), log)
    calls = int((work / "calls").read_text())
    for _ in range(count):
        place, error = generator.randrange(calls), generator.choice(ERRORS)
        begin()
        ended = child(partial(run, Disk(folder, place, error)), log)
        found.injected += 1
        named = os.strerror(error) in ended.said
        if ended.status != 2 or "Traceback" in ended.said or not named:
            found.wrong.append(f"{stage}, call {place}: {ended.status}, {ended.said[-1500:]}")
        found.wrong += verify(str(folder)).faults
        again = child(partial(run, Disk(folder)), log)
        if again.status != 0:
            found.wrong.append(f"{stage} does not go on: {again.said[-1500:]}")
        else:
            found.wrong += differences(prepared / f"after-{stage}", folder)
    return found
