"""Whether a store of normals is sound, shard by shard, and keeping what is."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from boundary.errors import StoreError
from boundary.files import TEMPORARY, write_text
from boundary.lock import locked
from boundary.manifest import (
    MANIFEST,
    Header,
    Shard,
    header_from,
    manifests,
    shard_from,
    whole_lines,
)
from boundary.shards import require_sound

DAMAGED = "damaged"
"""Folder that `repair_store` moves files to."""


@dataclass(frozen=True)
class StoreState:
    """What a store holds that is sound, and what is not."""

    folder: Path
    header: Header
    lines: dict[Path, list[str]]
    """Manifest -> its lines of sound shards."""
    shards: list[Shard]
    """The sound ones."""
    faults: list[str]
    """A sentence on each thing that is not."""
    spoilt: list[Path]
    """Files of shards that are there and not sound."""
    left_over: list[Path]
    """Files that no manifest names: the work of a killed run."""

    @property
    def rows(self) -> int:
        """Of the sound shards."""
        return sum(shard.rows for shard in self.shards)


def examine_store(directory: str | Path) -> StoreState:
    """Look at every manifest and every number of a store.

    Args:
        directory: Of the store.

    Returns:
        What is sound in it, and what is not.

    Raises:
        StoreError: If there is no store, or its first line is damaged: nothing says then what the
            rows are.
    """
    folder = Path(directory)
    header = header_from(folder / MANIFEST, whole_lines(folder / MANIFEST)[:1])
    lines: dict[Path, list[str]] = {}
    shards: list[Shard] = []
    faults: list[str] = []
    spoilt: list[Path] = []
    for path in manifests(folder):
        own = whole_lines(path)[1:] if path.name == MANIFEST else whole_lines(path)
        lines[path] = []
        for line in own:
            shard = None
            try:
                shard = shard_from(path, line)
                _require_apart(path, shard, shards)
                require_sound(folder, shard, header.dimension)
            except (StoreError, OSError) as error:
                faults.append(str(error))
                if shard is not None and (folder / shard.name).is_file():
                    spoilt.append(folder / shard.name)
            else:
                shards.append(shard)
                lines[path].append(line)
    named = {*(shard.name for shard in shards), *(path.name for path in spoilt)}
    others = [*folder.glob("shard-*.h5"), *folder.glob(f"*{TEMPORARY}")]
    left_over = sorted(path for path in others if path.name not in named)
    sound = {folder / shard.name for shard in shards}
    spoilt = [path for path in dict.fromkeys(spoilt) if path not in sound]
    return StoreState(folder, header, lines, shards, faults, spoilt, left_over)


def repair_store(directory: str | Path) -> StoreState:
    """Keep the sound shards of a store; collecting then fills the gaps.

    Files that are not sound are moved to the folder ``damaged``. The store is looked at under its
    lock, so that no row is lost that another process has acknowledged meanwhile.

    Args:
        directory: Of the store.

    Returns:
        What was sound in it, and what was not.

    Raises:
        StoreError: If another process is at work in the store, or its first line is damaged.
    """
    with locked(Path(directory)):
        state = examine_store(directory)
        for path, lines in state.lines.items():
            first = [state.header.line()] if path.name == MANIFEST else []
            write_text(path, "".join(f"{line}\n" for line in (*first, *lines)))
        move_aside(state.folder, state.spoilt)
    return state


def move_aside(folder: Path, files: Sequence[Path]) -> None:
    """Move files to the folder ``damaged``, beside what is there already.

    Raises:
        StoreError: If that folder is a link: a stranger's would have files moved elsewhere.
    """
    damaged = folder / DAMAGED
    if damaged.is_symlink():
        raise StoreError(f"`{damaged}` is a link, which is refused; delete it.")
    for path in files:
        damaged.mkdir(exist_ok=True)
        names = (f"{path.name}{place or ''}" for place in count())
        path.rename(next(damaged / name for name in names if not os.path.lexists(damaged / name)))


def _require_apart(manifest: Path, shard: Shard, others: list[Shard]) -> None:
    if any(shard.start < other.stop and other.start < shard.stop for other in others):
        raise StoreError(f"`{manifest}` is damaged: two shards cover images of `{shard.name}`.")
