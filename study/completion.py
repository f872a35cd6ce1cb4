"""Completion for the shell: a script that knows every command, option and choice."""

from argparse import ArgumentParser
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import shtab

from boundary.errors import InputError, did_you_mean
from study.config import StudyConfig, TrialConfig
from study.known import TABLES
from study.parser import COMMANDS, SECTIONS, build_parser

SHELLS = ("bash", "zsh")

_FOLDERS = ("run", "runs", "others", "out", "to")
_FILES = ("config", "files", "weights", "classes", "images", "save")


def completion(shell: str) -> str:
    """Return the script by which a shell completes the command ``boundary``.

    Args:
        shell: One of `SHELLS`.

    Raises:
        InputError: If it is another.
    """
    if shell not in SHELLS:
        raise InputError(
            f"`boundary completion` should be followed by {' or '.join(SHELLS)}. Found `{shell}`"
            f"{did_you_mean(shell, SHELLS) or '.'}"
        )
    parser = build_parser()
    for name, command in _subcommands(parser).items():
        kinds = _kinds(name)
        for action in command._actions:
            _complete(action, kinds.get(action.dest))
    return str(shtab.complete(parser, shell))


def _subcommands(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    return next(
        action.choices
        for action in parser._actions
        if isinstance(action.choices, dict) and set(action.choices) == set(COMMANDS)
    )


def _complete(action: Any, kind: Any) -> None:
    """Say what may follow an option: the choices of its kind, or files, or folders."""
    if action.dest in _FOLDERS:
        action.complete = shtab.DIRECTORY
    elif action.dest in _FILES:
        action.complete = shtab.FILE
    elif kind is not None and action.nargs != 0:
        action.choices = _choices(kind) or action.choices


def _kinds(command: str) -> dict[str, Any]:
    """Return the kinds of the settings of a command, by the names of its options."""
    if command == "list":
        return {"what": Literal[tuple(TABLES)]}
    if command == "completion":
        return {"shell": Literal[SHELLS]}
    group = TrialConfig if command == "try" else SECTIONS.get(command, StudyConfig)
    return _kinds_of(group)


def _kinds_of(group: Any, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in fields(group):
        if is_dataclass(one.type):
            found |= _kinds_of(one.type, f"{one.name}.")
        else:
            found[f"{prefix}{one.name}"] = one.type
    return found


def _choices(kind: Any) -> list[str]:
    """Return the values of a kind that has few."""
    if kind is bool:
        return ["true", "false"]
    if get_origin(kind) is UnionType:
        return [choice for one in get_args(kind) for choice in _choices(one)]
    return [str(choice) for choice in get_args(kind)] if get_origin(kind) is Literal else []
