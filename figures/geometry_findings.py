"""What geometry predicts and promises of fooling, margins, profile and detector, in sentences."""

from analysis.detector import Detector
from analysis.intervals import Interval
from analysis.predicted import CURVED, CURVED_AT_NORM, FLAT, SHARED_CURVATURE, PredictionQuality
from analysis.results import CurvatureResult
from figures.bound_findings import bound_finding
from figures.curves import ESTIMATOR_LABELS, space_label
from figures.finding import Finding
from figures.formats import SPACE, number, number_interval, percent, percent_interval
from figures.geometry_tables import detector_numbers
from figures.predicted import (
    RANDOM,
    margin_label,
    margin_rows,
    prediction_scale,
    predictions_of,
    told_quality,
)

_LAW = -0.5
"""Slope of log margin against log R for random subspaces and a flat boundary."""
_CHANCE = 0.5
_BENT = (CURVED, CURVED_AT_NORM, SHARED_CURVATURE)


def geometry_findings(result: CurvatureResult) -> list[Finding]:
    """Return what was found of prediction, bounds, margins, profile and detector, where taken."""
    finders = (
        _of_prediction,
        _of_curvature,
        bound_finding,
        _of_margins,
        _of_profiles,
        _of_detectors,
    )
    return [finding for find in finders if (finding := find(result))]


def _of_prediction(result: CurvatureResult) -> Finding | None:
    """Return which model explains which share of the variance of fooling rates."""
    told = told_quality(result)
    if not told:
        return None
    best = max(told, key=lambda quality: quality.r_squared)
    listed = "; ".join(
        f"{_model(quality)} R²{SPACE}={SPACE}{number(quality.r_squared)}, off by "
        f"{_error(quality)} points on average, {percent(quality.explained)} of the "
        "fooled pairs of vector and image foretold"
        for quality in told
    )
    rows = predictions_of(result, told[0])
    families = ", ".join(dict.fromkeys(space_label(row.family) for row in rows))
    norms = ", ".join(map(number, sorted({row.norm for row in rows})))
    images = f"{rows[0].images} images" if rows else "the images"
    sentence = (
        f"Fooling rates predicted from geometry, without a pass at perturbed images, beside "
        f"{told[0].count} measured on {images} ({families}; norms {norms}): {listed}. "
        f"By R² {_model(best)} predicts best"
        f"{'' if best.r_squared > 0 else ', though no better than the mean rate would'}. "
        "All rates are on the same images, so R² has no interval."
    )
    numbers = {"quality": told, "best": best.model, "images": rows[0].images if rows else None}
    return Finding("predicted", sentence, None, numbers)


def _of_curvature(result: CurvatureResult) -> Finding | None:
    """Return whether curvature adds to the flat model: a larger R2 and a smaller error."""
    told = {quality.model: quality for quality in told_quality(result)}
    if FLAT not in told or CURVED not in told:
        return None
    flat = told[FLAT]
    bent = [told[model] for model in _BENT if model in told]
    said = []
    for quality in bent:
        word = {True: "predicts better", False: "does not predict better"}[_better(quality, flat)]
        said.append(
            f"{quality.model} {word} (R² {number(quality.r_squared)} against "
            f"{number(flat.r_squared)}, error {_error(quality)} against {_error(flat)} points)"
        )
    every = [quality for quality in result.quality if quality.model == CURVED]
    shared = [quality for quality in result.quality if quality.model == SHARED_CURVATURE]
    counts = {
        model: sum(_better(quality, flat) for quality in own)
        for model, own in ((CURVED, every), (SHARED_CURVATURE, shared))
    }
    adds = {_better(quality, flat) for quality in bent}
    sentence = (
        f"Whether curvature by {ESTIMATOR_LABELS[result.predicted_by]} adds to the tangent plane: "
        f"at s{SPACE}={SPACE}"
        f"{number(prediction_scale(result))}, {'; '.join(said)}. Of {len(every)} scales "
        f"curved is better at {counts[CURVED]}, shared curvature at {counts[SHARED_CURVATURE]}; "
        "better means both a larger R² and a smaller error, without an interval."
    )
    numbers = {
        "scale": prediction_scale(result),
        "estimator": result.predicted_by,
        "flat": flat,
        "bent": bent,
        "scales": len(every),
        "better": counts,
    }
    return Finding("predicted_curvature", sentence, _all(adds), numbers)


def _better(quality: PredictionQuality, flat: PredictionQuality) -> bool:
    return quality.r_squared > flat.r_squared and quality.mean_error < flat.mean_error


def _model(quality: PredictionQuality) -> str:
    at = f" (s{SPACE}={SPACE}{number(quality.scale)})" if quality.scale else ""
    return f"{quality.model}{at}"


def _error(quality: PredictionQuality) -> str:
    return f"{100 * quality.mean_error:.1f}"


def _of_margins(result: CurvatureResult) -> Finding | None:
    """Return how margins within subspaces fall with R, beside the law for a flat boundary."""
    rows = margin_rows(result)
    if not rows:
        return None
    said = []
    for row in rows:
        against = (
            f", {_beside(row.slope_interval, _LAW)} the −1/2 of a flat boundary"
            if row.family == RANDOM
            else ""
        )
        said.append(
            f"{margin_label(row.family)}: at R = {row.dimensions[-1]} the ratio is "
            f"{number(row.ratio[-1])} (95 % interval {number(row.low[-1])} to "
            f"{number(row.high[-1])}; √(D/R) = {number(row.law[-1])}), slope {number(row.slope)} "
            f"({number_interval(row.slope_interval)}){against}"
        )
    random = [row.slope_interval for row in rows if row.family == RANDOM]
    sentence = (
        "Distance to the boundary within subspaces over the margin, median over images, and the "
        f"slope of its logarithm against log R: {'; '.join(said)}. Over "
        f"{rows[0].images} of {rows[0].tried} images; intervals resample images."
    )
    lawful = random[0].low <= _LAW <= random[0].high if random else None
    return Finding("subspace_margins", sentence, lawful, {"rows": [row._asdict() for row in rows]})


def _beside(interval: Interval, value: float) -> str:
    if interval.low <= value <= interval.high:
        return "an interval that holds"
    return "steeper than" if interval.high < value else "less steep than"


def _of_profiles(result: CurvatureResult) -> Finding | None:
    """Return which tail of the principal curvatures is the heavier one."""
    profiles = result.profiles
    if not profiles:
        return None
    tails = [profile.tail_asymmetry for profile in profiles]
    said = [
        f"at s{SPACE}={SPACE}{number(profile.scale)} it is {number(tail.value)} (95 % interval "
        f"{number_interval(tail.interval)}): {_tail(tail.interval)}; along its first and its last "
        f"direction other points are {number(float(profile.sharing[0]))} and "
        f"{number(float(profile.sharing[-1]))} times as curved as along random ones"
        for profile, tail in zip(profiles, tails, strict=True)
    ]
    first = profiles[0]
    taken = "all" if first.complete else f"the {first.values.shape[1]} extreme"
    sentence = (
        f"Tail asymmetry of {taken} principal curvatures at {first.points} nearest boundary points "
        f"({first.surface}), sum of the positive less that of the negative ones' sizes over that "
        f"of all: {'. '.join(said)}. Intervals resample points."
    ).replace(". at s", ". At s")
    numbers = {
        "scales": [profile.scale for profile in profiles],
        "tail_asymmetry": tails,
        "points": first.points,
        "complete": first.complete,
    }
    present = _all({tail.interval.low > 0 for tail in tails})
    return Finding("profile", sentence, present, numbers)


def _tail(interval: Interval) -> str:
    if interval.low > 0:
        return "the boundary bends more towards the image than away"
    if interval.high < 0:
        return "the boundary bends more away from the image than towards it"
    return "neither way surely more"


def _of_detectors(result: CurvatureResult) -> Finding | None:
    """Return how well curvature along S_c tells perturbed images from clean ones."""
    if not result.detectors:
        return None
    sentence = (
        f"Perturbed images told by the mean curvature of their level sets along S_c (AUC 0.5 is "
        f"chance; below it perturbed images score lower): "
        f"{'; '.join(map(_detector, result.detectors))}. In brackets 95 % intervals. The sign "
        "that marks a perturbed image was learned on one half of the images and judged on the "
        "other."
    )
    told = {_apart(detector.auc_interval) for detector in result.detectors}
    numbers = {"detectors": [detector_numbers(detector) for detector in result.detectors]}
    return Finding("detector", sentence, _all(told), numbers)


def _detector(detector: Detector) -> str:
    signs = detector.accuracy_by_sign
    which = "positive" if signs.orientation > 0 else "negative"
    surely = "more than chance" if signs.interval.low > _CHANCE else "not surely more than chance"
    told = {True: "told", False: "not surely told"}[_apart(detector.auc_interval)]
    return (
        f"{detector.family}, s{SPACE}={SPACE}{number(detector.scale)}, n = {detector.count} pairs: "
        f"AUC {number(detector.auc)} ({number_interval(detector.auc_interval)}), {told}; calling "
        f"{which} scores perturbed is right in {percent(signs.accuracy)} "
        f"({percent_interval(signs.interval)}), {surely}"
    )


def _apart(interval: Interval) -> bool:
    return interval.low > _CHANCE or interval.high < _CHANCE


def _all(found: set[bool]) -> bool | None:
    """Return what all are; None if they are of two minds."""
    return found.pop() if len(found) == 1 else None
