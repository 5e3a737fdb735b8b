"""A mesh of eight devices comes to what one device comes to, and what does not fit it is refused by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jax.sharding import PartitionSpec

from resjax.errors import BadInput
from resjax.training.mesh import batch_sharding, make_mesh, parse_mesh, require_divisible

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
import jax, numpy as np
from resjax.data.augmentation import Flip
from resjax.data.pipeline import ResidentSide, StreamedSide
from resjax.functional import Functional
from resjax.models.architecture import Architecture
from resjax.training.loop import Trainer
from resjax.training.mesh import make_mesh
from resjax.training.recipe import Recipe
from resjax.training.replicas import ReplicaTrainer, choose_way

rng = np.random.default_rng(0)
images, labels = rng.integers(0, 255, (23, 8, 8, 3)).astype(np.uint8), rng.integers(0, 3, 23).astype(np.int32)
tiny = Functional(Architecture("tiny", (1,), "project", stem="cifar", width=4), classes=3)
recipe = Recipe(
    epochs=2, batch_size=8, augmentations=(Flip(),),
    mixup=0.4, cutmix=1.0, label_smoothing=0.1, clip_norm=1.0, ema_decay=0.8,
)
resident = Trainer(tiny, recipe, ResidentSide(images[:18], labels[:18]), ResidentSide(images[18:], labels[18:]))
rows = np.arange(23)
streamed = Trainer(tiny, recipe, StreamedSide(images, labels, rows[:18]), StreamedSide(images, labels, rows[18:]))

def told(result):
    variables = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(jax.device_get(result.state.evaluated))])
    return {**result.metrics, "variables": variables.tolist()}

found = {"one device": [[told(epoch) for epoch in resident.fit(resident.initial_state(seed))] for seed in (0, 1)]}
for name, trainer, shape, seeds in (
    ("two replicas, four devices a batch", resident, (2, 4), (0, 1)),
    ("eight devices a batch, streamed", streamed, (1, 8), (0,)),
):
    together = ReplicaTrainer(trainer, "devices", make_mesh(*shape))
    epochs = together.fit([trainer.initial_state(seed) for seed in seeds])
    found[name] = list(zip(*([told(result) for result in results] for results in epochs)))
scanned = Trainer(tiny, recipe, resident.train, resident.val, scan=True)
epochs = ReplicaTrainer(scanned, "devices", make_mesh(2, 4)).fit([resident.initial_state(seed) for seed in (0, 1)])
found["an epoch in one call"] = list(zip(*([told(result) for result in results] for results in epochs)))
way = choose_way("auto", None, 1e9)
found["auto"] = [way.name, way.at_once(20), way.describe(6), choose_way("vmap", {"replica": 1, "batch": 4}, 1e9).batch]
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def found() -> dict:
    """What one device and meshes of eight came to."""
    environment = os.environ | {
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8",
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "mesh", ["two replicas, four devices a batch", "eight devices a batch, streamed", "an epoch in one call"]
)
def test_a_mesh_comes_to_what_one_device_comes_to(found, mesh):
    # The last batch of an epoch has two images, which neither four nor eight devices can share.
    for epochs, alone in zip(found[mesh], found["one device"], strict=False):
        assert len(epochs) == len(alone) == 2
        for here, there in zip(epochs, alone, strict=True):
            for key in ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "variables"):
                np.testing.assert_allclose(here[key], there[key], rtol=1e-5, atol=1e-5)


def test_several_devices_train_one_replica_each(found):
    assert found["auto"] == ["devices", 8, "devices of 6", 4]


def test_a_mesh_is_read_axis_by_axis():
    assert parse_mesh("replica:2,batch:4") == {"replica": 2, "batch": 4}
    assert parse_mesh("batch:4") == {"replica": 1, "batch": 4}


@pytest.mark.parametrize(
    "text", ["rows:2", "batch", "batch:0", "batch:-1", "batch:two", "batch:2,batch:4", "", "batch:²"]
)
def test_what_is_no_mesh_is_refused(text):
    with pytest.raises(BadInput, match="--mesh=.*: expected devices per axis such as replica:2,batch:4"):
        parse_mesh(text)


def test_what_does_not_fit_is_refused_with_what_would():
    with pytest.raises(BadInput, match="replica:1,batch:4 needs 4 devices: expected at most 1"):
        make_mesh(batch=4)
    with pytest.raises(BadInput, match="batch:5 does not divide --batch_size=24: expected .* 20 or 25"):
        require_divisible(24, 5)
    with pytest.raises(BadInput, match="--batch_size=3: expected a batch size such as 4,"):
        require_divisible(3, 4)
    require_divisible(24, 4)


def test_a_batch_lies_along_both_axes():
    mesh = make_mesh()
    assert batch_sharding(mesh, (2, 8)).spec == PartitionSpec("replica", "batch")
    assert batch_sharding(mesh, (8,)).spec == PartitionSpec("batch")
