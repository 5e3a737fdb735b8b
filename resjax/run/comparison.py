"""One comparison on one split: which replicas are pending, and their training."""

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property, partial

import jax

from resjax.data.dataset import Dataset
from resjax.data.pipeline import Side, make_sides
from resjax.data.splits import Split, listed
from resjax.errors import BadInput
from resjax.evaluation.comparison.pairs import undecidable
from resjax.models.own_network import OwnNetwork
from resjax.records import MetricsLine, Result, Summary
from resjax.report.comparison_text import costs_line, plan
from resjax.run.forecast import Forecast
from resjax.run.progress import TrainingProgress, rough_duration
from resjax.run.replica import NetworkPrograms, run_replicas, schedule
from resjax.run.settings import OnEpoch, Settings
from resjax.run.setup.device import estimate_seconds, is_out_of_memory, out_of_memory_message
from resjax.run.setup.networks import likeness
from resjax.run.stopping import Stopped
from resjax.run.timing import phase
from resjax.run.workdir.contents import ComparisonWorkdir
from resjax.run.workdir.replica_folder import ReplicaFolder
from resjax.run.workdir.sound_records import finished_result
from resjax.training.ahead_of_time import CompilingThread, StillCompiling, compiling
from resjax.training.loop import Trainer
from resjax.training.mesh import require_divisible
from resjax.training.processes import stop_requested
from resjax.training.replicas import choose_way

PAIRS_BEFORE_A_PLAN = 3
"""The number of seeds that every network has finished when the effect of more seeds is printed."""


def no_step(name: str) -> None:
    """What is called before a step of a network when nobody wants to know."""


class ComparisonRun(ComparisonWorkdir):
    """A comparison in its workdir that trains what is pending.

    Args:
      sides: the images of each side as training reads them, to share them between several runs on the same images.

    Raises:
      BadInput: for a batch larger than the number of training images.
      Stopped: from `train` and `complete`, on a request to stop.
    """

    def __init__(self, settings: Settings, dataset: Dataset, split: Split, sides: Mapping[str, Side] | None = None):
        super().__init__(settings, dataset, split)
        self._on_step: Callable[[str], None] = no_step
        self._training: list[ReplicaFolder] = []
        if sides is not None:
            self.sides = sides
        batch = settings.recipe.batch_size
        self.ways = {
            name: choose_way(settings.replicas_as, settings.mesh, 3 * each.forward_flops * batch)
            for name, each in self.ledgers.items()
        }
        for way in self.ways.values():
            require_divisible(batch, way.batch)
        train = len(split.sides["train"])
        if batch > train:
            raise BadInput(f"--batch_size={batch}: expected at most {train}, the number of training images")

    def complete(self) -> Summary:
        """Prints what will run, trains what is pending, and returns the summary.

        With --seeds=auto, seeds are added until every comparison has a verdict.
        """
        self.announce()
        summary = self.write_summary()
        for look in self.looks:
            self.seeds = self.settings.seeds[:look]
            with phase("training"), self.settings.stopping.waiting():
                self.train()
            summary = self.write_summary()
            self.remember_look(summary)
            if self.problems or all(pair.verdict not in (None, "inconclusive") for pair in summary.comparisons):
                break
        return summary

    def work_left(self) -> tuple[int, float]:
        """The number of pending replicas, and roughly how many seconds they will take."""
        pending = [sum(result is None for result in results.values()) for results in self.results().values()]
        flops = [each.forward_flops for each in self.ledgers.values()]
        images = int(self.settings.recipe.epochs * self._images_of_an_epoch)
        return sum(pending), estimate_seconds(flops, images, pending)

    @property
    def _images_of_an_epoch(self) -> float:
        """Training images; a validation image, which is not differentiated, counts a third."""
        return len(self.split.sides["train"]) + len(self.split.sides["val"]) / 3

    def announce(self) -> None:
        """Prints what will run, on which device, about how long, and which images leak."""
        total, seconds = self.work_left()
        seeds = " to ".join(str(look) for look in dict.fromkeys((self.looks[0], self.looks[-1])))
        each = f"{seeds} {'seed' if seeds == '1' else 'seeds'} each"
        finished = len(self.seeds) * len(self.functionals) - total
        sides = {side: len(indices) for side, indices in self.split.sides.items() if len(indices)}
        recipe = self.settings.recipe
        device = jax.devices()[0]
        print(
            f"{' and '.join(self.functionals)}, {each}, {recipe.epochs} epochs of {sides['train']} images "
            f"at {self.settings.image_size} px on {device.platform} ({device.device_kind}): "
            + (f"{total} replicas to train, {rough_duration(seconds)}" if total else "nothing to train")
            + (f", {finished} already finished" if finished else ""),
            flush=True,
        )
        if self.settings.looks:
            listed_looks = ", ".join(map(str, self.looks))
            print(f"judged after {listed_looks} seeds, until every comparison has a verdict", flush=True)
        if self.pairs:
            print(
                f"compared: {', '.join(f'{candidate} with {baseline}' for baseline, candidate in self.pairs)}",
                flush=True,
            )
        if why := undecidable(len(self.pairs), len(self.settings.seeds), self.question.level):
            print(f"WARNING: {why}", flush=True)
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
        for name, each in self.costs.items():
            print(costs_line(name, each), flush=True)
        for pair in self.pairs:
            first, second = (self.functionals[name] for name in pair)
            if total and any(isinstance(each.network, OwnNetwork) for each in (first, second)):
                print(likeness(first, second, self.settings.seeds[0]), flush=True)

    def train(self) -> None:
        """Trains the pending replicas up to the next look, one by one or those of each network together."""
        pending = {
            name: [seed for seed in self.seeds if finished_result(self.folder(name, seed)) is None]
            for name in self.functionals
        }
        if not any(pending.values()):
            return
        self.require_same_environment()
        epochs, (replicas, roughly) = self.settings.recipe.epochs, self.work_left()
        groups = schedule(pending, self.ways)
        try:
            with ExitStack() as stack:
                executor = stack.enter_context(compiling(lambda: self.settings.stopping.asked))
                forecast = self._forecast(pending, executor)
                progress = TrainingProgress(replicas, epochs, forecast.seconds_left, roughly)
                stack.enter_context(progress)

                def on_step(name: str) -> None:
                    is_seen = self._is_alone_on_cpu(name)
                    if is_seen:
                        forecast.step(name)
                    progress.step(name, len(self._training[0].lines) + 1, self._step_share if is_seen else 0.0)

                def on_epoch(name: str, seed: int, line: MetricsLine) -> None:
                    forecast.epoch(name, seed)
                    progress.epoch(name, seed, line)
                    for callback in self.settings.callbacks:
                        callback(name, seed, line)
                    self.settings.stopping.after_epoch(line.seconds)
                    if stop_requested():
                        raise Stopped("stopped, because another process was asked to", 128 + signal.SIGTERM)

                self._on_step = on_step
                self._compile_ahead(executor, dict.fromkeys(name for name, _ in groups))
                for name, seeds in groups:
                    if name in self.problems:
                        forecast.replica(name, len(seeds))
                        continue
                    for result in self._trained(name, seeds, progress, on_epoch):
                        forecast.replica(name)
                        progress.replica(result)
                        summary = self.write_summary()
                        finished = self.seeds.index(result.seed) + 1
                        is_last = name == list(self.functionals)[-1]
                        if is_last and finished == PAIRS_BEFORE_A_PLAN < len(self.settings.seeds):
                            progress.say(*plan(summary))
        finally:
            self._on_step = no_step

    @property
    def _step_share(self) -> float:
        """What a train step is of an epoch. The rest is the evaluation."""
        return min(self.settings.recipe.batch_size, len(self.split.sides["train"])) / self._images_of_an_epoch

    def _forecast(self, pending: Mapping[str, Sequence[int]], executor: CompilingThread) -> Forecast:
        images = self._images_of_an_epoch
        return Forecast(
            {name: 3 * images * each.forward_flops for name, each in self.ledgers.items()},
            {name: len(seeds) for name, seeds in pending.items() if seeds},
            self.settings.recipe.epochs,
            step=self._step_share,
            is_compiling=lambda: executor.is_busy,
        )

    def replica(self, name: str, seed: int) -> ReplicaFolder:
        """The files of one replica, for training it."""
        return ReplicaFolder(
            self.programs[name].trainer,
            name,
            seed,
            self.folder(name, seed),
            self.dataset,
            self.split.sides,
            self.sides.get("test"),
            self.leaks,
            self.environment,
        )

    @cached_property
    def sides(self) -> Mapping[str, Side]:
        """The images of each side as training reads them."""
        pipeline = self.settings.pipeline
        if pipeline == "auto" and jax.process_count() > 1:
            # Each process reads its own part of every batch.
            pipeline = "streamed"
        return make_sides(self.dataset, dict(self.split.sides), pipeline)

    @cached_property
    def programs(self) -> dict[str, NetworkPrograms]:
        """The compiled programs of each network, kept from one look to the next."""
        return {
            name: NetworkPrograms(
                Trainer(
                    functional,
                    self.settings.recipe,
                    self.sides["train"],
                    self.sides["val"],
                    self.weights[name].arrays if name in self.weights else None,
                    partial(self._before_step, name),
                ),
                label=f"{self.workdir}/{name}",
            )
            for name, functional in self.functionals.items()
        }

    def _before_step(self, name: str) -> bool:
        """Whether training is to stop here."""
        self._on_step(name)
        # None of several processes may leave a step that the others are in.
        return jax.process_count() == 1 and self.settings.stopping.before_step()

    def _is_alone_on_cpu(self, name: str) -> bool:
        """Whether replicas are trained one by one on a CPU, each step by a call of its own."""
        way = self.ways[name]
        is_cpu = jax.default_backend() == "cpu" and jax.process_count() == 1
        return is_cpu and way.name == "sequential" and way.batch == 1

    def _compile_ahead(self, executor: CompilingThread, names: Iterable[str]) -> None:
        """Begins to compile the programs of these networks, in this order, if replicas train alone on a CPU.

        On a GPU it would disturb XLA's choice between kernels, which XLA makes by timing them.
        """
        for name in names:
            if self._is_alone_on_cpu(name):
                self.programs[name].trainer.compile_ahead(
                    executor, (self.settings.image_size, self.settings.image_size)
                )

    def _trained(
        self, name: str, seeds: Sequence[int], progress: TrainingProgress, on_epoch: OnEpoch
    ) -> Iterator[Result]:
        """Trains replicas of a network in its way, or in the next slower way if memory is too small."""
        left = list(seeds)
        while left:
            try:
                progress.begin(name, left)
                self._training = replicas = [self.replica(name, seed) for seed in left]
                with self.settings.stopping.saved_at_end():
                    for result in run_replicas(self.programs[name], self.ways[name], replicas, on_epoch):
                        left.remove(result.seed)
                        yield result
                if left:
                    # The unfinished replicas are saved.
                    self.settings.stopping.check()
                    raise AssertionError(f"replicas of {name} ended early without a stop request")
            except StillCompiling:
                self.settings.stopping.check()
            except (jax.errors.JaxRuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or jax.process_count() > 1:
                    raise
                if self.ways[name].name == "sequential":
                    batch, size = self.settings.recipe.batch_size, self.settings.image_size
                    self.problems[name] = out_of_memory_message(name, self.ledgers[name], batch, size)
                    progress.say(f"WARNING: {self.problems[name]}; the other networks go on")
                    self.write_summary()
                    return
                way = self.ways[name]
                self.ways[name] = way.slower(f"{way.name} needs more memory than the device has")
                progress.say(f"{name}: {self.ways[name].describe(len(left))}")
