"""The command ``boundary``: one subcommand a stage, and ``run`` for all of them."""

import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

from boundary.errors import BoundaryError, InputError, StoreError, printable
from boundary.memory import ran_out_of_memory
from boundary.ranks import ALONE, Ranks, joined_ranks
from boundary.termination import EXIT_STATUS, Terminated
from figures.export import FORMATS
from study import comparing, curving, perturbing, stages, transferring, universals
from study.config import COLLECT, EVALUATE, FoolingOptions, StudyConfig, TrialConfig, config_from
from study.inspection import describe
from study.known import known
from study.output import can_encode, encodable, speaking
from study.parser import MISTAKE, OUT, SECTIONS, TRANSFERRED, build_parser, underscored
from study.planning import plan
from study.run import RunDirectory
from study.sparkline import BLOCKS, LETTERS
from study.subject import Subject, counts, load_subject
from study.trial import try_files
from study.verifying import UNSOUND, verify, verify_in_child

INTERRUPTED, PIPE_CLOSED = 130, 141
"""Exit statuses."""
KEPT = "What is finished is kept, and the same command goes on from there."

Command = Callable[[dict[str, Any], str, Ranks], None]
"""What was given, the whole command line, and the processes that share it."""

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; ``sys.argv`` by default.

    Returns:
        The exit status.

    Raises:
        Exception: What is a defect of this program.
    """
    words = [underscored(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    printing = any(word.startswith("--print_config") for word in words)
    try:
        # Without defaults, what was given can prevail over what a run directory says.
        given = build_parser().parse_args(words, defaults=printing).as_dict()
        name = given["subcommand"]
        options = given.get(name) or {}
        loud = {how: options.pop(how, False) for how in ("quiet", "verbose")}
        with speaking(**loud), joined_ranks() as ranks:
            _log.debug("%s, process %d of %d", shlex.join(words), ranks.rank + 1, ranks.count)
            if options.pop("dry_run", False):
                _plan(name, options, ranks)
            else:
                _COMMANDS[name](options, shlex.join(["boundary", *words]), ranks)
    except BoundaryError as error:
        _fail(str(error))
    except UnicodeDecodeError as error:
        _fail(f"the configuration should be a text file in UTF-8: {error}.")
    except BrokenPipeError:  # what reads the output has gone: `boundary inspect RUN | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
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
        curving.curvature(run, config, subject)
        if ranks.first:
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
            _keep_settings(run, config, "spectrum")


def _perturbing(name: str, stage: Callable[..., None]) -> Command:
    """Return the command of a stage that perturbs images."""

    def command(given: dict[str, Any], _: str, ranks: Ranks) -> None:
        run, config, redo = _resume(given, name, ranks)
        subject = ranks.first_goes_ahead(lambda: load_subject(config))
        with run.locked():
            stage(run, config, subject, redo=redo)
            if ranks.first:
                _keep_settings(run, config, name)

    return command


def _transfer(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    if not ranks.first:
        return
    redo, families = given.pop("redo", False), given.pop("families", list(TRANSFERRED))
    paths = [given["run"], *given["others"]]
    runs, configs = zip(*(_resume({"run": path}, "", ranks)[:2] for path in paths), strict=True)
    with runs[0].locked():
        transferring.transfer(list(runs), list(configs), families, redo=redo)
        _show(runs[0], "transfer")


def _compare(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    if ranks.first:
        names = _listed(given.get("names", ""))
        _say(comparing.compare(given.get("runs") or [], names, given.get("out", comparing.FOLDER)))


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
            _say(str(path))


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
    _say(text)
    if not sound:
        sys.exit(UNSOUND)


def _try(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    files = given.pop("files")
    if ranks.first:
        _say(try_files(files, TrialConfig(**given)))


def _list(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    if ranks.first:
        _say(known(given.get("what")))


def _completion(given: dict[str, Any], _: str, ranks: Ranks) -> None:
    from study.completion import completion  # which alone needs shtab

    if ranks.first:
        _say(completion(given["shell"]))


_COMMANDS = {
    "run": _run,
    "collect": _collect,
    "spectrum": _spectrum,
    "universal": _perturbing("universal", universals.universal),
    "fooling": _perturbing("fooling", perturbing.fooling),
    "curvature": _perturbing("curvature", curving.curvature),
    "transfer": _transfer,
    "compare": _compare,
    "report": _report,
    "figures": _figures,
    "inspect": _inspect,
    "verify": _verify,
    "try": _try,
    "list": _list,
    "completion": _completion,
}


_PLANNED = {
    "run": ("collect", "untrained", "spectrum", "universal", "fooling", "curvature"),
    "collect": ("collect", "untrained"),
}
"""Stages of the commands that have several."""


def _plan(name: str, given: dict[str, Any], ranks: Ranks) -> None:
    """Print what a command would do."""
    if not ranks.first:
        return
    subject: Subject | None
    if name in _PLANNED:
        run, config, subject = _named(given, ALONE)
        run.require_same_study(asdict(config))
        planned, redo = _PLANNED[name], False
    else:
        run, config, redo = _resume(given, name if name in SECTIONS else "", ALONE)
        run.require_basis(name)
        planned = (name,)
        # The spectrum needs no model, and a stranger's is not run for it.
        subject = None if name == "spectrum" else load_subject(config)
    _say(plan(run, config, subject, planned, redo=redo))


@contextmanager
def _begun(
    given: dict[str, Any], command: str, ranks: Ranks
) -> Iterator[tuple[RunDirectory, StudyConfig, Subject]]:
    """Yield the run directory of a new or continued study, locked, and what the study is about.

    Raises:
        StoreError: If the directory holds another study, or one that is not to be continued.
    """
    run, config, subject = _named(given, ranks)
    with run.locked():
        if ranks.first:
            run.prepare(asdict(config))
            if run.provenance.path.exists() and run.is_begun():
                run.provenance.rename(subject.model.name)
            else:
                run.provenance.begin({"command": command, **stages.identities(config, subject)})
        yield run, config, subject


def _named(given: dict[str, Any], ranks: Ranks) -> tuple[RunDirectory, StudyConfig, Subject]:
    """Return the run directory, the settings and the subject that are named; write nothing.

    Raises:
        StoreError: If the directory holds a study that is not to be continued.
    """
    run = RunDirectory(given.pop("out", OUT), ranks)
    if not given.pop("resume", True) and ranks.from_first(run.is_begun):
        raise StoreError(f"`{run.path}` holds a study already; name another --out.")
    given.pop("config", None)
    config = config_from(given)
    subject = ranks.first_goes_ahead(lambda: load_subject(config))
    collect, evaluate = counts(config, subject.images)
    if ranks.first:
        _tell_of_equal(subject)
        _say_what_was_lowered(config, collect, evaluate, len(subject.images))
    config = replace(
        config,
        collect=collect,
        evaluate=evaluate,
        model=subject.model.spec,
        images=subject.images.spec,
        weights=_absolute(config.weights),
        classes=_absolute(config.classes),
        fooling=_with_absolute_files(config.fooling),
    )
    return run, config_from(asdict(config)), subject


def _tell_of_equal(subject: Subject) -> None:
    """Warn of images that equal another, which are not shared out as asked for."""
    split = subject.split
    if split.equal:
        _log.warning(
            "%d of the %d chosen images equal another by their pixels (first: %s); equal images "
            "are kept on one side of the split, so that %d are collected and %d evaluated.",
            len(split.equal),
            split.chosen,
            ", ".join(split.equal[:2]),
            len(split.collecting),
            len(split.evaluating),
        )


def _say_what_was_lowered(config: StudyConfig, collect: int, evaluate: int, images: int) -> None:
    """Log which number of images is not its default because there are too few."""
    lowered = {
        f"--collect from {COLLECT} to {collect}": config.collect is None and collect < COLLECT,
        f"--evaluate from {EVALUATE} to {evaluate}": config.evaluate is None
        and evaluate < EVALUATE,
    }
    if any(lowered.values()):
        _log.info(
            "there are %d images, so that defaults are lowered: %s",
            images,
            ", ".join(said for said, is_so in lowered.items() if is_so),
        )


def _resume(
    given: dict[str, Any], section: str, ranks: Ranks
) -> tuple[RunDirectory, StudyConfig, bool]:
    """Return a run directory, its settings with those given for a section, and whether to redo."""
    run = RunDirectory(given.pop("run"), ranks)
    redo = given.pop("redo", False)
    config = config_from(asdict(run.study()), {section: given} if given else {})
    return run, replace(config, fooling=_with_absolute_files(config.fooling)), redo


def _keep_settings(run: RunDirectory, config: StudyConfig, stage: str) -> None:
    run.prepare(asdict(config), replace=True)
    _show(run, stage)


def _show(run: RunDirectory, stage: str = "") -> None:
    marks = BLOCKS if can_encode(BLOCKS, sys.stdout.encoding) else LETTERS
    with run.shown():
        text = describe(run, stage=stage, marks=marks)
    _say(text)


def _say(text: str) -> None:
    print(encodable(printable(text), sys.stdout.encoding), flush=True)


def _absolute(path: str | None) -> str | None:
    """Return a path that means the same from any folder; ``random`` is no path."""
    return path if path in {None, "random"} else str(Path(str(path)).expanduser().absolute())


def _with_absolute_files(options: FoolingOptions) -> FoolingOptions:
    return replace(options, files=[str(_absolute(file)) for file in options.files])


def _fail(sentence: str) -> NoReturn:
    print(f"boundary: {printable(sentence)}", file=sys.stderr)
    sys.exit(MISTAKE)
