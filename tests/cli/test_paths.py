"""`~` in every flag that names a path, also in flagfiles, and after what may stand before a path."""

import sys
from pathlib import Path

import pytest
from absl import flags

from resjax.cli.audit import COMMAND as AUDIT
from resjax.cli.compare import COMMAND as COMPARE
from resjax.cli.flags.paths import PathParser
from resjax.cli.flags.settings import settings
from resjax.cli.predict import COMMAND as PREDICT
from resjax.cli.probe import COMMAND as PROBE
from resjax.cli.probe import with_flags_of_run
from resjax.cli.program import shipped_flagfiles
from resjax.cli.report import COMMAND as REPORT
from resjax.cli.sweep import COMMAND as SWEEP
from tests.commands import parsed_flags, require_bad_input, run_in_process

FLAGS = flags.FLAGS
COMMANDS = {each.name: each for each in (AUDIT, COMPARE, PREDICT, PROBE, REPORT, SWEEP)}
WORDS_OF_PATHS = ("folder", "file ", "file,", "workdir", "safetensors")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("flag", "given", "expected"),
    [
        *((flag, "~/x", "HOME/x") for flag in ("image_dir", "data_dir", "cache_dir", "split_file", "workdir")),
        ("dataset", "csv:~/a b.csv", "csv:HOME/a b.csv"),
        ("dataset", "folder:~", "folder:HOME"),
        ("dataset", "tfds:cifar10@train[:20%]", "tfds:cifar10@train[:20%]"),
        ("init_from", "~/w.safetensors", "HOME/w.safetensors"),
        ("init_from", "plain18=~/a,resnet18=~/b", "plain18=HOME/a,resnet18=HOME/b"),
        ("workdir", "a~/~b", "a~/~b"),
    ],
)
def test_a_home_folder_is_read_as_a_shell_does(flag, given, expected, home):
    with parsed_flags(COMPARE, f"--{flag}={given}"):
        assert FLAGS[flag].value == expected.replace("HOME", str(home))


def test_several_paths_are_read_each(home):
    with parsed_flags(REPORT, "--workdir=~/a,~/b"):
        assert FLAGS.workdir == f"{home}/a,{home}/b"
    with parsed_flags(SWEEP, "--merge=~/a,b"):
        assert FLAGS.merge == f"{home}/a,b"


def test_a_home_folder_in_a_flagfile_and_of_a_flagfile(home):
    (home / "mine.flags").write_text("--workdir=~/out\n--flagfile=~/more.flags\n")
    (home / "more.flags").write_text("--dataset=folder:~/images\n")
    assert shipped_flagfiles(["--flagfile=~/mine.flags"]) == [f"--flagfile={home}/mine.flags"]
    with parsed_flags(COMPARE, f"--flagfile={home}/mine.flags"):
        sys.argv = ["compare"]
        assert settings("compare").workdir == home / "out" and FLAGS.dataset == f"folder:{home}/images"


def test_the_flags_of_a_run_in_the_home_folder_are_found(home):
    (home / "out").mkdir()
    (home / "out" / "config.flags").write_text("--epochs=3\n")
    assert with_flags_of_run(["--workdir=~/out"]) == [f"--flagfile={home}/out/config.flags", "--workdir=~/out"]


@pytest.mark.parametrize(
    "argument",
    [
        "--workdir=~nobody-here/x",
        "--dataset=csv:~nobody-here/a.csv",
        "--init_from=a=~nobody-here/w",
        "--flagfile=~no/x",
    ],
)
def test_the_home_of_an_unknown_user_is_refused(argument):
    require_bad_input(COMPARE, argument, says=(argument.partition("=")[0].lstrip("-"), "~no"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_whose_help_names_a_file_or_folder_expands_it(name):
    with parsed_flags(COMMANDS[name], *(["--workdir=x"] if name == "probe" else [])):
        for flag in FLAGS._flags().values():
            module = FLAGS.find_module_defining_flag(flag.name, "")
            if module.startswith("resjax") and flag.help.startswith(WORDS_OF_PATHS):
                assert isinstance(flag.parser, PathParser), f"--{flag.name}: use define_path"


def test_results_are_written_below_the_home_folder(home, monkeypatch):
    monkeypatch.chdir(home)
    status, _, err = run_in_process(
        AUDIT, "--dataset=synthetic:60", "--workdir=~/deep/audit", "--cache_dir=~/cache", "--nonear_copies"
    )
    assert status == 0, err
    assert (home / "deep" / "audit" / "dataset.json").exists() and not (home / "~").exists()
