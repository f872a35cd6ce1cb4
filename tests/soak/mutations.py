"""Mutations of valid files, and whether the readers answer each in the project's own words."""

import json
import random
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import torch
from safetensors.numpy import save_file

from analysis.perturbation_files import load_perturbations, save_perturbations, save_picture
from analysis.perturbations import on_sphere
from analysis.results import UniversalResult
from analysis.saved import load_result, load_settings, save_result
from boundary import Classifier, NormalsStore, collect_normals, open_images
from boundary.errors import BoundaryError
from boundary.manifest import MANIFEST
from boundary.weights import load_weights
from made import universal_result
from soak.children import UNEXPECTED, child
from soak.exploits import read_everything, resealed
from sources import array_source
from study.cli import main
from study.config import StudyConfig
from study.run import RunDirectory
from surfaces import linear

_SECONDS, _MEMORY = 30, 3 << 30
"""That one case may take."""

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
_WORDS = (
    *(b"null", b"true", b"-1", b"1e999", b"NaN", b"99999999999999999999", b"0.5"),
    *(b"[]", b"{}", b'""', b"[[[", b"!!python/object:os.system", b"&a", b"*a", b"../"),
    *(b"\x00", b"\xff\xfe", b"\xe2\x80\xae"),
)


def mutated(content: bytes, generator: random.Random) -> bytes:
    """Return some bytes with one to four changes."""
    data = bytearray(content)
    for _ in range(generator.randint(1, 4)):
        generator.choice(_CHANGES)(data, generator)
    return bytes(data)


def _flip(data: bytearray, generator: random.Random) -> None:
    if data:
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)


def _number(data: bytearray, generator: random.Random) -> None:
    size = generator.choice((1, 2, 4, 8))
    if len(data) >= size:
        place = generator.randrange(len(data) - size + 1)
        number = generator.choice(_NUMBERS) % 256**size
        data[place : place + size] = number.to_bytes(size, generator.choice(("little", "big")))


def _cut(data: bytearray, generator: random.Random) -> None:
    if data:
        del data[generator.randrange(len(data)) :]


def _remove(data: bytearray, generator: random.Random) -> None:
    if data:
        place = generator.randrange(len(data))
        del data[place : place + generator.randint(1, 64)]


def _repeat(data: bytearray, generator: random.Random) -> None:
    if data:
        place = generator.randrange(len(data))
        piece = data[place : place + generator.randint(1, 64)]
        data[place:place] = piece * generator.randint(1, 20)


def _word(data: bytearray, generator: random.Random) -> None:
    place = generator.randrange(len(data) + 1)
    data[place:place] = generator.choice(_WORDS)


def _value(data: bytearray, generator: random.Random) -> None:
    """Put a word in the place of a number or a text of JSON or YAML."""
    found = list(re.finditer(rb'"[^"\n]*"|-?\d+\.?\d*|true|false|null', bytes(data)))
    if found:
        place = generator.choice(found)
        data[place.start() : place.end()] = generator.choice(_WORDS)


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _flip, _number, _number, _cut, _remove, _repeat, _word, _value,
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A valid file, and what reads it."""

    name: str
    file: Path
    read: Callable[[], object]
    """Reads the file, or what it belongs to."""
    after: Callable[[], object] = lambda: None
    """What a forger does beside changing the file."""


def targets(work: Path) -> list[Target]:
    """Return all kinds of files that the project reads, made in a folder."""
    return [
        *_of_stores(work / "stores"),
        *_of_vectors(work / "vectors"),
        *_of_weights(work / "weights"),
        *_of_images(work / "images"),
        *_of_runs(work / "run"),
        *_of_settings(work),
    ]


def _of_stores(work: Path) -> Iterator[Target]:
    classifier = Classifier(linear(3, 4).float())

    def made(name: str) -> tuple[Path, Callable[[], object]]:
        """Return a sound store, and what goes on collecting there."""
        folder = work / name
        folder.mkdir(parents=True)
        source = array_source(folder, 8)

        def collect() -> NormalsStore:
            return collect_normals(classifier, source, folder / "n", batch_size=4)

        collect()
        return folder / "n", collect

    shard = "shard-00000000.h5"
    plain, _ = made("plain")
    yield Target("shard", plain / shard, lambda: read_everything(plain))
    forged, _ = made("forged")
    yield Target(
        "shard with its checksum",
        forged / shard,
        lambda: read_everything(forged),
        lambda: resealed(forged),
    )
    yield Target("manifest", plain / MANIFEST, lambda: read_everything(plain))
    begun, collect = made("begun")
    yield Target("manifest, resumed", begun / MANIFEST, collect)


def _of_vectors(work: Path) -> Iterator[Target]:
    work.mkdir(parents=True)
    drawn = on_sphere((3, 4, 4), 2, 1.0, torch.Generator().manual_seed(0))
    vectors = drawn.vectors.numpy()
    save_perturbations(work / "ours.safetensors", drawn)
    save_file({"v": vectors}, work / "theirs.safetensors")
    np.save(work / "v.npy", vectors)
    np.savez(work / "v.npz", v=vectors)
    np.savez_compressed(work / "small.npz", v=vectors)
    scipy.io.savemat(work / "v.mat", {"v": vectors})
    torch.save({"v": drawn.vectors}, work / "v.pt")
    torch.save({"v": drawn.vectors}, work / "old.pt", _use_new_zipfile_serialization=False)
    save_picture(work / "v.png", 0.1 * drawn.vectors[0])
    for file in sorted(work.iterdir()):
        yield Target(f"perturbation {file.name}", file, lambda f=file: load_perturbations(f))


def _of_weights(work: Path) -> Iterator[Target]:
    work.mkdir()
    state = linear(3, 4).float().state_dict()
    save_file({name: value.numpy() for name, value in state.items()}, work / "w.safetensors")
    torch.save(state, work / "w.pt")
    for file in sorted(work.iterdir()):
        yield Target(
            f"weights {file.name}", file, lambda f=file: load_weights(linear(3, 4).float(), f)
        )


def _of_images(work: Path) -> Iterator[Target]:
    work.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 5), np.uint8)
    np.save(work / "i.npy", pixels)
    np.savez_compressed(work / "i.npz", images=pixels, labels=np.arange(6))
    with h5py.File(work / "i.h5", "w") as file:
        file["images"], file["labels"] = pixels, np.arange(6)
    for path in sorted(work.iterdir()):
        yield Target(f"images {path.name}", path, lambda f=path: open_images(str(f)).read(range(6)))


def _of_runs(work: Path) -> Iterator[Target]:
    run = RunDirectory(work)
    run.prepare(asdict(StudyConfig()))
    run.provenance.begin({"model": {"name": "digits"}})
    save_result(run.result("universal"), universal_result(), {"seed": 0})
    run.record_done("universal", 0.0, "cpu")

    def read() -> None:
        load_settings(run.result("universal"))
        load_result(run.result("universal"), UniversalResult)

    yield Target("result", run.result("universal"), read)
    yield Target("study.yaml", run.config_file, run.study)
    yield Target("provenance.json", run.provenance.path, run.provenance.checksums)


def _of_settings(work: Path) -> Iterator[Target]:
    file = work / "settings.yaml"
    settings = {
        "model": "digits",
        "images": "digits",
        "collect": 20,
        "seed": 1,
        "fooling": {"norms": [0.5, 1.0], "draws": 2},
        "search": {"candidates": 5, "residual_tol": 1e-4, "max_margin": None},
    }
    file.write_text(json.dumps(settings, indent=1))
    words = ["run", "--config", str(file), "--print_config"]
    yield Target("configuration", file, lambda: main(words))


@dataclass
class Fuzzing:
    """What many mutations have shown."""

    cases: int = 0
    refused: int = 0
    """In the project's own words; the others read as something valid."""
    wrong: list[str] = field(default_factory=list)


def fuzz(target: Target, cases: int, seed: int, log: Path) -> Fuzzing:
    """Read mutations of a file in children, and note every answer that is not the project's own.

    Args:
        target: What is changed and read.
        cases: How many mutations.
        seed: Of the mutations.
        log: Where children print.
    """
    found, first = Fuzzing(), 0
    folder = target.file.parent
    sound = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    progress = log.with_suffix(".progress")
    while first < cases and len(found.wrong) < 5:
        start = first
        ended = child(
            partial(_cases, target, sound, start, cases, seed, progress),
            log,
            at_most=_SECONDS,
            memory=_MEMORY,
        )
        done, refused = (int(number) for number in progress.read_text().split())
        found.refused += refused
        found.cases += done + 1 - start if ended.status != 0 else done - start
        if ended.status == 0:
            break
        how = "raised" if ended.status == UNEXPECTED else f"ended with {ended.status}"
        found.wrong.append(f"{target.name}, case {done} of seed {seed} {how}: {ended.said[-600:]}")
        first = done + 1
    for path, content in sound.items():
        path.write_bytes(content)
    return found


def _cases(
    target: Target, sound: dict[Path, bytes], first: int, last: int, seed: int, progress: Path
) -> int:
    refused = 0
    for case in range(first, last):
        progress.write_text(f"{case} {refused}")
        signal.alarm(_SECONDS)
        for path, content in sound.items():
            path.write_bytes(content)
        generator = random.Random(f"{seed}, {target.name}, {case}")
        target.file.write_bytes(mutated(sound[target.file], generator))
        target.after()
        try:
            target.read()
        except BoundaryError:
            refused += 1
        except SystemExit as left:
            if left.code not in {0, 2, None}:
                raise RuntimeError(f"exit status {left.code}") from left
            refused += left.code == 2
    progress.write_text(f"{last} {refused}")
    return 0
