"""What a study would compute, from its settings alone: stages, passes of each part, sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import prod

from analysis.causes import CLASSES, GRADIENTS
from analysis.paths import POINTS
from analysis.results import CollectionResult, SpectrumResult
from analysis.rivals import PHASE_DRAWS
from analysis.saved import load_result, load_settings
from analysis.spectrum import DIRECTIONS
from analysis.sweep import NOISE_DRAWS, dimension_sweep, norm_sweep
from analysis.universal import LOOKS
from boundary.errors import StoreError
from boundary.store import differences
from study import curving, hypothesis
from study.anchoring import EXPLORED
from study.config import StudyConfig
from study.perturbing import CURVE_DRAWS, EXAMPLES
from study.run import STAGES, RunDirectory
from study.stages import UNTRAINED_GRADIENTS
from study.subject import Subject
from study.universals import (
    CHOOSING_NOISE,
    CHOOSING_VECTORS,
    WATCHED,
    gradients_for,
    reference_norm,
)

_SECTION_PASSES = 8
"""Forward passes of a normal section, about."""

_OTHERS = 4 * CURVE_DRAWS + 3
"""Vectors of the sphere, an untrained network and the baselines."""

Part = tuple[str, float, float]
"""What is done, images passed forward, images passed backward."""


@dataclass(frozen=True)
class _Facts:
    """What counting rests on, known where it was measured and else the most that there can be."""

    images: int
    collecting: int
    making: int
    choosing: int
    evaluating: int
    dimension: int
    """D."""
    directions: int
    norms: int


def plan(
    run: RunDirectory,
    config: StudyConfig,
    subject: Subject | None,
    stages: Sequence[str],
    *,
    redo: bool = False,
) -> str:
    """Return what would be computed, as text; compute none of it, write nothing.

    Args:
        run: The directory, which may not be there.
        config: Of the study.
        subject: Of the study; None for the spectrum, which passes nothing through the model.
        stages: Which, in order.
        redo: Count as not done what is asked for.

    Raises:
        StoreError: If a stage is done with other settings.
    """
    facts = _facts(run, config, subject)
    lines = [f"Nothing is done, nothing is written: a plan for `{run.path}`."]
    if subject is not None:
        shape = " x ".join(map(str, subject.images.shape))
        lines.append(
            f"{subject.model.name} on {len(subject.images)} images of {shape}, on "
            f"{subject.device_name}: {facts.making} make subspaces, {facts.choosing} choose R, "
            f"{facts.evaluating} are evaluated."
        )
    lines += ["", f"{'images passed, at most':<52} {'forward':>12} {'backward':>12}"]
    anew = redo  # what rests on a stage that is to be done is to be done too
    total = [0.0, 0.0]
    for stage in stages:
        if not anew and _is_done(run, config, stage):
            lines.append(f"{stage}: done")
            continue
        anew = anew or stage in STAGES
        lines.append(stage)
        for what, forward, backward in _PARTS[stage](config, facts):
            total = [total[0] + forward, total[1] + backward]
            lines.append(f"  {what:<50} {_count(forward):>12} {_count(backward):>12}")
    lines += [f"{'in all':<52} {_count(total[0]):>12} {_count(total[1]):>12}", ""]
    return "\n".join([*lines, *_sizes(config, facts, stages)])


def _facts(run: RunDirectory, config: StudyConfig, subject: Subject | None) -> _Facts:
    if subject is None:
        store = run.store()
        collecting, dimension = store.covered, prod(store.shape)
        making, choosing, evaluating, images = collecting, 0, 0, collecting
    else:
        making, choosing = len(subject.making), len(subject.choosing)
        collecting, dimension = len(subject.collecting), prod(subject.images.shape)
        evaluating, images = len(subject.evaluating), len(subject.images)
    directions = min(config.spectrum.directions or DIRECTIONS, making, dimension)
    if run.current("spectrum"):
        kept = load_result(run.result("spectrum"), SpectrumResult)
        directions = len(kept.spectrum.directions)
    norms = len(config.fooling.norms or range(7))
    if run.result("collect").exists():
        found = load_result(run.result("collect"), CollectionResult)
        norm = reference_norm(config, found.mean_image_norm, found.median_margin)
        margin = found.median_margin
        norms = len(norm_sweep(config.fooling.norms, found.mean_image_norm, margin, norm))
    return _Facts(images, collecting, making, choosing, evaluating, dimension, directions, norms)


def _is_done(run: RunDirectory, config: StudyConfig, stage: str) -> bool:
    """Return whether a stage's result is there and rests on what is there.

    Raises:
        StoreError: If it was made with other settings.
    """
    if stage == "untrained":
        try:
            run.twins(config.untrained)
        except StoreError:
            return False
        return True
    before = STAGES[: min(3, STAGES.index(stage))] if stage in STAGES else STAGES[:3]
    if not run.current(stage) or run.out_of_date(before) is not None:
        return False
    asked = getattr(config, stage, None)
    if asked is not None and stage != "collect":
        made = load_settings(run.result(stage))
        wanted = {
            name: value
            for name, value in asdict(asked).items()
            if name in made and name != "files"  # which a result knows by their content
        }
        run.refuse_other(stage, differences({name: made[name] for name in wanted}, wanted))
    return True


def _collect(config: StudyConfig, facts: _Facts) -> Iterator[Part]:
    images, most = facts.collecting + facts.evaluating, config.search.max_gradients
    yield "clean predictions", min(config.accuracy_images, facts.images), 0
    yield f"boundary points of {images} images", images * most, images * most


def _untrained(config: StudyConfig, facts: _Facts) -> Iterator[Part]:
    images, most = facts.collecting + facts.evaluating, config.search.max_gradients
    passes = config.untrained * images * min(most, UNTRAINED_GRADIENTS)
    yield f"boundary points of {images} images, {config.untrained} networks", passes, passes


def _spectrum(config: StudyConfig, facts: _Facts) -> Iterator[Part]:
    draws = 3 * config.spectrum.null_draws + config.untrained
    yield f"SVD of {facts.making} x {facts.dimension}, {draws} draws of nulls", 0, 0


def _universal(config: StudyConfig, facts: _Facts) -> Iterator[Part]:
    options, n = config.universal, facts.evaluating
    images = min(options.images, facts.making)
    grid = len(dimension_sweep(None, facts.directions, options.dimension or 1))
    tried = facts.choosing * (1 + grid * (CHOOSING_VECTORS + PHASE_DRAWS * CHOOSING_NOISE))
    yield f"choice of R among {grid}", tried, 0
    algorithms = len(dict.fromkeys(options.algorithms))
    if not algorithms:
        return
    gradients, few = options.gradients or gradients_for(images), len(options.counts or [])
    balls = 1 if options.linf is None else 2
    made, watched = algorithms * balls, (LOOKS + 1) * min(WATCHED, n)
    for what, count, seen in (
        ("universal perturbations", made, watched),
        ("the same inside S_f", 1, watched),
        ("inside matched noise", PHASE_DRAWS, 0),
        ("without the sink", 1, images + 3 * n),
        ("of fewer images", few, 0),
    ):
        if count:
            forward = count * (3 * images + 2 * gradients + seen)
            yield f"{count} {what}", forward, count * gradients
    judged = 2 * (made + 1 + few + balls * NOISE_DRAWS) + PHASE_DRAWS + 2
    yield "their rates", judged * n + (2 * (made + 1) + 1) * images, 0
    others = min(config.accuracy_images, facts.images - facts.collecting)
    yield "their labels and paths", 2 * balls * others + (POINTS + 4) * n, n


def _fooling(config: StudyConfig, facts: _Facts) -> Iterator[Part]:
    options, n = config.fooling, facts.evaluating
    noise = PHASE_DRAWS * -(-options.draws // PHASE_DRAWS)
    yield "S_f and matched noise at the reference norm", (options.draws + 2 * noise) * n, 0
    made = len(options.files) + 2 * len(config.universal.algorithms)
    norms = (facts.norms - 1) * (made + 3 * CURVE_DRAWS)
    yield f"curves over {facts.norms} norms", norms * n, 0
    dimensions = len(dimension_sweep(options.dimensions, facts.directions, 1))
    yield f"curves over {dimensions} dimensions", dimensions * 2 * CURVE_DRAWS * n, 0
    others, making = made + _OTHERS, min(config.universal.images, facts.making)
    yield "other families at the reference norm", others * n + 2 * making, making
    yield "clipped, at the reference norm", (others + 2 * CURVE_DRAWS) * n, 0
    yield "clean predictions and examples", 3 * n + (others + 1) * EXAMPLES, 0


def _curvature(config: StudyConfig, facts: _Facts) -> Iterator[Part]:
    options = config.curvature
    images, judged = min(options.images, facts.collecting), min(options.judge, facts.evaluating)
    R = options.dimension or min(curving.DIMENSION, facts.directions)
    ascent = 2 * R * (curving.FRAMES * options.steps * min(20, images) + images)
    yield f"three S_c of {images} images", ascent, ascent
    vectors = (3 + curving.FRAMES) * hypothesis.CAUSE_VECTORS
    searches = CLASSES * judged * GRADIENTS
    pairs = judged * vectors * (1 + 2 * CLASSES)
    yield "causes of fooling", searches + pairs, searches
    sections = curving.FRAMES * (1 + PHASE_DRAWS) * hypothesis.SECTION_VECTORS
    yield "sections along S_c and matched noise", 2 * sections * judged * _SECTION_PASSES, 0
    fooled = (curving.FRAMES + 1) * (
        hypothesis.FOOLING_VECTORS + PHASE_DRAWS * hypothesis.NOISE_VECTORS
    )
    yield "rates of S_c and its rivals", fooled * judged, 0
    looks = 2 * EXPLORED * (4 * curving.DIRECTIONS + 1) * len(options.scales or range(5))
    yield "curves over scales", looks * (4 + 2 * _SECTION_PASSES), looks


_PARTS = {
    "collect": _collect,
    "untrained": _untrained,
    "spectrum": _spectrum,
    "universal": _universal,
    "fooling": _fooling,
    "curvature": _curvature,
}


def _count(passes: float) -> str:
    return f"{round(passes):,}" if passes else "-"


def _sizes(config: StudyConfig, facts: _Facts, stages: Sequence[str]) -> Iterator[str]:
    """Yield how large what the stages leave is, and what they hold."""
    if "collect" in stages:
        images = (facts.collecting + facts.evaluating) * (1 + config.untrained)
        size = _bytes(images * facts.dimension * 8)
        yield f"on disk: {images} normals and points of {facts.dimension} numbers, {size}"
    if "spectrum" in stages:
        side = min(facts.making, facts.dimension)
        yield f"in memory: a few Gram matrices of {side} x {side}, {_bytes(side**2 * 8)} each"


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"
