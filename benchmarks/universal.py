"""How often a universal perturbation fools other images, against the gradients it took.

Each way makes a perturbation from the first images and is judged on others, unclipped, against the
model's own predictions; all ways, budgets and seeds in one run. The table has medians over seeds.

    python benchmarks/universal.py --model net.py:make --images photos
"""

import argparse
from math import inf
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analysis import Ball, Recipe, fooling_rate, make_universal
from analysis.algorithms import Algorithm
from boundary import Classifier, faster, load_model, open_images, split_images

WAYS: dict[str, tuple[Algorithm, dict[str, Any]]] = {
    "smooth fooling rate": ("smooth_rate", {}),
    "the same, images mirrored": ("smooth_rate", {"mirror": True}),
    "clipped cross-entropy": ("cross_entropy", {}),
    "aggregated gradients": ("aggregated", {}),
    "2017 loop": ("deepfool", {}),
    "hidden layer": ("hidden_layer", {}),
}


def measure(
    classifier: Classifier,
    images: Tensor,
    others: Tensor,
    ball: Ball,
    algorithm: Algorithm,
    recipe: Recipe,
) -> tuple[float, float, float, float]:
    """Return seconds, gradients spent, and the fooling rates on the images and on the others."""
    begun = perf_counter()
    found = make_universal(algorithm, classifier, images, ball, recipe)
    seconds = perf_counter() - begun
    family = found.as_perturbations()
    made, judged = (fooling_rate(classifier, part, family).rate for part in (images, others))
    return seconds, found.backward_passes, made, judged


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="digits")
    parser.add_argument("--images", default="digits")
    parser.add_argument("--count", type=int, default=1000, help="images that make it")
    parser.add_argument("--judge", type=int, default=2000, help="other images")
    parser.add_argument("--l2", type=float, default=1.0, help="norm, input units")
    parser.add_argument("--linf", type=float, default=8 / 255, help="norm, input units")
    parser.add_argument("--gradients", type=int, nargs="*", default=[4000, 10_000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--layer", help="of `hidden layer`, which is left out without one")
    parser.add_argument("--only", nargs="*", choices=list(WAYS), help="ways to try")
    options = parser.parse_args()
    module = faster(load_model(options.model).module, channels_last=True, fuse_batch_norm=True)
    classifier, source = Classifier(module), open_images(options.images)
    making, judging = split_images(source, collect=options.count, evaluate=options.judge, seed=0)
    images, others = (classifier.place(source.read(part).images) for part in (making, judging))
    print(
        f"{options.model}, {options.count} images to make it, {options.judge} others to judge, "
        f"{options.seeds} seeds; {torch.get_num_threads()} threads, torch {torch.__version__}\n"
    )
    print(
        "| way | norm | gradients | seconds | fooled, its images | fooled, others | of the seeds "
        "|\n"
        "|---|---|---|---|---|---|---|"
    )
    for ball in (Ball(options.l2), Ball(options.linf, inf)):
        for name, (algorithm, way) in WAYS.items():
            if (options.only and name not in options.only) or (
                algorithm == "hidden_layer" and options.layer is None
            ):
                continue
            for gradients in options.gradients:
                recipes = [
                    Recipe(gradients=gradients, seed=seed, layer=options.layer, **way)
                    for seed in range(options.seeds)
                ]
                found = np.array(
                    [
                        measure(classifier, images, others, ball, algorithm, recipe)
                        for recipe in recipes
                    ]
                )
                seconds, spent, made, judged = np.median(found, axis=0)
                print(
                    f"| {name} | l{'2' if ball.p == 2 else 'inf'} {ball.norm:.4g} | {spent:.0f} | "
                    f"{seconds:.1f} | {100 * made:.1f} % | {100 * judged:.1f} % | "
                    f"{100 * found[:, 3].min():.1f} to {100 * found[:, 3].max():.1f} % |",
                    flush=True,
                )
                if algorithm == "hidden_layer":  # its own rule ends it, whatever the budget
                    break


if __name__ == "__main__":
    main()
