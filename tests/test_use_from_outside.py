"""A network without anything else of resjax: built, called, differentiated, vmapped, sharded; and the doctests."""

import doctest
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import resjax

ROOT = Path(__file__).parents[1]
SHARDED = """
import jax, jax.numpy as jnp, numpy as np, resjax
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

assert jax.device_count() == 2
functional = resjax.Functional(resjax.architecture("se_preact_resnet8", width=4), classes=3)
variables = functional.init(jax.random.key(0))
images = jax.random.normal(jax.random.key(1), (8, 8, 8, 3))
mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,))
spread = jax.device_put(images, NamedSharding(mesh, P("batch")))
everywhere = jax.device_put(variables, NamedSharding(mesh, P()))
train = jax.jit(functional.apply_train)
alone, together = train(variables, images), train(everywhere, spread)
assert len(together[0].sharding.device_set) == 2
jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5), alone, together)
"""


def images(size: int = 8) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (4, size, size, 3), jnp.float32)


def test_a_module_is_trained_with_nnx_and_optax_alone():
    network = resjax.build("preact_resnet8", classes=3, key=0, width=4)
    optimizer = nnx.Optimizer(network, optax.sgd(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(network, optimizer):
        def loss(network):
            labels = jnp.arange(4) % 3
            return optax.softmax_cross_entropy_with_integer_labels(network(images()), labels).mean()

        value, gradients = nnx.value_and_grad(loss)(network)
        optimizer.update(network, gradients)
        return value

    first, *_, last = (float(step(network, optimizer)) for _ in range(6))
    assert last < first


def test_the_stages_features_are_returned_in_every_family():
    for name in ("resnet20", "preact_resnet20", "se_resnet20"):
        network = nnx.view(resjax.build(name, classes=3, key=0, width=4, blocks=(1, 1, 1)), use_running_average=True)
        assert [each.shape for each in network.features(images())] == [(4, 8, 8, 4), (4, 4, 4, 8), (4, 2, 2, 16)]


def test_seeds_are_vmapped():
    functional = resjax.Functional(resjax.architecture("se_resnet8", width=4), classes=3)
    keys = jax.random.split(jax.random.key(0), 2)
    together = jax.jit(jax.vmap(lambda key: functional.apply_eval(functional.init(key), images())))(keys)
    for replica, key in enumerate(keys):
        alone = functional.apply_eval(functional.init(key), images())
        np.testing.assert_allclose(together[replica], alone, rtol=1e-4, atol=1e-6)


def test_a_batch_is_sharded_over_two_devices():
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", SHARDED], env=environment, check=True)


@pytest.mark.parametrize("name", ["resnet18", "preact_resnet50", "se_resnet50", "resnet34_gn", "resnet34_fixup"])
def test_mixed_precision_computes_in_bfloat16_and_keeps_float32(name):
    described = resjax.architecture(name, width=4, stem="cifar", blocks=(1, 1))
    functional = resjax.Functional(described, 3, "bfloat16")
    variables = functional.init(jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    logits, statistics = functional.apply_train(variables, images())
    assert logits.dtype == jnp.bfloat16
    assert {stage.dtype for stage in functional.features(variables, images())} == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves(statistics)} <= {jnp.dtype("float32")}
    exact, _ = resjax.Functional(described, 3).apply_train(variables, images())
    np.testing.assert_allclose(logits.astype(jnp.float32), exact, atol=0.04 * np.abs(exact).max() + 1e-3)


def test_the_largest_networks_are_built_without_memory():
    shapes = resjax.Functional(resjax.architecture("resnext101_64x4d"), 1000).shapes()
    assert resjax.parameter_count(shapes) == 83_455_272
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(shapes))


def examples() -> dict[str, list[doctest.DocTest]]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {}
    places = re.findall(r"^from \.([\w.]+) import", (ROOT / "resjax/__init__.pyi").read_text(), re.M)
    for place in sorted(set(places)):
        module = import_module(f"resjax.{place}")
        found[place] = [each for each in finder.find(module) if each.examples]
    return found


def test_every_public_name_is_shown_in_an_example():
    shown = " ".join(step.source for tests in examples().values() for test in tests for step in test.examples)
    assert [name for name in resjax.__all__ if not re.search(rf"\b{name}\b", shown)] == []


@pytest.mark.parametrize("place", sorted(examples()))
def test_examples_do_what_they_say(place):
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in examples()[place]:
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
