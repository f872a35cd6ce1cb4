"""The three answers in plain sentences, made of the numbers that `analysis.answers` returns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from analysis.curvature_test import BENDS, FOOLS, LESS, MORE, NO_DIFFERENCE, NOT_DECIDED, PREDICTS
from analysis.intervals import Interval
from figures.formats import (
    class_label,
    first_directions,
    number,
    number_interval,
    percent,
    percent_interval,
    points,
    points_interval,
)

QUESTIONS = (
    "Do the boundary's normals share directions?",
    "Do these directions explain why one vector fools many images?",
    "Does the boundary bend towards images along a shared subspace, and does that matter?",
)

LONGEST_NAME = 20
"""Letters of a class in a sentence."""

Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """The answer to one of the questions, and what it rests on."""

    question: str
    answer: str
    """A few words."""
    short: str
    """One sentence, of at most three numbers."""
    sentences: tuple[str, ...]
    """With intervals."""


def answers_told(answers: Numbers, class_names: Sequence[str] = ()) -> tuple[Answer, ...]:
    """Return the answers to the three questions in words.

    Args:
        answers: What `analysis.answers.answers` returns.
        class_names: Index -> name; may be empty.
    """
    shared, universality, curvature = (
        answers[name] for name in ("shared", "universality", "curvature")
    )
    first = "; ".join(
        _words(shared[f"beyond_{name}"]["answer"], rival)
        for name, rival in (("smoothness", "smooth noise"), ("untrained", "untrained networks"))
    )
    second = _words(universality["beyond_noise"]["answer"], "matched noise")
    told = (
        (first, _shared_in_short(shared, answers["R"]), _shared(shared, answers["R"])),
        (
            second,
            _universality_in_short(universality),
            _universality(universality, answers["norm"], class_names),
        ),
        (curvature["answer"], _curvature_in_short(curvature), _curvature(curvature)),
    )
    return tuple(
        Answer(question, answer[0].upper() + answer[1:], short, tuple(sentences))
        for question, (answer, short, sentences) in zip(QUESTIONS, told, strict=True)
    )


def _shared_in_short(shared: Numbers, dimension: int) -> str:
    smooth, untrained = (shared[f"beyond_{name}"]["ratio"] for name in ("smoothness", "untrained"))
    beside = "" if untrained is None else f", and {number(untrained)} times that in untrained ones"
    return (
        f"In the normals' {first_directions(dimension)} lies {number(smooth)} times the energy of "
        f"new normals that lies in equally smooth directions{beside}."
    )


def _universality_in_short(found: Numbers) -> str:
    beyond = found["beyond_noise"]
    within = found["within"]
    best = (
        ""
        if within is None or within["share"] is None
        else f"; the best of them {percent(within['share'])} of what the best vector anywhere does"
    )
    return (
        f"Random vectors of these directions fool {percent(beyond['rate'])} of new images, "
        f"equally smooth ones {percent(beyond['rate'] - beyond['difference'])}{best}."
    )


def _curvature_in_short(found: Numbers) -> str:
    bends, fools, predicts = (found[name]["estimate"] for name in (BENDS, FOOLS, PREDICTS))
    return (
        f"Along the most bent directions the median curvature is {number(bends)}; their vectors "
        f"fool {points(fools)} points beside rivals; bending tells {points(predicts)} points more "
        "pairs right."
    )


def _words(answer: str, rival: str) -> str:
    if answer in {NO_DIFFERENCE, NOT_DECIDED}:
        return f"{answer} ({rival})"
    return f"{answer} than {rival}"


def _shared(shared: Numbers, dimension: int) -> Iterator[str]:
    smooth, untrained = shared["beyond_smoothness"], shared["beyond_untrained"]
    yield (
        f"The span of the normals' {first_directions(dimension)} (S_f) holds {_ratio(smooth)} "
        f"times as much energy of new normals as equally smooth noise (matched noise)"
        f"{_seen(smooth, number)}."
    )
    if untrained["ratio"] is None:
        why = f": {untrained['undecided'][0]}" if untrained["undecided"] else ""
        yield f"Beside untrained networks it is not decided, as fewer than two can be used{why}."
    else:
        yield (
            "Untrained networks have normals and shared directions too: beside theirs the energy "
            f"is {_ratio(untrained)} times as much{_seen(untrained, number)}."
        )


def _ratio(found: Numbers) -> str:
    ends = (
        f"{number(found['low'])} or more"
        if found["high"] is None
        else number_interval(Interval(found["low"], found["high"]))
    )
    return f"{number(found['ratio'])} ({ends})"


def _seen(found: Numbers, told: Callable[[float], str]) -> str:
    """Return the smallest effect that would have been seen, where none is shown."""
    if found["answer"] in {MORE, LESS}:
        return ""
    return f"; {told(found['smallest_seen'])} would have been seen"


def _universality(found: Numbers, norm: float, class_names: Sequence[str]) -> Iterator[str]:
    beyond = found["beyond_noise"]
    yield (
        f"Random vectors of S_f, of norm {number(norm)}, fool {percent(beyond['rate'])} of new "
        f"images, those of matched noise {percent(beyond['rate'] - beyond['difference'])}: "
        f"{_points(beyond, 'difference')} points"
        f"{_seen(beyond, _count)}."
    )
    if found["causes"] is None:
        yield "No universal perturbation was made."
        return
    within = found["within"]
    if within["share"] is not None:
        matched = within["matched"]
        noise = "" if matched is None else f", the best inside matched noise {percent(matched)}"
        yield (
            f"The best vector inside S_f fools {_share(within, 'share')} of what the best anywhere "
            f"(the universal perturbation) does{noise}."
        )
    yield from _of_universal(found, class_names)


def _of_universal(found: Numbers, class_names: Sequence[str]) -> Iterator[str]:
    """Yield what carries images across, how the gap rises on the way, and where they end."""
    causes, path, sink = found["causes"], found["path"], found["sink"]
    if sink["class"] < 0:
        yield "The universal perturbation fools no image."
        return
    yield (
        f"Of the images that it fools {percent(causes['own_plane'])} cross their own tangent "
        f"plane, {percent(causes['other_plane'])} another class's plane, "
        f"{percent(causes['bending'])} only the bending boundary; "
        f"{percent(causes['unexplained'])} are unexplained."
    )
    yield (
        f"The slope at the image gives {_share(path, 'slope_share')} of the rise of the final "
        "class's gap; the slope's change on the way gives the rest."
    )
    name = class_label(class_names, sink["class"], LONGEST_NAME)
    without = sink["rate_without"]
    known = without is not None and isfinite(without)
    rest = f"; one made without that class fools {percent(without)}" if known else ""
    yield f"{percent(sink['share'])} of the images that it fools end in one class, “{name}”{rest}."


def _curvature(found: Numbers) -> Iterator[str]:
    bends, fools, predicts = (found[name] for name in (BENDS, FOOLS, PREDICTS))
    ends = number_interval(Interval(bends["low"], bends["high"]))
    yield (
        "Along the directions that bend most on average (their span: S_c) the boundary's median "
        f"curvature is {number(bends['estimate'])} per input unit ({ends}){_seen(bends, number)}."
    )
    yield (
        "Random vectors of S_c less their strongest rival: "
        f"{_points(fools, 'estimate')} points of the fooling rate{_seen(fools, _count)}."
    )
    yield (
        f"Bending, measured and added to the planes: {_points(predicts, 'estimate')} points more "
        f"pairs of image and vector told right{_seen(predicts, _count)}."
    )
    if found["answer"] == NOT_DECIDED:
        yield "Not decided: effects of the smallest size of interest would not have been seen."


def _points(found: Numbers, name: str) -> str:
    ends = Interval(max(found["low"], -1.0), min(found["high"], 1.0))
    return f"{points(found[name])} ({points_interval(ends)})"


def _count(difference: float) -> str:
    return points(difference).removeprefix("+")


def _share(found: Numbers, name: str) -> str:
    return f"{percent(found[name])} ({percent_interval(Interval(found['low'], found['high']))})"
