"""A finished arm of a comparison as a classifier: chosen, restored and calibrated from what its workdir holds.

Neither the images of the run nor its command line are needed: classes, sizes and architecture stand in `summary.json`.
"""

import difflib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from resjax.data.pipeline import ResidentSide
from resjax.evaluation.comparison.share_intervals import wilson
from resjax.evaluation.diagnosis.reliability import pooled_log_probabilities, temperature_scaling
from resjax.evaluation.metrics import confusion_matrix, per_class_scores
from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.records.run_records import RunRecords, read_run_records
from resjax.report.records import read_json
from resjax.run.costs import parameter_count
from resjax.run.precision import usable_dtype
from resjax.run.settings import SIZES
from resjax.training.checkpoint import CheckpointError, Checkpoints
from resjax.training.recipe import require_choice
from resjax.training.step import predict_logits
from resjax.types import BadInput, Variables

BEST, ENSEMBLE = "best", "ensemble"


@dataclass(frozen=True)
class TrainedArm:
    """The replicas of an arm that answer together, each at its best epoch."""

    workdir: Path
    records: RunRecords
    functional: Functional
    variables: dict[int, Variables]
    """By seed."""
    chosen: str
    """How arm and replicas were chosen, in a few words."""
    notes: tuple[str, ...] = ()
    """What was left out, a sentence each."""

    @property
    def name(self) -> str:
        return self.functional.architecture.name

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.variables)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.records.summary["dataset"]["classes"])

    @property
    def image_size(self) -> int:
        return self.records.summary["config"]["image_size"]

    def logits(self, images: np.ndarray) -> np.ndarray:
        """What every replica says, (seed, image, class), of images as `decode_image` gives them.

        `images` is (image, height, width, 3) in uint8. Of a validation image it is what predictions.npz has.
        """
        side = ResidentSide(images, np.zeros(len(images), np.int32))
        return np.stack([predict_logits(self.functional, each, side) for each in self.variables.values()])

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """The replicas' mean probabilities, calibrated, (image, class): softmax(log(mean) / temperature).

        `logits` is (seed, image, class).
        """
        from scipy.special import softmax

        return softmax(pooled_log_probabilities(logits) / self.temperature, axis=-1)

    @property
    def temperature(self) -> float:
        return self.calibration["temperature"]

    @cached_property
    def calibration(self) -> dict[str, Any]:
        """The temperature and what it does, as in `temperature_scaling`; fitted on validation images that do not leak.

        Where there is a test set, before and after are measured on that.
        """
        val, leaked = self._predictions("val"), 0
        if val is None:
            nothing = temperature_scaling(np.zeros((0, len(self.classes))), np.zeros(0, int), np.zeros(0, int))
            return nothing | {"problem": "predictions.npz of the validation images is not there", "leaked_left_out": 0}
        ids, logits, labels = val
        groups = self._groups(ids, "val")
        clean = ~self._leaked(ids, "val")
        leaked = int((~clean).sum())
        held_out = None
        if (test := self._predictions("test")) is not None:
            unseen = ~self._leaked(test[0], "test")
            held_out = test[1][unseen], test[2][unseen]
        found = temperature_scaling(logits[clean], labels[clean], groups[clean], held_out)
        return found | {"leaked_left_out": leaked}

    @cached_property
    def scores(self) -> dict[str, Any] | None:
        """How good the classifier is on the test images, or else on those of validation; None without predictions."""
        for side in ("test", "val"):
            predictions = self._predictions(side)
            if predictions is not None:
                ids, logits, labels = predictions
                confusion = confusion_matrix(logits.argmax(-1), labels, len(self.classes))
                accuracy = float(np.trace(confusion)) / len(labels)
                # Copies of a picture are answered alike: the interval counts them once.
                pictures = len(np.unique(self._groups(ids, side)))
                return {
                    "side": side,
                    "images": len(labels),
                    "pictures": pictures,
                    "accuracy": accuracy,
                    "accuracy_ci95": list(wilson(accuracy * pictures, pictures) or ()),
                    "per_class": per_class_scores(confusion, self.classes),
                }
        return None

    def _predictions(self, side: str) -> tuple[list[str], np.ndarray, np.ndarray] | None:
        """Ids, pooled log probabilities (image, class) and labels of a side; None where a replica's were not kept."""
        found = [self.records.predictions(self.name, seed, side) for seed in self.seeds]
        kept = [each for each in found if each is not None and each.ids]
        if len(kept) < len(found) or any(each.ids != kept[0].ids for each in kept):
            return None
        return kept[0].ids, pooled_log_probabilities(np.stack([each.logits for each in kept])), kept[0].labels

    @cached_property
    def _groups_on(self) -> dict[str, dict[str, str]]:
        """The group of copies of each image, by side and id."""
        groups: dict[str, dict[str, str]] = {}
        for image in (self.records.split or {"images": []})["images"]:
            groups.setdefault(image["side"], {})[image["id"]] = image["group"]
        return groups

    def _groups(self, ids: list[str], side: str) -> np.ndarray:
        """A number for each image, equal for copies; without `split.json` each image is its own."""
        known = self._groups_on.get(side, {})
        return np.unique([known.get(name, f"of its own {name}") for name in ids], return_inverse=True)[1]

    def _leaked(self, ids: list[str], side: str) -> np.ndarray:
        """Which images have themselves or a copy on another side."""
        elsewhere = {group for other, of in self._groups_on.items() if other != side for group in of.values()}
        known = self._groups_on.get(side, {})
        return np.array([known.get(name) in elsewhere for name in ids], bool)


def trained_arm(workdir: Path, asked_arm: str | None, asked_replicas: str) -> TrainedArm:
    """The arm of a finished comparison with the replicas that are asked for.

    Args:
      asked_arm: its name; by default the arm with the best mean accuracy on validation.
      asked_replicas: `best` on validation, `ensemble` for all that are done, or a seed.

    Raises:
      BadInput: where the workdir is not that of a comparison, no such replica is finished, or its checkpoint is gone.
    """
    if not workdir.is_dir():
        raise BadInput(f"--workdir={workdir}: no such folder; the workdir of a comparison is accepted")
    if (workdir / "splits.json").exists():
        names = ", ".join(str(workdir / name) for name in read_json(workdir / "splits.json")["splits"])
        raise BadInput(f"--workdir={workdir} holds a comparison on several splits: one of {names} is accepted")
    records = read_run_records(workdir)
    name, how = _chosen_arm(records, asked_arm)
    seeds, which, notes = _chosen_seeds(records, name, asked_replicas)
    functional, in_place = _functional(records, name)
    variables = {seed: _restored(records.folders[name][seed], functional) for seed in seeds}
    return TrainedArm(workdir, records, functional, variables, f"{name}{how}, {which}", notes + in_place)


def _chosen_arm(records: RunRecords, asked: str | None) -> tuple[str, str]:
    arms = records.summary["architectures"]
    if asked is not None:
        require_choice("--architecture", asked, tuple(arms))
        return asked, ""
    means = {name: arm["best_val_accuracy"]["mean"] for name, arm in arms.items()}
    finished = {name: mean for name, mean in means.items() if mean is not None}
    if not finished:
        raise BadInput(
            f"no replica of {' or '.join(arms)} is finished: the workdir of a finished comparison is accepted"
        )
    best = max(finished, key=lambda name: finished[name])
    return best, f" (of {', '.join(arms)} the best on validation)" if len(arms) > 1 else ""


def _chosen_seeds(records: RunRecords, name: str, asked: str) -> tuple[tuple[int, ...], str, tuple[str, ...]]:
    """The seeds, words for which they are, and a sentence for those that could have been meant and are left out."""
    results = records.results()[name]
    state = {seed: result["status"] if result else "pending" for seed, result in results.items()}
    for seed, folder in records.folders[name].items():
        if state[seed] == "done" and not any((folder / "checkpoints" / "best").glob("[0-9]*")):
            state[seed] = "without a checkpoint"
    usable = [seed for seed, each in state.items() if each == "done"]
    others = ", ".join(f"seed {seed} {each}" for seed, each in state.items() if each != "done")
    listed = ", ".join(map(str, usable))
    if asked not in (BEST, ENSEMBLE):
        if not asked.isdecimal() or int(asked) not in usable:
            problem = (
                f" ({name} seed {asked} is {state[int(asked)]})" if asked.isdecimal() and int(asked) in state else ""
            )
            near = difflib.get_close_matches(asked, (BEST, ENSEMBLE), n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            seeds = f" or a finished seed of {name} ({listed})" if usable else f"; no seed of {name} is finished"
            raise BadInput(f"--replica={asked}{problem}: {hint}{BEST}, {ENSEMBLE}{seeds} is accepted")
        return (int(asked),), f"seed {asked}", ()
    if not usable:
        raise BadInput(
            f"no finished replica of {name} with its checkpoint ({others}); a finished comparison is accepted"
        )
    notes = (f"left out: {others}",) if others else ()
    if asked == ENSEMBLE:
        words = f"the ensemble of seeds {listed}" if len(usable) > 1 else f"seed {listed}, which is all there is"
        return tuple(usable), words, notes
    # Never by test: that is looked at once, and not to choose.
    best = max(
        usable, key=lambda seed: (results[seed]["best"]["val_accuracy"], -results[seed]["best"]["val_loss"], -seed)
    )
    return (best,), f"seed {best} (of {listed} the best on validation)" if len(usable) > 1 else f"seed {best}", notes


def _functional(records: RunRecords, name: str) -> tuple[Functional, tuple[str, ...]]:
    """The network, and a sentence where this device lacks what it was computed in."""
    summary = records.summary
    sizes = {size: summary["config"][size] for size in SIZES if summary["config"].get(size) is not None}
    dtype, note = usable_dtype(summary["config"].get("dtype", "float32"), jax.devices()[0])
    functional = Functional(architecture(name, **sizes), len(summary["dataset"]["classes"]), dtype)
    built, recorded = parameter_count(functional.shapes()), summary["architectures"][name]["parameters"]
    if built != recorded:
        raise BadInput(
            f"{name} has {built:,} parameters here and {recorded:,} in summary.json: another resjax trained it"
        )
    return functional, (note,) if note else ()


def _restored(folder: Path, functional: Functional) -> Variables:
    # It may have been trained on other devices than there are here.
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), functional.shapes())
    try:
        checkpoints = Checkpoints(folder / "checkpoints")
        try:
            return checkpoints.restore_best(shapes)
        finally:
            checkpoints.close()
    except (CheckpointError, OSError) as error:
        raise BadInput(
            f"{error}: the command of the comparison makes it again, and another --replica is accepted"
        ) from error
