"""The export of a network: weights by torch's names, a program for every platform, and a model card.

The program is exported once for cpu, cuda and tpu with an open batch, so its convolutions are XLA's own.
"""

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import export

from resjax.data.augmentation import IMAGENET_MEAN, IMAGENET_STD, standardize, to_float
from resjax.errors import BadInput, RecordError
from resjax.models.torch_weights import save_weights
from resjax.predict.model_card import model_card
from resjax.predict.trained_network import TrainedNetwork
from resjax.records import ExportConfig, ExportDataset, ExportedFile, atomic, read_record, write_record, write_text
from resjax.run.setup.costs import parameter_count
from resjax.run.setup.device import describe_environment
from resjax.types import Logits, PixelImages, Variables

PLATFORMS = ("cpu", "cuda", "tpu")
MOST_BYTES = 2 * 10**9
"""The largest serialized program: its parts refer to each other by 32-bit offsets."""
PROGRAM = "model.stablehlo"
OWN_FILES = ("config.json", "README.md")


def export_network(network: TrainedNetwork, folder: Path, formats: Sequence[str]) -> ExportConfig:
    """Writes a network in these formats into a folder, with `config.json` and a model card, and returns the config.

    `safetensors` writes a file for each replica, `stablehlo` one program of all replicas. The config is written last,
    so the files that it names are whole. The files of an earlier export are replaced.

    Raises:
      BadInput: if the folder holds something else or cannot be written, the program would be too large, or the network
        is one of the caller's own.
    """
    before = _files_before(folder)
    described = export_record(network, {})
    program = stablehlo(network) if "stablehlo" in formats else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "config.json").exists():
            # If the export is interrupted, the folder is recognized as one of an export.
            write_record(folder / "config.json", described)
        written = []
        if "safetensors" in formats:
            for seed, variables in network.variables.items():
                written.append(folder / weights_name(network, seed))
                save_weights(written[-1], variables)
        if program is not None:
            written.append(folder / PROGRAM)
            with atomic(written[-1]) as file:
                file.write(program)
        files = {path.name: ExportedFile(bytes=path.stat().st_size, sha256=_sha256(path)) for path in written}
        for name in before - set(files) - set(OWN_FILES):
            (folder / name).unlink(missing_ok=True)
        config = export_record(network, files)
        write_text(folder / "README.md", model_card(config, network.records.summary))
        write_record(folder / "config.json", config)
    except OSError as error:
        raise BadInput(
            f"--export={folder}: {error.strerror or error}, expected a folder that can be written"
        ) from error
    return config


def weights_name(network: TrainedNetwork, seed: int) -> str:
    """The file of a replica's weights."""
    return "model.safetensors" if len(network.seeds) == 1 else f"seed{seed}.safetensors"


def stablehlo(network: TrainedNetwork) -> bytes:
    """The classifier as a serialized `jax.export.Exported`: StableHLO for CPU, CUDA and TPU, weights included.

    It takes uint8 images (batch, height, width, 3), any batch from 1, and returns calibrated `probabilities`
    (batch, class) and `logits` (seed, batch, class).

    Raises:
      BadInput: if it would be larger than 2 GB.
    """
    if importlib.util.find_spec("flatbuffers") is None:
        raise BadInput("--export_formats=stablehlo needs flatbuffers (pip install flatbuffers); safetensors does not")
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(network.variables))
    if size > MOST_BYTES:
        raise BadInput(
            f"--export_formats=stablehlo: {len(network.seeds)} replicas have {size / 1e9:.1f} GB, expected at most "
            f"{MOST_BYTES / 1e9:g} GB; use --replica=best, or safetensors alone"
        )

    @jax.jit
    def one(variables: Variables, images: PixelImages) -> Logits:
        return network.functional.apply_eval(variables, standardize(to_float(images))).astype(jnp.float32)

    def classifier(images: PixelImages) -> dict[str, jax.Array]:
        logits = jnp.stack([one(each, images) for each in network.variables.values()])
        pooled = jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0)
        return {"logits": logits, "probabilities": jax.nn.softmax(pooled / network.temperature)}

    (batch,) = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, network.image_size, network.image_size, 3), jnp.uint8)
    return bytes(export.export(jax.jit(classifier), platforms=PLATFORMS)(images).serialize())


def export_record(network: TrainedNetwork, files: Mapping[str, ExportedFile]) -> ExportConfig:
    """`config.json`: all that is needed to use the files without resjax, and the scores of the network."""
    dataset, described = network.records.summary.dataset, network.functional.architecture
    return ExportConfig(
        architecture=described.name,
        width=described.width,
        stem=described.stem,
        parameters=parameter_count(network.functional.shapes()),
        dtype=network.functional.dtype,
        seeds=list(network.seeds),
        chosen=network.chosen,
        pooling="softmax(log(mean over seeds of softmax(logits)) / temperature)",
        classes=list(network.classes),
        image_size=network.image_size,
        resize="upright by EXIF, then to image_size x image_size whatever the aspect, by Pillow's bilinear resize",
        value_ranges=network.records.summary.dataset.value_ranges,
        mean=list(IMAGENET_MEAN),
        std=list(IMAGENET_STD),
        temperature=network.temperature,
        calibration=network.calibration,
        scores=network.scores,
        dataset=ExportDataset(
            name=public_name(dataset.name),
            fingerprint=dataset.fingerprint,
            images=dataset.images,
            splits=dataset.splits,
            split_label=dataset.split_label,
        ),
        environment=describe_environment(),
        files=dict(files),
    )


def public_name(dataset: str) -> str:
    """A data set's name without the folders above it, because a model card is for others.

    >>> public_name("csv:/home/me/food/train.csv"), public_name("folder:/home/me/food"), public_name("tfds:cifar10")
    ('food/train.csv', 'food', 'tfds:cifar10')
    """
    kind, _, value = dataset.partition(":")
    kept = {"csv": 2, "folder": 1}.get(kind, 0)
    return "/".join(Path(value).parts[-kept:]) if kept and value else dataset


def _files_before(folder: Path) -> set[str]:
    """The files that an earlier export wrote into a folder."""
    try:
        there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        if not there:
            return set()
        config = read_record(folder / "config.json", ExportConfig)
        return {name for name in config.files if Path(name).name == name}
    except (OSError, RecordError) as error:
        raise BadInput(
            f"--export={folder}: it holds something else than an earlier export, expected a new or an empty folder"
        ) from error


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
