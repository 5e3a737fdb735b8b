"""torch's weights in and out: names, layouts, round trips, and every way in which a file does not fit."""

import importlib.util
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.models import torch_weights
from resjax.models.architecture import Architecture, architecture
from resjax.models.torch_weights import fill, load_weights, read_state_dict, save_weights, to_state_dict
from resjax.types import Variables


def numbers(functional: Functional, seed: int = 0) -> Variables:
    """Variables with something of its own in every array, made faster than by `functional.init`."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), functional.shapes())


def short(name: str, **fields: object) -> Architecture:
    return replace(architecture(name, **{"width": 4, **fields}), blocks=(1, 2))


@pytest.fixture(scope="module")
def resnet() -> Functional:
    return Functional(short("resnet18"), 3)


def assert_equal(one: object, other: object) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        *[("plain34", {}), ("resnet18", {}), ("resnet50", {}), ("se_resnet50", {}), ("preact_resnet18", {})],
        *[("resnext50_32x4d", {"width": 16}), ("wide_resnet50_2", {}), ("wide_resnet28_10", {"widening": 2})],
        *[("resnet34_gn", {}), ("resnet34_skipinit", {}), ("resnet50_fixup", {}), ("resnet34_nonorm", {})],
    ],
)
def test_a_file_gives_every_number_back_bit_for_bit(name, fields, tmp_path):
    functional = Functional(short(name, **fields), 3)
    variables = numbers(functional)
    path = tmp_path / "weights.safetensors"
    save_weights(path, variables)
    loaded, notes = load_weights(path, numbers(functional, 1))
    assert_equal(loaded, variables)
    assert notes == () and [each.name for each in tmp_path.iterdir()] == ["weights.safetensors"]
    assert_equal(to_state_dict(loaded), load_file(path))


@pytest.mark.parametrize(
    ("name", "classes", "names"),
    [
        (
            "resnet18",
            1000,
            {
                "conv1.weight": (64, 3, 7, 7),
                "bn1.running_var": (64,),
                "layer2.0.conv1.weight": (128, 64, 3, 3),
                "layer2.0.downsample.0.weight": (128, 64, 1, 1),
                "layer2.0.downsample.1.num_batches_tracked": (),
                "layer4.1.bn2.bias": (512,),
                "fc.weight": (1000, 512),
            },
        ),
        (
            "resnext50_32x4d",
            1000,
            {"layer1.0.conv2.weight": (128, 4, 3, 3), "layer4.2.conv3.weight": (2048, 1024, 1, 1)},
        ),
        (
            "wide_resnet50_2",
            1000,
            {"layer1.0.conv2.weight": (128, 128, 3, 3), "layer1.0.downsample.0.weight": (256, 64, 1, 1)},
        ),
        ("se_resnet50", 1000, {"layer1.0.se.fc1.weight": (16, 256, 1, 1), "layer1.0.se.fc2.bias": (256,)}),
        ("se_resnet18", 1000, {"layer1.0.se.fc1.weight": (8, 64, 1, 1)}),
    ],
)
def test_names_and_shapes_are_torchvisions_and_timms(name, classes, names):
    shapes = Functional(architecture(name), classes).shapes()
    state = to_state_dict(jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes))
    assert {key: state[key].shape for key in names} == names
    # torchvision's resnet18 has 122 entries, of which 20 are num_batches_tracked.
    if name == "resnet18":
        assert len(state) == 122 and sum(key.endswith("num_batches_tracked") for key in state) == 20


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "se_resnet18", "preact_resnet50"])
def test_torchs_network_loads_what_we_write_and_we_what_it_writes(name, tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from experiments.benchmarks.pytorch.networks import TorchNetwork

    functional = Functional(short(name), 3)
    network = TorchNetwork(functional.architecture, 3)
    path = tmp_path / "weights.safetensors"
    save_weights(path, numbers(functional))
    network.load_state_dict({key: torch.tensor(array) for key, array in load_file(path).items()}, strict=True)
    for suffix, wrap in ((".pth", lambda state: state), (".pt", lambda state: {"state_dict": state, "epoch": 3})):
        torch.save(wrap(network.state_dict()), tmp_path / f"theirs{suffix}")
        loaded, _ = load_weights(tmp_path / f"theirs{suffix}", numbers(functional, 1))
        assert_equal(loaded, numbers(functional))


def test_a_prefix_of_data_parallel_training_is_taken_off(resnet, tmp_path):
    variables = numbers(resnet)
    prefixed = {f"module.{name}": array for name, array in to_state_dict(variables).items()}
    save_file(prefixed, tmp_path / "parallel.safetensors")
    assert_equal(load_weights(tmp_path / "parallel.safetensors", numbers(resnet, 1)).variables, variables)


def test_narrow_floats_become_float32(resnet, tmp_path):
    state = {name: array.astype(np.float16) for name, array in to_state_dict(numbers(resnet)).items()}
    save_file(state, tmp_path / "half.safetensors")
    loaded, _ = load_weights(tmp_path / "half.safetensors", numbers(resnet, 1))
    np.testing.assert_array_equal(loaded.parameters["head"]["bias"], state["fc.bias"].astype(np.float32))
    assert {leaf.dtype for leaf in jax.tree.leaves(loaded)} == {np.dtype("float32")}


def test_another_number_of_classes_leaves_the_head_fresh_and_says_so(resnet):
    other = Functional(resnet.architecture, 7)
    fresh = numbers(resnet, 1)
    loaded, notes = fill(fresh, to_state_dict(numbers(other)), source="file")
    assert_equal(loaded.parameters["head"], fresh.parameters["head"])
    assert_equal(loaded.parameters["stages"], numbers(other).parameters["stages"])
    assert notes == ("file: its head has 7 classes, not 3: the head is fresh",)


def test_bfloat16_files_are_read_without_torch(resnet, tmp_path):
    state = {name: array.astype(jnp.bfloat16) for name, array in to_state_dict(numbers(resnet)).items()}
    save_file(state, tmp_path / "narrow.safetensors")
    loaded, _ = load_weights(tmp_path / "narrow.safetensors", numbers(resnet, 1))
    np.testing.assert_array_equal(loaded.parameters["head"]["bias"], state["fc.bias"].astype(np.float32))


@pytest.mark.parametrize("shortcut", ["none", "pad"])
def test_a_network_without_projections_takes_its_projecting_twins_file_and_says_so(resnet, shortcut):
    twin = Functional(resnet.architecture.with_shortcut(shortcut), 3)
    state = to_state_dict(numbers(resnet))
    loaded, notes = fill(numbers(twin, 1), state, source="file")
    assert_equal(to_state_dict(loaded), {name: array for name, array in state.items() if "downsample" not in name})
    assert notes == ("file: 5 arrays of the shortcut's projections are left out",)


def test_what_does_not_fit_is_named_key_by_key(resnet):
    state = to_state_dict(numbers(resnet))
    del state["layer1.0.conv1.weight"], state["bn1.bias"]
    state["layer2.2.conv1.weight"] = np.zeros((8, 8, 3, 3), np.float32)
    state["layer2.0.conv2.weight"] = np.zeros((8, 8, 1, 1), np.float32)
    with pytest.raises(BadInput) as error:
        fill(numbers(resnet, 1), state, source="file")
    text = str(error.value)
    assert text.startswith("file does not fit the network: 2 missing (") and "\n" not in text
    for words in ("bn1.bias", "layer1.0.conv1.weight", "1 unexpected (layer2.2.conv1.weight)"):
        assert words in text
    assert "layer2.0.conv2.weight is (8, 8, 1, 1), not (8, 8, 3, 3)" in text


def test_a_plain_networks_file_lacks_the_projections_of_the_residual_one(resnet):
    plain = Functional(resnet.architecture.with_shortcut("none"), 3)
    with pytest.raises(BadInput, match=r"5 missing \(.*downsample.0.weight"):
        fill(numbers(resnet, 1), to_state_dict(numbers(plain)))


def test_a_head_of_other_features_is_mis_shaped_not_fresh(resnet):
    state = to_state_dict(numbers(resnet))
    state["fc.weight"] = np.zeros((7, 99), np.float32)
    with pytest.raises(BadInput, match=r"fc.weight is \(7, 99\), not \(3, 8\)"):
        fill(numbers(resnet, 1), state)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nowhere.safetensors", None, "no such file"),
        ("noise.safetensors", b"these are no weights", "no whole safetensors file"),
        ("empty.safetensors", b"", "no whole safetensors file"),
        ("weights.onnx", b"x", "expected a file named .safetensors"),
    ],
)
def test_a_file_that_is_no_weights_is_refused(name, content, words, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=words) as error:
        read_state_dict(tmp_path / name)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_a_truncated_file_is_refused(resnet, tmp_path):
    save_weights(tmp_path / "whole.safetensors", numbers(resnet))
    whole = (tmp_path / "whole.safetensors").read_bytes()
    for length in (6, 200, len(whole) - 4):
        (tmp_path / "part.safetensors").write_bytes(whole[:length])
        with pytest.raises(BadInput, match="part.safetensors: no whole safetensors file"):
            read_state_dict(tmp_path / "part.safetensors")


def test_torchs_files_need_torch(tmp_path, monkeypatch):
    (tmp_path / "weights.pth").write_bytes(b"")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="torch is not installed.*expected a .safetensors"):
        read_state_dict(tmp_path / "weights.pth")


def test_a_pickle_that_runs_code_is_not_run(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class Harm:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'harmed')!r}, 'w')",))

    torch.save({"conv1.weight": Harm()}, tmp_path / "harm.pth")
    with pytest.raises(BadInput, match="harm.pth: torch cannot read it as weights alone"):
        read_state_dict(tmp_path / "harm.pth")
    assert not (tmp_path / "harmed").exists()
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(BadInput, match="list.pth: no state dict"):
        read_state_dict(tmp_path / "list.pth")


def test_writing_needs_a_folder_and_the_right_name(resnet, tmp_path):
    variables = numbers(resnet)
    with pytest.raises(BadInput, match="weights.pth: expected .*safetensors"):
        save_weights(tmp_path / "weights.pth", variables)
    with pytest.raises(BadInput, match="nowhere"):
        save_weights(tmp_path / "nowhere" / "weights.safetensors", variables)


def test_every_name_of_ours_is_another_one_of_torchs():
    for name in ("se_preact_resnet34", "resnet50_fixup", "resnet34_skipinit"):
        shapes = Functional(short(name), 3).shapes()
        names = [
            torch_weights.torch_name(tuple(str(getattr(part, "key", part)) for part in path))
            for tree in shapes
            for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]
        ]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"(conv1|bn1|bn|fc|layer\d+\.\d+)(\.[a-z0-9_]+)+", each) for each in names)
