"""Mistakes on the command line, answered in one sentence with the way out."""

import re
from collections.abc import Sequence
from dataclasses import asdict

from boundary.errors import did_you_mean
from study.config import RETIRED, StudyConfig

LISTED = "; `boundary --help` lists them."

_KINDS = {
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'str'>": "a text",
    "<class 'bool'>": "true or false",
    "<class 'list'>": "a list, like [a,b]",
    "list[float]": "a list of numbers, like [0.5,1]",
    "list[int]": "a list of whole numbers, like [1,10]",
}


def one_sentence(message: str, names: Sequence[str], commands: Sequence[str]) -> str:
    """Return in the user's words what the parser found wrong.

    Args:
        message: Of the parser.
        names: Options that the command takes.
        commands: That there are.
    """
    text = " ".join(message.split())
    if match := re.search(r"unrecognized arguments: ([^- ][^ ]*)", text):
        return (
            f"`{match[1]}` is one word more than this command takes; a list is written without "
            "spaces: a,b."
        )
    if match := re.search(r"unrecognized arguments: (?:--)?([^ =]+)", text):
        return f"`--{match[1]}` is no option here{did_you_mean(match[1], names, '--') or LISTED}"
    if match := re.search(r"(?:does not accept o|O)ption '([^']+)'", text):
        group, _, member = match[1].partition(".")
        if member in RETIRED.get(group, ()):
            return (
                f"`{match[1]}` was a setting of an earlier version; leave it out "
                f"(`boundary run --help` lists those of `{group}`)."
            )
        return f"`{match[1]}` is not a setting{did_you_mean(match[1], _settings()) or LISTED}"
    if match := re.search(r"invalid choice: '([^']+)'", text):
        return f"`{match[1]}` is not a command{did_you_mean(match[1], commands) or LISTED}"
    if "subcommand" in text:
        return f"a command is missing: one of {', '.join(commands)}; `boundary --help` says more."
    if "arguments are required" in text:
        if "others" in text:
            return "`boundary transfer` takes two run directories or more, of other models."
        if "files" in text:
            return (
                "a file of a perturbation is missing; name it after the command, as in "
                "`boundary try v.npy`."
            )
        if "shell" in text:
            return "a shell is missing; name it, as in `boundary completion bash`."
        return (
            "a run directory is missing; name it after the command, as in `boundary inspect RUN`."
        )
    if match := re.search(r'key "([^"]+)": (Expected a .*?Got|.*Subtypes: \[.*?\] Errors)', text):
        kinds = [said for kind, said in _KINDS.items() if kind in match[2]]
        if choices := re.search(r"Literal\[([^]]+)\]", match[2]):
            kinds.append(f"one of {choices[1]}".replace("'", ""))
        found = re.search(r".*(?:Got value|Given value): (.*)$", text)
        wanted = " or ".join(kinds) or "of another kind"
        return f"`--{match[1]}` should be {wanted}. Found `{found[1] if found else ''}`."
    return re.sub(r'Parser key "([^"]+)":', r"`--\1`:", text)


def _settings() -> list[str]:
    """Return the names of all settings, ``fooling.draws`` for one of a group."""
    groups = {
        name: group for name, group in asdict(StudyConfig()).items() if isinstance(group, dict)
    }
    nested = [f"{name}.{member}" for name, group in groups.items() for member in group]
    return [*asdict(StudyConfig()), *nested]
