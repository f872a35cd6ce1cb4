"""Whether a run can be trusted: the classifier, and the boundary points, in sentences."""

import numpy as np

from analysis.intervals import wilson_interval
from analysis.results import CollectionResult
from analysis.survey import no_better_than_guessing
from boundary.points import Status
from figures.finding import Finding
from figures.formats import cosine, number, percent, percent_interval

_MANY_UNFINISHED = 0.1
"""Share of the points above which it is told that more gradients would come nearer."""
_FEW_FOUND = 0.9
"""Share of the images below which those with a boundary point may not stand for the others."""

_ENDED = {
    Status.ALIGNED: "are smooth minima, displacement and normal parallel as far as was asked",
    Status.KINK: "lie at kinks, where the normal jumps and small turns come no nearer",
    Status.FOUND: "are the nearest that were seen when the gradients ran out",
}
"""What is said of points on the boundary."""
_FAILED = {
    Status.ZERO_GRADIENT: "no logit gap had a gradient",
    Status.NOT_FINITE: "a logit or a gradient was not finite",
    Status.NOT_FOUND: "no boundary was met within the allowed distance",
    Status.OFF_BOUNDARY: "no point came as near to the boundary as was asked",
}


def collection_findings(result: CollectionResult) -> list[Finding]:
    """Return what is known of the classifier and of the boundary points, on which all rests."""
    return [_of_accuracy(result), _of_collection(result)]


def trust_line(result: CollectionResult) -> str:
    """Return in one line whether to trust a run; nothing where a finding is in doubt."""
    accuracy, points = collection_findings(result)
    if accuracy.doubtful or points.doubtful:
        return ""
    known = percent(result.correct / result.judged) if result.judged else "not known"
    found = result.on_boundary
    return (
        f"Clean accuracy is {known}; {percent(found.mean())} of {len(found)} images have a "
        f"boundary point, with a median margin of {number(result.median_margin)} input units and "
        f"a median alignment of {cosine(float(np.median(result.alignment[found])))}."
    )


def _of_accuracy(result: CollectionResult) -> Finding:
    if result.judged == 0:
        sentence = "Clean accuracy is not known: the images carry no labels."
        return Finding("clean_accuracy", sentence)
    interval = wilson_interval(result.correct, result.judged)
    share = result.correct / result.judged
    sentence = (
        f"Clean accuracy is {percent(share)} ({result.correct} of {result.judged} images; 95 % "
        f"Wilson interval {percent_interval(interval)})."
    )
    guessing = no_better_than_guessing(result.correct, result.judged, result.classes)
    if guessing:
        sentence += (
            f" That is no better than guessing among {result.classes} classes: unless the network "
            "is untrained on purpose, its input range, its normalisation or the order of its "
            "classes is not what it should be."
        )
    return Finding("clean_accuracy", sentence, doubtful=guessing)


def _of_collection(result: CollectionResult) -> Finding:
    on_boundary = result.on_boundary
    count, total = int(on_boundary.sum()), len(on_boundary)
    if total == 0:
        return Finding("collection", "No image was collected.", doubtful=True)
    interval = wilson_interval(count, total)
    missing = len(result.unreadable)
    passes = float(result.forward_passes.mean()), float(result.backward_passes.mean())
    few = count / total < _FEW_FOUND
    images = "image" if missing == 1 else "images"
    unread = f" {missing} {images} could not be read and left out." if missing else ""
    doubt = " The points that were found may not stand for the other images." if few else ""
    sentence = (
        f"A boundary point with a usable normal was found for {percent(count / total)} of the "
        f"images ({count} of {total}; 95 % Wilson interval {percent_interval(interval)})"
        f"{_failures(result)}."
    )
    if count:
        margin = result.median_margin
        tenth, median = (float(q) for q in np.quantile(result.alignment[on_boundary], [0.1, 0.5]))
        sentence += (
            f" Over these points the median margin is {number(margin)} input units, and alignment "
            f"has median {cosine(median)} and 10th percentile {cosine(tenth)}."
        )
    details = (
        f"{_endings(result)}The search took {number(passes[0])} forward and {number(passes[1])} "
        "backward passes an image (mean over all images)."
    )
    sentence = f"{sentence}{doubt}{unread}"
    return Finding("collection", sentence, None, details, few)


def _failures(result: CollectionResult) -> str:
    """Return why images have no boundary point."""
    counts = {status: int((result.status == status).sum()) for status in _FAILED}
    said = [f"for {count} {_FAILED[status]}" for status, count in counts.items() if count]
    return f"; {', '.join(said)}" if said else ""


def _endings(result: CollectionResult) -> str:
    """Return how the searches ended that found a point, and how well aligned those points are."""
    total, said = int(result.on_boundary.sum()), []
    for status, words in _ENDED.items():
        own = result.alignment[result.status == status]
        if len(own):
            median = f" (median alignment {cosine(float(np.median(own)))})"
            said.append(f"{percent(len(own) / total)} {words}{median}")
    if not said:
        return ""
    unfinished = int((result.status == Status.FOUND).sum())
    more = "; `--search.max_gradients` allows more" if unfinished > _MANY_UNFINISHED * total else ""
    return f"Of the points {', '.join(said)}{more}. "
