"""Hashes of callables: equal for equal source and values, different for any other."""

import functools
import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import optax
import pytest

from resjax.run.setup.sources import source_of

MODULE = """
from dataclasses import dataclass

WIDTH = 3


class Block:
    def size(self):
        return WIDTH


def inner():
    return Block()


# A remark.
def network(key):
    return inner().size()


def unrelated():
    return 1
"""


def loaded(path: Path, text: str):
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("my_networks", path)
    module = sys.modules["my_networks"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.network


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    yield tmp_path_factory.mktemp("modules")
    sys.modules.pop("my_networks", None)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# A remark.", "# Another remark.\n", True),
        ("return 1", "return 2", True),
        ("inner().size()", "inner().size() + 1", False),
        ("return Block()", "return  Block()", True),
        ("return Block()", "return Block().__class__()", False),
        ("return WIDTH", "return WIDTH + 1", False),
        ("WIDTH = 3", "WIDTH = 4", False),
    ],
)
def test_the_source_is_what_a_function_names_in_its_own_module_without_remarks(folder, old, new, same):
    name = f"{abs(hash((old, new)))}.py"
    before = source_of(loaded(folder / f"a{name}", MODULE))
    after = source_of(loaded(folder / f"b{name}", MODULE.replace(old, new)))
    assert (before == after) is same and before.origin == "my_networks:network"


@dataclass
class Held:
    rate: float


def scaled(factor, by=1):
    return lambda images: factor * images * by


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (scaled, (1, 2, jnp.ones(2), jnp.ones(3), "1", None)),
        (lambda value: scaled(1, value), (1, 2)),
        (lambda value: functools.partial(scaled, by=value), (1, 2)),
        (lambda value: Held(value).__eq__, (1.0, 2.0)),
        (optax.adam, (1e-3, 1e-2)),
        (lambda value: optax.chain(optax.clip(value), optax.sgd(0.1)), (1.0, 2.0)),
        (lambda value: optax.cosine_decay_schedule(0.1, value), (10, 20)),
    ],
)
def test_values_that_a_function_holds_count(make, values):
    hashes = [[source_of(make(value)).sha256 for value in values] for _ in range(2)]
    assert hashes[0] == hashes[1] and len(set(hashes[0])) == len(values)


def test_two_lambdas_of_two_lines_differ_and_what_stands_around_them_does_not_count():
    first, second = (
        lambda key: key,
        lambda key: key + 1,
    )
    (third,) = [lambda key: key]
    assert source_of(first) != source_of(second) and source_of(first) == source_of(third)


def test_every_process_finds_the_same_hash():
    code = (
        "import optax; from resjax.run.setup.sources import source_of as s; print(s(optax.lion), s(optax.adam(1e-3)))"
    )
    python = [sys.executable, "-c", code]
    printed = subprocess.run(python, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout
    assert printed.strip() == f"{source_of(optax.lion)} {source_of(optax.adam(1e-3))}"
