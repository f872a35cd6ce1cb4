"""``provenance.json``: what a run was begun with, and when and on what each stage was made."""

import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from boundary.errors import StoreError
from boundary.files import write_text

DISTRIBUTION = "boundary-geometry"
PACKAGES = (DISTRIBUTION, "torch", "numpy", "scipy", "h5py", "matplotlib")


class Provenance:
    """The record of a run.

    Args:
        path: Of its file, which may not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Begin a new record with where, when and on what."""
        self._write({"begun": _now(), **facts, **_environment(), "stages": {}})

    def rename(self, name: str) -> None:
        """Give the model another name; a report under the old one counts as not made.

        Raises:
            StoreError: If the record is damaged.
        """
        record = self.read()
        model = record.get("model")
        if isinstance(model, dict) and model.get("name") != name:
            model["name"] = name
            record.get("stages", {}).pop("report", None)
            self._write(record)

    def add(self, stage: str, facts: Mapping[str, Any]) -> None:
        """Add that a stage is done, and what had changed since the begin.

        Raises:
            StoreError: If the record is damaged.
        """
        record = self.read()
        changed = {name: now for name, now in _environment().items() if record.get(name) != now}
        record.setdefault("stages", {})[stage] = {"finished": _now(), **facts, **changed}
        self._write(record)

    def stages(self) -> dict[str, Any]:
        """Return what is recorded of each stage that is done.

        Raises:
            StoreError: If the record is damaged.
        """
        stages: dict[str, Any] = self.read().get("stages", {})
        return stages

    def checksums(self) -> dict[str, str]:
        """Return the SHA-256 of each stage's result, as far as the record has it.

        Raises:
            StoreError: If the record is damaged.
        """
        known = {
            name: facts.get("sha256")
            for name, facts in self.stages().items()
            if isinstance(facts, dict)
        }
        return {name: text for name, text in known.items() if isinstance(text, str)}

    def read(self) -> dict[str, Any]:
        """Return what the record says; nothing where there is none.

        Raises:
            StoreError: If it is damaged.
        """
        try:
            record = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError) as error:
            record, reason = None, f": {error}"
        else:
            reason = ""
        if not isinstance(record, dict) or not isinstance(record.get("stages", {}), dict):
            raise StoreError(
                f"`{self.path}` is damaged{reason}; delete it, and the record begins anew."
            )
        return record

    def _write(self, record: Mapping[str, Any]) -> None:
        write_text(self.path, json.dumps(record, indent=2) + "\n")


def digest(settings: Mapping[str, Any]) -> str:
    """Return a short hash of settings, JSON values."""
    text = json.dumps(dict(settings), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def _environment() -> dict[str, Any]:
    """Return the versions and the machine that a number may depend on."""
    return {
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in PACKAGES},
        "machine": f"{platform.platform()}, {platform.machine()}",
    }


def _now() -> str:
    """Return the present time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
