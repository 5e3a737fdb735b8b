"""Does the shortcut help on these images? Trains every arm over several seeds and writes down what came out.

  python -m experiments.compare --flagfile=experiments/flags/quickstart.flags
  python -m experiments.compare --dataset=folder:my_images --image_size=64 --width=16 --seeds=6 --workdir=runs/mine

All arms see the same images in the same order with the same recipe, and start from the same numbers where they share
parameters. Results lie in --workdir: summary.json, figures/, and a folder for each replica. The same command skips the
replicas that are finished and goes on with the others.
"""

import hashlib
import json
import os
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import jax

from experiments.environment import describe_environment, estimate_seconds
from experiments.initial_weights import read_initial_weights
from experiments.options import Settings, define_data_flags, define_training_flags, main_program, settings
from experiments.progress import Progress, duration
from experiments.recipe_check import changes
from experiments.replica import finished_result, run_replica
from experiments.tables import comparison_text, ledger_line
from resjax.costs import ledger
from resjax.data.decoding import decode
from resjax.data.pipeline import to_device
from resjax.data.sources import open_catalogue
from resjax.data.splits import Split, leaked_images, make_split, split_from_record, split_record
from resjax.evaluation.summary import compare_arms, summarize_arm
from resjax.functional import Functional, require_matched
from resjax.report.figures import draw_figures
from resjax.report.records import SCHEMA_VERSION, read_json, write_json, write_text
from resjax.training.loop import Trainer
from resjax.types import BadInput, Dataset


def compare(settings: Settings) -> dict:
    """Runs what is pending of a comparison and returns its summary record, which is also in the workdir.

    Raises:
      BadInput: before anything is written, where data, split and recipe do not fit each other or the workdir's.
    """
    started = time.perf_counter()
    _require_writable(settings.workdir)
    dataset = load_dataset(settings)
    split = load_split(settings, dataset)
    run = Run(settings, dataset, split)
    run.require_same_recipe()
    run.write_preamble()
    run.announce()
    run.train()
    summary = run.write_summary()
    figures = draw_figures(settings.workdir)
    print(comparison_text(summary))
    print(
        f"\n{len(figures)} figures and summary.json are in {settings.workdir} "
        f"({duration(time.perf_counter() - started)} in all)"
    )
    return summary


def load_dataset(settings: Settings) -> Dataset:
    """The decoded images, and a line for the reader about what was left out and why."""
    data = settings.data
    catalogue = open_catalogue(data.dataset, image_dir=data.image_dir, image_size=data.image_size)
    dataset = decode(catalogue, data.image_size, cache_dir=data.cache_dir, progress=True)
    reasons = Counter(exclusion.reason for exclusion in dataset.exclusions)
    counted = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
    left_out = f"; left out {reasons.total()}: {counted}" if reasons else ""
    print(
        f"{dataset.name}: {len(dataset.ids):,} images of {len(dataset.classes)} classes, "
        f"{len(set(dataset.contents)):,} distinct{left_out}"
    )
    return dataset


def load_split(settings: Settings, dataset: Dataset) -> Split:
    """The split of the flags, or the one that `--split_file` gives back."""
    data = settings.data
    if data.split_file:
        if not data.split_file.is_file():
            raise BadInput(f"--split_file={data.split_file}: no such file; a split.json of an earlier run is accepted")
        return split_from_record(read_json(data.split_file), dataset)
    return make_split(
        dataset,
        method=data.split,
        seed=data.split_seed,
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
    )


class Run:
    """A comparison with its data at hand: which replicas are pending, and the files of its workdir."""

    def __init__(self, settings: Settings, dataset: Dataset, split: Split):
        self.settings, self.dataset, self.split = settings, dataset, split
        self.workdir = settings.workdir
        self.functionals = {
            architecture.name: Functional(architecture, len(dataset.classes), settings.dtype)
            for architecture in settings.architectures
        }
        require_matched(settings.recipe.freeze, self.functionals.values())
        self.weights = read_initial_weights(settings.init_from, self.functionals)
        size = settings.data.image_size
        self.ledgers = {name: ledger(functional, size) for name, functional in self.functionals.items()}
        train = len(split.sides["train"])
        if settings.recipe.batch_size > train:
            raise BadInput(
                f"--batch_size={settings.recipe.batch_size}: at most the {train} training images are accepted"
            )

    def folder(self, name: str, seed: int) -> Path:
        return self.workdir / "runs" / name / f"seed{seed}"

    def results(self) -> dict[str, dict[int, dict | None]]:
        """The result of every replica asked for, None for the pending ones."""
        return {
            name: {seed: finished_result(self.folder(name, seed)) for seed in self.settings.seeds}
            for name in self.functionals
        }

    def require_same_recipe(self) -> None:
        """Refuses a workdir whose replicas were trained on other data or with another recipe."""
        path = self.workdir / "summary.json"
        if not path.exists():
            return
        changed = changes(read_json(path), self.settings, self.weights, self.fingerprint())
        if changed:
            raise BadInput(
                f"--workdir={self.workdir} holds a run of another recipe ({'; '.join(changed)}): name a new one"
            )

    def fingerprint(self) -> str:
        """A hash of all that a replica sees of the data: contents, labels and sides, in order."""
        sides = {side: indices.tolist() for side, indices in self.split.sides.items()}
        seen = [self.dataset.classes, self.dataset.contents, self.dataset.labels.tolist(), sides]
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]

    def write_preamble(self) -> None:
        """Writes what is known before training: data, split, flags, and a summary in which all is pending."""
        try:
            self.workdir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"--workdir={self.workdir}: {error.strerror}; a folder that can be written is accepted"
            ) from error
        write_json(self.workdir / "dataset.json", dataset_record(self.dataset))
        write_json(self.workdir / "split.json", split_record(self.dataset, self.split))
        flags = [f"--{name}={value}" for name, value in self.settings.flags.items() if value is not None]
        write_text(self.workdir / "config.flags", "\n".join(flags) + "\n")
        self.write_summary()

    def announce(self) -> None:
        """Says what will run, on what, and about how long."""
        pending = {name: sum(r is None for r in results.values()) for name, results in self.results().items()}
        total, seeds = sum(pending.values()), len(self.settings.seeds)
        finished = seeds * len(pending) - total
        sides = {side: len(indices) for side, indices in self.split.sides.items() if len(indices)}
        recipe = self.settings.recipe
        images = recipe.epochs * (sides["train"] + sides["val"] // 3)
        flops = [each.forward_flops for each in self.ledgers.values()]
        seconds = estimate_seconds(flops, images, list(pending.values()))
        device = jax.devices()[0]
        print(
            f"{' and '.join(pending)}, {seeds} seeds each, {recipe.epochs} epochs of {sides['train']} images at "
            f"{self.settings.data.image_size} px on {device.platform} ({device.device_kind}): "
            + (f"{total} replicas to train, about {duration(seconds)}" if total else "nothing to train")
            + (f", {finished} finished before" if finished else ""),
            flush=True,
        )
        print(
            f"split {self.split.method}: {', '.join(f'{count} {side}' for side, count in sides.items())}; "
            f"{leaked_images(self.split, self.dataset.groups)} leaked images",
            flush=True,
        )
        for name, each in self.ledgers.items():
            print(ledger_line(name, each._asdict()), flush=True)

    def train(self) -> None:
        """Trains the pending replicas, seed by seed, so that an early stop leaves pairs."""
        todo = [
            (seed, name)
            for seed in self.settings.seeds
            for name in self.functionals
            if finished_result(self.folder(name, seed)) is None
        ]
        if not todo:
            return
        sides = {side: to_device(self.dataset, indices) for side, indices in self.split.sides.items()}
        test = sides["test"] if len(self.split.sides["test"]) else None
        trainers = {
            name: Trainer(
                functional,
                self.settings.recipe,
                sides["train"],
                sides["val"],
                self.weights[name].arrays if name in self.weights else None,
            )
            for name, functional in self.functionals.items()
        }
        progress = Progress(len(todo), self.settings.recipe.epochs)
        try:
            for seed, name in todo:
                result = run_replica(
                    trainers[name],
                    name,
                    seed,
                    self.folder(name, seed),
                    self.dataset,
                    self.split.sides,
                    test,
                    on_epoch=partial(progress.epoch, name, seed),
                )
                progress.replica(result)
                self.write_summary()
        except KeyboardInterrupt:
            print("\nthe same command goes on after the last complete epoch", file=sys.stderr)
            raise
        finally:
            progress.close()

    def write_summary(self) -> dict:
        """Writes `summary.json` from the results that there are."""
        results = self.results()
        dataset = self.dataset
        summary = {
            "schema_version": SCHEMA_VERSION,
            "config": self.settings.flags,
            "environment": describe_environment(),
            "dataset": {
                "name": dataset.name,
                "fingerprint": self.fingerprint(),
                "classes": list(dataset.classes),
                "images": len(dataset.ids),
                "split": self.split.method,
                "splits": {side: len(indices) for side, indices in self.split.sides.items()},
                "exact_copies": len(dataset.ids) - len(set(dataset.contents)),
                "near_copies": None,
                "leaked_images": leaked_images(self.split, dataset.groups),
                "unreadable": [e.id for e in dataset.exclusions if e.reason == "unreadable"],
                "left_out": len(dataset.exclusions),
            },
            "architectures": {
                name: {
                    **self.ledgers[name]._asdict(),
                    "init_from": self.weights[name].record() if name in self.weights else None,
                    **summarize_arm(results[name], dataset.classes),
                }
                for name in self.functionals
            },
            "comparisons": compare_arms(results),
        }
        write_json(self.workdir / "summary.json", summary)
        return summary


def dataset_record(dataset: Dataset) -> dict:
    """What is known of the data, for `dataset.json`."""
    counts = [int((dataset.labels == label).sum()) for label in range(len(dataset.classes))]
    return {
        "schema_version": SCHEMA_VERSION,
        "name": dataset.name,
        "classes": dict(zip(dataset.classes, counts, strict=True)),
        "images": len(dataset.ids),
        "distinct_contents": len(set(dataset.contents)),
        "decoded": dataset.details["decoded"],
        "excluded": [{"id": e.id, "reason": e.reason, "detail": e.detail} for e in dataset.exclusions],
    }


def _require_writable(workdir: Path) -> None:
    """Raises `BadInput` where `workdir` could not be made, without making it."""
    there = workdir.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise BadInput(f"--workdir={workdir}: {there} is no folder that can be written; name another")


if __name__ == "__main__":
    main_program(lambda: compare(settings("compare")), define_data_flags, define_training_flags)
