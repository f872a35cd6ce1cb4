"""The run directory: configuration, and one result file a stage."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from analysis.saved import load_settings
from boundary.errors import BoundaryError, InputError, StoreError
from boundary.files import TEMPORARY, make_folder, sha256_of_file, write_text
from boundary.lock import locked
from boundary.manifest import MANIFEST
from boundary.store import NormalsStore, differences
from study.collected import Collected
from study.config import FREE, StudyConfig, config_from, without_retired
from study.provenance import Provenance, digest
from study.settings_file import read_settings

STAGES = ("collect", "spectrum", "universal", "fooling", "curvature")
"""Those that leave a result which the report needs, each resting on those before it."""

OPTIONAL = ("transfer",)
"""Those whose results the report shows where they are there."""

_RESTS_ON = {
    **{stage: basis for basis, stage in pairwise(STAGES)},
    "transfer": "fooling",
    "curvature": "universal",
}

_log = logging.getLogger(__name__)


class RunDirectory(Collected):
    """The files of one study.

    Args:
        path: Of the directory; `prepare` makes it.
        ranks: The processes that work in it together; the first writes what is not a shard.
    """

    @property
    def perturbations(self) -> Path:
        """Directory of the perturbations at the reference norm, one file a family."""
        return self.path / "perturbations"

    @property
    def unfinished(self) -> Path:
        """Directory of universal perturbations whose stage has not ended."""
        return self.perturbations / "unfinished"

    def perturbation(self, family: str) -> Path:
        """Return the file of a family of perturbations."""
        return self.perturbations / f"{family.replace(' ', '-')}.safetensors"

    @property
    def report(self) -> Path:
        """The report, one self-contained file."""
        return self.path / "report.html"

    @property
    def provenance(self) -> Provenance:
        """The record of what was made when, on what, and the checksums of results."""
        return Provenance(self.path / "provenance.json")

    def result(self, stage: str) -> Path:
        """Return the file that a stage writes."""
        return self.path / f"{stage}.h5"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from working in the directory meanwhile.

        What a killed one was writing is removed.

        Raises:
            StoreError: If one is at work there, or the directory cannot be made or written to.
        """
        if not self.ranks.first:
            yield
            return
        try:
            make_folder(self.path)
            lock = ExitStack()
            lock.enter_context(locked(self.path))
        except OSError as error:
            raise StoreError(
                f"`{self.path}` should be a directory that can be made and written to: "
                f"{error.strerror}; name another --out."
            ) from error
        with lock:
            for name in (".", "perturbations", "figures", "untrained"):
                for stale in (self.path / name).glob(f"*{TEMPORARY}"):
                    stale.unlink()
            yield

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Answer for results that cannot be shown, as forged or damaged ones may not fit.

        Raises:
            BoundaryError: As the code within raised it.
            StoreError: If that fails over what it computes from results.
        """
        try:
            yield
        except BoundaryError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise StoreError(
                f"the results in `{self.path}` do not fit each other ({type(error).__name__}: "
                f"{error}); `boundary verify {self.path}` says whether one is damaged."
            ) from error

    def prepare(self, config: Mapping[str, Any], *, replace: bool = False) -> None:
        """Make the directory and write its configuration, or check that it is the same.

        Args:
            config: As JSON values.
            replace: Write a different configuration over the one that is there.

        Raises:
            StoreError: If the directory holds a study of other settings.
        """
        if not replace:
            self.require_same_study(config)
        text = yaml.safe_dump(dict(config), sort_keys=False)
        make_folder(self.path)
        write_text(self.config_file, text)

    def require_same_study(self, config: Mapping[str, Any]) -> None:
        """Refuse settings other than those that something in the directory was made with.

        Args:
            config: As JSON values.

        Raises:
            StoreError: If they differ.
        """
        if not self.config_file.exists():
            return
        changed = differences(self._binding(asdict(self.study())), self._binding(config))
        if changed:
            raise StoreError(
                f"`{self.path}` holds a study with other settings: {'; '.join(changed)}. "
                f"Name another --out, or continue that one with "
                f"`boundary run --config {self.config_file} --out {self.path}`."
            )

    def is_begun(self) -> bool:
        """Return whether something in the directory was computed.

        Raises:
            StoreError: If the store of normals is damaged.
        """
        if any(self.result(stage).exists() for stage in (*STAGES, *OPTIONAL)):
            return True
        return (self.normals / MANIFEST).exists() and NormalsStore.open(self.normals).covered > 0

    def _binding(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that something in the directory was made with."""
        if not self.is_begun():
            return {}
        unused = {stage for stage in (*STAGES, *OPTIONAL) if not self.result(stage).exists()}
        return {name: config[name] for name in config if name not in {*FREE, *unused}}

    def config(self) -> dict[str, Any]:
        """Return the configuration that is there; settings that mean nothing now are left out.

        Raises:
            StoreError: If the directory holds no study.
        """
        try:
            config = read_settings(self.config_file)
        except OSError as error:
            raise StoreError(
                f"`{self.path}` holds no study: `study.yaml` cannot be read ({error.strerror}); "
                f"`boundary run --out {self.path}` begins one."
            ) from error
        # A study of an earlier version has no untrained networks.
        return {"untrained": 0, **without_retired(config)}

    def study(self) -> StudyConfig:
        """Return the configuration that is there, checked.

        Raises:
            StoreError: If the directory holds no study, or its settings cannot be used.
        """
        try:
            return config_from(self.config())
        except InputError as error:
            raise StoreError(f"`{self.config_file}` is damaged: {error}") from error

    def is_done(self, stage: str, settings: Mapping[str, Any], *, redo: bool = False) -> bool:
        """Return whether a stage's result is there and was made with these settings.

        One that differs by what it was made from alone is of no use any more, and is made anew.

        Args:
            stage: Name of the stage.
            settings: All that its result depends on.
            redo: Treat a result as not there.

        Raises:
            StoreError: If the result was made with other settings.
        """
        path = self.result(stage)
        if redo or not path.exists():
            return False
        made, basis = load_settings(path), _RESTS_ON.get(stage, "")
        changed = differences({**made, basis: ""}, {**settings, basis: ""})
        if not changed and made.get(basis) != settings.get(basis):
            _log.info("`%s` was made from another `%s` and is made anew.", path, basis)
            return False
        self.refuse_other(stage, changed)
        if stage not in self.provenance.stages():  # killed before it could say so
            self.provenance.add(stage, {"sha256": sha256_of_file(path)})
        return True

    def refuse_other(self, stage: str, changed: Sequence[str]) -> None:
        """Refuse to go on from a result that was made with other settings.

        Args:
            stage: Name of the stage.
            changed: What differs, in words; nothing is refused where nothing does.

        Raises:
            StoreError: If something differs.
        """
        if changed:
            raise StoreError(
                f"`{self.result(stage)}` was made with other settings: {'; '.join(changed)}. "
                f"Give `boundary {stage} {self.path}` the settings you want and --redo, and it is "
                "made anew."
            )

    def out_of_date(self, stages: Sequence[str] = STAGES) -> str | None:
        """Return a sentence on the first result made from another than is there, if there is.

        Args:
            stages: Whose results are looked at.
        """
        return next((said for said in map(self._out_of_date, stages) if said), None)

    def notes(self) -> list[str]:
        """Return a sentence on each optional result that was made from another than is there."""
        return [said for said in map(self._out_of_date, OPTIONAL) if said]

    def current(self, stage: str) -> bool:
        """Return whether a stage's result is there and rests on what is there."""
        return self.result(stage).exists() and self._out_of_date(stage) is None

    def _out_of_date(self, stage: str) -> str | None:
        basis, path = _RESTS_ON.get(stage), self.result(stage)
        if basis is None or not path.exists():
            return None
        made = self.result(basis).exists()
        if made and load_settings(path).get(basis) == self.identity(basis):
            return None
        first = "" if made else f"`boundary {basis} {self.path}`, then "
        others = " OTHER ..." if stage == "transfer" else ""
        return (
            f"`{path}` was made from another `{self.result(basis).name}` than is there; "
            f"{first}`boundary {stage} {self.path}{others}` makes it anew."
        )

    def model_name(self) -> str:
        """Return the name of the model, or of the folder where no record says it."""
        model = self.provenance.read().get("model")
        name = model.get("name") if isinstance(model, dict) else None
        return str(name or self.path.resolve().name)

    def record_done(self, stage: str, begun: float, device: str) -> None:
        """Add to the record that a stage is done, how long it took and where.

        Args:
            stage: Name of the stage.
            begun: ``time.monotonic()`` when it began.
            device: In words.
        """
        seconds = round(time.monotonic() - begun, 1)
        facts = {"seconds": seconds, "device": device, "processes": self.ranks.count}
        if self.result(stage).exists():
            facts["sha256"] = sha256_of_file(self.result(stage))
        self.provenance.add(stage, facts)
        _log.debug("stage `%s` done in %.1f s on %s", stage, seconds, device)

    def finished(self, stage: str) -> Path:
        """Return the file that a stage has written.

        Raises:
            StoreError: If the stage has not been run.
        """
        path = self.result(stage)
        if not path.exists():
            raise StoreError(
                f"`{self.path}` has no result of the stage `{stage}` yet; "
                f"`boundary run --config {self.config_file} --out {self.path}` makes what is "
                "missing."
            )
        return path

    def require_basis(self, stage: str) -> None:
        """Refuse a stage that rests on one that has not been run.

        Raises:
            StoreError: If there is no result of that one.
        """
        if stage in _RESTS_ON:
            self.finished(_RESTS_ON[stage])

    def identity(self, stage: str) -> str:
        """Return a short hash of the settings that made a stage's result.

        Raises:
            StoreError: If the stage has not been run.
        """
        return digest(load_settings(self.finished(stage)))
