"""The engine of `predict`: classifies named images, exports the network, and prints what was done."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from resjax.errors import BadInput
from resjax.predict.labels import AUTO, labels_of
from resjax.records import write_lines, write_record, write_text
from resjax.terminal import duration, track
from resjax.training.recipe import require_range

if TYPE_CHECKING:
    from resjax.predict.predicting import NamedImage
    from resjax.predict.scoring import LabelledAnswers
    from resjax.predict.trained_network import TrainedNetwork

TOP = 3
"""How many classes of an image are shown by default."""


@dataclass(frozen=True)
class PredictSettings:
    """All settings of a prediction."""

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
    labels: str = AUTO
    """Where the classes of the images are found: see `resjax.predict.labels.labels_of`."""
    scores: Path | None = None
    """The folder of the scores on labelled images."""


def predict(settings: PredictSettings) -> None:
    """Classifies the named images, scores labelled ones, exports the network if asked, and prints what was done.

    Raises:
      BadInput: if no image can be read, the workdir has no such replica, `grad_cam` or `scores` lies among the images,
        or there are no labels that were asked for.
    """
    # They import jax, which --help does not need.
    from resjax.predict.predicting import calibration_sentence, named_images
    from resjax.predict.trained_network import trained_network

    _require_pictures_elsewhere(settings)
    images = named_images(settings.words)
    network = trained_network(settings.workdir, settings.architecture, settings.replica)
    # JSON lines on stdout are for a program, so everything else goes to stderr.
    talk = sys.stderr if settings.format == "jsonl" and settings.output is None else sys.stdout
    print(f"{network.workdir}: {network.chosen}", file=talk)
    for note in network.notes:
        print(note, file=talk)
    print(calibration_sentence(network.calibration), file=talk, flush=True)
    if settings.export is not None:
        from resjax.predict.exporting import export_network

        config = export_network(network, settings.export, settings.export_formats)
        print(f"{', '.join([*config.files, 'config.json', 'README.md'])} are in {settings.export}", file=talk)
    if images:
        _classify(settings, network, images, talk)


def _require_pictures_elsewhere(settings: PredictSettings) -> None:
    """Refuses pictures in a folder that is classified: the next run would classify them, too."""
    for flag, asked in (("grad_cam", settings.grad_cam), ("scores", settings.scores)):
        for word in settings.words if asked else ():
            folder = Path(word).expanduser()
            if asked and folder.is_dir() and asked.resolve().is_relative_to(folder.resolve()):
                raise BadInput(
                    f"--{flag}={asked} lies in {folder}, whose images are classified; expected a folder outside it"
                )


def _labelled(
    settings: PredictSettings, network: "TrainedNetwork", images: "list[NamedImage]", talk: TextIO
) -> "LabelledAnswers | None":
    """Where answers on labelled images are collected; None if the images have no labels, which is said."""
    from resjax.predict.scoring import LabelledAnswers

    labels = labels_of(settings.labels, settings.words, images, network.classes)
    if not isinstance(labels, str):
        for note in labels.notes:
            print(note, file=talk)
        return LabelledAnswers(labels)
    if settings.scores is not None:
        raise BadInput(
            f"--scores={settings.scores}: {labels or 'the images have no labels'}; expected folders named like the "
            f"classes ({', '.join(network.classes)}), or --labels=csv:FILE"
        )
    if labels:
        print(labels, file=talk)
    return None


def _classify(settings: PredictSettings, network: "TrainedNetwork", images: "list[NamedImage]", talk: TextIO) -> None:
    import jax

    from resjax.predict.predicting import Lines, classify, printable
    from resjax.predict.saliency_pictures import SaliencyPictures
    from resjax.run.setup.device import estimate_seconds

    if settings.top is not None:
        require_range("--top", settings.top, 1, len(network.classes))
    labelled = _labelled(settings, network, images, talk)
    pictures = SaliencyPictures(network, settings.grad_cam) if settings.grad_cam else None
    lines = Lines(network, images, settings.top or min(TOP, len(network.classes)), settings.format == "jsonl")
    networks = network.records.summary.architectures
    # Forward alone is a third of a training pass, and Grad-CAM is one.
    passes = len(images) * len(network.seeds) * (4 / 3 if pictures else 1 / 3)
    seconds = estimate_seconds([networks[network.name].forward_flops], int(passes), [1])
    if labelled:
        from resjax.predict.scoring import scored_networks

        scored = scored_networks(network, settings.architecture, settings.replica).networks
        others = [networks[name] for name in scored if name != network.name]
        seeds = [len(each.seeds) for each in others]
        seconds += estimate_seconds([each.forward_flops for each in others], len(labelled.labels.of) // 3, seeds)
    device = jax.devices()[0]
    print(
        f"{len(images):,} files at {network.image_size} px on {device.platform} ({device.device_kind}): about "
        f"{duration(seconds)}\n",
        file=talk,
        flush=True,
    )
    kept, problems, on_own_range = [], {}, []
    if settings.output is None and lines.header:
        print(lines.header)
    found = classify(network, images, pictures, labelled.add_fingerprint if labelled else None)
    for classified in track(found, "classifying", len(images)):
        if labelled:
            labelled.add(classified)
        if classified.problem is not None:
            problems[printable(classified.name)] = printable(classified.problem)
        if classified.on_own_range:
            on_own_range.append(printable(classified.name))
        if settings.output is None:
            print(lines.line(classified), flush=True)
        else:
            kept.append(classified)
    counted = f"{len(images) - len(problems):,} images classified, {len(problems):,} could not be read"
    named = [f"{name} ({problem})" for name, problem in problems.items()]
    if len(problems) == len(images):
        raise BadInput(f"none of {len(images):,} files can be read: {_some(named)}; expected images")
    if settings.output is not None:
        if settings.format == "jsonl":
            write_lines(settings.output, map(lines.record, kept))
        else:
            write_text(settings.output, "\n".join([lines.header or "", *map(lines.line, kept)]) + "\n")
        counted += f"; a line for each is in {settings.output}"
    if pictures is not None:
        counted += f"; pictures are in {settings.grad_cam}"
    print(f"\n{counted}" + (f": {_some(named)}" if named else ""), file=talk)
    if on_own_range:
        print(
            f"WARNING: {len(on_own_range):,} images have more than 8 bits a channel, unlike those of the comparison, "
            f"and are scaled by the range that each uses: {_some(on_own_range)}",
            file=talk,
        )
    if labelled:
        _score(settings, network, images, labelled, talk)


def _score(
    settings: PredictSettings,
    network: "TrainedNetwork",
    images: "list[NamedImage]",
    labelled: "LabelledAnswers",
    talk: TextIO,
) -> None:
    from resjax.predict.scoring import score
    from resjax.report.figures.class_figures import draw_scores
    from resjax.report.scores_text import scores_text

    try:
        record = score(network, images, labelled, settings.architecture, settings.replica)
    except BadInput as error:
        # Nobody asked for scores of these images.
        if settings.labels == AUTO and settings.scores is None:
            print(error, file=talk)
            return
        raise
    print(scores_text(record, network.name), file=talk, flush=True)
    if settings.scores is not None:
        settings.scores.mkdir(parents=True, exist_ok=True)
        write_record(settings.scores / "scores.json", record)
        draw_scores(record, settings.scores)
        print(f"\nscores.json and confusion.png are in {settings.scores}", file=talk)


def _some(named: list[str], most: int = 10) -> str:
    return ", ".join(named[:most]) + (f" and {len(named) - most:,} more" if len(named) > most else "")
