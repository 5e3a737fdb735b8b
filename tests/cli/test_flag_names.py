"""Other names and spellings: short flags that exist, and hints for those that do not and for values in another case."""

import pytest
from absl import flags

from resjax.cli.audit import COMMAND as AUDIT
from resjax.cli.compare import COMMAND as COMPARE
from resjax.cli.flags.names import ELSEWHERE, USUAL, unknown_flag
from resjax.cli.flags.settings import own_flags
from resjax.cli.sweep import COMMAND as SWEEP
from resjax.errors import BadInput, closest
from resjax.models.architecture import architecture
from resjax.sweep.grid import parse_grid
from tests.commands import parsed_flags, require_bad_input, run_in_process

FLAGS = flags.FLAGS
ALIASES = {"lr": "learning_rate", "bs": "batch_size", "wd": "weight_decay"}


@pytest.mark.parametrize("alias", ALIASES)
def test_short_names_set_their_flags_on_the_command_line_and_in_flagfiles(alias, tmp_path):
    (tmp_path / "a.flags").write_text(f"--{alias}=7\n")
    for argument in (f"--{alias}=7", f"--flagfile={tmp_path}/a.flags"):
        with parsed_flags(COMPARE, argument):
            assert FLAGS[ALIASES[alias]].value == 7 and FLAGS[ALIASES[alias]].present
            assert own_flags()[ALIASES[alias]] == 7 and alias not in own_flags()
    _, shown, _ = run_in_process(COMPARE, "--help")
    assert f"--{ALIASES[alias]}, --{alias}\n" in shown and shown.count(f"--{alias}\n") == 1


def test_a_grid_takes_short_names_too_and_a_flag_of_the_grid_is_not_given_twice():
    assert parse_grid(["lr=1e-3,1e-2"]) == {"learning_rate": ("1e-3", "1e-2")}
    require_bad_input(SWEEP, "--lr=1", "--grid=learning_rate=1,2", says=("--learning_rate",))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        *(("epoch", "epochs"), ("batch", "batch_size"), ("Epochs", "epochs"), ("batch-size", "batch_size")),
        *(("model", "architectures"), ("output_dir", "workdir"), ("opt", "optimizer"), ("sed", "seeds")),
        *(("image", "image_size"), ("LR", "lr"), ("learning", "learning_rate"), ("dropout", "stochastic_depth")),
    ],
)
def test_an_unknown_flag_is_answered_with_the_one_that_is_meant(given, meant):
    require_bad_input(COMPARE, f"--{given}=2", says=(f"--{given}", meant))


def test_a_command_does_not_propose_what_it_lacks():
    assert "learning_rate" not in require_bad_input(AUDIT, "--lr=1", says=("--lr",))


def test_every_name_that_is_proposed_is_a_flag_and_no_usual_name_is_one():
    with parsed_flags(COMPARE):
        assert set(USUAL) <= set(FLAGS)
        others = [name for names in USUAL.values() for name in names] + list(ELSEWHERE)
        assert len(set(others)) == len(others) and not set(others) & set(FLAGS)
    assert all("\n" not in unknown_flag(name, USUAL) for name in others)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        *(
            ("ResNet8", "resnet8"),
            ("ResNet-18", "resnet18"),
            ("resnet_34", "resnet34"),
            ("PreAct-ResNet110", "preact_"),
        ),
        *(("Wide-ResNet28-10", "wide_resnet28_10"), ("RESNET50", "resnet50")),
    ],
)
def test_an_architecture_in_another_spelling_is_recognized(given, meant):
    with pytest.raises(BadInput, match=f"did you mean {meant}"):
        architecture(given)


@pytest.mark.parametrize(
    ("flag", "meant"),
    [
        *(("--optimizer=AdamW", "adamw"), ("--schedule=Cosine", "cosine"), ("--dtype=BFloat16", "bfloat16")),
        *(("--augment=Flip", "flip"), ("--split=Grouped", "grouped"), ("--probes=Gradients", "gradients")),
        *(("--stem=CIFAR", "cifar"), ("--dataset=CSV:x.csv", "csv"), ("--pipeline=Resident", "resident")),
    ],
)
def test_a_value_in_another_case_is_answered_with_the_one_that_is_meant(flag, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    require_bad_input(COMPARE, flag, says=("did you mean", meant))


def test_what_is_close_is_found_in_any_case_and_given_as_it_is_written():
    assert closest("PLAIN", ["Plain", "other"]) == ["Plain"] and closest("zzz", ["plain"]) == []
