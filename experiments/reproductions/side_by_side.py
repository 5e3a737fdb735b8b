"""The record of a reproduction: published numbers and those of the comparisons that were run for it."""

import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from experiments.reproductions.recipes import Reproduction
from resjax.evaluation.comparison.depth import differences_by_depth
from resjax.evaluation.comparison.statistics import describe
from resjax.evaluation.comparison.summary import METRICS
from resjax.evaluation.metrics import per_class_scores
from resjax.models.architecture import Architecture
from resjax.models.twins import families_of_twins, pairs_of_one_depth
from resjax.report.figures.run import data_note, leak_warning, split_of
from resjax.report.records import SCHEMA_VERSION, read_json
from resjax.run.replica_folder import finished_result

Results = Mapping[str, Mapping[int, Mapping[str, Any] | None]]
"""The result of each replica by arm and seed, None of a pending one."""


def reproduction_record(
    target: str,
    reproduction: Reproduction,
    comparisons: Sequence[Path],
    architectures: Sequence[Architecture],
    departures: Sequence[str],
    *,
    quick: bool,
    flags: Mapping[str, object],
) -> dict[str, Any]:
    """The record of `reproduction.json`.

    Args:
      comparisons: the workdirs that were run, each a comparison on one split or on several.
      architectures: all arms.
      departures: in what this run is another experiment than the published one.
    """
    runs = [run for workdir in comparisons for run in _runs(workdir)]
    summaries = {folder: read_json(folder / "summary.json") for _, folder in runs}
    results = {folder: _results(folder, summary) for folder, summary in summaries.items()}
    by_split: dict[str, dict[str, Mapping[int, Any]]] = {}
    for split, folder in runs:
        by_split.setdefault(split, {}).update(results[folder])
    pairs = pairs_of_one_depth(architectures)
    first = next(iter(summaries.values()))
    names = {arm.name for arm in architectures}
    notes = [data_note(first["dataset"]["name"])]
    notes += [leak_warning(split_of(summary["dataset"])) for summary in summaries.values()]
    families = families_of_twins(architectures) if len(by_split) == 1 else []
    return {
        "schema_version": SCHEMA_VERSION,
        "target": target,
        "title": reproduction.title,
        "quantity": reproduction.quantity,
        "quick": quick,
        "command": " ".join(["python -m experiments.reproduce", *map(shlex.quote, sys.argv[1:])]),
        "environment": first["environment"] | {"processor": processor()},
        "replica_seconds": sum(
            result["timing"]["seconds"]
            for arms in by_split.values()
            for seeds in arms.values()
            for result in seeds.values()
            if result
        ),
        "config": dict(flags),
        "dataset": first["dataset"]["name"],
        "reports": [str((folder / "report.html").relative_to(comparisons[0].parent)) for _, folder in runs],
        "notes": [note for note in dict.fromkeys(notes) if note],
        "departures": list(departures),
        "measures": dict(reproduction.measures),
        "published": [asdict(each) for each in reproduction.published if each.arm in names],
        "own": [
            {"split": split, "arm": arm, "seeds": list(seeds), "status": _status(seeds)}
            | {"measures": {metric: describe(_values(seeds, metric)) for metric in reproduction.measures}}
            for split, arms in by_split.items()
            for arm, seeds in arms.items()
        ],
        "pairs": [
            {"baseline": baseline, "candidate": candidate}
            | {
                "own": [
                    {"split": split}
                    | {
                        "measures": {
                            metric: describe(_differences(arms[baseline], arms[candidate], metric))
                            for metric in reproduction.measures
                        }
                    }
                    for split, arms in by_split.items()
                    if baseline in arms and candidate in arms
                ]
            }
            for baseline, candidate in pairs
        ],
        "depth": [
            record for twins in families if (record := differences_by_depth(twins, next(iter(by_split.values()))))
        ]
        or None,
        "recalls": _recalls(reproduction, runs, summaries) or None,
        "sentences": [
            f"split {split}: {pair['sentence']}" if split else pair["sentence"]
            for split, folder in runs
            for pair in summaries[folder]["comparisons"]
            if (pair["baseline"], pair["candidate"]) in pairs and pair["mean"] is not None
        ],
    }


def processor() -> str:
    """The name of the processor, for the record."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _runs(workdir: Path) -> list[tuple[str, Path]]:
    """The comparisons in a workdir: the name of the split where there are several, and the folder."""
    if (workdir / "splits.json").exists():
        return [(name, workdir / name) for name in read_json(workdir / "splits.json")["splits"]]
    return [("", workdir)]


def _results(folder: Path, summary: Mapping[str, Any]) -> dict[str, dict[int, Any]]:
    return {
        name: {seed: finished_result(folder / "runs" / name / f"seed{seed}") for seed in arm["seeds"]}
        for name, arm in summary["architectures"].items()
    }


def _status(seeds: Mapping[int, Any]) -> dict[str, str]:
    return {str(seed): "pending" if result is None else result["status"] for seed, result in seeds.items()}


def _value(result: Mapping[str, Any] | None, metric: str) -> float | None:
    if result is None or result["status"] != "done":
        return None
    return METRICS[metric](result) if metric in METRICS else result["last"][metric]


def _values(seeds: Mapping[int, Any], metric: str) -> list[float]:
    return [value for result in seeds.values() if (value := _value(result, metric)) is not None]


def _differences(baseline: Mapping[int, Any], candidate: Mapping[int, Any], metric: str) -> list[float]:
    pairs = [
        (_value(baseline[seed], metric), _value(candidate[seed], metric)) for seed in baseline if seed in candidate
    ]
    return [second - first for first, second in pairs if first is not None and second is not None]


def _recalls(
    reproduction: Reproduction, runs: Sequence[tuple[str, Path]], summaries: Mapping[Path, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Published and own recalls of each class, for the arms of which a confusion matrix was published."""
    found = []
    for arm, confusion in reproduction.confusion.items():
        scores = per_class_scores(np.array(confusion), reproduction.class_names)
        found.append({"of": "published", "arm": arm, "classes": _recall(scores)})
        found += [
            {"of": f"ours, split {split}" if split else "ours", "arm": arm}
            | {"classes": _recall(summaries[folder]["architectures"][arm]["per_class"])}
            for split, folder in runs
            if arm in summaries[folder]["architectures"]
        ]
    return found


def _recall(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: each["recall"] for name, each in scores.items()}
