"""`--measure=train_step`: images per second of the train step, next to PyTorch's."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from resjax.data.pipeline import take
from resjax.functional import Functional
from resjax.training.ahead_of_time import compile_now
from resjax.training.loop import StepQueue
from resjax.training.optimizer import make_optimizer
from resjax.training.state import initial_state
from resjax.training.step import make_train_step
from resjax.types import Batch

from .harness.cases import CLASSES, RECIPE, Case, random_images
from .harness.ceilings import Ceilings, against_ceilings, describe_ceilings
from .harness.contenders import Contender, Program, Worker, contest, peak_resident_bytes
from .harness.machine import Device
from .harness.rows import (
    TrainStepRow,
    case_fields,
    describe_case,
    describe_memory,
    describe_samples,
    medians_of,
    versions,
)
from .pytorch import training as pytorch

CAVEAT = (
    "These are steps on one batch on the device, without augmentation, reading or evaluation. They do not tell how "
    "long a run takes, how soon a network learns, or the speed of another machine, size or batch."
)
LAUNCHES = ("step", "loop")
"""How our steps are launched: one by one from Python, or all in one compiled call, as an epoch on an accelerator."""


def our_train_steps(case: Case, launch: str | None = None, with_bytes: bool = False) -> Program:
    """Train steps of resjax, by default launched as `resjax.training.loop` does on this device.

    With `with_bytes` its description has `bytes_per_step`, as XLA says of the compiled step; None if XLA does not say.
    """
    functional = Functional(case.architecture, CLASSES, case.dtype)
    optimizer = make_optimizer(RECIPE, steps_per_epoch=1)
    train_step = make_train_step(functional, optimizer)
    batch = Batch(*(jnp.asarray(array) for array in random_images(case.batch_size, case.image_size)))
    state = initial_state(functional, optimizer, seed=0)
    launch = launch or LAUNCHES[jax.default_backend() != "cpu"]

    def many(state, batch, steps):
        # Gathered anew in each step, as in an epoch; a batch that never changes would be prepared once for all steps.
        order = jnp.arange(case.batch_size)
        return jax.lax.fori_loop(
            0, steps, lambda number, s: train_step(s, take(batch, jnp.roll(order, number)))[0], state
        )

    step, loop = jax.jit(train_step, donate_argnums=0), jax.jit(many, donate_argnums=0)
    one = compile_now(step, (state, batch)) if launch == "step" else step

    def run(steps: int) -> None:
        nonlocal state
        if launch == "loop":
            state = loop(state, batch, steps)
        else:
            queue = StepQueue()
            for _ in range(steps):
                queue.wait()
                state, sums = one(state, batch)
                queue.add(sums)
        jax.block_until_ready(state)

    def describe() -> dict:
        described = {"launch": launch, "peak_bytes": our_peak_bytes()}
        if with_bytes:
            analysis = step.lower(state, batch).compile().cost_analysis() or {}
            described["bytes_per_step"] = analysis.get("bytes accessed")
        return described

    return Program(run, describe)


def our_peak_bytes() -> int:
    """The peak memory: of arrays on an accelerator, of the whole process on a CPU."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use") or peak_resident_bytes()


def train_step_row(
    case: Case,
    device: Device,
    torch_modes: tuple[str, ...],
    samples: int,
    min_seconds: float = 1.0,
    ceilings: Ceilings | None = None,
    open_contender: Callable[..., Contender] = Worker,
) -> TrainStepRow:
    """Measures a case. Of several modes of PyTorch, the one with the best median counts.

    A side that runs out of memory or fails is named in `failed`, and the others go on.
    """
    programs = {"ours": (our_train_steps, case)} | {
        mode: (pytorch.train_steps, case, mode, device.platform) for mode in torch_modes
    }
    rates, failures, descriptions = contest(programs, samples, min_seconds, open_contender, device.warm_up)
    images = {name: [case.batch_size * rate for rate in values] for name, values in rates.items()}
    medians, ours = medians_of(images), descriptions.get("ours", {})
    shares: dict[str, Any] = {}
    if ceilings:
        shares = against_ceilings(case, medians.ours_images_per_second, ours.get("bytes_per_step"), ceilings)
    return TrainStepRow(
        **case_fields(case, "train_step"),
        device=device.name,
        **medians._asdict(),
        **shares,
        versions=versions("jax", "jaxlib", "flax", *(("torch",) if torch_modes else ())),
        samples=images,
        launch=ours.get("launch"),
        peak_bytes={name: each["peak_bytes"] for name, each in descriptions.items() if each},
        failed=failures,
    )


def describe_train_step(row: TrainStepRow) -> str:
    """A row in words, with the lowest and the highest sample of each side."""
    return f"{describe_case(row)}: {describe_samples(row)}{describe_ceilings(row)}{describe_memory(row)}"
