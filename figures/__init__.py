"""Drawings and the report, made from saved results only."""

from figures.classes import plot_classes
from figures.curvature import plot_curvature, plot_estimators
from figures.dimensions import plot_dimensions
from figures.energy import plot_energy
from figures.examples import plot_examples
from figures.families import plot_families
from figures.finding import Finding
from figures.findings import Findings, FindingsSection, list_findings
from figures.fooling import plot_fooling_dimension, plot_fooling_norm
from figures.labels import plot_labels
from figures.maps import plot_maps
from figures.margins import plot_margins
from figures.natural import plot_natural
from figures.profile import plot_profile
from figures.report import write_report
from figures.sections import plot_sections
from figures.spectrum import plot_spectrum
from figures.stability import plot_stability
from figures.transfer import plot_transfer
from figures.universal import plot_universal
from figures.vectors import plot_singular_vectors

__all__ = [
    "Finding",
    "Findings",
    "FindingsSection",
    "list_findings",
    "plot_classes",
    "plot_curvature",
    "plot_dimensions",
    "plot_energy",
    "plot_estimators",
    "plot_examples",
    "plot_families",
    "plot_fooling_dimension",
    "plot_fooling_norm",
    "plot_labels",
    "plot_maps",
    "plot_margins",
    "plot_natural",
    "plot_profile",
    "plot_sections",
    "plot_singular_vectors",
    "plot_spectrum",
    "plot_stability",
    "plot_transfer",
    "plot_universal",
    "write_report",
]
