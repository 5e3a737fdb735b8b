"""The probes of a finished comparison: over networks, seeds and checkpoints, into `probes.json`."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import msgspec
import numpy as np

from resjax.errors import BadInput, RecordError
from resjax.evaluation.diagnosis.explanations import explain
from resjax.functional import Functional
from resjax.models.layers import key_of_seed
from resjax.models.own_network import OwnNetwork, architectures_among
from resjax.models.twins import twins_among
from resjax.probes import ablations, connectivity, curvature, flow, landscape, saliency, shattering
from resjax.probes.common import keeps_shape
from resjax.records import (
    Diverged,
    Done,
    Gallery,
    LeftOut,
    Measurement,
    Probe,
    ProbedBlock,
    ProbedNetwork,
    Probes,
    Twins,
    read_record,
    write_record,
)
from resjax.report.figures.run_figures import draw_figures
from resjax.run.comparison import ComparisonRun
from resjax.run.reporting import write_run_report
from resjax.run.settings import PROBES, ProbeSettings, Settings
from resjax.run.setup.dataset import load_dataset, load_splits
from resjax.run.setup.device import describe_environment
from resjax.run.workdir.lock import only_writer, remove_unfinished
from resjax.run.workdir.sound_records import finished_result
from resjax.terminal import duration, track
from resjax.training.checkpoint import CheckpointError, Checkpoints
from resjax.training.loop import EpochResult, Trainer
from resjax.types import Batch, Variables

Time = Literal["init", "best", "last"]
"""When a replica is probed: before training, after its best epoch, or after its last."""
TRAINED: tuple[Time, ...] = ("best",)
STATES: dict[str, tuple[Time, ...]] = {
    "gradients": ("init", "best", "last"),
    "signals": ("init", "best", "last"),
    "shattering": ("init", "best"),
    "curvature": ("init", "best"),
}
"""The states of a replica that a probe looks at. The other probes ask what was learned, and look at `best` alone."""
COMPILE_SECONDS = 3.0
"""Compilation of a probe for one network."""
SEED = 0
"""Of everything that the probes draw: images, directions, blocks. The same for every network and seed of a run."""


@dataclass(frozen=True)
class State:
    """A replica at one time."""

    at: Time
    epoch: int
    variables: Variables


class Prober:
    """Measures the asked probes on the replicas of a finished comparison."""

    def __init__(self, run: ComparisonRun, settings: ProbeSettings):
        self.run, self.settings = run, settings
        self.path = run.workdir / "probes.json"
        self.left_out: list[LeftOut] = []
        self.replicas = self._replicas()

    def _replicas(self) -> dict[str, list[int]]:
        """The seeds of each network that are probed: the first that are done in every network, or if there are none in
        this one."""
        done: dict[str, list[int]] = {}
        for name, functional in self.run.functionals.items():
            if isinstance(functional.network, OwnNetwork):
                self.left_out.append(LeftOut(network=name, seed=None, reason="a network of your own"))
                continue
            done[name] = []
            for seed in self.run.settings.seeds:
                result = finished_result(self.run.folder(name, seed))
                if result is None:
                    continue
                if isinstance(result, Diverged):
                    self.left_out.append(LeftOut(network=name, seed=seed, reason="diverged"))
                elif not (self.run.folder(name, seed) / "checkpoints" / "best").is_dir():
                    self.left_out.append(LeftOut(network=name, seed=seed, reason="no checkpoint"))
                else:
                    done[name].append(seed)
        if not done:
            raise BadInput(f"--probes: {', '.join(self.run.functionals)} are networks of your own; expected none")
        if not any(done.values()):
            raise BadInput(
                f"--workdir={self.run.workdir}: no checkpoint of a finished replica there, expected the workdir of a "
                "comparison that was trained on this machine"
            )
        shared = [seed for seed in self.run.settings.seeds if all(seed in seeds for seeds in done.values())]
        return {name: (shared or seeds)[: self.settings.seeds] for name, seeds in done.items()}

    @cached_property
    def batch(self) -> Batch:
        """Validation images, for gradients and losses."""
        return self._drawn("val", self.settings.images)

    @cached_property
    def scored(self) -> Batch:
        """Validation images, for accuracies."""
        return self._drawn("val", self.settings.scored)

    @cached_property
    def training(self) -> Batch:
        """Training images, for batch statistics."""
        return self._drawn("train", self.settings.scored)

    def _drawn(self, side: str, most: int) -> Batch:
        rows = self.run.split.sides[side]
        rows = np.random.default_rng(SEED).permutation(rows)[:most]
        return self._images(rows)

    def _images(self, rows: np.ndarray) -> Batch:
        dataset = self.run.dataset
        return Batch(jnp.asarray(dataset.images[rows]), jnp.asarray(dataset.labels[rows]))

    def states(self, name: str, seed: int) -> dict[Time, State]:
        """The replica before training, at its best epoch and after its last."""
        found = self._restored.get((name, seed))
        if found is None:
            found = self._restored[name, seed] = self._restore(name, seed)
        return found

    @cached_property
    def _restored(self) -> dict[tuple[str, int], dict[Time, State]]:
        return {}

    def _restore(self, name: str, seed: int) -> dict[Time, State]:
        result = finished_result(self.run.folder(name, seed))
        assert isinstance(result, Done)
        initial = self.run.programs[name].trainer.initial_state(seed)
        checkpoints = Checkpoints(self.run.folder(name, seed) / "checkpoints")
        states: dict[Time, State] = {
            "init": State("init", 0, initial.variables),
            "best": State("best", result.best.epoch, checkpoints.restore_best(initial.variables)),
        }
        if checkpoints.last_epoch:
            last = checkpoints.restore_last(initial)
            states["last"] = State("last", checkpoints.last_epoch, last.evaluated)
        return states

    def announce(self) -> None:
        """Prints what will run, where, and about how long."""
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
                f"--dose_training: also {len(self.settings.dose_training)} replicas of each residual network to train",
                flush=True,
            )

    def _seconds(self, name: str) -> float:
        """An estimate, from the passes of an image through the network and back, and the time of those in training."""
        total = 0.0
        for network, seeds in self.replicas.items():
            if not seeds:
                continue
            functional = self.run.functionals[network]
            images = self.settings.images
            scored = min(self.settings.scored, len(self.run.split.sides["val"]))
            blocks, states = sum(functional.architecture.blocks), len(STATES.get(name, TRAINED))
            # In training passes of an image: forward and backward is 1, forward alone 1/3, a Hessian product about 3.
            each = {
                "gradients": images,
                "signals": images,
                "shattering": 2 * shattering.POINTS,
                "lesions": scored * (blocks + 4 * ablations.DRAWS) / 3,
                "dose": 3 * scored * len(ablations.DOSES) / 3,
                "landscape": images * (self.settings.side**2 + 2 * self.settings.side) / 3,
                "curvature": 3 * images * (self.settings.steps + self.settings.samples),
                "saliency": 2 * images,
                "linear": 2 * scored,
                "connectivity": 20 * scored / 3,
            }[name]
            result = finished_result(self.run.folder(network, seeds[0]))
            assert isinstance(result, Done)
            trained = result.last.epoch * len(self.run.split.sides["train"])
            total += COMPILE_SECONDS + each * states * len(seeds) * result.timing.training_seconds / trained
        return total

    def measure(self) -> Probes:
        """Runs the probes, writes `probes.json` after each, and returns the record."""
        record = self._record()
        for name in self.settings.names:
            started = time.perf_counter()
            left_out = list(self.left_out)
            jobs = [(network, seed) for network, seeds in self.replicas.items() for seed in seeds]
            measurements = []
            for network, seed in track(jobs, f"probing {name}"):
                try:
                    measurements += list(self._measured(name, network, seed))
                except (BadInput, RecordError, CheckpointError) as error:
                    left_out.append(LeftOut(network=network, seed=seed, reason=str(error)))
            found = Probe(
                settings=self._settings_of(name),
                seconds=time.perf_counter() - started,
                measurements=measurements,
                left_out=left_out,
                sentence="",
            )
            print(f"{name}: {PROBES[name]} ({duration(time.perf_counter() - started)})", flush=True)
            probes = {**record.probes, name: found}
            in_order = {name: probes[name] for name in PROBES if name in probes}
            record = explain(msgspec.structs.replace(record, probes=in_order))
            write_record(self.path, record)
        return record

    def _record(self) -> Probes:
        """The record so far: the findings of other probes stay if they are of the same networks."""
        networks = {}
        for network in architectures_among(self.run.settings.architectures):
            places = zip(network.places(), keeps_shape(network), strict=True)
            blocks = [ProbedBlock(stage=p.stage, index=p.index, keeps_shape=bool(same)) for p, same in places]
            networks[network.name] = ProbedNetwork(blocks=blocks, shortcut=network.shortcut)
        before = read_record(self.path, Probes) if self.path.exists() else None
        return Probes(
            environment=describe_environment(),
            networks=networks,
            twins=[Twins(**each._asdict()) for each in twins_among(self.run.settings.architectures)],
            probes=before.probes if before and before.networks == networks else {},
            explanations=[],
            paragraph="",
        )

    def _settings_of(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {"images": len(self.batch.labels), "scored": len(self.scored.labels)}
        if name == "saliency":
            found |= {"shown": self._shown}
        return found | {"landscape_side": self.settings.side} if name == "landscape" else found

    def _measured(self, name: str, network: str, seed: int) -> Iterator[Measurement]:
        states = self.states(network, seed)
        functional = self.run.functionals[network]
        for at in STATES.get(name, TRAINED):
            if at not in states or (at == "last" and states["last"].epoch == states["best"].epoch):
                continue
            values = self._probe(name)(functional, states[at].variables, network, seed)
            if values is not None:
                plain = {key: np.asarray(each, np.float64).ravel().tolist() for key, each in values.items()}
                if not any(np.isfinite(each).any() for each in plain.values()):
                    raise BadInput(f"{network} seed {seed}: nothing finite at {at}")
                yield Measurement(network=network, seed=seed, at=at, epoch=states[at].epoch, values=_rounded(plain))

    def _probe(self, name: str) -> Callable[[Functional, Variables, str, int], Mapping[str, Any] | None]:
        """The probe as a function of a replica's network, variables, network name and seed."""
        return {
            "gradients": lambda f, v, network, seed: flow.gradient_flow(f, v, self.batch),
            "signals": lambda f, v, network, seed: flow.signal_flow(f, v, self.batch),
            "shattering": lambda f, v, network, seed: shattering.shattering(f, v, self.batch),
            "lesions": lambda f, v, network, seed: ablations.lesions(f, v, self.scored, SEED),
            "dose": lambda f, v, network, seed: self._dosed(f, v, network, seed),
            "landscape": lambda f, v, network, seed: landscape.landscape(
                f,
                v,
                self.batch,
                key_of_seed(SEED),
                side=self.settings.side,
                line=2 * self.settings.side - 1,
                chunk=self.settings.chunk or self._all_points,
            ),
            "curvature": lambda f, v, network, seed: curvature.curvature(
                f, v, self.batch, key_of_seed(SEED), steps=self.settings.steps, samples=self.settings.samples
            ),
            "saliency": lambda f, v, network, seed: self._maps(f, v),
            "linear": lambda f, v, network, seed: self._linear(f, v),
            "connectivity": lambda f, v, network, seed: self._connected(f, v, network, seed),
        }[name]

    @property
    def _all_points(self) -> int:
        return 1 if jax.default_backend() == "cpu" else self.settings.side**2 + 2 * self.settings.side - 1

    @property
    def _shown(self) -> list[str]:
        """The pictures of the report's gallery, each once."""
        path = self.run.workdir / "gallery.json"
        return list(read_record(path, Gallery).thumbnails) if path.exists() else []

    def _maps(self, functional: Functional, variables: Variables) -> dict[str, Any]:
        place = {name: row for row, name in enumerate(self.run.dataset.ids)}
        shown = [name for name in self._shown if name in place]
        if not shown:
            raise BadInput("the report has no pictures: gallery.json is missing or empty")
        maps = saliency.grad_cam(functional, variables, self._images(np.array([place[name] for name in shown])))["maps"]
        found: dict[str, Any] = {"size": np.array(maps.shape[1:])}
        return found | {name: each for name, each in zip(shown, np.asarray(maps), strict=True)}

    def _linear(self, functional: Functional, variables: Variables) -> Mapping[str, Any]:
        if any(len(images) for images in self.run.leaks.values()):
            raise BadInput("images of the split leak: a linear probe would be scored on images that it was fitted on")
        return flow.linear_probes(functional, variables, self.scored, self.training)

    def _connected(
        self, functional: Functional, variables: Variables, network: str, seed: int
    ) -> Mapping[str, Any] | None:
        seeds = self.replicas[network]
        if len(seeds) < 2:
            raise BadInput(f"{network}: two seeds or more are needed")
        other = self.states(network, seeds[(seeds.index(seed) + 1) % len(seeds)])["best"].variables
        return connectivity.connectivity(functional, variables, other, self.scored, self.training)

    def _dosed(self, functional: Functional, variables: Variables, network: str, seed: int) -> Mapping[str, Any]:
        found = dict(ablations.shortcut_dose(functional, variables, self.scored, self.training))
        if self.settings.dose_training and seed == self.replicas[network][0]:
            trained = [self._trained_at(network, seed, each) for each in self.settings.dose_training]
            found |= {"trained_doses": np.array(self.settings.dose_training), "trained_accuracy": np.array(trained)}
        return found

    def _trained_at(self, network: str, seed: int, at: float) -> float:
        """The best validation accuracy of a network that is trained with its shortcuts at this dose."""
        like = self.run.programs[network].trainer
        trainer = Trainer(
            replace(self.run.functionals[network], dose=at), like.recipe, like.train, like.val, like.weights
        )
        epochs = trainer.fit(trainer.initial_state(seed))
        return max(epoch.metrics["val_accuracy"] for epoch in epochs if isinstance(epoch, EpochResult))


def _rounded(values: Mapping[str, list[float]]) -> dict[str, list[float | None]]:
    """Four digits: more than a figure shows, in a fifth of the file size."""
    return {name: [float(f"{each:.4g}") for each in numbers] for name, numbers in values.items()}


def probe(run: ComparisonRun, settings: ProbeSettings) -> Probes:
    """Probes a comparison and returns the record, which is also in its workdir."""
    prober = Prober(run, settings)
    prober.announce()
    return prober.measure()


def probe_workdir(settings: Settings, probes: ProbeSettings) -> Probes:
    """Probes the comparison in a workdir, and writes its figures and its report again. It is the workdir's only writer.

    Raises:
      BadInput: if the workdir holds no finished replica with its checkpoints, or those of other data, or another
        process writes it.
    """
    started = time.perf_counter()
    workdir = settings.workdir
    if (workdir / "splits.json").exists():
        raise BadInput(f"--workdir={workdir} holds a comparison on several splits, expected one of its folders")
    if not (workdir / "summary.json").exists():
        raise BadInput(f"--workdir={workdir}: no summary.json there, expected the workdir of a comparison")
    with only_writer(workdir):
        _, dataset = load_dataset(settings.source, settings.image_size)
        (split,) = load_splits(settings, dataset).values()
        run = ComparisonRun(settings, dataset, split)
        run.require_same_recipe()
        remove_unfinished(workdir)
        record = probe(run, probes)
        draw_figures(workdir)
        write_run_report(workdir, dataset)
    print(f"\n{record.paragraph}")
    print(f"\nprobes.json, report.html and figures are in {workdir} ({duration(time.perf_counter() - started)} in all)")
    return record
