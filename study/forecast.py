"""What a study would take: its plan with times, from a few batches of the real model, in words."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch

from analysis.universal import BATCH
from boundary.classifier import Classifier
from study.config import StudyConfig
from study.planning import (
    ABOUT,
    EXACTLY,
    TO_DO,
    Known,
    Step,
    gram_bytes,
    known,
    plan_steps,
    store_bytes,
)
from study.run import RunDirectory
from study.subject import Subject

_SECONDS = 1.0
"""For each of what is timed, about; one batch is taken even if it lasts longer."""
_SIDE, _LENGTH = 768, 2048
"""Of the matrix by which arithmetic is timed."""


@dataclass(frozen=True)
class Speed:
    """Seconds that one of each takes, here and now."""

    forward: float
    """An image passed forward."""
    backward: float
    """An image passed backward, without the forward pass before it."""
    in_small_batches: float
    """An image passed both ways in batches of `BATCH`, which a small network does not fill."""
    product: float
    """A multiplication and addition of a matrix product."""
    eigen: float
    """n^3 of the eigenvalues of an n x n matrix."""

    def seconds(self, step: Step) -> float:
        """Return how long a step takes, about."""
        small = step.in_small_batches
        passes = (step.forward - small) * self.forward + (step.backward - small) * self.backward
        passes += small * self.in_small_batches
        return passes + step.products * self.product + step.eigen * self.eigen


def forecast(
    run: RunDirectory,
    config: StudyConfig,
    subject: Subject | None,
    stages: tuple[str, ...],
    *,
    redo: bool = False,
) -> str:
    """Return what would be computed, about how long and how large, as text; compute none of it.

    Args:
        run: The directory, which may not be there; nothing is written.
        config: Of the study.
        subject: Of the study; None for stages that pass nothing through the model.
        stages: Which, in order.
        redo: Count as not done what is asked for.

    Raises:
        StoreError: If a stage is done with other settings.
        InputError: If settings ask for more than there is.
    """
    facts = known(run, config, subject)
    steps = list(plan_steps(run, config, facts, stages, redo=redo))
    lines = [f"Nothing is done, nothing is written: a plan for `{run.path}`."]
    if subject is not None:
        shape = " x ".join(map(str, subject.images.shape))
        lines.append(
            f"{subject.model.name} on {len(subject.images)} images of {shape}, "
            f"{subject.device_name}, {subject.batch_size} images in one pass"
        )
        lines.append(
            f"{facts.collecting} images to collect boundary points of, {facts.evaluating} others "
            "to evaluate on"
        )
    left = [step for step in steps if step.state == TO_DO]
    if not left:
        return "\n".join([*lines, "Everything asked for is done."])
    speed = measured(subject)
    if subject is not None:
        lines.append(
            f"timed now: an image forward {_milliseconds(speed.forward)}, backward "
            f"{_milliseconds(speed.backward)} more"
        )
    lines += [
        "",
        f"{'stage':<10} {'state':<8} {'forward':>12} {'backward':>12} {'about':>9}  images passed",
        *(line for step in steps for line in _rows(step, speed)),
        _row("in all", "", left, speed),
        "",
        *_sizes(config, facts, steps),
        "Times are estimates: passes times what they took just now, and linear algebra on the CPU,",
        "without reading images, intervals and figures. ≤ at most: searches may end sooner; ≥ at",
        "least: norms depend on margins; ≈ about.",
    ]
    return "\n".join(lines)


def measured(subject: Subject | None) -> Speed:
    """Return how long a few passes of the model on real images took, and some arithmetic."""
    passes = (0.0, 0.0, 0.0) if subject is None else _passes(subject)
    rows = np.random.default_rng(0).standard_normal((_SIDE, _LENGTH))
    gram = rows @ rows.T
    product = _seconds(lambda: scipy.linalg.blas.dsyrk(1.0, rows.T, trans=1))
    eigen = _seconds(lambda: scipy.linalg.eigvalsh(gram))
    return Speed(*passes, product / (_SIDE**2 * _LENGTH), eigen / _SIDE**3)


def _passes(subject: Subject) -> tuple[float, float, float]:
    """Return the seconds of an image forward, backward after that, and both in small batches."""
    classifier = subject.classifier
    images = subject.images.read(subject.collecting[: subject.batch_size]).images
    placed = classifier.place(images)
    one = _seconds(lambda: _forward(classifier, placed[:1]))
    batch = placed[: max(1, int(_SECONDS / max(one, 1e-9)))]
    forward = _seconds(lambda: _forward(classifier, batch)) / len(batch)
    both = _seconds(lambda: _gradient(classifier, batch)) / len(batch)
    some = batch[:BATCH]
    small = _seconds(lambda: _gradient(classifier, some)) / len(some)
    return forward, max(0.0, both - forward), small


def _forward(classifier: Classifier, images: torch.Tensor) -> None:
    with torch.no_grad():
        _finished(classifier(images))


def _gradient(classifier: Classifier, images: torch.Tensor) -> None:
    inputs = images.detach().requires_grad_()
    top = classifier(inputs).max(1).values.sum()
    _finished(torch.autograd.grad(top, inputs)[0] if top.requires_grad else top)


def _finished(result: torch.Tensor) -> None:
    """Wait until a device has computed what it was asked for."""
    if result.is_cuda:
        torch.cuda.synchronize(result.device)


def _seconds(work: Callable[[], object]) -> float:
    """Return the median time of a few calls, after one that warms up unless it takes too long."""
    begun = time.perf_counter()
    work()
    took = [time.perf_counter() - begun]
    while sum(took) < _SECONDS and len(took) < 10:
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return float(np.median(took[1:] or took))


def _rows(step: Step, speed: Speed) -> list[str]:
    what = [f"{'':<10} {step.what}"] if step.what else []
    if step.state != TO_DO:
        return [f"{step.stage:<10} {step.state}", *what]
    return [_row(step.stage, step.state, [step], speed), *what]


def _row(name: str, state: str, steps: list[Step], speed: Speed) -> str:
    signs = {step.sure for step in steps} - {EXACTLY}
    sign = ABOUT if len(signs) > 1 else next(iter(signs), EXACTLY)
    forward, backward = (
        _count(sum(getattr(step, way) for step in steps), sign) for way in ("forward", "backward")
    )
    lasts = _duration(sum(map(speed.seconds, steps)), sign)
    return f"{name:<10} {state:<8} {forward:>12} {backward:>12} {lasts:>9}"


def _count(passes: float, sign: str) -> str:
    return f"{sign}{round(passes):,}" if passes else "none"


def _sizes(config: StudyConfig, facts: Known, steps: list[Step]) -> list[str]:
    """Return how large what the stages leave is, and what they hold."""
    planned = {step.stage for step in steps if step.state == TO_DO}
    networks = config.untrained if "untrained" in planned else 0
    images = facts.collecting + facts.evaluating
    one = store_bytes(images, facts.dimension)
    lines = []
    if "collect" in planned or networks:
        more = f", and {networks} times as much of untrained networks" if networks else ""
        lines.append(
            f"on disk: {images} normals and points of {facts.dimension} numbers, "
            f"{_bytes(one)}{more}"
        )
    if "spectrum" in planned:
        side = min(facts.normals, facts.dimension)
        lines.append(
            f"in memory: Gram matrices of {side} x {side}, {_bytes(gram_bytes(facts))} each, a few "
            "at a time"
        )
    return lines


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def _duration(seconds: float, sign: str) -> str:
    if seconds < 1:
        return "< 1 s"
    if seconds < 90:
        return f"{sign}{seconds:.0f} s"
    return f"{sign}{seconds / 60:.0f} min" if seconds < 5400 else f"{sign}{seconds / 3600:.1f} h"
