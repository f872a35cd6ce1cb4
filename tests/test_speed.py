import pytest
import torch
from torch import Tensor, nn

from boundary import Classifier, InputError, faster, nearest_boundary_points
from surfaces import random_images


def convolutions() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for channels, width in ((3, 8), (8, 12)):
            norm = nn.BatchNorm2d(width)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2.0)
            layers += [nn.Conv2d(channels, width, 3, padding=1), norm, nn.ReLU()]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4)]
        return nn.Sequential(nn.Sequential(*layers), *head).double().eval()


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("fuse_batch_norm", [False, True])
def test_a_faster_copy_gives_the_same_logits(channels_last: bool, fuse_batch_norm: bool) -> None:
    module, images = convolutions(), random_images(5, (3, 8, 8))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    made = faster(module, channels_last=channels_last, fuse_batch_norm=fuse_batch_norm)
    torch.testing.assert_close(made(images), module(images), rtol=1e-12, atol=1e-12)
    kinds = {type(part) for part in made.modules()}
    assert not any(part.training for part in made.modules())
    assert (nn.BatchNorm2d in kinds) is not fuse_batch_norm
    weight = next(p for p in made.parameters() if p.ndim == 4)
    assert weight.is_contiguous(memory_format=torch.channels_last) is channels_last
    assert all(value.equal(before[name]) for name, value in module.state_dict().items())


def test_a_faster_copy_has_the_same_boundary_points() -> None:
    module, images = convolutions(), random_images(10, (3, 8, 8))
    one = nearest_boundary_points(Classifier(module), images, max_margin=100.0)
    other = nearest_boundary_points(Classifier(faster(module)), images, max_margin=100.0)
    assert one.on_boundary.all()
    torch.testing.assert_close(one.margin, other.margin, rtol=1e-6, atol=0)


def test_control_flow_cannot_be_fused() -> None:
    class Branching(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1)[:, :2] if images.sum() > 0 else images.flatten(1)[:, 2:4]

    with pytest.raises(InputError, match=r"`fuse_batch_norm`.*cannot trace"):
        faster(Branching().eval())
    faster(Branching().eval(), fuse_batch_norm=False)


def test_first_gradients_in_bfloat16_end_in_full_precision() -> None:
    module, images = convolutions().float(), random_images(20, (3, 8, 8)).float()
    full = nearest_boundary_points(Classifier(module), images, max_margin=100.0)
    found = nearest_boundary_points(
        Classifier(module), images, max_margin=100.0, early_bfloat16=True
    )
    assert found.on_boundary.all()
    rounding = torch.finfo(torch.float32).eps * images.flatten(1).norm(dim=1)
    assert (found.residual <= 1e-4 * found.margin + rounding).all()
    assert (found.margin / full.margin).median() < 1.05
