"""A workdir as a finished comparison leaves it, with networks that can be restored and were never trained."""

from pathlib import Path

import jax
import numpy as np
from msgspec.structs import replace
from PIL import Image

from resjax.data.decoding import decode_files
from resjax.data.pipeline import ResidentSide
from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.records import Summary, read_record, write_npz, write_record
from resjax.run.setup.costs import parameter_count
from resjax.training.checkpoint import Checkpoints
from resjax.training.step import predict_logits
from tests.made_run import make_run

SIZE, IMAGES = 16, 24
CLASSES = ("bakso", "gado_gado", "soto_ayam")


def make_images(folder: Path, count: int = IMAGES) -> list[Path]:
    """Pictures of noise over a colour of each class, in turn, of a size and an aspect of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 128, (20 + number % 3, 24, 3), np.uint8)
        pixels[..., number % 3] += 100
        paths.append(folder / f"{number:03}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def make_networks(
    folder: Path,
    names: tuple[str, ...] = ("plain8", "resnet8"),
    seeds: tuple[int, ...] = (0, 1),
    width: int = 2,
    **made,
) -> Path:
    """`folder`/run with a checkpoint for each replica, and `folder`/images, whose logits are its predictions."""
    paths = make_images(folder / "images")
    ids = [path.name for path in paths]
    config = {"image_size": SIZE, "width": width, "dtype": "float32", "stem": None}
    shares = {name: 0.4 + 0.2 * place for place, name in enumerate(names)}
    made = {"classes": CLASSES, "images": IMAGES, "ids": ids, "seeds": seeds, "config": config} | made
    workdir = make_run(folder / "run", shares, **made)
    summary = read_record(workdir / "summary.json", Summary)
    networks = dict(summary.architectures)
    pixels, labels = np.stack(decode_files(paths, SIZE)), np.arange(IMAGES) % len(made["classes"])
    for name in names:
        functional = Functional(architecture(name, width=width), len(made["classes"]))
        networks[name] = replace(networks[name], parameters=parameter_count(functional.shapes()))
        for seed in seeds:
            replica = workdir / "runs" / name / f"seed{seed}"
            if not (replica / "predictions.npz").exists():
                continue
            variables = functional.init(jax.random.key(seed))
            # An untrained head says nothing; one that is larger says something, mostly wrong.
            variables.parameters["head"]["kernel"] *= 100.0
            Checkpoints(replica / "checkpoints").save_best(1, variables)
            logits = predict_logits(functional, variables, ResidentSide(pixels, labels))
            sides = np.array(["val"] * IMAGES)
            write_npz(replica / "predictions.npz", id=np.array(ids), label=labels, side=sides, logits=logits)
    write_record(workdir / "summary.json", replace(summary, architectures=networks))
    return workdir
