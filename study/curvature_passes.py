"""How many images the curvature stage passes through the model, counted before it is done."""

from math import ceil

from analysis.curvature_sweep import ANCHORS
from analysis.curved_checks import METHODS
from analysis.learning import counts_below
from boundary.curvature import ALL_BELOW
from study.config import CurvatureOptions, StudyConfig
from study.directions import RIVALS, draws_of
from study.predicting import MAPS, MARGIN_IMAGES, PROFILE_POINTS, SECTION_OFFSETS, SECTION_POINTS

_BATCH = 20
"""Images of one step of the ascent."""
_ASCENTS = 8
"""S_c itself, another start, and two halves of the images three times."""
_SEARCHES = 12
"""Of a judged image: without a subspace, and in parts of it, for three of them."""
_RUNNERS_UP = 4 * 12
"""Gradients of the planes of further classes."""
_SCALES = 5
_LOOKS = 6
"""At either end of a normal section, about."""
_PROBES = 20 + 20
"""Of the profile: directions at a point beside those found at it and at others of its group."""
_GROUP = 8
_SMALLER = 3
_MAP = 81**2


def curvature_passes(
    config: StudyConfig, dimension: int, images: int, judged: int, evaluating: int
) -> tuple[int, int]:
    """Return how many images are passed forward and backward, about.

    Args:
        config: Of the study.
        dimension: D.
        images: That make S_c.
        judged: Held-out images at which curvature is measured.
        evaluating: Held-out images on which fooling rates are taken.
    """
    options, R = config.curvature, config.curvature.dimension
    search = config.search.max_gradients
    bases = 1 + len(RIVALS) + len(options.others)
    directions = bases * R + 1
    beside = (len(METHODS) - 1) * options.draws if options.passes else 0
    scales = len(options.scales or range(_SCALES))
    looks = 2 * judged * scales * (len(ANCHORS) * directions + beside)
    exact = 2 * judged * directions
    backward = _making(options, images, judged) + looks + exact
    backward += judged * search + (evaluating - judged) * search
    backward += _geometry(options, dimension, judged, search)
    sections = 2 * judged * scales * directions * len(options.sections_at) * _LOOKS
    sections += 2 * min(SECTION_POINTS, judged) * SECTION_OFFSETS * (bases + 1) * _LOOKS
    forward = backward + sections + MAPS * _MAP + evaluating * _tried(config, bases)
    return forward, backward


def _making(options: CurvatureOptions, images: int, judged: int) -> int:
    """Return the gradients of S_c by every method, and of fewer images."""
    R, steps = options.dimension, options.steps
    few = counts_below(options.counts, images)
    few = few if options.counts is not None else few[1:]
    spent = _ASCENTS * 2 * R * steps * min(_BATCH, images) + 2 * R * (images + judged)
    spent += sum(2 * R * (steps * min(_BATCH, count) + count + judged) for count in few)
    if options.passes:
        block = ceil(1.5 * R)
        # The eigenvectors three times over, the reference once; additivity of both.
        spent += (3 + 1) * options.passes * 2 * block * images + 2 * 2 * 15 * images
        spent += (len(METHODS) - 1) * 2 * R * judged
    return spent


def _geometry(options: CurvatureOptions, dimension: int, judged: int, search: int) -> int:
    """Return the gradients of planes, margins in subspaces, profiles and detectors."""
    ends = 20 if dimension > ALL_BELOW else dimension - 1
    steps = 30 if dimension > ALL_BELOW else dimension - 1
    profiles = 2 * min(PROFILE_POINTS, judged) * 2 * (steps + _PROBES + _GROUP * ends)
    planes, detectors = judged * (search + _RUNNERS_UP), judged * (search + 16 * options.dimension)
    return planes + detectors + profiles + min(MARGIN_IMAGES, judged) * _SEARCHES * search


def _tried(config: StudyConfig, bases: int) -> int:
    """Return how many perturbations are tried on every held-out image."""
    options = config.curvature
    draws = draws_of(config)
    methods = len(METHODS) - 1 if options.passes else 0
    whole = bases + methods
    few = len(options.counts) if options.counts is not None else 2
    return draws * (3 * whole + len(RIVALS) * _SMALLER + few + whole)
