"""What a run found, in sentences made of its numbers and intervals.

A finding whose interval includes no effect is said to be absent in this run, in so many words.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.intervals import Interval, wilson_interval
from analysis.natural import NaturalResult
from analysis.results import (
    CollectionResult,
    CurvatureResult,
    FoolingResult,
    SpectrumResult,
    UniversalResult,
)
from analysis.survey import no_better_than_guessing
from analysis.transfer import TransferResult
from figures.curvature_findings import curvature_findings
from figures.finding import Finding
from figures.fooling_findings import fooling_findings, universal_findings
from figures.formats import cosine, number, percent, percent_interval
from figures.natural_findings import natural_findings
from figures.spectrum_findings import spectrum_findings
from figures.tables import PairRow, pair_rows
from figures.transfer_findings import transfer_findings


@dataclass(frozen=True)
class Findings:
    """All findings of a run."""

    findings: tuple[Finding, ...]
    pairs: tuple[PairRow, ...]
    """The subspace against the sphere at every norm, unclipped first."""


def list_findings(
    collection: CollectionResult,
    spectrum: SpectrumResult | None = None,
    fooling: FoolingResult | None = None,
    universal: UniversalResult | None = None,
    natural: NaturalResult | None = None,
    transfer: TransferResult | None = None,
    curvature: CurvatureResult | None = None,
) -> Findings:
    """Return what the run found, the geometry first, then what rests on what.

    Args:
        collection: What was collected.
        spectrum: None while it is not there.
        fooling: None while it is not there.
        universal: None while it is not there.
        natural: None while it is not there.
        transfer: None where other models were not tried.
        curvature: None where the curvature of the boundary was not measured.
    """
    found: list[Finding] = []
    pairs: tuple[PairRow, ...] = ()
    if spectrum is not None:
        kept = len(spectrum.energy.in_sample)
        found += spectrum_findings(
            spectrum, kept if fooling is None else fooling.reference_dimension
        )
    if universal is not None:
        found += universal_findings(universal)
    if fooling is not None:
        pairs = pair_rows(fooling)
        found += fooling_findings(fooling)
    if natural is not None:
        found += natural_findings(natural)
    if transfer is not None:
        found += transfer_findings(transfer)
    if curvature is not None:
        found += curvature_findings(curvature)
    found += [_of_accuracy(collection), _of_collection(collection)]
    return Findings(tuple(found), pairs)


def _of_accuracy(result: CollectionResult) -> Finding:
    if result.judged == 0:
        sentence = "Clean accuracy is not known: the images carry no labels."
        return Finding("clean_accuracy", sentence, None, {"count": None, "total": result.judged})
    interval = wilson_interval(result.correct, result.judged)
    share = result.correct / result.judged
    sentence = (
        f"Clean accuracy is {percent(share)} ({result.correct} of {result.judged} images; 95 % "
        f"Wilson interval {percent_interval(interval)})."
    )
    if no_better_than_guessing(result.correct, result.judged, result.classes):
        sentence += (
            f" That is no better than guessing among {result.classes} classes: unless the network "
            "is untrained on purpose, its input range, its normalisation or the order of its "
            "classes is not what it should be."
        )
    numbers = {
        "count": result.correct,
        "total": result.judged,
        "rate": share,
        "interval": interval,
    }
    return Finding("clean_accuracy", sentence, None, numbers)


def _of_collection(result: CollectionResult) -> Finding:
    on_boundary = result.on_boundary
    count, total = int(on_boundary.sum()), len(on_boundary)
    numbers: dict[str, Any] = {"count": count, "total": total}
    if total == 0:
        return Finding("collection", "No image was collected.", None, numbers)
    interval: Interval = wilson_interval(count, total)
    missing = len(result.unreadable)
    passes = float(result.forward_passes.mean()), float(result.backward_passes.mean())
    numbers |= {
        "rate": count / total,
        "interval": interval,
        "unreadable": missing,
        "forward_passes": passes[0],
        "backward_passes": passes[1],
    }
    unread = f" {missing} images could not be read and are left out." if missing else ""
    cost = (
        f"The search took {number(passes[0])} forward and {number(passes[1])} backward passes an "
        f"image (mean over all images).{unread}"
    )
    share = (
        f"A boundary point with a usable normal was found for {percent(count / total)} of the "
        f"images ({count} of {total}; 95 % Wilson interval {percent_interval(interval)})"
    )
    if count == 0:
        return Finding("collection", f"{share}. {cost}", None, numbers)
    margin = result.median_margin
    tenth, median = (float(q) for q in np.quantile(result.alignment[on_boundary], [0.1, 0.5]))
    numbers |= {"median_margin": margin, "alignment_median": median, "alignment_tenth": tenth}
    sentence = (
        f"{share}; over these points the median margin is {number(margin)} input units, and "
        f"alignment has median {cosine(median)} and 10th percentile {cosine(tenth)}. {cost}"
    )
    return Finding("collection", sentence, None, numbers)
