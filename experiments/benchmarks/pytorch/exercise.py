"""The first exercise in PyTorch alone, as people usually write it: the reference of `benchmark --measure=end_to_end`.

  python -m experiments.benchmarks.pytorch.exercise --dataset=folder:my_images --image_size=128 --record=torch.json

Two loader processes decode the JPEGs again in each epoch with Pillow, then resize, flip, rotate, change the colours and
normalize, as torchvision's transforms do with Pillow images. One network after the other is trained with Adam and
evaluated after each epoch, and the weights of its best epoch are saved. torchvision itself is not needed.
"""

import argparse
import csv
import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from .training import TorchTraining

WORKERS = 2
VAL_FRACTION = 0.2
DEGREES, FACTOR, HUE = 15.0, 0.2, 0.1
"""Those of the first exercise: RandomRotation(15), ColorJitter(0.2, 0.2, 0.2, 0.1)."""


class Photographs(Dataset):
    """Pairs (pixels (3, height, width) in [0, 1], label), decoded on access."""

    def __init__(self, files: list[tuple[Path, int]], image_size: int, augmented: bool):
        self.files, self.image_size, self.augmented = files, image_size, augmented

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self.files[index]
        with Image.open(path) as image:
            picture = image.convert("RGB").resize((self.image_size, self.image_size), Image.Resampling.BILINEAR)
        if self.augmented:
            picture = changed(picture)
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div_(255), label


def changed(picture: Image.Image) -> Image.Image:
    """RandomHorizontalFlip, RandomRotation (nearest, the default) and ColorJitter in a random order."""
    if random.random() < 0.5:
        picture = ImageOps.mirror(picture)
    picture = picture.rotate(random.uniform(-DEGREES, DEGREES))
    enhancers = [ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color, None]
    random.shuffle(enhancers)
    for enhancer in enhancers:
        if enhancer is None:
            picture = with_hue(picture, random.uniform(-HUE, HUE))
        else:
            picture = enhancer(picture).enhance(random.uniform(1 - FACTOR, 1 + FACTOR))
    return picture


def with_hue(picture: Image.Image, shift: float) -> Image.Image:
    """torchvision's adjust_hue: the H of HSV, in 256 steps, turned by a fraction of the circle."""
    hue, saturation, value = picture.convert("HSV").split()
    turned = Image.fromarray((np.array(hue).astype(np.int16) + int(shift * 255)).astype(np.uint8))
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def listed_files(dataset: str, image_dir: Path | None) -> tuple[list[tuple[Path, int]], int]:
    """The files of a csv (`filename,label`) or of folders of classes with their labels, and the number of classes."""
    kind, _, place = dataset.partition(":")
    path = Path(place)
    if kind == "csv":
        folder = image_dir or path.with_suffix("")
        with path.open(newline="", encoding="utf-8-sig") as file:
            named = [(folder / row["filename"], row["label"]) for row in csv.DictReader(file)]
        there = dict.fromkeys((file, label) for file, label in named if file.is_file())
    else:
        there = {(file, file.parent.name): None for file in sorted(path.glob("*/*"))}
    classes = sorted({label for _, label in there})
    return [(file, classes.index(label)) for file, label in there], len(classes)


def readable(path: Path) -> bool:
    """Whether Pillow recognizes the format from the first bytes."""
    try:
        with Image.open(path):
            return True
    except OSError:
        return False


def divided(files: list[tuple[Path, int]]) -> tuple[list, list]:
    """Train and val, drawn at random."""
    shuffled = random.Random(0).sample(files, len(files))
    count = round(VAL_FRACTION * len(shuffled))
    return shuffled[count:], shuffled[:count]


def loader(photographs: Photographs, batch_size: int, device: str) -> DataLoader:
    return DataLoader(
        photographs,
        batch_size,
        shuffle=photographs.augmented,
        num_workers=WORKERS,
        persistent_workers=True,
        pin_memory=device == "cuda",
    )


class Clock:
    """Seconds by the kind of work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def spent(self, on: str) -> None:
        """Adds the time since the last call to a kind of work."""
        now = time.perf_counter()
        self.seconds[on] = self.seconds.get(on, 0.0) + now - self._last
        self._last = now


def train(training: "TorchTraining", loaders: dict, epochs: int, clock: Clock, best_file: Path) -> list[float]:
    """Trains a network, keeps the best epoch's weights in a file, and returns its validation accuracies."""
    device, accuracies = training.device, []
    for _ in range(epochs):
        training.network.train()
        clock.spent("training")
        for images, targets in loaders["train"]:
            clock.spent("reading")
            training.step(*on_device(training, images, targets))
            clock.spent("training")
        training.network.eval()
        right, count = torch.zeros((), device=device), 0
        with torch.inference_mode():
            for images, targets in loaders["val"]:
                clock.spent("reading")
                images, targets = on_device(training, images, targets)
                right += (training.logits(images).argmax(1) == targets).sum()
                count += len(targets)
                clock.spent("training")
        accuracies.append(right.item() / count)
        clock.spent("training")
        if accuracies[-1] == max(accuracies):
            torch.save(training.network.state_dict(), best_file)
        clock.spent("writing")
    return accuracies


def on_device(training: "TorchTraining", images: torch.Tensor, targets: torch.Tensor):
    """A loaded batch, standardized on the device."""
    images = images.to(training.device, non_blocking=True).contiguous(memory_format=training.layout)
    return training.standardize(images), targets.to(training.device, non_blocking=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="csv:PATH or folder:PATH")
    parser.add_argument("--image_dir", type=Path, help="folder of a csv's images")
    parser.add_argument("--architectures", default="plain34,resnet34")
    parser.add_argument("--width", type=int)
    parser.add_argument("--stem")
    parser.add_argument("--image_size", type=int, default=300)
    parser.add_argument("--batch_size", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--mode", default="channels_last")
    parser.add_argument("--platform", default="cpu", help="cpu or gpu")
    parser.add_argument("--record", type=Path, required=True, help="JSON file of seconds and accuracies")
    chosen = parser.parse_args()
    # The description of the networks imports JAX, which does not count as PyTorch's time.
    started = time.perf_counter()
    from ..harness.cases import make_cases
    from .training import TorchTraining, prepare

    description_seconds = time.perf_counter() - started
    clock = Clock()
    device = prepare(chosen.platform)
    random.seed(0)
    files, classes = listed_files(chosen.dataset, chosen.image_dir)
    train_files, val_files = divided([(path, label) for path, label in files if readable(path)])
    size = chosen.image_size
    loaders = {
        "train": loader(Photographs(train_files, size, augmented=True), chosen.batch_size, device),
        "val": loader(Photographs(val_files, size, augmented=False), chosen.batch_size, device),
    }
    clock.spent("reading")
    sizes = {name: value for name, value in (("width", chosen.width), ("stem", chosen.stem)) if value is not None}
    record: dict = {"accuracies": {}, "train_images": len(train_files), "val_images": len(val_files)}
    for case in make_cases(chosen.architectures, [size], [chosen.batch_size], chosen.dtype, **sizes):
        name = case.architecture.name
        best_file = chosen.record.with_name(f"{chosen.record.stem}-{name}.pt")
        training = TorchTraining(case, chosen.mode, device, classes)
        record["accuracies"][name] = train(training, loaders, chosen.epochs, clock, best_file)
    record |= {f"{name}_seconds": seconds for name, seconds in clock.seconds.items()}
    record |= {"seconds": sum(clock.seconds.values()), "description_seconds": description_seconds}
    chosen.record.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
