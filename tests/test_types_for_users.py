"""What mypy tells who imports resjax: real types, in strict mode."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USE = """
from pathlib import Path
from typing import Any, assert_type

import jax
import jax.numpy as jnp
import numpy as np

import resjax
from resjax.data import standardize, to_float
from resjax.ops import batch_norm, conv_general_dilated, max_pool
from resjax.records import Interval, Summary, read_record
from resjax.training import Recipe, StepSums, TrainState, initial_state, make_optimizer, make_train_step

network = resjax.build("resnet20", classes=10, key=0, width=8)
assert_type(network, resjax.Network)
images = standardize(to_float(jnp.zeros((2, 32, 32, 3), jnp.uint8)))
assert_type(network(images), jax.Array)
assert_type(network.features(images), tuple[jax.Array, ...])

functional = resjax.Functional(resjax.architecture("resnet20"), classes=10)
variables = functional.init(jax.random.key(0))
assert_type(variables, resjax.Variables)
assert_type(variables.parameters, dict[str, Any])
print(variables.parameters["head"]["bias"])
assert_type(functional.apply_train(variables, images), tuple[jax.Array, dict[str, Any]])
assert_type(functional.apply_eval(variables, images), jax.Array)
assert_type(resjax.ledger(functional, 32).parameters, int)
assert_type(resjax.load_weights("weights.safetensors", variables).variables, resjax.Variables)

result = resjax.verdict(np.zeros((6, 20)), np.ones((6, 20)), margin=0.01)
assert_type(result, resjax.ComparisonResult)
assert_type(result.interval, Interval | None)
assert_type(result.p_value, float | None)
assert_type(result.to_dict(), dict[str, Any])
assert_type(result.draw("verdict.png"), Path)



def darker(key: jax.Array, images: jax.Array) -> jax.Array:
    return images * jax.random.uniform(key, (len(images), 1, 1, 1))


optimizer = make_optimizer(Recipe(), steps_per_epoch=10)
state = initial_state(functional, optimizer, seed=0)
step = make_train_step(functional, optimizer, (darker,))
assert_type(step(state, resjax.Batch(images, jnp.zeros(2, jnp.int32))), tuple[TrainState, StepSums])

assert_type(max_pool(images), jax.Array)
assert_type(batch_norm(images, jnp.ones(3), jnp.zeros(3)), tuple[jax.Array, jax.Array, jax.Array])
assert_type(conv_general_dilated(images, jnp.ones((3, 3, 3, 4)), (1, 1), "SAME"), jax.Array)
assert_type(read_record(Path("summary.json"), Summary), Summary)
"""


@pytest.mark.slow
def test_a_users_lines_have_real_types_in_strict_mode(tmp_path, pytestconfig):
    file = tmp_path / "use.py"
    file.write_text(USE)
    # The cache makes every test after the first one quick. Silent about resjax itself, as where it is installed.
    cache = pytestconfig.cache.mkdir("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", f"--cache-dir={cache}", str(file)]
    done = subprocess.run(command, env=os.environ | {"MYPYPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
