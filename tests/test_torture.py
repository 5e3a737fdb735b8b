"""A run that is killed at any moment, again and again, ends as one that never was (`tests/torture.py` kills it).

Four kills by default; the long form is `RESJAX_TORTURE_KILLS=200 RESJAX_TORTURE_RECORD=FILE pytest
tests/test_torture.py`, which writes each kill to the file.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_bit_for_bit_as_one_that_never_was(tmp_path):
    kills = int(os.environ.get("RESJAX_TORTURE_KILLS", "4"))
    command = [sys.executable, "-m", "tests.torture", f"--kills={kills}", f"--folder={tmp_path}"]
    if record := os.environ.get("RESJAX_TORTURE_RECORD"):
        command.append(f"--record={Path(record).absolute()}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    assert sum(counts["killed"].values()) >= kills and counts["runs_that_ended"] >= 1
