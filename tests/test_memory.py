"""A batch that does not fit is halved; freed memory is kept for the next one."""

import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from analysis.ball import Ball
from analysis.baselines import gradient_sign
from analysis.universal import universal_perturbation
from boundary import Classifier, nearest_boundary_points
from boundary.gradients import gap_gradient
from boundary.memory import _say_halved, halving
from study import stages
from study.cli import main
from surfaces import random_images, smooth_network

SCRIPT = """
import resource, sys, torch
from boundary.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    torch.ones(30, 1 << 20).add(1)
for _ in range(3):
    work()
before = faults()
for _ in range(5):
    work()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_memory_is_used_again() -> None:
    fresh, kept = (
        int(
            subprocess.run(
                [sys.executable, "-c", SCRIPT, way], capture_output=True, text=True, check=True
            ).stdout
        )
        for way in ("default", "keep")
    )
    assert fresh > 100
    assert kept < fresh / 3


def no_memory_on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def no_memory_on_a_cpu() -> None:
    torch.empty(2**58, dtype=torch.uint8)


class Small(nn.Module):
    """Memory for so many images, and for a pass with a graph of fewer."""

    def __init__(self, most: int, fail: Callable[[], None] = no_memory_on_a_gpu) -> None:
        super().__init__()
        self.module, self.most, self.fail = smooth_network(), most, fail

    def forward(self, points: Tensor) -> Tensor:
        if len(points) > self.most:
            self.fail()
        logits: Tensor = self.module(points)
        return logits


def small(most: int, fail: Callable[[], None] = no_memory_on_a_gpu) -> Classifier:
    classifier = Classifier(Small(most, fail).eval())
    classifier._checked = True
    return classifier


WHOLE = Classifier(smooth_network())
IMAGES = random_images(20, (3, 2, 2))


def no_memory_in_one_dnn() -> None:
    raise RuntimeError("could not create a primitive")


@pytest.mark.parametrize("fail", [no_memory_on_a_gpu, no_memory_on_a_cpu, no_memory_in_one_dnn])
def test_a_search_of_a_batch_that_does_not_fit_is_that_of_its_halves(
    fail: Callable[[], None],
) -> None:
    halved = nearest_boundary_points(small(7, fail), IMAGES)
    whole = nearest_boundary_points(WHOLE, IMAGES)
    for name, value in vars(whole).items():
        torch.testing.assert_close(getattr(halved, name), value, rtol=1e-9, atol=1e-9)


def gap_and_gradient(classifier: Classifier) -> tuple[Tensor, ...]:
    return gap_gradient(classifier, IMAGES, WHOLE.predict(IMAGES))


def given_gap_and_gradient(classifier: Classifier) -> tuple[Tensor, ...]:
    source = WHOLE.predict(IMAGES)
    target = (source + 1) % 4 - (torch.arange(20) % 2) * 9  # every other one is not given
    allowed = torch.ones(20, 4, dtype=torch.bool)
    return gap_gradient(classifier, IMAGES, source, target, allowed)


def logits(classifier: Classifier) -> Tensor:
    with torch.no_grad():
        return classifier(IMAGES)


def signs_of_gradient(classifier: Classifier) -> Tensor:
    return gradient_sign(classifier, IMAGES, 1.0).directions


def universal(classifier: Classifier) -> Tensor:
    found = universal_perturbation(classifier, IMAGES, Ball(1.0), gradients=200, batch_size=20)
    return found.vector


@pytest.mark.parametrize(
    "compute", [gap_and_gradient, given_gap_and_gradient, logits, signs_of_gradient, universal]
)
def test_a_batch_that_does_not_fit_gives_what_its_halves_give(
    compute: Callable[[Classifier], Tensor | tuple[Tensor, ...]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    _say_halved.cache_clear()
    torch.testing.assert_close(compute(small(7)), compute(WHOLE), rtol=1e-9, atol=1e-9)
    said = [record.message for record in caplog.records if "memory ran out" in record.message]
    assert [words.split(" images")[0] for words in said] == [
        "memory ran out with 20",
        "memory ran out with 10",
    ]


@pytest.mark.parametrize("compute", [gap_and_gradient, logits])
def test_memory_for_no_image_is_an_error(compute: Callable[[Classifier], Tensor]) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        compute(small(0))


def test_a_command_without_memory_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError  # without a word

    monkeypatch.setattr(stages, "collect_normals", fail)
    with pytest.raises(SystemExit, match="2"):
        main(["collect", "--collect=8", "--evaluate=8", "--untrained=0", "--out", str(tmp_path)])
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("boundary: memory ran out (MemoryError); what is finished is kept")


def test_a_failure_of_another_kind_is_met_once() -> None:
    seen: list[slice] = []

    def compute(rows: slice) -> Tensor:
        seen.append(rows)
        raise RuntimeError("no kernel")

    with pytest.raises(RuntimeError, match="no kernel"):
        halving(compute, 20, torch.cat)
    assert seen == [slice(0, 20)]
