"""The probes of a finished comparison: over arms, seeds and checkpoints, into `probes.json`."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resjax.evaluation.diagnosis.explanations import explain
from resjax.functional import Functional
from resjax.probes import (
    connectivity,
    curvature,
    dose,
    gradients,
    landscape,
    lesions,
    linear,
    saliency,
    shattering,
    signals,
)
from resjax.probes.common import keeps_shape
from resjax.report.figures.run_figures import draw_figures
from resjax.report.records import SCHEMA_VERSION, read_json, write_json
from resjax.run.comparison import Run
from resjax.run.environment import describe_environment, estimate_seconds
from resjax.run.load_data import load_dataset, load_splits
from resjax.run.progress import duration
from resjax.run.replica_folder import finished_result
from resjax.run.reporting import write_run_report
from resjax.run.settings import PROBES, ProbeSettings, Settings
from resjax.training.checkpoint import CheckpointError, Checkpoints
from resjax.training.loop import Trainer
from resjax.types import BadInput, Batch, Variables

TRAINED = ("best",)
STATES = {
    "gradients": ("init", "best", "last"),
    "signals": ("init", "best", "last"),
    "shattering": ("init", "best"),
    "curvature": ("init", "best"),
}
"""The states of a replica that a probe looks at; the others ask what has been learned, and look at `best` alone."""
SEED = 0
"""Of everything that the probes draw: images, directions, blocks. The same for every arm and seed of a run."""


@dataclass(frozen=True)
class State:
    """A replica at one time."""

    at: str
    epoch: int
    variables: Variables


class Prober:
    """A finished comparison with its data at hand, and the probes that it is asked for."""

    def __init__(self, run: Run, settings: ProbeSettings):
        self.run, self.settings = run, settings
        self.path = run.workdir / "probes.json"
        self.left_out: list[dict] = []
        self.replicas = self._replicas()

    def _replicas(self) -> dict[str, list[int]]:
        """The seeds of each arm that are probed: the first ones that are done in every arm, or else in this one."""
        done, states = {}, {}
        for arm in self.run.functionals:
            done[arm] = []
            for seed in self.run.settings.seeds:
                result = finished_result(self.run.folder(arm, seed))
                if result is None:
                    continue
                states[arm, seed] = result["status"]
                if result["status"] == "diverged":
                    self.left_out.append({"arm": arm, "seed": seed, "reason": "diverged"})
                elif not (self.run.folder(arm, seed) / "checkpoints" / "best").is_dir():
                    self.left_out.append({"arm": arm, "seed": seed, "reason": "no checkpoint"})
                else:
                    done[arm].append(seed)
        if not any(done.values()):
            raise BadInput(
                f"--workdir={self.run.workdir}: no checkpoint of a finished replica there; the workdir of a comparison "
                "that has trained on this machine is accepted"
            )
        shared = [seed for seed in self.run.settings.seeds if all(seed in seeds for seeds in done.values())]
        return {arm: (shared or seeds)[: self.settings.seeds] for arm, seeds in done.items()}

    @cached_property
    def batch(self) -> Batch:
        """Images of the side that is validated on, for gradients and losses."""
        return self._drawn("val", self.settings.images)

    @cached_property
    def scored(self) -> Batch:
        return self._drawn("val", self.settings.scored)

    @cached_property
    def training(self) -> Batch:
        return self._drawn("train", self.settings.scored)

    def _drawn(self, side: str, most: int) -> Batch:
        rows = self.run.split.sides[side]
        rows = np.random.default_rng(SEED).permutation(rows)[:most]
        return self._images(rows)

    def _images(self, rows: np.ndarray) -> Batch:
        dataset = self.run.dataset
        return Batch(jnp.asarray(dataset.images[rows]), jnp.asarray(dataset.labels[rows]))

    def states(self, arm: str, seed: int) -> dict[str, State]:
        """The replica before training, at its best epoch and after its last."""
        found = self._restored.get((arm, seed))
        if found is None:
            found = self._restored[arm, seed] = self._restore(arm, seed)
        return found

    @cached_property
    def _restored(self) -> dict[tuple[str, int], dict[str, State]]:
        return {}

    def _restore(self, arm: str, seed: int) -> dict[str, State]:
        result = finished_result(self.run.folder(arm, seed)) or {}
        initial = self.run.programs[arm].trainer.initial_state(seed)
        checkpoints = Checkpoints(self.run.folder(arm, seed) / "checkpoints")
        try:
            states = {
                "init": State("init", 0, initial.variables),
                "best": State("best", result["best"]["epoch"], checkpoints.restore_best(initial.variables)),
            }
            last = next(checkpoints.resume_points(initial), None)
            if last:
                states["last"] = State("last", last.epoch, last.state.variables)
        finally:
            checkpoints.close()
        return states

    def announce(self) -> None:
        """Says what will run, where, and about how long, before anything does."""
        seeds = max(len(each) for each in self.replicas.values())
        seconds = {name: self._seconds(name) for name in self.settings.names}
        parts = ", ".join(f"{name} {duration(each)}" for name, each in seconds.items())
        print(
            f"probes of {' and '.join(self.replicas)}, {seeds} seeds each, on {jax.devices()[0].device_kind}: "
            f"about {duration(sum(seconds.values()))} ({parts})",
            flush=True,
        )
        if self.settings.dose_training:
            print(
                f"--dose_training: {len(self.settings.dose_training)} replicas of each residual arm to train besides",
                flush=True,
            )

    def _seconds(self, name: str) -> float:
        """A guess, from the passes of an image through the network and back."""
        total = 0.0
        for arm, seeds in self.replicas.items():
            functional = self.run.functionals[arm]
            images = self.settings.images
            scored = min(self.settings.scored, len(self.run.split.sides["val"]))
            blocks, states = sum(functional.architecture.blocks), len(STATES.get(name, TRAINED))
            # In trainings of an image: forward and backward is 1, forward alone 1/3, a Hessian product about 3.
            each = {
                "gradients": images,
                "signals": images,
                "shattering": 2 * shattering.POINTS,
                "lesions": scored * (blocks + 4 * lesions.DRAWS) / 3,
                "dose": 3 * scored * len(dose.DOSES) / 3,
                "landscape": images * (self.settings.side**2 + 2 * self.settings.side) / 3,
                "curvature": 3 * images * (self.settings.steps + self.settings.samples),
                "saliency": 2 * images,
                "linear": 2 * scored,
                "connectivity": 20 * scored / 3,
            }[name]
            flops = self.run.ledgers[arm].forward_flops
            total += estimate_seconds([flops], int(each * states), [len(seeds)])
        return total

    def measure(self) -> dict:
        """Runs the probes, writes `probes.json` after each, and returns the record."""
        from tqdm import tqdm

        record = self._record()
        for name in self.settings.names:
            started = time.perf_counter()
            left_out = list(self.left_out)
            jobs = [(arm, seed) for arm, seeds in self.replicas.items() for seed in seeds]
            measurements = []
            with tqdm(total=len(jobs), desc=name, disable=None) as bar:
                for arm, seed in jobs:
                    try:
                        measurements += list(self._measured(name, arm, seed))
                    except (BadInput, CheckpointError) as error:
                        reason = {"arm": arm, "seed": seed, "reason": str(error)}
                        left_out.append(reason)
                    bar.update()
            record["probes"][name] = {
                "settings": self._settings_of(name),
                "seconds": time.perf_counter() - started,
                "measurements": measurements,
                "left_out": left_out,
                "sentence": "",
            }
            print(f"{name}: {PROBES[name]} ({duration(time.perf_counter() - started)})", flush=True)
            self.write(record)
        return record

    def write(self, record: dict) -> None:
        record["probes"] = {name: record["probes"][name] for name in PROBES if name in record["probes"]}
        explain(record)
        write_json(self.path, record)

    def _record(self) -> dict:
        """The record so far: what other probes found stays, where it is of the same arms."""
        arms = {}
        for arm, functional in self.run.functionals.items():
            places = zip(functional.architecture.places(), keeps_shape(functional.architecture), strict=True)
            blocks = [{"stage": p.stage, "index": p.index, "keeps_shape": same} for p, same in places]
            arms[arm] = {"blocks": blocks, "shortcut": functional.architecture.shortcut}
        before = read_json(self.path) if self.path.exists() else {}
        return {
            "schema_version": SCHEMA_VERSION,
            "environment": describe_environment(),
            "arms": arms,
            "probes": before.get("probes", {}) if before.get("arms") == arms else {},
        }

    def _settings_of(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {"images": len(self.batch.labels), "scored": len(self.scored.labels)}
        if name == "saliency":
            found |= {"shown": self._shown}
        return found | {"landscape_side": self.settings.side} if name == "landscape" else found

    def _measured(self, name: str, arm: str, seed: int) -> Iterator[dict]:
        states = self.states(arm, seed)
        functional = self.run.functionals[arm]
        for at in STATES.get(name, TRAINED):
            if at not in states or (at == "last" and states["last"].epoch == states["best"].epoch):
                continue
            values = self._probe(name)(functional, states[at].variables, arm, seed)
            if values is not None:
                plain = {key: np.asarray(each, np.float64).ravel().tolist() for key, each in values.items()}
                if not any(np.isfinite(each).any() for each in plain.values()):
                    raise BadInput(f"{arm} seed {seed}: nothing finite at {at}")
                yield {"arm": arm, "seed": seed, "at": at, "epoch": states[at].epoch, "values": _rounded(plain)}

    def _probe(self, name: str) -> Callable[[Functional, Variables, str, int], Mapping[str, Any] | None]:
        """The probe as a function of a replica's network and variables, and of its arm and seed."""
        return {
            "gradients": lambda f, v, arm, seed: gradients.gradient_flow(f, v, self.batch),
            "signals": lambda f, v, arm, seed: signals.signal_flow(f, v, self.batch),
            "shattering": lambda f, v, arm, seed: shattering.shattering(f, v, self.batch),
            "lesions": lambda f, v, arm, seed: lesions.lesions(f, v, self.scored, SEED),
            "dose": lambda f, v, arm, seed: self._dosed(f, v, arm, seed),
            "landscape": lambda f, v, arm, seed: landscape.landscape(
                f,
                v,
                self.batch,
                jax.random.key(SEED),
                side=self.settings.side,
                line=2 * self.settings.side - 1,
                chunk=self.settings.chunk or self._all_points,
            ),
            "curvature": lambda f, v, arm, seed: curvature.curvature(
                f, v, self.batch, jax.random.key(SEED), steps=self.settings.steps, samples=self.settings.samples
            ),
            "saliency": lambda f, v, arm, seed: self._maps(f, v),
            "linear": lambda f, v, arm, seed: self._linear(f, v),
            "connectivity": lambda f, v, arm, seed: self._connected(f, v, arm, seed),
        }[name]

    @property
    def _all_points(self) -> int:
        return 1 if jax.default_backend() == "cpu" else self.settings.side**2 + 2 * self.settings.side - 1

    @property
    def _shown(self) -> list[str]:
        """The pictures of the report's gallery, each once."""
        path = self.run.workdir / "gallery.json"
        return list(read_json(path)["thumbnails"]) if path.exists() else []

    def _maps(self, functional: Functional, variables: Variables) -> dict[str, Any]:
        place = {name: row for row, name in enumerate(self.run.dataset.ids)}
        shown = [name for name in self._shown if name in place]
        if not shown:
            raise BadInput("the report has no pictures: gallery.json is not there or empty")
        maps = saliency.grad_cam(functional, variables, self._images(np.array([place[name] for name in shown])))["maps"]
        found: dict[str, Any] = {"size": np.array(maps.shape[1:])}
        return found | {name: each for name, each in zip(shown, np.asarray(maps), strict=True)}

    def _linear(self, functional: Functional, variables: Variables) -> Mapping[str, Any]:
        if any(len(images) for images in self.run.leaks.values()):
            raise BadInput("images of the split leak: a linear probe would find what it has been fitted on")
        return linear.linear_probes(functional, variables, self.scored, self.training)

    def _connected(self, functional: Functional, variables: Variables, arm: str, seed: int) -> Mapping[str, Any] | None:
        seeds = self.replicas[arm]
        if len(seeds) < 2:
            raise BadInput(f"{arm}: two seeds or more are needed")
        other = self.states(arm, seeds[(seeds.index(seed) + 1) % len(seeds)])["best"].variables
        return connectivity.connectivity(functional, variables, other, self.scored, self.training)

    def _dosed(self, functional: Functional, variables: Variables, arm: str, seed: int) -> Mapping[str, Any]:
        found = dict(dose.shortcut_dose(functional, variables, self.scored, self.training))
        if self.settings.dose_training and seed == self.replicas[arm][0]:
            trained = [self._trained_at(arm, seed, each) for each in self.settings.dose_training]
            found |= {"trained_doses": np.array(self.settings.dose_training), "trained_accuracy": np.array(trained)}
        return found

    def _trained_at(self, arm: str, seed: int, at: float) -> float:
        """The best validation accuracy of a network that was trained with its shortcuts at this dose all along."""
        like = self.run.programs[arm].trainer
        trainer = Trainer(replace(self.run.functionals[arm], dose=at), like.recipe, like.train, like.val, like.weights)
        return max(epoch.metrics["val_accuracy"] for epoch in trainer.fit(trainer.initial_state(seed)))


def _rounded(values: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """Four digits, which is more than a picture shows, and a fifth of the file."""
    return {name: [float(f"{each:.4g}") for each in numbers] for name, numbers in values.items()}


def probe(run: Run, settings: ProbeSettings) -> dict:
    """Probes a comparison and returns the record, which is also in its workdir."""
    prober = Prober(run, settings)
    prober.announce()
    return prober.measure()


def probe_workdir(settings: Settings, probes: ProbeSettings) -> dict:
    """Probes the comparison in a workdir, and writes its figures and its report again.

    Raises:
      BadInput: where the workdir holds no finished replica with its checkpoints, or those of other data.
    """

    started = time.perf_counter()
    workdir = settings.workdir
    if (workdir / "splits.json").exists():
        raise BadInput(f"--workdir={workdir} holds a comparison on several splits: one of its folders is accepted")
    if not (workdir / "summary.json").exists():
        raise BadInput(f"--workdir={workdir}: no summary.json there; the workdir of a comparison is accepted")
    _, dataset = load_dataset(settings.source, settings.image_size)
    (split,) = load_splits(settings, dataset).values()
    run = Run(settings, dataset, split)
    run.require_same_recipe()
    record = probe(run, probes)
    draw_figures(workdir)
    write_run_report(workdir, dataset)
    print(f"\n{record['paragraph']}")
    print(f"\nprobes.json, report.html and figures are in {workdir} ({duration(time.perf_counter() - started)} in all)")
    return record
