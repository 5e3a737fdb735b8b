"""The console command: which commands there are, which flagfiles ship, and what a slip is answered with."""

import sys

import pytest

from resjax.cli import console, program
from resjax.cli.program import flagfile_names, shipped_flagfiles
from resjax.errors import BadInput

pytestmark = pytest.mark.smoke


def run_console(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["resjax", *words])
    try:
        console.main()
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    return (status, *capsys.readouterr())


def test_without_a_command_every_command_is_shown_with_a_line(monkeypatch, capsys):
    status, shown, _ = run_console(monkeypatch, capsys)
    assert status == 0
    for name, (_, what) in console.COMMANDS.items():
        assert any(name in line and what in line for line in shown.splitlines())


@pytest.mark.parametrize(("word", "near"), [("compere", "compare"), ("Sweep", "sweep"), ("xyz", "compare")])
def test_an_unknown_command_names_the_known_ones_in_one_line(word, near, monkeypatch, capsys):
    status, _, said = run_console(monkeypatch, capsys, word)
    assert status == 2 and said.count("\n") == 1 and near in said and all(name in said for name in console.COMMANDS)


def test_a_flagfile_that_ships_is_named_without_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "quickstart" in flagfile_names()
    (given,) = shipped_flagfiles(["--flagfile=quickstart"])
    assert given.endswith("experiments/flags/quickstart.flags")
    assert shipped_flagfiles(["--flagfile", "quickstart.flags"]) == ["--flagfile", given.partition("=")[2]]
    (tmp_path / "quickstart").write_text("--epochs=1\n")
    assert shipped_flagfiles(["--flagfile=quickstart"]) == ["--flagfile=quickstart"]
    with pytest.raises(BadInput, match="--flagfile=quickstrat.*quickstart"):
        shipped_flagfiles(["--flagfile=quickstrat"])


def test_a_folder_of_a_flagfiles_name_is_no_flagfile(tmp_path, monkeypatch):
    given = shipped_flagfiles(["--flagfile=quickstart"])
    (tmp_path / "quickstart").mkdir()
    monkeypatch.chdir(tmp_path)
    assert shipped_flagfiles(["--flagfile=quickstart"]) == given


def test_every_command_defines_its_flags_and_its_introduction():
    for module, _ in console.COMMANDS.values():
        if module.startswith("resjax.cli"):
            command = __import__(module, fromlist=["COMMAND"]).COMMAND
            assert isinstance(command, program.Command) and command.introduction and command.definitions
