"""Whether what the theorems promise of fooling is kept, in sentences."""

from collections.abc import Sequence

from analysis.bounds import CURVED_THEOREM, EXCLUDED, FLAT_THEOREM, inwards_share
from analysis.curvature_sweep import NEAREST
from analysis.curved_checks import CURVED
from analysis.results import CurvatureResult
from figures.curves import ESTIMATOR_LABELS, curves_of, tested_surface
from figures.finding import Finding
from figures.formats import number, percent, percent_interval
from figures.geometry_tables import BROKEN, KEPT, OPEN, MeasuredBound, measured_bounds


def bound_finding(result: CurvatureResult) -> Finding | None:
    """Return whether the flat theorem's promises of S_f and the curved one's of S_c are kept."""
    rows = measured_bounds(result)
    if not rows:
        return None
    flat = [row for row in rows if row.theorem == FLAT_THEOREM]
    bent = [row for row in rows if (row.theorem, row.family) == (CURVED_THEOREM, CURVED)]
    by = ESTIMATOR_LABELS[result.predicted_by]
    counts = {word: sum(row.word == word for row in rows) for word in (KEPT, BROKEN, OPEN)}
    failing = _failing_shares(result, len(bent))
    sentence = (
        f"Of {len(rows)} shares of images that the theorems of the ICLR 2018 paper promise random "
        f"vectors to fool {counts[KEPT]} are kept, {counts[BROKEN]} broken and {counts[OPEN]} "
        f"open, as the interval of what is measured holds them{_broken(counts[BROKEN] > 0)}."
    )
    said = [
        *_promises("flat", flat, rows[0].images),
        *_promises(f"bent alike (curvature by {by})", bent, rows[0].images),
    ]
    if failing:
        said.append(
            f"With the least curved {' or '.join(map(percent, failing))} of the pairs of image and "
            "vector of S_c left out, not all others are curved positively: there the curved "
            "theorem's premise fails."
        )
    present = {KEPT: True, BROKEN: False}.get(
        next((word for word in (KEPT, BROKEN) if counts[word] == len(rows)), "")
    )
    numbers = {"rows": rows, **counts, "failing": failing}
    return Finding("bounds", sentence, present, numbers, " ".join(said))


def _promises(premise: str, rows: Sequence[MeasuredBound], images: int) -> list[str]:
    """Return what a theorem promises of one family, as a sentence; none if it has no rows."""
    if not rows:
        return []
    listed = "; ".join(
        f"{percent(row.promised)} at norm {number(row.norm)}, measured {percent(row.measured)} "
        f"({percent_interval(row.interval)}), {row.word}"
        for row in rows
    )
    return [
        f"If all is {premise}, {rows[0].label} (R = {rows[0].dimension}): {listed} ({images} "
        "images; 95 % intervals)."
    ]


def _broken(some: bool) -> str:
    return (
        "; a broken one means that its premise, a boundary that is flat, or bent alike, that far, "
        "does not hold"
        if some
        else ""
    )


def _failing_shares(result: CurvatureResult, found: int) -> list[float]:
    """Return the excluded shares beyond which S_c has no bound, as it is not curved positively.

    Those with a bound are the last, since what is left out is the least curved.
    """
    measured = curves_of(
        result,
        family=CURVED,
        anchor=NEAREST,
        estimator=result.predicted_by,
        surface=tested_surface(result),
    )
    applies = found or inwards_share(result.dimension) < 1
    return list(EXCLUDED[: len(EXCLUDED) - found]) if measured and applies else []
