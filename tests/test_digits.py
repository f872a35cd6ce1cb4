"""The built-in digits: what the network can do, and how it is kept."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from boundary.digits import (
    DigitsNetwork,
    digits_images,
    train_digits_network,
    trained_digits_network,
)
from boundary.weights import state_sha256


@pytest.fixture(scope="module")
def network() -> DigitsNetwork:
    return train_digits_network()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "boundary-geometry"


@pytest.fixture
def quick_training(network: DigitsNetwork, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trainings asked for; each gives the network of this module's fixture."""
    trainings: list[str] = []

    def stand_in() -> DigitsNetwork:
        trainings.append("trained")
        return network

    monkeypatch.setattr("boundary.digits.train_digits_network", stand_in)
    return trainings


def test_reads_at_least_97_percent_of_the_held_out_digits(network: DigitsNetwork) -> None:
    digits = digits_images()
    with torch.no_grad():
        predicted = network(torch.from_numpy(digits.images)).argmax(1).numpy()
    assert (predicted == digits.labels).mean() >= 0.97


def test_holds_out_900_digits_in_the_unit_range() -> None:
    digits = digits_images()
    assert digits.images.shape == (900, 1, 8, 8)
    assert digits.images.dtype == np.float32
    assert digits.images.min() == 0
    assert digits.images.max() == 1
    assert len(set(digits.rows.tolist())) == 900
    assert set(digits.labels.tolist()) == set(range(10))


def test_training_twice_gives_the_same_bytes_and_touches_no_global_state(
    network: DigitsNetwork,
) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    with torch.no_grad():
        again = train_digits_network()
    assert state_sha256(again) == state_sha256(network)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_is_smooth_and_in_eval_mode(network: DigitsNetwork) -> None:
    image = torch.from_numpy(digits_images().images[:1])
    image.requires_grad_()
    (gradient,) = torch.autograd.grad(network(image)[0, 0], image, create_graph=True)
    (row_of_hessian,) = torch.autograd.grad(gradient[0, 0, 4, 4], image)
    assert row_of_hessian.abs().max() > 0
    assert not network.training
    assert all(p.grad is None for p in network.parameters())


def test_is_trained_once_and_then_kept(cache: Path, quick_training: list[str]) -> None:
    first, second = trained_digits_network(), trained_digits_network()
    assert quick_training == ["trained"]
    assert state_sha256(first) == state_sha256(second)
    assert not second.training
    assert [file.suffix for file in cache.iterdir()] == [".safetensors"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_cache_is_made_again(
    damage: str, cache: Path, quick_training: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    whole = state_sha256(trained_digits_network())
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes({"truncated": content[:-9], "flipped": content, "empty": b""}[damage]))
    with caplog.at_level(logging.WARNING):
        assert state_sha256(trained_digits_network()) == whole
    assert quick_training == ["trained"] * 2
    assert "damaged" in caplog.text
    assert state_sha256(trained_digits_network()) == whole
    assert quick_training == ["trained"] * 2


def test_a_cache_that_cannot_be_written_costs_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick_training: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        trained_digits_network()
    assert "is not kept" in caplog.text
