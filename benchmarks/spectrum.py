"""Time, memory and errors of the singular spectrum, beside what a user would take instead.

Each row runs in a process of its own, all rows in turn in every round; the table has medians. The
floor is the symmetric product (dsyrk) and the eigen-decomposition (eigh) alone, on the same data in
float64. Memory is what a process grows by beyond the matrix, which it holds in float32; it is given
over the smallest that this way can do with: min(n, D)^2 doubles and two blocks.

    python benchmarks/spectrum.py --normals RUN/normals
    python benchmarks/spectrum.py --rows 2000 --dimension 12288
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter
from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import svds
from sklearn.utils.extmath import randomized_svd

from analysis import gram, singular_spectrum
from boundary import NormalsStore

LEADING = 100
PAPER = ((1, 150, 1000, 5000, 10_000, 20_000, 50_000), (5.5, 3.3, 2.5, 1.8, 1.24, 0.68, 0.05))
"""Index and singular value of CaffeNet's 50,000 normals, read off the CVPR 2017 paper's figure."""

Rows = NDArray[np.float32]
Found = tuple[NDArray[Any], NDArray[Any] | None]


def ours(rows: Rows) -> Found:
    found = singular_spectrum(rows, directions=LEADING)
    return found.singular_values, found.directions


def ours_krylov(rows: Rows) -> Found:
    found = singular_spectrum(rows, directions=LEADING, method="krylov")
    return found.singular_values, found.directions


def numpy_svd(rows: Rows) -> Found:
    _, values, right = np.linalg.svd(rows.astype(np.float64), full_matrices=False)
    return values, right[:LEADING]


def sklearn_randomized(rows: Rows) -> Found:
    _, values, right = randomized_svd(rows, LEADING, random_state=0)
    return values, right


def torch_lowrank(rows: Rows) -> Found:
    torch.manual_seed(0)
    _, values, right = torch.svd_lowrank(torch.from_numpy(rows), q=LEADING)
    return values.numpy(), right.numpy().T


def scipy_svds(rows: Rows) -> Found:
    _, values, right = svds(rows, k=LEADING, random_state=0)
    return values[::-1], right[::-1]


def floor(rows: Rows) -> Found:
    """The two pieces alone; the conversion to float64 is not in the time."""
    lines = rows.astype(np.float64) if len(rows) <= rows.shape[1] else rows.T.astype(np.float64)
    begun = perf_counter()
    product = scipy.linalg.blas.dsyrk(1.0, np.ascontiguousarray(lines).T, trans=1, lower=1)
    squares, _ = scipy.linalg.eigh(product, overwrite_a=True, check_finite=False, driver="evd")
    global _own_seconds
    _own_seconds = perf_counter() - begun
    return np.sqrt(squares[::-1].clip(min=0)), None


WAYS: dict[str, Callable[[Rows], Found]] = {
    "floor: dsyrk + eigh": floor,
    "ours, all values": ours,
    "ours, krylov": ours_krylov,
    "numpy svd": numpy_svd,
    "sklearn randomized_svd": sklearn_randomized,
    "torch svd_lowrank": torch_lowrank,
    "scipy svds": scipy_svds,
}

_own_seconds: float | None = None


def one_way(name: str, folder: Path) -> None:
    """Run one row in this process, print its time and memory, and keep what it found."""
    rows = np.load(folder / "rows.npy")
    way = WAYS[name]
    small = np.linalg.qr(np.random.default_rng(0).standard_normal((300, 150)))[0].T
    way(np.ascontiguousarray(small, dtype=np.float32))  # loads the libraries
    before = resident()
    with Peak() as peak:
        begun = perf_counter()
        values, right = way(rows)
        seconds = perf_counter() - begun
    np.save(folder / f"values {name}.npy", values)
    if right is not None:
        np.save(folder / f"right {name}.npy", right)
    print(json.dumps({"seconds": _own_seconds or seconds, "bytes": peak.bytes - before}))


class Peak:
    """The largest resident memory of this process while the block runs, looked at every ms."""

    def __enter__(self) -> "Peak":
        self.bytes, self._done = resident(), Event()
        self._watch = Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._done.wait(0.001):
            self.bytes = max(self.bytes, resident())


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def paper_rows(count: int, dimension: int) -> Rows:
    """Rows with the spectrum of the paper, its indices in proportion: smooth and slowly decaying.

    Independent rows of a Gaussian with these variances come close to it, and cost no QR.
    """
    index = np.linspace(1, 50_000, dimension)
    scale = np.exp(np.interp(np.log(index), np.log(PAPER[0]), np.log(PAPER[1]))).astype(np.float32)
    rows = np.random.default_rng(0).standard_normal((count, dimension), dtype=np.float32) * scale
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def errors(name: str, exact: Found, folder: Path) -> list[str]:
    values = np.load(folder / f"values {name}.npy").astype(np.float64)
    right = folder / f"right {name}.npy"
    relative = np.abs(values - exact[0][: len(values)]) / exact[0][: len(values)]
    large = exact[0][: len(values)] > 1e-3 * exact[0][0]
    angle = "-"
    if right.exists() and exact[1] is not None:
        cosines = np.linalg.svd(np.load(right).astype(float) @ exact[1].T, compute_uv=False)
        angle = f"{np.degrees(np.arccos(cosines.min().clip(max=1))):.2g}"
    return [
        str(len(values)),
        f"{relative[large].max():.1e}",
        f"{relative[:LEADING].max():.1e}",
        angle,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--normals", help="a store of normals, like RUN/normals")
    parser.add_argument("--rows", type=int, default=2000, help="of the paper's spectrum")
    parser.add_argument("--dimension", type=int, default=12_288)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), help="which rows of the table")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        one_way(options.way, Path(options.folder))
        return
    with TemporaryDirectory() as name:
        _table(options, Path(name))


def _table(options: argparse.Namespace, folder: Path) -> None:
    if options.normals:
        rows = np.asarray(NormalsStore.open(options.normals).normals()[:])
    else:
        rows = paper_rows(options.rows, options.dimension)
    np.save(folder / "rows.npy", rows)
    side, long = sorted(rows.shape)
    block = side * min(long, max(gram.NARROWEST, gram.BLOCK_NUMBERS // side))
    least = 8 * (side**2 + 2 * block)
    exact = numpy_svd(rows)
    print(
        f"n = {rows.shape[0]}, D = {rows.shape[1]}, values {exact[0][0]:.3g} to "
        f"{exact[0][-1]:.3g}; "
        f"{torch.get_num_threads()} threads; numpy {np.__version__}, scipy {scipy.__version__}, "
        f"torch {torch.__version__}; {options.rounds} rounds\n"
    )
    del rows
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in options.ways}
    for _ in range(options.rounds):
        for way in options.ways:
            said = subprocess.run(
                [sys.executable, __file__, "--way", way, "--folder", str(folder)],
                check=True,
                capture_output=True,
                text=True,
            )
            runs[way].append(json.loads(said.stdout.splitlines()[-1]))
    print(
        "| way | seconds | over the floor | memory, MiB | over side^2 and two blocks | values "
        "| error above 1e-3 | error, top 100 | angle, top 100 (degrees) |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    floors = [run["seconds"] for run in runs.get("floor: dsyrk + eigh", [])]
    for way, found in runs.items():
        seconds = np.array([run["seconds"] for run in found])
        memory = np.median([run["bytes"] for run in found])
        over = f"{np.median(seconds / floors):.2f}" if floors else "-"
        cells = [way, f"{np.median(seconds):.2f}", over, f"{memory / 2**20:.0f}"]
        cells += [f"{memory / least:.2f}", *errors(way, exact, folder)]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
