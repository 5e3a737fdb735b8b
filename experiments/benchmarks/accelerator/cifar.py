"""plain20 and resnet20 on 32 px images, in as many epochs as time is left."""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from resjax.data.pipeline import ResidentSide
from resjax.data.sources.array_source import open_npz
from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.training.loop import EpochResult, Trainer
from resjax.training.recipe import Recipe

from .settings import Measured, SuiteCase, SuiteSettings

RECIPE = Recipe(optimizer="sgd", learning_rate=0.1, weight_decay=1e-4, batch_size=128, epochs=10**4)
NETWORKS, REHEARSED_NETWORKS = ("plain20", "resnet20"), ("plain8", "resnet8")
SIDE, CLASSES = 32, 10
TRAIN, VAL = 45_000, 5_000
REHEARSED_EPOCHS = 1
MARGIN = 3.0
"""Seconds that are left for what comes after the last epoch."""

Images = tuple[np.ndarray, np.ndarray]
"""Pixels (image, height, width, 3) in uint8, and labels."""


def cifar_cases(settings: SuiteSettings) -> list[SuiteCase]:
    """One case for both networks, which take turns."""
    images = Path(settings.cifar).name if settings.cifar else "made images"
    networks = REHEARSED_NETWORKS if settings.rehearsal else NETWORKS
    return [SuiteCase(f"{' and '.join(networks)}, {images}", partial(_cifar, settings, networks))]


def made_images(count: int, size: int, classes: int, seed: int = 0) -> Images:
    """Noise with the pattern of a class in it, so that there is something to learn."""
    patterns = np.random.default_rng(0).normal(0, 24, (classes, 4, 4, 3))
    rng = np.random.default_rng([1, seed])
    labels = rng.integers(0, classes, count, np.int32)
    grown = patterns[labels].repeat(-(-size // 4), axis=1).repeat(-(-size // 4), axis=2)[:, :size, :size]
    noise = rng.normal(128, 48, grown.shape)
    return np.clip(grown + noise, 0, 255).astype(np.uint8), labels


def given_images(dataset: str) -> tuple[Images, Images]:
    """Images and labels of train and of val (or test) of an npz file as `--dataset=npz:FILE` takes it.

    Raises:
      BadInput: if it is no such file, its images are not 32 px, or it has no split.
    """
    kind, _, place = dataset.partition(":")
    if kind != "npz":
        raise BadInput(f"--cifar={dataset}: expected npz:FILE")
    # It checks the arrays, and says what is wrong with them.
    open_npz(dataset, Path(place))
    with np.load(place, allow_pickle=False) as stored:
        images, labels = stored["images"], stored["labels"].astype(np.int32)
        held_out = next((name for name in ("val", "test") if name in stored), None)
        if images.shape[1:] != (SIDE, SIDE, 3) or held_out is None or "train" not in stored:
            raise BadInput(f"--cifar={dataset}: expected images of 32 x 32 x 3 with train, and val or test")
        train, val = stored["train"], stored[held_out]
        return (images[train], labels[train]), (images[val], labels[val])


def _cifar(settings: SuiteSettings, networks: tuple[str, ...], seconds: float) -> Measured:
    start = time.monotonic()
    if settings.cifar:
        sides = given_images(settings.cifar)
    else:
        counts = (12, 4) if settings.rehearsal else (TRAIN, VAL)
        sides = tuple(made_images(count, SIDE, CLASSES, seed) for seed, count in enumerate(counts))
    train, val = (ResidentSide(*side) for side in sides)
    classes = int(max(side[1].max() for side in sides)) + 1
    recipe = replace(RECIPE, batch_size=4) if settings.rehearsal else RECIPE
    width = {"width": 2} if settings.rehearsal else {}
    fits = {}
    for name in networks:
        trainer = Trainer(Functional(architecture(name, **width), classes), recipe, train, val)
        fits[name] = trainer.fit(trainer.initial_state(0))
    lines: dict[str, list[dict[str, float]]] = {name: [] for name in networks}
    longest = 0.0
    most = REHEARSED_EPOCHS if settings.rehearsal else RECIPE.epochs
    while len(lines[networks[-1]]) < most and time.monotonic() - start + longest + MARGIN < seconds:
        begun = time.monotonic()
        for name, fit in fits.items():
            result = next(fit, None)
            if not isinstance(result, EpochResult):
                raise BadInput(f"{name} diverged")
            lines[name].append({key: float(value) for key, value in result.metrics.items()})
        # The first epoch compiles, and is no measure of the next.
        longest = max(longest, time.monotonic() - begun) if len(lines[networks[-1]]) > 1 else longest
    epochs = len(lines[networks[-1]])
    if not epochs:
        return Measured("", {}, f"{seconds:.0f} s are too few for an epoch")
    last = {name: each[-1] for name, each in lines.items()}
    text = ", ".join(
        f"{name} loss {each['train_loss']:.3f}, validation {100 * each['val_accuracy']:.1f} %, "
        f"{each['images_per_second']:,.0f} images/s"
        for name, each in last.items()
    )
    return Measured(f"after {epochs} epochs: {text}", {"epochs": epochs, "lines": lines})
