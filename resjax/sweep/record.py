"""Makes `sweep.json`: how each cell stands, and what the results say. It reads the records of cells alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

import resjax
from resjax.errors import DamagedRecord, RecordError
from resjax.evaluation.comparison.comparing import Evidence, differences_of_networks
from resjax.evaluation.comparison.designs import tuning
from resjax.evaluation.comparison.designs.depth import differences_by_depth
from resjax.evaluation.comparison.looks import Shown, looks_of, with_earlier_looks
from resjax.evaluation.comparison.statistics.describing import describe
from resjax.evaluation.comparison.verdict import judged
from resjax.evaluation.run_evaluation import correctness
from resjax.models.architecture import Architecture, architecture
from resjax.models.names import parse_name
from resjax.models.twins import families_of_twins, twins_among
from resjax.records import (
    CellCounts,
    CellRecord,
    CellStatus,
    Comparison,
    Condition,
    Declaration,
    Diverged,
    Done,
    EqualSettings,
    Failure,
    Look,
    Reported,
    Result,
    Setting,
    SplitRecord,
    Sweep,
    TrainedIn,
    TunedNetwork,
    numeric_differences,
    read_record,
    trained_in,
)
from resjax.run.workdir.sound_records import finished_result
from resjax.sweep.cells import FAILURE
from resjax.sweep.grid import TUNED

Results = Mapping[int, Result | None]
"""The result of each seed, None for a cell that has not ended or has failed."""


class Key(NamedTuple):
    """What tells a cell from the others of a sweep."""

    point: str
    architecture: str
    seed: int


class Cells(NamedTuple):
    """The cells of a sweep as they lie in its workdirs."""

    records: list[CellRecord]
    results: Mapping[Key, Result | None]
    folders: Mapping[Key, Path]
    """The folder of each cell that has ended."""


def sweep_record(declared: Declaration, workdirs: Sequence[Path], shown: Shown = Shown()) -> Sweep:  # noqa: B008
    """The record of `sweep.json` from the cells in the workdirs.

    Args:
      shown: the verdicts that were shown before.

    Raises:
      RecordError: if two workdirs have different results for a cell.
    """
    cells = _read_cells(declared, workdirs)
    conditions = _judged(_conditions(declared, cells), _waiting(cells.records), shown)
    done = [result for result in cells.results.values() if isinstance(result, Done)]
    tested = bool(done) and all(result.evaluated_on == "test" for result in done)
    statuses = [cell.status for cell in cells.records]
    shared = {name: getattr(declared, name) for name in Declaration.__struct_fields__}
    return Sweep(
        **shared,
        reported_on="test" if tested else "val",
        tuned=[name for name in TUNED if name in declared.grid],
        counts=CellCounts(
            done=statuses.count("done"),
            diverged=statuses.count("diverged"),
            failed=statuses.count("failed"),
            pending=statuses.count("pending"),
        ),
        cells=cells.records,
        conditions=conditions,
        environments=_environments(cells),
    )


def _environments(cells: Cells) -> list[TrainedIn] | UnsetType:
    """The environments in which the cells were trained: for each network its seeds, at whatever point."""
    found: list[TrainedIn] = []
    for point in dict.fromkeys(key.point for key in cells.results):
        results: dict[str, dict[int, Result | None]] = {}
        for key, result in cells.results.items():
            if key.point == point:
                results.setdefault(key.architecture, {})[key.seed] = result
        for group in trained_in(results) or ():
            same = [each for each in found if not numeric_differences(each.environment, group.environment)]
            if not same:
                found.append(group)
                continue
            for name, seeds in group.replicas.items():
                same[0].replicas[name] = sorted({*same[0].replicas.get(name, ()), *seeds})
    return found or UNSET


def _read_cells(declared: Declaration, workdirs: Sequence[Path]) -> Cells:
    records: list[CellRecord] = []
    results: dict[Key, Result | None] = {}
    folders: dict[Key, Path] = {}
    for point in declared.points:
        for name in declared.architectures:
            for seed in declared.seeds:
                key = Key(point, name, seed)
                place = Path("cells") / point / "runs" / name / f"seed{seed}"
                result, reason = None, None
                for workdir in workdirs:
                    found, why = _ended(workdir / place)
                    if found is not None and result is not None and _untimed(found) != _untimed(result):
                        raise RecordError(f"{workdir / place}: another result than in {folders[key]}")
                    if found is not None and result is None:
                        result, folders[key] = found, workdir / place
                    reason = reason or why
                status: CellStatus = result.status if result else "failed" if reason else "pending"
                if isinstance(result, Diverged):
                    at = result.diverged_at
                    reason = f"loss not finite in epoch {at.epoch}, step {at.step}"
                results[key] = result
                records.append(
                    CellRecord(
                        point=point,
                        architecture=name,
                        seed=seed,
                        status=status,
                        reason=reason if status != "done" else None,
                        folder=str(folders.get(key, workdirs[0] / place)),
                        seconds=result.timing.seconds if result else None,
                    )
                )
    return Cells(records, results, folders)


def _ended(folder: Path) -> tuple[Result | None, str | None]:
    """The result of a cell that has ended, and the reason of one that has failed."""
    try:
        result = finished_result(folder)
        path = folder / FAILURE
        failure = read_record(path, Failure) if result is None and path.exists() else None
    except DamagedRecord as error:
        return None, f"damaged: {error}"
    return result, None if failure is None else f"{failure.kind}: {failure.reason}"


def _untimed(result: Result) -> dict[str, Any]:
    """What has to be equal in two results of one cell: all but its time, and how and where it was trained."""
    return {**msgspec.structs.asdict(result), "timing": None, "trained_as": None, "environments": None}


def looks_of_sweep(record: Sweep) -> list[Look]:
    """The looks that a sweep shows: its verdicts on networks of which no cell is pending."""
    pairs = [(condition, pair) for condition in record.conditions for pair in condition.comparisons]
    waiting = _waiting(record.cells)
    return looks_of(
        *([pair for _, pair in pairs], (), record.recipe_version, resjax.__version__),
        conditions=[condition.label for condition, _ in pairs],
        waiting=[place for place, each in enumerate(pairs) if _waits(*each, waiting)],
    )


def _waiting(cells: Sequence[CellRecord]) -> set[tuple[str, str]]:
    """The points and networks of pending cells. One that failed is not waited for."""
    return {(cell.point, cell.architecture) for cell in cells if cell.status == "pending"}


def _waits(condition: Condition, pair: Comparison, waiting: set[tuple[str, str]]) -> bool:
    """Whether a cell of the pair is pending at any setting: another setting may become the best one."""
    names = (pair.baseline, pair.candidate)
    return any((point, name) in waiting for point in condition.points for name in names)


def _judged(conditions: list[Condition], waiting: set[tuple[str, str]], shown: Shown) -> list[Condition]:
    """The conditions with the verdicts of their comparisons, which are judged together."""
    pairs = [(condition, pair) for condition in conditions for pair in condition.comparisons]
    labels = [condition.label for condition, _ in pairs]
    comparisons = with_earlier_looks([pair for _, pair in pairs], shown, labels)
    seeds = max(len(of.status) for each in conditions for net in each.networks.values() for of in net.settings.values())
    verdicts = iter(judged(comparisons, [seeds if _waits(*each, waiting) else None for each in pairs]))
    return [replace(each, comparisons=[next(verdicts) for _ in each.comparisons]) for each in conditions]


def _conditions(declared: Declaration, cells: Cells) -> list[Condition]:
    """What the results say under each condition: the choices other than learning rate and weight decay."""
    points: dict[str, list[str]] = {}
    conditions: dict[str, dict[str, Any]] = {}
    for point, choices in declared.points.items():
        condition = {name: value for name, value in choices.items() if name not in TUNED}
        label = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in condition.items())
        conditions[label] = condition
        points.setdefault(label, []).append(point)
    twins = sorted(twins_among(_known(declared.architectures)))
    pairs = [(pair.baseline, pair.candidate) for pair in twins]
    if not pairs:
        baseline, *others = declared.architectures
        pairs = [(baseline, other) for other in others]
    return [
        _ConditionResults(declared, points[label], cells).condition(label, condition, pairs, len(conditions))
        for label, condition in conditions.items()
    ]


class _ConditionResults:
    """The cells of one condition: several points that differ in learning rate and weight decay alone."""

    def __init__(self, declared: Declaration, points: Sequence[str], cells: Cells):
        self.declared, self.points, self.folders = declared, points, cells.folders
        self.candidates: dict[str, dict[str, Results]] = {
            name: {point: {seed: cells.results[Key(point, name, seed)] for seed in declared.seeds} for point in points}
            for name in declared.architectures
        }
        """The results by network, point and seed."""

    def condition(
        self, label: str, condition: dict[str, Any], pairs: Sequence[tuple[str, str]], conditions: int
    ) -> Condition:
        """The record of the condition, with comparisons of the pairs that are not judged yet.

        Args:
          conditions: how many there are; the comparisons of all of them are judged together.
        """
        names, seeds = self.declared.architectures, self.declared.seeds
        choices = {name: tuning.choose(self.candidates[name]) for name in names}
        chosen: dict[str, Results] = {
            name: self.candidates[name][choice.name] if choice else dict.fromkeys(seeds)
            for name, choice in choices.items()
        }
        sides = {result.evaluated_on for results in chosen.values() for result in results.values() if result}
        side: Reported = "test" if "test" in sides else "val"
        answers = {
            name: self._correct(choice.name, name, chosen[name], side) if choice else {}
            for name, choice in choices.items()
        }
        groups = self._groups(side)
        evidence = None if groups is None else Evidence(answers, groups)
        comparisons = differences_of_networks(chosen, pairs, evidence, comparisons_in_all=len(pairs) * conditions)
        networks = {name: self._network(name, choice, side, groups) for name, choice in choices.items()}
        families = sorted(families_of_twins(_known(names)), key=min)
        depth = [differences_by_depth(family, chosen) for family in families]
        return Condition(
            label=label,
            condition=condition,
            points=list(self.points),
            networks=networks,
            comparisons=[
                replace(pair, settings={name: networks[name].chosen for name in (pair.baseline, pair.candidate)})
                for pair in comparisons
            ],
            at_equal_settings=[
                EqualSettings(
                    baseline=baseline,
                    candidate=candidate,
                    points=tuning.paired_means(self.candidates[baseline], self.candidates[candidate]),
                )
                for baseline, candidate in pairs
            ],
            depth=[family for family in depth if family is not None] or None,
        )

    def _network(
        self, name: str, choice: tuning.Choice | None, side: Reported, groups: np.ndarray | None
    ) -> TunedNetwork:
        candidates = self.candidates[name]
        others = tuning.chosen_by_others(candidates)
        tuned = {flag: values for flag, values in self.declared.grid.items() if flag in TUNED}
        at = {flag: self.declared.points[choice.name][flag] for flag in tuned} if choice else {}
        depth, family = _depth_and_family(name)
        return TunedNetwork(
            depth=depth,
            family=family,
            settings={point: _setting(results) for point, results in candidates.items()},
            chosen=choice.name if choice else None,
            choices=at,
            edges=tuning.edges(at, tuned) if choice else [],
            chosen_by_others=describe(list(others.values())) if others else None,
            optimism_of_choice=self._optimism(name, groups) if side == "val" else None,
        )

    def _optimism(self, name: str, groups: np.ndarray | None) -> float | None:
        if groups is None:
            return None
        correct = {
            point: self._correct(point, name, results, "val") for point, results in self.candidates[name].items()
        }
        return tuning.optimism_of_choice(correct, groups)

    def _correct(self, point: str, name: str, results: Results, side: Reported) -> dict[int, np.ndarray]:
        """Which images of a side each finished replica has right, if its predictions were kept."""
        done = [seed for seed, result in results.items() if isinstance(result, Done)]
        found = {seed: correctness(self.folders[Key(point, name, seed)], side) for seed in done}
        return {seed: correct for seed, correct in found.items() if correct is not None}

    def _groups(self, side: Reported) -> np.ndarray | None:
        """The duplicate group of each image of a side, in the order of the predictions; None without `split.json`."""
        for key, folder in self.folders.items():
            path = folder.parents[2] / "split.json"
            if key.point in self.points and path.exists():
                names = [image.group for image in read_record(path, SplitRecord).images if image.side == side]
                return np.unique(names, return_inverse=True)[1] if names else None
        return None


def _setting(results: Results) -> Setting:
    done = [result for result in results.values() if isinstance(result, Done)]
    tested = [result.accuracy for result in done if result.evaluated_on == "test"]
    return Setting(
        status={seed: result.status if result else "pending" for seed, result in results.items()},
        best_val_accuracy=describe([tuning.val_accuracy(result) for result in done]),
        final_train_accuracy=describe([result.last.train_accuracy for result in done]),
        test_accuracy=describe(tested) if tested else None,
    )


def _known(names: Sequence[str]) -> list[Architecture]:
    """The architectures of those names that the table knows; twins are looked for among them."""
    return [architecture(name) for name in names if (parts := parse_name(name)) and parts.sizes()]


def _depth_and_family(architecture: str) -> tuple[int | None, str]:
    """The depth in an architecture's name, and the rest of the name."""
    name = parse_name(architecture)
    depth = name.depth if name else None
    return depth, architecture.replace(str(depth), "", 1)
