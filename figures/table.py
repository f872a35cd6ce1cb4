"""Every number of a run, once: a table with a row a number, from which all else is read.

A number is a `quantity` and its keys. `role` is *primary* where an answer rests on it, *control*
where it says whether answers can be trusted, else *exploratory*.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import inf, isfinite, isnan
from typing import Any

import numpy as np
import pandas as pd

from analysis.algorithms import universal_parts
from analysis.answers import answers
from analysis.causes import CAUSES, MODELS
from analysis.curvature_test import BENDS, FOOLS, PREDICTS
from analysis.dimension import (
    estimated_dimensions,
    leading_estimate,
    noise_dimensions,
    null_dimensions,
)
from analysis.fooling import FoolingRate
from analysis.intervals import Estimate, Interval, median_estimate, wilson_interval
from analysis.nulls import Null, marchenko_pastur_edges
from analysis.perturbations import SPHERE
from analysis.results import (
    CollectionResult,
    CurvatureResult,
    FoolingResult,
    SpectrumResult,
    UniversalResult,
)
from analysis.transfer import TransferResult
from boundary.points import Status
from figures.formats import number, round_numbers
from figures.run_results import RunResults

KEYS = (
    "family",
    "rival",
    "R",
    "norm",
    "p",
    "clipped",
    "images",
    "source",
    "target",
    "model",
    "anchor",
    "estimator",
    "surface",
    "scale",
    "third",
    "made_on",
    "tried_on",
    "index",
)
COLUMNS = ("key", "quantity", *KEYS, "value", "low", "high", "n", "draws", "unit", "role")
PRIMARY, CONTROL, EXPLORATORY = "primary", "control", "exploratory"

UNITS, SHARE, CURVATURE = "input units", "share", "1 / input units"

RATE = "fooling rate"
LISTED = 10
"""How many of what goes by an index are listed."""
CLIPPED = {False: "not clipped", True: "clipped"}

Row = dict[str, Any]


def table_of_run(results: RunResults) -> pd.DataFrame:
    """Return every number of a run.

    Args:
        results: Of its stages.

    Returns:
        A row a number, with `COLUMNS`; what a row has no use for is NaN or None. `key` is a name
        made of the quantity and its keys. `value` lies between `low` and `high`, a 95 % interval
        over images and draws; of a null and of repeated splits the smallest and the largest.
    """
    rows = [
        *_answers(results),
        *_collection(results.collection),
        *_spectrum(results.spectrum, results.fooling.reference_dimension),
        *_fooling(results.fooling),
        *_universal(results.universal),
        *_curvature(results.curvature),
        *([] if results.transfer is None else _transfer(results.transfer)),
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.assign(key=[*map(_key, table.to_dict("records"))])


def numbers_of(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return a table as JSON values: the key of a number, and what it is.

    Of what goes by an index, such as singular values, the first ten: the CSV has all.
    """
    shown = ("value", "low", "high", "n", "draws")
    found: dict[str, dict[str, Any]] = {}
    for row in table[~(table["index"] > LISTED)].to_dict("records"):
        kept = {name: row[name] for name in shown if pd.notna(row[name])}
        kept |= {name: int(kept[name]) for name in ("n", "draws") if name in kept}
        found[row["key"]] = kept | {name: row[name] for name in ("unit", "role") if row[name]}
    return found


def _key(row: Mapping[Any, Any]) -> str:
    """Return the name of a number: its quantity and keys, of letters that LaTeX reads back."""
    parts = [_fit(str(row["quantity"]))]
    for name in KEYS:
        value = row[name]
        if value is None or (isinstance(value, float) and isnan(value)):
            continue
        told = CLIPPED[bool(value)] if isinstance(value, bool | np.bool_) else _told(value)
        parts.append(told if isinstance(value, str | bool | np.bool_) else f"{name} {told}")
    return "/".join(parts)


def _told(value: Any) -> str:
    if value == inf:
        return "inf"
    return _fit(number(value) if isinstance(value, float) else str(value))


def _fit(text: str) -> str:
    kept = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in " ._-") else "-"
        for letter in text
    )
    return " ".join(kept.split())


def _row(
    quantity: str,
    value: float | Estimate | None,
    interval: Interval | None = None,
    *,
    n: int | None = None,
    draws: int | None = None,
    unit: str = "",
    role: str = EXPLORATORY,
    **keys: Any,
) -> Row:
    if isinstance(value, Estimate):
        interval, value = value.interval, value.value
    ends = (None, None) if interval is None else (interval.low, interval.high)
    numbers = [None if end is None or not isfinite(end) else float(end) for end in (value, *ends)]
    found = dict(zip(("value", "low", "high"), numbers, strict=True))
    return {"quantity": quantity, **keys, **found, "n": n, "draws": draws, "unit": unit} | {
        "role": role
    }


def _range(values: Any) -> Estimate:
    """Return the mean of draws or splits, with the smallest and the largest."""
    found = np.asarray(values, dtype=np.float64)
    return Estimate(float(found.mean()), Interval(float(found.min()), float(found.max())))


def _answers(results: RunResults) -> Iterator[Row]:
    fooling, universal = results.fooling, results.universal
    shared, beyond, R = fooling.shared, fooling.beyond_noise, universal.reference_dimension
    for rival, ratio in (("matched noise", shared.smoothness), ("untrained", shared.training)):
        if ratio is not None:
            yield _row(
                "energy over that of a rival",
                ratio.value,
                Interval(ratio.low, ratio.high),
                n=len(shared.own),
                role=PRIMARY,
                R=R,
                rival=rival,
            )
    where = ((R, "of the same R"), (beyond.best_dimension, "of its own best R"))
    for (best, words), found in zip(where, beyond.differences, strict=True):
        yield _row(
            "fooling rate beyond matched noise",
            found.estimate,
            found.interval,
            n=found.images,
            draws=len(beyond.own),
            unit=SHARE,
            role=PRIMARY,
            R=best,
            rival=f"matched noise {words}",
        )
    for within in universal.within:
        for name, estimate in (("S_f", within.share), ("matched noise", within.matched_share)):
            if estimate is not None:
                yield _row(
                    "best rate within over that anywhere",
                    estimate,
                    n=len(within.inside),
                    unit=SHARE,
                    role=PRIMARY,
                    family=name,
                    R=R,
                )
    yield from _path(universal)
    said = answers(universal, fooling, results.curvature)["curvature"]
    for endpoint, name in ((BENDS, "P1"), (FOOLS, "P2"), (PREDICTS, "P3")):
        found = said[endpoint]
        ends = Interval(found["low"], found["high"])
        seen, unit = found["smallest_seen"], CURVATURE if endpoint == BENDS else SHARE
        yield _row(f"{name} {endpoint}", found["estimate"], ends, unit=unit, role=PRIMARY)
        yield _row(f"{name} p corrected by Holm", found["p"], role=PRIMARY)
        yield _row(f"{name} smallest that would be seen", seen, unit=unit, role=PRIMARY)


def _path(universal: UniversalResult) -> Iterator[Row]:
    for path in universal.paths:
        n = int(path.fooled.sum())
        if n:
            yield _row(
                "share of the rise from the slope at the image",
                path.slope_share,
                n=n,
                unit=SHARE,
                role=PRIMARY,
            )
            yield _row("first crossing along the vector", path.median_crossing, n=n, role=PRIMARY)
            yield _row(
                "share that goes to the sink", path.sink_share, n=n, unit=SHARE, role=PRIMARY
            )
    if not isnan(universal.rate_without_sink):
        yield _row(
            "fooling rate without the sink", universal.rate_without_sink, unit=SHARE, role=PRIMARY
        )


def _collection(result: CollectionResult) -> Iterator[Row]:
    found = result.on_boundary
    yield _row("images of the source", result.images, role=CONTROL)
    yield _row("images collected", len(found), role=CONTROL)
    yield _row("images unreadable", len(result.unreadable), role=CONTROL)
    yield _row("classes", result.classes, role=CONTROL)
    yield _row("mean image norm", result.mean_image_norm, unit=UNITS, role=CONTROL)
    if result.judged:
        share = result.correct / result.judged
        ends = wilson_interval(result.correct, result.judged)
        yield _row("clean accuracy", share, ends, n=result.judged, unit=SHARE, role=CONTROL)
    if len(found):
        count = int(found.sum())
        ends = wilson_interval(count, len(found))
        yield _row(
            "boundary points found",
            count / len(found),
            ends,
            n=len(found),
            unit=SHARE,
            role=CONTROL,
        )
        for way in ("forward", "backward"):
            passes = getattr(result, f"{way}_passes")
            yield _row(f"{way} passes an image", float(passes.mean()), n=len(found), role=CONTROL)
    for name, values, unit in (
        ("median margin", result.margin, UNITS),
        ("median alignment", result.alignment, "cosine"),
        ("median residual", result.residual, UNITS),
    ):
        if found.any():
            estimate = median_estimate(values[found])
            yield _row(name, estimate, n=int(found.sum()), unit=unit, role=CONTROL)
    for status in Status:
        count = int((result.status == status).sum())
        if count:
            told = status.name.lower().replace("_", " ")
            yield _row("searches that ended", count, n=len(found), role=CONTROL, family=told)


def _spectrum(result: SpectrumResult, R: int) -> Iterator[Row]:
    spectrum = result.spectrum
    n, D, values = spectrum.count, spectrum.dimension, spectrum.singular_values
    for name, value in (
        ("normals", n),
        ("dimension of an image", D),
        ("normals left out", result.left_out),
        ("singular values to 1 percent", spectrum.trusted()),
        ("singular values that are rounding", int((values < spectrum.floor).sum())),
    ):
        yield _row(name, value, role=CONTROL)
    for end, edge in zip(("lower", "upper"), marchenko_pastur_edges(n, D), strict=True):
        yield _row(f"{end} edge of random directions", edge)
    for place, value in enumerate(values, start=1):
        yield _row("singular value", value, n=n, index=place)
    for null in result.nulls:
        yield from _null(result, null)
    random = noise_dimensions(n, D)
    for name, estimate in estimated_dimensions(spectrum, result.halves).items():
        yield _row("dimensions filled", estimate, n=n, family=name)
        if hasattr(random, name):
            yield _row(
                "dimensions filled", getattr(random, name), n=n, family=name, rival="closed form"
            )
    yield from _energy(result, R)
    yield from _halves(result, R)
    yield from _classes(result)


def _null(result: SpectrumResult, null: Null) -> Iterator[Row]:
    values, draws = result.spectrum.singular_values, len(null.singular_values)
    for place, found in enumerate(null.singular_values.T, start=1):
        yield _row("singular value", _range(found), draws=draws, rival=null.name, index=place)
    leading = leading_estimate(null, values, result.halves)
    yield _row("singular values above", leading, n=len(values), draws=draws, rival=null.name)
    yield _row(
        "largest singular value over that of a null",
        float(values[0] / null.singular_values.max()),
        draws=draws,
        rival=null.name,
    )
    for name, found in null_dimensions(null).items():
        yield _row("dimensions filled", _range(found), draws=draws, family=name, rival=null.name)


def _energy(result: SpectrumResult, also: int) -> Iterator[Row]:
    energy = result.energy
    low, high = energy.interval()
    n = len(energy.held_out)
    for R in round_numbers(len(energy.in_sample), also):
        place = R - 1
        ends = Interval(float(low[place]), float(high[place]))
        for images, value, interval in (
            ("held out", energy.mean[place], ends),
            ("in sample", energy.in_sample[place], None),
        ):
            yield _row("captured energy", value, interval, n=n, unit=SHARE, R=R, images=images)
        yield _row("captured energy", energy.isotropic[place], unit=SHARE, R=R, rival="isotropic")


def _halves(result: SpectrumResult, also: int) -> Iterator[Row]:
    for rival, overlaps in ((None, result.halves.overlaps), ("isotropic", result.random)):
        shared, draws = overlaps.mean_squared_cosine, len(overlaps.cosines)
        for R in round_numbers(len(overlaps.dimensions), also):
            keys: Row = {"draws": draws, "R": R, "rival": rival}
            yield _row("squared cosine of two halves", _range(shared[:, R - 1]), **keys)
            angles = np.degrees(np.median(overlaps.angles(R), axis=1))
            yield _row("median angle of two halves", _range(angles), unit="degrees", **keys)


def _classes(result: SpectrumResult) -> Iterator[Row]:
    means, names = result.means, ("all normals", "each class", "each pair of classes")
    for name, share in zip(names, means.shares, strict=True):
        yield _row("energy of a mean normal", share, unit=SHARE, family=name)
    draws = len(means.explained)
    for R in round_numbers(means.explained.shape[1]):
        for family, found in (("means of pairs", means.explained), ("directions", means.rival)):
            estimate = _range(found[:, R - 1])
            yield _row(
                "S_f of one half in that of the other",
                estimate,
                draws=draws,
                unit=SHARE,
                R=R,
                family=family,
            )
    for groups in (result.by_source, result.by_pair):
        for place, count in enumerate(groups.counts):
            one, other = (int(name) for name in groups.classes[place])
            yield _row(
                "dimensions filled by a class",
                float(groups.participation_ratio[place]),
                n=int(count),
                source=one,
                target=None if other < 0 else other,
            )


def _rate(rate: FoolingRate, **more: Any) -> Row:
    keys: Row = {
        "family": rate.family,
        "R": rate.subspace_dimension,
        "norm": rate.norm,
        "p": rate.p,
        "clipped": rate.clipped,
        **more,
    }
    n, draws = rate.fooled.shape[1], len(rate.fooled)
    return _row(RATE, rate.rate, rate.interval, n=n, draws=draws, unit=SHARE, **keys)


def _fooling(result: FoolingResult) -> Iterator[Row]:
    yield _row("reference norm", result.reference_norm, unit=UNITS, role=CONTROL)
    yield _row("R of S_f", result.reference_dimension, role=CONTROL)
    yield _row("R at which matched noise does best", result.noise_dimension, role=CONTROL)
    yield _row("images evaluated", len(result.image_ids), role=CONTROL)
    yield _row("energy in S_f", float(result.shared.own.mean()), unit=SHARE, role=CONTROL)
    correct = (result.labels >= 0) & (result.labels == result.predictions)
    for rate in _once(result.rates):
        yield _rate(rate)
        if rate.norm != result.reference_norm or rate.clipped:
            continue
        if correct.any():
            yield _rate(rate.among(correct), images="classified correctly")
        if rate.family == SPHERE or rate.subspace_dimension == result.reference_dimension:
            for name in np.unique(result.predictions):
                own = rate.among(result.predictions == name)
                yield _rate(own, source=int(name))


def _once(rates: Iterable[FoolingRate]) -> list[FoolingRate]:
    found = {
        (one.family, one.subspace_dimension, one.norm, one.p, one.clipped): one for one in rates
    }
    return list(found.values())


def _universal(result: UniversalResult) -> Iterator[Row]:
    for made in result.found:
        for rate in made.own:
            yield _rate(rate, images="made it")
        keys: Row = {"family": made.family, "norm": made.own[0].norm, "p": made.own[0].p}
        length = float(np.linalg.norm(made.vector))
        yield _row("Euclidean norm", length, unit=UNITS, **keys)
        yield _row("gradients spent", made.backward_passes, n=made.images_used, **keys)
        for spent, rate in zip(made.spent, made.watched, strict=True):
            yield _row("fooling rate on the way", rate, unit=SHARE, index=int(spent), **keys)
    for rate in result.noise:
        yield _rate(rate, images="as large as a universal perturbation")
    for learned in result.learning:
        yield _rate(learned.rate, images=f"made by {learned.images_used}")
    choice = result.choice
    for place, R in enumerate(choice.dimensions):
        error = float(choice.error[place])
        chosen = float(choice.rate[place])
        yield _row(
            "fooling rate on choosing images",
            chosen,
            Interval(chosen - error, chosen + error),
            n=choice.images,
            unit="share, and a standard error",
            family="subspace",
            R=int(R),
        )
        yield _row(
            "fooling rate on choosing images",
            _range(choice.noise[:, place]),
            n=choice.images,
            draws=len(choice.noise),
            unit=SHARE,
            family="matched noise",
            R=int(R),
        )
    for flows in result.labels:
        for one, other in np.argwhere(flows.flows):
            yield _row(
                "images that go from a class to another",
                int(flows.flows[one, other]),
                n=int(flows.before[one]),
                family=flows.family,
                norm=flows.norm,
                p=flows.p,
                source=int(one),
                target=int(other),
            )


def _curvature(result: CurvatureResult) -> Iterator[Row]:
    yield _row("R of S_c", result.dimension, role=CONTROL)
    yield _row("scale at which S_c is made", result.scale, unit=UNITS, role=CONTROL)
    for pair, shared in enumerate(result.shared, start=1):
        yield _row("squared cosine of two S_c", float(shared), index=pair)
    for row in result.test.rows:
        yield _row(
            row.endpoint,
            row.estimate,
            Interval(row.low, row.high),
            unit=CURVATURE if row.rival == "zero" else SHARE,
            role=PRIMARY,
            third=row.frame + 1,
            rival=row.rival,
            scale=row.scale,
        )
    for one in result.causes:
        draws, n = one.fooled.shape
        keys: Row = {"family": one.family, "R": one.subspace_dimension, "norm": one.norm}
        role = PRIMARY if universal_parts(one.family) else EXPLORATORY
        for cause in CAUSES if one.fooled.any() else ():
            yield _row(
                "cause of fooling",
                one.cause(cause),
                n=n,
                draws=draws,
                unit=SHARE,
                role=role,
                **keys,
            ) | {"model": cause.replace("_", " ")}
        for model in MODELS:
            keys["model"] = model
            yield _row("pairs told right", one.right(model), n=n, draws=draws, unit=SHARE, **keys)
            if not one.fooled.all():
                alarms = one.false_alarms(model)
                yield _row("false alarms", alarms, n=n, draws=draws, unit=SHARE, **keys)
    for curve in result.curves:
        draws, n = curve.curvature.shape[1:]
        for place, scale in enumerate(curve.scales):
            yield _row(
                "mean curvature",
                Estimate(float(curve.mean[place]), curve.intervals[place]),
                n=n,
                draws=draws,
                unit=CURVATURE,
                family=curve.family,
                anchor=curve.anchor,
                estimator=curve.estimator,
                surface=curve.surface,
                scale=float(scale),
            )
    for sections in result.sections:
        for offset, heights in zip(*sections.heights[:2], strict=True):
            yield _row(
                "median height of the boundary",
                float(np.median(heights)),
                n=len(heights),
                unit=UNITS,
                family=sections.family,
                surface=sections.surface,
                scale=float(offset),
            )
    for profile in result.profiles:
        keys = {"surface": profile.surface, "scale": profile.scale}
        tail = profile.tail_asymmetry
        yield _row("asymmetry of principal curvatures", tail, n=profile.points, **keys)
        for place, value in enumerate(profile.average, start=1):
            yield _row(
                "principal curvature", value, n=profile.points, unit=CURVATURE, index=place, **keys
            )
            yield _row(
                "curvature along another's direction",
                profile.sharing[place - 1],
                index=place,
                **keys,
            )
    for law in result.theory:
        keys = {"family": law.family, "R": law.dimension, "norm": law.norm or None}
        yield _row(f"law of {law.law}", law.predicted, **keys, rival="predicted")
        ends = Interval(law.low, law.high)
        yield _row(f"law of {law.law}", law.measured, ends, n=law.images, **keys)


def _transfer(result: TransferResult) -> Iterator[Row]:
    models, geometry = result.models, result.geometry
    for matrix in result.matrices:
        for row, made_on in enumerate(models):
            for column, tried_on in enumerate(models):
                yield _rate(matrix.at(row, column), made_on=made_on, tried_on=tried_on)
        for column, tried_on in enumerate(models):
            yield _rate(matrix.noise[column], rival=matrix.family, tried_on=tried_on)
    for row, column in np.argwhere(np.isfinite(geometry.energy)):
        keys: Row = {"R": geometry.dimension, "made_on": models[row], "tried_on": models[column]}
        ends = Interval(geometry.energy_low[row, column], geometry.energy_high[row, column])
        energy = float(geometry.energy[row, column])
        yield _row("energy in the subspace of another", energy, ends, unit=SHARE, **keys)
        matched = float(geometry.matched[row, column])
        yield _row(
            "energy in the subspace of another", matched, unit=SHARE, rival="matched noise", **keys
        )
        shared = float(geometry.shared[row, column])
        yield _row("squared cosine of two subspaces", shared, **keys)
