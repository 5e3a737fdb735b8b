"""Trains a share of a sweep's cells, each in its own folder, those that can share a program together."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from resjax.data.dataset import Dataset
from resjax.data.pipeline import Side
from resjax.data.splits import Split, take_train_fraction
from resjax.errors import BadInput, DamagedRecord
from resjax.functional import Functional
from resjax.report.records import SCHEMA_VERSION, write_json
from resjax.run.comparison import Run, ledger_of
from resjax.run.environment import estimate_seconds
from resjax.run.out_of_memory import is_out_of_memory, out_of_memory_message
from resjax.run.progress import Progress
from resjax.run.replica import ArmPrograms, run_replicas, schedule
from resjax.run.replica_folder import finished_result, read_or_set_aside, set_damaged_aside
from resjax.run.workdir_lock import one_at_a_time, only_writer
from resjax.sweep.cells import FAILURE, Cell, all_cells, program_key, relative_cost, share_of
from resjax.sweep.grid import SweepSettings
from resjax.training.replicas import Way

MOST_TOGETHER = 64
"""Cells in one program at most: each holds a lock, and a device that has no room for them is asked again for half."""


class Share:
    """The cells that one process trains of a sweep, and what it needs for that."""

    def __init__(self, asked: SweepSettings, dataset: Dataset, split: Split):
        self.asked, self.dataset, self.split = asked, dataset, split
        self.points = asked.points
        self.cells = all_cells(self.points)
        self.own = share_of(self.cells, {cell: self._cost(cell) for cell in self.cells}, *asked.shard)
        self.busy: dict[Cell, str] = {}
        """Cells that another process is training, with what it says of itself."""
        self._runs: dict[int, Run] = {}
        self._sides: dict[float, Mapping[str, Side]] = {}
        self._splits: dict[float, Split] = {}
        self._programs: dict[Hashable, ArmPrograms] = {}

    def folder(self, cell: Cell) -> Path:
        settings = self.points[cell.point].settings
        return settings.workdir / "runs" / settings.architectures[cell.arm].name / f"seed{cell.seed}"

    @cached_property
    def pending(self) -> list[Cell]:
        """The cells of the share that have not ended; those that failed before are among them."""
        return [cell for cell in self.own if not self._has_ended(cell)]

    def seconds_left(self) -> float:
        """About how many seconds the pending cells take: a program is compiled once, however many cells share it."""
        flops: dict[Hashable, float] = {}
        images: dict[Hashable, float] = {}
        for cell in self.pending:
            key = program_key(self.points, cell)
            flops[key] = self._forward_flops(cell)
            images[key] = images.get(key, 0.0) + self._images(cell)
        each = [flops[key] * images[key] for key in flops]
        return estimate_seconds(each, 1, [1] * len(each))

    def train(self, after_cell: Callable[[], None]) -> None:
        """Trains what is pending; a cell that fails is written down, and the others go on."""
        ready = [cell for cell in self.pending if self._opened(cell)]
        by_program: dict[Hashable, list[Cell]] = {}
        for cell in sorted(ready):
            by_program.setdefault(program_key(self.points, cell), []).append(cell)
        ways = {key: self._way(cells[0]) for key, cells in by_program.items()}
        if not ready:
            return
        progress = Progress(len(ready), max(self.points[cell.point].settings.recipe.epochs for cell in ready))
        try:
            for key, cells in schedule(by_program, ways):
                for first in range(0, len(cells), MOST_TOGETHER):
                    for _ in self._trained(key, list(cells[first : first + MOST_TOGETHER]), ways[key], progress):
                        after_cell()
        finally:
            progress.close()

    def write_summaries(self) -> None:
        """Writes the summary of each point that this process has trained at."""
        for run in self._runs.values():
            with one_at_a_time(run.workdir):
                run.write_summary()

    def _trained(self, key: Hashable, cells: list[Cell], way: Way, progress: Progress) -> Iterator[None]:
        """Trains cells of one program together; yields after each that has ended, whichever way."""
        with ExitStack() as locks:
            held = [cell for cell in cells if self._taken(cell, locks)]
            if not held:
                return
            left = dict.fromkeys(held)
            replicas = [self._runs[cell.point].replica(self._arm(cell), cell.seed) for cell in held]
            programs = self._programs.setdefault(key, self._runs[held[0].point].programs[self._arm(held[0])])

            def on_epoch(name: str, seed: int, metrics: dict) -> None:
                progress.epoch(name, seed, metrics)
                self.asked.base.stopping.after_epoch(metrics["seconds"])

            try:
                for result in run_replicas(programs, way, replicas, on_epoch):
                    # Those that began at different epochs do not end in the order in which they were given.
                    (cell,) = (cell for cell in left if finished_result(self.folder(cell)) is not None)
                    del left[cell]
                    (self.folder(cell) / FAILURE).unlink(missing_ok=True)
                    progress.replica(result | {"architecture": self._label(cell)})
                    yield
                if left:
                    # What was under way is saved.
                    self.asked.base.stopping.check()
                return
            except OSError:
                # A disk that is full is no cell's fault.
                raise
            except Exception as error:
                if len(left) == 1:
                    (cell,) = left
                    kind, reason = self._why(cell, error)
                    self._write_failure(cell, kind, reason)
                    progress.say(f"WARNING: {self._label(cell)} seed {cell.seed} failed: {reason}; the others go on")
                    yield
                    return
        # One of several: whoever it is, the halves find out, and need less memory.
        rest = list(left)
        for part in (rest[: len(rest) // 2], rest[len(rest) // 2 :]):
            yield from self._trained(key, part, way, progress)

    def _why(self, cell: Cell, error: Exception) -> tuple[str, str]:
        run = self._runs[cell.point]
        if is_out_of_memory(error):
            settings, name = run.settings, self._arm(cell)
            batch, size = settings.recipe.batch_size, settings.image_size
            return "out of memory", out_of_memory_message(name, run.ledgers[name], batch, size)
        kind = "bad input" if isinstance(error, BadInput) else "error"
        return kind, " ".join(f"{type(error).__name__ + ': ' if kind == 'error' else ''}{error}".split())[:500]

    def _has_ended(self, cell: Cell) -> bool:
        try:
            return finished_result(self.folder(cell)) is not None
        except DamagedRecord:
            # It is set aside and made again when the cell's turn comes.
            return False

    def _taken(self, cell: Cell, locks: ExitStack) -> bool:
        """Whether the cell is this process's to train now: nobody else trains it, and nobody has finished it."""
        folder = self.folder(cell)
        try:
            locks.enter_context(only_writer(folder))
        except BadInput as error:
            if "is being written" not in str(error):
                raise
            self.busy[cell] = str(error)
            return False
        set_damaged_aside(folder)
        return finished_result(folder) is None

    def _opened(self, cell: Cell) -> bool:
        """Whether the cell's point can be trained at; where it cannot, its failure is written down."""
        if cell.point in self._runs:
            return True
        settings = self.points[cell.point].settings
        fraction = settings.split.train_fraction
        try:
            if fraction not in self._splits:
                self._splits[fraction] = take_train_fraction(
                    self.dataset, self.split, fraction, seed=settings.split.seed
                )
            run = Run(settings, self.dataset, self._splits[fraction], self._sides.get(fraction))
            settings.workdir.mkdir(parents=True, exist_ok=True)
            with one_at_a_time(settings.workdir):
                run.require_recipe_of_summary()
                # Results are written whole, so one that is damaged is nobody's that is being written.
                for result in settings.workdir.glob("runs/*/seed*/result.json"):
                    read_or_set_aside(result)
                run.write_preamble()
        except BadInput as error:
            self._write_failure(cell, "bad input", " ".join(str(error).split()))
            return False
        self._sides.setdefault(fraction, run.sides)
        self._runs[cell.point] = run
        return True

    def _write_failure(self, cell: Cell, kind: str, reason: str) -> None:
        folder = self.folder(cell)
        folder.mkdir(parents=True, exist_ok=True)
        record = {"schema_version": SCHEMA_VERSION, "architecture": self._arm(cell), "seed": cell.seed}
        write_json(folder / FAILURE, record | {"kind": kind, "reason": reason})

    def _way(self, cell: Cell) -> Way:
        return self._runs[cell.point].ways[self._arm(cell)]

    def _arm(self, cell: Cell) -> str:
        return self.points[cell.point].settings.architectures[cell.arm].name

    def _label(self, cell: Cell) -> str:
        return f"{self._arm(cell)} at {self.points[cell.point].name}"

    def _forward_flops(self, cell: Cell) -> float:
        settings = self.points[cell.point].settings
        functional = Functional(settings.architectures[cell.arm], len(self.dataset.classes), settings.dtype)
        return ledger_of(functional, settings.image_size).forward_flops

    def _images(self, cell: Cell) -> float:
        settings = self.points[cell.point].settings
        train, val = (len(self.split.sides[side]) for side in ("train", "val"))
        return settings.recipe.epochs * (settings.split.train_fraction * train + val / 3)

    def _cost(self, cell: Cell) -> float:
        settings = self.points[cell.point].settings
        train = settings.split.train_fraction * len(self.split.sides["train"])
        architecture = settings.architectures[cell.arm]
        val = len(self.split.sides["val"])
        return relative_cost(self._forward_flops(cell), settings.recipe.epochs, train, val, architecture)
