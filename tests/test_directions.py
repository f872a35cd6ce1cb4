"""Random bases of subspaces."""

import torch

from study.directions import _rotation


def test_bases_are_orthonormal_and_their_rows_uniform() -> None:
    generator = torch.Generator().manual_seed(0)
    turns = torch.stack([_rotation(3, generator) for _ in range(3000)])
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).double().expand_as(turns))
    # Without the signs of QR the first coordinate of the first row would never be positive.
    assert turns.mean(0).abs().max() < 0.06
    assert (turns.square().mean(0) - 1 / 3).abs().max() < 0.03
    signs = torch.stack([_rotation(1, generator) for _ in range(200)]).flatten()
    assert 60 < int((signs > 0).sum()) < 140
