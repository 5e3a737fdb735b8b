"""The worked examples of own parts do what they say, at a tiny size."""

import ast
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import resjax
from experiments.examples import (
    fast_convolutions,
    own_augmentation,
    own_block,
    own_network,
    own_optimizer,
    own_probe,
    verdict_on_pytorch,
)

FOLDER = Path(own_block.__file__).parent
TINY = {"images": 10, "size": 16, "width": 4}


def test_the_page_lists_every_example_with_its_first_sentence():
    page = (FOLDER / "README.md").read_text()
    files = [file for file in FOLDER.glob("*.py") if file.stem not in ("__init__", "images")]
    for file in files:
        first = (ast.get_docstring(ast.parse(file.read_text())) or "").splitlines()[0]
        assert f"| `{file.stem}` | {first} |" in page


def test_an_own_block_makes_twins_that_start_from_the_same_numbers():
    counts = own_block.main("resnet8", width=4)
    # The shortcut with padding has no parameters.
    assert counts["resnet8"] == counts["plain8"] > 0
    described = resjax.architecture("resnet8", width=4, shortcut="project")
    twins = [
        nnx.to_pure_dict(nnx.as_pure(nnx.state(network, nnx.Param)))
        for each in (described.with_shortcut("none"), described)
        for network in [resjax.build(each, classes=3, key=0, make_block=own_block.SeparableBlock)]
    ]
    plain, residual = ({jax.tree_util.keystr(p): leaf for p, leaf in jax.tree.leaves_with_path(t)} for t in twins)
    assert all("shortcut" in path for path in residual.keys() - plain.keys()) and residual.keys() > plain.keys()
    for path, numbers in plain.items():
        np.testing.assert_array_equal(numbers, residual[path], err_msg=path)


def test_an_own_network_learns_beside_a_resnet():
    losses = own_network.main(**TINY, depth=1, steps=8)
    assert set(losses) == {"convmixer", "resnet8"} and all(seen[-1] < seen[0] for seen in losses.values())


def test_an_own_optimizer_learns_and_makes_lions_steps():
    losses = own_optimizer.main(**TINY, steps=8)
    assert set(losses) == {"lion", "adam"} and all(last < first for first, last in losses.values())
    optimizer = own_optimizer.lion(0.1, beta1=0.5, beta2=0.75)
    updates, state = optimizer.update({"w": jnp.array([2.0, -4.0])}, optimizer.init({"w": jnp.zeros(2)}))
    np.testing.assert_allclose(updates["w"], [-0.1, 0.1])
    np.testing.assert_allclose(state.momentum["w"], [0.5, -1.0])


def test_an_own_probe_sees_plain_networks_lose_directions():
    found = own_probe.main("resnet20", **TINY)
    assert [len(ranks) for ranks in found.values()] == [10, 10]
    # Of ten images less their mean, in four channels at first.
    assert all(1 <= rank <= 9 for ranks in found.values() for rank in ranks)
    assert found["resnet20"][0] == pytest.approx(found["plain20"][0], rel=1e-4) and found["plain20"][0] <= 4


def test_an_own_augmentation_cuts_a_square_of_each_image():
    share, loss = own_augmentation.main(**TINY, steps=2)
    assert 0.05 < share <= 0.25 and np.isfinite(loss)
    cut = own_augmentation.Cutout(4)(jax.random.key(0), jnp.ones((20, 12, 12, 3)))
    pixels = (cut == 0.5).all(-1).sum((1, 2))
    assert pixels.max() == 16 and pixels.min() >= 4


def test_pytorchs_predictions_get_the_verdict_of_their_arrays(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    logits = (
        rng.normal(size=(2, 6, 200, 3)).astype(np.float32) + np.array([1, 2])[:, None, None, None] * np.eye(3)[labels]
    )
    for name, of_network in zip(("plain", "residual"), logits, strict=True):
        for seed, of_seed in enumerate(of_network):
            np.savez(tmp_path / f"{name}_seed{seed}.npz", logits=of_seed, labels=labels)
    found = verdict_on_pytorch.main(tmp_path, "plain", "residual")
    assert found.verdict == "candidate better" and (tmp_path / "verdict.png").exists()
    right = (logits.argmax(-1) == labels).mean(-1)
    np.testing.assert_allclose(found.differences, right[1] - right[0])
    np.savez(tmp_path / "plain_seed6.npz", logits=logits[0, 0], labels=labels[::-1])
    with pytest.raises(resjax.BadInput, match="plain"):
        verdict_on_pytorch.saved(tmp_path, "plain")


def test_the_verdict_on_pytorch_imports_no_jax():
    code = "import sys, experiments.examples.verdict_on_pytorch; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parents[1]).returncode == 0


def test_a_flax_model_has_the_same_gradients_with_resjaxs_convolutions():
    assert fast_convolutions.main(images=4, size=16, width=8) < 1e-5
