"""The words of the command line: which commands there are, their options and their help."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

from jsonargparse import ActionYesNo, ArgumentParser, DefaultHelpFormatter

from boundary.errors import printable
from figures.export import FORMATS
from study.comparing import FOLDER
from study.config import (
    CurvatureOptions,
    FoolingOptions,
    SpectrumOptions,
    StudyConfig,
    TrialConfig,
    UniversalOptions,
)
from study.mistakes import one_sentence
from study.provenance import DISTRIBUTION
from study.settings_file import read_settings

MISTAKE = 2
"""Exit status."""
TRANSFERRED = ("subspace", "spectrum-matched")
OUT = "run"

DESCRIPTION = """\
Why does one small perturbation fool a classifier on most images? Collect the normals of its
decision boundary, take their singular spectrum, and compare what random perturbations from the
shared subspace do to other images.

  boundary run --out RUN                                       the built-in digits, everything
  boundary run --model net.py:make --images photos --out RUN   your classifier, your images
  boundary run --out RUN --dry_run                             what it would take; nothing is done
  boundary inspect RUN                                         what a run has found so far
  boundary figures RUN --only spectrum,fooling --format svg    its figures, with their numbers
  boundary verify RUN                                          whether its files are sound
  boundary list                                                models, images, perturbations known

The stages of `run`, each alone on its directory, in order:

  boundary collect --model net.py:make --images photos --out RUN
  boundary spectrum RUN
  boundary universal RUN
  boundary fooling RUN
  boundary curvature RUN
  boundary report RUN

Of several runs, and of a perturbation in a file:

  boundary compare RUN OTHER                                   their results, side by side
  boundary transfer RUN OTHER                                  what one made, tried on the other
  boundary try v.npy --model net.py:make --images photos

`boundary COMMAND --help` lists the options of a command.
"""


@dataclass(frozen=True)
class About:
    """What is said of a command."""

    text: str
    """One line."""
    usage: str
    """What follows its name."""
    example: str
    """The whole line."""


COMMANDS = {
    "run": About(
        "Every stage that is not done yet, up to the report.",
        "[--model M] [--images I] --out RUN [options]",
        "boundary run --model net.py:make --images photos --size 224 --out RUN",
    ),
    "collect": About(
        "Find the nearest boundary points of images, and of untrained networks.",
        "[--model M] [--images I] --out RUN [options]",
        "boundary collect --model net.py:make --images photos --collect 2000 --out RUN",
    ),
    "spectrum": About(
        "Take the singular spectrum of the normals, beside its null models.",
        "RUN [options]",
        "boundary spectrum RUN --directions 200 --redo",
    ),
    "universal": About(
        "Make universal perturbations, and judge them on other images.",
        "RUN [options]",
        "boundary universal RUN --algorithms smooth_rate,deepfool --redo",
    ),
    "fooling": About(
        "Measure how often every family of perturbations changes predictions.",
        "RUN [options]",
        "boundary fooling RUN --norms 0.5,1,2 --files v.mat --redo",
    ),
    "curvature": About(
        "Measure how the boundary bends, along which directions, at which scales.",
        "RUN [options]",
        "boundary curvature RUN --images 200 --judge 100",
    ),
    "transfer": About(
        "Try what each of several models made on the others.",
        "RUN OTHER [OTHER ...] [options]",
        "boundary transfer RUN OTHER --families subspace",
    ),
    "compare": About(
        "Hold finished runs side by side: their numbers, differences and subspaces.",
        "RUN RUN [RUN ...] [options]",
        "boundary compare RUN OTHER --names before,after --out comparison",
    ),
    "report": About(
        "Draw the figures and write the report, from saved results.",
        "RUN [options]",
        "boundary report RUN",
    ),
    "figures": About(
        "Draw figures of a run, each with its numbers as CSV.",
        "RUN [options]",
        "boundary figures RUN --only spectrum,fooling --format svg --to paper",
    ),
    "inspect": About(
        "Print what a run has found so far, on one screen.",
        "RUN [options]",
        "boundary inspect RUN",
    ),
    "verify": About(
        "Look at every file of a run, or of a store of normals: is it sound?",
        "RUN [options]",
        "boundary verify RUN --repair",
    ),
    "try": About(
        "Try perturbations from files on a classifier: how many images they fool.",
        "FILE [FILE ...] [--model M] [--images I] [options]",
        "boundary try v.npy --model net.py:make --images photos --norm 2",
    ),
    "list": About(
        "List the models, images and families of perturbations known by name.",
        "[models | images | families] [options]",
        "boundary list families",
    ),
    "completion": About(
        "Print a script by which a shell completes commands and options.",
        "bash | zsh",
        "source <(boundary completion bash)",
    ),
}

SECTIONS = {
    "spectrum": SpectrumOptions,
    "universal": UniversalOptions,
    "fooling": FoolingOptions,
    "curvature": CurvatureOptions,
}
"""Stages with settings of their own."""

BEGINNING = ("run", "collect")
"""Commands that make a run directory."""
PLANNED = (*BEGINNING, *SECTIONS)
"""Commands that can say beforehand what they would do."""


class _Formatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):  # type: ignore[misc]
    """Types and defaults with each option; the description as it is written."""


class Parser(ArgumentParser):  # type: ignore[misc]
    """A parser that answers a mistake in one sentence."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong and the way out, and leave with status 2."""
        sentence = one_sentence(message, self.known_names(), list(COMMANDS))
        sys.stderr.write(f"boundary: {printable(sentence)}\n")
        sys.exit(MISTAKE)

    def parse_args(self, args: Sequence[str], *rest: Any, **options: Any) -> Any:
        """Return what a command line says; a list may be written with commas alone."""
        return super().parse_args(bracketed(args), *rest, **options)

    def parse_path(self, path: Any, *rest: Any, **options: Any) -> Any:
        """Return the settings of a file, if it is a plain one and names no other file."""
        for name, value in read_settings(Path(path)).items():
            if name in {"search", *SECTIONS} and isinstance(value, str):  # it would name a file
                self.error(f"`{name}` should be a group of settings. Found `{value[:40]}`.")
        return super().parse_path(path, *rest, **options)

    def known_names(self) -> list[str]:
        """Return the options that this parser takes."""
        return [text.lstrip("-") for action in self._actions for text in action.option_strings]


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(prog="boundary", description=DESCRIPTION, formatter_class=_Formatter)
    parser.usage = "boundary COMMAND [options]"
    parser.add_argument(
        "--version",
        action="version",
        version=f"boundary {version(DISTRIBUTION)}",
        help="Print the version and exit.",
    )
    commands = parser.add_subcommands(title="commands", metavar="COMMAND")
    for name, about in COMMANDS.items():
        command = Parser(description=_description(name), formatter_class=_Formatter)
        command.usage = f"boundary {name} {about.usage}"
        _add_subject(command, name)
        _add_own_options(command, name)
        _add_output_options(command)
        commands.add_subcommand(name, command, help=about.text)
    return parser


def _description(name: str) -> str:
    about = COMMANDS[name]
    settings = "\nSettings not given here are those of RUN/study.yaml." if name in SECTIONS else ""
    return f"{about.text}{settings}\n\n  {about.example}"


def _add_subject(command: Parser, name: str) -> None:
    """Add what a command works on."""
    if name in BEGINNING:
        command.add_argument(
            "--config", action="config", help="a file of settings, such as RUN/study.yaml"
        )
        command.add_class_arguments(StudyConfig)
        command.add_argument(
            "--out", type=str, default=OUT, help="run directory, made or continued"
        )
        command.add_argument(
            "--resume",
            action=ActionYesNo,
            default=True,
            help="continue the study that --out holds; with --no_resume it is refused",
        )
    elif name == "try":
        command.add_argument(
            "files", type=str, nargs="+", help="perturbations: .mat, .npy, .npz, .pt, ..."
        )
        command.add_class_arguments(TrialConfig)
    elif name == "list":
        command.add_argument(
            "what", type=str, nargs="?", help="models, images or families; all by default"
        )
    elif name == "completion":
        command.add_argument("shell", type=str, help="bash or zsh")
    elif name == "compare":
        command.add_argument("runs", type=str, nargs="*", help="run directories, two at least")
    else:
        command.add_argument("run", type=str, help="run directory")


def _add_own_options(command: Parser, name: str) -> None:
    if name == "transfer":
        command.add_argument("others", type=str, nargs="+", help="run directories of other models")
        command.add_argument(
            "--families",
            type=list[str],
            default=list(TRANSFERRED),
            help="to try beside universal ones, as named in RUN/perturbations",
        )
    if name == "compare":
        command.add_argument(
            "--out", type=str, default=FOLDER, help="folder of the page, tables and figures"
        )
        command.add_argument(
            "--names",
            type=str,
            default="",
            help="of the runs, with commas between; by default of their models",
        )
    if name == "figures":
        command.add_argument(
            "--only",
            type=str,
            default="",
            help="figures by name, or how names begin, like spectrum,fooling; all by default",
        )
        command.add_argument(
            "--format", type=str, default=",".join(FORMATS[:2]), help=f"of {','.join(FORMATS)}"
        )
        command.add_argument("--to", type=str, default=None, help="folder; by default RUN/figures")
    if name in SECTIONS:
        command.add_class_arguments(SECTIONS[name])
    if name == "verify":
        command.add_argument(
            "--repair",
            action="store_true",
            help="keep what is sound, and move the rest to a folder `damaged`",
        )
        command.add_argument(
            "--untrusted",
            action="store_true",
            help="read a stranger's files in a process of its own, with limits",
        )
    if name in {*SECTIONS, "transfer"}:
        command.add_argument(
            "--redo",
            action="store_true",
            help="compute again, with these settings, and replace the result",
        )
    if name in PLANNED:
        command.add_argument(
            "--dry_run",
            action="store_true",
            help="print what would be computed, about how long and how large, and do none of it",
        )


def _add_output_options(command: Parser) -> None:
    command.add_argument(
        "-q", "--quiet", action="store_true", help="warnings and results only, no progress bars"
    )
    command.add_argument(
        "-v", "--verbose", action="store_true", help="the log of all packages, with times"
    )


def bracketed(words: Sequence[str]) -> list[str]:
    """Return the words of a command with ``[a,b]`` for ``a,b`` where an option takes a list."""
    command = next((word for word in words if word in COMMANDS), "")
    kinds = {f"--{name}": kind for name, kind in _lists_of(command).items()}
    found = []
    for before, word in zip(["", *words], words, strict=False):
        name, equals, value = word.partition("=")
        if equals and name in kinds:
            word = f"{name}={_as_list(value, kinds[name])}"
        found.append(_as_list(word, kinds[before]) if before in kinds else word)
    return found


def _as_list(text: str, kind: Any) -> str:
    """Return a list as YAML writes it; each of it that is a text, in quotes."""
    if text.startswith(("[", "--")) or text in {"", "null"}:
        return text
    parts = text.split(",")
    return f"[{','.join(parts if kind in {int, float} else map(json.dumps, parts))}]"


def _lists_of(command: str) -> dict[str, Any]:
    """Return the options of a command that take a list, and of what."""
    if command == "transfer":
        return {"families": str}
    if command in SECTIONS:
        return _list_settings(SECTIONS[command])
    if command not in BEGINNING:
        return {}
    return {
        f"{stage}.{name}": kind
        for stage, group in SECTIONS.items()
        for name, kind in _list_settings(group).items()
    }


def _list_settings(group: type[Any]) -> dict[str, Any]:
    return {
        one.name: get_args(kind)[0]
        for one in fields(group)
        for kind in (one.type, *get_args(one.type))
        if get_origin(kind) is list
    }


def underscored(word: str) -> str:
    """Return ``--batch_size`` for ``--batch-size``."""
    name, equals, value = word.partition("=")
    return (
        name.replace("-", "_").replace("__", "--", 1) + equals + value if word[:2] == "--" else word
    )
