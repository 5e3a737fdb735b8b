"""From arguments of a command line to classified images: which files they name, their classes, and their lines."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from msgspec import UNSET

from resjax.data.decoding import Fingerprint, decode_files
from resjax.data.sources.files import find_files, is_hidden, text_of
from resjax.predict.saliency_pictures import SaliencyPictures
from resjax.predict.trained_network import TrainedNetwork
from resjax.records import Prediction, TemperatureScaling
from resjax.records.storage import line_of
from resjax.training.step import EVALUATION_BATCH


@dataclass(frozen=True)
class NamedImage:
    """A file to classify, or a name that is not a file."""

    name: str
    """As a user would write it."""
    path: Path
    problem: str | None = None
    inside: str = ""
    """Its path below the folder that was named; empty for a file that was named itself."""


@dataclass(frozen=True)
class Classified:
    """A named image with its probabilities, or with the problem why it has none."""

    name: str
    probabilities: Float[np.ndarray, " class"] | None
    problem: str | None = None
    picture: Path | None = None
    on_own_range: bool = False
    """Whether it has more than 8 bits a channel, and was scaled by its own range for want of the comparison's."""
    logits: Float[np.ndarray, "seed class"] | None = None
    """Of each replica."""


def named_images(words: Sequence[str]) -> list[NamedImage]:
    """The files that the words name, each once. A folder stands for all files in it and below, sorted by name.

    Hidden files in folders are left out. A name that is not a file stays in the list with its problem.

    Raises:
      BadInput: if a folder cannot be read.
    """
    found: dict[str, NamedImage] = {}
    for word in words:
        for image in _named_by(word):
            found.setdefault(os.path.normpath(image.name), image)
    return list(found.values())


def _named_by(word: str) -> list[NamedImage]:
    path = Path(os.path.expanduser(word))
    name = text_of(str(path))
    try:
        path.stat()
    except OSError as error:
        return [NamedImage(name, path, (error.strerror or str(error)).lower())]
    if path.is_file():
        return [NamedImage(name, path)]
    if not path.is_dir():
        return [NamedImage(name, path, "neither file nor folder")]
    files = find_files(path)
    usable = {inside: NamedImage(text_of(str(path / inside)), at, None, inside) for inside, at in files.paths.items()}
    unusable = {
        inside: NamedImage(text_of(str(path / inside)), path, why, inside) for inside, why in files.unusable.items()
    }
    visible = [image for inside, image in sorted((usable | unusable).items()) if not is_hidden(inside)]
    return visible or [NamedImage(name, path, "no files in this folder")]


def classify(
    network: TrainedNetwork,
    images: Sequence[NamedImage],
    pictures: SaliencyPictures | None = None,
    on_fingerprint: Callable[[Path, Fingerprint], None] | None = None,
) -> Iterator[Classified]:
    """Classifies images in order; at most as many are in memory as the network sees at once.

    Args:
      on_fingerprint: called, from any thread, for each image that can be read.
    """
    files = [image for image in images if image.problem is None]
    # All batches have one size, so there is one compiled program.
    size = min(EVALUATION_BATCH, len(files))
    for start in range(0, len(images), EVALUATION_BATCH):
        window = images[start : start + EVALUATION_BATCH]
        paths = [image.path for image in window if image.problem is None]
        on_own_range: set[Path] = set()
        decoded = iter(
            decode_files(
                *(paths, network.image_size, network.ranges),
                on_own_range=on_own_range.add,
                on_fingerprint=on_fingerprint,
            )
        )
        read = [image.problem if image.problem is not None else next(decoded) for image in window]
        pixels = [each for each in read if not isinstance(each, str)]
        probabilities, of_replicas, shown = iter(()), iter(()), iter(())
        if pixels:
            batch = np.stack(pixels + [pixels[0]] * (size - len(pixels)))
            logits = network.logits(batch)
            answers = network.probabilities(logits)
            probabilities, of_replicas = iter(answers[: len(pixels)]), iter(logits.swapaxes(0, 1))
            if pictures is not None:
                names = [image.name for image, each in zip(window, read, strict=True) if not isinstance(each, str)]
                shown = iter(pictures.write(names, batch, answers.argmax(-1)))
        for image, each in zip(window, read, strict=True):
            if isinstance(each, str):
                yield Classified(image.name, None, each)
            else:
                own_range = image.path in on_own_range
                picture = next(shown, None)
                yield Classified(image.name, next(probabilities), None, picture, own_range, next(of_replicas))


class Lines:
    """How classified images are written: as a table, or one JSON record per line."""

    def __init__(self, network: TrainedNetwork, images: Sequence[NamedImage], top: int, as_json: bool):
        self._network, self._top, self._json = network, top, as_json
        self._names = max([len(printable(image.name)) for image in images] + [len("image")])
        self._classes = max(len(printable(name)) for name in (*network.classes, "class"))

    @property
    def header(self) -> str | None:
        """The first line of the table, None for JSON."""
        if self._json:
            return None
        rest = "  next" if self._top > 1 else ""
        return f"{'image':<{self._names}}  {'class':<{self._classes}}  probability{rest}"

    def line(self, classified: Classified) -> str:
        """The line of one image."""
        if self._json:
            return line_of(self.record(classified))
        name = f"{printable(classified.name):<{self._names}}"
        if classified.probabilities is None:
            return f"{name}  cannot be read: {printable(classified.problem or '')}"
        (first, share), *others = self._most_probable(classified.probabilities)
        rest = ", ".join(f"{printable(other)} {100 * share:.1f} %" for other, share in others)
        return f"{name}  {printable(first):<{self._classes}}  {100 * share:>9.1f} %  {rest}".rstrip()

    def record(self, classified: Classified) -> Prediction:
        """The record of one image."""
        most = [] if classified.probabilities is None else self._most_probable(classified.probabilities)
        return Prediction(
            image=classified.name,
            class_name=most[0][0] if most else None,
            probability=most[0][1] if most else None,
            probabilities=dict(most) if most else None,
            problem=classified.problem,
            architecture=self._network.name,
            seeds=list(self._network.seeds),
            temperature=self._network.temperature,
            grad_cam=str(classified.picture) if classified.picture else UNSET,
        )

    def _most_probable(self, probabilities: Float[np.ndarray, " class"]) -> list[tuple[str, float]]:
        order = np.argsort(-probabilities, kind="stable")[: self._top]
        return [(self._network.classes[label], float(probabilities[label])) for label in order]


def calibration_sentence(found: TemperatureScaling) -> str:
    """The temperature in words, with its effect on calibration and how that was measured."""
    if found.problem:
        return f"probabilities are not calibrated: {found.problem}"
    fitted = f"probabilities at temperature {found.temperature:.2f}, fitted on {found.images} validation images"
    left_out = f" ({found.leaked_left_out} more leak and are left out)" if found.leaked_left_out else ""
    if found.before is None or found.after is None:
        return fitted + left_out
    before, after = (100 * each.expected_calibration_error for each in (found.before, found.after))
    chance = 100 * found.after.expected_by_chance
    where = "cross-fitted on the same images"
    if found.measured_on == "held out":
        where = f"on {found.measured_images} test images"
    return (
        f"{fitted}{left_out}: expected calibration error {before:.1f} points before and {after:.1f} after, {where} "
        f"(about {chance:.1f} would be chance)"
    )


def printable(text: str) -> str:
    """The text in one line, without characters that a terminal would interpret."""
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)
