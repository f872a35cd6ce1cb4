"""All of it, at full length, with a table at the end; the status is 1 if anything went wrong."""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # children are forked: torch must have no threads

from soak import work as jobs

KILLS = {
    "collect": 0.5,
    "spectrum": 0.1,
    "universal": 0.1,
    "fooling": 0.1,
    "curvature": 0.1,
    "report": 0.05,
}
"""Share of the kills, by stage."""
FAULTS = {"spectrum": 6, "universal": 6, "fooling": 6, "curvature": 4, "report": 4}
"""Faults at random calls of the later stages; collecting has one at every call."""


def run() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="of all stages together")
    parser.add_argument("--cases", type=int, default=10_000, help="mutations of files")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool,
    ):
        done = {title: job.result() for title, job in _begun(pool, Path(name), asked)}
    kills = [found for (kind, _), found in done.items() if kind == "kill"]
    faults = [found for (kind, _), found in done.items() if kind == "fault"]
    fuzzed = [found for (kind, _), found in done.items() if kind == "fuzz"]
    refused = done["exploits", ""]
    lost = sum(found.rows_lost for found in (*kills, *faults))
    table = {
        "kills survived": sum(found.kills for found in kills),
        **{f"  of `{found.stage}`": found.kills for found in kills},
        "commands that ended as undisturbed ones": sum(found.finished for found in kills),
        "acknowledged rows compared after a kill": sum(found.rows for found in kills),
        "faults of the disk injected": sum(found.injected for found in faults),
        "files mutated and read": sum(found.cases for found in fuzzed),
        "  of them refused": sum(found.refused for found in fuzzed),
        "exploits refused": refused.refused,
        "rows lost": lost,
        "seconds": round(time.monotonic() - began),
    }
    for title, number in table.items():
        print(f"{title:42}{number:>8}")
    wrong = [said for found in done.values() for said in found.wrong]
    for said in wrong:
        print("WRONG", said)
    return int(bool(wrong) or lost > 0)


def _begun(
    pool: ProcessPoolExecutor, work: Path, asked: argparse.Namespace
) -> list[tuple[tuple[str, str], Future]]:
    """Return all jobs by kind and name."""
    prepared, seed = work / "prepared", asked.seed
    preparing = pool.submit(jobs.prepare, prepared)
    begun = [
        (("exploits", ""), pool.submit(jobs.refuse, work / "exploits")),
        (("fault", "collect"), pool.submit(jobs.fault_collecting, work / "faults")),
    ]
    names = pool.submit(jobs.target_names, work / "targets").result()
    for place, name in enumerate(names):
        folder, cases = work / f"fuzz {place}", -(-asked.cases // len(names))
        begun.append((("fuzz", name), pool.submit(jobs.fuzzed, name, cases, folder, seed)))
    seconds = preparing.result()
    for stage, share in KILLS.items():
        folder, kills = work / f"kill {stage}", max(1, round(share * asked.kills))
        job = pool.submit(jobs.kill, stage, seconds[stage], kills, prepared, folder, seed)
        begun.append((("kill", stage), job))
    for stage, count in FAULTS.items():
        folder = work / f"fault {stage}"
        job = pool.submit(jobs.fault, stage, count, prepared, folder, seed)
        begun.append((("fault", stage), job))
    return begun


if __name__ == "__main__":
    sys.exit(run())
