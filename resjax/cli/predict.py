"""What do these images show? Classifies files and folders with the networks of a finished comparison, or exports them.

  python -m experiments.predict --workdir=runs/mine photo.jpg my_folder
  python -m experiments.predict --workdir=runs/mine --format=jsonl --output=answers.jsonl my_folder
  python -m experiments.predict --workdir=runs/mine --replica=best --grad_cam=looked_at photo.jpg
  python -m experiments.predict --workdir=runs/mine --scores=runs/mine_outside folder_of_class_folders
  python -m experiments.predict --workdir=runs/mine --labels=csv:new.csv folder_of_images
  python -m experiments.predict --workdir=runs/mine --export=my_model

By default the network with the best mean validation accuracy answers, with all its seeds together, each at its best
epoch. Probabilities are calibrated on the validation images. Images are read as in training: the format is found in the
bytes, the picture is turned upright and resized without keeping the aspect. Files that cannot be read are listed and
counted, and the others classified. The images of the comparison are not needed.

Labelled images are scored, too: all networks of the comparison answer, each seed by itself, and are compared by the
rule, metric and margin of the comparison. Images that it trained on or chose the epoch by are found, by their bytes and
as near-copies, and scored apart. Images are labelled by folders that are named like the classes, or by a csv.

--export writes the weights under torch's names (safetensors), one StableHLO program for CPU, CUDA and TPU that takes
pixels and gives calibrated probabilities (jax.export), config.json, and a model card.
"""

from pathlib import Path

from absl import flags

from resjax.cli.flags.paths import define_path
from resjax.cli.flags.settings import define_compile_cache_flag
from resjax.cli.program import Command
from resjax.errors import BadInput
from resjax.predict.answering import TOP, PredictSettings
from resjax.predict.labels import AUTO, CSV, FOLDER, NONE, csv_path
from resjax.run.workdir.lock import require_writable
from resjax.training.recipe import require_choice, require_range

FLAGS = flags.FLAGS
FORMATS = ("table", "jsonl")
EXPORT_FORMATS = ("safetensors", "stablehlo")


def define_predict_flags() -> None:
    define_path("workdir", None, "folder of a finished comparison; for one on several splits, the folder of a split")
    flags.DEFINE_string(
        "architecture", None, "the network that answers; by default the one with the best mean validation accuracy"
    )
    flags.DEFINE_string(
        "replica",
        "ensemble",
        "ensemble: the mean of the probabilities of all finished seeds of the network; best: the seed that is best on "
        "validation; or a seed such as 0",
    )
    flags.DEFINE_string("format", "table", "table, or jsonl: one JSON record on each line")
    flags.DEFINE_integer(
        "top", None, f"number of classes shown for each image, the most probable first; by default {TOP}"
    )
    define_path("output", None, "file of the table or the lines; by default they are printed")
    define_path(
        "grad_cam",
        None,
        "folder for pictures that show which regions of each image support its class (Grad-CAM)",
    )
    flags.DEFINE_string(
        "labels",
        AUTO,
        "where labels come from. auto: from the folders, if all of them are named like classes; folder: from the "
        "folders, and images in other folders are listed and not scored; csv:FILE with the columns filename and label "
        "(the images are in the folder on the command line, by default the one beside the csv with its name); none",
    )
    define_path("scores", None, "folder for the scores of labelled images: scores.json and the confusion matrices")
    define_path("export", None, "folder to export the network to, new or of an earlier export; images are optional")
    flags.DEFINE_string("export_formats", ",".join(EXPORT_FORMATS), f"of {', '.join(EXPORT_FORMATS)}")
    define_path("cache_dir", None, "folder of compiled programs; by default resjax in the user's cache folder")
    define_compile_cache_flag()


def predict_settings(words: list[str]) -> PredictSettings:
    """The flags as settings.

    Raises:
      BadInput: for a value that is not allowed, and if there is nothing to do.
    """
    if not FLAGS.workdir:
        raise BadInput("--workdir: the folder of a finished comparison is needed, such as --workdir=runs/mine")
    require_choice("--format", FLAGS.format, FORMATS)
    if FLAGS.top is not None:
        require_range("--top", FLAGS.top, 1)
    formats = tuple(name.strip() for name in FLAGS.export_formats.split(",") if name.strip())
    for name in formats or ("",):
        require_choice("--export_formats", name, EXPORT_FORMATS)
    if (table := csv_path(FLAGS.labels)) is None:
        require_choice("--labels", FLAGS.labels, (AUTO, FOLDER, NONE, f"{CSV}FILE"))
    elif not words:
        words = [str(table.with_suffix(""))]
    if FLAGS.scores and FLAGS.labels == NONE:
        raise BadInput("--scores with --labels=none: expected labels, or no --scores")
    if not words and not FLAGS.export:
        raise BadInput("no images: expected files or folders after the flags, or --export=FOLDER")
    for flag in () if words else ("output", "grad_cam", "scores"):
        if getattr(FLAGS, flag):
            raise BadInput(f"--{flag} without images: expected files or folders after the flags")
    for flag in ("grad_cam", "scores", "export"):
        if folder := getattr(FLAGS, flag):
            require_writable(Path(folder), f"--{flag}")
    output = Path(FLAGS.output) if FLAGS.output else None
    if output is not None:
        if output.is_dir():
            raise BadInput(f"--output={output} is a folder; expected the name of a file in an existing folder")
        if not output.parent.is_dir():
            raise BadInput(f"--output={output}: there is no folder {output.parent}; expected an existing one")
        require_writable(output.parent, "--output")
    return PredictSettings(
        workdir=Path(FLAGS.workdir),
        words=tuple(words),
        architecture=FLAGS.architecture,
        replica=FLAGS.replica,
        format=FLAGS.format,
        top=FLAGS.top,
        output=output,
        grad_cam=Path(FLAGS.grad_cam) if FLAGS.grad_cam else None,
        export=Path(FLAGS.export) if FLAGS.export else None,
        export_formats=formats,
        labels=FLAGS.labels,
        scores=Path(FLAGS.scores) if FLAGS.scores else None,
    )


def main(words: list[str]) -> None:
    from resjax.predict.answering import predict
    from resjax.run.setup.device import require_backend

    asked = predict_settings(words)
    require_backend()
    predict(asked)


COMMAND = Command("predict", __doc__, main, (define_predict_flags,), takes_words=True)
