"""An arm as files that others load: weights by torch's names, a program for every platform, and a card for people."""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import export

from resjax.data.augmentation import IMAGENET_MEAN, IMAGENET_STD, standardize, to_float
from resjax.errors import BadInput, RecordError
from resjax.models.torch_weights import save_weights
from resjax.predict.model_card import model_card
from resjax.predict.trained_network import TrainedArm
from resjax.report.records import SCHEMA_VERSION, read_json, write_json, write_text
from resjax.report.storage import atomic
from resjax.run.costs import parameter_count
from resjax.run.environment import describe_environment
from resjax.types import Logits, PixelImages, Variables

PLATFORMS = ("cpu", "cuda", "tpu")
MOST_BYTES = 2 * 10**9
"""A serialized program, whose parts find each other by 32-bit offsets, cannot be larger."""
PROGRAM = "model.stablehlo"
OWN_FILES = ("config.json", "README.md")


def export_arm(arm: TrainedArm, folder: Path, formats: Sequence[str]) -> dict:
    """Writes an arm in these formats into a folder, with `config.json` and a model card, and returns the config.

    `safetensors` gives a file a replica, `stablehlo` one program of them all. The config is written last: the files
    that it names are whole. What an earlier export left in the folder is replaced.

    Raises:
      BadInput: where the folder holds something else, cannot be written, or the program would be too large.
    """
    before = _files_before(folder)
    program = stablehlo(arm) if "stablehlo" in formats else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "config.json").exists():
            # Should this end before its end, the folder is known for an export's.
            write_json(folder / "config.json", export_record(arm, {}))
        written = []
        if "safetensors" in formats:
            for seed, variables in arm.variables.items():
                written.append(folder / weights_name(arm, seed))
                save_weights(written[-1], variables)
        if program is not None:
            written.append(folder / PROGRAM)
            with atomic(written[-1]) as file:
                file.write(program)
        files = {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in written}
        for name in before - set(files) - set(OWN_FILES):
            (folder / name).unlink(missing_ok=True)
        config = export_record(arm, files)
        write_text(folder / "README.md", model_card(config, arm.records.summary))
        write_json(folder / "config.json", config)
    except OSError as error:
        raise BadInput(
            f"--export={folder}: {error.strerror or error}; a folder that can be written is accepted"
        ) from error
    return config


def weights_name(arm: TrainedArm, seed: int) -> str:
    return "model.safetensors" if len(arm.seeds) == 1 else f"seed{seed}.safetensors"


def stablehlo(arm: TrainedArm) -> bytes:
    """The classifier as a serialized `jax.export.Exported`: StableHLO for CPU, CUDA and TPU, weights included.

    It takes uint8 images (batch, height, width, 3), any batch from 1, and gives `probabilities` (batch, class),
    calibrated, and `logits` (seed, batch, class).

    Raises:
      BadInput: where it would be larger than 2 GB.
    """
    if importlib.util.find_spec("flatbuffers") is None:
        raise BadInput("--export_formats=stablehlo needs flatbuffers (pip install flatbuffers); safetensors does not")
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arm.variables))
    if size > MOST_BYTES:
        raise BadInput(
            f"--export_formats=stablehlo: {len(arm.seeds)} replicas are {size / 1e9:.1f} GB and at most "
            f"{MOST_BYTES / 1e9:g} are accepted; --replica=best, or safetensors alone"
        )

    @jax.jit
    def one(variables: Variables, images: PixelImages) -> Logits:
        return arm.functional.apply_eval(variables, standardize(to_float(images))).astype(jnp.float32)

    def classifier(images: PixelImages) -> dict[str, jax.Array]:
        logits = jnp.stack([one(each, images) for each in arm.variables.values()])
        pooled = jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0)
        return {"logits": logits, "probabilities": jax.nn.softmax(pooled / arm.temperature)}

    (batch,) = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, arm.image_size, arm.image_size, 3), jnp.uint8)
    return bytes(export.export(jax.jit(classifier), platforms=PLATFORMS)(images).serialize())


def export_record(arm: TrainedArm, files: dict[str, dict]) -> dict:
    """`config.json`: all that is needed to use the files without resjax, and what is known of how good they are."""
    dataset = arm.records.summary["dataset"]
    described = arm.functional.architecture
    return {
        "schema_version": SCHEMA_VERSION,
        "architecture": described.name,
        "width": described.width,
        "stem": described.stem,
        "parameters": parameter_count(arm.functional.shapes()),
        "dtype": arm.functional.dtype,
        "seeds": list(arm.seeds),
        "chosen": arm.chosen,
        "pooling": "softmax(log(mean over seeds of softmax(logits)) / temperature)",
        "classes": list(arm.classes),
        "image_size": arm.image_size,
        "resize": "upright by EXIF, then to image_size x image_size whatever the aspect, by Pillow's bilinear resize",
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "temperature": arm.temperature,
        "calibration": arm.calibration,
        "scores": arm.scores,
        "dataset": {
            "name": public_name(dataset["name"]),
            "fingerprint": dataset["fingerprint"],
            "images": dataset["images"],
            "splits": dataset["splits"],
            "split_label": dataset.get("split_label", dataset.get("split", "")),
        },
        "environment": describe_environment(),
        "files": files,
    }


def public_name(dataset: str) -> str:
    """A data set's name without all the folders that it lies in: a card is for others.

    >>> public_name("csv:/home/me/food/train.csv"), public_name("folder:/home/me/food"), public_name("tfds:cifar10")
    ('food/train.csv', 'food', 'tfds:cifar10')
    """
    kind, _, value = dataset.partition(":")
    kept = {"csv": 2, "folder": 1}.get(kind, 0)
    return "/".join(Path(value).parts[-kept:]) if kept and value else dataset


def _files_before(folder: Path) -> set[str]:
    """What an earlier export wrote into a folder."""
    try:
        there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        if not there:
            return set()
        config = read_json(folder / "config.json")
        return {name for name in config["files"] if Path(name).name == name}
    except (OSError, RecordError, KeyError, TypeError) as error:
        raise BadInput(
            f"--export={folder}: there is something else than an earlier export; a new or an empty folder is accepted"
        ) from error


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
