"""What runs on an accelerator, as far as a CPU can tell: dtypes, options, an epoch without the host."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resjax.cli import machine
from resjax.cli.machine import GPU_FLAGS, use_gpu_flags
from resjax.data.pipeline import ResidentSide, epoch_order
from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.run.precision import usable_dtype
from resjax.training.loop import Trainer
from resjax.training.recipe import Recipe
from resjax.training.state import purpose_key
from resjax.training.step import make_train_step, run_steps
from resjax.types import BadInput, Batch

RECIPE = Recipe(epochs=1, batch_size=4)


@dataclass
class Card:
    platform: str = "gpu"
    device_kind: str = "Tesla T4"
    compute_capability: str = "7.5"


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    images = np.random.default_rng(0).integers(0, 255, (12, 16, 16, 3), np.uint8)
    side = ResidentSide(images, np.arange(12) % 2)
    described = replace(architecture("resnet18", width=2, stem="cifar"), blocks=(1,))
    return Trainer(Functional(described, 2, "bfloat16"), RECIPE, side, side)


def test_a_card_without_bfloat16_computes_in_float32_and_says_so():
    dtype, note = usable_dtype("bfloat16", Card())
    assert dtype == "float32" and "Tesla T4" in note and "7.5" in note
    assert usable_dtype("float32", Card()) == ("float32", None)
    assert usable_dtype("bfloat16", Card(compute_capability="9.0")) == ("bfloat16", None)
    assert usable_dtype("bfloat16", jax.devices("cpu")[0]) == ("bfloat16", None)


def test_the_installed_xla_knows_every_option():
    environment = os.environ | {"XLA_FLAGS": " ".join(GPU_FLAGS.values())}
    subprocess.run([sys.executable, "-c", "import jax; jax.devices()"], env=environment, check=True)


def test_options_are_set_where_there_is_a_card_and_the_users_stay(monkeypatch, tmp_path):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/nowhere")
    monkeypatch.setattr(machine, "CARD", tmp_path / "none")
    use_gpu_flags("latency_hiding")
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=/nowhere"
    monkeypatch.setattr(machine, "CARD", tmp_path)
    use_gpu_flags("latency_hiding")  # JAX_PLATFORMS is cpu here.
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=/nowhere"
    monkeypatch.delenv("JAX_PLATFORMS")
    use_gpu_flags("none")
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=/nowhere"
    use_gpu_flags("latency_hiding")
    assert os.environ["XLA_FLAGS"] == f"--xla_dump_to=/nowhere {GPU_FLAGS['latency_hiding']}"
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_latency_hiding_scheduler=false")
    use_gpu_flags("latency_hiding")
    assert os.environ["XLA_FLAGS"] == "--xla_gpu_enable_latency_hiding_scheduler=false"
    with pytest.raises(BadInput, match="latency_hiding"):
        use_gpu_flags("latency")


def test_convolutions_are_in_bfloat16_and_what_is_kept_is_in_float32(trainer):
    state = trainer.initial_state(0)
    batch = Batch(trainer.train.on_device.images[:4], trainer.train.on_device.labels[:4])
    step = make_train_step(trainer.functional, trainer.optimizer)
    program = jax.make_jaxpr(step)(state, batch)
    convolutions = [each for each in equations(program.jaxpr) if each.primitive.name == "conv_general_dilated"]
    # Three forward; backward to the kernels, and to the inputs but the images.
    assert len(convolutions) >= 3 + 3 + 2
    for each in convolutions:
        assert {variable.aval.dtype for variable in (*each.invars, *each.outvars)} == {jnp.dtype(jnp.bfloat16)}
    after, sums = jax.eval_shape(step, state, batch)
    kept = jax.tree.leaves((after.variables, after.optimizer, sums.loss))
    assert {leaf.dtype for leaf in kept if jnp.issubdtype(leaf.dtype, jnp.floating)} == {jnp.dtype("float32")}


def test_an_epoch_in_one_call_moves_nothing_between_host_and_device_and_reuses_its_state(trainer):
    state = trainer.initial_state(0)
    order, _ = epoch_order(purpose_key(state.key, "order", 1), 12, 4)
    program = run_steps.lower(trainer.program, state, trainer.train.on_device, order, trainer.rates).compile()
    assert not [word for word in ("callback", "infeed", "outfeed", "send(", "recv(") if word in program.as_text()]
    weights = jax.tree.leaves(state.variables)
    with jax.transfer_guard("disallow"):
        after, sums = program(state, trainer.train.on_device, order, trainer.rates)
        jax.block_until_ready(sums)
    assert sums.loss.shape == (3,) and int(after.step) == 3
    assert all(leaf.is_deleted() for leaf in weights)


def equations(jaxpr):
    """All equations of a program, those of the programs within it too."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in nested(equation.params):
            yield from equations(inner)


def nested(parameters):
    """The programs among an equation's parameters."""
    for value in parameters.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(each, "jaxpr", each)
            if hasattr(inner, "eqns"):
                yield inner
