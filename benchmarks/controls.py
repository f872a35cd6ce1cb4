"""What the toolkit answers for planted networks, whose answers are known.

Each network and seed is a study at default settings, without its report. Prints a line a study and
a table in Markdown at the end: how many answers are right, how often an endpoint of the curvature
hypothesis is found where there is none, and, with `--bends`, how often the hypothesis is supported
on `curved` by its curvature times its median margin.

    python benchmarks/controls.py [--seeds 20] [--names linear,ridge] [--processes 2]
    python benchmarks/controls.py --bends 0.05,0.1,0.2,0.4,0.65 --seeds 5
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
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


def study(name: str, seed: int, bend: float | None = None) -> dict[str, Any]:
    """Return the answers of one study, and the processor time that it took.

    Args:
        name: Of the planted network.
        seed: Of the network and the study.
        bend: Of `curved`: kappa times the median margin, in place of its own.
    """
    import torch

    from analysis.answers import answers
    from analysis.results import CurvatureResult, FoolingResult, UniversalResult
    from analysis.saved import load_result
    from boundary.classifier import Classifier
    from boundary.controls import curved
    from study import curving, perturbing, stages, universals
    from study.config import config_from
    from study.run import RunDirectory
    from study.subject import load_subject

    torch.set_num_threads(1)
    begun = time.process_time()
    config = config_from({"model": f"control:{name}:{seed}", "seed": seed})
    with TemporaryDirectory() as folder:
        run, subject = RunDirectory(Path(folder)), load_subject(config)
        if bend is not None:
            module = curved(seed, bend=bend).module
            model = replace(subject.model, module=module, sha256=f"bend {bend}")
            subject = replace(subject, model=model, classifier=Classifier(module))
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
    seconds = time.process_time() - begun
    return {**found, "name": name, "seed": seed, "bend": bend, "seconds": seconds}


def judged(found: dict[str, Any]) -> dict[str, bool]:
    """Return which of the answers are right."""
    shared, beyond, curvature, causes, least = EXPECTED[found["name"]]
    universality = found["universality"]
    supported = found["curvature"]["answer"] == "supported"
    explained = sum((universality["causes"] or {}).get(cause, 0.0) for cause in causes)
    sink = found["name"] != "sink" or (universality["sink"]["share"] or 0.0) > 0.95
    return {
        "shared": found["shared"]["beyond_smoothness"]["answer"] == shared,
        "beyond noise": universality["beyond_noise"]["answer"] == beyond,
        "curvature": supported == (curvature == "supported"),
        "causes": explained >= least and sink,
    }


def line(found: dict[str, Any]) -> str:
    """Return one study in a line."""
    shared, universality = found["shared"]["beyond_smoothness"], found["universality"]
    beyond, causes = universality["beyond_noise"], universality["causes"] or {}
    wrong = [name for name, right in judged(found).items() if not right]
    ends = [f"{one} {found['curvature'][one]['answer']}" for one in ENDPOINTS]
    return (
        f"{found['name']} {found['seed']}: R {found['R']}, energy ratio {_told(shared['ratio'])} "
        f"({_told(shared['low'])} to {_told(shared['high'])}), rate {beyond['rate']:.3f}, noise "
        f"{beyond['noise_rate']:.3f} ({beyond['low']:+.3f} to {beyond['high']:+.3f}), causes "
        f"{' '.join(map(_told, causes.values()))}, sink {_told(universality['sink']['share'])}, "
        f"{found['curvature']['answer']} ({', '.join(ends)}), {found['seconds']:.0f} s"
        + (f"; WRONG: {', '.join(wrong)}" if wrong else "")
    )


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


ENDPOINTS = ("bends", "fools", "predicts")


def found_endpoints(found: dict[str, Any]) -> int:
    """Return how many of the three endpoints are called *more*."""
    return sum(found["curvature"][one]["answer"] == "more" for one in ENDPOINTS)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--names", default=",".join(EXPECTED))
    parser.add_argument("--bends", default="")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    bends = [float(bend) for bend in options.bends.split(",") if bend]
    names = [] if bends else options.names.split(",")
    cases = [*product(names, range(options.seeds), [None])]
    cases += product(["curved"], range(options.seeds), bends)
    with ProcessPoolExecutor(options.processes) as pool:
        results = []
        for found in pool.map(study, *zip(*cases, strict=True)):
            print(line(found), flush=True)
            results.append(found)
    if bends:
        _print_power(results, bends)
    else:
        _print_right(results, names)


def _print_right(results: list[dict[str, Any]], names: list[str]) -> None:
    kinds = list(judged(results[0]))
    print(f"\n| control | {' | '.join(kinds)} | all right | an endpoint found | seconds |")
    print("|---" * (len(kinds) + 4) + "|")
    for name in names:
        own = [one for one in results if one["name"] == name]
        right = [judged(one) for one in own]
        cells = [str(sum(one[kind] for one in right)) for kind in kinds]
        whole = sum(all(one.values()) for one in right)
        any_found = sum(found_endpoints(one) > 0 for one in own)
        seconds = sorted(one["seconds"] for one in own)[len(own) // 2]
        cells += [f"{whole} of {len(own)}", str(any_found), f"{seconds:.0f}"]
        print(f"| `{name}` | {' | '.join(cells)} |")


def _print_power(results: list[dict[str, Any]], bends: list[float]) -> None:
    print(f"\n| kappa times margin | supported | {' | '.join(ENDPOINTS)} | of |")
    print("|---|---|---|---|---|---|")
    for bend in bends:
        own = [one["curvature"] for one in results if one["bend"] == bend]
        supported = sum(one["answer"] == "supported" for one in own)
        cells = [sum(one[kind]["answer"] == "more" for one in own) for kind in ENDPOINTS]
        print(f"| {bend:g} | {supported} | {' | '.join(map(str, cells))} | {len(own)} |")


if __name__ == "__main__":
    main()
