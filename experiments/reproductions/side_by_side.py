"""The record of a reproduction: published numbers beside those of the comparisons that were run for it."""

import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from resjax.evaluation.comparison.designs.depth import differences_by_depth
from resjax.evaluation.comparison.statistics.describing import describe
from resjax.evaluation.comparison.summary import METRICS
from resjax.evaluation.metrics import per_class_scores
from resjax.models.architecture import Architecture
from resjax.models.twins import families_of_twins, pairs_of_one_depth
from resjax.records import (
    ClassScores,
    Config,
    Done,
    OwnNumbers,
    PairNumbers,
    Recalls,
    ReproductionRecord,
    Result,
    SplitDifferences,
    Splits,
    Status,
    Summary,
    read_record,
)
from resjax.report.cautions import data_note, leak_warning
from resjax.run.workdir.sound_records import finished_result

from .recipes import Reproduction

Results = Mapping[int, Result | None]
"""The result of each seed, None for a pending replica."""


class Finished(NamedTuple):
    """A comparison that was run, on one split."""

    split: str
    """The name of the split; empty if there is only one."""
    folder: Path
    summary: Summary
    results: Mapping[str, Results]
    """The results by network."""


def reproduction_record(
    target: str,
    reproduction: Reproduction,
    comparisons: Sequence[Path],
    architectures: Sequence[Architecture],
    departures: Sequence[str],
    *,
    quick: bool,
    flags: Config,
) -> ReproductionRecord:
    """The record of `reproduction.json`.

    Args:
      comparisons: the workdirs that were run, each a comparison on one split or on several.
      architectures: all networks.
      departures: how this run differs from the published experiment.
    """
    runs = [run for workdir in comparisons for run in _finished(workdir)]
    by_split: dict[str, dict[str, Results]] = {}
    for run in runs:
        by_split.setdefault(run.split, {}).update(run.results)
    pairs = pairs_of_one_depth(architectures)
    first = runs[0].summary
    names = {each.name for each in architectures}
    notes = [data_note(first.dataset.name), *(leak_warning(run.summary.dataset) for run in runs)]
    families = families_of_twins(architectures) if len(by_split) == 1 else []
    depth = [differences_by_depth(twins, by_split[runs[0].split]) for twins in families]
    return ReproductionRecord(
        target=target,
        title=reproduction.title,
        quantity=reproduction.quantity,
        quick=quick,
        command=" ".join(["python -m experiments.reproduce", *map(shlex.quote, sys.argv[1:])]),
        environment=replace(first.environment, processor=processor()),
        replica_seconds=sum(
            result.timing.seconds
            for networks in by_split.values()
            for results in networks.values()
            for result in results.values()
            if result
        ),
        config=dict(flags),
        dataset=first.dataset.name,
        reports=[str((run.folder / "report.html").relative_to(comparisons[0].parent)) for run in runs],
        notes=[note for note in dict.fromkeys(notes) if note],
        departures=list(departures),
        measures=dict(reproduction.measures),
        published=[each for each in reproduction.published if each.network in names],
        own=[
            OwnNumbers(
                split=split,
                network=name,
                seeds=list(results),
                status=_status(results),
                measures={metric: describe(_values(results, metric)) for metric in reproduction.measures},
            )
            for split, networks in by_split.items()
            for name, results in networks.items()
        ],
        pairs=[
            PairNumbers(
                baseline=baseline,
                candidate=candidate,
                own=[
                    SplitDifferences(
                        split=split,
                        measures={
                            metric: describe(_differences(networks[baseline], networks[candidate], metric))
                            for metric in reproduction.measures
                        },
                    )
                    for split, networks in by_split.items()
                    if baseline in networks and candidate in networks
                ],
            )
            for baseline, candidate in pairs
        ],
        depth=[family for family in depth if family] or None,
        recalls=_recalls(reproduction, runs) or None,
        sentences=[
            f"split {run.split}: {pair.sentence}" if run.split else pair.sentence
            for run in runs
            for pair in run.summary.comparisons
            if (pair.baseline, pair.candidate) in pairs and pair.mean is not None
        ],
    )


def processor() -> str:
    """The name of the processor, for the record."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _finished(workdir: Path) -> list[Finished]:
    """The comparisons in a workdir: one, or one on each of several splits."""
    folders = {"": workdir}
    if (workdir / "splits.json").exists():
        folders = {name: workdir / name for name in read_record(workdir / "splits.json", Splits).splits}
    return [
        Finished(split, folder, summary, _results(folder, summary))
        for split, folder in folders.items()
        for summary in [read_record(folder / "summary.json", Summary)]
    ]


def _results(folder: Path, summary: Summary) -> dict[str, Results]:
    return {
        name: {seed: finished_result(folder / "runs" / name / f"seed{seed}") for seed in network.seeds}
        for name, network in summary.architectures.items()
    }


def _status(results: Results) -> dict[int, Status]:
    return {seed: "pending" if result is None else result.status for seed, result in results.items()}


def _value(result: Result | None, metric: str) -> float | None:
    """A metric of `METRICS`, or a key of the last epoch's line; None if the replica does not have it."""
    if not isinstance(result, Done):
        return None
    value = METRICS[metric](result) if metric in METRICS else getattr(result.last, metric)
    return value if isinstance(value, float) else None


def _values(results: Results, metric: str) -> list[float]:
    return [value for result in results.values() if (value := _value(result, metric)) is not None]


def _differences(baseline: Results, candidate: Results, metric: str) -> list[float]:
    pairs = [
        (_value(baseline[seed], metric), _value(candidate[seed], metric)) for seed in baseline if seed in candidate
    ]
    return [second - first for first, second in pairs if first is not None and second is not None]


def _recalls(reproduction: Reproduction, runs: Sequence[Finished]) -> list[Recalls]:
    """Published and own recalls of each class, for the networks of which a confusion matrix was published."""
    found = []
    for name, confusion in reproduction.confusion.items():
        scores = per_class_scores(np.array(confusion), reproduction.class_names)
        found.append(Recalls(of="published", network=name, classes=_recall(scores)))
        found += [
            Recalls(
                of=f"ours, split {run.split}" if run.split else "ours",
                network=name,
                classes=_recall(run.summary.architectures[name].per_class),
            )
            for run in runs
            if name in run.summary.architectures
        ]
    return found


def _recall(scores: Mapping[str, ClassScores]) -> dict[str, float]:
    return {name: each.recall for name, each in scores.items()}
