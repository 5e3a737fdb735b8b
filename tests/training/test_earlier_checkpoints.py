"""Checkpoints from when variables were `nnx.State`s restore as the nested dicts of today."""

import jax
import numpy as np
import optax
from flax import nnx

from resjax.training.checkpoint import Checkpoints
from resjax.training.state import initial_state


def as_before(tree: object) -> object:
    return nnx.State({key: as_before(value) for key, value in tree.items()}) if isinstance(tree, dict) else tree


def test_a_checkpoint_of_nnx_states_restores_as_dicts(tiny, tmp_path):
    state = initial_state(tiny, optax.adam(0.1), seed=0)
    before = jax.tree.map(as_before, state, is_leaf=lambda node: isinstance(node, dict))
    assert isinstance(before.variables.parameters, nnx.State) and isinstance(before.optimizer[0].mu, nnx.State)
    saved = Checkpoints(tmp_path)
    saved.save_last(1, before)
    saved.save_best(1, before.variables)
    found = Checkpoints(tmp_path)
    (point,) = found.resume_points(state)
    best = found.restore_best(tiny.shapes())
    jax.tree.map(np.testing.assert_array_equal, point.state.variables, state.variables)
    jax.tree.map(np.testing.assert_array_equal, best, state.variables)
    assert jax.tree.structure(point.state) == jax.tree.structure(state)
