"""Freed memory is kept for the next batch."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
from boundary.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    torch.ones(30, 1 << 20).add(1)
for _ in range(3):
    work()
before = faults()
for _ in range(5):
    work()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_memory_is_used_again() -> None:
    fresh, kept = (
        int(
            subprocess.run(
                [sys.executable, "-c", SCRIPT, way], capture_output=True, text=True, check=True
            ).stdout
        )
        for way in ("default", "keep")
    )
    assert fresh > 100
    assert kept < fresh / 3
