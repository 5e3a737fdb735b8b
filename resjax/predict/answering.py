"""Classifies the images that are named, exports the networks, and says what became of what."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from resjax.errors import BadInput
from resjax.report.records import write_lines, write_text
from resjax.run.progress import duration
from resjax.training.recipe import require_range

if TYPE_CHECKING:
    from resjax.predict.predicting import NamedImage
    from resjax.predict.trained_network import TrainedArm

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

    from resjax.predict.predicting import Lines, classify, printable
    from resjax.predict.saliency_pictures import SaliencyPictures
    from resjax.run.environment import estimate_seconds

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
