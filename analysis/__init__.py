"""Many points: the singular spectrum of the normals, subspaces, perturbations and fooling rates."""

from analysis.algorithms import ALGORITHMS, Recipe, make_universal
from analysis.answers import answers
from analysis.ball import Ball
from analysis.baselines import (
    displacement_sum,
    gradient_sign,
    mean_image,
    single_displacements,
    singular_pairs,
)
from analysis.causes import FoolingCauses, causes_of_fooling
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
from analysis.estimator import NormalSubspace
from analysis.fooling import Comparison, FoolingRate, compare, fooling_rate, fooling_rates
from analysis.gram import Where
from analysis.groups import class_means, group_by_class, group_spectra
from analysis.halves import HalfSamples, Overlaps, spectrum_and_halves
from analysis.intervals import Estimate, Interval, wilson_interval
from analysis.labels import LabelFlows, label_flows
from analysis.nulls import Null, isotropic_null, permuted_null, phase_null, untrained_null
from analysis.paths import FoolingPath, path_of_fooling
from analysis.perturbation_files import (
    LoadedPerturbations,
    load_perturbations,
    save_perturbations,
    save_picture,
)
from analysis.perturbations import Perturbations, in_subspace, on_sphere
from analysis.results import (
    CollectionResult,
    CurvatureResult,
    FoolingResult,
    SpectrumResult,
    UniversalResult,
)
from analysis.rivals import matched_frames, matched_spectra
from analysis.saved import load_result
from analysis.shared import shared_directions
from analysis.singular_vectors import hidden_singular_vector, singular_perturbation
from analysis.spectrum import SingularSpectrum, singular_spectrum
from analysis.subspace import Subspace
from analysis.transfer import TransferResult
from analysis.universal import UniversalPerturbation, universal_perturbation
from boundary.result import table

__all__ = [
    "ALGORITHMS",
    "Ball",
    "CapturedEnergy",
    "CollectionResult",
    "Comparison",
    "CurvatureResult",
    "Dimensions",
    "Estimate",
    "FoolingCauses",
    "FoolingPath",
    "FoolingRate",
    "FoolingResult",
    "HalfSamples",
    "Interval",
    "LabelFlows",
    "LoadedPerturbations",
    "NormalSubspace",
    "Null",
    "Overlaps",
    "PairDifference",
    "Perturbations",
    "Recipe",
    "SingularSpectrum",
    "SpectrumResult",
    "Subspace",
    "TransferResult",
    "UniversalPerturbation",
    "UniversalResult",
    "Where",
    "answers",
    "captured_energy",
    "causes_of_fooling",
    "class_means",
    "compare",
    "compare_all",
    "deepfool_perturbation",
    "dimensions",
    "displacement_sum",
    "estimated_dimensions",
    "fooling_rate",
    "fooling_rates",
    "gavish_donoho_threshold",
    "gradient_sign",
    "group_by_class",
    "group_spectra",
    "hidden_singular_vector",
    "in_subspace",
    "isotropic_null",
    "label_flows",
    "load_perturbations",
    "load_result",
    "make_universal",
    "matched_frames",
    "matched_spectra",
    "mean_image",
    "noise_dimensions",
    "on_sphere",
    "path_of_fooling",
    "permuted_null",
    "phase_null",
    "save_perturbations",
    "save_picture",
    "shared_directions",
    "single_displacements",
    "singular_pairs",
    "singular_perturbation",
    "singular_spectrum",
    "spectrum_and_halves",
    "table",
    "universal_perturbation",
    "untrained_null",
    "wilson_interval",
]
