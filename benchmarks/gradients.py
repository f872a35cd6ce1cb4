"""What the gradients of several classes cost, by the ways that torch has of taking them.

    python benchmarks/gradients.py --model net.py:make --images photos --gradients 10

One row a way: its time in forward passes of the same images, median over the rounds and range, in
which every way is timed once, next to a forward pass; and its largest difference from the way that
the project uses, relative to the largest gradient.
"""

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor

from boundary import Classifier
from boundary.gradients import KeptGraph, gap_gradient, logit_gap
from subject import described, load, parser, seconds

Gradients = Callable[[Classifier, Tensor, Tensor, Tensor], Tensor]


def loop(classifier: Classifier, images: Tensor, source: Tensor, targets: Tensor) -> Tensor:
    """One backward pass a class, on one kept graph: what the project uses."""
    graph = KeptGraph(classifier, images)
    found = [graph.gap_gradient(source, target).gradient for target in targets.unbind(1)]
    return torch.stack(found, 1)


def batched(classifier: Classifier, images: Tensor, source: Tensor, targets: Tensor) -> Tensor:
    """All backward passes at once, by vmap over `torch.autograd.grad`."""
    inputs = images.detach().requires_grad_()
    gaps = logit_gap(classifier(inputs), source, targets).sum(0)
    (gradients,) = torch.autograd.grad(
        gaps, inputs, torch.eye(len(gaps)).to(gaps), is_grads_batched=True
    )
    return gradients.transpose(0, 1)


def jacrev(classifier: Classifier, images: Tensor, source: Tensor, targets: Tensor) -> Tensor:
    """The same by `torch.func`."""
    return torch.func.jacrev(
        lambda inputs: logit_gap(classifier.module(inputs), source, targets).sum(0)
    )(images).transpose(0, 1)


def repeated(classifier: Classifier, images: Tensor, source: Tensor, targets: Tensor) -> Tensor:
    """Each image once a class in one large batch: one forward and one backward pass."""
    count = targets.shape[1]
    inputs = images.repeat_interleave(count, 0).requires_grad_()
    gaps = logit_gap(classifier(inputs), source.repeat_interleave(count), targets.reshape(-1))
    (gradients,) = torch.autograd.grad(gaps.sum(), inputs)
    return gradients.view(len(images), count, *images.shape[1:])


def one_class(classifier: Classifier, images: Tensor, source: Tensor, targets: Tensor) -> Tensor:
    """The leading class alone."""
    return gap_gradient(classifier, images, source).gradient[:, None]


WAYS: dict[str, Gradients] = {
    "loop on a kept graph": loop,
    "is_grads_batched": batched,
    "torch.func.jacrev": jacrev,
    "repeated images": repeated,
    "one class alone": one_class,
}


def main() -> None:
    """Print the table."""
    options = _options()
    module, images = load(options)
    classifier = Classifier(module)
    with torch.no_grad():
        logits = classifier(images)
    predicted = logits.argmax(1)
    leading = logits.topk(min(options.gradients, logits.shape[1] - 1) + 1).indices
    targets = leading[leading != predicted[:, None]].view(len(images), -1)

    exact = loop(classifier, images, predicted, targets)
    off = {}
    for name, way in WAYS.items():  # untimed: a warm-up of each way
        found = way(classifier, images, predicted, targets)
        off[name] = (found - exact[:, : found.shape[1]]).abs().max() / exact.abs().max()
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(options.rounds):
        for name, way in WAYS.items():
            forward = seconds(partial(classifier.predict, images), options.device)
            all_classes = partial(way, classifier, images, predicted, targets)
            taken[name].append(seconds(all_classes, options.device) / forward)

    print(f"{described(options, images)}, {targets.shape[1]} gradients an image\n")
    print("| way | forward passes, median | range | difference |\n|---|---|---|---|")
    for name, times in taken.items():
        spread = f"{min(times):.1f} to {max(times):.1f}"
        print(f"| {name} | {median(times):.1f} | {spread} | {off[name]:.0e} |")


def _options() -> argparse.Namespace:
    made = parser(__doc__, count=64, rounds=7)
    made.add_argument("--gradients", type=int, default=9, help="how many an image")
    return made.parse_args()


if __name__ == "__main__":
    main()
