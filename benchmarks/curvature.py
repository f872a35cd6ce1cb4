"""What second order costs, in gradients of the same points: medians over rounds, in turns.

Central differences of a number of directions at a batch of points, beside as many bare gradient
batches; and exact products with the Hessian, of which many directions share a point, beside one
gradient batch a direction. `--model` should be smooth for the last row to mean something. The
module is taken as it is: images with the channels innermost make first derivatives faster and
second ones slower.

    python benchmarks/curvature.py --model net.py:make --images photos --count 64
"""

from statistics import median

import torch

from analysis import on_sphere
from boundary import Classifier
from boundary.anchors import anchors_at_images
from boundary.curvature import difference_products, hessian_products
from boundary.memory import keep_freed_memory
from subject import described, load, parser, seconds

SCALE = 0.1


def main() -> None:
    """Print the table."""
    keep_freed_memory()  # as the command does
    made = parser(__doc__, count=64, rounds=5)
    made.add_argument("--directions", type=int, default=16)
    options = made.parse_args()
    module, images = load(options)
    classifier, device = Classifier(module), options.device
    anchors, _ = anchors_at_images(classifier, images)
    count = options.directions
    family = on_sphere(tuple(images.shape[1:]), count, 1.0, torch.Generator().manual_seed(0))
    vectors = classifier.place(family.directions)
    at = (classifier, anchors.point, anchors.source, anchors.target)

    def bare() -> None:
        inputs = anchors.point.clone().requires_grad_()
        logits = classifier(inputs)
        gap = logits.gather(1, anchors.target[:, None]) - logits.gather(1, anchors.source[:, None])
        torch.autograd.grad(gap.sum(), inputs)

    ways = {
        "a gradient batch": (bare, 1),
        "central differences": (lambda: difference_products(*at, vectors, SCALE), 2 * count),
        "exact products": (lambda: hessian_products(*at, vectors), count),
    }
    for way, _ in ways.values():
        way()
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, (way, _) in ways.items():
            taken[name].append(seconds(way, device))
        # A single batch is over too soon to be timed once.
        taken["a gradient batch"][-1] = median(seconds(bare, device) for _ in range(2 * count))

    print(f"{described(options, images)}; {count} directions, {options.rounds} rounds\n")
    print("| way | seconds | gradient batches | time over theirs | range |\n|---|---|---|---|---|")
    for name, (_, batches) in ways.items():
        ratio = [
            one / (batches * bare)
            for one, bare in zip(taken[name], taken["a gradient batch"], strict=True)
        ]
        print(
            f"| {name} | {median(taken[name]):.3f} | {batches} | {median(ratio):.3f} | "
            f"{min(ratio):.3f} to {max(ratio):.3f} |"
        )


if __name__ == "__main__":
    main()
