import pytest
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


def searched(root: float, guess: float, longest: float) -> tuple[BracketedSecant, list[float]]:
    """Return a search for a jump from -1 to 1, and where it looked."""
    start = torch.tensor([guess], dtype=torch.float64)
    search, looks = BracketedSecant(start, torch.ones_like(start), longest), []
    for _ in range(60):
        rows = search.unsettled(1e-6)
        if len(rows) == 0:
            break
        looks.append(float(search.length))
        search.update(rows, torch.where(search.length < root, -1.0, 1.0).double())
    return search, looks


@pytest.mark.parametrize("guess", [0.6, 1.5, 1.9999999, 2.0, 70.0])
def test_the_longest_length_is_looked_at_once_before_a_function_is_given_up(guess: float) -> None:
    search, looks = searched(root=2.5, guess=guess, longest=2.0)
    assert search.unmet(1e-6).tolist() == [True]
    assert looks.count(2.0) == 1
    assert max(looks) == 2.0
    assert search.length.tolist() == [2.0]


@pytest.mark.parametrize("guess", [0.7, 1.1, 1.5, 70.0])
def test_a_root_before_the_longest_length_is_found(guess: float) -> None:
    search, looks = searched(root=1.2, guess=guess, longest=2.0)
    assert search.unmet(1e-6).tolist() == [False]
    assert float(search.length) == pytest.approx(1.2, rel=1e-5)
    assert max(looks) <= 2.0
