"""The three answers, as `numbers.json` has them: words by rule from intervals, and the numbers."""

from math import isnan
from typing import Any

from analysis.algorithms import universal_parts
from analysis.causes import CAUSES
from analysis.curvature_test import CurvatureTest
from analysis.intervals import Estimate
from analysis.questions import ratio_answer
from analysis.results import CurvatureResult, FoolingResult, UniversalResult


def answers(
    universal: UniversalResult, fooling: FoolingResult, curvature: CurvatureResult
) -> dict[str, Any]:
    """Return the answers to the three questions, JSON values.

    Args:
        universal: With the universal perturbation, its path and its sink.
        fooling: With the energies and the rates beside matched noise.
        curvature: With the causes and the test.
    """
    beyond, weakest = fooling.beyond_noise, fooling.beyond_noise.weakest
    difference = weakest.interval
    return {
        "R": universal.reference_dimension,
        "norm": universal.reference_norm,
        "shared": {
            "beyond_smoothness": ratio_answer(fooling.shared.smoothness),
            "beyond_untrained": {
                **ratio_answer(fooling.shared.training),
                "undecided": list(fooling.shared.undecided),
            },
        },
        "universality": {
            "beyond_noise": {
                "answer": beyond.answer,
                "difference": weakest.estimate,
                "low": difference.low,
                "high": difference.high,
                "smallest_seen": max(one.detectable for one in beyond.differences),
                "rate": float(beyond.own.mean()),
                "noise_rate": float(beyond.noise.mean()),
                "noise_best_R": beyond.best_dimension,
                "noise_best_rate": float(beyond.best_noise.mean()),
            },
            "within": _within(universal),
            "causes": _causes(curvature),
            "path": _path(universal),
            "sink": _sink(universal),
        },
        "curvature": curvature_answer(curvature.test),
    }


def curvature_answer(test: CurvatureTest) -> dict[str, Any]:
    """Return the answer to the third question, JSON values."""
    return {
        "answer": test.answer,
        "smallest_seen": test.detectable,
        **{
            one.name: {
                "answer": one.answer,
                "estimate": one.estimate,
                "low": one.low,
                "high": one.high,
                "p": one.p,
                "smallest_seen": one.detectable,
                "smallest_of_interest": one.least,
            }
            for one in test.endpoints
        },
    }


def _within(universal: UniversalResult) -> dict[str, Any] | None:
    if not universal.within:
        return None
    share, matched = universal.within[0].share, universal.within[0].matched_share
    return {**_interval(share, "share"), "matched": None if matched is None else matched.value}


def _causes(curvature: CurvatureResult) -> dict[str, Any] | None:
    first = next((one for one in curvature.causes if universal_parts(one.family)), None)
    if first is None or not first.fooled.any():
        return None
    return {name: first.cause(name).value for name in CAUSES}


def _path(universal: UniversalResult) -> dict[str, Any] | None:
    if not universal.paths:
        return None
    crossing = universal.paths[0].median_crossing
    return {
        **_interval(universal.paths[0].slope_share, "slope_share"),
        "median_crossing": None if crossing is None else crossing.value,
    }


def _sink(universal: UniversalResult) -> dict[str, Any] | None:
    if not universal.paths:
        return None
    without = universal.rate_without_sink
    return {
        "class": universal.paths[0].sink,
        "share": universal.paths[0].sink_share.value,
        "rate_without": None if isnan(without) else without,
    }


def _interval(found: Estimate | None, name: str) -> dict[str, Any]:
    if found is None:
        return {name: None, "low": None, "high": None}
    return {name: found.value, "low": found.interval.low, "high": found.interval.high}
