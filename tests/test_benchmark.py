"""The benchmark: fair turns, what a row says, the same network on both sides, and what is refused."""

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import benchmark
from experiments.benchmark import (
    Case,
    benchmark_row,
    compile_row,
    describe_row,
    measure,
    parse_sizes,
    parse_torch_modes,
    require_safe,
)
from resjax.costs import parameter_count
from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.types import BadInput

TINY = Case(replace(architecture("resnet18", width=4, stem="cifar"), blocks=(1,)), 8, 2, "float32")


class FakeClock:
    """A clock that only runners move, with the order of their turns."""

    def __init__(self):
        self.now, self.turns = 0.0, []

    def __call__(self) -> float:
        return self.now

    def runner(self, name: str, seconds_per_step: float):
        def run(steps: int) -> None:
            self.turns.append((name, steps))
            self.now += steps * seconds_per_step

        return run


@pytest.fixture
def clock(monkeypatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(benchmark.time, "perf_counter", clock)
    return clock


def test_runners_take_turns_for_about_a_second_after_an_untimed_step(clock):
    rates = measure({"slow": clock.runner("slow", 0.5), "fast": clock.runner("fast", 0.125)}, batch_size=4, samples=2)
    assert rates == {"slow": [8.0, 8.0], "fast": [32.0, 32.0]}
    assert clock.turns[-8:] == [("slow", 1), ("slow", 2), ("fast", 1), ("fast", 8)] * 2


def test_torchs_fastest_mode_counts(clock, monkeypatch):
    seconds = {"eager": 0.5, "channels_last": 0.25}
    monkeypatch.setattr(benchmark, "our_runner", lambda case: clock.runner("ours", 0.5))
    monkeypatch.setattr(benchmark, "torch_runner", lambda case, mode: clock.runner(mode, seconds[mode]))
    monkeypatch.setattr(benchmark, "version", lambda package: "1.0")
    row = benchmark_row(TINY, 5, ("eager", "channels_last"))
    assert (row["torch_mode"], row["torch_images_per_second"], row["ratio"]) == ("channels_last", 8.0, 0.5)
    assert "ours 4.0 (4.0 to 4.0) images/s" in describe_row(row)
    assert "ours / torch channels_last = 0.50" in describe_row(row)


def test_a_row_of_ours_alone_says_what_was_measured():
    row = benchmark_row(TINY, 1, (), min_seconds=0.0)
    keys = (
        "architecture image_size batch_size width stem dtype ours_images_per_second torch_images_per_second torch_mode "
        "ratio device versions samples"
    )
    assert set(keys.split()) <= set(row) and json.loads(json.dumps(row)) == row
    assert row["ours_images_per_second"] == row["samples"]["ours"][0] > 0
    assert row["torch_images_per_second"] is row["ratio"] is row["torch_mode"] is None


def test_compilation_is_measured_apart_from_tracing():
    row = compile_row(TINY)
    assert row["measure"] == "compile" and row["trace_seconds"] > 0 and row["compile_seconds"] > 0
    assert json.loads(json.dumps(row)) == row
    assert re.search(r"8 px, batch 2, float32: traced in \d+\.\d s, compiled in \d+\.\d s$", describe_row(row))


def test_torch_takes_train_steps_in_both_layouts():
    pytest.importorskip("torch")
    row = benchmark_row(TINY, 1, ("eager", "channels_last"), min_seconds=0.0)
    assert set(row["samples"]) == {"ours", "eager", "channels_last"} and row["ratio"] > 0 and "torch" in row["versions"]


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize("name", ["plain34", "resnet34_project_all", "resnet50", "se_resnet34", "preact_resnet34_pad"])
def test_torchs_network_has_our_number_of_parameters_and_runs(name, stem):
    torch = pytest.importorskip("torch")
    from experiments.torch_networks import TorchNetwork

    built = architecture(name, width=4, stem=stem)
    network = TorchNetwork(built, 5)
    ours = parameter_count(Functional(built, 5).shapes())
    assert sum(parameter.numel() for parameter in network.parameters()) == ours
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


def test_sizes_are_joined_by_commas():
    assert parse_sizes("image_size", "64, 224", least=8) == (64, 224)


@pytest.mark.parametrize("text", ["", "64,", "1", "-3", "64x64", "2.5"])
def test_a_bad_size_is_named(text):
    with pytest.raises(BadInput, match="--batch_size=.*whole numbers of 2 or more"):
        parse_sizes("batch_size", text, least=2)


def test_against_none_needs_no_torch(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert parse_torch_modes("none", "eager") == ()


def test_missing_torch_names_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="torch is not installed.*pip install -e '.\\[benchmark\\]'"):
        parse_torch_modes("torch", "eager,channels_last")


def test_an_unknown_torch_mode_is_named():
    with pytest.raises(BadInput, match="--torch_modes='egger'.*did you mean 'eager'"):
        parse_torch_modes("torch", "egger")


@pytest.mark.parametrize(
    "name, width, modes, safe",
    [
        ("resnet34", 8, ("eager", "channels_last"), False),
        ("resnet34", 8, ("eager",), True),
        ("resnet34", 16, ("eager", "channels_last"), True),
        ("plain34", 8, ("eager", "channels_last"), True),
    ],
)
def test_narrow_projections_in_channels_last_which_crash_torch_are_refused(name, width, modes, safe, monkeypatch):
    monkeypatch.setattr(benchmark, "_torch_device", lambda: "cpu")
    case = Case(architecture(name, width=width), 32, 2, "float32")
    if safe:
        require_safe(case, modes)
    else:
        with pytest.raises(BadInput, match="below width 16.*--torch_modes=eager is accepted"):
            require_safe(case, modes)


def test_bad_flags_end_with_status_2_and_one_line():
    command = [sys.executable, "-m", "experiments.benchmark", "--against=tensorflow"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "'tensorflow'" in done.stderr and "torch" in done.stderr


@pytest.mark.slow
def test_the_pipeline_is_measured_in_a_process_a_case_over_a_whole_epoch(tmp_path):
    command = [sys.executable, "-m", "experiments.benchmark", "--measure=pipeline", "--images=256,1536", "--samples=5"]
    command.append(f"--json={tmp_path}/rows.jsonl")
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [(row["images"], row["pipeline"]) for row in rows] == [
        (256, "streamed"),
        (1536, "streamed"),
        (256, "resident"),
    ]
    for row in rows:
        assert len(row["samples"]) == 6 and min(row["samples"]) > 0
        assert 2**27 < row["peak_resident_bytes"] < 2**32
        assert f"{row['images']:,} images at 64 px, {row['pipeline']}: " in done.stdout
