"""A first run: without images the quickstart is offered, a long run says how it would be shorter, a run names what
comes next."""

import sys
from io import StringIO

import pytest

from resjax.cli import compare as command
from resjax.cli.compare import COMMAND, LONG, agree, next_steps, shorter
from resjax.cli.flags.settings import settings
from resjax.cli.sweep import COMMAND as SWEEP
from tests.commands import parsed_flags, require_bad_input, run_in_process


def test_without_a_dataset_the_quickstart_is_offered_and_nothing_begins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    require_bad_input(COMMAND, "--nocompile_cache", says=("--dataset=folder:", "--flagfile=quickstart"))
    require_bad_input(SWEEP, "--nocompile_cache", "--grid=lr=1,2", says=("--dataset", "--flagfile=sweep_demo"))
    assert not list(tmp_path.iterdir())


class Keyboard(StringIO):
    def isatty(self) -> bool:
        return True


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "typed", "flags", "begins", "is_asked"),
    [
        (LONG - 1, "", (), True, False),
        (LONG + 1, "y\n", (), True, True),
        (LONG + 1, "Yes\n", (), True, True),
        (LONG + 1, "n\n", (), False, True),
        (LONG + 1, "\n", (), False, True),
        (LONG + 1, "", ("--yes",), True, False),
        # Without a terminal nobody is asked.
        (LONG + 1, None, (), True, False),
    ],
)
def test_a_long_run_says_how_it_is_shorter_and_asks_on_a_terminal(seconds, typed, flags, begins, is_asked, monkeypatch):
    screen = StringIO() if typed is None else Screen()
    monkeypatch.setattr(sys, "stdin", StringIO() if typed is None else Keyboard(typed))
    monkeypatch.setattr(sys, "stdout", screen)
    with parsed_flags(COMMAND, "--dataset=synthetic", *flags):
        asked = settings("compare")
        if begins:
            agree(asked, seconds)
        else:
            with pytest.raises(SystemExit) as ended:
                agree(asked, seconds)
            assert ended.value.code == 1
    assert ("--image_size=64" in screen.getvalue()) is (seconds > LONG)
    assert ("--yes" in screen.getvalue()) is is_asked


def test_what_is_proposed_is_smaller_than_what_was_asked():
    with parsed_flags(COMMAND, "--image_size=32", "--width=8", "--epochs=300"):
        assert shorter(settings("compare")).endswith("--epochs=10")
    with parsed_flags(COMMAND, "--image_size=32", "--width=8", "--epochs=3"):
        assert "--seeds" in shorter(settings("compare"))


def test_a_run_that_is_declined_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "agree", lambda asked, seconds: sys.exit(1))
    tiny = ("--image_size=16", "--stem=cifar", "--width=2", "--epochs=1", "--seeds=1", "--architectures=plain8")
    flags = ("--dataset=synthetic:20", "--batch_size=8", "--nocompile_cache", f"--cache_dir={tmp_path}/cache")
    status, _, _ = run_in_process(COMMAND, *tiny, *flags)
    assert status == 1 and [each.name for each in tmp_path.iterdir()] == ["cache"]


def test_the_next_commands_have_the_runs_own_folder(tmp_path):
    (tmp_path / "my runs" / "figures").mkdir(parents=True)
    workdir = tmp_path / "my runs"
    said = next_steps(workdir, "folder:my images")
    assert f"report:  {workdir / 'report.html'}" in said and "answer.png" not in said
    (workdir / "figures" / "answer.png").touch()
    assert str(workdir / "figures" / "answer.png") in next_steps(workdir, "synthetic")
    assert f"--workdir='{workdir}'" in said and "resjax audit '--dataset=folder:my images'" in said
    assert next_steps(workdir, "synthetic:60").count("resjax ") == 3
