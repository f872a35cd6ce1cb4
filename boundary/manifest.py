"""What a store of normals holds: a header, and a line for each shard that was written whole.

Every line is input from a stranger: what is not of the kind that this program writes is refused.
"""

import json
import re
from dataclasses import dataclass, fields
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

from boundary.errors import StoreError

WAY_OUT = "; `boundary verify FOLDER --repair` keeps what is sound."
"""Of a damaged store."""

FORMAT, VERSION = "boundary-normals", 1
MANIFEST = "manifest.jsonl"

_MOST_NUMBERS = 2**31
"Of one image."
_MOST_ROWS = 2**48
_LARGEST = 2**28
"""Bytes of a manifest."""

_SHARD_NAME = re.compile(r"shard-\d{8}\.h5")
_OTHER_MANIFEST = re.compile(r"manifest-\d{4,}\.jsonl")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Header:
    """What every row of a store has in common."""

    shape: tuple[int, ...]
    """(C, H, W) of an image."""
    settings: dict[str, Any]
    """What every row depends on, JSON values."""

    @property
    def dimension(self) -> int:
        """D, the numbers of one image."""
        return prod(self.shape)

    def line(self) -> str:
        """Return the first line of the manifest."""
        return json.dumps(
            {
                "format": FORMAT,
                "version": VERSION,
                "shape": list(self.shape),
                "settings": self.settings,
            }
        )


@dataclass(frozen=True)
class Shard:
    """One line of the manifest: a file with the rows of images ``start`` to ``stop``."""

    name: str
    start: int
    stop: int
    rows: int
    bytes: int
    sha256: str
    unreadable: tuple[tuple[str, str], ...] = ()
    """Images of this stretch that could not be read: id and reason. They have no row."""


def manifest_of(rank: int) -> str:
    """Return the name of the manifest that a process writes."""
    return MANIFEST if rank == 0 else f"manifest-{rank:04d}.jsonl"


def manifests(folder: Path) -> list[Path]:
    """Return all manifests of a store, the one with the header first."""
    others = (path for path in folder.iterdir() if _OTHER_MANIFEST.fullmatch(path.name))
    return [folder / MANIFEST, *sorted(others)]


def whole_lines(manifest: Path) -> list[str]:
    """Return the whole lines of a manifest; of one that a kill tore nothing was acknowledged.

    Raises:
        StoreError: If it cannot be read.
    """
    try:
        with manifest.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise StoreError(
            f"`{manifest.parent}` holds no store of normals: {error.strerror}."
        ) from error
    if len(content) > _LARGEST:
        raise StoreError(f"`{manifest}` should hold less than {_LARGEST} bytes: refused.")
    text = content.decode("utf-8", "surrogateescape")  # a spoilt byte spoils its line alone
    return text[: text.rfind("\n") + 1].splitlines()


def read_manifests(folder: Path) -> tuple[Header, list[Shard]]:
    """Return what a store holds, its shards in the order of the images.

    Raises:
        StoreError: If a manifest is damaged, or of another version.
    """
    lines = whole_lines(folder / MANIFEST)
    first, *rest = manifests(folder)
    header = header_from(first, lines)
    shards = [
        shard_from(path, line)
        for path, own in ((first, lines[1:]), *((path, whole_lines(path)) for path in rest))
        for line in own
    ]
    shards.sort(key=lambda shard: shard.start)
    if any(one.stop > other.start for one, other in pairwise(shards)):
        raise StoreError(f"`{first}` is damaged: two shards cover the same images{WAY_OUT}")
    return header, shards


def header_from(manifest: Path, lines: list[str]) -> Header:
    """Return what the first line of a manifest says.

    Raises:
        StoreError: If it is damaged, or of another version.
    """
    found = _object(manifest, lines[0] if lines else "")
    if (found.get("format"), found.get("version")) != (FORMAT, VERSION):
        raise StoreError(
            f"`{manifest.parent}` should be a {FORMAT} store of version {VERSION}. Found "
            f"{str(found.get('format'))[:40]} {str(found.get('version'))[:40]}."
        )
    shape, settings = found.get("shape"), found.get("settings")
    if not isinstance(shape, list) or len(shape) != 3 or not all(map(_is_count, shape)):
        raise StoreError(f"`{manifest}` is damaged: `shape` should be three whole numbers.")
    if prod(shape) > _MOST_NUMBERS:
        raise StoreError(f"`{manifest}` is damaged: no image has {prod(shape):.3g} numbers.")
    if not isinstance(settings, dict):
        raise StoreError(f"`{manifest}` is damaged: it has no settings.")
    return Header(tuple(shape), settings)


def shard_from(manifest: Path, line: str) -> Shard:
    """Return the shard that a line of a manifest acknowledges.

    Raises:
        StoreError: If the line is damaged.
    """
    found = _object(manifest, line)
    names = {field.name for field in fields(Shard)}
    if set(found) != names:
        wanted = ", ".join(sorted(names))
        raise StoreError(f"`{manifest}` is damaged: a shard should have {wanted}{WAY_OUT}")
    counts = ("start", "stop", "rows", "bytes")
    kinds = {
        "name": _matches(_SHARD_NAME, found["name"]),
        "sha256": _matches(_SHA256, found["sha256"]),
        **{name: type(found[name]) is int and 0 <= found[name] < _MOST_ROWS for name in counts},
        "unreadable": isinstance(found["unreadable"], list)
        and all(map(_is_pair, found["unreadable"])),
    }
    wrong = next((name for name, right in kinds.items() if not right), None)
    if wrong is None and found["rows"] + len(found["unreadable"]) != found["stop"] - found["start"]:
        wrong = "rows"
    if wrong is not None:
        raise StoreError(
            f"`{manifest}` is damaged: the `{wrong}` of a shard cannot be "
            f"`{str(found[wrong])[:40]}`{WAY_OUT}"
        )
    return Shard(**{**found, "unreadable": tuple(map(tuple, found["unreadable"]))})


def _object(manifest: Path, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"`{manifest}` is damaged: a line is not JSON{WAY_OUT}") from error
    if not isinstance(found, dict):
        raise StoreError(f"`{manifest}` is damaged: a line is no JSON object{WAY_OUT}")
    return found


def _matches(pattern: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _is_count(number: object) -> bool:
    return type(number) is int and number >= 1


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(x, str) for x in value)
