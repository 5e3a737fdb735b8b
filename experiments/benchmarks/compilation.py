"""`--measure=compile`: seconds to trace and to compile our train step, cold and from a warm cache."""

import tempfile
import time

import jax
import jax.numpy as jnp

from resjax.functional import Functional
from resjax.training.optimizer import make_optimizer
from resjax.training.state import initial_state
from resjax.training.step import make_train_step
from resjax.types import Batch

from .harness.cases import CLASSES, RECIPE, Case, random_images
from .harness.contenders import in_a_process
from .harness.machine import Device
from .harness.rows import CompileRow, case_fields, describe_case, versions


def compile_seconds(case: Case, cache_dir: str) -> tuple[float, float]:
    """Seconds to trace our train step, and to compile it with a persistent cache in a folder.

    It measures once per process: JAX keeps what it has traced and compiled.
    """
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", cache_dir)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    functional = Functional(case.architecture, CLASSES, case.dtype)
    optimizer = make_optimizer(RECIPE, steps_per_epoch=1)
    step = jax.jit(make_train_step(functional, optimizer), donate_argnums=0)
    batch = Batch(*(jnp.asarray(array) for array in random_images(case.batch_size, case.image_size)))
    state = jax.eval_shape(lambda: initial_state(functional, optimizer, seed=0))
    start = time.perf_counter()
    lowered = step.lower(state, batch)
    traced = time.perf_counter()
    lowered.compile()
    return traced - start, time.perf_counter() - traced


def compile_row(case: Case, device: Device) -> CompileRow:
    """Measures tracing and compiling with an empty cache, and compiling again in a new process with the filled one."""
    with tempfile.TemporaryDirectory(prefix="resjax-programs-") as cache_dir:
        traced, compiled = in_a_process(compile_seconds, case, cache_dir)
        _, compiled_again = in_a_process(compile_seconds, case, cache_dir)
    return CompileRow(
        **case_fields(case, "compile"),
        device=device.name,
        trace_seconds=traced,
        compile_seconds=compiled,
        warm_compile_seconds=compiled_again,
        versions=versions("jax", "jaxlib", "flax"),
    )


def describe_compilation(row: CompileRow) -> str:
    """A row in words."""
    return (
        f"{describe_case(row)}: traced in {row.trace_seconds:.1f} s, compiled in {row.compile_seconds:.1f} s, "
        f"from a warm cache in {row.warm_compile_seconds:.1f} s"
    )
