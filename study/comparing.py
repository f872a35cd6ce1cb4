"""The command `compare`: finished runs side by side, from their saved results alone."""

import json
import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from textwrap import fill, wrap

from analysis.saved import load_settings
from boundary.errors import InputError, StoreError
from figures.compared import ComparedRun, Comparison
from figures.comparison import ANSWERS, NUMBERS, PAGE, POINTS, some_runs, write_comparison
from figures.finding import Finding
from figures.listed import Listed
from figures.run_results import RunResults
from study.run import OPTIONAL, STAGES, RunDirectory
from study.transferring import names_of

FOLDER = "comparison"

WIDTH = 100
"""Of a screen."""
_LABEL, _RUNS = 40, 3
"""Letters of the name of a quantity, and runs in one table."""

_log = logging.getLogger(__name__)


def compare(paths: Sequence[str], names: Sequence[str], out: str) -> str:
    """Write the comparison of finished runs.

    Args:
        paths: Run directories, two at least.
        names: One for each, or none: those of the models then, told apart by their folders.
        out: Folder of what is written.

    Returns:
        What it found, as text for a screen.

    Raises:
        InputError: If the runs, their names or the folder cannot be used.
        StoreError: If a result is missing, damaged, or made from another than is there.
    """
    runs = _checked(paths)
    told = _told_apart(runs, names)
    folder = _folder(out, runs)
    comparison = Comparison(
        tuple(_read(run, name, folder) for run, name in zip(runs, told, strict=True))
    )
    with ExitStack() as shown:
        for run in runs:
            shown.enter_context(run.shown())
        try:
            tables, findings = write_comparison(comparison, folder)
        except (FileExistsError, NotADirectoryError) as error:
            raise InputError(
                f"`--out` should be a folder, made if need be. Found a file, `{error.filename}`; "
                "name another."
            ) from error
        return _text(tables, findings, folder)


def _checked(paths: Sequence[str]) -> list[RunDirectory]:
    """Return the runs, each with the results that are compared.

    Raises:
        InputError: If there are fewer than two, or one is named twice.
        StoreError: If one lacks a result, or has one made from another than is there.
    """
    if len(paths) < 2:
        found = f"one, `{paths[0]}`" if paths else "none"
        raise InputError(
            f"`boundary compare` takes two run directories or more. Found {found}; name those to "
            "hold side by side, as in `boundary compare RUN OTHER`."
        )
    runs = [RunDirectory(path) for path in paths]
    resolved = [run.path.resolve() for run in runs]
    for place, run in enumerate(runs):
        if resolved[place] in resolved[:place]:
            raise InputError(f"`boundary compare` takes each run once. Found `{run.path}` twice.")
        run.config()
        run.finished("collect")
        missing = [stage for stage in STAGES if not run.result(stage).exists()]
        if missing:
            first = ", then ".join(f"`boundary {stage} {run.path}`" for stage in missing)
            raise StoreError(f"`{run.path}` lacks {' and '.join(missing)}: run {first} first.")
        outdated = run.out_of_date()
        if outdated:
            raise StoreError(outdated)
    return runs


def _told_apart(runs: Sequence[RunDirectory], names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the runs: those given, or models, then folders, then whole paths.

    Raises:
        InputError: If they are not as many as the runs, or two are the same.
    """
    if names and len(names) != len(runs):
        raise InputError(
            f"`--names` should be as many as the runs, {len(runs)}, with commas between. Found "
            f"{len(names)}: {', '.join(names)}."
        )
    if len(set(names)) < len(names):
        raise InputError(f"`--names` should differ from each other. Found {', '.join(names)}.")
    if names:
        return tuple(names)
    found = names_of(runs)
    return tuple(
        name if found.count(name) == 1 else f"{run.model_name()} ({run.path})"
        for name, run in zip(found, runs, strict=True)
    )


def _folder(out: str, runs: Sequence[RunDirectory]) -> Path:
    """Return the folder of the comparison.

    Raises:
        InputError: If it is a run, lies within one, or holds a comparison of other runs.
    """
    folder = Path(out).expanduser()
    within = folder.resolve()
    for place in (within, *within.parents):
        if RunDirectory(place).config_file.exists() or place in {r.path.resolve() for r in runs}:
            raise InputError(
                f"`--out` should be a folder outside of every run. Found `{out}` in the run "
                f"`{place}`; name another."
            )
    compared = _compared_in(folder)
    if compared is not None and set(compared) != {_seen_from(folder, run) for run in runs}:
        known = " and ".join(f"`{os.path.normpath(folder / path)}`" for path in compared)
        raise InputError(
            "`--out` should be a new folder, or that of a comparison of the same runs. Found one "
            f"of {known or 'runs that are not on record'} in `{out}`; name another, or remove it."
        )
    return folder


def _compared_in(folder: Path) -> list[str] | None:
    """Return the runs of the comparison in a folder, seen from there; None where it holds none."""
    if not any((folder / name).exists() for name in (PAGE, NUMBERS)):
        return None
    try:
        numbers = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return []
    found = numbers.get("directories") if isinstance(numbers, dict) else None
    return [str(path) for path in found] if isinstance(found, list) else []


def _seen_from(folder: Path, run: RunDirectory) -> str:
    """Return the path of a run from a folder: both may be moved together."""
    return os.path.relpath(run.path.resolve(), folder.resolve())


def _read(run: RunDirectory, name: str, folder: Path) -> ComparedRun:
    for note in run.notes():
        _log.warning("%s It is left out.", note)
    settings, images = load_settings(run.result("collect")), run.provenance.read().get("images")
    normals = settings.get("normals")
    weights = normals.get("model") if isinstance(normals, dict) else None
    source = images.get("name") if isinstance(images, dict) else None
    with run.shown():
        compared = ComparedRun(
            name=name,
            model=run.model_name(),
            weights=weights if isinstance(weights, str) else "",
            directory=_seen_from(folder, run),
            images=str(source or Path(str(run.config().get("images"))).name),
            results=RunResults.read(run.path, [s for s in OPTIONAL if run.current(s)]),
        )
        _ = compared.table  # what does not fit within one run is that run's own fault
    return compared


def _text(tables: Sequence[Listed], findings: Sequence[Finding], folder: Path) -> str:
    """Return some tables for the screen, a few runs at a time, and what they come to."""
    shown = [one for one in tables if one.title in (ANSWERS, POINTS)] + list(tables[-1:])
    runs = len(tables[0].head) - 1
    parts = [
        _table(some_runs(table, slice(start, start + _RUNS)))
        for start in range(0, runs, _RUNS)
        for table in shown
    ]
    parts += [fill(finding.sentence, WIDTH, break_on_hyphens=False) for finding in findings]
    parts.append(f"comparison: {folder / PAGE}")
    return "\n\n".join(parts)


def _table(table: Listed) -> str:
    runs = len(table.head) - 1
    room = (WIDTH - _LABEL) // max(2, runs)
    found = [
        _cut(table.title, _LABEL - 1).ljust(_LABEL)
        + "".join(_cut(name, room - 1).rjust(room) for name in table.head[1:])
    ]
    for label, *cells in table.rows:
        lines = [wrap(label, _LABEL - 3), *(wrap(cell, room - 2) for cell in cells)]
        for texts in zip_longest(*lines, fillvalue=""):
            first, *rest = texts
            found.append(f"  {first:<{_LABEL - 2}}" + "".join(text.rjust(room) for text in rest))
    return "\n".join(found)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"
