"""Whole networks: sizes, initial numbers, twins, gradients, and what `build` refuses."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import resjax
from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.models import residual
from resjax.models.architecture import ARCHITECTURES, Architecture, architecture
from resjax.models.network import Stem, build
from resjax.run.setup.costs import parameter_count
from resjax.types import Variables

KEY = jax.random.key(0)


def short(name: str) -> Architecture:
    """A network with every kind of block of the named one that compiles in a second."""
    return replace(architecture(name, width=4, stem="cifar"), blocks=(2, 1))


def by_path(tree: object) -> dict[str, jax.Array]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        # torchvision's resnet18 and resnet34, and the two networks of He et al. 2015 with five classes.
        ("resnet18", 1000, 11_689_512),
        ("resnet34", 1000, 21_797_672),
        ("plain34", 5, 21_113_413),
        ("resnet34", 5, 21_287_237),
        # 1.7 and 19.4 million in He et al. 2015, table 6: stem, 3 x 36 and 3 x 400 convolutions, the batch norms' two
        # numbers, head.
        ("resnet110", 10, 432 + 2304 * 36 + 4608 + 9216 * 35 + 18432 + 36864 * 35 + 2 * 16 + 72 * 112 + 650),
        pytest.param(
            "resnet1202", 10, 432 + 2304 * 400 + 4608 + 9216 * 399 + 18432 + 36864 * 399 + 2 * 16 + 800 * 112 + 650,
            marks=[pytest.mark.slow, pytest.mark.long],
        ),
        # A shortcut without parameters, and 1x1 convolutions with their batch norms: one a block, 16 blocks.
        ("resnet34_pad", 5, 21_113_413),
        ("resnet34_project_all", 5, 21_113_413 + sum(
            (before if index == 0 else after) * after + 2 * after
            for before, after, count in ((64, 64, 3), (64, 128, 4), (128, 256, 6), (256, 512, 3))
            for index in range(count)
        )),
    ],
)  # fmt: skip
def test_parameter_counts_are_the_published_ones(name, classes, count):
    assert parameter_count(Functional(architecture(name), classes).shapes()) == count


@pytest.mark.parametrize(("kind", "size", "smaller"), [("imagenet", (64, 50), (16, 13)), ("cifar", (9, 8), (9, 8))])
def test_the_stem_quarters_the_map_or_keeps_it(kind, size, smaller):
    stem = Stem(kind, 4, key=KEY)
    assert stem(jnp.ones((2, *size, 3))).shape == (2, *smaller, 4)


def test_the_stems_pool_takes_the_maximum_of_3x3_and_ignores_what_lies_outside():
    stem = Stem("imagenet", 2, key=KEY)
    images = jax.random.normal(KEY, (1, 12, 12, 3), jnp.float32)
    before = np.asarray(nnx.relu(stem.norm(stem.conv(images)))[0])
    expected = [
        [before[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2].max((0, 1)) for c in (0, 2, 4)] for r in (0, 2, 4)
    ]
    np.testing.assert_allclose(stem(images)[0], expected, rtol=1e-5)


def test_the_head_starts_small_and_unbiased():
    head = build(short("resnet18"), classes=1000, key=KEY).head
    assert not np.any(head.bias[...])
    assert np.std(head.kernel[...]) == pytest.approx(0.01, rel=0.03)


@pytest.mark.parametrize("shortcut", ["pad", "project", "project_all"])
def test_twins_start_from_the_same_numbers(shortcut):
    described = short("plain18")
    plain, residual = (
        by_path(Functional(each, 3).init(KEY)) for each in (described, described.with_shortcut(shortcut))
    )
    assert set(plain) <= set(residual)
    assert all("shortcut" in path for path in set(residual) - set(plain))
    for path, array in plain.items():
        np.testing.assert_array_equal(array, residual[path], err_msg=path)


def test_every_layer_and_every_seed_draws_its_own_numbers():
    functional = Functional(short("resnet18"), 3)
    kernels = [
        np.asarray(array).ravel()[:12].tobytes()
        for seed in (0, 1)
        for path, array in by_path(functional.init(jax.random.key(seed)).parameters).items()
        if "kernel" in path
    ]
    assert len(set(kernels)) == len(kernels) == 2 * 9
    again = functional.init(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, again, functional.init(jax.random.key(0)))


@pytest.mark.parametrize("shortcut", ["pad", "project"])
def test_a_residual_network_less_the_additions_is_the_plain_one(shortcut, monkeypatch):
    described = short("plain18")
    images = jax.random.normal(KEY, (4, 8, 8, 3), jnp.float32)

    def logits(each: Architecture) -> tuple[jax.Array, jax.Array]:
        functional = Functional(each, 3)
        variables = functional.init(KEY)
        return functional.apply_train(variables, images)[0], functional.apply_eval(variables, images)

    plain, added = logits(described), logits(described.with_shortcut(shortcut))
    assert not np.array_equal(plain[0], added[0]) and not np.array_equal(plain[1], added[1])
    monkeypatch.setattr(residual, "addition", lambda branch, shortcut: branch)
    for one, other in zip(plain, logits(described.with_shortcut(shortcut)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "name",
    [f"{family}{suffix}" for family in ("resnet18", "resnet34") for suffix in ("", "_pad", "_project_all")]
    + ["plain18", "plain34"],
)
def test_every_parameter_of_whole_networks_gets_a_finite_gradient(name):
    functional = Functional(architecture(name, width=4, stem="cifar"), 3)
    variables = functional.init(KEY)
    images = jax.random.normal(KEY, (4, 16, 16, 3), jnp.float32)

    # Operation by operation: the networks share shapes, so that this compiles far less than eight whole networks.
    # The other families are asked in tests/models/test_families.py.
    def loss(parameters):
        logits, _ = functional.apply_train(Variables(parameters, variables.statistics), images)
        return -jax.nn.log_softmax(logits)[:, 0].mean()

    for path, gradient in by_path(jax.grad(loss)(variables.parameters)).items():
        assert np.all(np.isfinite(gradient)) and np.any(gradient), path


def test_in_bfloat16_the_variables_stay_float32():
    functional = Functional(short("resnet18"), 3, "bfloat16")
    variables = functional.init(KEY)
    images = jax.random.normal(KEY, (4, 8, 8, 3), jnp.float32)
    logits, statistics = functional.apply_train(variables, images)
    assert logits.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, statistics))} == {jnp.dtype("float32")}
    exact, _ = Functional(short("resnet18"), 3).apply_train(variables, images)
    np.testing.assert_allclose(logits.astype(jnp.float32), exact, atol=0.02 * np.abs(exact).max() + 1e-3)


def test_build_takes_a_name_or_a_description_and_changes_fields():
    named = build("resnet18", classes=3, key=0, width=2, stem="cifar", blocks=(1, 1))
    described = build(architecture("resnet18", stem="cifar"), classes=3, key=KEY, width=2, blocks=(1, 1))
    jax.tree.map(np.testing.assert_array_equal, *(nnx.as_pure(nnx.state(each)) for each in (named, described)))
    assert named(jnp.ones((2, 8, 8, 3))).shape == (2, 3)


def test_blocks_can_be_made_by_the_caller():
    own, named = (
        build("resnet18", classes=3, key=0, width=2, stem="cifar", blocks=(1, 1), **given)
        for given in ({"make_block": resjax.BasicBlock}, {})
    )
    jax.tree.map(np.testing.assert_array_equal, *(nnx.as_pure(nnx.state(each)) for each in (own, named)))


def test_build_works_abstractly():
    network = nnx.eval_shape(lambda: build("resnet34", classes=5, key=jax.random.key(0)))
    assert network.head.kernel.shape == (512, 5) and [len(stage) for stage in network.stages] == [3, 4, 6, 3]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("resnet35", {"classes": 5}), "'resnet35'.*resnet34"),
        (("resnet34", {"classes": 1}), "classes=1"),
        (("resnet34", {"classes": 5, "width": 0}), "width=0"),
        ((ARCHITECTURES["plain18"], {"classes": 5, "stem": "tiny"}), "stem='tiny'"),
    ],
)
def test_build_refuses_in_one_line(arguments, words):
    name, fields = arguments
    with pytest.raises(BadInput, match=words) as error:
        build(name, key=KEY, **fields)
    assert "\n" not in str(error.value) and "expected" in str(error.value)


def test_every_public_name_loads():
    assert {name for name in resjax.__all__ if getattr(resjax, name, None) is None} == set()
    with pytest.raises(AttributeError, match="resjax.* resnet$"):
        _ = resjax.resnet
