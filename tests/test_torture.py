"""A run that is killed at any moment, again and again, ends as one that never was (`tests/torture.py` kills it).

One kill, and ten with `-m long`; the longest form is `RESJAX_TORTURE_KILLS=200 RESJAX_TORTURE_RECORD=FILE pytest
tests/test_torture.py`, which writes each kill to the file.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resjax.records import read_record, write_record
from tests.torture import Torture

ROOT = Path(__file__).parents[1]


KILLS = os.environ.get("RESJAX_TORTURE_KILLS")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kills", "flags"),
    [
        (1, ("--architectures=resnet8", "--seeds=1", "--epochs=2")),
        pytest.param(int(KILLS or 10), (), marks=[] if KILLS else pytest.mark.long),
    ],
)
def test_a_run_killed_again_and_again_ends_bit_for_bit_as_one_that_never_was(kills, flags, tmp_path):
    record = Path(os.environ.get("RESJAX_TORTURE_RECORD", tmp_path / "torture.json")).absolute()
    command = [sys.executable, "-m", "tests.torture", f"--kills={kills}", f"--folder={tmp_path}", f"--record={record}"]
    done = subprocess.run([*command, "--", *flags], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = read_record(record, Torture)
    assert len(found.kills) == sum(found.killed.values()) == kills and found.runs_that_ended >= 1


def test_committed_records_of_it_are_read(tmp_path):
    for path in (ROOT / "experiments" / "results" / "checks").glob("torture*.json"):
        write_record(tmp_path / path.name, read_record(path, Torture))
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
