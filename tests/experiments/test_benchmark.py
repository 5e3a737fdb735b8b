"""The benchmark of the train step: what a row says, the same network on both sides, and what is refused."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks.compilation import compile_row, describe_compilation
from experiments.benchmarks.epoch import describe_epoch, epoch_row
from experiments.benchmarks.harness.cases import Case, make_cases, parse_sizes
from experiments.benchmarks.harness.contenders import Failure, InProcess
from experiments.benchmarks.harness.machine import Device, find_device, require_dtype
from experiments.benchmarks.harness.rows import CompileRow, PipelineRow, TrainStepRow, medians_of
from experiments.benchmarks.program import COMMAND
from experiments.benchmarks.pytorch.training import parse_modes, require_modes
from experiments.benchmarks.train_step import describe_train_step, our_train_steps, train_step_row
from resjax.data import augmentation as ours_augmentation
from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.records import from_plain, plain, read_lines
from resjax.run.setup.costs import parameter_count
from tests.commands import require_bad_input, run_in_process

TINY = Case(replace(architecture("resnet18", width=4, stem="cifar"), blocks=(1,)), 8, 2, "float32")
CPU = Device("cpu", "a processor, 2 cores")
FLAGFILES = Path(__file__).parents[2] / "experiments" / "flags"


def test_torchs_fastest_mode_counts():
    medians = medians_of({"ours": [4.0, 4.0, 9.0], "eager": [8.0], "channels_last": [16.0, 2.0, 16.0]})
    assert medians == (4.0, 16.0, "channels_last", 0.25)


def test_a_row_of_ours_alone_says_what_was_measured():
    row = train_step_row(TINY, CPU, (), 1, min_seconds=0.0, open_contender=InProcess)
    assert from_plain(plain(row), TrainStepRow, "row") == row
    assert row.ours_images_per_second == row.samples["ours"][0] > 0
    assert row.torch_images_per_second is row.ratio is row.torch_mode is None
    assert row.launch == "step" and row.device == CPU.name and row.peak_bytes["ours"] > 2**20


@pytest.mark.slow
def test_processes_take_turns_with_torch_in_both_layouts():
    pytest.importorskip("torch")
    row = train_step_row(TINY, find_device(), ("eager", "channels_last"), 1, min_seconds=0.0)
    assert row.failed == {} and row.ratio > 0 and "torch" in row.versions
    assert set(row.samples) == set(row.peak_bytes) == {"ours", "eager", "channels_last"}
    assert re.search(
        r"images/s; torch eager .*; ours / torch \w+ = \d.*; peak memory in GiB: ours", describe_train_step(row)
    )


def test_what_runs_out_of_memory_is_named_and_the_others_go_on():
    pytest.importorskip("torch", reason="torch is not installed")

    def open_contender(build, *arguments):
        if arguments[1:]:
            raise Failure("out of memory: MemoryError")
        return InProcess(build, *arguments)

    row = train_step_row(TINY, CPU, ("eager",), 1, min_seconds=0.0, open_contender=open_contender)
    assert row.failed == {"eager": "out of memory: MemoryError"} and row.ours_images_per_second > 0
    assert row.torch_images_per_second is row.ratio is None
    assert "; eager FAILED, out of memory: MemoryError" in describe_train_step(row)


def test_steps_in_one_call_are_as_many_as_asked():
    program = our_train_steps(TINY, "loop")
    program.run(3)
    assert program.describe()["launch"] == "loop"


@pytest.mark.slow
def test_compilation_is_measured_apart_from_tracing_and_again_from_a_warm_cache():
    row = compile_row(TINY, CPU)
    assert row.measure == "compile" and from_plain(plain(row), CompileRow, "row") == row
    assert min(row.trace_seconds, row.compile_seconds, row.warm_compile_seconds) > 0
    text = r"8 px, batch 2, float32: traced in \d+\.\d s, compiled in \d+\.\d s, from a warm cache in \d+\.\d s$"
    assert re.search(text, describe_compilation(row))


@pytest.mark.slow
def test_an_epoch_with_augmentation_and_evaluation_runs_on_both_sides():
    pytest.importorskip("torch")
    row = epoch_row(TINY, 20, find_device(), ("eager",), 2)
    assert row.failed == {} and row.ratio > 0 and row.images == 20
    assert {name: len(values) for name, values in row.samples.items()} == {"ours": 2, "eager": 2}
    assert "ours / torch eager" in describe_epoch(row)


def test_torchs_augmentation_turns_and_colours_as_ours():
    torch = pytest.importorskip("torch")
    from experiments.benchmarks.pytorch import augmentation as theirs

    images = np.random.default_rng(0).random((3, 9, 12, 3), np.float32)
    degrees, shift = np.array([12.0, -7.0, 0.0], np.float32), np.array([0.1, -0.05, 0.0], np.float32)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)

    def held(ours, tensor):
        return np.asarray(ours), tensor.permute(0, 2, 3, 1).numpy()

    hues = held(
        ours_augmentation.adjust_hue(images, shift), theirs.with_hue(batch, torch.tensor(shift).view(-1, 1, 1, 1))
    )
    np.testing.assert_allclose(*hues, atol=1e-5)
    turned = held(ours_augmentation.rotate(images, degrees), theirs.rotated(batch, torch.tensor(degrees)))
    # Inside the border: there torch fades to black, and ours repeats the outermost pixels for half a pixel.
    np.testing.assert_allclose(turned[0][:, 3:-3, 3:-3], turned[1][:, 3:-3, 3:-3], atol=1e-5)
    assert theirs.augmented(batch).shape == batch.shape


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize("name", ["plain34", "resnet34_project_all", "resnet50", "se_resnet34", "preact_resnet34_pad"])
def test_torchs_network_has_our_number_of_parameters_and_runs(name, stem):
    torch = pytest.importorskip("torch")
    from experiments.benchmarks.pytorch.networks import TorchNetwork

    built = architecture(name, width=4, stem=stem)
    network = TorchNetwork(built, 5)
    ours = parameter_count(Functional(built, 5).shapes())
    assert sum(parameter.numel() for parameter in network.parameters()) == ours
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


def test_every_network_is_a_case_at_every_size_and_batch():
    cases = make_cases("plain34, resnet34", (64, 128), (2, 4), "bfloat16", width=8)
    assert [(case.architecture.name, case.image_size, case.batch_size) for case in cases[:5]] == [
        ("plain34", 64, 2),
        ("plain34", 64, 4),
        ("plain34", 128, 2),
        ("plain34", 128, 4),
        ("resnet34", 64, 2),
    ]
    assert {(case.architecture.width, case.dtype) for case in cases} == {(8, "bfloat16")}


def test_sizes_are_joined_by_commas():
    assert parse_sizes("image_size", "64, 224", least=8) == (64, 224)


@pytest.mark.parametrize("text", ["", "64,", "1", "-3", "64x64", "2.5"])
def test_a_bad_size_is_named(text):
    with pytest.raises(BadInput, match="--batch_size="):
        parse_sizes("batch_size", text, least=2)


def test_against_none_needs_no_torch(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert parse_modes("none", "eager") == ()


def test_missing_torch_names_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="torch is not installed.*pip install -e '.\\[benchmark\\]'"):
        parse_modes("torch", "eager,channels_last")


def test_an_unknown_torch_mode_is_named():
    with pytest.raises(BadInput, match="--torch_modes='egger'.*did you mean 'eager'"):
        parse_modes("torch", "egger")


@pytest.mark.parametrize(
    "name, width, modes, safe",
    [
        ("resnet34", 8, ("eager", "channels_last"), False),
        ("resnet34", 8, ("eager",), True),
        ("resnet34", 16, ("eager", "channels_last"), True),
        ("plain34", 8, ("eager", "channels_last"), True),
    ],
)
def test_narrow_projections_in_channels_last_which_crash_torch_are_refused(name, width, modes, safe):
    cases = [Case(architecture(name, width=width), 32, 2, "float32")]
    require_modes(Device("gpu", "a card", 9.0), cases, modes)
    if safe:
        require_modes(CPU, cases, modes)
    else:
        with pytest.raises(BadInput, match="width 8.*--torch_modes=eager"):
            require_modes(CPU, cases, modes)


def test_torch_is_refused_where_it_cannot_use_the_device():
    with pytest.raises(BadInput, match="--against=torch: .*tpu"):
        require_modes(Device("tpu", "TPU v5e"), [], ("eager",))
    require_modes(Device("tpu", "TPU v5e"), [], ())


def test_a_dtype_that_the_device_lacks_is_refused():
    with pytest.raises(BadInput, match="bfloat16: Tesla T4 .*7.5.*--dtype=float32"):
        require_dtype(Device("gpu", "Tesla T4", 7.5), "bfloat16")
    for device in (CPU, Device("gpu", "NVIDIA H200", 9.0), Device("tpu", "TPU v5e")):
        require_dtype(device, "bfloat16")


@pytest.mark.parametrize(
    ("flag", "known"),
    [
        ("--against=tensorflow", "torch"),
        ("--measure=speed", "train_step"),
        ("--samples=2", "5"),
        ("--dtype=float8", "float32"),
        ("--json=/no/such/folder/rows.jsonl", "folder"),
    ],
)
def test_bad_flags_end_with_status_2_and_one_line(flag, known):
    name, _, value = flag.partition("=")
    require_bad_input(COMMAND, flag, says=(name, value, known))


@pytest.mark.slow
def test_the_pipeline_is_measured_in_a_process_a_case_over_a_whole_epoch(tmp_path):
    path = tmp_path / "rows.jsonl"
    flags = ("--measure=pipeline", "--images=256,512", "--samples=5", f"--json={path}")
    status, out, err = run_in_process(COMMAND, *flags)
    assert status == 0, err
    rows = read_lines(path, PipelineRow)
    assert [(row.images, row.pipeline) for row in rows] == [
        (256, "streamed"),
        (512, "streamed"),
        (256, "resident"),
    ]
    for row in rows:
        assert len(row.samples) == 5 and min(row.samples) > 0
        assert 2**27 < row.peak_resident_bytes < 2**32
        assert f"{row.images:,} images at 64 px, {row.pipeline}: " in out


@pytest.mark.parametrize("flagfile", sorted(FLAGFILES.glob("*benchmark*")))
def test_a_flagfile_of_the_benchmark_is_understood(flagfile):
    pytest.importorskip("torch", reason="torch is not installed")
    given = dict(line.removeprefix("--").split("=") for line in flagfile.read_text().splitlines() if line[0] != "#")
    assert parse_modes(given["against"], given["torch_modes"])
    sizes, batches = (parse_sizes(name, given[name], least=8) for name in ("image_size", "batch_size"))
    assert len(make_cases(given["architectures"], sizes, batches, given["dtype"])) == 4
