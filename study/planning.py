"""What is left of a study, counted: images passed through the model, arithmetic, and bytes.

Counts follow from the configuration and from what is done. Where they depend on what is found on
the way they are bounds, and say so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, prod
from pathlib import Path

from analysis.learning import counts_below
from analysis.results import CollectionResult, SpectrumResult
from analysis.saved import load_result, load_settings
from analysis.spectrum import DIRECTIONS
from analysis.sweep import NOISE_DRAWS, dimension_sweep, norm_sweep
from analysis.universal import BATCH
from boundary.manifest import MANIFEST
from boundary.store import NormalsStore, differences
from study import curving, exploring
from study.config import DIMENSION, StudyConfig
from study.natural import IMAGES
from study.run import STAGES, RunDirectory
from study.subject import Subject
from study.universals import WATCHED, reference_norm

_LOOKS = 20
"""The most at the watched images while a universal perturbation is made."""
_LOOKS_OF_SECTION = 6
"""At either end of a normal section, about."""
_VECTORS = 4
"""Times that of the eigenvalues alone, about, which eigenvectors take."""
_SURROGATE = 30
"""Operations, about, that make one number of a null."""

DONE, TO_DO, LEFT_OUT = "done", "to do", "left out"

EXACTLY, AT_MOST, AT_LEAST, ABOUT = "", "≤", "≥", "≈"
"""How sure a count is."""


@dataclass(frozen=True)
class Step:
    """One stage of a study: its state, and what it takes where it is to be done."""

    stage: str
    state: str
    what: str
    forward: float = 0.0
    """Images passed forward."""
    backward: float = 0.0
    """Images passed backward."""
    in_small_batches: float = 0.0
    """Images among them that are passed both ways in batches of `BATCH`."""
    sure: str = EXACTLY
    """How sure the passes are: one of the four above."""
    products: float = 0.0
    """Multiplications and additions of matrix products."""
    eigen: float = 0.0
    """Sum of n^3 over the n x n matrices whose eigenvalues are taken."""


@dataclass(frozen=True)
class Known:
    """What counting rests on, measured where it is there and else assumed."""

    dimension: int
    """D."""
    images: int
    collecting: int
    evaluating: int
    normals: int
    """n, or the most that there can be."""
    directions: int
    """Singular vectors kept."""
    mean_image_norm: float
    median_margin: float
    """0 while it is not known."""
    passes: tuple[float, float] | None
    """Forward and backward of one search, mean over the images collected so far."""

    @property
    def reference_dimension(self) -> int:
        """R, where none is asked for."""
        return max(1, min(DIMENSION, self.normals // 2, self.dimension // 4, self.directions))


def known(run: RunDirectory, config: StudyConfig, subject: Subject | None) -> Known:
    """Return what counting rests on.

    Args:
        run: The directory, which may not be there.
        config: Of the study.
        subject: Of the study; None for what the normals that are there say alone.
    """
    if subject is None:
        store = NormalsStore.open(run.normals)
        dimension, collecting, norm = prod(store.shape), int(store.settings["count"]), 0.0
    else:
        dimension, collecting = prod(subject.images.shape), len(subject.collecting)
        norm = _norm_of_some(subject)
    normals, margin = collecting, 0.0
    if run.result("collect").exists():
        found = load_result(run.result("collect"), CollectionResult)
        normals, norm = int(found.on_boundary.sum()), found.mean_image_norm
        margin = found.median_margin
    fitted = normals - round(config.spectrum.held_out * normals)
    directions = min(config.spectrum.directions or DIRECTIONS, max(fitted, 1), dimension)
    if run.current("spectrum"):
        kept = load_result(run.result("spectrum"), SpectrumResult)
        directions = len(kept.spectrum.directions)
    return Known(
        dimension=dimension,
        images=len(subject.images) if subject else collecting,
        collecting=collecting,
        evaluating=len(subject.evaluating) if subject else 0,
        normals=normals,
        directions=directions,
        mean_image_norm=norm,
        median_margin=margin,
        passes=_passes(run),
    )


def plan_steps(
    run: RunDirectory,
    config: StudyConfig,
    facts: Known,
    stages: Sequence[str],
    *,
    redo: bool = False,
) -> Iterator[Step]:
    """Yield the stages in order, each with what is left of it.

    Args:
        run: The directory, which may not be there.
        config: Of the study.
        facts: As `known` returns them.
        stages: Which; a stage rests on those before it.
        redo: Count as not done what is asked for.

    Raises:
        StoreError: If a stage is done with other settings.
    """
    counts = {
        "collect": _collect,
        "untrained": _untrained,
        "spectrum": _spectrum,
        "universal": _universal,
        "fooling": _fooling,
        "natural": _natural,
        "curvature": _curvature,
    }
    anew = False  # what rests on a stage that is to be done is to be done too
    for stage in stages:
        step = counts[stage](run, config, facts)
        done = not (redo or anew) and (
            step.state == DONE if stage == "untrained" else _is_done(run, config, stage)
        )
        if stage == "untrained" and not config.untrained:
            yield Step(stage, LEFT_OUT, "")
        elif done:
            yield Step(stage, DONE, step.what)
        else:
            anew = anew or stage in STAGES
            yield replace(step, state=TO_DO)


def _is_done(run: RunDirectory, config: StudyConfig, stage: str) -> bool:
    """Return whether a stage's result is there and rests on what is there.

    Raises:
        StoreError: If it was made with other settings.
    """
    before = STAGES[: min(3, STAGES.index(stage))] if stage in STAGES else STAGES[:3]
    if not run.current(stage) or run.out_of_date(before) is not None:
        return False
    asked = getattr(config, stage, None)
    if asked is not None and stage != "collect":
        made = load_settings(run.result(stage))
        wanted = {name: value for name, value in asdict(asked).items() if name in made}
        wanted = {name: value for name, value in wanted.items() if name not in _IDENTIFIED}
        run.refuse_other(stage, differences({name: made[name] for name in wanted}, wanted))
    return True


_IDENTIFIED = ("files",)
"""Settings that a result knows by their content."""


def store_bytes(count: int, dimension: int) -> int:
    """Return how large the normals and points of so many images are, float32."""
    return count * dimension * 4 * 2


def gram_bytes(facts: Known) -> int:
    """Return the memory of one Gram matrix, float64."""
    return min(facts.normals, facts.dimension) ** 2 * 8


def _norm_of_some(subject: Subject) -> float:
    images = subject.images.read(subject.collecting[: subject.batch_size]).images
    return float(images.flatten(1).norm(dim=1).mean()) if len(images) else 1.0


def _passes(run: RunDirectory) -> tuple[float, float] | None:
    if not (run.normals / MANIFEST).exists():
        return None
    store = NormalsStore.open(run.normals)
    if not len(store):
        return None
    return (
        float(store.column("forward_passes").mean()),
        float(store.column("backward_passes").mean()),
    )


def _search(config: StudyConfig, facts: Known, count: int) -> tuple[float, float, str]:
    """Return the passes of so many searches, and how sure they are."""
    most = config.search.max_gradients
    forward, backward = facts.passes or (most, most)
    return count * forward, count * backward, ABOUT if facts.passes else AT_MOST


def _left(folder: Path, count: int) -> int:
    """Return of how many images of a store boundary points are still to be found."""
    covered = NormalsStore.open(folder).covered if (folder / MANIFEST).exists() else 0
    return count - covered


def _collect(run: RunDirectory, config: StudyConfig, facts: Known) -> Step:
    images = facts.collecting + facts.evaluating
    left = _left(run.normals, facts.collecting) + _left(run.evaluated, facts.evaluating)
    surveyed = min(config.accuracy_images, facts.images)
    forward, backward, sure = _search(config, facts, left)
    begun = f", {left} of them left" if left < images else ""
    what = f"boundary points of {images} images{begun}; {surveyed} images classified"
    return Step("collect", TO_DO, what, surveyed + forward, backward, sure=sure)


def _untrained(run: RunDirectory, config: StudyConfig, facts: Known) -> Step:
    draws = range(config.untrained)
    left = sum(
        _left(run.untrained(draw), facts.collecting)
        + _left(run.untrained(draw, evaluated=True), facts.evaluating)
        for draw in draws
    )
    most = config.search.max_gradients  # another network than the one whose passes are known
    networks = (
        "an untrained network" if config.untrained == 1 else f"{len(draws)} untrained networks"
    )
    what = f"boundary points of {facts.collecting + facts.evaluating} images for {networks}"
    state = TO_DO if left else DONE
    return Step("untrained", state, what, left * most, left * most, sure=AT_MOST)


def _spectrum(_: RunDirectory, config: StudyConfig, facts: Known) -> Step:
    options, n, d = config.spectrum, facts.normals, facts.dimension
    side, half = min(n, d), min(n // 2, d)
    draws = 3 * options.null_draws + config.untrained
    gram = side**2 * max(n, d) * 1.5
    eigen = draws * (side**3 + half**3)
    eigen += _VECTORS * (2 * options.splits * half**3 + 3 * side**3)
    what = f"SVD of {n} x {d}, {options.splits} times of its halves, of {draws} draws of nulls"
    products = (draws + 3) * gram + 3 * options.null_draws * n * d * _SURROGATE
    return Step("spectrum", TO_DO, what, products=products, eigen=eigen)


def _universal(_: RunDirectory, config: StudyConfig, facts: Known) -> Step:
    options = config.universal
    images = min(options.images, facts.collecting)
    algorithms = list(dict.fromkeys(options.algorithms))
    if not algorithms:
        return Step("universal", TO_DO, "no universal perturbation is asked for")
    gradients = options.gradients or 10 * images
    balls = 1 if options.linf is None else 2
    few = counts_below(options.counts, images)
    few_made = [] if algorithms[0] == "hidden_layer" else few
    made = len(algorithms) * balls + 1
    watched = min(_LOOKS, ceil(gradients / BATCH)) * min(WATCHED, facts.evaluating)
    forward = made * (images + gradients + watched)
    forward += sum(count + gradients for count in few_made)
    of_normals = sum(count < facts.normals for count in few) + 1
    tried = made + len(few_made) + of_normals * config.fooling.draws + balls * NOISE_DRAWS
    forward += images * (1 + 2 * made) + facts.evaluating * (1 + 2 * tried)
    labelled = min(config.accuracy_images, facts.images - facts.collecting)
    forward += 2 * balls * labelled
    loops = {"deepfool", "hidden_layer"} & set(algorithms)
    what = f"{made} perturbations of {images} images, {gradients:,} gradients each"
    what += f"; of fewer images {len(few_made)}" if few_made else ""
    backward = (made + len(few_made)) * gradients
    sure = AT_MOST if loops else EXACTLY
    return Step("universal", TO_DO, what, forward, backward, backward, sure)


def _fooling(_: RunDirectory, config: StudyConfig, facts: Known) -> Step:
    options = config.fooling
    images = min(config.universal.images, facts.collecting)
    reference = reference_norm(config, facts.mean_image_norm, facts.median_margin)
    norms = len(norm_sweep(options.norms, facts.mean_image_norm, facts.median_margin, reference))
    dimension = config.universal.dimension or facts.reference_dimension
    dimensions = len(dimension_sweep(options.dimensions, facts.directions, dimension))
    spaces = 3 if config.untrained else 2
    algorithms = len(set(config.universal.algorithms))
    single = 2 * options.draws + 3 + algorithms + bool(algorithms) + len(options.files)
    whole = norms * (options.draws * (1 + spaces) + single)
    tried = whole + spaces * (dimensions - 1) * options.draws
    like = min(facts.evaluating, images)
    forward = facts.evaluating * (2 + 2 * tried) + like * (1 + whole) + images
    what = f"{tried} perturbations, {norms} norms, {dimensions} dimensions"
    what += f", on {facts.evaluating} images"
    sure = EXACTLY if facts.median_margin or options.norms else AT_LEAST
    return Step("fooling", TO_DO, what, forward, images, sure=sure)


def _natural(_: RunDirectory, __: StudyConfig, facts: Known) -> Step:
    images = min(IMAGES, facts.images - facts.collecting)
    return Step("natural", TO_DO, f"principal components of {images} images")


def _curvature(_: RunDirectory, config: StudyConfig, facts: Known) -> Step:
    options = config.curvature
    images, judged = min(options.images, facts.normals), min(options.judge, facts.evaluating)
    R = options.dimension or min(curving.DIMENSION, facts.directions)
    search = config.search.max_gradients
    tried = 2 * judged * (4 * curving.DIRECTIONS + 1) * len(options.scales or range(4))
    ascent = 2 * R * (curving.FRAMES * options.steps * min(20, images) + images)
    extremes = min(2 * 30, facts.dimension) + 40 + 8 * min(20, facts.dimension)
    backward = ascent + tried + judged * search + 2 * 2 * exploring.PROFILE_POINTS * extremes
    backward += 4 * min(exploring.MARGIN_IMAGES, judged) * search
    looks = 2 * exploring.SECTION_OFFSETS * 5 * min(exploring.SECTION_POINTS, judged)
    forward = backward + 3 * tried + _LOOKS_OF_SECTION * (2 * tried + looks)
    forward += 4 * exploring.BOUND_VECTORS * judged + exploring.MAPS * 81**2
    what = f"three S_c of {images} images, curvature at {judged} others"
    return Step("curvature", TO_DO, what, forward, backward, sure=ABOUT)
