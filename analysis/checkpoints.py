"""What a computation that takes long has made so far, kept on disk until it has ended."""

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from analysis.saved import load_result, load_settings, save_result
from boundary.errors import StoreError
from boundary.ranks import ALONE, Ranks

_log = logging.getLogger(__name__)

Part = TypeVar("Part")

_PAUSE = 20.0
"""Seconds between two states of one part."""


class Checkpoint:
    """A place for parts, each a dataclass of arrays, that another command of the same work finds.

    Several processes share it: the first reads and writes, all are told what was read.

    Args:
        folder: Made when the first part is kept; None keeps nothing.
        settings: JSON values; a part that was kept with others is not returned.
        ranks: The processes.
        name: Of this place in the folder.
    """

    def __init__(
        self,
        folder: Path | None,
        settings: Mapping[str, Any] | None = None,
        ranks: Ranks = ALONE,
        name: str = "",
    ) -> None:
        self._folder, self._settings = folder, dict(settings or {})
        self._ranks, self._name = ranks, name
        self._kept_at = time.monotonic()

    def within(self, name: str) -> "Checkpoint":
        """Return the place of a part of this part."""
        inner = f"{self._name}, {name}" if self._name else name
        return Checkpoint(self._folder, self._settings, self._ranks, inner)

    def load(self, kind: type[Part]) -> Part | None:
        """Return what was kept here, None if nothing was.

        Args:
            kind: Its dataclass.

        A file that cannot be read, or that another version of this program wrote, counts as none.
        """

        def there() -> Part | None:
            path = self._path
            if path is None or not path.exists():
                return None
            try:
                known = load_settings(path) == self._settings
                return load_result(path, kind) if known else None
            except StoreError as error:
                _log.warning("what was kept in `%s` is made anew: %s", path, error)
                return None

        return self._ranks.from_first(there)

    def keep(self, part: Any) -> None:
        """Write a part whole, in place of what was here."""
        path = self._path
        if path is not None and self._ranks.first:
            path.parent.mkdir(exist_ok=True)
            save_result(path, part, self._settings)
        self._kept_at = time.monotonic()

    def keep_state(self, state: Any, *, last: bool) -> None:
        """Keep a state if it is the last one, or if some time has passed since that before."""
        due = last or time.monotonic() - self._kept_at > _PAUSE
        if self._folder is not None and due:
            self.keep(state)

    def made(self, kind: type[Part], make: Callable[[], Part]) -> Part:
        """Return what was kept here, or make and keep it.

        Args:
            kind: Its dataclass.
            make: Called by all processes, or by none.
        """
        found = self.load(kind)
        if found is None:
            found = make()
            self.keep(found)
        return found

    def forget(self) -> None:
        """Delete the folder with all parts."""
        if self._folder is not None and self._folder.is_dir():
            shutil.rmtree(self._folder)

    @property
    def _path(self) -> Path | None:
        return None if self._folder is None else self._folder / f"{self._name}.h5"


NOT_KEPT = Checkpoint(None)
"""Keeps nothing."""
