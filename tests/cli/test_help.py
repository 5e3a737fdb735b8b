"""`--help` is grouped and fits the terminal; the common flags have examples that work, and `--helpfull` has all."""

import re
from itertools import pairwise

import pytest
from absl import flags

from experiments.benchmarks.program import COMMAND as BENCHMARK
from experiments.reproductions.program import COMMAND as REPRODUCE
from resjax.cli.audit import COMMAND as AUDIT
from resjax.cli.compare import COMMAND as COMPARE
from resjax.cli.help import EXAMPLES, GROUPS, REQUIRED, SHOWN
from resjax.cli.plan import COMMAND as PLAN
from resjax.cli.predict import COMMAND as PREDICT
from resjax.cli.probe import COMMAND as PROBE
from resjax.cli.report import COMMAND as REPORT
from resjax.cli.sweep import COMMAND as SWEEP
from resjax.cli.verdict import COMMAND as VERDICT
from tests.commands import parsed_flags, require_bad_input, run_in_process

FLAGS = flags.FLAGS
COMMANDS = {each.name: each for each in (AUDIT, COMPARE, PLAN, PREDICT, PROBE, REPORT, SWEEP, VERDICT)}


def shown_by(command, option: str) -> str:
    status, shown, errors = run_in_process(command, option)
    assert (status, errors) == (0, "")
    return shown


def flags_in(shown: str) -> list[str]:
    return re.findall(r"^  --(\w+)", shown, re.M)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_help_fits_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in (*COMMANDS.values(), REPRODUCE, BENCHMARK):
        lines = shown_by(command, "--helpfull").splitlines()
        # A long path is not divided.
        texts = [line for line in lines if len(line.rstrip(" \\").split()) > 1]
        assert min(columns, 100) - 15 < max(map(len, texts)) <= columns, command.name
        # A command that was wrapped is one line for a shell.
        assert all(after.startswith("      ") for line, after in pairwise(lines) if line.endswith("\\"))


def test_help_is_in_groups_with_the_common_flags_and_helpfull_has_every_one():
    short, full = shown_by(COMPARE, "--help"), shown_by(COMPARE, "--helpfull")
    places = [short.index(f"\n{group}\n") for group in GROUPS]
    assert places == sorted(places) and "--helpfull" in short
    assert set(flags_in(short)) == {*EXAMPLES, "yes"} and all(example in short for example in EXAMPLES.values())
    with parsed_flags(COMPARE):
        modules = FLAGS.flags_by_module_dict()
        own = {flag.name for module, found in modules.items() if module.startswith("resjax") for flag in found}
    assert sorted(flags_in(full)) == sorted(own)
    assert {name for names in GROUPS.values() for name in names} == own


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_of_a_command_is_in_its_helpfull_and_its_own_are_in_its_help(name):
    command = COMMANDS[name]
    short, full = flags_in(shown_by(command, "--help")), flags_in(shown_by(command, "--helpfull"))
    with parsed_flags(command):
        modules = FLAGS.flags_by_module_dict()
        found = {flag.name: module for module, found in modules.items() for flag in found}
    ours = {each for each, module in found.items() if module.startswith("resjax")}
    assert sorted(full) == sorted(ours) and set(short) <= set(full)
    assert {each for each in ours if found[each] == f"resjax.cli.{name}"} <= set(short)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_flag_without_which_a_command_does_not_begin_is_shown_as_required(name, tmp_path, monkeypatch):
    command, flag = {**COMMANDS, "reproduce": REPRODUCE}[name], REQUIRED[name]
    assert re.search(rf"^  --{flag}\n(?: {{6}}.*\n)*? {{6}}.*\(required\)", shown_by(command, "--help"), re.M)
    monkeypatch.chdir(tmp_path)
    require_bad_input(command, *(["--nocompile_cache"] if name != "report" else []), says=(f"--{flag}",))


def test_the_help_of_a_command_that_reads_a_workdir_has_no_flags_that_the_workdir_brings():
    assert flags_in(shown_by(PROBE, "--help")) == list(SHOWN["probe"])


def test_the_examples_work():
    with parsed_flags(COMPARE, *EXAMPLES.values()):
        assert all(FLAGS[name].present for name in EXAMPLES)


def test_a_command_is_named_as_it_was_started(capsys):
    from resjax.cli.program import run_command
    from tests.commands import forget_flags

    forget_flags()
    run_command(COMPARE, ["--help"], program=("resjax", "compare"))
    forget_flags()
    shown = capsys.readouterr().out
    assert "resjax compare --flagfile=quickstart" in shown and "experiments.compare" not in shown
