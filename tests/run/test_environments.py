"""What changes the numbers of a replica is recorded with it, compared before others join it, and never rewritten."""

from dataclasses import replace

import jax
import msgspec
import pytest
from msgspec import UNSET

from resjax.errors import BadInput
from resjax.records import Environment, Summary, numeric_differences, read_record, read_result, trained_in, write_record
from resjax.records.kinds.environment import NUMERIC
from resjax.report.cautions import limits, mixed_environments
from resjax.run import compare as engine
from resjax.run.compare import compare
from resjax.run.setup.device import describe_environment, usable_dtype
from resjax.run.workdir import contents
from resjax.run.workdir.environments import NAME, environments_of, record_environment, require_same_environment
from tests.made_results import made_done
from tests.made_run import environment as older
from tests.made_run import make_run
from tests.run.test_several_splits import PLAIN, settings

HERE = describe_environment("float32")
CARD = msgspec.structs.replace(HERE, platform="gpu", device_kind="NVIDIA T4", convolution="XLA")
OTHER = {
    **{"jax": "0.0.1", "jaxlib": "0.0.1", "platform": "gpu", "device_kind": "NVIDIA H100", "dtype": "bfloat16"},
    **{"convolution": "XLA", "prng": "rbg", "threefry_partitionable": False, "x64": True, "matmul_precision": "high"},
    "numerics_version": 0,
}


@pytest.mark.parametrize("field", NUMERIC)
def test_each_thing_that_changes_numbers_is_known_here_and_refused_by_name(field, tmp_path):
    assert getattr(HERE, field) is not UNSET
    record_environment(tmp_path, msgspec.structs.replace(HERE, **{field: OTHER[field]}), resumed=False)
    with pytest.raises(BadInput, match=rf"{OTHER[field]}.*--allow_mixed_environment"):
        require_same_environment([tmp_path], HERE, mixed=False)
    require_same_environment([tmp_path], HERE, mixed=True)


def test_what_changes_no_number_or_is_not_known_is_no_difference():
    assert not numeric_differences(HERE, msgspec.structs.replace(HERE, device_count=8, git_revision="a", cpu_count=64))
    assert not numeric_differences(msgspec.structs.replace(older(), jax=HERE.jax), HERE)


def test_the_dtype_is_the_one_in_use():
    class OldCard:
        platform, device_kind, compute_capability = "gpu", "NVIDIA T4", "7.5"

    used, note = usable_dtype("bfloat16", OldCard())
    assert used == "float32" and "bfloat16" in note
    assert numeric_differences(describe_environment("bfloat16"), describe_environment(used))


def test_settings_of_jax_are_seen():
    with jax.default_matmul_precision("highest"), jax.threefry_partitionable(False), jax.enable_x64(True):
        changed = describe_environment("float32")
    found = {name: here for name, _, here in numeric_differences(HERE, changed)}
    assert found == {
        NUMERIC["matmul_precision"]: "highest",
        NUMERIC["threefry_partitionable"]: "False",
        NUMERIC["x64"]: "True",
    }


def test_a_replica_keeps_its_environments_while_it_is_resumed_and_drops_them_where_it_begins_anew(tmp_path):
    assert environments_of(tmp_path) == []
    assert record_environment(tmp_path, HERE, resumed=False) == [HERE]
    later = msgspec.structs.replace(HERE, git_revision="later")
    assert record_environment(tmp_path, later, resumed=True) == [HERE]
    assert record_environment(tmp_path, CARD, resumed=True) == [HERE, CARD] == environments_of(tmp_path)
    assert record_environment(tmp_path, CARD, resumed=False) == [CARD] == environments_of(tmp_path)


def test_a_damaged_record_is_quarantined_and_a_finished_replica_still_says_where_it_was_trained(tmp_path):
    write_record(tmp_path / "result.json", msgspec.structs.replace(made_done(0.5), environments=[CARD]))
    (tmp_path / NAME).write_text("{")
    assert environments_of(tmp_path) == [CARD] and not (tmp_path / NAME).exists()
    (tmp_path / "result.json").write_text("{")
    assert environments_of(tmp_path) == []


def test_the_report_says_which_replicas_come_from_where(tmp_path):
    summary = read_record(make_run(tmp_path / "run", {"plain34": 0.5, "resnet34": 0.6}) / "summary.json", Summary)
    assert summary.environments is UNSET and mixed_environments(summary) == ""

    def done(*environments: Environment):
        return msgspec.structs.replace(made_done(0.5), environments=list(environments))

    alike = trained_in({"plain34": {0: done(HERE), 1: None}, "resnet34": {0: done(HERE), 1: made_done(0.5)}})
    assert [each.replicas for each in alike] == [{"plain34": [0], "resnet34": [0]}]
    assert mixed_environments(msgspec.structs.replace(summary, environments=alike)) == ""
    mixed = trained_in({"plain34": {0: done(HERE), 1: done(HERE, CARD)}, "resnet34": {0: done(CARD)}})
    assert [each.replicas for each in mixed] == [{"plain34": [0, 1]}, {"plain34": [1], "resnet34": [0]}]
    (said,) = [line for line in limits(msgspec.structs.replace(summary, environments=mixed)) if "T4" in line]
    assert "plain34 0, 1" in said and "resnet34 0" in said and HERE.jax not in said


def test_seeds_join_others_of_another_environment_only_where_that_is_allowed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(engine, "draw_figures", lambda workdir: [])
    one = replace(settings(tmp_path / "out", tmp_path / "cache"), architectures=(PLAIN,), seeds=(0,))
    summary = compare(one)
    result = tmp_path / "out" / "runs" / "plain" / "seed0" / "result.json"
    assert read_result(result).environments == environments_of(result.parent) == [summary.environment]
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    facts = {path: text for path, text in before.items() if path.parent == result.parent}

    monkeypatch.setattr(contents, "describe_environment", lambda dtype: CARD)
    two = replace(one, seeds=(0, 1))
    with pytest.raises(BadInput, match=r"seed0.*T4.*--allow_mixed_environment"):
        compare(two)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    # Nothing is trained, so nothing is mixed.
    assert compare(one).environment == summary.environment

    capsys.readouterr()
    mixed = compare(replace(two, allow_mixed_environment=True))
    assert "T4" in capsys.readouterr().out and mixed.environment == summary.environment
    assert [each.replicas for each in mixed.environments] == [{"plain": [0]}, {"plain": [1]}]
    assert {path: path.read_bytes() for path in facts} == facts
    assert "NVIDIA T4" in (tmp_path / "out" / "report.html").read_text()
