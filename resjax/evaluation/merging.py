"""Several workdirs of the same data and recipe as one comparison: seeds, or networks, that were trained separately."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np

from resjax.errors import RecordError
from resjax.evaluation.comparison.comparing import Evidence, compare_networks
from resjax.evaluation.comparison.measures import MEASURES, Contributions
from resjax.evaluation.comparison.summary import summarize_network
from resjax.records import Done, NetworkCosts, Origin, Result, Summary, trained_in
from resjax.records.kinds.base import OUTSIDE_RECIPE
from resjax.records.run_records import RunRecords


def merged(workdirs: Sequence[Path], records: Sequence[RunRecords]) -> RunRecords:
    """One comparison of all replicas of several workdirs. Networks keep the order in which they first occur.

    Raises:
      RecordError: if data, recipe or a network differ, or two workdirs have different results of one replica.
    """
    first = records[0]
    for workdir, other in zip(workdirs[1:], records[1:], strict=True):
        if differing := _differing(first.summary, other.summary):
            raise RecordError(f"{workdir} and {workdirs[0]} are not of one recipe ({'; '.join(differing)})")
    results: dict[str, dict[int, Result | None]] = {}
    folders: dict[str, dict[int, Path]] = {}
    costs: dict[str, NetworkCosts] = {}
    for workdir, each in zip(workdirs, records, strict=True):
        for name, by_seed in each.results().items():
            costs.setdefault(name, each.summary.architectures[name])
            for seed, result in by_seed.items():
                before = results.setdefault(name, {}).get(seed)
                if before is None:
                    results[name][seed] = result
                    folders.setdefault(name, {})[seed] = each.folders[name][seed]
                elif result is not None and _untimed(before) != _untimed(result):
                    raise RecordError(f"{workdir}: seed {seed} of {name} has another result than in {workdirs[0]}")
    classes = first.summary.dataset.classes
    summary = msgspec.structs.replace(
        first.summary,
        architectures={
            name: summarize_network({seed: by_seed[seed] for seed in sorted(by_seed)}, classes, costs[name])
            for name, by_seed in results.items()
        },
        environments=trained_in(results),
        comparisons=compare_networks(results, [*combinations(results, 2)], _evidence(results, folders, first)),
        merged=[Origin(config=each.summary.config, environment=each.summary.environment) for each in records],
    )
    thumbnails = {name: uri for each in records for name, uri in each.thumbnails.items()}
    return RunRecords(summary, folders, first.dataset, first.split, thumbnails)


def _untimed(result: Result) -> dict[str, object]:
    return {**msgspec.structs.asdict(result), "timing": None, "environments": None}


def _evidence(
    results: Mapping[str, Mapping[int, Result | None]],
    folders: Mapping[str, Mapping[int, Path]],
    first: RunRecords,
    measure: str = "accuracy",
) -> Evidence | None:
    """What each image adds to the measure of each finished replica; None if that is not known of one."""
    together = replace(first, folders=folders)
    known: dict[str, dict[int, Contributions]] = {name: {} for name in results}
    ids = None
    for name, by_seed in results.items():
        for seed, result in by_seed.items():
            if isinstance(result, Done):
                found = together.predictions(name, seed, result.evaluated_on)
                if found is None or (ids is not None and found.ids != ids):
                    return None
                ids = found.ids
                known[name][seed] = MEASURES[measure].contributions(found.logits, found.labels)
    group_of = {image.id: image.group for image in first.split.images} if first.split else {}
    if ids is None or not group_of.keys() >= set(ids):
        return None
    return Evidence(known, np.unique([group_of[name] for name in ids], return_inverse=True)[1])


def _differing(one: Summary, other: Summary) -> list[str]:
    """A phrase for each difference of data, recipe or networks between two summaries."""
    flags = [flag for flag in one.config if flag in other.config and flag not in OUTSIDE_RECIPE]
    found = [
        f"--{flag}={one.config[flag]} and {other.config[flag]}"
        for flag in flags
        if one.config[flag] != other.config[flag]
    ]
    if one.dataset.fingerprint != other.dataset.fingerprint:
        found.append("different images, labels or sides")
    for name in [name for name in one.architectures if name in other.architectures]:
        first, second = one.architectures[name], other.architectures[name]
        if first.parameters != second.parameters:
            found.append(f"{name} of different sizes")
        if first.init_from != second.init_from:
            found.append(f"{name} started from different weights")
    return found
