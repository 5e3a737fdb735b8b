"""Trains the cells of one shard, each in its own folder; cells that can share a program are trained together."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from resjax.data.dataset import Dataset
from resjax.data.pipeline import Side
from resjax.data.splits import Split, take_train_fraction
from resjax.errors import BadInput, DamagedRecord
from resjax.functional import Functional
from resjax.models.architecture import Architecture
from resjax.records import Failure, MetricsLine, write_record
from resjax.run.comparison import ComparisonRun
from resjax.run.progress import TrainingProgress
from resjax.run.replica import NetworkPrograms, run_replicas, schedule
from resjax.run.setup.device import estimate_seconds, is_out_of_memory, out_of_memory_message
from resjax.run.workdir.contents import ledger_of
from resjax.run.workdir.lock import one_at_a_time, only_writer, remove_unfinished
from resjax.run.workdir.sound_records import finished_result, quarantine_damaged, read_or_quarantine
from resjax.sweep.cells import FAILURE, Cell, all_cells, program_key, relative_cost, share_of
from resjax.sweep.grid import SweepSettings
from resjax.training.replicas import Way

FailureKind = Literal["bad input", "out of memory", "error"]
MOST_TOGETHER = 64
"""Cells in one program at most: each holds a lock. If the device has no memory for them, half are tried."""


class Share:
    """The cells of a sweep that one process trains, and what it needs for that."""

    def __init__(self, asked: SweepSettings, dataset: Dataset, split: Split):
        self.asked, self.dataset, self.split = asked, dataset, split
        self.points = asked.points
        self.cells = all_cells(self.points)
        self.own = share_of(self.cells, {cell: self._cost(cell) for cell in self.cells}, *asked.shard)
        self.busy: dict[Cell, str] = {}
        """Cells that another process is training, each with the line that says so."""
        self._runs: dict[int, ComparisonRun] = {}
        self._sides: dict[float, Mapping[str, Side]] = {}
        self._splits: dict[float, Split] = {}
        self._programs: dict[Hashable, NetworkPrograms] = {}

    def folder(self, cell: Cell) -> Path:
        """The folder of a cell's replica."""
        settings = self.points[cell.point].settings
        return settings.workdir / "runs" / settings.architectures[cell.network].name / f"seed{cell.seed}"

    @cached_property
    def pending(self) -> list[Cell]:
        """The cells of the shard that have not ended; cells that failed before are among them."""
        return [cell for cell in self.own if not self._has_ended(cell)]

    def seconds_left(self) -> float:
        """About how many seconds the pending cells take. A program is compiled once, however many cells share it."""
        flops: dict[Hashable, float] = {}
        images: dict[Hashable, float] = {}
        for cell in self.pending:
            key = program_key(self.points, cell)
            flops[key] = self._forward_flops(cell)
            images[key] = images.get(key, 0.0) + self._images(cell)
        each = [flops[key] * images[key] for key in flops]
        return estimate_seconds(each, 1, [1] * len(each))

    def train(self, after_cell: Callable[[], None]) -> None:
        """Trains the pending cells. The reason of a cell that fails is recorded, and the others continue."""
        ready = [cell for cell in self.pending if self._opened(cell)]
        by_program: dict[Hashable, list[Cell]] = {}
        for cell in sorted(ready):
            by_program.setdefault(program_key(self.points, cell), []).append(cell)
        ways = {key: self._way(cells[0]) for key, cells in by_program.items()}
        if not ready:
            return
        epochs = max(self.points[cell.point].settings.recipe.epochs for cell in ready)
        with TrainingProgress(len(ready), epochs, roughly=self.seconds_left()) as progress:
            for key, cells in schedule(by_program, ways):
                for first in range(0, len(cells), MOST_TOGETHER):
                    for _ in self._trained(key, list(cells[first : first + MOST_TOGETHER]), ways[key], progress):
                        after_cell()

    def write_summaries(self) -> None:
        """Writes the summary of each point at which this process has trained."""
        for run in self._runs.values():
            with one_at_a_time(run.workdir):
                run.write_summary()

    def _trained(self, key: Hashable, cells: list[Cell], way: Way, progress: TrainingProgress) -> Iterator[None]:
        """Trains cells of one program together; yields after each that is done, has diverged or has failed."""
        with ExitStack() as locks:
            held = [cell for cell in cells if self._taken(cell, locks)]
            if not held:
                return
            left = dict.fromkeys(held)
            progress.begin(self._name(held[0]), [cell.seed for cell in held])
            replicas = [self._runs[cell.point].replica(self._name(cell), cell.seed) for cell in held]
            programs = self._programs.setdefault(key, self._runs[held[0].point].programs[self._name(held[0])])

            def on_epoch(name: str, seed: int, line: MetricsLine) -> None:
                progress.epoch(name, seed, line)
                self.asked.base.stopping.after_epoch(line.seconds)

            try:
                with self.asked.base.stopping.saved_at_end():
                    for result in run_replicas(programs, way, replicas, on_epoch):
                        # Cells that resumed at different epochs do not end in the order in which they were given.
                        (cell,) = (cell for cell in left if finished_result(self.folder(cell)) is not None)
                        del left[cell]
                        (self.folder(cell) / FAILURE).unlink(missing_ok=True)
                        progress.replica(replace(result, architecture=self._label(cell)))
                        yield
                if left:
                    # The cells that were being trained are saved.
                    self.asked.base.stopping.check()
                return
            except OSError:
                # A full disk is not a fault of the cell.
                raise
            except Exception as error:
                if len(left) == 1:
                    (cell,) = left
                    kind, reason = self._why(cell, error)
                    self._write_failure(cell, kind, reason)
                    said = f"WARNING: {self._label(cell)} seed {cell.seed} failed: {reason}; the other cells continue"
                    progress.say(said)
                    yield
                    return
        # One of several cells failed. Each half is tried on its own: it needs less memory, and isolates the cell.
        rest = list(left)
        for part in (rest[: len(rest) // 2], rest[len(rest) // 2 :]):
            yield from self._trained(key, part, way, progress)

    def _why(self, cell: Cell, error: Exception) -> tuple[FailureKind, str]:
        run = self._runs[cell.point]
        if is_out_of_memory(error):
            settings, name = run.settings, self._name(cell)
            batch, size = settings.recipe.batch_size, settings.image_size
            return "out of memory", out_of_memory_message(name, run.ledgers[name], batch, size)
        kind: FailureKind = "bad input" if isinstance(error, BadInput) else "error"
        return kind, " ".join(f"{type(error).__name__ + ': ' if kind == 'error' else ''}{error}".split())[:500]

    def _has_ended(self, cell: Cell) -> bool:
        try:
            return finished_result(self.folder(cell)) is not None
        except DamagedRecord:
            # It is quarantined and made again when the cell is trained.
            return False

    def _taken(self, cell: Cell, locks: ExitStack) -> bool:
        """Whether this process may train the cell now: no other process trains it or has finished it."""
        folder = self.folder(cell)
        try:
            locks.enter_context(only_writer(folder))
        except BadInput as error:
            if "is being written" not in str(error):
                raise
            self.busy[cell] = str(error)
            return False
        remove_unfinished(folder)
        quarantine_damaged(folder)
        return finished_result(folder) is None

    def _opened(self, cell: Cell) -> bool:
        """Whether training is possible at the cell's point; if not, the reason is recorded."""
        if cell.point in self._runs:
            return True
        settings = self.points[cell.point].settings
        fraction = settings.split.train_fraction
        try:
            if fraction not in self._splits:
                self._splits[fraction] = take_train_fraction(
                    self.dataset, self.split, fraction, seed=settings.split.seed
                )
            run = ComparisonRun(settings, self.dataset, self._splits[fraction], self._sides.get(fraction))
            settings.workdir.mkdir(parents=True, exist_ok=True)
            with one_at_a_time(settings.workdir):
                run.require_recipe_of_summary()
                # Results are written atomically, so a damaged one is not just being written by another process.
                for result in settings.workdir.glob("runs/*/seed*/result.json"):
                    read_or_quarantine(result, dict)
                run.write_preamble()
        except BadInput as error:
            self._write_failure(cell, "bad input", " ".join(str(error).split()))
            return False
        self._sides.setdefault(fraction, run.sides)
        self._runs[cell.point] = run
        return True

    def _write_failure(self, cell: Cell, kind: FailureKind, reason: str) -> None:
        folder = self.folder(cell)
        folder.mkdir(parents=True, exist_ok=True)
        failure = Failure(architecture=self._name(cell), seed=cell.seed, kind=kind, reason=reason)
        write_record(folder / FAILURE, failure)

    def _way(self, cell: Cell) -> Way:
        return self._runs[cell.point].ways[self._name(cell)]

    def _name(self, cell: Cell) -> str:
        return self.points[cell.point].settings.architectures[cell.network].name

    def _label(self, cell: Cell) -> str:
        return f"{self._name(cell)} at {self.points[cell.point].name}"

    def _forward_flops(self, cell: Cell) -> float:
        settings = self.points[cell.point].settings
        functional = Functional(settings.architectures[cell.network], len(self.dataset.classes), settings.dtype)
        return ledger_of(functional, settings.image_size).forward_flops

    def _images(self, cell: Cell) -> float:
        settings = self.points[cell.point].settings
        train, val = (len(self.split.sides[side]) for side in ("train", "val"))
        return settings.recipe.epochs * (settings.split.train_fraction * train + val / 3)

    def _cost(self, cell: Cell) -> float:
        settings = self.points[cell.point].settings
        train = settings.split.train_fraction * len(self.split.sides["train"])
        network = settings.architectures[cell.network]
        layers = network.depth if isinstance(network, Architecture) else 0
        val = len(self.split.sides["val"])
        return relative_cost(self._forward_flops(cell), settings.recipe.epochs, train, val, layers)
