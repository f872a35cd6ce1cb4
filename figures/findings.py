"""What a run says in words: the three answers, whether to trust them, and other models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.results import CollectionResult
from analysis.transfer import TransferResult
from figures.answer_sentences import Answer, answers_told
from figures.collection_findings import collection_findings, trust_line
from figures.finding import Finding
from figures.transfer_findings import transfer_findings


@dataclass(frozen=True)
class Findings:
    """All that is said of a run."""

    answers: tuple[Answer, ...]
    """To the three questions; none while a stage is missing."""
    trust: str
    """In one line; empty where something puts all in doubt."""
    collection: tuple[Finding, ...]
    """The classifier and its boundary points."""
    transfer: tuple[Finding, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All but the answers."""
        return self.collection + self.transfer

    @property
    def doubts(self) -> tuple[str, ...]:
        """What puts all in doubt."""
        return tuple(finding.sentence for finding in self.collection if finding.doubtful)

    @property
    def summary(self) -> tuple[str, ...]:
        """Doubts, a paragraph for each answer, and the line of trust."""
        told = (f"{one.question} {one.answer}. {' '.join(one.sentences)}" for one in self.answers)
        return tuple(part for part in (*self.doubts, *told, self.trust) if part)


def list_findings(
    collection: CollectionResult,
    answers: Mapping[str, Any] | None = None,
    class_names: Sequence[str] = (),
    transfer: TransferResult | None = None,
) -> Findings:
    """Return what a run found, in words.

    Args:
        collection: What was collected.
        answers: As `analysis.answers.answers` returns them; None while a stage is missing.
        class_names: Index -> name; may be empty.
        transfer: None where other models were not tried.
    """
    return Findings(
        () if answers is None else answers_told(answers, class_names),
        trust_line(collection),
        tuple(collection_findings(collection)),
        () if transfer is None else tuple(transfer_findings(transfer)),
    )
