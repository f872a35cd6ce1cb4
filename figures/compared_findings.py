"""How runs differ, in sentences made of numbers and intervals.

Nothing is called larger but where the interval of the difference lies on one side of 0.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from analysis.intervals import Estimate, Interval
from analysis.perturbations import SPHERE, SUBSPACE
from figures.compared import Comparison, told_of_runs
from figures.compared_differences import (
    FamilyDifferences,
    RunDifference,
    SharedSubspaces,
    differences_of,
    independent_differences,
    shared_subspaces,
)
from figures.compared_rows import SHARE, Line, estimate
from figures.finding import Finding
from figures.formats import (
    number,
    number_interval,
    percent,
    percent_interval,
    points,
    points_interval,
)
from figures.rates import family_label

_LISTED = 3
"""Runs of which every pair is told; of more, neighbours in their order, and the ends."""
_TOGETHER = "95 % intervals as of independent samples, for all pairs together"


def comparison_findings(comparison: Comparison, lines: Sequence[Line]) -> tuple[Finding, ...]:
    """Return how runs differ: what they are, their geometry, then what perturbations do.

    Args:
        comparison: The runs.
        lines: Their quantities.
    """
    by_key = {line.heading.key: line for line in lines}
    found = [
        *_of_seeds(comparison, by_key),
        _of_margins(comparison, by_key),
        _of_dimensions(comparison, by_key),
        _of_energy(comparison, by_key),
        _of_subspaces(comparison),
        *_of_rates(comparison),
        _of_rivals(comparison, by_key, SPHERE),
        _of_universal(comparison),
    ]
    return tuple(finding for finding in found if finding is not None)


def _of_seeds(comparison: Comparison, lines: dict[str, Line]) -> list[Finding]:
    """Return what the runs of one model with other seeds have in the mean, and their range."""
    told = {
        "median_margin_share": "median margin over the mean image norm",
        "participation_ratio": "participation ratio",
        "energy": f"held-out energy in R = {comparison.dimension}",
        f"rate_{SUBSPACE}": "fooling rate of random vectors of S_f at the reference norm",
    }
    found = []
    for group, places in enumerate(comparison.seeds):
        runs = [comparison.runs[place] for place in places]
        weights = {run.weights for run in runs}
        seeds = [run.seed for run in runs]
        said = []
        for key, words in told.items():
            line = lines.get(key)
            summary = line.seeds[group] if line else None
            if line is not None and summary is not None:
                unit = line.heading.unit
                said.append(f"{words} {summary.told(unit)} ({summary.told_range(unit)})")
        what = "the same weights" if len(weights) == 1 else f"{len(weights)} sets of weights"
        if "" in weights:
            what = "weights that are not recorded"
        differ = (
            f"with seeds {', '.join(map(str, seeds))}" if len(set(seeds)) > 1 else "with one seed"
        )
        sentence = (
            f"{_listed([run.name for run in runs])} are of models called {runs[0].model}, on "
            f"{runs[0].images}, {differ} and {what}. Mean and range over these {len(runs)} runs: "
            f"{'; '.join(said)}. The range of so few runs is no interval."
        )
        found.append(Finding(f"seeds_{group}", sentence))
    return found


def _of_margins(comparison: Comparison, lines: dict[str, Line]) -> Finding | None:
    return _of_line(
        comparison,
        lines.get("median_margin_share"),
        "The median margin, as a share of the mean image norm, is",
        "larger in",
    )


def _of_dimensions(comparison: Comparison, lines: dict[str, Line]) -> Finding | None:
    found = _of_line(
        comparison,
        lines.get("participation_ratio"),
        "The participation ratio of the singular values is",
        "larger in",
    )
    return _unless_uneven(comparison, found)


def _of_energy(comparison: Comparison, lines: dict[str, Line]) -> Finding | None:
    random = {run.energy(comparison.dimension).isotropic for run in comparison.runs}
    found = _of_line(
        comparison,
        lines.get("energy"),
        f"Of held-out normals, the first R = {comparison.dimension} singular directions of their "
        f"own run hold (R/D is {' or '.join(map(percent, sorted(random)))})",
        "more in",
    )
    return _unless_uneven(comparison, found)


def _unless_uneven(comparison: Comparison, found: Finding | None) -> Finding | None:
    """Return a finding that claims nothing where runs have other numbers of normals, or other D."""
    spectra = [run.results.spectrum.spectrum for run in comparison.runs]
    sizes = sorted({(spectrum.count, spectrum.dimension) for spectrum in spectra})
    if found is None or len(sizes) == 1:
        return found
    listed = ", ".join(f"{n} in D = {D}" for n, D in sizes)
    note = (
        f" That depends on the number of normals and their dimension, which differ ({listed}): it "
        "is no difference of models before these are the same."
    )
    return Finding(found.name, found.sentence + note)


def _of_line(
    comparison: Comparison,
    line: Line | None,
    opening: str,
    word: str,
) -> Finding | None:
    """Return the numbers of a line, and which runs differ; None where fewer than two have one."""
    if line is None:
        return None
    estimates = [estimate(cell) for cell in line.cells]
    pairs = independent_differences(comparison.names, estimates)
    if not pairs:
        return None
    shares = line.heading.unit == SHARE
    told = _told(comparison.names, estimates, shares=shares)
    apart, differ = _differing(comparison.names, estimates, pairs, word, shares=shares)
    sentence = f"{opening} {told}. {apart} ({_TOGETHER})."
    return Finding(line.heading.key, sentence, differ)


def _of_subspaces(comparison: Comparison) -> Finding | None:
    pairs = shared_subspaces(comparison)
    if not pairs:
        sentence = "No two runs have images of one shape: their subspaces are not compared."
        return Finding("subspaces", sentence, None)
    chance = {number(pair.random) for pair in pairs}
    said = "; ".join(
        f"{pair.first} and {pair.second} {number(pair.shared)}"
        + (f" (R/D {number(pair.random)})" if len(chance) > 1 else "")
        for pair in pairs
    )
    at_random = f"; at random R/D = {chance.pop()}" if len(chance) == 1 else ""
    beyond = [pair.beyond_random for pair in pairs]
    if len(pairs) == 1:
        verdict = f"That is {'' if beyond[0] else 'not '}more than"
    else:
        verdict = f"In {sum(beyond) or 'none'} of {len(pairs)} pairs that is more than"
    sentence = (
        f"Mean squared cosine between the subspaces of R = {comparison.dimension} of two runs: "
        f"{said}{at_random}; two halves of the normals of one run, each of half as many, share "
        f"{_halves(pairs)}. {verdict} any simulated pair of random subspaces shares. Smooth "
        "normals share directions by their smoothness alone; the command boundary transfer holds "
        "this apart."
    )
    return Finding("subspaces", sentence)


def _halves(pairs: Sequence[SharedSubspaces]) -> str:
    known = {name: half for pair in pairs for name, half in _of_pair(pair)}
    return ", ".join(f"{number(half)} ({name})" for name, half in known.items())


def _of_pair(pair: SharedSubspaces) -> list[tuple[str, float]]:
    return list(zip((pair.first, pair.second), pair.halves, strict=True))


def _of_rates(comparison: Comparison) -> list[Finding | None]:
    """Return how often random vectors of S_f fool, at the norms of the runs and at an equal one."""
    own = differences_of(comparison, SUBSPACE, False, equal=False)
    if own is None:
        return []
    norms = _norms(comparison, own)
    found: list[Finding | None] = [
        _of_family(
            comparison,
            own,
            "fooling_equal" if comparison.equal_is_reference else "fooling",
            f"At the reference norm of each run ({norms}), not clipped, random vectors of S_f fool",
        )
    ]
    if comparison.equal_is_reference:
        return found
    equal = differences_of(comparison, SUBSPACE, False, equal=True)
    if equal is None:
        return [*found, Finding("fooling_equal", equal_norm_told(comparison), None)]
    where = _norms(comparison, equal)
    opening = f"At an equal norm ({where}), not clipped, random vectors of S_f fool"
    at_equal = _of_family(comparison, equal, "fooling_equal", opening)
    return [*found, replace(at_equal, sentence=at_equal.sentence + _left_out(comparison))]


def equal_norm_told(comparison: Comparison) -> str:
    """Return in a sentence which norm is the equal one, and which runs were not tried at it."""
    equal = comparison.equal_norm
    if comparison.equal_is_reference:
        return "The reference norms of all runs are equal."
    if equal is None:
        return (
            "No two runs were tried at one norm: their rates are not compared at an equal one. The "
            "setting fooling.norms gives a run other norms."
        )
    tried = [(name, norm) for name, norm in zip(comparison.names, equal.norms, strict=True) if norm]
    names, norms = zip(*tried, strict=True)
    share = f", {percent(equal.share)} of the mean image norm" if equal.share else ""
    told = told_of_runs(names, [*map(number, norms)])
    return f"The equal norm, in input units, is {told}{share}.{_left_out(comparison)}"


def _left_out(comparison: Comparison) -> str:
    left_out = comparison.left_out
    return f" Not tried at it, and left out: {_listed(left_out)}." if left_out else ""


def _norms(comparison: Comparison, differences: FamilyDifferences) -> str:
    """Return the norms of runs in words: one where they are one."""
    means = {run.name: run.results.fooling.mean_image_norm for run in comparison.runs}

    def said(name: str, norm: float) -> str:
        share = f", {percent(norm / means[name])} of the mean image norm" if means[name] > 0 else ""
        return f"{number(norm)}{share}"

    told = map(said, differences.runs, differences.norms)
    return told_of_runs(differences.runs, [*told])


def _of_family(
    comparison: Comparison, found: FamilyDifferences, name: str, opening: str
) -> Finding:
    """Return how a family fools in each run; of unequal norms nothing is claimed."""
    estimates = [Estimate(*both) for both in zip(found.rates, found.intervals, strict=True)]
    told = _told(found.runs, estimates, shares=True)
    apart, differ = _differing(found.runs, estimates, found.pairs, "more in", shares=True)
    sentence = f"{opening} {told}. {apart} {_how(found)}."
    if not (found.equal or comparison.equal_is_reference):
        note = " These norms are not equal: a difference may be that of the norms."
        return Finding(name, sentence + note)
    return Finding(name, sentence, differ)


def _how(found: FamilyDifferences) -> str:
    """Return how the intervals of differences were made."""
    paired = {pair.paired for pair in found.pairs}
    if len(paired) > 1:
        kinds = "in pairs where the images are the same, else as of independent samples"
    elif True in paired:
        kinds = "in pairs, on the same images"
    else:
        kinds = "as of independent samples: the images are not the same"
    together = "" if len(found.pairs) == 1 else f", for all {len(found.pairs)} pairs together"
    return f"(95 % intervals {kinds}{together})"


def _of_rivals(comparison: Comparison, lines: dict[str, Line], family: str) -> Finding | None:
    """Return in which runs S_f fools more than a rival, by the intervals of their own reports."""
    line = lines.get(f"beyond_{family.replace('-', '_')}")
    if line is None:
        return None
    there = [
        (name, found)
        for name, cell in zip(comparison.names, line.cells, strict=True)
        if (found := estimate(cell)) is not None
    ]
    above = [name for name, found in there if found.interval.low > 0]
    below = [name for name, found in there if found.interval.high < 0]
    said = ", ".join(
        f"{name} {points(found.value)} ({points_interval(found.interval)})" for name, found in there
    )
    where = "none" if not above else "each" if len(above) == len(there) else _listed(above)
    worse = f", a disadvantage in {_listed(below)}" if below else ""
    sentence = (
        f"Within each run, at its reference norm, random vectors of S_f less "
        f"{family_label(family)}, in points (95 % intervals): {said}; an advantage is shown in "
        f"{where}{worse}."
    )
    present = None if 0 < len(above) < len(there) else bool(above)
    return Finding(f"beyond_{family.replace('-', '_')}", sentence, present)


def _of_universal(comparison: Comparison) -> Finding | None:
    """Return how runs differ under the first universal perturbation that two have in common."""
    family = next((name for name in comparison.families if name.startswith("universal ")), None)
    if family is None:
        return None
    found = differences_of(comparison, family, False, equal=False)
    if found is None:
        return None
    opening = f"At the reference norm of each run, not clipped, {family_label(family)} fools"
    return _of_family(comparison, found, "universal", opening)


def _told(names: Sequence[str], estimates: Sequence[Estimate | None], *, shares: bool) -> str:
    """Return the numbers of the runs; of more than three the largest first."""
    text, ends = (percent, percent_interval) if shares else (number, number_interval)
    there = [(name, of) for name, of in zip(names, estimates, strict=True) if of is not None]
    if len(there) > _LISTED:
        there.sort(key=lambda known: -known[1].value)
    return ", ".join(f"{text(of.value)} in {name} ({ends(of.interval)})" for name, of in there)


def _differing(
    names: Sequence[str],
    estimates: Sequence[Estimate | None],
    pairs: Sequence[RunDifference],
    word: str,
    *,
    shares: bool,
) -> tuple[str, bool]:
    """Return which pairs of runs differ, the larger one first, and whether any that is told does.

    Of many runs those next to each other are told, and the first and the last.
    """
    told = list(pairs)
    there = {name: of.value for name, of in zip(names, estimates, strict=True) if of is not None}
    many = len(there) > _LISTED
    if many:
        ranked = sorted(there, key=there.__getitem__, reverse=True)
        chosen = [*pairwise(ranked), (ranked[0], ranked[-1])]
        told = [pair for both in chosen for pair in pairs if {pair.first, pair.second} == {*both}]
    said = [_apart(pair, word, shares=shares) for pair in told if pair.sign]
    if len(pairs) == 1:
        return f"It is {said[0]}" if said else "The two are not shown to differ", bool(said)
    which = "neighbours in this order, and of the first and the last," if many else "pairs"
    if not said:
        return f"Of {which} none are shown to differ", False
    return f"Of {which} these differ: {'; '.join(said)}", True


def _apart(pair: RunDifference, word: str, *, shares: bool) -> str:
    """Return by how much a run is above another."""
    first, second = (pair.first, pair.second)[:: pair.sign]
    ends = Interval(*sorted((pair.sign * pair.interval.low, pair.sign * pair.interval.high)))
    by = abs(pair.difference)
    told = (
        f"{points(by)} points, {points_interval(ends)}"
        if shares
        else f"{number(by)}, {number_interval(ends)}"
    )
    return f"{word} {first} than in {second} (by {told})"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
