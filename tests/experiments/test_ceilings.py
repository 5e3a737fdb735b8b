"""What is held against a device's ceilings, and the cost of several seeds."""

import jax
import pytest
from msgspec import UNSET

from experiments.benchmarks import replicas
from experiments.benchmarks.harness.cases import Case
from experiments.benchmarks.harness.ceilings import Ceilings, against_ceilings, describe_ceilings, measure_ceilings
from experiments.benchmarks.harness.contenders import InProcess
from experiments.benchmarks.harness.machine import Device
from experiments.benchmarks.harness.rows import ReplicasRow, TrainStepRow, case_fields, medians_of
from experiments.benchmarks.replicas import describe_replicas, parse_ways, replicas_row
from experiments.benchmarks.train_step import describe_train_step, train_step_row
from resjax.errors import BadInput
from resjax.models.architecture import Architecture, architecture
from resjax.records import from_plain, plain

TINY = Case(Architecture("tiny", (1,), "none", stem="cifar", width=2), 8, 4, "float32")
CPU = Device("cpu", "a processor, 2 cores")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_ceilings_are_measured_on_any_device(dtype):
    ceilings = measure_ceilings(dtype, matrix_size=32, copy_bytes=2**12)
    assert ceilings.flops_per_second > 0 and ceilings.bytes_per_second > 0


def test_resnet34_has_22_gflop_an_image_and_the_larger_share_is_the_rooflines():
    case = Case(architecture("resnet34"), 224, 10, "bfloat16")
    row = TrainStepRow(
        **case_fields(case, "train_step"),
        device=CPU.name,
        **medians_of({"ours": [100.0]})._asdict(),
        **against_ceilings(case, 100.0, 2e10, Ceilings(4.4e12, 4e11)),
        versions={},
        samples={"ours": [100.0]},
        launch="loop",
        peak_bytes={},
        failed={},
    )
    assert row.model_flops_per_second == pytest.approx(2.2e12, rel=0.02)
    assert row.flops_share == pytest.approx(0.5, rel=0.02) and row.bytes_per_second == 2e11
    assert row.bytes_share == 0.5 and row.roofline_share == max(row.flops_share, 0.5)
    assert "50% of a copy's 400" in describe_ceilings(row)
    assert "roofline_share" not in against_ceilings(case, None, None, Ceilings(1.0, 1.0))


def test_a_train_step_is_held_against_them():
    row = train_step_row(TINY, CPU, (), 1, 0.0, Ceilings(1e12, 1e11), open_contender=InProcess)
    # XLA counts no bytes for a compiled program on some CPUs.
    assert 0 < row.roofline_share < 1 and row.bytes_per_second is not UNSET
    assert from_plain(plain(row), TrainStepRow, "row") == row
    assert "of the roofline; peak memory" in describe_train_step(row)


def test_seeds_are_measured_in_each_way_in_epochs_of_one():
    row = replicas_row(TINY, 20, 2, CPU, ("sequential", "map", "vmap"), 1, open_contender=InProcess)
    assert row.failed == {} and set(row.cost) == {"sequential", "map", "vmap"} and min(row.cost.values()) > 0
    assert set(row.samples) == {"one", "sequential", "map", "vmap"} and row.cheapest in row.cost
    assert "2 seeds cost sequential " in describe_replicas(row)
    assert from_plain(plain(row), ReplicasRow, "row") == row


def test_one_seed_a_device_needs_several(monkeypatch):
    first = jax.devices()[:1]
    monkeypatch.setattr(replicas.jax, "devices", lambda: first)
    row = replicas_row(TINY, 20, 2, CPU, ("devices",), 1, open_contender=InProcess)
    assert list(row.failed) == ["devices"] and row.cost == {} and row.cheapest is None


def test_an_unknown_way_is_named():
    with pytest.raises(BadInput, match="--replicas_as='vmapp'.*did you mean 'vmap'"):
        parse_ways("map,vmapp")
