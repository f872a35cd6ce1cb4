"""A run in a few sentences, made of the numbers of its findings."""

from collections.abc import Iterator, Mapping, Sequence

from figures.finding import Finding
from figures.formats import (
    cosine,
    count_interval,
    first_directions,
    number,
    percent,
    percent_interval,
)
from figures.spectrum_findings import AGAINST, leading_values, null_finding_name

_THAN = {1: "more than", 0: "not shown to differ from", -1: "less than"}
_NOT_TRIED = "whether training adds to them was not tried"
_NOT = {False: "is not shown", None: "is not decided"}


def summarise(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return what puts all in doubt, what normals share, and what that fools.

    Args:
        findings: All of a run.
    """
    told = {finding.name: finding for finding in findings}
    doubts = [finding.sentence for finding in findings if finding.doubtful]
    parts = (
        _of_points(told),
        _of_normals(told),
        _of_fooling(told),
        _of_universal(findings),
    )
    return (*doubts, *(" ".join(said) for said in map(list, parts) if said))


def _of_points(told: Mapping[str, Finding]) -> Iterator[str]:
    """Return how good the classifier and its boundary points are, where nothing is in doubt."""
    accuracy, points = told["clean_accuracy"], told["collection"]
    if accuracy.doubtful or points.doubtful:
        return
    known = accuracy.numbers["count"] is not None
    yield (
        f"Clean accuracy is {percent(accuracy.numbers['rate']) if known else 'not known'}; "
        f"{percent(points.numbers['rate'])} of {points.numbers['total']} images have a boundary "
        f"point, with a median margin of {number(points.numbers['median_margin'])} and a median "
        f"alignment of {cosine(points.numbers['alignment_median'])}."
    )


def _of_normals(told: Mapping[str, Finding]) -> Iterator[str]:
    """Return beyond which of the nulls, weakest first, normals share directions."""
    nulls = {null: told[name] for null in AGAINST if (name := null_finding_name(null)) in told}
    if not nulls:
        return
    count = told["collection"].numbers["count"]
    beaten = [null for null, finding in nulls.items() if finding.present]
    if beaten:
        hardest = beaten[-1]
        found = nulls[hardest].numbers
        interval = count_interval(found["leading_interval"], found["values"])
        yield _shared(beaten, nulls)
        yield (
            f"{leading_values(found['leading'])} above every draw of {AGAINST[hardest]} (95 % "
            f"interval {interval}; {count} boundary points)."
        )
    else:
        weakest = next(iter(nulls))
        yield (
            f"The normals at {count} boundary points: that they share directions "
            f"{_NOT[nulls[weakest].present]}, not even against {AGAINST[weakest]}."
        )
    energy = told["energy"]
    if energy.present is not None:
        numbers = energy.numbers
        yield (
            f"{percent(numbers['held_out'])} ({percent_interval(numbers['interval'])}) of the "
            f"energy of other images' normals lies in the {first_directions(numbers['dimension'])},"
            f" against R/D = {percent(numbers['isotropic'])} at random"
            f"{'' if energy.present else ', which is not shown to be less'}."
        )


def _shared(beaten: Sequence[str], nulls: Mapping[str, Finding]) -> str:
    """Return in plain words beyond what normals share directions."""
    if "untrained" in beaten:
        return "Images share directions, and training adds to them."
    if "phases" not in beaten:
        return "Images share directions; that these are more than smoothness is not shown."
    trained = {
        False: "that training adds to them is not shown",
        None: "whether training adds to them is not decided",
    }
    told = trained[nulls["untrained"].present] if "untrained" in nulls else _NOT_TRIED
    return f"Images share directions, more than smoothness; {told}."


def _of_fooling(told: Mapping[str, Finding]) -> Iterator[str]:
    """Return how S_f fools beside the sphere."""
    found = told.get("fooling")
    if found is None or "difference" not in found.numbers:
        return
    numbers = found.numbers
    share = numbers["share_of_image_norm"]
    relative = "" if share is None else f", {percent(share)} of the mean image norm"
    subspace, sphere = numbers["subspace"], numbers["sphere"]
    yield (
        f"At norm {number(numbers['norm'])}{relative}, random vectors of the "
        f"{first_directions(numbers['dimension'])} (S_f) change the prediction of other images in "
        f"{percent(subspace['rate'])} ({percent_interval(subspace['interval'])}) of trials, "
        f"{_THAN[numbers['difference_interval'].sign]} random directions of the whole sphere: "
        f"{percent(sphere['rate'])} ({percent_interval(sphere['interval'])})."
    )


def _of_universal(findings: Sequence[Finding]) -> Iterator[str]:
    """Return how often the first universal perturbation fools."""
    found = next((one for one in findings if one.name.startswith("universal_")), None)
    if found is None:
        return
    numbers = found.numbers
    yield (
        f"One vector for all images, of {'l2' if numbers['p'] == '2' else 'l-infinity'} norm "
        f"{number(numbers['norm'])}, fools {percent(numbers['others'])} "
        f"({percent_interval(numbers['others_interval'])}) of images that had no part in it."
    )
