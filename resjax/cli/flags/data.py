"""The flags that name the images and divide them, and the settings that they become."""

from pathlib import Path

from absl import flags

from resjax.cli.flags.paths import define_path
from resjax.data.splits import METHODS, VAL_FRACTION
from resjax.errors import BadInput
from resjax.run.settings import SourceSettings, SplitSettings
from resjax.training.recipe import require_choice, require_range

FLAGS = flags.FLAGS


def define_source_flags() -> None:
    define_path(
        "dataset",
        "synthetic",
        "the images: folder:PATH (one folder for each class; or train, val and test with such folders), csv:PATH "
        "(columns filename,label and perhaps split), npz:FILE (arrays images and labels), tfds:NAME (prepared by TFDS; "
        "also NAME/CONFIG:VERSION and NAME@train[:20%]), or synthetic and synthetic:COUNT (drawn dishes)",
        prefixed=True,
    )
    define_path(
        "image_dir",
        None,
        "folder of the images of csv:PATH; by default the folder beside the csv with its name, train/ for train.csv",
    )
    define_path(
        "data_dir",
        None,
        "folder of the data sets that TFDS has prepared; by default $TFDS_DATA_DIR or ~/tensorflow_datasets",
    )
    define_path(
        "cache_dir",
        None,
        "folder of decoded images and compiled programs; by default resjax in the user's cache folder",
    )
    flags.DEFINE_float(
        "cache_gb",
        20.0,
        "gigabytes that the cache may hold; the least recently used entries are removed first, never those of this run",
    )
    flags.DEFINE_boolean(
        "near_copies",
        True,
        "find near-duplicates: re-encoded, rescaled, slightly cropped, mirrored and recoloured copies; with "
        "--nonear_copies only files with the same bytes count as duplicates",
    )


def define_split_flags() -> None:
    flags.DEFINE_string(
        "split",
        None,
        "how images are divided into training and validation: grouped keeps duplicates on one side; given is the split "
        "that comes with the data; random and overlapping leak, and exist to show the effect of leaks. Several, joined "
        "by commas, run one after another and are shown side by side. By default given if the data come with a split, "
        "otherwise grouped",
    )
    flags.DEFINE_integer("split_seed", 0, "seed of the split, the same for every replica")
    define_path("split_file", None, "a split.json to use instead of --split, --split_seed and the fractions")
    flags.DEFINE_integer(
        "folds",
        None,
        "cross-validation with this number of folds (2 or more) instead of --val_fraction: each fold is the validation "
        "set once",
    )
    flags.DEFINE_float(
        "val_fraction", None, f"share of the images that are kept for validation; by default {VAL_FRACTION:g}"
    )
    flags.DEFINE_float("test_fraction", 0.0, "share of the images that are kept for one evaluation at the end")
    flags.DEFINE_float(
        "train_fraction",
        1.0,
        "share of the training images that is trained on, drawn class by class by --split_seed, duplicates together; a "
        "larger share contains every smaller one. An epoch is a pass over this share",
    )


def require_dataset(command: str) -> None:
    """Refuses to begin hours of work on the default images that nobody has asked for.

    Raises:
      BadInput: names the quickstart.
    """
    if not FLAGS["dataset"].present:
        demo = "--flagfile=quickstart" if command == "compare" else "--flagfile=sweep_demo"
        raise BadInput(
            f"--dataset: expected images, such as --dataset=folder:my_images; or try {demo}, which draws its own and "
            "takes minutes"
        )


def source_settings() -> SourceSettings:
    """The source flags as settings.

    Raises:
      BadInput: for a value outside its range.
    """
    require_range("--cache_gb", FLAGS.cache_gb, 0)
    return SourceSettings(
        dataset=FLAGS.dataset,
        image_dir=_path(FLAGS.image_dir),
        data_dir=_path(FLAGS.data_dir),
        cache_dir=_path(FLAGS.cache_dir),
        cache_gb=FLAGS.cache_gb,
        near_copies=FLAGS.near_copies,
    )


def split_settings() -> SplitSettings:
    """The split flags as settings.

    Raises:
      BadInput: for a value outside its range, or flags that contradict each other.
    """
    methods = tuple(name.strip() for name in (FLAGS.split or "").split(",") if name.strip())
    for name in methods:
        require_choice("--split", name, METHODS)
    if len(set(methods)) < len(methods):
        raise BadInput(f"--split={FLAGS.split}: expected different ones of {', '.join(METHODS)}")
    _require_one_way_to_split(methods)
    require_range("--split_seed", FLAGS.split_seed, 0, 2**32 - 1)
    if FLAGS.val_fraction is not None:
        require_range("--val_fraction", FLAGS.val_fraction, 0, 1, above=True)
    require_range("--test_fraction", FLAGS.test_fraction, 0, 1)
    require_range("--train_fraction", FLAGS.train_fraction, 0, 1, above=True)
    return SplitSettings(
        methods=methods,
        seed=FLAGS.split_seed,
        file=_path(FLAGS.split_file),
        folds=FLAGS.folds,
        val_fraction=FLAGS.val_fraction,
        test_fraction=FLAGS.test_fraction,
        train_fraction=FLAGS.train_fraction,
    )


def _require_one_way_to_split(methods: tuple[str, ...]) -> None:
    """Refuses flags that each say in their own way what val is, or how often to run."""
    several = FLAGS.split if len(methods) > 1 else None
    if FLAGS.folds is not None:
        require_range("--folds", FLAGS.folds, 2, 1000)
    for one, other in (("folds", "val_fraction"), ("folds", "split_file"), ("folds", "split"), ("split_file", "split")):
        first, second = FLAGS[one].value, several if other == "split" else FLAGS[other].value
        if first is not None and second is not None:
            raise BadInput(f"--{one}={first} with --{other}={second}: expected one of the two")


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
