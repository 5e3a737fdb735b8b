"""`benchmark --measure=compile`: how long our train step takes to trace and to compile."""

import time

import jax
import jax.numpy as jnp

from experiments.benchmarks.cases import (
    CLASSES,
    RECIPE,
    Case,
    Device,
    case_record,
    describe_case,
    random_images,
    versions,
)
from resjax.functional import Functional
from resjax.training.loop import make_train_step
from resjax.training.optimizer import make_optimizer
from resjax.training.state import initial_state
from resjax.types import Batch


def compile_row(case: Case, device: Device) -> dict:
    """How long it takes to trace our train step, and to compile it; once, for XLA keeps what it has compiled."""
    functional = Functional(case.architecture, CLASSES, case.dtype)
    optimizer = make_optimizer(RECIPE, steps_per_epoch=1)
    step = jax.jit(make_train_step(functional, optimizer), donate_argnums=0)
    batch = Batch(*(jnp.asarray(array) for array in random_images(case.batch_size, case.image_size)))
    state = jax.eval_shape(lambda: initial_state(functional, optimizer, seed=0))
    start = time.perf_counter()
    lowered = step.lower(state, batch)
    traced = time.perf_counter()
    lowered.compile()
    return case_record(case, "compile") | {
        "device": device.name,
        "trace_seconds": traced - start,
        "compile_seconds": time.perf_counter() - traced,
        "versions": versions("jax", "jaxlib", "flax"),
    }


def describe_compilation(row: dict) -> str:
    """A row in words."""
    return f"{describe_case(row)}: traced in {row['trace_seconds']:.1f} s, compiled in {row['compile_seconds']:.1f} s"
