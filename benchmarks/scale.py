"""How time and memory grow: with the number of normals, and with one and two processes.

    python benchmarks/scale.py grow
    python benchmarks/scale.py ranks --model net.py:make --images photos

`grow` makes a store of rows with the paper's spectrum and takes its singular spectrum, all values
and 100 vectors, reading from the store. `ranks` collects the same images, and sums the Gram matrix
of the same store, with one process and with two, one thread each; every round runs both.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from matplotlib.figure import Figure

from analysis import Where, gram, singular_spectrum
from analysis.gram import gram_matrix
from boundary import (
    BoundaryPoints,
    Classifier,
    NormalsStore,
    collect_normals,
    load_model,
    open_images,
)
from boundary.images import ImageBatch
from boundary.ranks import joined_ranks
from figures.style import (
    BLACK,
    BLUE,
    GREY,
    ONE_COLUMN,
    VERMILION,
    add_caption,
    new_figure,
    plain_log_ticks,
    save_figure,
    styled,
)
from spectrum import Peak, paper_rows, resident

SHARD = 512


def make_store(folder: Path, count: int, side: int) -> NormalsStore:
    """Write unit rows as the normals of a store, without points."""
    store = NormalsStore.create(folder, (3, side, side), {"count": count})
    rows = torch.from_numpy(paper_rows(count, 3 * side * side)).view(-1, 3, side, side)
    for start in range(0, count, SHARD):
        part = rows[start : start + SHARD]
        number, whole = torch.ones(len(part)), torch.zeros(len(part), dtype=torch.int64)
        points = BoundaryPoints(part, part, *[number] * 4, *[whole] * 5)
        places = torch.arange(start, start + len(part))
        batch = ImageBatch(part, places, tuple(map(str, places.tolist())), whole, ())
        store.append(start, start + len(part), batch, points)
    return NormalsStore.open(folder)


def grow(options: argparse.Namespace) -> None:
    dimension = 3 * options.side**2
    print(f"D = {dimension}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print(
        "| n | Gram matrix, s | whole spectrum, s | over n^2 D | memory, MiB | "
        "over n^2 doubles and two blocks |\n|---|---|---|---|---|---|"
    )
    seconds: dict[int, tuple[float, float]] = {}
    for count in options.counts:
        with TemporaryDirectory() as name:
            make_store(Path(name), count, options.side)
            said = subprocess.run(
                [sys.executable, __file__, "measure", "--folder", name],
                check=True,
                capture_output=True,
                text=True,
            )
        found = json.loads(said.stdout.splitlines()[-1])
        side, long = sorted((count, dimension))
        seconds[count] = found["gram"], found["seconds"]
        block = side * min(long, max(gram.NARROWEST, gram.BLOCK_NUMBERS // side))
        least = 8 * (side**2 + 2 * block)
        print(
            f"| {count} | {found['gram']:.1f} | {found['seconds']:.1f} | "
            f"{1e9 * found['seconds'] / (count**2 * dimension) * 1e3:.2f} ps | "
            f"{found['bytes'] / 2**20:.0f} | {found['bytes'] / least:.2f} |",
            flush=True,
        )

    if options.figure:
        save_figure(styled(_draw)((seconds, dimension)), options.figure)


def _draw(found: tuple[dict[int, tuple[float, float]], int]) -> Figure:
    """Draw the seconds of the Gram matrix and of the whole against n."""
    seconds, dimension = found
    count = np.array(list(seconds))
    product, whole = np.array(list(seconds.values())).T
    figure = new_figure(ONE_COLUMN, 2.9)
    axes = figure.subplots()
    axes.loglog(count, whole, "o-", color=BLUE, label="all values, 100 directions")
    axes.loglog(count, product, "s-", color=VERMILION, label="Gram matrix alone")
    below = np.flatnonzero(count <= dimension)[-1]
    for power, style, through in ((2, ":", product[below]), (3, "--", whole[below])):
        line = through * (count / count[below]) ** power
        axes.loglog(count, line, style, color=GREY, lw=1, label=f"n to the power {power}")
    if count[0] < dimension < count[-1]:
        axes.axvline(dimension, color=BLACK, ls="-.", lw=0.8, zorder=0)
    axes.set(xlabel="n, number of normals", ylabel="seconds")
    axes.set_ylim(product[0] / 1.5, 2 * max(whole))
    plain_log_ticks(axes.xaxis, count[0], count[-1])
    plain_log_ticks(axes.yaxis, *axes.get_ylim())
    axes.legend()
    add_caption(figure, f"Dash-dotted: n = D = {dimension}. {torch.get_num_threads()} threads.")
    return figure


def measure(options: argparse.Namespace) -> None:
    """Take one spectrum in this process, and print its time and memory."""
    singular_spectrum(paper_rows(50, 100))  # loads the libraries
    normals = NormalsStore.open(options.folder).normals()
    begun = perf_counter()
    gram_matrix(normals)
    multiplied = perf_counter() - begun
    before = resident()
    with Peak() as peak:
        begun = perf_counter()
        singular_spectrum(normals)
        seconds = perf_counter() - begun
    print(json.dumps({"gram": multiplied, "seconds": seconds, "bytes": peak.bytes - before}))


def ranks(options: argparse.Namespace) -> None:
    times: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    with TemporaryDirectory() as name:
        make_store(Path(name) / "store", options.rows, options.side)
        for turn in range(options.rounds):
            for processes, found in times.items():
                folder = Path(name) / f"{turn}-{processes}"
                found.append(_together(options, processes, Path(name) / "store", folder))
    print(
        f"{options.model}, {options.count} images; Gram matrix of {options.rows} x "
        f"{3 * options.side**2}; one thread each, torch {torch.__version__}, "
        f"{options.rounds} rounds\n"
    )
    print("| | one process, s | two, s | times as fast |\n|---|---|---|---|")
    for what in ("collect", "gram"):
        one, two = (np.array([run[what] for run in times[count]]) for count in (1, 2))
        print(
            f"| {what} | {np.median(one):.2f} | {np.median(two):.2f} | {np.median(one / two):.2f} |"
        )


def _together(
    options: argparse.Namespace, processes: int, store: Path, folder: Path
) -> dict[str, float]:
    words = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *(f"--nproc-per-node={processes}", __file__, "share"),
        *("--folder", str(store), "--out", str(folder), "--model", options.model),
        *("--images", options.images, "--count", str(options.count)),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    said = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, float] = json.loads(said.stdout.splitlines()[-1])
    return found


def share(options: argparse.Namespace) -> None:
    """Collect and multiply as one of several processes; the first prints the times."""
    with joined_ranks() as joined:
        module = joined.first_goes_ahead(lambda: load_model(options.model).module)
        images = open_images(options.images)
        classifier = Classifier(module)
        spaced = list(range(0, len(images), max(1, len(images) // options.count)))
        positions = spaced[: options.count]
        with torch.no_grad():
            classifier(images.read(positions[:16]).images)
        joined.wait()
        begun = perf_counter()
        collect_normals(
            classifier, images, options.out, positions=positions, batch_size=32, ranks=joined
        )
        collected = perf_counter() - begun
        normals = NormalsStore.open(options.folder).normals()
        # The second time: a virtual machine gives memory slowly the first.
        gram_matrix(normals, Where(ranks=joined))
        joined.wait()
        begun = perf_counter()
        gram_matrix(normals, Where(ranks=joined))
        multiplied = perf_counter() - begun
        if joined.first:
            print(json.dumps({"collect": collected, "gram": multiplied}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["grow", "ranks", "measure", "share"])
    parser.add_argument("--counts", type=int, nargs="*", default=[1000, 2000, 5000, 10_000, 20_000])
    parser.add_argument("--side", type=int, default=64, help="of an image; D is 3 side^2")
    parser.add_argument("--rows", type=int, default=4000, help="of the shared Gram matrix")
    parser.add_argument("--model", default="digits")
    parser.add_argument("--images", default="digits")
    parser.add_argument("--count", type=int, default=256, help="images collected")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--figure", type=Path, help="draw what grows to this file")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    options = parser.parse_args()
    {"grow": grow, "ranks": ranks, "measure": measure, "share": share}[options.what](options)


if __name__ == "__main__":
    main()
