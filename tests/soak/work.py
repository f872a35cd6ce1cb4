"""The jobs of a soak, each in a process of its own that computes nothing before it forks."""

from pathlib import Path

from soak.exploits import Refusals, try_all
from soak.faults import Faults, fault_at_every_call, fault_in_stage
from soak.kills import Survival, survive, undisturbed
from soak.mutations import Fuzzing, fuzz, targets


def prepare(work: Path) -> dict[str, float]:
    work.mkdir()
    return undisturbed(work)


def kill(stage: str, seconds: float, kills: int, prepared: Path, work: Path, seed: int) -> Survival:
    work.mkdir()
    return survive(stage, seconds, kills, prepared, work, seed)


def fault_collecting(work: Path) -> Faults:
    work.mkdir()
    return fault_at_every_call(work)


def fault(stage: str, count: int, prepared: Path, work: Path, seed: int) -> Faults:
    work.mkdir()
    return fault_in_stage(stage, count, prepared, work, seed)


def target_names(work: Path) -> list[str]:
    work.mkdir()
    return [target.name for target in targets(work)]


def fuzzed(name: str, cases: int, work: Path, seed: int) -> Fuzzing:
    work.mkdir()
    (target,) = [target for target in targets(work) if target.name == name]
    return fuzz(target, cases, seed, work / "log.txt")


def refuse(work: Path) -> Refusals:
    work.mkdir()
    return try_all(work)
