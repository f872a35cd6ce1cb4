"""The command ``boundary``: one subcommand a stage, and ``run`` for all of them."""

import argparse
import logging
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ActionYesNo, ArgumentParser, DefaultHelpFormatter

from boundary.errors import BoundaryError, InputError, StoreError, did_you_mean, printable
from boundary.memory import ran_out_of_memory
from boundary.ranks import Ranks, joined_ranks
from boundary.termination import EXIT_STATUS, Terminated
from figures.export import FORMATS
from study import comparing, curving, perturbing, stages, universals
from study.config import (
    RETIRED,
    CurvatureOptions,
    FoolingOptions,
    SpectrumOptions,
    StudyConfig,
    TrialConfig,
    UniversalOptions,
    config_from,
)
from study.inspection import describe
from study.run import DISTRIBUTION, RunDirectory
from study.settings_file import read_settings
from study.subject import Subject, load_subject
from study.trial import try_files
from study.verifying import UNSOUND, verify, verify_in_child

MISTAKE, INTERRUPTED = 2, 130
TRANSFERRED = ("subspace", "spectrum-matched")
KEPT = "What is finished is kept, and the same command goes on from there."
OUT = "run"
LISTED = "; `boundary --help` lists them."

Command = Callable[[dict[str, Any], str, Ranks], None]
"""What was given, the whole command line, and the processes that share it."""

DESCRIPTION = """\
Why does one small perturbation fool a classifier on most images? Collect the normals of its
decision boundary, take their singular spectrum, and compare what random perturbations from the
shared subspace do to other images.

  boundary run --out RUN                                       the built-in digits, everything
  boundary run --model net.py:make --images photos --out RUN   your classifier, your images
  boundary inspect RUN                                         what a run has found so far
  boundary figures RUN --only spectrum,fooling --format svg    its figures, with their numbers
  boundary verify RUN                                          whether its files are sound

The stages of `run`, each alone on its directory, in order:

  boundary collect --model net.py:make --images photos --out RUN
  boundary spectrum RUN
  boundary universal RUN
  boundary fooling RUN
  boundary natural RUN
  boundary curvature RUN                                       only if asked for: it takes long
  boundary report RUN

Of several runs, and of a perturbation in a file:

  boundary transfer RUN OTHER
  boundary try v.npy --model net.py:make --images photos
"""

_KINDS = {
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'str'>": "a text",
    "<class 'bool'>": "true or false",
    "<class 'list'>": "a list, like [a,b]",
    "list[float]": "a list of numbers, like [0.5,1]",
    "list[int]": "a list of whole numbers, like [1,10]",
}


class _Formatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):  # type: ignore[misc]
    """Types and defaults with each option; the description as it is written."""


class _OnTerminal(logging.Formatter):
    """Log lines without the control characters that a stranger's name may hold."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text."""
        return printable(super().format(record))


def _log_handler() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(_OnTerminal("%(levelname)s: %(message)s"))
    return handler


class Parser(ArgumentParser):  # type: ignore[misc]
    """A parser that answers a mistake in one sentence."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong and the way out, and leave with status 2."""
        _fail(_one_sentence(message, self.known_names()))

    def parse_path(self, path: Any, *rest: Any, **options: Any) -> Any:
        """Return the settings of a file, if it is a plain one and names no other file."""
        for name, value in read_settings(Path(path)).items():
            if name in {"search", *_OPTIONS} and isinstance(value, str):  # it would name a file
                self.error(f"`{name}` should be a group of settings. Found `{value[:40]}`.")
        return super().parse_path(path, *rest, **options)

    def known_names(self) -> list[str]:
        """Return the options that this parser takes."""
        return [text.lstrip("-") for action in self._actions for text in action.option_strings]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; ``sys.argv`` by default.

    Returns:
        The exit status.

    Raises:
        Exception: What is a defect of this program.
    """
    logging.basicConfig(handlers=[_log_handler()])
    logging.getLogger("study").setLevel(logging.INFO)
    words = [_underscored(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    printing = any(word.startswith("--print_config") for word in words)
    try:
        # Without defaults, what was given can prevail over what a run directory says.
        given = _parser().parse_args(words, defaults=printing).as_dict()
        name = given["subcommand"]
        with joined_ranks() as ranks:
            _COMMANDS[name](given.get(name) or {}, shlex.join(["boundary", *words]), ranks)
    except BoundaryError as error:
        _fail(str(error))
    except UnicodeDecodeError as error:
        _fail(f"the configuration should be a text file in UTF-8: {error}.")
    except OSError as error:  # a full disk, a file that may not be written
        _fail(f"{error}; what is finished is kept, and the same command goes on from there.")
    except KeyboardInterrupt:
        print(f"\nInterrupted. {KEPT}", file=sys.stderr)
        return INTERRUPTED
    except Terminated:
        print(f"\nEnded by SIGTERM. {KEPT}", file=sys.stderr)
        return EXIT_STATUS
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        _fail(
            f"memory ran out ({cause}); what is finished is kept: free some, "
            "and the same command goes on from there."
        )
    return 0


def _run(given: dict[str, Any], command: str, ranks: Ranks) -> None:
    with _begun(given, command, ranks) as (run, config, subject):
        stages.collect(run, config, subject)
        stages.untrained(run, config, subject)
        stages.spectrum(run, config)
        universals.universal(run, config, subject)
        perturbing.fooling(run, config, subject)
        if config.with_curvature:
            curving.curvature(run, config, subject)
        if ranks.first:
            comparing.natural(run, config, subject)
            stages.report(run)
            _show(run)
    ranks.wait()


def _collect(given: dict[str, Any], command: str, ranks: Ranks) -> None:
    with _begun(given, command, ranks) as (run, config, subject):
        stages.collect(run, config, subject)
        stages.untrained(run, config, subject)
    if ranks.first:
        _show(run)


def _spectrum(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    run, config, redo = _resume(given, "spectrum", ranks)
    with run.locked():
        stages.spectrum(run, config, redo=redo)
        if ranks.first:
            _keep_settings(run, config)


def _perturbing(name: str, stage: Callable[..., None]) -> Command:
    """Return the command of a stage that perturbs images."""

    def command(given: dict[str, Any], _: str, ranks: Ranks) -> None:
        run, config, redo = _resume(given, name, ranks)
        subject = ranks.first_goes_ahead(lambda: load_subject(config))
        with run.locked():
            stage(run, config, subject, redo=redo)
            if ranks.first:
                _keep_settings(run, config)

    return command


def _natural(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    run, config, redo = _resume(given, "", ranks)
    if ranks.first:
        with run.locked():
            comparing.natural(run, config, load_subject(config), redo=redo)
            _show(run)


def _transfer(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    if not ranks.first:
        return
    redo, families = given.pop("redo", False), given.pop("families", list(TRANSFERRED))
    paths = [given["run"], *given["others"]]
    runs, configs = zip(*(_resume({"run": path}, "", ranks)[:2] for path in paths), strict=True)
    with runs[0].locked():
        comparing.transfer(list(runs), list(configs), families, redo=redo)
        _show(runs[0])


def _report(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    run = RunDirectory(given["run"])
    run.config()
    if ranks.first:
        with run.locked():
            stages.report(run, redo=True)
        _show(run)


def _figures(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    run = RunDirectory(given["run"])
    run.config()
    if not ranks.first:
        return
    only, formats = (_listed(given.get(name, "")) for name in ("only", "format"))
    folder = Path(given["to"]) if given.get("to") else None
    with run.locked():
        for path in stages.draw(run, folder, only, formats or FORMATS[:2]):
            print(path)


def _listed(text: str) -> list[str]:
    """Return the parts of a text at its commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _inspect(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    run = RunDirectory(given["run"])
    run.config()
    if ranks.first:
        _show(run)


def _verify(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    if not ranks.first:
        return
    path, repair = given["run"], given.get("repair", False)
    if given.get("untrusted"):
        if repair:
            raise InputError("`--repair` writes, and `--untrusted` does not: give one of them.")
        text, sound = verify_in_child(path)
    else:
        found = verify(path, repair=repair)
        text, sound = found.text(), not found.faults
    print(text)
    if not sound:
        sys.exit(UNSOUND)


def _try(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    files = given.pop("files")
    if ranks.first:
        print(try_files(files, TrialConfig(**given)))


_COMMANDS = {
    "run": _run,
    "collect": _collect,
    "spectrum": _spectrum,
    "universal": _perturbing("universal", universals.universal),
    "fooling": _perturbing("fooling", perturbing.fooling),
    "natural": _natural,
    "curvature": _perturbing("curvature", curving.curvature),
    "transfer": _transfer,
    "report": _report,
    "figures": _figures,
    "inspect": _inspect,
    "verify": _verify,
    "try": _try,
}

_HELP = {
    "run": "Every stage that is not done yet, up to the report.",
    "collect": "Find the nearest boundary points of images, and of untrained networks.",
    "spectrum": "Take the singular spectrum of the normals, beside its null models.",
    "universal": "Make universal perturbations, and judge them on other images.",
    "fooling": "Measure how often every family of perturbations changes predictions.",
    "natural": "Hold the subspace and the perturbations against natural images.",
    "curvature": "Measure how the boundary bends, and test the curvature hypothesis.",
    "transfer": "Try what each of several models made on the others.",
    "report": "Draw the figures and write the report, from saved results.",
    "figures": "Draw figures of a run, each with its numbers as CSV.",
    "inspect": "Print what a run has found so far.",
    "verify": "Look at every file of a run, or of a store of normals: is it sound?",
    "try": "Try perturbations from files on a classifier: how many images they fool.",
}


_OPTIONS = {
    "spectrum": SpectrumOptions,
    "universal": UniversalOptions,
    "fooling": FoolingOptions,
    "curvature": CurvatureOptions,
}


def _parser() -> Parser:
    parser = Parser(prog="boundary", description=DESCRIPTION, formatter_class=_Formatter)
    parser.usage = "boundary COMMAND [options]"
    parser.add_argument(
        "--version",
        action="version",
        version=f"boundary {version(DISTRIBUTION)}",
        help="Print the version and exit.",
    )
    commands = parser.add_subcommands(title="commands", metavar="COMMAND")
    for name, text in _HELP.items():
        command = Parser(description=text, formatter_class=_Formatter)
        if name in {"run", "collect"}:
            command.usage = f"boundary {name} [--model M] [--images I] --out RUN [options]"
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
            command.usage = "boundary try FILE [FILE ...] [--model M] [--images I] [options]"
            command.add_argument(
                "files", type=str, nargs="+", help="perturbations: .mat, .npy, .npz, .pt, ..."
            )
            command.add_class_arguments(TrialConfig)
        else:
            command.usage = f"boundary {name} RUN [options]"
            command.add_argument("run", type=str, help="run directory")
            if name == "transfer":
                command.usage = "boundary transfer RUN OTHER [OTHER ...] [options]"
                command.add_argument(
                    "others", type=str, nargs="+", help="run directories of other models"
                )
                command.add_argument(
                    "--families",
                    type=list[str],
                    default=list(TRANSFERRED),
                    help="to try beside universal ones, as named in RUN/perturbations",
                )
            if name == "figures":
                command.add_argument(
                    "--only",
                    type=str,
                    default="",
                    help="their names, or how these begin",
                )
                command.add_argument(
                    "--format", type=str, default=",".join(FORMATS[:2]), help="pdf,png,svg"
                )
                command.add_argument(
                    "--to", type=str, default=None, help="folder; by default RUN/figures"
                )
            if name in _OPTIONS:
                command.description = f"{text} Settings not given here are those of RUN/study.yaml."
                command.add_class_arguments(_OPTIONS[name])
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
            if name in {*_OPTIONS, "natural", "transfer"}:
                command.add_argument(
                    "--redo",
                    action="store_true",
                    help="compute again, with these settings, and replace the result",
                )
        commands.add_subcommand(name, command, help=text)
    return parser


@contextmanager
def _begun(
    given: dict[str, Any], command: str, ranks: Ranks
) -> Iterator[tuple[RunDirectory, StudyConfig, Subject]]:
    """Yield the run directory of a new or continued study, locked, and what the study is about.

    Raises:
        StoreError: If the directory holds another study, or one that is not to be continued.
    """
    run = RunDirectory(given.pop("out", OUT), ranks)
    if not given.pop("resume", True) and ranks.from_first(run.config_file.exists):
        raise StoreError(f"`{run.path}` holds a study already; name another --out.")
    given.pop("config", None)
    config = config_from(given)
    subject = ranks.first_goes_ahead(lambda: load_subject(config))
    config = replace(
        config,
        model=subject.model.spec,
        images=subject.images.spec,
        weights=_absolute(config.weights),
        classes=_absolute(config.classes),
        fooling=_with_absolute_files(config.fooling),
    )
    with run.locked():
        if ranks.first:
            run.prepare(asdict(config))
            run.begin_record({"command": command, **stages.identities(config, subject)})
        yield run, config, subject


def _resume(
    given: dict[str, Any], section: str, ranks: Ranks
) -> tuple[RunDirectory, StudyConfig, bool]:
    """Return a run directory, its settings with those given for a section, and whether to redo."""
    run = RunDirectory(given.pop("run"), ranks)
    redo = given.pop("redo", False)
    config = config_from(asdict(run.study()), {section: given} if given else {})
    return run, replace(config, fooling=_with_absolute_files(config.fooling)), redo


def _keep_settings(run: RunDirectory, config: StudyConfig) -> None:
    run.prepare(asdict(config), replace=True)
    _show(run)


def _show(run: RunDirectory) -> None:
    print(printable(describe(run)))


def _absolute(path: str | None) -> str | None:
    """Return a path that means the same from any folder; ``random`` is no path."""
    return path if path in {None, "random"} else str(Path(str(path)).expanduser().absolute())


def _with_absolute_files(options: FoolingOptions) -> FoolingOptions:
    return replace(options, files=[str(_absolute(file)) for file in options.files])


def _underscored(word: str) -> str:
    """Return ``--batch_size`` for ``--batch-size``."""
    name, equals, value = word.partition("=")
    return (
        name.replace("-", "_").replace("__", "--", 1) + equals + value if word[:2] == "--" else word
    )


def _one_sentence(message: str, names: Sequence[str]) -> str:
    """Return in the user's words what the parser found wrong."""
    text = " ".join(message.split())
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
        return f"`{match[1]}` is not a command{did_you_mean(match[1], _COMMANDS) or LISTED}"
    if "subcommand" in text:
        return f"a command is missing: one of {', '.join(_COMMANDS)}; `boundary --help` says more."
    if "arguments are required" in text:
        if "others" in text:
            return "`boundary transfer` takes two run directories or more, of other models."
        if "files" in text:
            return (
                "a file of a perturbation is missing; name it after the command, as in "
                "`boundary try v.npy`."
            )
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


def _fail(sentence: str) -> NoReturn:
    print(f"boundary: {printable(sentence)}", file=sys.stderr)
    sys.exit(MISTAKE)
