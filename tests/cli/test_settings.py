"""From words on the command line to settings."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from resjax.cli.compare import COMMAND
from resjax.cli.flags.data import define_source_flags
from resjax.cli.flags.settings import own_flags, parse_looks, parse_seeds, settings
from resjax.cli.program import Command
from resjax.data.augmentation import ResizedCrop, TrivialAugment
from resjax.errors import BadInput
from resjax.records.defaults import DEFAULTS
from resjax.run.stopping import Stopped
from resjax.terminal import duration
from tests.commands import parsed_flags, run_in_process

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "seeds"), [("6", (0, 1, 2, 3, 4, 5)), ("0,3,7", (0, 3, 7)), ("3,", (3,)), ("1", (0,))]
)
def test_a_number_counts_seeds_and_a_list_names_them(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "0", "-2", "a", "1,1", "2,-1", "1.5"])
def test_other_seeds_are_refused_with_what_is_accepted(text):
    with pytest.raises(BadInput, match="--seeds="):
        parse_seeds(text)


@pytest.mark.parametrize(("seconds", "text"), [(8.4, "8 s"), (200, "3 min"), (7900, "2 h 12 min")])
def test_lengths_of_time_are_for_reading(seconds, text):
    assert duration(seconds) == text


def test_auto_is_judged_at_looks_that_are_fixed_beforehand():
    assert parse_looks("auto", 20) == (8, 12, 16, 20) and parse_looks("auto", 6) == (6,)
    assert parse_looks("6", 20) == ()
    with pytest.raises(BadInput, match="--max_seeds=5"):
        parse_looks("auto", 5)


def test_who_stops_reading_the_output_gets_no_traceback():
    code = """
from resjax.cli.program import Command, run_command
run_command(Command("print", "", lambda: [print(1000 * "x", flush=True) for _ in range(1000)], ()), [])
"""
    command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert command.stdout.readline() == 1000 * b"x" + b"\n"
    command.stdout.close()
    said = command.stderr.read()
    command.stderr.close()
    assert command.wait() == 128 + signal.SIGPIPE and said == b""


def test_a_run_that_is_stopped_says_which_command_resumes_it():
    def stop() -> None:
        raise Stopped("stopped by SIGTERM", 143)

    command = Command("compare", "", stop, (define_source_flags,))
    status, _, said = run_in_process(command, "--dataset=csv:my photos/train.csv")
    assert status == 143 and said.rstrip().endswith("python -m experiments.compare '--dataset=csv:my photos/train.csv'")


def test_the_defaults_that_reports_leave_out_are_those_of_the_flags():
    with parsed_flags(COMMAND):
        values = own_flags()
    assert {name: value for name, value in values.items() if value is not None} == DEFAULTS


def test_the_strong_flagfile_asks_for_every_part_of_a_strong_recipe():
    with parsed_flags(COMMAND, f"--flagfile={ROOT}/experiments/flags/strong.flags"):
        asked = settings("compare")
    recipe = asked.recipe
    assert all((recipe.mixup, recipe.cutmix, recipe.label_smoothing, recipe.clip_norm, recipe.ema_decay))
    assert {type(each) for each in recipe.augmentations} >= {ResizedCrop, TrivialAugment}
    with parsed_flags(COMMAND, f"--flagfile={ROOT}/experiments/flags/quickstart.flags"):
        quickstart = settings("compare")
    assert (asked.architectures, asked.seeds, asked.image_size) == (
        *(quickstart.architectures, quickstart.seeds, quickstart.image_size),
    )
