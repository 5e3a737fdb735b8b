"""JAX's settings in the user's environment change no number of a command and end in no traceback."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from resjax.cli.jax_settings import OWN_SETTINGS, use_own_jax_settings
from resjax.functional import Functional
from resjax.models.layers import key_of_seed
from resjax.models.network import build
from resjax.training.optimizer import make_optimizer
from resjax.training.recipe import Recipe
from resjax.training.state import initial_state

STRICT = {
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 3,
    "jax_enable_x64": True,
    "jax_numpy_dtype_promotion": "strict",
    "jax_transfer_guard": "disallow",
    "jax_transfer_guard_host_to_device": "disallow",
    "jax_transfer_guard_device_to_device": "disallow",
    "jax_transfer_guard_device_to_host": "disallow",
    "jax_debug_nans": True,
    "jax_debug_infs": True,
    "jax_disable_jit": True,
    "jax_no_tracing": True,
    "jax_no_execution": True,
}
DRAWS = """
from absl import flags
from resjax.cli.program import Command, run_command

def define():
    flags.DEFINE_boolean("compile_cache", False, "of the commands that use JAX")

def main():
    import jax
    print(float(jax.random.uniform(jax.random.key(0))), jax.numpy.ones(1).dtype)

run_command(Command("draw", None, main, (define,)), [])
"""
"""A command that draws a number."""


def draw(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", DRAWS], capture_output=True, text=True, env=os.environ | environment)


def test_every_setting_that_a_command_decides_is_jaxs_default_again(monkeypatch, capsys):
    assert STRICT.keys() == OWN_SETTINGS.keys()
    for name, value in STRICT.items():
        monkeypatch.setenv(name.upper(), str(value))
    try:
        for name, value in STRICT.items():
            jax.config.update(name, value)
    finally:
        use_own_jax_settings()
    said = capsys.readouterr().err
    for name, (value, _) in OWN_SETTINGS.items():
        assert getattr(jax.config, name) == value and name.upper() not in os.environ and f"{name.upper()}=" in said


def test_our_keys_draw_the_same_whatever_jaxs_default_implementation_is(tiny):
    optimizer = make_optimizer(Recipe(), 1)

    def drawn():
        state = initial_state(Functional(tiny.architecture, 3), optimizer, seed=4)
        built = build(tiny.architecture, classes=3, key=5)
        return (
            jax.random.key_data(state.key),
            state.variables,
            built.head.kernel[...],
            jax.random.bits(key_of_seed(2**32 - 1)),
        )

    expected = drawn()
    with jax.default_prng_impl("rbg"):
        jax.tree.map(np.testing.assert_array_equal, drawn(), expected)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(jax.random.bits(key_of_seed(2**32 - 1), dtype="uint32"), expected[3])


def test_a_command_in_a_process_of_its_own_reads_none_of_them():
    strict = {name.upper(): str(value) for name, value in STRICT.items() if value is not None}
    plain, changed = draw(), draw(**strict)
    assert changed.stdout == plain.stdout and changed.returncode == 0, changed.stderr
    assert len(changed.stderr.splitlines()) == len(STRICT)


@pytest.mark.parametrize(("name", "value"), [("JAX_DEFAULT_PRNG_IMPL", "none"), ("JAX_ENABLE_CHECKS", "perhaps")])
def test_a_value_that_jax_does_not_know_ends_in_one_line(name, value):
    ended = draw(**{name: value})
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1 and value in ended.stderr
