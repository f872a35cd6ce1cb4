"""Drawings and the report, made from saved results only."""

from figures.classes import plot_classes
from figures.dimensions import plot_dimensions
from figures.energy import plot_energy
from figures.examples import plot_examples
from figures.findings import Finding, Findings, list_findings
from figures.fooling import plot_fooling_dimension, plot_fooling_norm
from figures.margins import plot_margins
from figures.report import write_report
from figures.spectrum import plot_spectrum
from figures.stability import plot_stability
from figures.vectors import plot_singular_vectors

__all__ = [
    "Finding",
    "Findings",
    "list_findings",
    "plot_classes",
    "plot_dimensions",
    "plot_energy",
    "plot_examples",
    "plot_fooling_dimension",
    "plot_fooling_norm",
    "plot_margins",
    "plot_singular_vectors",
    "plot_spectrum",
    "plot_stability",
    "write_report",
]
