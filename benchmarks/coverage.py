"""Whether the intervals hold: simulated rates, differences, shares and ratios of known truth.

An (image, vector) pair is fooled where an effect of the image, one of the vector, one of the
subspace that the vector comes from, and noise together pass a threshold. Prints a table in
Markdown: the share of 95 % intervals that hold the truth.

    python benchmarks/coverage.py [--repeats 2000] [--seed 0]
"""

import argparse
from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from analysis.components import (
    beyond_draws,
    difference_of,
    mean_over,
    ratio_beyond_draws,
    share_of,
)
from analysis.intervals import Interval, median_estimate, wilson_interval
from analysis.paths import FoolingPath
from analysis.questions import Within

IMAGE, VECTOR, SUBSPACE = 1.0, 0.3, 0.2
"""Deviations of the effects, over that of the noise: at a rate of 10 % one vector's rate has a
standard deviation of 3 points, as on the digits."""

DRAWS, COUNTS, RATES = (10, 100), (100, 400), (0.03, 0.1, 0.4)
PHASES = 5

Rng = np.random.Generator


class Pairs:
    """Fooled pairs of a planted rate."""

    def __init__(self, rng: Rng, images: int, rate: float, subspace: float = 0.0) -> None:
        self._rng, self._subspace = rng, subspace
        self._effect = IMAGE * rng.standard_normal((1, images))
        spread = np.sqrt(1 + IMAGE**2 + VECTOR**2 + subspace**2)
        self._threshold = norm.isf(rate) * spread

    def drawn(self, vectors: int, shift: float = 0.0) -> NDArray[np.bool_]:
        """Return (vectors, images) of one more subspace."""
        rng, images = self._rng, self._effect.shape[1]
        own = self._subspace * rng.standard_normal()
        of_vectors = VECTOR * rng.standard_normal((vectors, 1))
        noise = rng.standard_normal((vectors, images))
        return np.asarray(self._effect + own + of_vectors + noise + shift > self._threshold)


def single_rate(rng: Rng, draws: int, images: int, rate: float) -> tuple[Interval, float]:
    """One vector: Wilson's interval over the images."""
    hits = int((rng.random(images) < rate).sum())
    return wilson_interval(hits, images), rate


def family_rate(rng: Rng, draws: int, images: int, rate: float) -> tuple[Interval, float]:
    """Random vectors of one subspace."""
    return share_of(Pairs(rng, images, rate).drawn(draws)).interval, rate


def noise_rate(rng: Rng, draws: int, images: int, rate: float) -> tuple[Interval, float]:
    """Matched noise: its draws are the sample."""
    pairs = Pairs(rng, images, rate, SUBSPACE)
    by_draw = np.stack([pairs.drawn(draws // PHASES).mean(0) for _ in range(PHASES)])
    return share_of(by_draw).interval, rate


def pair_difference(rng: Rng, draws: int, images: int, rate: float) -> tuple[Interval, float]:
    """Two families of one rate."""
    pairs = Pairs(rng, images, rate)
    return difference_of(pairs.drawn(draws), pairs.drawn(draws)).interval, 0.0


def one_more_draw(rng: Rng, draws: int, images: int, rate: float) -> tuple[Interval, float]:
    """A family that is one more draw of the noise: the difference that is not there."""
    pairs = Pairs(rng, images, rate, SUBSPACE)
    noise = np.stack([pairs.drawn(max(2, 3 * draws // (2 * PHASES))) for _ in range(PHASES)])
    return beyond_draws(pairs.drawn(draws), noise, shares=True).interval, 0.0


def share_of_fooled(rng: Rng, draws: int, images: int, rate: float) -> tuple[Interval, float]:
    """A cause: the share of the fooled pairs whose image has it, by the image's own chance."""
    pairs = Pairs(rng, images, rate)
    fooled = pairs.drawn(draws)
    chance = rng.beta(2, 2, (1, images))
    return share_of(fooled & (rng.random(fooled.shape) < chance), fooled).interval, 0.5


def energy_ratio(rng: Rng, draws: int, images: int, rate: float) -> tuple[Interval, float]:
    """Energies of one more draw of noise over those of its draws."""
    energy = rng.gamma(2.0, 0.5, (1, images)) * np.exp(0.1 * rng.standard_normal((PHASES + 1, 1)))
    energy = energy * rng.gamma(4.0, 0.25, (PHASES + 1, images))
    found = ratio_beyond_draws(energy[0], energy[1:])
    return Interval(found.low, found.high), 1.0


def ratio_to_untrained(rng: Rng, draws: int, images: int, rate: float) -> tuple[Interval, float]:
    """Mean energy over that of three networks of its kind, each at points of its own."""
    networks = rate * np.exp(0.2 * rng.standard_normal((4, 1)))
    energy = networks * rng.gamma(2.0, 0.5, (4, images))
    found = ratio_beyond_draws(energy[0], energy[1:].mean(1, keepdims=True), paired=False)
    return Interval(found.low, found.high), 1.0


def share_within(rng: Rng, draws: int, images: int, rate: float) -> tuple[Interval, float]:
    """The best vector inside a subspace, of 0.7 times the rate of the best anywhere."""
    effect, spread = IMAGE * rng.standard_normal(images), np.sqrt(1 + IMAGE**2)
    anywhere, inside = (
        effect + rng.standard_normal(images) > norm.isf(share) * spread
        for share in (rate, 0.7 * rate)
    )
    found = Within(1, anywhere, inside, np.zeros((0, images), dtype=np.bool_)).share
    return (Interval(0.0, np.inf) if found is None else found.interval), 0.7


def slope_share(rng: Rng, draws: int, images: int, rate: float) -> tuple[Interval, float]:
    """The path account of the fooled images: half of the rise is that of the slope."""
    final = (rng.random(images) < rate).astype(np.int64)
    rise = rng.gamma(2.0, 0.5, images) * final
    slope = rise * rng.normal(0.5, 0.3, images)
    gap = np.stack([-rise, np.zeros(images)], axis=1)
    return FoolingPath(np.zeros_like(final), final, gap, slope).slope_share.interval, 0.5


def mean_energy(rng: Rng, draws: int, images: int, rate: float) -> tuple[Interval, float]:
    """Mean energy of skewed energies."""
    return mean_over(rng.gamma(1.0, rate, images)).interval, rate


def median_curvature(rng: Rng, draws: int, images: int, rate: float) -> tuple[Interval, float]:
    """Median of heavy tails."""
    return median_estimate(rng.standard_t(2, images)).interval, 0.0


KINDS: dict[str, Callable[[Rng, int, int, float], tuple[Interval, float]]] = {
    "rate of one vector": single_rate,
    "rate of a family": family_rate,
    "rate of matched noise": noise_rate,
    "difference of families": pair_difference,
    "beyond matched noise": one_more_draw,
    "share of the fooled": share_of_fooled,
    "ratio of energies": energy_ratio,
    "ratio to untrained networks": ratio_to_untrained,
    "share within S_f": share_within,
    "share of the slope": slope_share,
    "mean energy": mean_energy,
    "median": median_curvature,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cells = list(product(DRAWS, COUNTS, RATES))
    print("| interval | " + " | ".join(f"{d}, {n}, {p:.0%}" for d, n, p in cells) + " |")
    print("|---" * (len(cells) + 1) + "|")
    for place, (name, simulate) in enumerate(KINDS.items()):
        rng, row = np.random.default_rng([options.seed, place]), []
        for draws, images, rate in cells:
            found = [simulate(rng, draws, images, rate) for _ in range(options.repeats)]
            row.append(np.mean([one.low <= truth <= one.high for one, truth in found]))
        print(f"| {name} | " + " | ".join(f"{held:.3f}" for held in row) + " |", flush=True)


if __name__ == "__main__":
    main()
