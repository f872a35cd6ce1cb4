"""How the subspace and the perturbations compare with natural images, in sentences."""

import numpy as np

from analysis.natural import DIFFERENCES, DIRECTIONS, REFERENCES, SPHERE, NaturalResult
from figures.finding import Finding
from figures.formats import number, percent
from figures.rates import family_label


def natural_findings(result: NaturalResult) -> list[Finding]:
    """Return whether the subspace and the perturbations look like what occurs in nature."""
    given = [family for family in result.families if family.name not in {*REFERENCES, "normals"}]
    natural, sphere = result.family(DIFFERENCES), result.family(SPHERE)
    told = {}
    for family in (result.family(DIRECTIONS), *given):
        gain = float(result.log_density_gain(family.name).mean())
        beyond = float(result.rank(family.name, DIFFERENCES).mean())
        told[family.name] = (
            f"{family_label(family.name)} {number(family.median)} ({_signed(gain)} nats at norm "
            f"{number(result.norm)} against random directions; more improbable than "
            f"{percent(beyond)} of the differences)"
        )
    shared = result.shared
    like = int(np.abs(np.log(shared.components / shared.directions)).argmin())
    low, high = (ends[like] / shared.chance[like] for ends in shared.interval())
    of_phases = shared.of_phases[like] / shared.chance[like]
    sentence = (
        f"Under a Gaussian fitted to {result.fitted} images that made no normal, where natural "
        f"differences have a median improbability of {number(natural.median)} and random "
        f"directions of {number(sphere.median)}: {told.pop(DIRECTIONS)}. The first "
        f"{shared.components[like]} principal components of natural images and the "
        f"{shared.directions} directions of S_f share {number(shared.times_chance[like])} times "
        f"(95 % {number(low)} to {number(high)}) the energy that random subspaces would, with "
        f"random phases {number(of_phases)} times."
    )
    if result.ceiling < 2 * sphere.median:
        sentence += (
            f" Outside the span of the images the Gaussian gives every direction "
            f"{number(result.ceiling)}: so many images hardly tell these apart."
        )
    numbers = {
        "improbability": {family.name: family.median for family in result.families},
        "log_density_gain": {
            family.name: float(result.log_density_gain(family.name).mean())
            for family in result.families
        },
        "components": list(map(int, shared.components)),
        "times_chance": list(map(float, shared.times_chance)),
        "shrinkage": result.shrinkage,
        "ceiling": result.ceiling,
    }
    details = f"Under the same Gaussian: {', '.join(told.values())}." if told else ""
    return [Finding("natural", sentence, None, numbers, details)]


def _signed(gain: float) -> str:
    return f"+{number(gain)}" if gain > 0 else number(gain)
