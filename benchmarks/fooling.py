"""How near the evaluation of fooling rates comes to the model's forward speed.

Twenty perturbations are tried on a thousand images: the clean predictions once, then one forward
pass a perturbation. Beside it, in turns, the bare model on the same images as often, from the same
memory in the same batches, and the loop that one would write: clean and perturbed pass of one
perturbation after another. Seconds are medians over rounds, ratios medians of the rounds' ratios.

    python benchmarks/fooling.py --model net.py:make --images photos
"""

import numpy as np
import torch
from torch import Tensor, nn

import subject
from analysis import fooling_rates, on_sphere
from boundary import Classifier, faster
from boundary.memory import keep_freed_memory

PERTURBATIONS = 20


@torch.no_grad()
def bare(module: nn.Module, images: Tensor, batch: int, passes: int) -> None:
    for part in torch.split(images, batch):
        for _ in range(passes):
            module(part)


@torch.no_grad()
def naive(module: nn.Module, images: Tensor, vectors: Tensor, batch: int) -> list[float]:
    rates = []
    for vector in vectors:
        fooled = [
            (module(part).argmax(1) != module(part + vector).argmax(1)).float()
            for part in torch.split(images, batch)
        ]
        rates.append(torch.cat(fooled).mean().item())
    return rates


def main() -> None:
    keep_freed_memory()  # as the command does
    parser = subject.parser(__doc__, count=1000, rounds=5)
    parser.add_argument("--batch", type=int, default=64, help="images in one pass")
    parser.add_argument("--norm", type=float, default=1.0, help="input units")
    options = parser.parse_args()
    module, images = subject.load(options)
    module = faster(module, channels_last=True, fuse_batch_norm=True)
    classifier, device = Classifier(module), options.device
    classifier.check(images[:8])
    generator = torch.Generator().manual_seed(0)
    family = on_sphere(tuple(images.shape[1:]), PERTURBATIONS, options.norm, generator)
    vectors = classifier.place(family.vectors)
    ways = {
        "bare forward passes": lambda: bare(module, images, options.batch, PERTURBATIONS + 1),
        "fooling_rates": lambda: fooling_rates(
            classifier, torch.split(images, options.batch), [family], clips=[False]
        ),
        "fooling_rates, clipped": lambda: fooling_rates(
            classifier, torch.split(images, options.batch), [family], clips=[True]
        ),
        "clean and perturbed for each": lambda: naive(module, images, vectors, options.batch),
    }
    (rate,) = ways["fooling_rates"]()
    assert abs(rate.rate - np.mean(ways["clean and perturbed for each"]())) < 1e-3
    rounds = np.array(
        [[subject.seconds(way, device) for way in ways.values()] for _ in range(options.rounds)]
    )
    print(
        f"{subject.described(options, images)}; {PERTURBATIONS} perturbations, batches of "
        f"{options.batch}, {options.rounds} rounds\n"
    )
    print("| way | forward passes an image | seconds | speed over bare passes | range |")
    print("|---|---|---|---|---|")
    passes = (PERTURBATIONS + 1, PERTURBATIONS + 1, PERTURBATIONS + 1, 2 * PERTURBATIONS)
    for place, (name, count) in enumerate(zip(ways, passes, strict=True)):
        ratio = rounds[:, 0] / rounds[:, place]
        print(
            f"| {name} | {count} | {np.median(rounds[:, place]):.2f} | {np.median(ratio):.3f} | "
            f"{ratio.min():.3f} to {ratio.max():.3f} |"
        )


if __name__ == "__main__":
    main()
