"""How JAX behaves in the tests, and the tiny network that several of them share."""

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

# Tests hold numbers to the last bits, on the same platform everywhere; a child process inherits it.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the time goes into compiling, so XLA optimizes less here; RESJAX_TESTS_OPTIMIZED=1 tests what users run, which
# CI does for the smoke part.
if not os.environ.get("RESJAX_TESTS_OPTIMIZED"):
    quick = ["--xla_backend_optimization_level=0"]
    if version("jaxlib").startswith("0.10."):
        # The older way to compile fusions takes half the time. Later versions lack it, and an unknown option ends a
        # process.
        quick += ["--xla_cpu_use_fusion_emitters=false"]
    given = os.environ.get("XLA_FLAGS", "")
    added = [option for option in quick if option.partition("=")[0] not in given]
    os.environ["XLA_FLAGS"] = " ".join([given, *added]).strip()
# Every process of a run of the tests shares what it compiles: pytest's workers, and the commands that tests start.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    folder = tempfile.mkdtemp(prefix="resjax-tests-compiled-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax
import jax.numpy as jnp
import pytest

from resjax.functional import Functional
from resjax.models.architecture import Architecture
from resjax.records import Sweep
from resjax.report.figures import style
from resjax.types import Images, Variables
from tests.made_sweep import make_uneven_sweep

jax.config.update("jax_numpy_rank_promotion", "raise")
# Strict dtype promotion would be next, but optax's Adam and flax's batch norm in bfloat16 rely on the standard one.


def pytest_collection_finish() -> None:
    """What is imported and collected stays: looking through it as often as Python would takes a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(scope="module")
def unrendered() -> Iterator[None]:
    """Figures are made and not rendered, in tests that are about something else: that takes longer than a tiny run.

    tests/report renders every figure, as does the comparison of tests/test_wheel.py.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "_svg", lambda figure: '<svg viewBox="0 0 9 9"><title>not rendered</title></svg>')
        patch.setattr(style.FigureCanvasAgg, "draw", lambda canvas: canvas.get_renderer())
        patch.setattr(style, "DPI", 10)
        yield


@pytest.fixture(scope="session")
def tiny() -> Functional:
    """One block that keeps the shape and one that changes it: a network that compiles in a moment."""
    return Functional(Architecture("tiny", (1, 1), "project", stem="cifar", width=4), classes=3)


@pytest.fixture(scope="session")
def tiny_variables(tiny) -> Variables:
    return tiny.init(jax.random.key(0))


@pytest.fixture(scope="session")
def tiny_images() -> Images:
    return jax.random.normal(jax.random.key(1), (5, 9, 8, 3), jnp.float32)


@pytest.fixture(scope="session")
def uneven_sweep(tmp_path_factory) -> tuple[Path, Sweep]:
    """The workdir and record of a sweep in which cells diverged, failed and are pending. Nothing is written there."""
    workdir = tmp_path_factory.mktemp("uneven") / "sweep"
    return workdir, make_uneven_sweep(workdir)
