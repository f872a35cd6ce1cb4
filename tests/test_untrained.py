"""The untrained twin: its weights, its running statistics, and whether it decides anything."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from boundary import Classifier, InputError, load_model
from boundary.models import fresh_module
from boundary.untrained import (
    kept_from_training,
    running_statistics,
    take_running_statistics,
    untrained_copy,
)
from study import subject as subjects
from study.cli import main
from study.collected import Twin
from study.config import config_from
from study.run import RunDirectory
from study.subject import load_subject, untrained_classifier

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5),
            nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
            nn.Linear(128, 10),
        )
        self.bias = nn.Parameter(torch.tensor(BIAS))

    def forward(self, images):
        return self.layers(images) + self.bias

def make():
    torch.manual_seed(3)
    net = Net()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)
    with torch.no_grad():
        net.layers[-1].weight.mul_(50)
    return net.eval()
"""


def small(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(4, 5, 3),
        nn.BatchNorm2d(5),
    )
    return layers.to(dtype).eval()


def batches(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    images = torch.rand(24, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=dtype)
    return list(images.split(8))


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_an_untrained_copy_is_initialised_anew_by_its_layers() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.full((3,), 7.0))
            self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
            self.head = nn.utils.parametrizations.weight_norm(nn.Linear(16, 2))

    torch.manual_seed(0)
    module = Scaled().eval()
    norm = module.layers[1]
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        norm.weight.fill_(5)
        norm.running_mean.fill_(3)  # type: ignore[union-attr]
    state = {name: value.clone() for name, value in module.state_dict().items()}
    random_state = torch.get_rng_state()
    one, again, other = (untrained_copy(module, seed) for seed in (1, 1, 2))
    kept = kept_from_training(one, module)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert not one.training
    assert (one.layers[1].weight == 1).all()
    assert (one.layers[1].running_mean == 0).all()
    weights = [network.layers[0].weight for network in (module, one, again, other)]
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[3])
    parts = {"head.bias", "head.weight.original0", "head.weight.original1"}
    assert set(kept) == {"scale", *parts}


def test_a_model_without_layers_that_can_be_reset_is_refused() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

    with pytest.raises(InputError, match=r"reset_parameters.*--untrained 0"):
        untrained_copy(Fixed(), 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_running_statistics_are_those_computed_by_hand(dtype: torch.dtype) -> None:
    module = small(dtype)
    before, hooks = state(module), len(module._forward_hooks)
    first, second = module[1], module[5]
    assert isinstance(first, nn.BatchNorm2d)
    assert isinstance(second, nn.BatchNorm2d)
    take_running_statistics(module, iter(batches(dtype)))

    inner: list[Tensor] = []
    outer: list[Tensor] = []
    for images in batches(dtype):
        seen = nn.functional.conv2d(images, before["0.weight"])
        inner.append(seen)
        mean = seen.mean((0, 2, 3), keepdim=True)
        deviation = (seen.var((0, 2, 3), correction=0, keepdim=True) + first.eps).sqrt()
        active = ((seen - mean) / deviation).relu()  # and no dropout
        outer.append(nn.functional.conv2d(active, before["4.weight"], before["4.bias"]))
    for layer, inputs in ((first, inner), (second, outer)):
        means = torch.stack([values.mean((0, 2, 3)) for values in inputs])
        variances = torch.stack([values.var((0, 2, 3)) for values in inputs])
        torch.testing.assert_close(layer.running_mean, means.mean(0), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(layer.running_var, variances.mean(0), rtol=1e-5, atol=1e-6)
        assert layer.momentum == 0.1
    assert not any(part.training for part in module.modules())
    assert len(module._forward_hooks) == hooks
    assert set(running_statistics(module)) == {
        f"{place}.{kind}"
        for place in (1, 5)
        for kind in ("running_mean", "running_var", "num_batches_tracked")
    }
    for name, value in module.state_dict().items():
        assert name in running_statistics(module) or torch.equal(value, before[name])


def test_a_second_pass_finds_the_same() -> None:
    module = small()
    take_running_statistics(module, batches())
    once = state(module)
    take_running_statistics(module, batches())
    assert all(torch.equal(value, once[name]) for name, value in module.state_dict().items())


def test_normalisations_without_running_statistics_are_left_alone() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.GroupNorm(2, 4),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.InstanceNorm2d(4),
        nn.LayerNorm(6),
    ).eval()
    before = state(module)
    take_running_statistics(module, batches())
    assert running_statistics(module) == {}
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(part.training for part in module.modules())


def test_statistics_that_cannot_be_taken_are_refused_and_the_mode_is_restored() -> None:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(3)).eval()
    with pytest.raises(InputError, match="collect more images, or give `--untrained 0`"):
        take_running_statistics(module, [torch.rand(1, 3, 4, 4)])
    assert not module[2].training


def test_tensors_that_stay_trained_are_named() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.rand(3, 1, 1))
            self.register_buffer("code", torch.rand(9))
            self.register_buffer("place", torch.arange(9))
            self.scale = nn.Parameter(torch.full((1,), 3.0))
            self.shift = nn.Parameter(torch.zeros(3))
            self.layers = small()

    module = Wrapped().eval()
    copy = untrained_copy(module, 1)
    assert kept_from_training(copy, module) == ("scale", "code")
    take_running_statistics(module.layers, batches())
    frozen = deepcopy(module)
    assert "layers.1.running_var" in kept_from_training(frozen, module)
    assert "layers.1.running_var" not in kept_from_training(untrained_copy(module, 1), module)


def test_a_built_in_model_is_built_anew_by_its_own_constructor() -> None:
    trained = load_model("digits")
    one, again, other = (fresh_module(trained.spec, seed) for seed in (1, 1, 2))
    assert one is not None
    assert again is not None
    assert other is not None
    copies = [untrained_copy(trained.module, 1, fresh=fresh) for fresh in (one, again, other)]
    weights = [copy.state_dict()["layers.0.weight"] for copy in copies]
    assert torch.equal(weights[0], one.state_dict()["layers.0.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert kept_from_training(copies[0], trained.module) == ()
    assert fresh_module("net.py:make", 1) is None


def test_what_a_twin_makes_of_the_images_says_whether_it_decides() -> None:
    assert Twin(0, 0.98, 100, 90, 50, 25).reason == ""
    assert Twin(0, 1.0, 100, 90, 50, 50).reason == (
        "it predicts one class for all 100 collected images"
    )
    assert Twin(0, 0.5, 100, 49, 50, 50).reason == (
        "only 49 of 100 collected images have a boundary point"
    )
    assert "only 24 of 50 evaluated images" in Twin(0, 0.5, 100, 50, 50, 24).reason


def written(folder: Path, bias: float) -> str:
    (folder / "net.py").write_text(NET.replace("BIAS", str([bias] + [0.5] * 9)))
    return f"--model={folder / 'net.py'}:make"


WORDS = ["--collect=24", "--evaluate=10", "--untrained=2", "--batch_size=8", "--device=cpu"]


def test_a_run_collects_its_twins_at_both_kinds_of_images(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, model = tmp_path / "run", written(tmp_path, 0.5)
    command = ["collect", model, *WORDS, "--out", str(folder)]
    assert main(command) == 0
    run = RunDirectory(folder)
    subject = load_subject(run.study())
    ids = [subject.images.ids[place] for place in subject.evaluating]
    assert list(run.evaluated_store().ids) == ids
    assert run.evaluated_store().settings["model"] == run.store().settings["model"]
    assert run.not_reset() == ("bias",)
    twins = run.twins(2)
    assert [(twin.draw, twin.collected, twin.evaluated) for twin in twins] == [
        (0, 24, 10),
        (1, 24, 10),
    ]
    assert all(0.1 <= twin.share < 1 for twin in twins)
    for draw in range(2):
        assert run.untrained_normals(draw).shape == (twins[draw].found, 64)
        assert run.untrained_evaluated(draw).shape == (twins[draw].evaluated_found, 64)
    assert not [line for line in caplog.messages if "decides nothing" in line]

    # Continued where rounding would differ, statistics are those that the run keeps.
    (folder / "untrained" / "1-evaluated" / "manifest.jsonl").unlink()
    monkeypatch.setattr(subjects, "take_running_statistics", lambda *_: pytest.fail("taken anew"))
    assert main([*command, "--batch_size=5"]) == 0
    again, _ = untrained_classifier(run.study(), subject, 1, run)
    kept = running_statistics(again.module)
    assert set(kept) == {f"layers.{n}.{kind}" for n in (1, 5) for kind in _KINDS}
    assert main(["verify", str(folder)]) == 0
    run.statistics(0).write_bytes(b"nothing")
    with pytest.raises(SystemExit):
        main(["verify", str(folder)])


_KINDS = ("running_mean", "running_var", "num_batches_tracked")


def test_a_twin_of_one_class_decides_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    assert main(["collect", written(tmp_path, 8.0), *WORDS, "--out", str(folder)]) == 0
    (first, _) = RunDirectory(folder).twins(2)
    assert first.share == 1
    said = [line for line in caplog.messages if "decides nothing" in line]
    assert len(said) == 2
    assert "untrained network 1 decides nothing: it predicts one class for all 24" in said[0]


def test_the_trained_model_stays_as_it_is(tmp_path: Path) -> None:
    config = config_from({"model": written(tmp_path, 0.5).removeprefix("--model="), "collect": 20})
    subject = load_subject(config)
    module = subject.model.module
    before = state(module)
    twin, kept = untrained_classifier(config, subject, 0, RunDirectory(tmp_path / "run"))
    assert isinstance(twin, Classifier)
    assert kept == ("bias",)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(part.training for part in module.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert not any(part.training for part in twin.module.modules())
