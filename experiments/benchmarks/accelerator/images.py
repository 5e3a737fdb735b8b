"""Packs the image files of a data set and their split into one npz file, to be carried to another machine.

  python -m experiments.benchmarks.accelerator.images --dataset=csv:indonesian_food/train.csv --npz=five_dishes.npz

Files with the same bytes are stored once. Duplicates are looked for here, so that the other machine needs no imagehash:
its images come as `train` and `val` with a folder for each class. `--suite=accelerator --dataset=npz:five_dishes.npz`
unpacks them.
"""

import hashlib
from pathlib import Path, PurePosixPath

import numpy as np
from absl import flags

from resjax.cli.flags.data import define_source_flags, source_settings
from resjax.cli.flags.paths import define_path
from resjax.cli.program import Command, run_command
from resjax.data.splits import make_split
from resjax.errors import BadInput
from resjax.records import write_npz
from resjax.run.setup.dataset import load_dataset

FLAGS = flags.FLAGS
KEYS = ("paths", "file_of_path", "ends", "bytes")
"""The path of each image; the number of its file; where each file ends; all files one after the other."""
THUMBNAIL_PIXELS = 64
"""The size at which images are decoded to look for duplicates."""


def pack(files: dict[str, bytes], path: Path) -> None:
    """Writes files, by their relative paths with slashes, to an npz file that `unpacked` reads."""
    contents = list(dict.fromkeys(files.values()))
    number = {content: place for place, content in enumerate(contents)}
    write_npz(
        path,
        paths=np.array(list(files)),
        file_of_path=np.array([number[content] for content in files.values()], np.int64),
        ends=np.cumsum([len(content) for content in contents]),
        bytes=np.frombuffer(b"".join(contents), np.uint8),
    )


def unpacked(dataset: str, folder: Path) -> str:
    """`folder:...` for an npz file of packed files, which it unpacks; any other data set as it is.

    Raises:
      BadInput: if the file cannot be read, or names a path outside of the folder.
    """
    kind, _, place = dataset.partition(":")
    if kind != "npz":
        return dataset
    try:
        with np.load(place, allow_pickle=False) as stored:
            if not set(KEYS) <= set(stored.files):
                return dataset
            paths, numbers, ends, data = (stored[name] for name in KEYS)
    except (OSError, ValueError) as error:
        raise BadInput(f"--dataset={dataset}: cannot be read ({error}); expected an npz file") from error
    starts = np.concatenate([[0], ends[:-1]])
    whole = folder / hashlib.sha256(data.tobytes() + "\n".join(paths).encode()).hexdigest()[:12]
    if whole.exists():
        return f"folder:{whole}"
    partial = whole.with_suffix(".partial")
    for path, number in zip(paths, numbers, strict=True):
        relative = PurePosixPath(str(path))
        if relative.is_absolute() or ".." in relative.parts:
            raise BadInput(f"--dataset={dataset}: {relative} leads out of the folder")
        (partial / relative).parent.mkdir(parents=True, exist_ok=True)
        (partial / relative).write_bytes(data[starts[number] : ends[number]].tobytes())
    partial.rename(whole)
    return f"folder:{whole}"


def main() -> None:
    if not FLAGS.npz:
        raise BadInput("--npz: expected the file to write")
    catalogue, dataset = load_dataset(source_settings(), THUMBNAIL_PIXELS)
    split = make_split(dataset)
    number = {name: place for place, name in enumerate(catalogue.ids)}
    files = {}
    for side, images in split.sides.items():
        for image in images:
            name, label = dataset.ids[image], dataset.classes[dataset.labels[image]]
            files[f"{side}/{label}/{name.replace('/', '_')}"] = catalogue.read(number[name])
    pack(files, Path(FLAGS.npz))
    sides = ", ".join(f"{side} {len(images)}" for side, images in split.sides.items() if len(images))
    print(f"{FLAGS.npz}: {len(files)} images ({sides}), {Path(FLAGS.npz).stat().st_size / 2**20:.1f} MiB")


def define_pack_flags() -> None:
    define_path("npz", None, "file to write")


COMMAND = Command("benchmarks.accelerator.images", __doc__ or "", main, (define_source_flags, define_pack_flags))

if __name__ == "__main__":
    run_command(COMMAND)
