import torch

from boundary.secant import BracketedSecant


def test_roots_of_many_functions_at_once() -> None:
    powers = torch.tensor([1.0, 2.0, 3.0, 0.5], dtype=torch.float64)
    root = torch.tensor([0.3, 2.0, 7.0, 4.0], dtype=torch.float64)
    guess = torch.tensor([0.2, 3.5, 1.0, 20.0], dtype=torch.float64)
    search = BracketedSecant(guess, torch.ones_like(guess))
    for _ in range(60):
        rows = search.unsettled(1e-12)
        if len(rows) == 0:
            break
        length = search.length[rows]
        search.update(rows, length ** powers[rows] - root[rows] ** powers[rows])
    assert len(search.unsettled(1e-12)) == 0
    torch.testing.assert_close(search.length, root, rtol=1e-11, atol=0)


def test_a_jump_is_bracketed() -> None:
    search = BracketedSecant(torch.tensor([5.0]), torch.tensor([1.0]))
    for _ in range(60):
        search.update(torch.tensor([0]), torch.where(search.length < 1.7, -1.0, 2.0))
    torch.testing.assert_close(search.length, torch.tensor([1.7]), rtol=1e-5, atol=0)


def test_a_root_at_the_guess_stays() -> None:
    search = BracketedSecant(torch.tensor([0.0]), torch.tensor([1.0]))
    search.update(torch.tensor([0]), torch.tensor([0.0]))
    assert search.length.tolist() == [0.0]
    assert len(search.unsettled(1e-9)) == 0
