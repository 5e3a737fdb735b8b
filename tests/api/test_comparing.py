"""A whole comparison in Python: own networks, arrays, optimizers and augmentations, resumed bit for bit."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import optax
import pytest
from flax import nnx

import resjax
from resjax.data.augmentation import Flip
from resjax.errors import BadInput
from resjax.models.architecture import Architecture
from resjax.predict.exporting import export_network
from resjax.predict.saliency_pictures import SaliencyPictures
from resjax.predict.trained_network import trained_network
from resjax.records import MetricsLine, RecipeRecord, Summary, read_lines, read_record
from tests.own_networks import Averaged, averaged, no_module, wider

SMALL = Architecture("small", (1,), "project", stem="cifar", width=4)
CLASSES = ("down", "up", "side")


def pictures(count: int = 48, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, 12, 12, 3), np.uint8), np.arange(count) % 3


def brighter(key, images):
    return jnp.clip(images * jax.random.uniform(key, (len(images), 1, 1, 1), minval=0.9, maxval=1.1), 0, 1)


def recipe(rate: float = 1e-2) -> resjax.Recipe:
    return resjax.Recipe(
        epochs=2,
        batch_size=16,
        optimizer=partial(optax.lion, weight_decay=1e-3),
        schedule=optax.cosine_decay_schedule(rate, 6),
        augmentations=(Flip(), brighter),
    )


def compared(workdir: Path, cache: Path, networks=None, callbacks=(), rate: float = 1e-2):
    return resjax.compare(
        networks or [averaged, SMALL],
        pictures(),
        class_names=CLASSES,
        recipe=recipe(rate),
        seeds=2,
        workdir=workdir,
        cache_dir=cache,
        near_copies=False,
        callbacks=callbacks,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def seen():
    return []


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache, seen):
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    return compared(workdir, cache, callbacks=[lambda *epoch: seen.append(epoch)])


def test_own_networks_arrays_optimizer_and_augmentation_end_in_a_verdict_and_a_report(finished):
    summary = finished.summary
    assert summary.dataset.classes == list(CLASSES) and summary.dataset.images == 48
    assert [(pair.baseline, pair.candidate) for pair in summary.comparisons] == [("averaged", "small")]
    assert all(status == "done" for each in summary.architectures.values() for status in each.status.values())
    assert (finished.workdir / "report.html").exists()
    assert "averaged" in (finished.workdir / "report.html").read_text()


def test_what_is_no_flag_is_recorded_by_name_and_hash_of_its_source(finished):
    config = finished.summary.config
    assert config["python"] == "resjax.compare" and config["epochs"] == 2
    assert config["augment"].startswith("flip,tests.api.test_comparing:brighter sha256:")
    assert "lion" in config["optimizer"] and "sha256:" in config["optimizer"] and "sha256:" in config["schedule"]
    recorded = read_record(finished.workdir / "recipe.json", RecipeRecord).architectures
    assert recorded["averaged"].own.origin == "tests.own_networks:averaged"
    assert recorded["small"].own.fields["width"] == 4


def test_callbacks_see_every_epoch_of_every_replica(finished, seen):
    lines = {
        (name, seed): read_lines(finished.workdir / "runs" / name / f"seed{seed}" / "metrics.jsonl", MetricsLine)
        for name in ("averaged", "small")
        for seed in (0, 1)
    }
    assert {key: [line for name, seed, line in seen if (name, seed) == key] for key in lines} == lines


def test_the_learning_rate_is_that_of_the_own_schedule(finished):
    lines = read_lines(finished.workdir / "runs/averaged/seed0/metrics.jsonl", MetricsLine)
    rate = optax.cosine_decay_schedule(1e-2, 6)
    steps = -(-finished.summary.dataset.splits["train"] // 16)
    assert [line.learning_rate for line in lines] == pytest.approx([float(rate(steps - 1)), float(rate(2 * steps - 1))])


def test_a_comparison_that_ended_early_goes_on_by_the_same_call_bit_for_bit(tmp_path, cache, finished):
    ends = iter([False, True, False, False, True])

    def end(*epoch):
        if next(ends):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            compared(tmp_path / "again", cache, callbacks=[end])
    compared(tmp_path / "again", cache)
    for name in ("averaged", "small"):
        for seed in (0, 1):
            folders = [workdir / "runs" / name / f"seed{seed}" for workdir in (finished.workdir, tmp_path / "again")]
            whole, resumed = (np.load(folder / "predictions.npz") for folder in folders)
            np.testing.assert_array_equal(whole["logits"], resumed["logits"])
            timed = {"seconds": 0.0, "images_per_second": 0.0}
            first, second = (
                [msgspec.structs.replace(line, **timed) for line in read_lines(folder / "metrics.jsonl", MetricsLine)]
                for folder in folders
            )
            assert first == second


def test_the_same_call_trains_nothing_again(finished, cache):
    called = []
    again = compared(finished.workdir, cache, callbacks=[lambda *epoch: called.append(epoch)])
    assert not called and again.summary.comparisons == finished.summary.comparisons


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"networks": {"averaged": wider, "small": SMALL}}, "network averaged"),
        ({"networks": [averaged, Architecture("small", (1,), "pad", stem="cifar", width=4)]}, "network small"),
        ({"rate": 2e-2}, "--schedule"),
    ],
)
def test_another_source_is_another_recipe(finished, cache, changed, named):
    before = (finished.workdir / "summary.json").read_bytes()
    with pytest.raises(BadInput, match=named):
        compared(finished.workdir, cache, **changed)
    assert (finished.workdir / "summary.json").read_bytes() == before


def test_a_finished_network_classifies_as_it_did_and_is_neither_exported_nor_looked_into(finished, tmp_path):
    network = trained_network(finished.workdir, "averaged", "1")
    kept = np.load(finished.workdir / "runs/averaged/seed1/predictions.npz")
    images = pictures()[0][[int(name) for name in kept["id"]]]
    np.testing.assert_allclose(network.logits(images)[0], kept["logits"], rtol=1e-5, atol=1e-6)
    with pytest.raises(BadInput, match="averaged"):
        export_network(network, tmp_path / "exported", ["safetensors"])
    with pytest.raises(BadInput, match="--grad_cam"):
        SaliencyPictures(network, tmp_path / "maps")
    assert not (tmp_path / "exported").exists()
    assert trained_network(finished.workdir, "small", "0").functional.architecture == SMALL


def test_arrays_that_are_split_already_stay_split(tmp_path, cache):
    sides = {"test": pictures(9, 2), "train": pictures(24, 1), "val": pictures(6, 3)}
    found = resjax.compare(
        {"one": averaged},
        sides,
        recipe=resjax.Recipe(epochs=1, batch_size=24, optimizer=optax.sgd(0.1)),
        seeds=1,
        workdir=tmp_path / "split",
        cache_dir=cache,
        near_copies=False,
    )
    assert found.summary.dataset.splits == {"train": 24, "val": 6, "test": 9}
    (line,) = read_lines(tmp_path / "split/runs/one/seed0/metrics.jsonl", MetricsLine)
    assert line.learning_rate is None, "the optimizer has its rate inside"
    labels = np.load(tmp_path / "split/runs/one/seed0/predictions.npz")["label"]
    np.testing.assert_array_equal(labels, np.concatenate([pictures(6, 3)[1], pictures(9, 2)[1]]))


def test_a_data_set_that_is_decoded_already_is_taken_as_it_is(tmp_path):
    images, labels = pictures(24)
    ids = tuple(f"{number:02}" for number in range(24))
    data = resjax.Dataset("mine", CLASSES, ids, labels.astype(np.int32), images, ids, np.arange(24, dtype=np.int32))
    own, one_epoch = {"one": averaged}, resjax.Recipe(epochs=1, batch_size=18)
    found = resjax.compare(own, data, recipe=one_epoch, seeds=1, workdir=tmp_path / "given")
    assert found.summary.dataset.name == "mine" and sum(found.summary.dataset.splits.values()) == 24
    assert isinstance(read_record(tmp_path / "given/summary.json", Summary), Summary)


class Fixed(nnx.Module):
    """What a case of `BAD_NETWORKS` returns."""

    def __init__(self, returned):
        self.weight = nnx.Param(jnp.ones((3, 3)))
        self.returned = nnx.static(returned)

    def __call__(self, images):
        return self.returned(images.mean((1, 2)) @ self.weight[...])


def unfinished(key):
    raise RuntimeError("not written yet")


BAD_NETWORKS = {
    "no module": no_module,
    "a module": Averaged(3, rngs=nnx.Rngs(0)),
    "another number of classes": lambda key: averaged(key, 5),
    "no logits": lambda key: Fixed(lambda logits: (logits, logits)),
    "whole numbers": lambda key: Fixed(lambda logits: logits.astype(int)),
    "no randomness": lambda key, classes: Averaged(classes, rngs=nnx.Rngs(0)),
    "its own randomness": lambda key, classes: averaged(
        jax.random.key(np.random.default_rng().integers(1 << 30)), classes
    ),
    "an error": unfinished,
    "nothing to call": 3,
    "an unknown name": "resnet21",
}


@pytest.mark.parametrize("case", BAD_NETWORKS)
def test_a_network_that_cannot_be_compared_is_refused_before_anything_is_written(tmp_path, cache, case):
    with pytest.raises(BadInput, match=r"^(network|architecture)"):
        resjax.compare({"bad": BAD_NETWORKS[case]}, pictures(), seeds=2, workdir=tmp_path / "run", cache_dir=cache)
    assert not (tmp_path / "run/summary.json").exists()


IMAGES, LABELS = pictures(12)
BAD_DATA = {
    "floats": (IMAGES / 255, LABELS),
    "NaN": (np.full((12, 8, 8, 3), np.nan), LABELS),
    "no channels last": (IMAGES.transpose(0, 3, 1, 2), LABELS),
    "one image": (IMAGES[0], LABELS),
    "fewer labels": (IMAGES, LABELS[:5]),
    "labels of floats": (IMAGES, LABELS + 0.5),
    "negative labels": (IMAGES, LABELS - 1),
    "one class": (IMAGES, 0 * LABELS),
    "no labels": IMAGES,
    "no train": {"val": (IMAGES, LABELS), "test": (IMAGES, LABELS)},
    "an unknown side": {"train": (IMAGES, LABELS), "dev": (IMAGES, LABELS)},
    "images for each network": {"averaged": (IMAGES, LABELS), "small": (IMAGES[:, :8, :8], LABELS)},
    "sides of different sizes": {"train": (IMAGES, LABELS), "val": (IMAGES[:, :8, :8], LABELS)},
    "an unknown source": "flder:images",
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_that_cannot_be_used_are_refused(tmp_path, cache, case):
    with pytest.raises(BadInput):
        resjax.compare([averaged, SMALL], BAD_DATA[case], seeds=1, workdir=tmp_path / "run", cache_dir=cache)
    assert not (tmp_path / "run/summary.json").exists()


def counting(rate):
    """An optimizer whose state grows."""

    def grow(updates, state, parameters=None):
        return updates, jnp.append(state, 0.0)

    return optax.GradientTransformation(lambda parameters: jnp.zeros(1), grow)


BAD_RECIPES = {
    "a state that grows": lambda: resjax.Recipe(optimizer=counting),
    "a state that is no array": lambda: resjax.Recipe(
        optimizer=optax.GradientTransformation(lambda parameters: "none", lambda updates, state, _: (updates, state))
    ),
    "an optimizer that needs the loss": lambda: resjax.Recipe(optimizer=optax.lbfgs()),
    "no optimizer": lambda: resjax.Recipe(optimizer=3),
    "an unknown name": lambda: resjax.Recipe(optimizer="adan"),
    "no schedule": lambda: resjax.Recipe(schedule=0.1),
    "two warm-ups": lambda: resjax.Recipe(schedule=optax.constant_schedule(0.1), warmup_epochs=1),
    "an augmentation of one argument": lambda: resjax.Recipe(augmentations=(lambda images: images,)),
    "an augmentation of fewer images": lambda: resjax.Recipe(augmentations=(lambda key, images: images[:1],)),
    "an augmentation to whole numbers": lambda: resjax.Recipe(augmentations=(lambda key, images: images.astype(int),)),
    "no hash": lambda: resjax.Recipe(augmentations=[Flip()]),
}


@pytest.mark.parametrize("case", BAD_RECIPES)
def test_a_recipe_that_cannot_be_resumed_or_compiled_is_refused(tmp_path, cache, case):
    with pytest.raises(BadInput):
        own = BAD_RECIPES[case]()
        resjax.compare([averaged], pictures(), recipe=own, seeds=1, workdir=tmp_path / "run", cache_dir=cache)
    assert not (tmp_path / "run/summary.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        {"networks": []},
        {"networks": "resnet20"},
        {"networks": [averaged, averaged]},
        {"networks": [lambda key: key]},
        {"networks": {"resnet20": averaged}},
        {"networks": {"../up": averaged}},
        {"seeds": 0},
        {"seeds": [1, 1]},
        {"seeds": "six"},
        {"image_size": 4},
        {"dtype": "bfloat16"},
        {"metric": "recall"},
        {"comparisons": "averaged:other"},
        {"margin": 0},
        {"split": "fair"},
        {"recipe": "strong"},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_arguments_out_of_range_are_refused(tmp_path, cache, arguments):
    usual = {"networks": [averaged], "seeds": 1, "workdir": tmp_path / "run", "cache_dir": cache}
    networks = arguments.pop("networks", usual.pop("networks")) if "networks" in arguments else usual.pop("networks")
    with pytest.raises(BadInput):
        resjax.compare(networks, pictures(), **(usual | arguments))
