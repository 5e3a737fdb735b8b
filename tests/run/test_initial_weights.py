"""Which file a network starts from, and what counts as another recipe in a workdir."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.models.torch_weights import save_weights
from resjax.records import NUMERICS_VERSION, InitFrom, RecipeData, RecipeNetwork, RecipeRecord
from resjax.run.setup.initial_weights import parse_init_from, read_initial_weights
from resjax.run.workdir.recipe_check import changes

NETWORKS = ("plain18", "resnet18")


def short(name: str) -> Functional:
    return Functional(replace(architecture(name, width=2, stem="cifar"), blocks=(1, 1)), 3)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(path, jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), short("resnet18").shapes()))
    return path


@pytest.mark.parametrize(
    ("text", "files"),
    [
        (None, {}),
        ("", {}),
        ("a/w.safetensors", {"plain18": "a/w.safetensors", "resnet18": "a/w.safetensors"}),
        ("resnet18=w.pth", {"resnet18": "w.pth"}),
        ("resnet18=w.pth, plain18=v.pth", {"resnet18": "w.pth", "plain18": "v.pth"}),
    ],
)
def test_one_file_serves_all_networks_or_each_names_its_own(text, files):
    assert parse_init_from(text, NETWORKS) == {name: Path(path) for name, path in files.items()}


@pytest.mark.parametrize("text", ["resnet34=w.pth", "resnet18=", "resnet18=a,resnet18=b", "w.pth,resnet18=a"])
def test_another_assignment_is_refused_with_the_networks(text):
    with pytest.raises(BadInput, match="--init_from=.*expected .*plain18, resnet18"):
        parse_init_from(text, NETWORKS)


def test_a_network_without_projections_says_what_it_leaves_out(file, capsys):
    functionals = {name: short(name) for name in NETWORKS}
    weights = read_initial_weights(parse_init_from(str(file), NETWORKS), functionals)
    assert weights["plain18"] is weights["resnet18"] and len(weights["plain18"].sha256) == 64
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and said[0].startswith("plain18: ") and "shortcut's projections are left out" in said[0]


def test_a_file_of_another_network_names_it(file):
    with pytest.raises(BadInput, match="--init_from for resnet50: .*does not fit the network: .*layer1.0.conv3.weight"):
        read_initial_weights({"resnet50": file}, {"resnet50": short("resnet50")})


def recipe(init_from: InitFrom | None = None, **flags: object) -> RecipeRecord:
    return RecipeRecord(
        recipe_version=NUMERICS_VERSION,
        config={"width": 64, "stem": "imagenet", "freeze": None, "epochs": 2} | flags,
        dataset=RecipeData(fingerprint="f"),
        architectures={"plain18": RecipeNetwork(init_from=None), "resnet18": RecipeNetwork(init_from=init_from)},
    )


def settings(*names: str, sizes: dict | None = None, **flags: object) -> SimpleNamespace:
    sizes = sizes or {}
    given = {"width": None, "stem": None, "freeze": None, "epochs": 2} | sizes | flags
    return SimpleNamespace(architectures=[architecture(name, **sizes) for name in names or NETWORKS], flags=given)


def test_sizes_that_are_left_to_the_architecture_may_be_those_that_were_given():
    assert changes(recipe(), settings(), {}) == []
    assert changes(recipe(width=None, stem=None), settings(sizes={"width": 64}), {}) == []
    # A new network may have sizes of its own.
    assert changes(recipe(), settings("plain18", "resnet20"), {}) == []
    assert changes(recipe(), settings(sizes={"width": 16}), {}) == [
        "--width of plain18 was 64, now 16",
        "--width of resnet18 was 64, now 16",
    ]


def test_another_recipe_is_named(file):
    weights = read_initial_weights({"resnet18": file}, {"resnet18": short("resnet18")})
    assert changes(recipe(), settings(freeze="stem.*"), {}) == ["--freeze was None, now stem.*"]
    assert changes(recipe(), settings(epochs=3), {}) == ["--epochs was 2, now 3"]
    assert changes(recipe(), settings(), weights) == ["--init_from: resnet18 started from random numbers"]
    before = recipe(weights["resnet18"].record())
    assert changes(before, settings(), weights) == []
    assert changes(before, settings(), {}) == ["--init_from: resnet18 started from another file"]
    other = {"resnet18": replace(weights["resnet18"], sha256="0")}
    assert changes(before, settings(), other) == ["--init_from: resnet18 started from another file"]
