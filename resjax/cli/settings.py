"""The flags that experiments share, turned once into frozen settings; nothing below `main` sees a flag."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

from absl import flags

from resjax.cli import data_flags as data_options
from resjax.cli import probe_flags as probe_options
from resjax.cli import process_flags
from resjax.cli.compilation_cache import keep_compiled_programs
from resjax.cli.data_flags import SourceSettings, SplitSettings, source_settings, split_settings
from resjax.cli.disk_faults import disk_fault, leave_out_repeated_errors
from resjax.cli.gpu_flags import DEFAULT, GPU_FLAGS, use_gpu_flags
from resjax.cli.memory import keep_freed_memory
from resjax.run.stopping import Stopped, Stopping, how_to_go_on
from resjax.data.cache import default_cache_dir
from resjax.data.residence import PIPELINES, RESIDENT_SHARE
from resjax.evaluation.comparison.paired_tests import fewest_seeds
from resjax.evaluation.comparison.planning import LEVEL, looks_until
from resjax.models.architecture import STEMS, Architecture, architecture
from resjax.report.storage import RecordError
from resjax.training.recipe import (
    DECAYED,
    OPTIMIZERS,
    SCHEDULES,
    WARMUP_SHAPES,
    WAYS,
    Recipe,
    require_choice,
    require_range,
)
from resjax.types import BadInput

FLAGS = flags.FLAGS
MOST_SEEDS = 10_000
"""More replicas an arm are taken for a slip: each leaves a folder."""
WIDEST = 2**14
"""Channels of a stem: the last stage has eight times as many and more."""
DEEPEST = 2000
"""Layers: a network of 1202 compiles for many minutes, and one of a million for ever."""
DTYPES = ("float32", "bfloat16")
SWEEP_OPTIONS = "resjax.sweep.grid"
"""The module of the flags that say what a sweep goes through; they are no part of what one comparison is told."""
SIZES = ("width", "stem")
"""Flags that change a field of every architecture; where they are not given, each has its own."""


@dataclass(frozen=True)
class Settings:
    """All that a comparison is told."""

    architectures: tuple[Architecture, ...]
    seeds: tuple[int, ...]
    source: SourceSettings
    split: SplitSettings
    image_size: int
    pipeline: str
    recipe: Recipe
    dtype: str
    init_from: dict[str, Path]
    """The file of weights that each arm starts from; arms without one start from random numbers."""
    workdir: Path
    flags: dict[str, object]
    """Every flag of the experiment with its value, for the records."""
    looks: tuple[int, ...] = ()
    """With --seeds=auto, after how many seeds the comparison is judged and may end; else empty."""
    replicas_as: str = "auto"
    """How an arm's replicas are trained: of `resjax.training.recipe.WAYS`, or `auto`."""
    mesh: dict[str, int] | None = None
    """Devices along `replica` and `batch`, where they are given."""
    stopping: Stopping = field(default_factory=Stopping, compare=False, repr=False)
    """Whether the run has been asked to stop."""


def define_size_flags() -> None:
    own = "by default the architecture's own:"
    flags.DEFINE_integer("width", None, f"channels of the stem and first stage; {own} 64, or 16 in those for CIFAR")
    flags.DEFINE_string(
        "stem", None, f"one of {', '.join(STEMS)}: 7x7/2 and max pool, or 3x3; {own} cifar in those for CIFAR"
    )


def define_training_flags() -> None:
    flags.DEFINE_string(
        "architectures",
        "plain34,resnet34",
        "the arms, by name; the first is the baseline. plain or resnet and a depth: 18, 34, 50, 101, 152, or 6n + 2 "
        "for CIFAR (20, 56, 110, ...); resnext50_32x4d; wide_resnet28_10; before it se_ or preact_, after it _gn, "
        "_nonorm, _skipinit or _fixup, _zero_gamma, _stochastic_depth, and the shortcut, _pad, _project or "
        "_project_all",
    )
    flags.DEFINE_string(
        "init_from",
        None,
        "weights to start from, torchvision's or timm's as .safetensors (or .pth, where torch is installed): FILE for "
        "all arms, or ARM=FILE,ARM=FILE",
    )
    flags.DEFINE_string(
        "freeze",
        None,
        "parameters that are not trained, patterns joined by commas: stem.*,stages.[01].* (batch norms that are frozen "
        "whole keep their statistics)",
    )
    flags.DEFINE_string(
        "seeds",
        "6",
        "replicas an arm: 6 means seeds 0 to 5; 0,3,7 means those (one seed: 3,); auto goes on until every comparison "
        "has a verdict, looking after 8, 12, 16 and 20 seeds at a level that keeps false verdicts of all looks "
        "together at 5 %",
    )
    flags.DEFINE_integer("max_seeds", 20, "with --seeds=auto, the number of seeds after which it ends in any case")
    flags.DEFINE_integer("image_size", 224, "height and width of the images in pixels, by plain resize")
    flags.DEFINE_string(
        "pipeline",
        "auto",
        f"one of {', '.join(PIPELINES)}: images on the device or read batch by batch, with the same results; "
        f"auto: on the device if they fit {RESIDENT_SHARE:.0%} of its free memory",
    )
    define_size_flags()
    flags.DEFINE_string("dtype", "float32", f"one of {', '.join(DTYPES)}: what is computed in; parameters stay float32")
    flags.DEFINE_string(
        "gpu_flags", DEFAULT, f"XLA's options on NVIDIA cards, of {', '.join(GPU_FLAGS)}, joined by commas; or none"
    )
    define_compile_cache_flag()
    defaults = {field.name: field.default for field in fields(Recipe)}
    flags.DEFINE_integer("epochs", defaults["epochs"], "passes over the training images")
    flags.DEFINE_integer("batch_size", defaults["batch_size"], "images a step")
    flags.DEFINE_string(
        "optimizer",
        defaults["optimizer"],
        f"one of {', '.join(OPTIMIZERS)}; adam adds the decay to the gradient, as torch",
    )
    flags.DEFINE_float("learning_rate", defaults["learning_rate"], "peak learning rate")
    flags.DEFINE_float("weight_decay", defaults["weight_decay"], "weight decay")
    flags.DEFINE_string("decayed", defaults["decayed"], f"which parameters decay, one of {', '.join(DECAYED)}")
    flags.DEFINE_float("momentum", defaults["momentum"], "momentum of sgd")
    flags.DEFINE_string(
        "schedule", defaults["schedule"], f"one of {', '.join(SCHEDULES)}; step divides by 10 at each of --milestones"
    )
    flags.DEFINE_string(
        "milestones",
        ",".join(map(str, defaults["milestones"])),
        "for step: the shares of the run after which it divides",
    )
    flags.DEFINE_float("warmup_epochs", defaults["warmup_epochs"], "epochs of warm-up")
    flags.DEFINE_string(
        "warmup_shape",
        defaults["warmup_shape"],
        f"one of {', '.join(WARMUP_SHAPES)}: from zero to the full rate, or a tenth of it until then",
    )
    flags.DEFINE_string(
        "augment",
        "flip,rotate:15,color:0.2,0.2,0.2,0.1",
        "of flip, rotate:DEGREES, color:B,C,S,H, lighting:SPREAD, crop:PIXELS, scale:SIZE,LEAST,MOST (scaled to a side "
        "from LEAST to MOST pixels, SIZE of which are cut out and trained on); or none",
    )
    flags.DEFINE_string(
        "replicas_as",
        "auto",
        f"how an arm's seeds are trained, of {', '.join(WAYS)}, or auto, with equal results to 1e-5. sequential: seed "
        "by seed through all arms, so that an early stop leaves pairs. The others train an arm's seeds together, so an "
        "early stop leaves all seeds of one arm begun and those of the next not: map takes a step of one after the "
        "other in one program, vmap of all at once (with the memory of all), devices one on each device. auto: devices "
        "where there are several; on one CPU sequential, which was the fastest by far; on one GPU or TPU vmap for "
        "small steps, which has not been measured. It may change from one start to the next",
    )
    flags.DEFINE_string(
        "mesh",
        None,
        "devices to use, such as replica:2,batch:4: two replicas at a time, each batch shared by four devices with the "
        "same results to 1e-5; batch:4 alone shares each batch. By default one device a replica",
    )
    flags.DEFINE_float(
        "max_minutes",
        None,
        "minutes after which the run stops in good order, before a runtime is taken away; the same command goes on",
    )
    flags.DEFINE_string("workdir", None, "folder of the results; by default runs/NAME for X/NAME.flags")


def define_compile_cache_flag() -> None:
    flags.DEFINE_boolean("compile_cache", True, "keep compiled programs in --cache_dir, for runs that begin faster")


def parse_seeds(text: str) -> tuple[int, ...]:
    """`6` means 0 to 5; `0,3,7` means those."""
    try:
        numbers = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        numbers = ()
    if numbers and "," not in text:
        numbers = tuple(range(min(numbers[0], MOST_SEEDS + 1)))
    if len(numbers) > MOST_SEEDS or (numbers and max(numbers) >= 2**32):
        raise BadInput(f"--seeds={text!r}: at most {MOST_SEEDS} seeds below 2^32 are accepted")
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise BadInput(f"--seeds={text!r}: a count such as 6, different seeds such as 0,3,7, or auto are accepted")
    return numbers


def parse_milestones(text: str) -> tuple[float, ...]:
    """`0.5,0.75` as numbers; whether they are in order is the recipe's business."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise BadInput(f"--milestones={text}: rising shares of the run such as 0.5,0.75 are accepted") from None


def parse_looks(seeds: str, most_seeds: int) -> tuple[int, ...]:
    """After how many seeds a comparison with `auto` is judged; empty for seeds that are given."""
    if seeds != "auto":
        return ()
    require_range("--max_seeds", most_seeds, fewest_seeds(LEVEL), 1000)
    return looks_until(most_seeds)


def settings(experiment: str) -> Settings:
    """All flags as settings.

    Raises:
      BadInput: for an unknown name or a value outside its range.
    """
    # They import jax, which --help does without.
    from resjax.run.initial_weights import parse_init_from
    from resjax.data.augmentation import Crop, Scale, parse_augmentation
    from resjax.training.mesh import parse_mesh

    require_range("--image_size", FLAGS.image_size, 8, 4096)
    if FLAGS.width is not None:
        require_range("--width", FLAGS.width, 1, WIDEST)
    if FLAGS.max_minutes is not None:
        require_range("--max_minutes", FLAGS.max_minutes, 0, above=True)
    require_choice("--pipeline", FLAGS.pipeline, PIPELINES)
    require_choice("--dtype", FLAGS.dtype, DTYPES)
    require_choice("--replicas_as", FLAGS.replicas_as, ("auto", *WAYS))
    names = [name.strip() for name in FLAGS.architectures.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise BadInput(f"--architectures={FLAGS.architectures!r}: one or more different names are accepted")
    parsed = ("augmentations", "freeze", "milestones")
    recipe = Recipe(
        augmentations=parse_augmentation(FLAGS.augment),
        milestones=parse_milestones(FLAGS.milestones),
        freeze=tuple(pattern.strip() for pattern in (FLAGS.freeze or "").split(",") if pattern.strip()),
        **{name: FLAGS[name].value for name in (field.name for field in fields(Recipe)) if name not in parsed},
    )
    architectures = tuple(architecture(name, **given_sizes()) for name in names)
    for arm in architectures:
        if arm.depth > DEEPEST:
            raise BadInput(f"--architectures: {arm.name} has {arm.depth} layers, at most {DEEPEST} are accepted")
        if FLAGS.image_size < arm.stride:
            raise BadInput(
                f"--image_size={FLAGS.image_size}: {arm.name} divides height and width by {arm.stride}; that or more "
                "is accepted, or --stem=cifar, which divides less"
            )
    for crop in (augmentation for augmentation in recipe.augmentations if isinstance(augmentation, Crop)):
        require_range("--augment=crop", crop.padding, 1, FLAGS.image_size - 1)
    for scale in (augmentation for augmentation in recipe.augmentations if isinstance(augmentation, Scale)):
        require_range("--augment=scale", scale.size, max(arm.stride for arm in architectures))
    looks = parse_looks(FLAGS.seeds, FLAGS.max_seeds)
    workdir = Path(FLAGS.workdir or Path("runs") / _flagfile_stem(experiment))
    return Settings(
        architectures=architectures,
        seeds=tuple(range(looks[-1])) if looks else parse_seeds(FLAGS.seeds),
        source=source_settings(),
        split=split_settings(),
        image_size=FLAGS.image_size,
        pipeline=FLAGS.pipeline,
        recipe=recipe,
        dtype=FLAGS.dtype,
        init_from=parse_init_from(FLAGS.init_from, names),
        workdir=workdir,
        flags=own_flags() | {"workdir": str(workdir)},
        looks=looks,
        replicas_as=FLAGS.replicas_as,
        stopping=Stopping(FLAGS.max_minutes),
        mesh=parse_mesh(FLAGS.mesh) if FLAGS.mesh else None,
    )


def given_sizes() -> dict[str, object]:
    """The fields of `Architecture` that flags change."""
    return {name: FLAGS[name].value for name in SIZES if FLAGS[name].value is not None}


def own_flags() -> dict[str, object]:
    """Every flag that says what is compared, with its value: those of absl and of processes are left out."""
    return {flag.name: flag.value for flag in _own_flags()}


def main_program(main: Callable[..., None], *definitions: Callable[[], None], takes_words: bool = False) -> None:
    """Defines flags, parses the command line, runs `main`; bad input ends with one line on stderr and status 2,
    and so does a disk that is full or cannot be written, with status 1.

    With `takes_words`, `main` gets the words of the command line that are no flags, wherever they stand between them;
    otherwise such a word is bad input. After `--` everything is a word.

    `--help` prints every flag's meaning and default. Flags are defined here and not on import, so that experiments can
    be imported beside each other.
    """
    for define in definitions:
        define()
    if {"--help", "-h", "-help", "--helpfull", "--helpshort"} & set(sys.argv[1:]):
        print(help_text(sys.modules["__main__"].__doc__ or ""))
        return
    try:
        words = _parse(sys.argv, takes_words)
        leave_out_repeated_errors()
        keep_freed_memory()
        if "gpu_flags" in FLAGS:
            use_gpu_flags(FLAGS.gpu_flags)
        if "compile_cache" in FLAGS and FLAGS.compile_cache:
            keep_compiled_programs(Path(os.path.expanduser(FLAGS.cache_dir or default_cache_dir())))
        if takes_words:
            main(words)
        else:
            main()
    except (BadInput, RecordError, flags.Error) as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # Who reads the output has had enough (`| head`). What is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        line = disk_fault(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(1)
    except Stopped as stopped:
        print(f"\n{stopped.reason}; {how_to_go_on()}", file=sys.stderr)
        sys.exit(stopped.status)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)


def _parse(arguments: list[str], takes_words: bool) -> list[str]:
    """Sets the flags and returns the words that are none.

    Raises `BadInput` for words where none are taken, and for what absl answers with errors of Python: a value for a
    switch that has none (--nocompile_cache=1), or a flagfile that is no text.
    """
    FLAGS.set_gnu_getopt(takes_words)
    try:
        rest = FLAGS(arguments)
    except flags.Error:
        raise
    except (ValueError, OSError, RecursionError) as error:
        raise BadInput(f"flags that cannot be read: {error}") from error
    if len(rest) > 1 and not takes_words:
        raise BadInput(f"{rest[1]!r}: flags such as --epochs=3 are accepted, no other words")
    return rest[1:]


def help_text(introduction: str) -> str:
    """The introduction, then each flag with its meaning and default."""
    lines = [introduction.strip(), "", "Flags (also one a line in a file given by --flagfile=FILE):", ""]
    beside = [FLAGS.get_flags_for_module(module) for module in (SWEEP_OPTIONS, process_flags.__name__)]
    for flag in [*beside[0], *_own_flags(), *beside[1]]:
        default = "" if flag.default is None else f" (default: {flag.default})"
        lines.append(f"  --{flag.name}\n      {flag.help}{default}")
    return "\n".join(lines)


def _own_flags() -> list[flags.Flag]:
    # absl files the flags that `__main__` defines under sys.argv[0].
    return [
        flag
        for module in (data_options.__name__, __name__, probe_options.__name__, sys.argv[0])
        for flag in FLAGS.get_flags_for_module(module)
    ]


def _flagfile_stem(experiment: str) -> str:
    for position, argument in enumerate(sys.argv):
        name, _, value = argument.partition("=")
        if name.lstrip("-") == "flagfile":
            return Path(value or sys.argv[position + 1]).stem
    return experiment
