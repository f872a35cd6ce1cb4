"""What a study is about: the classifier, the images and their two disjoint parts."""

import logging
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from analysis.survey import read_batches
from boundary.arrays import ArrayImages
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.images import CONTROL, DIGITS, ImageSource, Unreadable, open_images, split_images
from boundary.models import LoadedModel, load_model
from boundary.speed import faster
from boundary.untrained import untrained_copy
from study.config import COLLECT, EVALUATE, StudyConfig, SubjectOptions

BATCH, BATCH_NUMBERS = 64, 2**20
"""Images in one pass, and on a CPU the most numbers that they may hold together."""

FEWEST = 18
"""Images that are shared out, where it is not said how many to take for what."""

_AT_ONCE = 8
"""Images that are looked at together before anything is computed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Subject:
    """A classifier and its images, split."""

    model: LoadedModel
    classifier: Classifier
    images: ImageSource
    collecting: NDArray[np.int64]
    """Positions of the images whose boundary points are collected."""
    evaluating: NDArray[np.int64]
    """Positions of the images on which fooling rates are measured."""
    batch_size: int
    """Images in one pass."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Index -> name, from the images or else the model; empty where unknown."""
        return self.images.class_names or self.model.class_names or ()

    @property
    def device_name(self) -> str:
        """Where the model runs, in words."""
        device = self.classifier.device or torch.device("cpu")
        if device.type == "cuda":
            return f"{device} ({torch.cuda.get_device_name(device)})"
        return f"{device} ({torch.get_num_threads()} threads)"


def load_subject(config: StudyConfig) -> Subject:
    """Return the classifier and the images that a configuration names, tried on each other.

    Raises:
        InputError: If one of them cannot be used, or not with the other.
    """
    model, classifier, images = load_classifier(config)
    _require_variety(images)
    collect, evaluate = counts(config, images)
    collecting, evaluating = split_images(
        images, collect=collect, evaluate=evaluate, seed=config.seed
    )
    _check_classes(classifier, images, config)
    batch_size = batch_size_of(config, images.shape)
    model = replace(model, name=config.name or model.name)
    return Subject(model, classifier, images, collecting, evaluating, batch_size)


def counts(config: StudyConfig, images: ImageSource) -> tuple[int, int]:
    """Return how many images to collect at and to evaluate on: as asked for, else what there are.

    Raises:
        InputError: If there are too few to share out.
    """
    total, share = len(images), COLLECT / (COLLECT + EVALUATE)
    if config.collect is None and config.evaluate is None:
        if total < FEWEST:
            raise InputError(
                f"{images.spec} should hold at least {FEWEST} images for a study. Found {total}; "
                "bring more, or say with `--collect` how many to find boundary points of."
            )
        collect = min(COLLECT, round(share * total))
        return collect, min(EVALUATE, total - collect)
    collect = config.collect or max(1, min(COLLECT, total - (config.evaluate or 0)))
    return collect, config.evaluate or max(1, min(EVALUATE, total - collect))


def load_classifier(options: SubjectOptions) -> tuple[LoadedModel, Classifier, ImageSource]:
    """Return a model, as a classifier too, and images, tried on each other.

    Raises:
        InputError: If one of them cannot be used, or not with the other.
    """
    model = load_model(options.model, weights=options.weights, device=device_named(options.device))
    spec = _images_of(options)
    images = open_images(
        spec,
        size=_size(options, model),
        channels=options.channels,
        classes=options.classes,
    )
    first = _first_images(images)
    try:
        Classifier(model.module)  # in train mode it is refused, before `faster` makes another of it
        classifier = Classifier(_prepared(model.module, options))
        classifier.check(classifier.place(first))
    except InputError as error:
        raise InputError(f"`{options.model}` on `{spec}`: {error}") from error
    return model, classifier, images


def _images_of(options: SubjectOptions) -> str:
    """Return how the images are named: a planted network has its own, where none are asked for."""
    own = options.images == DIGITS and options.model.startswith(CONTROL)
    return options.model if own else options.images


def _first_images(images: ImageSource) -> Tensor:
    """Return the first images that can be read, a few.

    Raises:
        InputError: If there are none.
    """
    unreadable: list[Unreadable] = []
    for batch in read_batches(images, range(len(images)), _AT_ONCE):
        if batch.ids:
            return batch.images
        unreadable += batch.unreadable
    raise InputError(
        f"none of the {len(images)} images of {images.spec} can be read; the first, "
        f"{unreadable[0].id}: {unreadable[0].reason}."
    )


def _require_variety(images: ImageSource) -> None:
    """Refuse images that are all blank, or all the same; most often a few are read.

    Raises:
        InputError: If they are.
    """
    first = _first_images(images)[0].flatten(1)  # (C, H W)
    blank, same, seen = first.shape[1] > 1, True, 0
    for batch in read_batches(images, range(len(images)), _AT_ONCE):
        pixels = batch.images.flatten(2)
        seen += len(pixels)
        blank = blank and bool((pixels == pixels[..., :1]).all())
        same = same and bool((pixels == first).all())
        if not (blank or same):
            return
    if blank or seen > 1:
        found = "all are of one colour throughout" if blank else "all are the same"
        raise InputError(
            f"the images of {images.spec} should show something, and differ. Found that {found}; "
            "check how they were made."
        )


def _check_classes(classifier: Classifier, images: ImageSource, config: StudyConfig) -> None:
    """Refuse classes that the model lacks; warn where those of folders may be others of its own.

    Raises:
        InputError: If a label is beyond the logits.
    """
    logits, most = _count_logits(classifier, images), int(images.labels.max())
    names, in_folders = images.class_names or (), not isinstance(images, ArrayImages)
    if most >= logits:
        name = f" (`{names[most]}`)" if most < len(names) else ""
        way_out = "with `--classes FILE` the class of each folder"
        raise InputError(
            f"`{config.model}` should give a logit for each class of {images.spec}. Found {logits} "
            f"logits, and class {most}{name}, counted from 0; bring another `--model`, images of "
            f"its classes alone, or {way_out if in_folders else '-1 for what is not known'}."
        )
    if in_folders and config.classes is None and 0 < len(names) < logits:
        _log.warning(
            "%s has %d classes and `%s` %d: `%s` is taken to be class 0, and so on by rank. Where "
            "that is not so, give them their classes with `--classes FILE`, or clean accuracy is "
            "wrong.",
            images.spec,
            len(names),
            config.model,
            logits,
            names[0],
        )


@torch.no_grad()
def _count_logits(classifier: Classifier, images: ImageSource) -> int:
    return classifier(classifier.place(_first_images(images)[:1])).shape[1]


def untrained_classifier(
    config: StudyConfig, subject: Subject, draw: int
) -> tuple[Classifier, tuple[str, ...]]:
    """Return the same architecture with weights initialised anew, and what could not be.

    Args:
        config: As of the study.
        subject: Of the study.
        draw: Which of several networks, from 0.
    """
    module, not_reset = untrained_copy(subject.model.module, config.seed + draw)
    return Classifier(_prepared(module, config)), not_reset


def _prepared(module: nn.Module, config: SubjectOptions) -> nn.Module:
    if not (config.channels_last or config.fuse_batch_norm):
        return module
    return faster(
        module, channels_last=config.channels_last, fuse_batch_norm=config.fuse_batch_norm
    )


def batch_size_of(options: SubjectOptions, shape: tuple[int, int, int]) -> int:
    """Return how many images to take at once: as asked for, else what suits the device."""
    return options.batch_size or batch_size_for(shape, device_named(options.device))


def batch_size_for(shape: tuple[int, int, int], device: torch.device) -> int:
    """Return how many images to take at once: on a CPU, large batches only cost memory."""
    return BATCH if device.type != "cpu" else max(1, min(BATCH, BATCH_NUMBERS // prod(shape)))


def _size(config: SubjectOptions, model: LoadedModel) -> int | None:
    """Return the side of pictures: as asked for, else the model's own; arrays keep theirs.

    Raises:
        InputError: If the model's own images are not square.
    """
    folder = config.images != DIGITS and Path(config.images).expanduser().is_dir()
    pictures = folder or config.images.startswith("hf:")
    if config.size is not None or model.image_shape is None or not pictures:
        return config.size
    _, height, width = model.image_shape
    if height != width:
        raise InputError(
            f"`size` should be given, as the model takes images of {height} x {width} and pictures "
            "are cut square; bring other shapes as arrays."
        )
    return height


def device_named(name: str) -> torch.device:
    """Return the device of a name: `auto` is a GPU where there is one.

    Raises:
        InputError: If it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"`device` should be auto, cpu, or a GPU that is there, like cuda. Found `{name}` "
            f"({reason})."
        ) from error
    return device
