"""What a run found, in sentences made of its numbers and intervals.

A finding whose interval includes no effect is said to be absent in this run, in so many words.
"""

from dataclasses import dataclass

from analysis.natural import NaturalResult
from analysis.results import (
    CollectionResult,
    FoolingResult,
    SpectrumResult,
    UniversalResult,
)
from analysis.transfer import TransferResult
from figures.collection_findings import collection_findings
from figures.finding import Finding
from figures.fooling_findings import fooling_findings, universal_findings
from figures.natural_findings import natural_findings
from figures.spectrum_findings import spectrum_findings
from figures.summary import summarise
from figures.tables import PairRow, pair_rows
from figures.transfer_findings import transfer_findings

_TITLES = {
    "collect": "The classifier and its boundary points",
    "spectrum": "Directions that the normals share",
    "fooling": "Random perturbations of the shared subspace",
    "universal": "Universal perturbations",
    "natural": "Beside natural images",
    "transfer": "On other models",
}


@dataclass(frozen=True)
class FindingsSection:
    """Findings of one subject."""

    stage: str
    """That made what they rest on."""
    title: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Findings:
    """All findings of a run."""

    summary: tuple[str, ...]
    """A few sentences on the whole."""
    sections: tuple[FindingsSection, ...]
    """What the others rest on first."""
    pairs: tuple[PairRow, ...]
    """The subspace against the sphere at every norm, unclipped first."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all sections."""
        return tuple(finding for section in self.sections for finding in section.findings)


def list_findings(
    collection: CollectionResult,
    spectrum: SpectrumResult | None = None,
    fooling: FoolingResult | None = None,
    universal: UniversalResult | None = None,
    natural: NaturalResult | None = None,
    transfer: TransferResult | None = None,
) -> Findings:
    """Return what the run found: what the rest hangs on, the geometry, then what rests on what.

    Args:
        collection: What was collected.
        spectrum: None while it is not there.
        fooling: None while it is not there.
        universal: None while it is not there.
        natural: None while it is not there.
        transfer: None where other models were not tried.
    """
    found = {"collect": collection_findings(collection)}
    if spectrum is not None:
        kept = len(spectrum.energy.in_sample)
        found["spectrum"] = spectrum_findings(
            spectrum, kept if fooling is None else fooling.reference_dimension
        )
    if fooling is not None:
        found["fooling"] = fooling_findings(fooling)
    if universal is not None:
        found["universal"] = universal_findings(universal)
    if natural is not None:
        found["natural"] = natural_findings(natural)
    if transfer is not None:
        found["transfer"] = transfer_findings(transfer)
    return Findings(
        summarise([finding for findings in found.values() for finding in findings]),
        tuple(FindingsSection(stage, _TITLES[stage], tuple(own)) for stage, own in found.items()),
        () if fooling is None else pair_rows(fooling),
    )
