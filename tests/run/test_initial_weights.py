"""Which file an arm starts from, and what counts as another recipe in a workdir."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.models.torch_weights import save_weights
from resjax.run.initial_weights import parse_init_from, read_initial_weights
from resjax.run.recipe_check import changes
from resjax.types import BadInput

ARMS = ("plain18", "resnet18")


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
def test_one_file_serves_all_arms_or_each_names_its_own(text, files):
    assert parse_init_from(text, ARMS) == {arm: Path(path) for arm, path in files.items()}


@pytest.mark.parametrize("text", ["resnet34=w.pth", "resnet18=", "resnet18=a,resnet18=b", "w.pth,resnet18=a"])
def test_another_assignment_is_refused_with_the_arms(text):
    with pytest.raises(BadInput, match="--init_from=.*accepted; the arms are plain18, resnet18"):
        parse_init_from(text, ARMS)


def test_an_arm_without_projections_says_what_it_leaves_out(file, capsys):
    functionals = {name: short(name) for name in ARMS}
    weights = read_initial_weights(parse_init_from(str(file), ARMS), functionals)
    assert weights["plain18"] is weights["resnet18"] and len(weights["plain18"].sha256) == 64
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and said[0].startswith("plain18: ") and "shortcut's projections are left out" in said[0]


def test_a_file_of_another_network_names_the_arm(file):
    with pytest.raises(BadInput, match="--init_from for resnet50: .*does not fit the network: .*layer1.0.conv3.weight"):
        read_initial_weights({"resnet50": file}, {"resnet50": short("resnet50")})


def summary(**flags: object) -> dict:
    config = {"width": 64, "stem": "imagenet", "epochs": 2} | flags
    return {"config": config, "dataset": {"fingerprint": "f"}, "architectures": {"plain18": {}, "resnet18": {}}}


def settings(*names: str, sizes: dict | None = None, **flags: object) -> SimpleNamespace:
    sizes = sizes or {}
    given = {"width": None, "stem": None, "freeze": None, "epochs": 2} | sizes | flags
    return SimpleNamespace(architectures=[architecture(name, **sizes) for name in names or ARMS], flags=given)


def test_sizes_that_are_left_to_the_architecture_may_be_those_that_were_given():
    assert changes(summary(), settings(), {}) == []
    assert changes(summary(width=None, stem=None), settings(sizes={"width": 64}), {}) == []
    # A new arm may have sizes of its own.
    assert changes(summary(), settings("plain18", "resnet20"), {}) == []
    assert changes(summary(), settings(sizes={"width": 16}), {}) == [
        "--width of plain18 was 64, now 16",
        "--width of resnet18 was 64, now 16",
    ]


def test_another_recipe_is_named(file):
    weights = read_initial_weights({"resnet18": file}, {"resnet18": short("resnet18")})
    assert changes(summary(), settings(freeze="stem.*"), {}) == ["--freeze was None, now stem.*"]
    assert changes(summary(), settings(epochs=3), {}) == ["--epochs was 2, now 3"]
    assert changes(summary(), settings(), weights) == ["--init_from: resnet18 started from random numbers"]
    before = summary()
    before["architectures"]["resnet18"]["init_from"] = weights["resnet18"].record()
    assert changes(before, settings(), weights) == []
    assert changes(before, settings(), {}) == ["--init_from: resnet18 started from another file"]
    other = {"resnet18": replace(weights["resnet18"], sha256="0")}
    assert changes(before, settings(), other) == ["--init_from: resnet18 started from another file"]
