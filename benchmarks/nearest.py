"""Nearest boundary points: what each solver costs, and how near it comes.

    python benchmarks/nearest.py --model net.py:make --images photos --count 256

One row a solver, all in one run, on the same images: ours at several budgets of gradients and,
where Foolbox is installed (the extra `bench`), its DeepFool, DDN, FMN and Brendel-Bethge attacks.
One judge for all bisects each result onto the boundary along its own direction and takes the
gradient there. Points are not confined to the bounds; Foolbox is given wider bounds for that.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from boundary import Classifier, faster, nearest_boundary_points
from boundary.gradients import gap_gradient
from figures.style import (
    BLUE,
    TWO_COLUMNS,
    VERMILION,
    new_figure,
    plain_log_ticks,
    save_figure,
    styled,
)
from subject import described, load, parser, seconds

OURS, DEEPFOOL = "ours", "Foolbox DeepFool"

Solver = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) -> points, same shape."""


class Counted(nn.Module):
    """A module that notes every pass: ("forward" | "graph" | "backward", images)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.passes: list[tuple[str, int]] = []

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.module(images)
        self.passes.append(("graph" if logits.requires_grad else "forward", len(images)))
        if logits.requires_grad:
            logits.register_hook(lambda _: self.passes.append(("backward", len(images))))
        return logits

    def count(self, *kinds: str) -> int:
        """Return how many images went through passes of these kinds."""
        return sum(images for kind, images in self.passes if kind in kinds)


@dataclass
class Row:
    """What is known of one solver."""

    name: str
    points: Tensor
    seconds: float
    passes: list[tuple[str, int]]
    forward: float
    backward: float
    margin: Tensor = field(default_factory=lambda: torch.empty(0))
    alignment: Tensor = field(default_factory=lambda: torch.empty(0))


def ours(classifier: Classifier, budget: int) -> Solver:
    """Our search with a budget of gradients."""
    return lambda images: nearest_boundary_points(classifier, images, max_gradients=budget).point


def foolbox_solvers(classifier: Classifier, options: argparse.Namespace) -> dict[str, Solver]:
    """Foolbox's minimum-norm attacks, with their own defaults but for the number of steps."""
    try:
        import foolbox
    except ImportError:
        print("Foolbox is not installed: `pip install -e '.[bench]'` adds its rows.\n")
        return {}
    low, high = classifier.bounds
    wide = (low - (high - low), high + (high - low))
    model = foolbox.PyTorchModel(classifier.module, bounds=wide, device=options.device)

    def attack(make: Callable[[], Any], *, start: bool = False) -> Solver:
        def solve(images: Tensor) -> Tensor:
            criterion = foolbox.Misclassification(classifier.predict(images))
            extra = {"starting_points": deepfool(images)} if start else {}
            found: Tensor = make()(model, images, criterion, epsilons=None, **extra)[0]
            return found

        return solve

    deepfool = attack(foolbox.attacks.L2DeepFoolAttack)
    bb = partial(foolbox.attacks.L2BrendelBethgeAttack, steps=options.bb_steps)
    return {
        DEEPFOOL: deepfool,
        "Foolbox DDN, 100 steps": attack(foolbox.attacks.DDNAttack),
        "Foolbox FMN, 100 steps": attack(foolbox.attacks.L2FMNAttack),
        f"Foolbox Brendel-Bethge, {options.bb_steps} steps from DeepFool": attack(bb, start=True),
    }


def measure(
    name: str, solver: Solver, counted: Counted, images: Tensor, options: argparse.Namespace
) -> Row:
    """Run a solver once over all images."""
    counted.passes = []
    torch.manual_seed(options.seed)
    points: list[Tensor] = []
    taken = seconds(
        lambda: points.extend(solver(batch).detach() for batch in images.split(options.batch)),
        options.device,
    )
    count = len(images)
    return Row(
        name,
        torch.cat(points),
        taken,
        counted.passes,
        counted.count("forward", "graph") / count,
        counted.count("backward") / count,
    )


def replay(passes: list[tuple[str, int]], module: nn.Module, images: Tensor, device: str) -> float:
    """Return the seconds that the passes alone take: same kinds, same batches, same order."""

    def again() -> None:
        for kind, count in passes:
            if kind == "forward":
                with torch.no_grad():
                    module(images[:count])
            elif kind == "graph":
                inputs = images[:count].clone().requires_grad_()
                scores = module(inputs)
            else:
                torch.autograd.grad(scores[:, 0].sum(), inputs, retain_graph=True)

    return seconds(again, device)


@torch.no_grad()
def judge(classifier: Classifier, images: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return margin, infinite if no boundary is met, and alignment of each result.

    The boundary is bisected between the image and the result or, where that is not yet beyond the
    boundary, up to 10 % farther.
    """
    source = classifier.predict(images)
    displacement = (points - images).flatten(1)
    length = displacement.norm(dim=1)
    ray = displacement / length[:, None].clamp_min(torch.finfo(length.dtype).tiny)

    def at(lengths: Tensor) -> Tensor:
        return images + (lengths[:, None] * ray).view_as(images)

    upper, found = length.clone(), torch.zeros_like(source, dtype=torch.bool)
    for factor in (1.0, 1.0001, 1.001, 1.01, 1.1):
        upper = torch.where(found, upper, factor * length)
        found |= classifier.predict(at(upper)) != source
    lower = torch.zeros_like(upper)
    for _ in range(26):
        middle = (lower + upper) / 2
        outside = classifier.predict(at(middle)) != source
        upper, lower = torch.where(outside, middle, upper), torch.where(outside, lower, middle)
    gradient = gap_gradient(classifier, at(upper), source).gradient.flatten(1)
    alignment = (gradient * ray).sum(1) / gradient.norm(dim=1)
    return torch.where(found, upper, torch.inf), alignment


def main() -> None:
    """Print the tables and draw the figure."""
    options = _options()
    module, images = load(options)
    if options.fast:
        module = faster(module)
    counted = Counted(module).eval()
    classifier, plain = Classifier(counted), Classifier(module)
    classifier.check(images[: options.batch])

    solvers = {
        f"{OURS}, {budget} gradients": ours(classifier, budget) for budget in options.budgets
    }
    peers = foolbox_solvers(classifier, options)
    rows = []
    for name, solver in {**solvers, **peers}.items():
        row = measure(name, solver, counted, images, options)
        parts = zip(images.split(options.batch), row.points.split(options.batch), strict=True)
        judged = [judge(plain, *part) for part in parts]
        row.margin, row.alignment = (torch.cat(part) for part in zip(*judged, strict=True))
        rows.append(row)
    best = torch.stack([row.margin for row in rows]).amin(0)

    peer = f", Foolbox {version('foolbox')}" if peers else ""
    print(f"{described(options, images)}, batch {options.batch}{peer}, seed {options.seed}\n")
    print_quality(rows, best)
    timed = {f"{OURS}, {budget} gradients" for budget in options.timed} | {DEEPFOOL}
    known = {**solvers, **peers}
    print_times(
        {name: known[name] for name in known if name in timed}, rows, counted, images, options
    )
    if options.figure:
        save_figure(styled(draw)((rows, best)), options.figure)


def print_quality(rows: list[Row], best: Tensor) -> None:
    """Print one line a solver: passes, found, margin over best known, alignment."""
    print(
        "| solver | forward | backward | ms | found | margin / best: median | mean | p95 | "
        "alignment: median | p10 |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for row in rows:
        met = row.margin.isfinite()
        ratio, alignment = (row.margin / best)[met], row.alignment[met]
        print(
            f"| {row.name} | {row.forward:.1f} | {row.backward:.1f} | "
            f"{1e3 * row.seconds / len(met):.1f} | {met.float().mean():.1%} | "
            f"{ratio.median():.4f} | {ratio.mean():.4f} | {ratio.quantile(0.95):.4f} | "
            f"{alignment.median():.4f} | {alignment.quantile(0.1):.4f} |"
        )


def print_times(
    solvers: dict[str, Solver],
    rows: list[Row],
    counted: Counted,
    images: Tensor,
    options: argparse.Namespace,
) -> None:
    """Print seconds against the passes alone and against DeepFool, each round all in turn."""
    known = {row.name: row for row in rows}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in solvers}
    largest = images[: options.batch]
    for _ in range(options.rounds):
        for name, solver in solvers.items():
            taken = measure(name, solver, counted, images, options).seconds
            alone = replay(known[name].passes, counted.module, largest, options.device)
            spent[name].append((taken, alone))
    print(f"\nMedians of {options.rounds} rounds, every row timed in turn in each:\n")
    print("| solver | ms per image | over its passes alone | over DeepFool |\n|---|---|---|---|")
    for name, pairs in spent.items():
        beyond = median(taken / alone for taken, alone in pairs)
        against = "-"
        if DEEPFOOL in spent:
            others = [taken for taken, _ in spent[DEEPFOOL]]
            ratios = [one / other for (one, _), other in zip(pairs, others, strict=True)]
            against = f"{median(ratios):.2f}"
        each = 1e3 * median(seconds for seconds, _ in pairs) / len(images)
        print(f"| {name} | {each:.1f} | {beyond:.2f} | {against} |")


def draw(result: tuple[list[Row], Tensor]) -> Figure:
    """Draw mean excess margin against the passes spent."""
    rows, best = result
    figure = new_figure(TWO_COLUMNS, 3.4)
    axes = figure.subplots()
    costs, excesses = [], []
    for row in rows:
        met = row.margin.isfinite()
        row_excess = float((row.margin / best)[met].mean()) - 1
        colour = BLUE if row.name.startswith(OURS) else VERMILION
        cost = row.forward + row.backward
        axes.loglog(cost, 100 * row_excess, "o" if row.name.startswith(OURS) else "s", color=colour)
        label = row.name.removeprefix(f"{OURS}, ").removeprefix("Foolbox ").split(",")[0]
        axes.annotate(
            label, (cost, 100 * row_excess), (5, 4), textcoords="offset points", fontsize=7
        )
        costs.append(cost)
        excesses.append(100 * row_excess)
    axes.set_xlabel("forward and backward passes per image")
    axes.set_ylabel("mean margin beyond the best known, %")
    axes.set_xlim(min(costs) / 1.2, max(costs) * 1.8)
    axes.set_ylim(min(excesses) / 1.5, max(excesses) * 1.5)
    plain_log_ticks(axes.xaxis, *axes.get_xlim())
    plain_log_ticks(axes.yaxis, *axes.get_ylim())
    return figure


def _options() -> argparse.Namespace:
    made = parser(__doc__, count=256, rounds=3)
    made.add_argument("--batch", type=int, default=64)
    made.add_argument("--budgets", type=int, nargs="+", default=[12, 16, 20, 27, 40, 70, 120])
    made.add_argument("--timed", type=int, nargs="+", default=[12, 20, 27], help="of the budgets")
    made.add_argument("--fast", action="store_true", help="channels last, fused batch norm")
    made.add_argument("--bb-steps", type=int, default=200, help="of the Brendel-Bethge attack")
    made.add_argument("--figure", type=Path, help="file to draw cost against quality in")
    made.add_argument("--seed", type=int, default=0)
    return made.parse_args()


if __name__ == "__main__":
    main()
