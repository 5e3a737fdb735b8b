"""`--measure=pipeline`: the cost of an image in time and memory as the set outgrows the device.

Each case has a process of its own, so that its peak memory is its own. It reads a folder of generated JPEGs as a
comparison would, and trains a tiny network on it. The processes take turns.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from .harness.contenders import peak_resident_bytes
from .harness.machine import Device
from .harness.rows import PipelineRow, versions

IMAGE_SIZE = 64
BATCH = 128
CLASSES = 2
CAVEAT = (
    "This is a tiny network on generated images, so that reading weighs as much as possible; a real network hides more "
    "of it. The file cache of the operating system is not counted. If memory is short, reading waits for the disk."
)


@dataclass(frozen=True)
class Case:
    """How many images there are, and how they reach the network."""

    images: int
    pipeline: str


def write_images(folder: Path, images: int) -> None:
    """Writes different JPEGs of `IMAGE_SIZE` pixels in a folder per class, at most 10,000 files in each folder."""
    rng = np.random.default_rng(0)
    for index in range(images):
        label = index % CLASSES
        pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
        pixels[..., label] |= 128
        place = folder / f"class{label}" / f"{index // 10_000:03}"
        if index % 10_000 < CLASSES:
            place.mkdir(parents=True)
        image = Image.fromarray(pixels).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
        image.save(place / f"{index:07}.jpg", quality=75)


def measure_pipeline(
    cases: list[Case], device: Device, samples: int, on_progress: Callable[[str], None] = lambda text: None
) -> list[PipelineRow]:
    """A row per case: images per second of reading and training, and the peak resident memory over a whole epoch.

    Every sample of every case trains on as many images as the smallest case has. There are enough samples for an epoch
    of the largest case.
    """
    chunk = min(case.images for case in cases)
    rounds = max(samples, -(-max(case.images for case in cases) // chunk))
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="resjax-pipeline-") as scratch:
        workers = []
        for count in sorted({case.images for case in cases}):
            write_images(Path(scratch) / str(count), count)
        for case in cases:
            ours, theirs = context.Pipe()
            # Cases of equal images share their files and their cache.
            process = context.Process(target=_train, args=(theirs, Path(scratch) / str(case.images), case), daemon=True)
            process.start()
            decoding_seconds = ours.recv()
            on_progress(f"{case.images:,} images, {case.pipeline}: looked up or decoded in {decoding_seconds:.1f} s")
            workers.append((process, ours, decoding_seconds))
        rates: list[list[float]] = [[] for _ in cases]
        for _ in range(rounds):
            for (_, pipe, _), of_case in zip(workers, rates, strict=True):
                pipe.send(chunk)
                of_case.append(chunk / pipe.recv())
        rows = []
        for case, (process, pipe, decoding_seconds), of_case in zip(cases, workers, rates, strict=True):
            pipe.send(None)
            peak = pipe.recv()
            process.join()
            rows.append(
                PipelineRow(
                    measure="pipeline",
                    images=case.images,
                    image_size=IMAGE_SIZE,
                    batch_size=BATCH,
                    pipeline=case.pipeline,
                    ours_images_per_second=statistics.median(of_case),
                    peak_resident_bytes=peak,
                    reading_seconds=decoding_seconds,
                    samples=of_case,
                    device=device.name,
                    versions=versions("jax", "grain"),
                )
            )
    return rows


def _train(pipe: Connection, folder: Path, case: Case) -> None:
    """The process of a case: answers a number of images with their seconds, and None with its peak memory."""
    import jax

    from resjax.data.decoding import decode
    from resjax.data.pipeline import epoch_order, make_sides
    from resjax.data.sources.opening import open_catalogue
    from resjax.functional import Functional
    from resjax.models.architecture import Architecture
    from resjax.models.layers import key_of_seed
    from resjax.training.optimizer import make_optimizer
    from resjax.training.recipe import Recipe
    from resjax.training.state import initial_state
    from resjax.training.step import make_train_step

    start = time.perf_counter()
    catalogue = open_catalogue(f"folder:{folder}", image_size=IMAGE_SIZE)
    dataset = decode(catalogue, IMAGE_SIZE, cache_dir=folder.parent / f"cache{case.images}")
    decoding_seconds = time.perf_counter() - start
    side = make_sides(dataset, {"train": np.arange(case.images)}, case.pipeline)["train"]
    recipe = Recipe(batch_size=BATCH)
    # The stem quarters the image at once, so that almost nothing is computed.
    functional = Functional(Architecture("tiny", (1,), "none", stem="imagenet", width=2), CLASSES)
    optimizer = make_optimizer(recipe, steps_per_epoch=1)
    step = jax.jit(make_train_step(functional, optimizer), donate_argnums=0)
    state = initial_state(functional, optimizer, seed=0)

    def batches():
        epoch = 0
        while True:
            order, _ = epoch_order(key_of_seed(epoch), case.images, BATCH)
            yield from side.batches(list(np.asarray(order)))
            epoch += 1

    stream = batches()
    state, _ = step(state, next(stream))
    pipe.send(decoding_seconds)
    while (images := pipe.recv()) is not None:
        start = time.perf_counter()
        for _ in range(images // BATCH):
            state, _ = step(state, next(stream))
        jax.block_until_ready(state)
        pipe.send(time.perf_counter() - start)
    pipe.send(peak_resident_bytes())


def describe_pipeline_row(row: PipelineRow, first: PipelineRow) -> str:
    """A row in words, with the cost of an image relative to the first row."""
    rates = row.samples
    return (
        f"{row.images:,} images at {row.image_size} px, {row.pipeline}: {row.ours_images_per_second:,.0f} images/s "
        f"({min(rates):,.0f} to {max(rates):,.0f}), {first.ours_images_per_second / row.ours_images_per_second:.2f} "
        f"times the cost per image of the first case; peak resident memory {row.peak_resident_bytes / 2**30:.2f} GiB"
    )


def default_cases(counts: tuple[int, ...]) -> list[Case]:
    """Every number of images streamed, and the smallest one resident, too."""
    return [*(Case(count, "streamed") for count in sorted(counts)), Case(min(counts), "resident")]
