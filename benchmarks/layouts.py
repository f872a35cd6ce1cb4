"""What `boundary.faster` and bfloat16 bring: the same classifier, laid out for speed.

    python benchmarks/layouts.py --model net.py:make --images photos --count 64

One row a layout: milliseconds an image of a forward pass and of a gradient, medians over rounds in
which every layout is timed in turn; and what it changes: the largest difference of the leading gap,
and the smallest and median cosine between its gradients and those of the module as it is.
"""

from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from boundary import Classifier, faster
from boundary.gradients import GapGradient, gap_gradient
from subject import described, load, parser, seconds


def main() -> None:
    """Print the table."""
    options = parser(__doc__, count=64, rounds=7).parse_args()
    module, images = load(options)
    device, source = options.device, Classifier(module).predict(images)
    layouts: dict[str, tuple[nn.Module, torch.dtype | None]] = {
        "as it is": (module, None),
        "channels last": (faster(module, fuse_batch_norm=False), None),
        "fused batch norm": (faster(module, channels_last=False), None),
        "both": (faster(module), None),
        "both and bfloat16": (faster(module), torch.bfloat16),
    }
    exact = gap_gradient(Classifier(module), images, source)
    found = {name: gradient(*layouts[name], images, source, exact.target) for name in layouts}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in layouts}
    for _ in range(options.rounds):
        for name, layout in layouts.items():
            passes = (
                partial(forward, *layout, images),
                partial(gradient, *layout, images, source, exact.target),
            )
            one, both = (1e3 * seconds(each, device) / len(images) for each in passes)
            taken[name].append((one, both))

    print(f"{described(options, images)}, medians of {options.rounds} rounds\n")
    print(
        "| layout | forward, ms | gradient, ms | change of the gap | cosine of gradients: least | "
        "median |\n|---|---|---|---|---|---|"
    )
    for name, times in taken.items():
        one, both = (median(column) for column in zip(*times, strict=True))
        change = (found[name].gap - exact.gap).abs().max()
        cosine = torch.cosine_similarity(
            found[name].gradient.flatten(1).double(), exact.gradient.flatten(1).double()
        )
        print(
            f"| {name} | {one:.2f} | {both:.2f} | {change:.0e} | {cosine.min():.4f} | "
            f"{cosine.median():.4f} |"
        )


@torch.no_grad()
def forward(module: nn.Module, precision: torch.dtype | None, images: Tensor) -> None:
    """Take a forward pass."""
    with torch.autocast(images.device.type, precision, enabled=precision is not None):
        module(images)


def gradient(
    module: nn.Module, precision: torch.dtype | None, images: Tensor, source: Tensor, target: Tensor
) -> GapGradient:
    """Return the gap to a class and its gradient: a forward and a backward pass."""
    with torch.autocast(images.device.type, precision, enabled=precision is not None):
        return gap_gradient(Classifier(module), images, source, target)


if __name__ == "__main__":
    main()
