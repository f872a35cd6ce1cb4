"""What the toolkit answers for planted networks, whose answers are known.

Each network and seed is a study at default settings, without its report. Prints a line a study and
a table in Markdown at the end.

    python benchmarks/controls.py [--seeds 20] [--names linear,ridge] [--processes 2]
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NONE, PLANES = "no difference shown", ("own_plane", "other_plane")
EXPECTED = {
    # shares beyond smoothness, fools beyond matched noise, curvature, smallest share of the causes
    "linear": ("more", "more", "flat", PLANES, 0.98),
    "ridge": ("more", "more", "flat", PLANES, 0.98),
    "smooth": (NONE, NONE, "flat", PLANES, 0.98),
    "sink": ("more", "more", "flat", ("own_plane",), 0.98),
    "curved": (NONE, NONE, "supported", ("bending",), 0.8),
}


def study(name: str, seed: int) -> dict[str, Any]:
    """Return the answers of one study, and the processor time that it took."""
    import torch

    from analysis.answers import answers
    from analysis.results import CurvatureResult, FoolingResult, UniversalResult
    from analysis.saved import load_result
    from study import curving, perturbing, stages, universals
    from study.config import config_from
    from study.run import RunDirectory
    from study.subject import load_subject

    torch.set_num_threads(1)
    begun = time.process_time()
    config = config_from({"model": f"control:{name}:{seed}", "seed": seed})
    with TemporaryDirectory() as folder:
        run, subject = RunDirectory(Path(folder)), load_subject(config)
        run.prepare({"model": config.model})
        stages.collect(run, config, subject)
        stages.untrained(run, config, subject)
        stages.spectrum(run, config)
        universals.universal(run, config, subject)
        perturbing.fooling(run, config, subject)
        curving.curvature(run, config, subject)
        found = answers(
            load_result(run.result("universal"), UniversalResult),
            load_result(run.result("fooling"), FoolingResult),
            load_result(run.result("curvature"), CurvatureResult),
        )
    return {**found, "name": name, "seed": seed, "seconds": time.process_time() - begun}


def judged(found: dict[str, Any]) -> dict[str, bool]:
    """Return which of the answers are right."""
    shared, beyond, curvature, causes, least = EXPECTED[found["name"]]
    universality = found["universality"]
    supported = found["curvature"]["answer"] == "supported"
    explained = sum(universality["causes"][cause] for cause in causes)
    sink = found["name"] != "sink" or universality["sink"]["share"] > 0.95
    return {
        "shared": found["shared"]["beyond_smoothness"]["answer"] == shared,
        "beyond noise": universality["beyond_noise"]["answer"] == beyond,
        "curvature": supported == (curvature == "supported"),
        "causes": explained >= least and sink,
    }


def line(found: dict[str, Any]) -> str:
    """Return one study in a line."""
    shared, beyond = found["shared"]["beyond_smoothness"], found["universality"]["beyond_noise"]
    causes, curvature = found["universality"]["causes"], found["curvature"]
    wrong = [name for name, right in judged(found).items() if not right]
    ends = [f"{one} {curvature[one]['answer']}" for one in ("bends", "fools", "predicts")]
    return (
        f"{found['name']} {found['seed']}: R {found['R']}, "
        f"energy ratio {shared['ratio']:.2f} ({shared['low']:.2f} to {shared['high']:.2f}), "
        f"rate {beyond['rate']:.3f} - {beyond['noise_rate']:.3f} ({beyond['low']:+.3f} to "
        f"{beyond['high']:+.3f}), causes "
        + " ".join(f"{causes[name]:.2f}" for name in causes)
        + f", sink {found['universality']['sink']['share']:.2f}, {curvature['answer']} "
        f"({', '.join(ends)}), {found['seconds']:.0f} s"
        + (f"; WRONG: {', '.join(wrong)}" if wrong else "")
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--names", default=",".join(EXPECTED))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    names = options.names.split(",")
    cases = list(product(names, range(options.seeds)))
    with ProcessPoolExecutor(options.processes) as pool:
        results = []
        for found in pool.map(study, *zip(*cases, strict=True)):
            print(line(found), flush=True)
            results.append(found)
    print("\n| control | " + " | ".join(judged(results[0])) + " | all right | seconds, median |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        own = [one for one in results if one["name"] == name]
        right = [judged(one) for one in own]
        cells = [f"{sum(one[kind] for one in right)}" for kind in right[0]]
        seconds = sorted(one["seconds"] for one in own)[len(own) // 2]
        whole = sum(all(one.values()) for one in right)
        print(f"| {name} | {' | '.join(cells)} | {whole} of {len(own)} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
