"""Drawings and the report, made from saved results only."""

from figures.answer_sentences import Answer, answers_told
from figures.causes import plot_causes
from figures.choice import plot_choice
from figures.classes import plot_classes
from figures.curvature import plot_curvature, plot_estimators
from figures.dimensions import plot_dimensions
from figures.endpoints import plot_endpoints
from figures.energy import plot_energy
from figures.examples import plot_examples
from figures.families import plot_families
from figures.finding import Finding
from figures.findings import Findings, list_findings
from figures.fooling import plot_fooling_dimension, plot_fooling_norm
from figures.labels import plot_labels
from figures.maps import plot_maps
from figures.margins import plot_margins
from figures.profile import plot_profile
from figures.report import write_report
from figures.sections import plot_sections
from figures.spectrum import plot_spectrum
from figures.stability import plot_stability
from figures.transfer import plot_transfer
from figures.universal import plot_universal
from figures.vectors import plot_singular_vectors

__all__ = [
    "Answer",
    "Finding",
    "Findings",
    "answers_told",
    "list_findings",
    "plot_causes",
    "plot_choice",
    "plot_classes",
    "plot_curvature",
    "plot_dimensions",
    "plot_endpoints",
    "plot_energy",
    "plot_estimators",
    "plot_examples",
    "plot_families",
    "plot_fooling_dimension",
    "plot_fooling_norm",
    "plot_labels",
    "plot_maps",
    "plot_margins",
    "plot_profile",
    "plot_sections",
    "plot_singular_vectors",
    "plot_spectrum",
    "plot_stability",
    "plot_transfer",
    "plot_universal",
    "write_report",
]
