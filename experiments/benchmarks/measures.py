"""The measures of the benchmark command: from its flags to rows, each printed in words and written as it comes."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from absl import flags
from msgspec import UNSET
from msgspec.structs import replace

from resjax.cli.flags.settings import given_sizes
from resjax.errors import BadInput
from resjax.records import write_lines
from resjax.training.recipe import require_range

from . import end_to_end, pipeline
from .harness.cases import PHOTOGRAPHS, Case, make_cases, parse_sizes
from .harness.contenders import in_a_process
from .harness.machine import BackgroundLoad, Device, find_device, require_dtype
from .harness.rows import Row
from .pytorch.training import parse_modes, require_modes

FLAGS = flags.FLAGS
UNDISTURBED = 0.1
"""Cores that other programs may use without a warning."""
SAMPLES, LEAST_SAMPLES = 7, 5
PIPELINE_IMAGES, REPLICAS_IMAGES = "20000,200000", 600

R = TypeVar("R", bound=Row)


def measure_train_steps() -> None:
    """`--measure=train_step`: a row for every architecture, size and batch."""
    # They import jax, which --help does without. So do the imports below.
    from .harness.ceilings import measure_ceilings
    from .train_step import CAVEAT, describe_train_step, train_step_row

    modes = parse_modes(FLAGS.against, FLAGS.torch_modes)
    samples = FLAGS.samples or SAMPLES
    cases, device = cases_and_device(f"{samples} samples each", modes)
    print(CAVEAT, flush=True)
    asked = device.platform != "cpu" if FLAGS.ceilings is None else FLAGS.ceilings
    ceilings = in_a_process(measure_ceilings, FLAGS.dtype) if asked else None
    rows = (train_step_row(case, device, modes, samples, ceilings=ceilings) for case in cases)
    write_and_print(rows, describe_train_step)


def measure_epochs() -> None:
    """`--measure=epoch`: a row for every architecture, size and batch."""
    from .epoch import CAVEAT, describe_epoch, epoch_row

    modes = parse_modes(FLAGS.against, FLAGS.torch_modes)
    samples, images = FLAGS.samples or LEAST_SAMPLES, one_number_of_images(PHOTOGRAPHS)
    cases, device = cases_and_device(f"{samples} samples each", modes)
    print(CAVEAT, flush=True)
    write_and_print((epoch_row(case, images, device, modes, samples) for case in cases), describe_epoch)


def measure_convolutions() -> None:
    """`--measure=convolution`: a row for every layer."""
    from .convolutions import CAVEAT, convolution_row, describe_convolution, layers_asked

    modes = parse_modes(FLAGS.against, FLAGS.torch_modes)
    samples, layers = FLAGS.samples or SAMPLES, layers_asked(FLAGS.layers)
    device = in_a_process(find_device)
    require_dtype(device, FLAGS.dtype)
    announce(f"{len(layers)} layer(s), {samples} samples each", device)
    print(CAVEAT, flush=True)
    rows = (convolution_row(*each, FLAGS.dtype, device, modes, samples) for each in layers.items())
    write_and_print(rows, describe_convolution)


def measure_replicas() -> None:
    """`--measure=replicas`: a row for every architecture, size and batch."""
    from .replicas import CAVEAT, describe_replicas, parse_ways, replicas_row

    ways = parse_ways(FLAGS.replicas_as)
    require_range("--seeds", FLAGS.seeds, 2)
    samples, images = FLAGS.samples or LEAST_SAMPLES, one_number_of_images(REPLICAS_IMAGES)
    cases, device = cases_and_device(f"{samples} samples each")
    print(CAVEAT, flush=True)
    rows = (replicas_row(case, images, FLAGS.seeds, device, ways, samples) for case in cases)
    write_and_print(rows, describe_replicas)


def measure_compilation() -> None:
    """`--measure=compile`: a row for every architecture, size and batch."""
    from .compilation import compile_row, describe_compilation

    cases, device = cases_and_device("traced and compiled once")
    write_and_print((compile_row(case, device) for case in cases), describe_compilation)


def measure_pipelines() -> None:
    """`--measure=pipeline`: a row for every number of images streamed, and one for the smallest on the device."""
    images = parse_sizes("images", FLAGS.images or PIPELINE_IMAGES, least=2 * pipeline.BATCH)
    cases, samples = pipeline.default_cases(images), FLAGS.samples or SAMPLES
    device = in_a_process(find_device)
    announce(f"{len(cases)} case(s), {samples} samples each", device)
    print(pipeline.CAVEAT, flush=True)
    load = BackgroundLoad()
    rows = pipeline.measure_pipeline(cases, device, samples, on_progress=lambda text: print(text, flush=True))
    cores = load.cores()
    loaded = (replace(row, other_programs_cores=cores) for row in rows)
    write_and_print(loaded, lambda row: pipeline.describe_pipeline_row(row, rows[0]))


def measure_end_to_end() -> None:
    """`--measure=end_to_end`: for every size and batch, a row with cold caches and one with warm caches."""
    modes = parse_modes(FLAGS.against, FLAGS.torch_modes)
    require_range("--epochs", FLAGS.epochs, 1)
    if FLAGS.dataset:
        end_to_end.require_photographs(FLAGS.dataset)
    count = one_number_of_images(PHOTOGRAPHS)
    samples = FLAGS.samples or LEAST_SAMPLES
    cases, device = cases_and_device(f"{samples} sample(s) each", modes)
    print(end_to_end.CAVEAT, flush=True)
    with tempfile.TemporaryDirectory(prefix="resjax-photographs-") as scratch:
        if not FLAGS.dataset:
            end_to_end.write_photographs(Path(scratch), count)
        exercises = [
            end_to_end.Exercise(
                FLAGS.dataset or f"folder:{scratch}",
                FLAGS.image_dir,
                FLAGS.architectures,
                image_size,
                batch_size,
                FLAGS.epochs,
                FLAGS.dtype,
                tuple(given_sizes().items()),
            )
            for image_size, batch_size in dict.fromkeys((case.image_size, case.batch_size) for case in cases)
        ]
        rows = (row for exercise in exercises for row in end_to_end.end_to_end_rows(exercise, device, modes, samples))
        write_and_print(rows, end_to_end.describe_end_to_end)


MEASURES: dict[str, Callable[[], None]] = {
    "train_step": measure_train_steps,
    "convolution": measure_convolutions,
    "epoch": measure_epochs,
    "pipeline": measure_pipelines,
    "compile": measure_compilation,
    "replicas": measure_replicas,
    "end_to_end": measure_end_to_end,
}
"""By name, as `--measure` takes it."""


def one_number_of_images(default: int) -> int:
    """`--images`, for the measures that generate one set of images.

    Raises:
      BadInput: for several numbers.
    """
    number, *others = parse_sizes("images", FLAGS.images or str(default), least=20)
    if others:
        raise BadInput(f"--images={FLAGS.images} with --measure={FLAGS.measure}: expected one number")
    return number


def cases_and_device(how: str, torch_modes: tuple[str, ...] = ()) -> tuple[list[Case], Device]:
    """The cases of the flags and the device, which are announced in a line.

    Raises:
      BadInput: for cases that the device cannot do.
    """
    cases = make_cases(
        FLAGS.architectures,
        parse_sizes("image_size", FLAGS.image_size, least=8),
        parse_sizes("batch_size", FLAGS.batch_size, least=2),
        FLAGS.dtype,
        **given_sizes(),
    )
    device = in_a_process(find_device)
    require_dtype(device, FLAGS.dtype)
    require_modes(device, cases, torch_modes)
    announce(f"{len(cases)} case(s), {how}", device)
    return cases, device


def announce(what: str, device: Device) -> None:
    """Prints what is measured on which device."""
    print(f"{what}, on {device.name}", flush=True)


def write_and_print(rows: Iterable[R], describe: Callable[[R], str]) -> None:
    """Prints each row in words as it comes, and writes all rows so far to `--json`.

    A row that does not tell the load of other programs gets the load since the row before.
    """
    written: list[R] = []
    load = BackgroundLoad()
    for row in rows:
        if row.other_programs_cores is UNSET:
            row = replace(row, other_programs_cores=load.cores())
        cores = row.other_programs_cores
        written.append(row)
        print(describe(row), flush=True)
        if isinstance(cores, float) and cores > UNDISTURBED:
            print(f"  WARNING: other programs used {cores:.1f} cores meanwhile; speeds and ratio are not reliable")
        if FLAGS.json:
            write_lines(FLAGS.json, written)
        load = BackgroundLoad()
