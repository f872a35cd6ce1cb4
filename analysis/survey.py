"""One clean look at many images: what the classifier says of them, and how large they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.intervals import wilson_interval
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.images import ImageBatch, ImageSource
from boundary.progress import progress_bar


@dataclass(frozen=True, eq=False)
class Survey:
    """Clean predictions of n images, in their order; unreadable ones are apart."""

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    """(n,), true class, -1 where unknown."""
    predictions: NDArray[np.int64]
    """(n,)."""
    norms: NDArray[np.float64]
    """(n,), Euclidean norm of each image, input units."""
    classes: int
    """K."""
    unreadable: tuple[str, ...]
    """``id: reason`` of each image that could not be read."""

    @property
    def labelled(self) -> int:
        """How many images have a true class."""
        return int((self.labels >= 0).sum())

    @property
    def correct(self) -> int:
        """How many of them the classifier gets right."""
        return int((self.labels == self.predictions).sum())


def no_better_than_guessing(correct: int, judged: int, classes: int) -> bool:
    """Return whether an accuracy is compatible with guessing: 1/K is in its interval or above."""
    return judged > 0 and wilson_interval(correct, judged).low <= 1 / classes


@torch.no_grad()
def survey(
    classifier: Classifier,
    source: ImageSource,
    positions: Sequence[int] | NDArray[np.int64],
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> Survey:
    """Return the clean predictions, labels and norms of some images of a source.

    Args:
        classifier: Takes the images as they are.
        source: Where the images come from.
        positions: Which of them, in which order.
        batch_size: Images in one forward pass.
        progress: Show a progress bar on standard error.

    Raises:
        InputError: If none of the images can be read, or the classifier cannot take them.
    """
    ids: list[str] = []
    unreadable: list[str] = []
    labels, predictions, norms, classes = [], [], [], 0
    with progress_bar("clean images", len(positions), "images", shown=progress) as bar:
        for batch in read_batches(source, positions, batch_size):
            bar.update(len(batch.ids) + len(batch.unreadable))
            unreadable += [f"{image.id}: {image.reason}" for image in batch.unreadable]
            if not batch.ids:
                continue
            images = classifier.place(batch.images)
            classifier.check(images)
            logits = classifier(images)
            finite = logits.isfinite().all(1)
            if not finite.all():
                place = int((~finite).nonzero()[0])
                raise InputError(
                    "the classifier should return finite logits. Found NaN or infinity for "
                    f"{batch.ids[place]}; mend the model, or leave such images out."
                )
            classes = logits.shape[1]
            ids += batch.ids
            labels.append(batch.labels.numpy())
            predictions.append(logits.argmax(1).cpu().numpy())
            norms.append(batch.images.flatten(1).double().norm(dim=1).numpy())
    if not ids:
        raise InputError(f"`{source.spec}` should hold images that can be read. Found none.")
    return Survey(
        ids=tuple(ids),
        labels=np.concatenate(labels),
        predictions=np.concatenate(predictions),
        norms=np.concatenate(norms),
        classes=classes,
        unreadable=tuple(unreadable),
    )


def joined(parts: Sequence[Survey]) -> Survey:
    """Return the surveys of several processes as one."""
    return Survey(
        ids=tuple(name for part in parts for name in part.ids),
        labels=np.concatenate([part.labels for part in parts]),
        predictions=np.concatenate([part.predictions for part in parts]),
        norms=np.concatenate([part.norms for part in parts]),
        classes=parts[0].classes,
        unreadable=tuple(line for part in parts for line in part.unreadable),
    )


def read_batches(
    source: ImageSource, positions: Sequence[int] | NDArray[np.int64], batch_size: int
) -> Iterator[ImageBatch]:
    """Yield images of a source, ``batch_size`` at a time."""
    for start in range(0, len(positions), batch_size):
        yield source.read(positions[start : start + batch_size])


def placed_batches(
    classifier: Classifier,
    source: ImageSource,
    positions: Sequence[int] | NDArray[np.int64],
    batch_size: int,
) -> Iterator[Tensor]:
    """Yield images of a source as the classifier takes them, leaving out unreadable ones."""
    for batch in read_batches(source, positions, batch_size):
        if batch.ids:
            yield classifier.place(batch.images)
