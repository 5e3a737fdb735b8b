"""`--measure=replicas`: the cost of several seeds of a network, trained in each way, in units of one seed."""

import statistics
from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np

from resjax.data.pipeline import ResidentSide
from resjax.functional import Functional
from resjax.training.loop import Trainer
from resjax.training.mesh import make_mesh
from resjax.training.recipe import WAYS, require_choice
from resjax.training.replicas import ReplicaTrainer

from .epoch import memory_images
from .harness.cases import CLASSES, RECIPE, Case
from .harness.contenders import Contender, Failure, Program, Worker, contest
from .harness.machine import Device
from .harness.rows import ReplicasRow, case_fields, describe_case, spread, versions
from .train_step import our_peak_bytes

CAVEAT = (
    "This is an epoch of all seeds with evaluation, without augmentation and without writing; `one` is an epoch of one "
    "seed alone. With few images the start and the end of an epoch weigh more than in a run."
)
ONE = "one"
FOREVER = 10**6
"""A number of epochs that is never reached."""


def parse_ways(text: str) -> tuple[str, ...]:
    """The ways to measure.

    Raises:
      BadInput: for an unknown way.
    """
    ways = tuple(dict.fromkeys(way.strip() for way in text.split(",")))
    for way in ways:
        require_choice("--replicas_as", way, WAYS)
    return ways


def replica_epochs(case: Case, images: int, seeds: int, way: str) -> Program:
    """Epochs of several seeds, as `--replicas_as` of `compare` trains them.

    Raises:
      Failure: for `devices` if there is only one.
    """
    train, val = (ResidentSide(*arrays) for arrays in memory_images(images, case.image_size))
    recipe = replace(RECIPE, batch_size=case.batch_size, epochs=FOREVER)
    trainer = Trainer(Functional(case.architecture, CLASSES, case.dtype), recipe, train, val)
    states = [trainer.initial_state(seed) for seed in range(seeds)]
    if way == "sequential":
        fits = [trainer.fit(state) for state in states]
    else:
        rows = len(jax.devices()) if way == "devices" else seeds
        if way == "devices" and rows == 1:
            raise Failure("there is one device")
        groups = np.array_split(np.arange(seeds), -(-seeds // rows))
        fits = []
        for group in groups:
            mesh = make_mesh(len(group) if way == "devices" else 1, 1)
            fits.append(ReplicaTrainer(trainer, way, mesh).fit([states[seed] for seed in group]))

    def run(epochs: int) -> None:
        for _ in range(epochs):
            for fit in fits:
                next(fit)

    return Program(run, lambda: {"peak_bytes": our_peak_bytes()})


def replicas_row(
    case: Case,
    images: int,
    seeds: int,
    device: Device,
    ways: tuple[str, ...],
    samples: int,
    open_contender: Callable[..., Contender] = Worker,
) -> ReplicasRow:
    """Measures an epoch per sample, of one seed and of all seeds in each way."""
    programs = {ONE: (replica_epochs, case, images, 1, "sequential")} | {
        way: (replica_epochs, case, images, seeds, way) for way in ways
    }
    rates, failures, descriptions = contest(programs, samples, 0.0, open_contender)
    seconds = {name: statistics.median(1 / rate for rate in values) for name, values in rates.items()}
    train = len(memory_images(images, 1)[0][1])
    cheapest = min((way for way in ways if way in seconds), key=seconds.__getitem__, default=None)
    return ReplicasRow(
        **case_fields(case, "replicas"),
        images=images,
        seeds=seeds,
        device=device.name,
        ours_images_per_second=seeds * train / seconds[cheapest] if cheapest else None,
        cheapest=cheapest,
        cost={way: seconds[way] / seconds[ONE] for way in ways if way in seconds and ONE in seconds},
        versions=versions("jax", "jaxlib", "flax"),
        samples={name: [1 / rate for rate in values] for name, values in rates.items()},
        peak_bytes={name: each["peak_bytes"] for name, each in descriptions.items() if each},
        failed=failures,
    )


def describe_replicas(row: ReplicasRow) -> str:
    """A row in words: seconds per epoch, and the cost of all seeds in epochs of one seed."""
    seconds = ", ".join(f"{name} {spread(values, 2)} s" for name, values in row.samples.items())
    costs = ", ".join(f"{way} {cost:.2f}" for way, cost in row.cost.items())
    failed = "".join(f"; {name} FAILED, {why}" for name, why in row.failed.items())
    return f"{describe_case(row)}, {row.images} images: {seconds}; {row.seeds} seeds cost {costs} of one{failed}"
