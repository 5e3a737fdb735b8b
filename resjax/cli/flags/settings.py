"""The flags of a comparison, turned once into frozen settings; nothing below `cli` sees a flag."""

import sys
from pathlib import Path

from absl import flags

from resjax.cli.flags import data, probes, verdict
from resjax.cli.flags.data import source_settings, split_settings
from resjax.cli.flags.paths import define_path
from resjax.cli.machine import DEFAULT_GPU_FLAGS, GPU_FLAGS
from resjax.data.dataset import PIPELINES, RESIDENT_SHARE
from resjax.errors import BadInput
from resjax.evaluation.comparison.pairs import pairs_asked
from resjax.evaluation.comparison.statistics.paired_tests import fewest_seeds
from resjax.evaluation.comparison.statistics.planning import LEVEL, looks_until
from resjax.models.architecture import STEMS
from resjax.models.own_network import architectures_among
from resjax.models.twins import twins_among
from resjax.run.settings import SIZES, Settings
from resjax.run.stopping import Stopping
from resjax.training.recipe import WAYS, Recipe, fields_with_options, require_choice, require_range

FLAGS = flags.FLAGS
MOST_SEEDS = 10_000
"""More seeds are taken for a slip: each leaves a folder."""
WIDEST = 2**14
"""Channels of a stem: the last stage has eight times as many and more."""
DEEPEST = 2000
"""Layers: a network of 1202 compiles for many minutes, and one of a million for ever."""
DTYPES = ("float32", "bfloat16")
SWEEP_OPTIONS = "resjax.sweep.grid"
"""The module of the flags that say what a sweep goes through; they are no part of what one comparison is told."""


def define_size_flags() -> None:
    own = "by default that of the network:"
    flags.DEFINE_integer(
        "width", None, f"channels of the first layers, from which all others follow; {own} 64, or 16 for CIFAR networks"
    )
    flags.DEFINE_string(
        "stem",
        None,
        f"the first layers, one of {', '.join(STEMS)}: imagenet is a 7x7 convolution with stride 2 and a max pool, "
        f"cifar a 3x3 convolution; {own} cifar for CIFAR networks",
    )


def define_training_flags() -> None:
    flags.DEFINE_string(
        "architectures",
        "plain34,resnet34",
        "networks to compare, by name. A name is plain or resnet with a depth: 18, 34, 50, 101, 152, or 6n + 2 for "
        "CIFAR (20, 56, 110, ...); or resnext50_32x4d, wide_resnet28_10. It may begin with se_ or preact_ and end with "
        "_gn, _nonorm, _skipinit, _fixup, _zero_gamma, _stochastic_depth, or a shortcut: _pad, _project, _project_all. "
        "A network of your own is package.module:function, a function from a key to a flax.nnx.Module",
    )
    define_path(
        "init_from",
        None,
        "weights to start from, torchvision's or timm's as .safetensors (or .pth, where torch is installed): FILE for "
        "all networks, or NETWORK=FILE,NETWORK=FILE",
        separator=",",
        prefixed=True,
    )
    flags.DEFINE_string(
        "seeds",
        "6",
        "how often each network is trained: 6 means with seeds 0 to 5; 0,3,7 means with these; 3, means with seed 3 "
        "alone. auto (recommended) adds seeds until every comparison has a verdict: it looks after 8, 12, 16 and 20 "
        "seeds, and keeps the false verdicts of all looks together at 5 %. If seeds are added by hand after a verdict "
        "was shown, the next verdict says that it is not confirmatory",
    )
    flags.DEFINE_integer("max_seeds", 20, "with --seeds=auto: the largest number of seeds")
    flags.DEFINE_integer("image_size", 224, "height and width in pixels to which images are resized")
    flags.DEFINE_string(
        "pipeline",
        "auto",
        f"one of {', '.join(PIPELINES)}: resident keeps the images on the device, streamed reads them batch by "
        f"batch, with the same results; auto: resident if they fit into {RESIDENT_SHARE:.0%} of the device's free "
        "memory",
    )
    define_size_flags()
    verdict.define_comparisons_flag()
    verdict.define_question_flags()
    flags.DEFINE_string(
        "dtype", "float32", f"one of {', '.join(DTYPES)}: number format of the computation; parameters stay float32"
    )
    flags.DEFINE_string(
        "gpu_flags",
        DEFAULT_GPU_FLAGS,
        f"XLA's options on NVIDIA cards, of {', '.join(GPU_FLAGS)}, joined by commas; or none",
    )
    define_compile_cache_flag()
    define_recipe_flags()
    flags.DEFINE_string(
        "replicas_as",
        "auto",
        f"how the seeds of a network are trained: one of {', '.join(WAYS)}, or auto; results agree to 1e-5. sequential "
        "trains one seed after the other through all networks, so that an early stop leaves complete pairs. map, vmap "
        "and devices train all seeds of a network together: map computes their steps one after another in one program, "
        "vmap all at once (which takes the memory of all), devices one on each device. auto: devices if there are "
        "several; sequential on one CPU; vmap for small steps on one GPU or TPU. It may differ when a run is resumed",
    )
    flags.DEFINE_string(
        "mesh",
        None,
        "devices to use, such as replica:2,batch:4: two seeds at a time, each batch split over four devices; results "
        "agree to 1e-5. By default each seed has one device",
    )
    flags.DEFINE_float(
        "max_minutes",
        None,
        "minutes after which the run saves and stops, for a machine that is lent for a limited time; the same command "
        "resumes",
    )
    flags.DEFINE_boolean(
        "allow_mixed_environment",
        False,
        "resume, or add seeds and networks, even if the finished ones were trained with another version of jax, "
        "device, dtype or setting that changes numbers; the report says so",
    )
    define_path(
        "workdir", None, "folder of the results; by default runs/NAME, after the flagfile NAME.flags or the command"
    )


def define_recipe_flags() -> None:
    """A flag for each field of `Recipe`: its type, default, help text and unit stand at the field."""
    parsers = {int: flags.IntegerParser(), float: flags.FloatParser(), str: flags.ArgumentParser()}
    for field, option in fields_with_options(Recipe):
        parser = parsers[str if option.parse else type(field.default)]
        default = option.default_text if option.parse else field.default
        # absl's short name is a second name of the same flag, of any length: also in flagfiles.
        flags.DEFINE(
            parser,
            option.flag,
            default,
            option.describe(),
            serializer=flags.ArgumentSerializer(),
            short_name=option.alias,
        )


def define_compile_cache_flag() -> None:
    flags.DEFINE_boolean(
        "compile_cache", True, "keep compiled programs in --cache_dir, so that later runs start faster"
    )


def parse_seeds(text: str) -> tuple[int, ...]:
    """`6` means 0 to 5; `0,3,7` means those."""
    try:
        numbers = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        numbers = ()
    if numbers and "," not in text:
        numbers = tuple(range(min(numbers[0], MOST_SEEDS + 1)))
    if len(numbers) > MOST_SEEDS or (numbers and max(numbers) >= 2**32):
        raise BadInput(f"--seeds={text!r}: expected at most {MOST_SEEDS} seeds, each below 2^32")
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise BadInput(f"--seeds={text!r}: expected a count such as 6, different seeds such as 0,3,7, or auto")
    return numbers


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
    from resjax.data.augmentation import Crop, Scale
    from resjax.run.setup.initial_weights import parse_init_from
    from resjax.run.setup.networks import named_network
    from resjax.training.mesh import parse_mesh

    require_range("--image_size", FLAGS.image_size, 8, 4096)
    if FLAGS.width is not None:
        require_range("--width", FLAGS.width, 1, WIDEST)
    if FLAGS.max_minutes is not None:
        require_range("--max_minutes", FLAGS.max_minutes, 0, above=True)
    require_choice("--pipeline", FLAGS.pipeline, PIPELINES)
    require_choice("--dtype", FLAGS.dtype, DTYPES)
    require_choice("--replicas_as", FLAGS.replicas_as, ("auto", *WAYS))
    given = [name.strip() for name in FLAGS.architectures.split(",") if name.strip()]
    recipe = Recipe.from_flags({option.flag: FLAGS[option.flag].value for _, option in fields_with_options(Recipe)})
    networks = tuple(named_network(name, **given_sizes()) for name in given)
    names = [network.name for network in networks]
    if not names or len(set(names)) < len(names):
        raise BadInput(f"--architectures={FLAGS.architectures!r}: expected one or more different names")
    architectures = architectures_among(networks)
    for network in architectures:
        if network.depth > DEEPEST:
            raise BadInput(f"--architectures: {network.name} has {network.depth} layers; expected at most {DEEPEST}")
        if FLAGS.image_size < network.stride:
            raise BadInput(
                f"--image_size={FLAGS.image_size}: expected {network.stride} or more, since "
                f"{network.name} divides height and width by {network.stride}; or --stem=cifar, which divides less"
            )
    for crop in (augmentation for augmentation in recipe.augmentations if isinstance(augmentation, Crop)):
        require_range("--augment=crop", crop.padding, 1, FLAGS.image_size - 1)
    for scale in (augmentation for augmentation in recipe.augmentations if isinstance(augmentation, Scale)):
        require_range("--augment=scale", scale.size, max((network.stride for network in architectures), default=1))
    comparisons = FLAGS.comparisons.replace(" ", "")
    pairs_asked(comparisons, names, [(each.baseline, each.candidate) for each in twins_among(architectures)])
    looks = parse_looks(FLAGS.seeds, FLAGS.max_seeds)
    workdir = Path(FLAGS.workdir or Path("runs") / _flagfile_stem(experiment))
    return Settings(
        architectures=networks,
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
        comparisons=comparisons,
        question=verdict.question(),
        looks=looks,
        replicas_as=FLAGS.replicas_as,
        allow_mixed_environment=FLAGS.allow_mixed_environment,
        stopping=Stopping(FLAGS.max_minutes),
        mesh=parse_mesh(FLAGS.mesh) if FLAGS.mesh else None,
    )


def given_sizes() -> dict[str, object]:
    """The fields of `Architecture` that flags change.

    Raises:
      BadInput: for an unknown stem.
    """
    if FLAGS.stem is not None:
        require_choice("--stem", FLAGS.stem, STEMS)
    return {name: FLAGS[name].value for name in SIZES if FLAGS[name].value is not None}


def own_flags() -> dict[str, object]:
    """Every flag that says what is compared, with its value. Those of absl, of processes and of a grid are left out."""
    modules = (data.__name__, __name__, verdict.__name__, probes.__name__)
    return {flag.name: flag.value for module in modules for flag in FLAGS.get_flags_for_module(module)}


def _flagfile_stem(default: str) -> str:
    """The name of the flagfile on the command line without its ending, or the default without one."""
    for position, argument in enumerate(sys.argv):
        name, _, value = argument.partition("=")
        if name.lstrip("-") == "flagfile":
            return Path(value or sys.argv[position + 1]).stem
    return default
