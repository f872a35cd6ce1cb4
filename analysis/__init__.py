"""Many points: the singular spectrum of the normals, subspaces, perturbations and fooling rates."""

from analysis.ball import Ball
from analysis.comparisons import PairDifference, compare_all
from analysis.deepfool_loop import deepfool_perturbation
from analysis.dimension import (
    Dimensions,
    dimensions,
    estimated_dimensions,
    gavish_donoho_threshold,
    noise_dimensions,
)
from analysis.energy import CapturedEnergy, captured_energy
from analysis.fooling import Comparison, FoolingRate, compare, fooling_rate, fooling_rates
from analysis.gram import Where
from analysis.groups import class_means, group_by_class, group_spectra
from analysis.halves import HalfSamples, Overlaps, spectrum_and_halves
from analysis.intervals import Estimate, Interval, wilson_interval
from analysis.nulls import Null, isotropic_null, permuted_null, phase_null, untrained_null
from analysis.perturbation_files import (
    LoadedPerturbations,
    load_perturbations,
    save_perturbations,
    save_picture,
)
from analysis.perturbations import Perturbations, in_subspace, on_sphere
from analysis.shared import shared_directions
from analysis.spectrum import SingularSpectrum, singular_spectrum
from analysis.subspace import Subspace
from analysis.universal import UniversalPerturbation, universal_perturbation

__all__ = [
    "Ball",
    "CapturedEnergy",
    "Comparison",
    "Dimensions",
    "Estimate",
    "FoolingRate",
    "HalfSamples",
    "Interval",
    "LoadedPerturbations",
    "Null",
    "Overlaps",
    "PairDifference",
    "Perturbations",
    "SingularSpectrum",
    "Subspace",
    "UniversalPerturbation",
    "Where",
    "captured_energy",
    "class_means",
    "compare",
    "compare_all",
    "deepfool_perturbation",
    "dimensions",
    "estimated_dimensions",
    "fooling_rate",
    "fooling_rates",
    "gavish_donoho_threshold",
    "group_by_class",
    "group_spectra",
    "in_subspace",
    "isotropic_null",
    "load_perturbations",
    "noise_dimensions",
    "on_sphere",
    "permuted_null",
    "phase_null",
    "save_perturbations",
    "save_picture",
    "shared_directions",
    "singular_spectrum",
    "spectrum_and_halves",
    "universal_perturbation",
    "untrained_null",
    "wilson_interval",
]
