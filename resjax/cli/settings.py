"""The flags of a comparison, turned once into frozen settings; nothing below `cli` sees a flag."""

import sys
from dataclasses import fields
from pathlib import Path

from absl import flags

from resjax.cli import data_flags, probe_flags
from resjax.cli.data_flags import source_settings, split_settings
from resjax.cli.machine import DEFAULT_GPU_FLAGS, GPU_FLAGS
from resjax.data.pipeline import PIPELINES, RESIDENT_SHARE
from resjax.evaluation.comparison.paired_tests import fewest_seeds
from resjax.evaluation.comparison.planning import LEVEL, looks_until
from resjax.models.architecture import STEMS, architecture
from resjax.run.settings import SIZES, Settings
from resjax.run.stopping import Stopping
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
        "gpu_flags",
        DEFAULT_GPU_FLAGS,
        f"XLA's options on NVIDIA cards, of {', '.join(GPU_FLAGS)}, joined by commas; or none",
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
    from resjax.data.augmentation import Crop, Scale, parse_augmentation
    from resjax.run.initial_weights import parse_init_from
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
    """Every flag that says what is compared, with its value. Those of absl, of processes and of a grid are left out."""
    modules = (data_flags.__name__, __name__, probe_flags.__name__)
    return {flag.name: flag.value for module in modules for flag in FLAGS.get_flags_for_module(module)}


def _flagfile_stem(default: str) -> str:
    """The name of the flagfile on the command line without its ending, or the default without one."""
    for position, argument in enumerate(sys.argv):
        name, _, value = argument.partition("=")
        if name.lstrip("-") == "flagfile":
            return Path(value or sys.argv[position + 1]).stem
    return default
