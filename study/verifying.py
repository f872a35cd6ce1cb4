"""Whether a run, or a store of normals alone, is sound file by file; and keeping what is."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from analysis.perturbation_files import load_perturbations
from analysis.results import (
    CollectionResult,
    CurvatureResult,
    FoolingResult,
    SpectrumResult,
    UniversalResult,
)
from analysis.saved import load_result, load_settings
from analysis.transfer import TransferResult
from boundary.errors import BoundaryError, InputError, StoreError, printable
from boundary.files import sha256_of_file
from boundary.manifest import MANIFEST
from boundary.verify import DAMAGED, examine_store, move_aside, repair_store
from study.run import RunDirectory
from study.subject import load_statistics

RESULTS: dict[str, type[Any]] = {
    "collect": CollectionResult,
    "spectrum": SpectrumResult,
    "universal": UniversalResult,
    "fooling": FoolingResult,
    "transfer": TransferResult,
    "curvature": CurvatureResult,
}
"""What each stage saves."""

UNSOUND = 3
"""Exit status of `verify` where something is damaged."""

_MEMORY, _SECONDS = 8 << 30, 3600
"""What a child process may take that reads a stranger's files."""


@dataclass
class Examination:
    """What was looked at, and what is wrong with it."""

    sound: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return all of it, a line each."""
        faults = [f"- {fault}" for fault in self.faults]
        wrong = f"{len(faults)} faults" if len(faults) != 1 else "1 fault"
        head = ["everything is sound"] if not faults else [f"{wrong}:", *faults]
        return printable("\n".join([*self.sound, *head, *self.mended]))


def verify(path: str, *, repair: bool = False) -> Examination:
    """Look at every file of a run directory, or of a store of normals.

    Args:
        path: Of the directory.
        repair: Keep what is sound: move what is not to a folder ``damaged``, beside it.

    Returns:
        What was looked at, and what is wrong with it.

    Raises:
        InputError: If it is neither.
        StoreError: If it cannot be repaired, as another command is at work in it.
    """
    folder, found = Path(path), Examination()
    if (folder / MANIFEST).exists():
        _store(folder, folder.name, found, repair=repair)
        return found
    run = RunDirectory(folder)
    if not run.config_file.exists():
        raise InputError(
            f"`{folder}` should be a run directory, with a `study.yaml`, or a store of normals, "
            f"with a `{MANIFEST}`. Found neither."
        )
    with run.locked() if repair else nullcontext():
        _run(run, found, repair=repair)
    return found


def verify_in_child(path: str) -> tuple[str, bool]:
    """Look at a stranger's files in a process of its own, with limits of memory and time.

    A file that crashes the libraries which read it ends that process, not this one; its output is
    taken as text, without control characters.

    Args:
        path: Of the directory.

    Returns:
        What was found, and whether everything is sound.
    """
    code = "from study.verifying import answer_in_child; answer_in_child()"
    # Without -P a module in the present folder, which may be the stranger's, would be run.
    command = [sys.executable, "-P", "-c", code, str(Path(path).absolute())]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    try:
        ended = subprocess.run(
            command, capture_output=True, timeout=_SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return f"`{path}` was not read through in {_SECONDS} s: do not use it.", False
    said = printable(ended.stdout.decode("utf-8", "replace")).strip()
    if ended.returncode in {0, UNSOUND}:
        return said, ended.returncode == 0
    how = f"signal {-ended.returncode}" if ended.returncode < 0 else f"status {ended.returncode}"
    return f"{said}\nreading `{path}` ended the process ({how}): do not use it.".strip(), False


def answer_in_child() -> None:
    """Look at the directory that the command line names, within limits, and leave with a status."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        found = verify(sys.argv[1])
    except BoundaryError as error:
        sys.stdout.write(str(error))
        sys.exit(UNSOUND)
    sys.stdout.write(found.text())
    sys.exit(UNSOUND if found.faults else 0)


def _run(run: RunDirectory, found: Examination, *, repair: bool) -> None:
    _looked_at(found, run.config_file, run.study)
    record = run.provenance
    recorded = record.path.exists() and _looked_at(found, record.path, record.checksums)
    made = record.checksums() if recorded else {}
    for folder in run.stores():
        _store(folder, str(folder.relative_to(run.path)), found, repair=repair)
    if run.result("collect").exists():
        _require_complete(run, found)
    readers: dict[Path, Callable[[], object]] = {
        run.result(stage): partial(_read, run.result(stage), kind, made.get(stage))
        for stage, kind in RESULTS.items()
    }
    for file in sorted(run.perturbations.glob("*.safetensors")):
        readers[file] = partial(load_perturbations, file)
    for file in sorted((run.path / "untrained").glob("*.safetensors")):
        readers[file] = partial(load_statistics, file)
    there = {file: read for file, read in readers.items() if file.exists()}
    spoilt = [file for file, read in there.items() if not _looked_at(found, file, read)]
    if not repair or not spoilt:
        return
    move_aside(run.path, spoilt)
    found.mended.append(
        f"moved to `{run.path / DAMAGED}`: {', '.join(file.name for file in spoilt)}; "
        f"`boundary run --config {run.config_file} --out {run.path}` makes them anew."
    )


def _require_complete(run: RunDirectory, found: Examination) -> None:
    try:
        run.store()
        if run.evaluated in run.stores():  # earlier versions had none
            run.evaluated_store()
    except StoreError as error:
        if str(error) not in found.faults:
            found.faults.append(str(error))


def _read(path: Path, kind: type[Any], checksum: str | None) -> None:
    load_settings(path)
    load_result(path, kind)
    if checksum is not None and sha256_of_file(path) != checksum:
        raise StoreError(f"`{path}` is damaged: its checksum is not that of the file written.")


def _looked_at(found: Examination, file: Path, read: Callable[[], object]) -> bool:
    """Return whether a file can be read, and note it."""
    try:
        read()
    except BoundaryError as error:
        found.faults.append(str(error))
        return False
    found.sound.append(f"{file.name}: sound")
    return True


def _store(folder: Path, name: str, found: Examination, *, repair: bool) -> None:
    try:
        state = examine_store(folder)
    except StoreError as error:
        found.faults.append(str(error))
        return
    if repair and state.faults:
        state = repair_store(folder)
    found.faults += state.faults
    left = f", {len(state.left_over)} files of a killed run" if state.left_over else ""
    found.sound.append(f"{name}: {len(state.shards)} sound shards, {state.rows} rows{left}")
    if repair and state.faults:
        found.mended.append(
            f"`{folder}` keeps its {state.rows} sound rows; collecting again with its settings "
            "adds what is missing."
        )
