"""`benchmark --measure=train_step`: images per second of the train step, next to PyTorch's."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from experiments.benchmarks import torch_side
from experiments.benchmarks.cases import (
    CLASSES,
    RECIPE,
    Case,
    Device,
    case_record,
    compared,
    describe_case,
    random_images,
    spread,
    versions,
)
from experiments.benchmarks.ceilings import Ceilings, against_ceilings, describe_ceilings
from experiments.benchmarks.contenders import Contender, Program, Worker, contest, peak_resident_bytes
from resjax.data.pipeline import take
from resjax.functional import Functional
from resjax.training.optimizer import make_optimizer
from resjax.training.state import initial_state
from resjax.training.step import make_train_step
from resjax.types import Batch

CAVEAT = (
    "Steps on one batch that lies on the device, without augmentation, reading or evaluation: this tells neither how "
    "long a run takes, nor how soon a network learns, nor what another machine, size or batch would give."
)
LAUNCHES = ("step", "loop")
"""How our steps are launched: one by one from Python, or all in one compiled call, as an epoch on an accelerator."""


def our_train_steps(case: Case, launch: str | None = None, with_bytes: bool = False) -> Program:
    """Train steps of resjax; by default launched as `resjax.training.loop` does on this device.

    With `with_bytes` its description has `bytes_per_step`, which XLA gives the compiled step, None where it gives none.
    """
    functional = Functional(case.architecture, CLASSES, case.dtype)
    optimizer = make_optimizer(RECIPE, steps_per_epoch=1)
    train_step = make_train_step(functional, optimizer)
    batch = Batch(*(jnp.asarray(array) for array in random_images(case.batch_size, case.image_size)))
    state = initial_state(functional, optimizer, seed=0)
    launch = launch or LAUNCHES[jax.default_backend() != "cpu"]

    def one(state, batch):
        return train_step(state, batch)[0]

    def many(state, batch, steps):
        # Gathered anew in each step, as in an epoch; a batch that never changes would be prepared once for all steps.
        order = jnp.arange(case.batch_size)
        return jax.lax.fori_loop(0, steps, lambda number, s: one(s, take(batch, jnp.roll(order, number))), state)

    step, loop = jax.jit(one, donate_argnums=0), jax.jit(many, donate_argnums=0)

    def run(steps: int) -> None:
        nonlocal state
        if launch == "loop":
            state = loop(state, batch, steps)
        else:
            for _ in range(steps):
                state = step(state, batch)
        jax.block_until_ready(state)

    def describe() -> dict:
        described = {"launch": launch, "peak_bytes": our_peak_bytes()}
        if with_bytes:
            analysis = step.lower(state, batch).compile().cost_analysis() or {}
            described["bytes_per_step"] = analysis.get("bytes accessed")
        return described

    return Program(run, describe)


def our_peak_bytes() -> int:
    """The most memory at once: of arrays on an accelerator, of the whole process on a CPU."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use") or peak_resident_bytes()


def train_step_row(
    case: Case,
    device: Device,
    torch_modes: tuple[str, ...],
    samples: int,
    min_seconds: float = 1.0,
    ceilings: Ceilings | None = None,
    open_contender: Callable[..., Contender] = Worker,
) -> dict:
    """Measures a case and describes it; of several torch modes the one with the best median counts.

    `ratio` is ours over torch's, above 1 where ours is faster; None where one of the two is missing. A side that runs
    out of memory or fails is named in `failed`, and the others go on.
    """
    programs = {"ours": (our_train_steps, case)} | {
        mode: (torch_side.train_steps, case, mode, device.platform) for mode in torch_modes
    }
    rates, failures, descriptions = contest(programs, samples, min_seconds, open_contender)
    images = {name: [case.batch_size * rate for rate in values] for name, values in rates.items()}
    row = case_record(case, "train_step") | {"device": device.name} | compared(images)
    if ceilings:
        bytes_per_step = descriptions.get("ours", {}).get("bytes_per_step")
        row |= against_ceilings(case, row["ours_images_per_second"], bytes_per_step, ceilings)
    return row | {
        "versions": versions("jax", "jaxlib", "flax", *(("torch",) if torch_modes else ())),
        "samples": images,
        "launch": descriptions.get("ours", {}).get("launch"),
        "peak_bytes": {name: each["peak_bytes"] for name, each in descriptions.items() if each},
        "failed": failures,
    }


def describe_train_step(row: dict) -> str:
    """A row in words, with the least and the greatest sample of each side."""
    return f"{describe_case(row)}: {describe_samples(row)}{describe_ceilings(row)}{describe_memory(row)}"


def describe_samples(row: dict) -> str:
    """Each side's images per second, the ratio, and what failed."""
    samples = dict(row["samples"])
    parts = [f"ours {spread(samples.pop('ours'))} images/s"] if "ours" in samples else []
    if samples:
        parts.append("torch " + ", ".join(f"{mode} {spread(values)}" for mode, values in samples.items()))
    if row["ratio"] is not None:
        parts.append(f"ours / torch {row['torch_mode']} = {row['ratio']:.2f}")
    parts += [f"{name} FAILED, {why}" for name, why in row["failed"].items()]
    return "; ".join(parts)


def describe_memory(row: dict) -> str:
    """The peak of each side's memory."""
    peaks = ", ".join(f"{name} {peak / 2**30:.1f}" for name, peak in row["peak_bytes"].items())
    return f"; peak memory in GiB: {peaks}" if peaks else ""
