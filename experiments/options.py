"""The flags that experiments share, turned once into frozen settings; nothing below `main` sees a flag."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from absl import flags

from resjax.data.augmentation import Crop, parse_augmentation
from resjax.data.pipeline import PIPELINES, RESIDENT_SHARE
from resjax.data.splits import METHODS, VAL_FRACTION
from resjax.models.architecture import STEMS, Architecture, architecture
from resjax.report.records import RecordError
from resjax.training.recipe import DECAYED, OPTIMIZERS, SCHEDULES, Recipe, require_choice, require_range
from resjax.types import BadInput

FLAGS = flags.FLAGS
DTYPES = ("float32", "bfloat16")
OUTSIDE_RECIPE = (
    *("architectures", "seeds", "workdir", "cache_dir", "cache_gb", "pipeline"),
    *("dataset", "image_dir", "data_dir"),
    *("split", "split_seed", "split_file", "folds", "val_fraction", "test_fraction"),
)
"""Flags that do not say what becomes of a replica: the first six never do, the others only through the data and its
split, which have a fingerprint of their own."""


@dataclass(frozen=True)
class DataSettings:
    """Where the images come from and how they are split."""

    dataset: str
    image_dir: Path | None
    data_dir: Path | None
    image_size: int
    cache_dir: Path | None
    cache_gb: float
    pipeline: str
    near_copies: bool
    splits: tuple[str, ...]
    """Methods of splitting, none where the data decide; with several, the comparison runs once on each."""
    split_seed: int
    split_file: Path | None
    folds: int | None
    val_fraction: float | None
    test_fraction: float


@dataclass(frozen=True)
class Settings:
    """All that a comparison is told."""

    architectures: tuple[Architecture, ...]
    seeds: tuple[int, ...]
    data: DataSettings
    recipe: Recipe
    dtype: str
    workdir: Path
    flags: dict[str, object]
    """Every flag of the experiment with its value, for the records."""


def define_data_flags() -> None:
    flags.DEFINE_string(
        "dataset",
        "synthetic",
        "synthetic, synthetic:COUNT, csv:PATH (columns filename,label), folder:PATH (a folder a class, or train, val "
        "and test of such folders) or tfds:NAME (NAME/CONFIG:VERSION, NAME@train[:20%]: prepared by TFDS)",
    )
    flags.DEFINE_string("image_dir", None, "folder of a csv's images; by default the one beside it named like its stem")
    flags.DEFINE_string(
        "data_dir", None, "folder of what TFDS has prepared; by default $TFDS_DATA_DIR or ~/tensorflow_datasets"
    )
    flags.DEFINE_integer("image_size", 224, "height and width of the images in pixels, by plain resize")
    flags.DEFINE_string("cache_dir", None, "folder of the decoded images; by default resjax in the user's cache folder")
    flags.DEFINE_float(
        "cache_gb", 20.0, "gigabytes that the cache may hold; what was used least recently goes first, this run's stays"
    )
    flags.DEFINE_string(
        "pipeline",
        "auto",
        f"one of {', '.join(PIPELINES)}: images on the device or read batch by batch, with the same results; "
        f"auto: on the device if they fit {RESIDENT_SHARE:.0%} of its free memory",
    )
    flags.DEFINE_boolean(
        "near_copies",
        True,
        "look for re-encoded, rescaled, slightly cropped, mirrored and recoloured copies; --nonear_copies: a copy is a "
        "file with the same bytes",
    )
    flags.DEFINE_string(
        "split",
        None,
        "grouped keeps copies on one side; given is the source's own split; random and overlapping leak, and exist to "
        "show what leaks do; several with commas between run one after the other and are shown side by side; by "
        "default given where the source comes with a split, grouped otherwise",
    )
    flags.DEFINE_integer("split_seed", 0, "seed of the split, the same for every replica")
    flags.DEFINE_string("split_file", None, "a split.json to use instead of --split, --split_seed and the fractions")
    flags.DEFINE_integer(
        "folds", None, "runs once a fold, which is then val and the others train, instead of --val_fraction; from 2"
    )
    flags.DEFINE_float(
        "val_fraction", None, f"share of the images that the best epoch is chosen on; by default {VAL_FRACTION:g}"
    )
    flags.DEFINE_float("test_fraction", 0.0, "share of the images that are kept for one look at the end")


def define_training_flags() -> None:
    flags.DEFINE_string("architectures", "plain34,resnet34", "the arms, by name; the first is the baseline")
    flags.DEFINE_string("seeds", "6", "replicas an arm: 6 means seeds 0 to 5; 0,3,7 means those (one seed: 3,)")
    flags.DEFINE_integer("width", 64, "channels of the first stage")
    flags.DEFINE_string("stem", "imagenet", f"one of {', '.join(STEMS)}: 7x7/2 and max pool, or 3x3")
    flags.DEFINE_string("dtype", "float32", f"one of {', '.join(DTYPES)}: what is computed in; parameters stay float32")
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
        "schedule", defaults["schedule"], f"one of {', '.join(SCHEDULES)}; step divides by 10 at 1/2 and 3/4 of the run"
    )
    flags.DEFINE_float("warmup_epochs", defaults["warmup_epochs"], "epochs of linear warm-up")
    flags.DEFINE_string(
        "augment",
        "flip,rotate:15,color:0.2,0.2,0.2,0.1",
        "of flip, rotate:DEGREES, color:B,C,S,H, crop:PIXELS; or none",
    )
    flags.DEFINE_string("workdir", None, "folder of the results; by default runs/NAME for X/NAME.flags")


def parse_seeds(text: str) -> tuple[int, ...]:
    """`6` means 0 to 5; `0,3,7` means those."""
    try:
        numbers = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        numbers = ()
    if numbers and "," not in text:
        numbers = tuple(range(numbers[0]))
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise BadInput(f"--seeds={text!r}: a count such as 6, or different seeds such as 0,3,7, are accepted")
    return numbers


def data_settings() -> DataSettings:
    """The data flags as settings.

    Raises:
      BadInput: for a value outside its range.
    """
    require_range("--image_size", FLAGS.image_size, 8, 4096)
    require_range("--cache_gb", FLAGS.cache_gb, 0)
    require_choice("--pipeline", FLAGS.pipeline, PIPELINES)
    splits = tuple(name.strip() for name in (FLAGS.split or "").split(",") if name.strip())
    for name in splits:
        require_choice("--split", name, METHODS)
    if len(set(splits)) < len(splits):
        raise BadInput(f"--split={FLAGS.split}: different ones of {', '.join(METHODS)} are accepted")
    _require_one_way_to_split(splits)
    return DataSettings(
        dataset=FLAGS.dataset,
        image_dir=_path(FLAGS.image_dir),
        data_dir=_path(FLAGS.data_dir),
        image_size=FLAGS.image_size,
        cache_dir=_path(FLAGS.cache_dir),
        cache_gb=FLAGS.cache_gb,
        pipeline=FLAGS.pipeline,
        near_copies=FLAGS.near_copies,
        splits=splits,
        split_seed=FLAGS.split_seed,
        split_file=_path(FLAGS.split_file),
        folds=FLAGS.folds,
        val_fraction=FLAGS.val_fraction,
        test_fraction=FLAGS.test_fraction,
    )


def _require_one_way_to_split(splits: tuple[str, ...]) -> None:
    """Refuses flags that each say in their own way what val is, or how often to run."""
    several = FLAGS.split if len(splits) > 1 else None
    if FLAGS.folds is not None:
        require_range("--folds", FLAGS.folds, 2, 1000)
    for one, other in (("folds", "val_fraction"), ("folds", "split_file"), ("folds", "split"), ("split_file", "split")):
        first, second = FLAGS[one].value, several if other == "split" else FLAGS[other].value
        if first is not None and second is not None:
            raise BadInput(f"--{one}={first} with --{other}={second}: one of the two is accepted")


def settings(experiment: str) -> Settings:
    """All flags as settings.

    Raises:
      BadInput: for an unknown name or a value outside its range.
    """
    require_choice("--dtype", FLAGS.dtype, DTYPES)
    names = [name.strip() for name in FLAGS.architectures.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise BadInput(f"--architectures={FLAGS.architectures!r}: one or more different names are accepted")
    recipe = Recipe(
        augmentations=parse_augmentation(FLAGS.augment),
        **{field.name: FLAGS[field.name].value for field in fields(Recipe) if field.name != "augmentations"},
    )
    for crop in (augmentation for augmentation in recipe.augmentations if isinstance(augmentation, Crop)):
        require_range("--augment=crop", crop.padding, 1, FLAGS.image_size - 1)
    workdir = Path(FLAGS.workdir or Path("runs") / _flagfile_stem(experiment))
    return Settings(
        architectures=tuple(architecture(name, width=FLAGS.width, stem=FLAGS.stem) for name in names),
        seeds=parse_seeds(FLAGS.seeds),
        data=data_settings(),
        recipe=recipe,
        dtype=FLAGS.dtype,
        workdir=workdir,
        flags=own_flags() | {"workdir": str(workdir)},
    )


def own_flags() -> dict[str, object]:
    """Every flag that resjax defines (absl's own left out) with its value."""
    return {flag.name: flag.value for flag in _own_flags()}


def main_program(main: Callable[[], None], *definitions: Callable[[], None]) -> None:
    """Defines flags, parses the command line, runs `main`; bad input ends with one line on stderr and status 2.

    `--help` prints every flag's meaning and default. Flags are defined here and not on import, so that experiments can
    be imported beside each other.
    """
    for define in definitions:
        define()
    if {"--help", "-h", "-help", "--helpfull", "--helpshort"} & set(sys.argv[1:]):
        print(help_text(sys.modules["__main__"].__doc__ or ""))
        return
    try:
        rest = FLAGS(sys.argv)
        if len(rest) > 1:
            raise BadInput(f"{rest[1]!r}: flags such as --epochs=3 are accepted, no other words")
        main()
    except (BadInput, RecordError, flags.Error) as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)


def help_text(introduction: str) -> str:
    """The introduction, then each flag with its meaning and default."""
    lines = [introduction.strip(), "", "Flags (also one a line in a file given by --flagfile=FILE):", ""]
    for flag in _own_flags():
        default = "" if flag.default is None else f" (default: {flag.default})"
        lines.append(f"  --{flag.name}\n      {flag.help}{default}")
    return "\n".join(lines)


def _own_flags() -> list[flags.Flag]:
    # absl files the flags that `__main__` defines under sys.argv[0].
    return [*FLAGS.get_flags_for_module(__name__), *FLAGS.get_flags_for_module(sys.argv[0])]


def _flagfile_stem(experiment: str) -> str:
    for position, argument in enumerate(sys.argv):
        name, _, value = argument.partition("=")
        if name.lstrip("-") == "flagfile":
            return Path(value or sys.argv[position + 1]).stem
    return experiment


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(os.path.expanduser(text))
