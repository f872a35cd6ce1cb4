"""A few hundred mutations of every kind of file; `make soak` reads 10,000."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent

CODE = """
import os
os.environ["OMP_NUM_THREADS"] = "1"  # children are forked: torch must have no threads
from pathlib import Path
from soak.mutations import fuzz, targets

work = Path(os.environ["WORK"])
for target in targets(work / "files"):
    found = fuzz(target, 12 if target.name == "configuration" else 20, 1, work / "log.txt")
    assert not found.wrong, found.wrong
    print(target.name, found.cases, found.refused)
"""


def test_only_the_projects_own_errors_come_out(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "WORK": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line.rsplit(" ", 2) for line in done.stdout.splitlines()]
    assert len(rows) == 22
    assert sum(int(cases) for _, cases, _ in rows) == 21 * 20 + 12
    assert all(int(refused) > 0 for _, _, refused in rows)
