"""Every kind of bad input to compare: one line on stderr that names it, exit status 2, and nothing left behind."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resjax.cli.audit import COMMAND as AUDIT
from resjax.cli.compare import COMMAND
from resjax.cli.plan import COMMAND as PLAN
from resjax.cli.sweep import COMMAND as SWEEP
from tests.commands import require_bad_input, run_in_process

TINY = [
    *("--image_size=16", "--stem=cifar", "--width=2", "--epochs=2", "--seeds=2", "--batch_size=16"),
    *("--architectures=plain18,resnet18", "--augment=flip", "--nocompile_cache"),
]


@pytest.fixture
def trouble(tmp_path, monkeypatch) -> Path:
    """The folder in which the command runs, with files and folders that are wrong in some way."""
    (tmp_path / "wrong.csv").write_text("name,class\na.png,x\n")
    (tmp_path / "torn.json").write_text('{"schema_version": 1, "images": [{"id": "a')
    (tmp_path / "wrong.safetensors").write_text("no weights")
    for folder in ("wrong", "empty"):
        (tmp_path / folder).mkdir()
    for label, count in (("many", 5), ("lonely", 1)):
        (tmp_path / "lonely" / label).mkdir(parents=True)
        for index in range(count):
            pixels = np.random.default_rng(index).integers(0, 255, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "lonely" / label / f"{index}.png")
    shutil.copytree(tmp_path / "lonely", tmp_path / "parted" / "test")
    shutil.copytree(tmp_path / "lonely" / "many", tmp_path / "parted" / "train" / "many")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--architectures=plain34,resnet43"], "resnet34"),
        (["--architectures=resnet33"], "resnet34 or resnet32"),
        (["--comparisons=plain18:resnet34"], "resnet34"),
        (["--comparisons=plain18:plain18"], "--comparisons"),
        (["--comparisons=best"], "--comparisons"),
        (["--comparisons=plain18:resnet18,resnet18:plain18"], "--comparisons"),
        (["--metric=acuracy"], "accuracy"),
        (["--margin=0"], "--margin=0"),
        (["--margin=100"], "--margin=100"),
        (["--margin=-1.5"], "--margin=-1.5"),
        (["--margin=nan"], "--margin=nan"),
        (["--architectures=resnext50_32x4d"], "--width=2"),
        (["--architectures=plain18_fixup"], "without a shortcut"),
        (["--stem=imagenet"], "--image_size=16"),
        (["--dataset=synthetic:60", "--init_from=nowhere.safetensors"], "nowhere.safetensors"),
        (["--dataset=synthetic:60", "--init_from=wrong.safetensors"], "wrong.safetensors"),
        (["--init_from=resnet34=wrong.safetensors"], "plain18, resnet18"),
        (["--dataset=synthetic:60", "--freeze=stemm.*"], "--freeze=stemm.*"),
        (["--dataset=sinthetic"], "synthetic"),
        (["--dataset=csv:nowhere.csv"], "nowhere.csv"),
        (["--dataset=folder:nowhere"], "nowhere"),
        (["--dataset=csv:wrong.csv"], "filename"),
        (["--dataset=csv:lonely"], "--dataset=folder:lonely"),
        (["--dataset=synthetic:60", "--workdir="], "--workdir="),
        (["--dataset=folder:empty"], "empty"),
        (["--dataset=folder:lonely"], "lonely"),
        (["--dataset=folder:lonely", "--workdir=lonely/out"], "--workdir=lonely/out"),
        (["--dataset=folder:lonely", "--workdir=lonely/../lonely"], "--workdir=lonely/../lonely"),
        (["--dataset=folder:.", "--workdir=runs/x"], "--workdir=runs/x"),
        (["--dataset=folder:lonely", "--cache_dir=lonely/cache"], "--cache_dir=lonely/cache"),
        (["--dataset=folder:parted"], "'lonely' has images in test and none in train"),
        (["--dataset=tfds:cifar10", "--data_dir=empty"], "pip install 'resjax[prepare]'"),
        (["--data_dir=empty", "--dataset=synthetic:60"], "tfds:NAME"),
        (["--optimizer=adma"], "adam"),
        (["--epochs=many"], "epochs"),
        (["--epoch=3"], "epochs"),
        (["--seeds=0,0"], "--seeds"),
        (["--augment=flop"], "flip"),
        (["--augment=crop:16"], "crop"),
        (["--val_fraction=1.5"], "val_fraction"),
        (["--batch_size=5000", "--dataset=synthetic:60"], "--batch_size"),
        (["--workdir=wrong.csv/out", "--dataset=synthetic:60"], "--workdir"),
        (["--flagfile=nowhere.flags"], "nowhere.flags"),
        (["--flagfile=experiments/flags/quickstart.flags"], "did you mean --flagfile=quickstart?"),
        (["--split_file=nowhere.json", "--dataset=synthetic:60"], "nowhere.json"),
        (["--split_file=torn.json", "--dataset=synthetic:60"], "torn.json"),
        (["--split=stratified"], "grouped, random, overlapping, given"),
        (["--split=grouped,grouped"], "--split"),
        (["--split=given", "--dataset=synthetic:60"], "without a split of its own"),
        (["--split=grouped,random", "--split_file=a.json"], "--split=grouped,random"),
        (["--folds=1"], "--folds"),
        (["--folds=5", "--val_fraction=0.2"], "--val_fraction=0.2"),
        (["--folds=5", "--split=grouped,random"], "--folds=5 with --split=grouped,random"),
        (["extra"], "extra"),
        (["--lr="], "--lr=0.0005"),
        (["--lr=1e-3,1e-2"], "a number"),
        (["--epochs="], "--epochs=10"),
        (["--image_size=64px"], "a whole number"),
        (["--yes=maybe"], "true or false"),
        (["--dataset"], "the value is missing"),
        (["--dataset="], "folder:PATH"),
        (["--dataset=folder:"], "the path is missing"),
        (["--dataset=lonely"], "did you mean folder:lonely"),
        (["lonely"], "--dataset=folder:lonely"),
        (["wrong.csv"], "--dataset=csv:wrong.csv"),
        (["--dataset=folder:lonley"], "did you mean lonely"),
        (["--dataset=csv:wrnog.csv"], "did you mean wrong.csv"),
        (["--dataset=cifar10"], "tfds:cifar10"),
        (["--dataset=https://x.org/a.zip"], "download"),
        (["--folder=lonely"], "--dataset"),
        (["--gpu"], "JAX_PLATFORMS"),
        (["--cache_dir=/proc/none", "--dataset=synthetic:60"], "cache_dir"),
        (["--workdir=/proc/none", "--dataset=synthetic:60"], "--workdir=/proc/none"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_bad_input_ends_with_one_line_and_status_2_and_leaves_nothing(flags, named, trouble):
    require_bad_input(COMMAND, "--workdir=out", *TINY, *flags, says=(named,))
    assert not (trouble / "out").exists()


@pytest.mark.parametrize("command", [AUDIT, PLAN, SWEEP], ids=lambda command: command.name)
@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--datset=synthetic"], "--dataset"),
        (["--dataset=folder:lonley"], "did you mean lonely"),
        (["--dataset=lonely"], "folder:lonely"),
        (["lonely"], "--dataset=folder:lonely"),
        (["--workdir="], "--workdir="),
        (["--workdir=/proc/none"], "--workdir=/proc/none"),
        (["--cache_dir=/proc/none"], "cache_dir"),
        (["--flagfile=quickstrat"], "quickstart"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_the_same_mistakes_have_the_same_answers_in_other_commands(command, flags, named, trouble):
    own = ["--grid=epochs=1,2", "--image_size=16", "--stem=cifar", "--width=2"] if command is SWEEP else []
    require_bad_input(command, "--dataset=synthetic:60", *own, *flags, says=(named,))
    assert not (trouble / "runs").exists() and not (trouble / "dataset.json").exists()


def test_a_path_that_is_not_there_is_said_with_the_folder_in_which_it_was_looked_for(trouble, monkeypatch):
    (trouble / "elsewhere").mkdir()
    monkeypatch.chdir(trouble / "elsewhere")
    require_bad_input(COMMAND, "--workdir=out", *TINY, "--dataset=folder:lonely", says=(str(trouble / "elsewhere"),))


def test_without_a_home_folder_the_cache_has_to_be_named(trouble, monkeypatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    flags = [flag for flag in TINY if flag != "--nocompile_cache"]
    for each in (TINY, flags):
        require_bad_input(COMMAND, "--workdir=out", *each, "--dataset=synthetic:60", says=("--cache_dir",))
    assert not (trouble / "out").exists()


def test_a_folder_that_cannot_be_written_is_named_with_its_flag(trouble, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith(str(trouble / "empty")))
    require_bad_input(COMMAND, "--workdir=empty/out", *TINY, "--dataset=synthetic:60", says=("--workdir=empty/out",))
    assert not (trouble / "empty" / "out").exists()


def test_help_names_every_flag_with_its_default():
    status, shown, _ = run_in_process(COMMAND, "--help")
    assert status == 0 and "--epochs" in shown and "(default: 0.0005)" in shown
    assert "shortcut help" in shown.splitlines()[0]
