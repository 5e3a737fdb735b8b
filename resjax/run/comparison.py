"""One comparison on one split: which replicas are pending, what is written down, and the training of what is left."""

import hashlib
import json
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from pathlib import Path

import jax
import numpy as np

from resjax.data.pipeline import Side, make_sides
from resjax.data.split_record import split_record
from resjax.data.splits import FAULTS, Split, find_leaks, listed
from resjax.evaluation.answers import right_answers
from resjax.evaluation.comparison.depth import differences_by_depth
from resjax.evaluation.comparison.planning import level_of_looks
from resjax.evaluation.comparison.summary import compare_arms, summarize_arm
from resjax.functional import Functional, require_matched
from resjax.models.twins import families_of_twins
from resjax.report.figures.run_figures import draw_figures
from resjax.report.page.tables import comparison_text, diagnosis_text, ledger_line, plan
from resjax.report.records import SCHEMA_VERSION, write_json, write_text
from resjax.run.costs import ledger
from resjax.run.dataset_record import dataset_record
from resjax.run.environment import describe_environment, estimate_seconds
from resjax.run.initial_weights import read_initial_weights
from resjax.run.load_data import near_copies_known
from resjax.run.out_of_memory import is_out_of_memory, out_of_memory_message
from resjax.run.precision import usable_dtype
from resjax.run.progress import Progress, duration
from resjax.run.recipe_check import changes, data_changes, recipe_before
from resjax.run.replica import ArmPrograms, OnEpoch, run_replicas, schedule
from resjax.run.replica_folder import ReplicaFolder, finished_result, set_damaged_aside, ways_of
from resjax.run.reporting import write_run_report
from resjax.run.settings import ProbeSettings, Settings
from resjax.run.stopping import Stopped
from resjax.run.timing import phase
from resjax.training.ahead_of_time import compiling
from resjax.training.loop import Trainer
from resjax.training.mesh import require_divisible
from resjax.training.processes import stop_requested
from resjax.training.recipe import RECIPE_VERSION
from resjax.training.replicas import choose_way
from resjax.types import BadInput, Dataset

ledger_of = lru_cache(maxsize=512)(ledger)
"""The ledger of a network at a size, looked at once however many runs have it."""
PAIRS_BEFORE_A_PLAN = 3
"""Seeds that every arm has to have finished before it is said what more of them would show."""


class Run:
    """A comparison with its data at hand: which replicas are pending, and the files of its workdir."""

    def __init__(self, settings: Settings, dataset: Dataset, split: Split, sides: Mapping[str, Side] | None = None):
        self.settings, self.dataset, self.split = settings, dataset, split
        self.workdir = settings.workdir
        if sides is not None:
            # Of several runs on the same images these lie on the device once.
            self.sides = sides
        self.looks = settings.looks or (len(settings.seeds),)
        self.seeds = settings.seeds[: self.looks[0]]
        self.correct: dict[Path, np.ndarray] = {}
        self.problems: dict[str, str] = {}
        """What ended an arm before its replicas were finished: the other arms went on."""
        self.leaks = find_leaks(split, dataset.groups)
        self.dtype, note = usable_dtype(settings.dtype, jax.devices()[0])
        if note:
            print(note, flush=True)
        self.functionals = {
            architecture.name: Functional(architecture, len(dataset.classes), self.dtype)
            for architecture in settings.architectures
        }
        require_matched(settings.recipe.freeze, self.functionals.values())
        self.weights = read_initial_weights(settings.init_from, self.functionals)
        size = settings.image_size
        self.ledgers = {name: ledger_of(functional, size) for name, functional in self.functionals.items()}
        batch = settings.recipe.batch_size
        self.ways = {
            name: choose_way(settings.replicas_as, settings.mesh, 3 * each.forward_flops * batch)
            for name, each in self.ledgers.items()
        }
        for way in self.ways.values():
            require_divisible(batch, way.batch)
        train = len(split.sides["train"])
        if settings.recipe.batch_size > train:
            raise BadInput(
                f"--batch_size={settings.recipe.batch_size}: at most the {train} training images are accepted"
            )

    def folder(self, name: str, seed: int) -> Path:
        return self.workdir / "runs" / name / f"seed{seed}"

    def replica(self, name: str, seed: int) -> ReplicaFolder:
        """The files of one replica, for whoever trains it."""
        sides = self.split.sides, self.sides.get("test"), self.leaks
        return ReplicaFolder(self.programs[name].trainer, name, seed, self.folder(name, seed), self.dataset, *sides)

    def results(self) -> dict[str, dict[int, dict | None]]:
        """The result of every replica up to the next look, None for the pending ones."""
        return {
            name: {seed: finished_result(self.folder(name, seed)) for seed in self.seeds} for name in self.functionals
        }

    def right_answers(self) -> dict[str, dict[int, np.ndarray]]:
        """Which images of the side that is reported on each finished replica has right, where its predictions are."""
        found = {}
        for name, results in self.results().items():
            found[name] = {}
            for seed, result in results.items():
                folder = self.folder(name, seed)
                if result and result["status"] == "done" and folder not in self.correct:
                    right = right_answers(folder, self.reported_side)
                    if right is not None:
                        self.correct[folder] = right
                if folder in self.correct:
                    found[name][seed] = self.correct[folder]
        return found

    @property
    def reported_side(self) -> str:
        return "test" if len(self.split.sides["test"]) else "val"

    def require_same_recipe(self) -> None:
        """Refuses a workdir whose replicas were trained on other data or with another recipe.

        Damaged records of its replicas are set aside before, so nobody else may be writing them.
        """
        if (self.workdir / "splits.json").exists():
            raise BadInput(f"--workdir={self.workdir} holds a comparison on several splits: name a new one")
        for folder in sorted((self.workdir / "runs").glob("*/seed*")):
            set_damaged_aside(folder)
        self.require_recipe_of_summary()

    def require_recipe_of_summary(self) -> None:
        """The same by the records of the workdir alone: replicas are not looked at."""
        before = recipe_before(self.workdir)
        if before is None:
            return
        changed = changes(before, self.settings, self.weights)
        if before["dataset"]["fingerprint"] != self.fingerprint():
            changed.append(data_changes(self.workdir, split_record(self.dataset, self.split)))
        if changed:
            raise BadInput(
                f"--workdir={self.workdir} holds a run of another recipe ({'; '.join(changed)}): name a new one"
            )

    def fingerprint(self) -> str:
        return data_fingerprint(self.dataset, self.split)

    @phase("writing")
    def write_preamble(self) -> None:
        """Writes what is known before training: data, split, flags, and a summary in which all is pending."""
        try:
            self.workdir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"--workdir={self.workdir}: {error.strerror}; a folder that can be written is accepted"
            ) from error
        record = dataset_record(self.dataset, val_fraction=self.settings.split.val_fraction)
        write_json(self.workdir / "dataset.json", record)
        write_json(self.workdir / "split.json", split_record(self.dataset, self.split))
        write_flags(self.settings)
        summary = self.write_summary()
        # The summary changes with every replica; what it says of the recipe outlives damage to it.
        arms = {name: {"init_from": arm["init_from"]} for name, arm in summary["architectures"].items()}
        recipe = {key: summary[key] for key in ("schema_version", "recipe_version", "config")}
        dataset = {"fingerprint": summary["dataset"]["fingerprint"]}
        write_json(self.workdir / "recipe.json", recipe | {"dataset": dataset, "architectures": arms})

    def complete(self, probes: ProbeSettings | None = None) -> dict:
        """Trains what is pending, draws the pictures, writes the report, prints the table, and returns the summary.

        With `probes` the finished replicas are probed before the pictures are drawn.
        """
        self.announce()
        for look in self.looks:
            self.seeds = self.settings.seeds[:look]
            with phase("training"), self.settings.stopping.waiting():
                self.train()
            summary = self.write_summary()
            if self.problems or all(pair["verdict"] not in (None, "inconclusive") for pair in summary["comparisons"]):
                break
        record = None
        if probes:
            from resjax.run.probing import probe

            # The pictures that Grad-CAM looks at are chosen by the report.
            with phase("writing"):
                write_run_report(self.workdir, self.dataset)
            with phase("probing"):
                record = probe(self, probes)
        with phase("writing"):
            draw_figures(self.workdir)
            summary = write_run_report(self.workdir, self.dataset)
        if record:
            print(f"{record['paragraph']}\n")
        print(diagnosis_text(summary), end="")
        print(comparison_text(summary))
        return summary

    def work_left(self) -> tuple[int, float]:
        """How many replicas are pending, and about how many seconds they will take."""
        pending = [sum(result is None for result in results.values()) for results in self.results().values()]
        train, val = (len(self.split.sides[side]) for side in ("train", "val"))
        images = self.settings.recipe.epochs * (train + val // 3)
        return sum(pending), estimate_seconds([each.forward_flops for each in self.ledgers.values()], images, pending)

    def announce(self) -> None:
        """Says what will run, on what, about how long, and which images leak."""
        total, seconds = self.work_left()
        seeds = f"{self.looks[0]} to {self.looks[-1]}" if len(self.looks) > 1 else f"{self.looks[0]}"
        finished = len(self.seeds) * len(self.functionals) - total
        sides = {side: len(indices) for side, indices in self.split.sides.items() if len(indices)}
        recipe = self.settings.recipe
        device = jax.devices()[0]
        print(
            f"{' and '.join(self.functionals)}, {seeds} seeds each, {recipe.epochs} epochs of {sides['train']} images "
            f"at {self.settings.image_size} px on {device.platform} ({device.device_kind}): "
            + (f"{total} replicas to train, about {duration(seconds)}" if total else "nothing to train")
            + (f", {finished} finished before" if finished else ""),
            flush=True,
        )
        if self.settings.looks:
            listed_looks = ", ".join(map(str, self.looks))
            print(f"judged after {listed_looks} seeds, until every comparison has a verdict", flush=True)
        print(
            f"split {self.split.label}: {', '.join(f'{count} {side}' for side, count in sides.items())}; "
            f"{sum(len(images) for images in self.leaks.values())} leaked images",
            flush=True,
        )
        for side, images in self.leaks.items():
            if len(images):
                print(f"WARNING: leaked in {side}: {listed(self.dataset.ids[image] for image in images)}", flush=True)
        if total:
            for name, way in self.ways.items():
                if way.describe(1) != "sequential":
                    print(f"{name}: replicas trained as {way.describe(way.at_once(len(self.seeds)))}", flush=True)
        for name, each in self.ledgers.items():
            print(ledger_line(name, each._asdict()), flush=True)

    def train(self) -> None:
        """Trains the pending replicas, one by one or each arm's together."""
        pending = {
            name: [seed for seed in self.seeds if finished_result(self.folder(name, seed)) is None]
            for name in self.functionals
        }
        if not any(pending.values()):
            return
        progress = Progress(sum(map(len, pending.values())), self.settings.recipe.epochs)

        def on_epoch(name: str, seed: int, metrics: dict) -> None:
            progress.epoch(name, seed, metrics)
            self.settings.stopping.after_epoch(metrics["seconds"])
            if stop_requested():
                raise Stopped("stopped, as another process was asked to", 128 + signal.SIGTERM)

        groups = schedule(pending, self.ways)
        try:
            with compiling() as executor:
                self._compile_ahead(executor, dict.fromkeys(name for name, _ in groups))
                for name, seeds in groups:
                    if name in self.problems:
                        continue
                    for result in self._trained(name, seeds, progress, on_epoch):
                        progress.replica(result)
                        summary = self.write_summary()
                        place = self.seeds.index(result["seed"]) + 1
                        if name == self.last_arm and place == PAIRS_BEFORE_A_PLAN < len(self.settings.seeds):
                            progress.say(*plan(summary))
        finally:
            progress.close()

    def _compile_ahead(self, executor: ThreadPoolExecutor, names: Iterable[str]) -> None:
        """Begins to compile these arms' programs, in this order, where replicas train alone on a processor.

        On a GPU it would disturb XLA's choice between kernels, which it makes by timing them.
        """
        if jax.default_backend() != "cpu" or jax.process_count() > 1:
            return
        for name in names:
            if self.ways[name].name == "sequential" and self.ways[name].batch == 1:
                self.programs[name].trainer.compile_ahead(executor, (self.settings.image_size,) * 2)

    def _trained(self, name: str, seeds: Sequence[int], progress: Progress, on_epoch: OnEpoch) -> Iterator[dict]:
        """The results of these replicas of an arm, trained the arm's way, or the next slower where memory lacks."""
        left = list(seeds)
        while left:
            try:
                replicas = [self.replica(name, seed) for seed in left]
                for result in run_replicas(self.programs[name], self.ways[name], replicas, on_epoch):
                    left.remove(result["seed"])
                    yield result
                if left:
                    # What was under way is saved.
                    self.settings.stopping.check()
                    raise AssertionError(f"replicas of {name} ended early though nothing asked for it")
            except (jax.errors.JaxRuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or jax.process_count() > 1:
                    raise
                if self.ways[name].name == "sequential":
                    batch, size = self.settings.recipe.batch_size, self.settings.image_size
                    self.problems[name] = out_of_memory_message(name, self.ledgers[name], batch, size)
                    progress.say(f"WARNING: {self.problems[name]}; the other arms go on")
                    self.write_summary()
                    return
                way = self.ways[name]
                self.ways[name] = way.slower(f"{way.name} needs more memory than the device has")
                progress.say(f"{name}: {self.ways[name].describe(len(left))}")

    @property
    def last_arm(self) -> str:
        return list(self.functionals)[-1]

    @cached_property
    def sides(self) -> Mapping[str, Side]:
        pipeline = self.settings.pipeline
        if pipeline == "auto" and jax.process_count() > 1:
            # Each process reads its own part of every batch.
            pipeline = "streamed"
        return make_sides(self.dataset, self.split.sides, pipeline)

    @cached_property
    def programs(self) -> dict[str, ArmPrograms]:
        """Each arm's compiled programs, kept from one look to the next."""
        return {
            name: ArmPrograms(
                Trainer(
                    functional,
                    self.settings.recipe,
                    self.sides["train"],
                    self.sides["val"],
                    self.weights[name].arrays if name in self.weights else None,
                    # Of several processes none may leave a step that the others are in.
                    (lambda: self.settings.stopping.asked) if jax.process_count() == 1 else lambda: False,
                ),
                label=f"{self.workdir}/{name}",
            )
            for name, functional in self.functionals.items()
        }

    @phase("writing")
    def write_summary(self) -> dict:
        """Writes `summary.json` from the results that there are."""
        results = self.results()
        pending = any(result is None for by_seed in results.values() for result in by_seed.values())
        dataset = self.dataset
        known = near_copies_known(self.settings.source, dataset)
        summary = {
            "schema_version": SCHEMA_VERSION,
            "recipe_version": RECIPE_VERSION,
            "config": self.settings.flags,
            "environment": describe_environment() | {"dtype": self.dtype},
            "dataset": {
                "name": dataset.name,
                "fingerprint": self.fingerprint(),
                "classes": list(dataset.classes),
                "images": len(dataset.ids),
                "split": self.split.method,
                "split_label": self.split.label,
                "split_is_faulty": self.split.method in FAULTS,
                "splits": {side: len(indices) for side, indices in self.split.sides.items()},
                "exact_copies": len(dataset.ids) - len(set(dataset.contents)),
                "near_copies": len(set(dataset.contents)) - len(np.unique(dataset.groups)) if known else None,
                "leaked_images": sum(len(images) for images in self.leaks.values()),
                "leaked": {side: len(images) for side, images in self.leaks.items()},
                "unreadable": [e.id for e in dataset.exclusions if e.reason == "unreadable"],
                "left_out": len(dataset.exclusions),
            },
            "architectures": {
                name: {
                    **self.ledgers[name]._asdict(),
                    "init_from": self.weights[name].record() if name in self.weights else None,
                    "trained_as": ways_of(results[name].values()),
                    **summarize_arm(results[name], dataset.classes),
                    **({"problem": self.problems[name]} if name in self.problems else {}),
                }
                for name in self.functionals
            },
            "comparisons": compare_arms(
                results,
                self.right_answers(),
                dataset.groups[self.split.sides[self.reported_side]],
                level=level_of_looks(len(self.looks)),
                next_look=len(self.seeds) if self.settings.looks and pending else None,
            ),
            "depth": [
                record
                for twins in families_of_twins(self.settings.architectures)
                if (record := differences_by_depth(twins, results))
            ]
            or None,
        }
        write_json(self.workdir / "summary.json", summary)
        return summary


def data_fingerprint(dataset: Dataset, split: Split) -> str:
    """A hash of all that a replica sees of the data: contents, labels and sides, in order."""
    sides = {side: indices.tolist() for side, indices in split.sides.items()}
    seen = [dataset.classes, dataset.contents, dataset.labels.tolist(), sides]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]


def write_flags(settings: Settings) -> None:
    """Writes the flags to `config.flags`, which can be given back as a flagfile."""
    flags = [f"--{name}={value}" for name, value in settings.flags.items() if value is not None]
    write_text(settings.workdir / "config.flags", "\n".join(flags) + "\n")
