"""Freed memory stays with a process that trains."""

import subprocess
import sys

import pytest

STEPS = """
import resource, sys
from resjax.cli.machine import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else True
def step():
    block = bytearray(200_000_000)
for _ in range(2):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_a_block_that_was_freed_is_not_asked_of_the_system_again():
    faults = {}
    for what in ("keep", "default"):
        command = [sys.executable, "-c", STEPS, what]
        kept, count = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        if kept == "False":
            pytest.skip("this C library has no such settings")
        faults[what] = int(count)
    assert faults["keep"] * 10 < faults["default"]
