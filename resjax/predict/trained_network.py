"""A network of a finished comparison as a classifier: chosen, restored and calibrated from the workdir's records.

Neither the images of the run nor its command line are needed: classes, sizes and architecture are in `summary.json`.

All seeds answer, as the mean of their probabilities (not of their logs: one seed that is sure of its mistake would rule
a class out). One temperature is fitted for the pooled answer, on validation images without leaks; none with fewer than
20 images or if all are right. Its effect is measured on test, or cross-fitted over five folds of duplicate groups.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from msgspec.structs import replace

from resjax.data.dataset import OWN_RANGE, ValueRanges
from resjax.data.pipeline import ResidentSide
from resjax.errors import BadInput, DamagedRecord, closest
from resjax.evaluation.comparison.statistics.describing import wilson
from resjax.evaluation.diagnosis.reliability import pooled_log_probabilities, temperature_scaling
from resjax.evaluation.metrics import confusion_matrix, per_class_scores
from resjax.functional import Functional
from resjax.models.own_network import NetworkSpec
from resjax.records import ClassifierScores, Done, Reported, Splits, TemperatureScaling, read_record
from resjax.records.run_records import Predictions, RunRecords, read_run_records
from resjax.run.settings import SIZES
from resjax.run.setup.costs import parameter_count
from resjax.run.setup.device import usable_dtype
from resjax.run.setup.networks import recorded_network
from resjax.run.workdir.lock import one_at_a_time
from resjax.training.checkpoint import Checkpoints
from resjax.training.recipe import require_choice
from resjax.training.step import predict_logits
from resjax.types import Variables

BEST, ENSEMBLE = "best", "ensemble"


@dataclass(frozen=True)
class TrainedNetwork:
    """The replicas of a network that classify together, each at its best epoch."""

    workdir: Path
    records: RunRecords
    functional: Functional
    variables: dict[int, Variables]
    """By seed."""
    chosen: str
    """How the network and the replicas were chosen, in a few words."""
    notes: tuple[str, ...] = ()
    """What was left out, one sentence each."""

    @property
    def name(self) -> str:
        return self.functional.name

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.variables)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.records.summary.dataset.classes)

    @property
    def image_size(self) -> int:
        return self.records.summary.config["image_size"]

    @property
    def ranges(self) -> ValueRanges:
        """By which the comparison scaled images with more than 8 bits a channel."""
        recorded = self.records.summary.dataset.value_ranges
        return ValueRanges(recorded.integers, recorded.floats) if recorded else OWN_RANGE

    def logits(self, images: UInt8[np.ndarray, "image height width 3"]) -> Float[np.ndarray, "seed image class"]:
        """The logits of every replica for images as `decode_image` returns them.

        For a validation image they are those in predictions.npz.
        """
        side = ResidentSide(images, np.zeros(len(images), np.int32))
        return np.stack([predict_logits(self.functional, each, side) for each in self.variables.values()])

    def probabilities(self, logits: Float[np.ndarray, "seed image class"]) -> Float[np.ndarray, "image class"]:
        """The replicas' mean probabilities, calibrated: softmax(log(mean) / temperature)."""
        from scipy.special import softmax

        return softmax(pooled_log_probabilities(logits) / self.temperature, axis=-1)

    @property
    def temperature(self) -> float:
        """The temperature that calibrates the probabilities."""
        return self.calibration.temperature

    @cached_property
    def calibration(self) -> TemperatureScaling:
        """The temperature, fitted on validation images that do not leak, and its effect.

        With a test set, the calibration before and after is measured on the test images.
        """
        val = self._predictions("val")
        if val is None:
            nothing = temperature_scaling(np.zeros((0, len(self.classes))), np.zeros(0, int), np.zeros(0, int))
            return replace(nothing, problem="predictions.npz of the validation images is missing")
        groups = self._groups(val.ids, "val")
        clean = ~self._leaked(val.ids, "val")
        held_out = None
        if (test := self._predictions("test")) is not None:
            unseen = ~self._leaked(test.ids, "test")
            held_out = test.logits[unseen], test.labels[unseen], self._groups(test.ids, "test")[unseen]
        found = temperature_scaling(val.logits[clean], val.labels[clean], groups[clean], held_out)
        return replace(found, leaked_left_out=int((~clean).sum()))

    @cached_property
    def scores(self) -> ClassifierScores | None:
        """The scores on the test images, or on the validation images without a test set; None without predictions."""
        return self._scores_on("test") or self._scores_on("val")

    def _scores_on(self, side: Reported) -> ClassifierScores | None:
        found = self._predictions(side)
        if found is None:
            return None
        confusion = confusion_matrix(found.logits.argmax(-1), found.labels, len(self.classes))
        accuracy = float(np.trace(confusion)) / len(found.labels)
        # Copies of a picture get the same answer, so the interval counts them once.
        pictures = len(np.unique(self._groups(found.ids, side)))
        interval = wilson(accuracy * pictures, pictures)
        assert interval is not None
        return ClassifierScores(
            side=side,
            images=len(found.labels),
            pictures=pictures,
            accuracy=accuracy,
            accuracy_ci95=interval,
            per_class=per_class_scores(confusion, self.classes),
        )

    def _predictions(self, side: str) -> Predictions | None:
        """The pooled log probabilities on a side, as logits; None if the predictions of a replica were not kept."""
        found = [self.records.predictions(self.name, seed, side) for seed in self.seeds]
        kept = [each for each in found if each is not None and each.ids]
        if len(kept) < len(found) or any(each.ids != kept[0].ids for each in kept):
            return None
        return kept[0]._replace(logits=pooled_log_probabilities(np.stack([each.logits for each in kept])))

    @cached_property
    def _groups_on(self) -> dict[str, dict[str, str]]:
        """The group of copies of each image, by side and id."""
        groups: dict[str, dict[str, str]] = {}
        for image in self.records.split.images if self.records.split else ():
            groups.setdefault(image.side, {})[image.id] = image.group
        return groups

    def _groups(self, ids: list[str], side: str) -> Int[np.ndarray, " image"]:
        """A number for each image, equal for copies; without `split.json` all are different."""
        known = self._groups_on.get(side, {})
        return np.unique([known.get(name, f"single {name}") for name in ids], return_inverse=True)[1]

    def _leaked(self, ids: list[str], side: str) -> Bool[np.ndarray, " image"]:
        """Which images are on another side, too, themselves or as a copy."""
        elsewhere = {group for other, of in self._groups_on.items() if other != side for group in of.values()}
        known = self._groups_on.get(side, {})
        return np.array([known.get(name) in elsewhere for name in ids], bool)


def trained_network(workdir: Path, asked_network: str | None, asked_replicas: str) -> TrainedNetwork:
    """A network of a finished comparison, with the replicas that are asked for.

    Args:
      asked_network: its name; by default the network with the best mean validation accuracy.
      asked_replicas: `best` on validation, `ensemble` for all that are done, or a seed.

    Raises:
      BadInput: if the workdir is not that of a comparison, no such replica is finished, or its checkpoint is missing.
    """
    if not workdir.is_dir():
        raise BadInput(f"--workdir={workdir}: no such folder, expected the workdir of a comparison")
    if (workdir / "splits.json").exists():
        names = ", ".join(str(workdir / name) for name in read_record(workdir / "splits.json", Splits).splits)
        raise BadInput(f"--workdir={workdir} holds a comparison on several splits, expected one of {names}")
    with one_at_a_time(workdir, shared=True):
        return _trained_network(workdir, asked_network, asked_replicas)


def _trained_network(workdir: Path, asked_network: str | None, asked_replicas: str) -> TrainedNetwork:
    records = read_run_records(workdir)
    name, how = _chosen_network(records, asked_network)
    seeds, which, notes = _chosen_seeds(records, name, asked_replicas)
    functional, in_place = _functional(records, name)
    variables = {seed: _restored(records.folders[name][seed], functional) for seed in seeds}
    return TrainedNetwork(workdir, records, functional, variables, f"{name}{how}, {which}", notes + in_place)


def _chosen_network(records: RunRecords, asked: str | None) -> tuple[str, str]:
    networks = records.summary.architectures
    if asked is not None:
        require_choice("--architecture", asked, tuple(networks))
        return asked, ""
    means = {name: network.best_val_accuracy.mean for name, network in networks.items()}
    finished = {name: mean for name, mean in means.items() if mean is not None}
    if not finished:
        raise BadInput(
            f"no replica of {' or '.join(networks)} is finished, expected the workdir of a finished comparison"
        )
    best = max(finished, key=lambda name: finished[name])
    return best, f" (the best of {', '.join(networks)} on validation)" if len(networks) > 1 else ""


def _chosen_seeds(records: RunRecords, name: str, asked: str) -> tuple[tuple[int, ...], str, tuple[str, ...]]:
    """The seeds, words that describe them, and a sentence for those that are left out."""
    results = records.results()[name]
    state = {seed: result.status if result else "pending" for seed, result in results.items()}
    for seed, folder in records.folders[name].items():
        if state[seed] == "done" and not any((folder / "checkpoints" / "best").glob("[0-9]*")):
            state[seed] = "without a checkpoint"
    best_epochs = {
        seed: result.best for seed, result in results.items() if isinstance(result, Done) and state[seed] == "done"
    }
    usable = list(best_epochs)
    others = ", ".join(f"seed {seed} {each}" for seed, each in state.items() if each != "done")
    listed = ", ".join(map(str, usable))
    if asked not in (BEST, ENSEMBLE):
        if not asked.isdecimal() or int(asked) not in usable:
            problem = (
                f" ({name} seed {asked} is {state[int(asked)]})" if asked.isdecimal() and int(asked) in state else ""
            )
            near = closest(asked, (BEST, ENSEMBLE))
            hint = f"; did you mean {near[0]}?" if near else ""
            seeds = f" or a finished seed of {name} ({listed})" if usable else f"; no seed of {name} is finished"
            raise BadInput(f"--replica={asked}{problem}: expected {BEST}, {ENSEMBLE}{seeds}{hint}")
        return (int(asked),), f"seed {asked}", ()
    if not usable:
        raise BadInput(f"no finished replica of {name} with its checkpoint ({others}), expected a finished comparison")
    notes = (f"left out: {others}",) if others else ()
    if asked == ENSEMBLE:
        words = f"the ensemble of seeds {listed}" if len(usable) > 1 else f"seed {listed}, the only one"
        return tuple(usable), words, notes

    # Never by test accuracy: the test set is looked at once, and not to choose.
    def rank(seed: int) -> tuple[float, float, int]:
        line = best_epochs[seed]
        return line.val_accuracy, -np.inf if line.val_loss is None else -line.val_loss, -seed

    best = max(usable, key=rank)
    return (best,), f"seed {best} (the best of {listed} on validation)" if len(usable) > 1 else f"seed {best}", notes


def network_of(records: RunRecords, name: str) -> NetworkSpec:
    """A network of a comparison, of the sizes that it has there.

    Raises:
      BadInput: for one of one's own that cannot be imported, or has changed.
    """
    config = records.summary.config
    sizes = {size: config[size] for size in SIZES if config.get(size) is not None}
    return recorded_network(name, records.summary.architectures[name].own, sizes)


def _functional(records: RunRecords, name: str) -> tuple[Functional, tuple[str, ...]]:
    """The network, and a sentence if this device cannot compute in its dtype."""
    summary = records.summary
    dtype, note = usable_dtype(summary.config.get("dtype", "float32"), jax.devices()[0])
    functional = Functional(network_of(records, name), len(summary.dataset.classes), dtype)
    built, recorded = parameter_count(functional.shapes()), summary.architectures[name].parameters
    if built != recorded:
        raise BadInput(
            f"{name} has {built:,} parameters here and {recorded:,} in summary.json: another resjax trained it"
        )
    return functional, (note,) if note else ()


def _restored(folder: Path, functional: Functional) -> Variables:
    # It may have been trained on other devices.
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), functional.shapes())
    try:
        return Checkpoints(folder / "checkpoints").restore_best(shapes)
    except DamagedRecord as error:
        raise BadInput(
            f"{error}; choose another --replica, or delete {folder / 'result.json'} and run the comparison's command "
            "again to train this one anew"
        ) from error
