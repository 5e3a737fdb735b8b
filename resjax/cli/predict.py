"""What do these images show? Classifies files and folders with the networks of a finished comparison, or exports them.

  python -m experiments.predict --workdir=runs/mine photo.jpg my_folder
  python -m experiments.predict --workdir=runs/mine --format=jsonl --output=answers.jsonl my_folder
  python -m experiments.predict --workdir=runs/mine --replica=best --grad_cam=looked_at photo.jpg
  python -m experiments.predict --workdir=runs/mine --export=my_model

The arm with the best mean accuracy on validation answers, all its seeds together, each at its best epoch. Probabilities
are calibrated on the validation images. Images are read as in training: the format from the bytes, upright, resized
whatever the aspect. Files that cannot be read are listed and counted, and the others classified. The images of the run
are not needed.

--export writes the weights by torch's names (safetensors), one StableHLO program for CPU, CUDA and TPU that takes
pixels and gives calibrated probabilities (jax.export), config.json, and a model card.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from absl import flags

from resjax.cli.compare import require_writable
from resjax.cli.settings import define_compile_cache_flag, main_program
from resjax.run.progress import duration
from resjax.report.records import write_lines, write_text
from resjax.training.recipe import require_choice, require_range
from resjax.types import BadInput

if TYPE_CHECKING:
    from resjax.predict.predicting import NamedImage
    from resjax.predict.trained_network import TrainedArm

FLAGS = flags.FLAGS
FORMATS = ("table", "jsonl")
EXPORT_FORMATS = ("safetensors", "stablehlo")
TOP = 3


@dataclass(frozen=True)
class PredictSettings:
    """All that a prediction is told."""

    workdir: Path
    words: tuple[str, ...]
    """Files and folders of images."""
    architecture: str | None
    replica: str
    format: str
    top: int | None
    output: Path | None
    grad_cam: Path | None
    export: Path | None
    export_formats: tuple[str, ...]


def define_predict_flags() -> None:
    flags.DEFINE_string("workdir", None, "folder of a finished comparison; of one on several splits, a split's folder")
    flags.DEFINE_string(
        "architecture", None, "the arm that answers; by default the one with the best mean accuracy on validation"
    )
    flags.DEFINE_string(
        "replica",
        "ensemble",
        "ensemble: the mean of the probabilities of all finished seeds of the arm; best: the seed that is best on "
        "validation; or a seed such as 0",
    )
    flags.DEFINE_string("format", "table", "table, or jsonl for a JSON record a line")
    flags.DEFINE_integer("top", None, f"classes shown of an image, the most probable first; by default {TOP}")
    flags.DEFINE_string("output", None, "file of the table or the lines; by default they are printed")
    flags.DEFINE_string(
        "grad_cam",
        None,
        "folder of pictures that show what speaks for the class of each image (Grad-CAM); none without",
    )
    flags.DEFINE_string("export", None, "folder to export the arm to, new or of an earlier export; images are optional")
    flags.DEFINE_string("export_formats", ",".join(EXPORT_FORMATS), f"of {', '.join(EXPORT_FORMATS)}")
    flags.DEFINE_string("cache_dir", None, "folder of compiled programs; by default resjax in the user's cache folder")
    define_compile_cache_flag()


def predict_settings(words: list[str]) -> PredictSettings:
    """The flags as settings.

    Raises:
      BadInput: for a value that is not accepted, and where there is nothing to do.
    """
    if not FLAGS.workdir:
        raise BadInput("--workdir: the folder of a finished comparison is needed, such as --workdir=runs/mine")
    require_choice("--format", FLAGS.format, FORMATS)
    if FLAGS.top is not None:
        require_range("--top", FLAGS.top, 1)
    formats = tuple(name.strip() for name in FLAGS.export_formats.split(",") if name.strip())
    for name in formats or ("",):
        require_choice("--export_formats", name, EXPORT_FORMATS)
    if not words and not FLAGS.export:
        raise BadInput("no images: files or folders of them are accepted after the flags, or --export=FOLDER")
    if not words and (FLAGS.output or FLAGS.grad_cam):
        flag = "--output" if FLAGS.output else "--grad_cam"
        raise BadInput(f"{flag} without images: files or folders of them are accepted after the flags")
    for flag in ("grad_cam", "export"):
        if FLAGS[flag].value:
            require_writable(_path(FLAGS[flag].value), f"--{flag}")
    output = _path(FLAGS.output) if FLAGS.output else None
    if output is not None:
        if output.is_dir():
            raise BadInput(f"--output={output} is a folder; the name of a file in a folder that is there is accepted")
        if not output.parent.is_dir():
            raise BadInput(f"--output={output}: there is no folder {output.parent}; one that is there is accepted")
        require_writable(output.parent, "--output")
    return PredictSettings(
        workdir=_path(FLAGS.workdir),
        words=tuple(words),
        architecture=FLAGS.architecture,
        replica=FLAGS.replica,
        format=FLAGS.format,
        top=FLAGS.top,
        output=output,
        grad_cam=_path(FLAGS.grad_cam) if FLAGS.grad_cam else None,
        export=_path(FLAGS.export) if FLAGS.export else None,
        export_formats=formats,
    )


def predict(settings: PredictSettings) -> None:
    """Classifies the images that are named, exports the arm if asked, and says what became of what.

    Raises:
      BadInput: where nothing can be read, or the workdir has no such replica.
    """
    # They import jax, which --help does without.
    from resjax.predict.predicting import calibration_sentence, named_images
    from resjax.predict.trained_network import trained_arm

    images = named_images(settings.words)
    arm = trained_arm(settings.workdir, settings.architecture, settings.replica)
    # What is printed as lines of JSON is for a program, and what is said besides is not.
    talk = sys.stderr if settings.format == "jsonl" and settings.output is None else sys.stdout
    print(f"{arm.workdir}: {arm.chosen}", file=talk)
    for note in arm.notes:
        print(note, file=talk)
    print(calibration_sentence(arm.calibration), file=talk, flush=True)
    if settings.export is not None:
        from resjax.predict.exporting import export_arm

        config = export_arm(arm, settings.export, settings.export_formats)
        print(f"{', '.join([*config['files'], 'config.json', 'README.md'])} are in {settings.export}", file=talk)
    if images:
        _classify(settings, arm, images, talk)


def _classify(settings: PredictSettings, arm: "TrainedArm", images: "list[NamedImage]", talk: TextIO) -> None:
    import jax
    from tqdm import tqdm

    from resjax.run.environment import estimate_seconds
    from resjax.predict.predicting import Lines, classify, printable
    from resjax.predict.saliency_pictures import SaliencyPictures

    if settings.top is not None:
        require_range("--top", settings.top, 1, len(arm.classes))
    pictures = SaliencyPictures(arm, settings.grad_cam) if settings.grad_cam else None
    lines = Lines(arm, images, settings.top or min(TOP, len(arm.classes)), settings.format == "jsonl")
    flops = arm.records.summary["architectures"][arm.name]["forward_flops"] or 0.0
    # Forward alone is a third of a training pass, and Grad-CAM is one.
    passes = len(images) * len(arm.seeds) * (4 / 3 if pictures else 1 / 3)
    seconds = estimate_seconds([flops], int(passes), [1])
    device = jax.devices()[0]
    print(
        f"{len(images):,} files at {arm.image_size} px on {device.platform} ({device.device_kind}): about "
        f"{duration(seconds)}\n",
        file=talk,
        flush=True,
    )
    kept, problems = [], {}
    if settings.output is None and lines.header:
        print(lines.header)
    shown = tqdm(classify(arm, images, pictures), total=len(images), disable=None if settings.output else True)
    for classified in shown:
        if classified.problem is not None:
            problems[printable(classified.name)] = printable(classified.problem)
        if settings.output is None:
            print(lines.line(classified), flush=True)
        else:
            kept.append(classified)
    counted = f"{len(images) - len(problems):,} images classified, {len(problems):,} could not be read"
    named = [f"{name} ({problem})" for name, problem in problems.items()]
    if len(problems) == len(images):
        raise BadInput(f"none of {len(images):,} files can be read: {_some(named)}; images are accepted")
    if settings.output is not None:
        if settings.format == "jsonl":
            write_lines(settings.output, map(lines.record, kept))
        else:
            write_text(settings.output, "\n".join([lines.header or "", *map(lines.line, kept)]) + "\n")
        counted += f"; a line for each is in {settings.output}"
    if pictures is not None:
        counted += f"; pictures are in {settings.grad_cam}"
    print(f"\n{counted}" + (f": {_some(named)}" if named else ""), file=talk)


def _some(named: list[str], most: int = 10) -> str:
    return ", ".join(named[:most]) + (f" and {len(named) - most:,} more" if len(named) > most else "")


def _path(text: str) -> Path:
    return Path(os.path.expanduser(text))


def main(words: list[str]) -> None:
    predict(predict_settings(words))


if __name__ == "__main__":
    main_program(main, define_predict_flags, takes_words=True)
