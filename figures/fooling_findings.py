"""What perturbations do, in sentences."""

from collections.abc import Sequence

from analysis.fooling import FoolingRate, compare
from analysis.labels import LabelFlows
from analysis.perturbations import SPHERE, SUBSPACE
from analysis.results import FoolingResult, MadeUniversal, UniversalResult
from figures.finding import Finding
from figures.formats import (
    class_label,
    number,
    number_interval,
    percent,
    percent_interval,
    points,
    points_interval,
)
from figures.rates import CLIPPING, clip_policies, family_label, reference_rate, same_norm
from figures.tables import (
    PairRow,
    family_rows,
    noise_of,
    pair_rows,
    share_of_image_norm,
)


def fooling_findings(result: FoolingResult) -> list[Finding]:
    """Return what the fooling rates show: all families, then S_f against the sphere by norm."""
    pairs, found = pair_rows(result), []
    for clipped in clip_policies(result):
        own = [pair for pair in pairs if pair.clipped == clipped]
        found += [
            _order(result, clipped),
            _at_reference(result, own, clipped),
            _over_norms(own, clipped),
        ]
    return [finding for finding in found if finding is not None]


def universal_findings(result: UniversalResult) -> list[Finding]:
    """Return how often universal perturbations fool, and where the images go."""
    found = [_of_universal(result, made) for made in result.found]
    return found + [_of_labels(flows, result.target) for flows in result.labels]


def _order(result: FoolingResult, clipped: bool) -> Finding | None:
    rows = family_rows(result, clipped)
    if len(rows) < 2:
        return None
    listed = ", ".join(f"{row.label} {percent(row.rate)}" for row in rows)
    loaded = any(row.family.startswith("file ") for row in rows)
    unknown = " (of files this is not known)" if loaded else ""
    sentence = (
        f"{CLIPPING[clipped]}, at the reference norm {number(result.reference_norm)}, families in "
        f"the order of their fooling rates on {len(result.image_ids)} images that made none of "
        f"them{unknown}: {listed}."
    )
    name = "families_clipped" if clipped else "families"
    return Finding(name, sentence, None, {"families": rows})


def _of_universal(result: UniversalResult, made: MadeUniversal) -> Finding:
    own, others, noise = made.own[0], made.others[0], noise_of(result, made)
    beyond = compare(others, noise)
    norm = f"{'l2' if own.p == 2 else 'l-infinity'} norm {number(own.norm)}"
    share = own.norm / result.mean_image_norm if own.p == 2 and result.mean_image_norm > 0 else None
    relative = "" if share is None else f", {percent(share)} of the mean image norm"
    sentence = (
        f"One vector for all images, {family_label(made.family)}, {norm}{relative}, changes the "
        f"prediction of {percent(others.rate)} of other images ({others.count} of {others.total}; "
        f"95 % interval {percent_interval(others.interval)}) and of {percent(own.rate)} of the "
        f"{made.images_used} that made it; clipped to the bounds of the input, of "
        f"{percent(made.others[1].rate)} and {percent(made.own[1].rate)}. Random "
        f"{'directions' if own.p == 2 else 'signs'} of that norm change {percent(noise.rate)} of "
        f"the other images: a difference of {points(beyond.difference)} points (95 % paired "
        f"interval {points_interval(beyond.difference_interval)})."
    )
    numbers = {
        "norm": own.norm,
        "p": "2" if own.p == 2 else "inf",
        "others": others.rate,
        "others_interval": others.interval,
        "own": own.rate,
        "noise": noise.rate,
        "noise_interval": noise.interval,
        "others_clipped": made.others[1].rate,
        "own_clipped": made.own[1].rate,
        "backward_passes": made.backward_passes,
    }
    return Finding(made.family.replace(" ", "_"), sentence, None, numbers)


def _of_labels(flows: LabelFlows, target: int) -> Finding:
    name = f"labels_{'l2' if flows.p == 2 else 'linf'}"
    fooled, total = int(flows.fooled.sum()), len(flows.source)
    sink = flows.top_sink
    if sink is None:
        said = f"Of {total} images none is fooled by {family_label(flows.family)}."
        return Finding(name, said, None)
    if target >= 0 and (flows.source != target).any():
        reached = flows.reached(target)
        said = (
            f"{family_label(flows.family)} was made to move images to "
            f"“{class_label(flows.class_names, target)}”: of {int((flows.source != target).sum())} "
            f"images of other classes {percent(reached.value)} (95 % "
            f"{percent_interval(reached.interval)}) go there."
        )
        return Finding(name, said[0].upper() + said[1:], None, {"reached": reached})
    before, after = flows.entropy_before, flows.entropy_after
    at_least = "" if before.enough and after.enough else "at least "
    sentence = (
        f"Of {fooled} images of {total} that {family_label(flows.family)} fools, "
        f"{percent(sink.of_fooled.value)} (95 % {percent_interval(sink.of_fooled.interval)}) go to "
        f"one class, “{class_label(flows.class_names, sink.label)}”, which is "
        f"{percent(sink.of_images.value)} of all images. The entropy of the predicted labels goes "
        f"from {at_least}{number(before.value)} bits to {at_least}{number(after.value)} "
        f"({number_interval(after.interval)})."
    )
    numbers = {
        "sink": sink.label,
        "of_fooled": sink.of_fooled,
        "of_images": sink.of_images,
        "entropy_before": before,
        "entropy_after": after,
        "components": flows.components,
        "in_degree": {int(i): int(flows.in_degree[i]) for i in flows.in_degree.nonzero()[0]},
    }
    return Finding(name, sentence, None, numbers)


def _at_reference(result: FoolingResult, pairs: Sequence[PairRow], clipped: bool) -> Finding:
    name = "fooling_clipped" if clipped else "fooling"
    subspace = reference_rate(result, SUBSPACE, clipped)
    sphere = reference_rate(result, SPHERE, clipped)
    pair = next((pair for pair in pairs if same_norm(pair.norm, result.reference_norm)), None)
    if subspace is None or sphere is None or pair is None:
        sentence = (
            f"{CLIPPING[clipped]}, the subspace and the sphere were not both tried at the "
            f"reference norm {number(result.reference_norm)}."
        )
        return Finding(name, sentence, None)
    share = share_of_image_norm(pair.norm, result)
    relative = "" if share is None else f" ({percent(share)} of the mean image norm)"
    sentence = (
        f"{CLIPPING[clipped]}, at norm {number(pair.norm)}{relative}, random perturbations from "
        f"the subspace of R = {result.reference_dimension} change the prediction in "
        f"{_rate(subspace)}, those from the whole sphere in {_rate(sphere)}: a difference of "
        f"{points(pair.difference)} percentage points (95 % paired interval "
        f"{points_interval(pair.difference_interval)}), {_ratio(pair)}.{_pair_verdict(pair)}"
    )
    numbers = {
        "norm": pair.norm,
        "share_of_image_norm": share,
        "dimension": result.reference_dimension,
        "subspace": {
            "count": subspace.count,
            "total": subspace.total,
            "rate": subspace.rate,
            "interval": subspace.interval,
        },
        "sphere": {
            "count": sphere.count,
            "total": sphere.total,
            "rate": sphere.rate,
            "interval": sphere.interval,
        },
        "difference": pair.difference,
        "difference_interval": pair.difference_interval,
        "ratio": pair.ratio,
        "ratio_interval": pair.ratio_interval,
    }
    return Finding(name, sentence, pair.sign > 0, numbers)


def _rate(rate: FoolingRate) -> str:
    return (
        f"{percent(rate.rate)} of trials ({rate.count} of {rate.total}; 95 % interval "
        f"{percent_interval(rate.interval)})"
    )


def _ratio(pair: PairRow) -> str:
    if pair.ratio is None:
        return "a ratio that is not defined, as the sphere fools no image"
    return f"a ratio of {number(pair.ratio)} ({number_interval(pair.ratio_interval)})"


def _pair_verdict(pair: PairRow) -> str:
    if pair.sign > 0:
        return ""
    why = "contains 0" if pair.sign == 0 else "lies below 0: the sphere fools more"
    return (
        f" The interval of the difference {why}; an advantage of the subspace at this "
        "norm and dimension is absent in this run."
    )


def _over_norms(pairs: Sequence[PairRow], clipped: bool) -> Finding:
    name = "sweep_clipped" if clipped else "sweep"
    if not pairs:
        sentence = f"{CLIPPING[clipped]}, the subspace and the sphere share no norm."
        return Finding(name, sentence, None)
    above, around, below = ([pair.norm for pair in pairs if pair.sign == s] for s in (1, 0, -1))
    sentence = (
        f"{CLIPPING[clipped]}, of {_count_norms(len(pairs))} the interval of the difference "
        f"lies above 0 at {_norms(above)}, contains 0 at {_norms(around)} and lies below 0 at "
        f"{_norms(below)} (each norm on its own, without correction for their number)."
    )
    if not above:
        sentence += " An advantage of the subspace is absent at every norm in this run."
    numbers = {"above": above, "contains_zero": around, "below": below}
    # With some norms above 0 and some not, the sentence says which and no one word sums it up.
    mixed = 0 < len(above) < len(pairs)
    return Finding(name, sentence, None if mixed else bool(above), numbers)


def _norms(norms: Sequence[float]) -> str:
    if not norms:
        return "none"
    return f"{_count_norms(len(norms))} ({', '.join(map(number, norms))})"


def _count_norms(count: int) -> str:
    return f"{count} norm{'' if count == 1 else 's'}"
