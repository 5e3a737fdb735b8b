"""Several workdirs of the same data and recipe as one comparison: seeds that were trained apart, or arms."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from resjax.errors import RecordError
from resjax.evaluation.comparison.summary import compare_arms, summarize_arm
from resjax.records.recipe_flags import OUTSIDE_RECIPE
from resjax.records.run_records import RunRecords


def merged(workdirs: Sequence[Path], records: Sequence[RunRecords]) -> RunRecords:
    """One comparison of all the replicas of several workdirs; the arms keep the order in which they first occur.

    Raises:
      RecordError: where data, recipe or an arm differ, or two workdirs disagree on the result of one replica.
    """
    first = records[0]
    for workdir, other in zip(workdirs[1:], records[1:], strict=True):
        if changed := _changes(first.summary, other.summary):
            raise RecordError(f"{workdir} and {workdirs[0]} are not of one recipe ({'; '.join(changed)})")
    results: dict[str, dict[int, dict | None]] = {}
    folders: dict[str, dict[int, Path]] = {}
    ledgers: dict[str, dict] = {}
    for workdir, each in zip(workdirs, records, strict=True):
        for arm, by_seed in each.results().items():
            ledgers.setdefault(arm, each.summary["architectures"][arm])
            for seed, result in by_seed.items():
                before = results.setdefault(arm, {}).get(seed)
                if before is None:
                    results[arm][seed] = result
                    folders.setdefault(arm, {})[seed] = each.folders[arm][seed]
                elif result is not None and before | {"timing": None} != result | {"timing": None}:
                    raise RecordError(f"{workdir}: seed {seed} of {arm} has another result than in {workdirs[0]}")
    classes = first.summary["dataset"]["classes"]
    architectures = {}
    for arm, by_seed in results.items():
        summarized = summarize_arm({seed: by_seed[seed] for seed in sorted(by_seed)}, classes)
        # The best epoch's test or leaked accuracy may lack in one part and be there in another: those are made anew.
        costs = {key: value for key, value in ledgers[arm].items() if key in _LEDGER}
        architectures[arm] = costs | summarized
    summary = first.summary | {
        "architectures": architectures,
        "comparisons": compare_arms(results, *_right_answers(results, folders, first)),
        "merged": [{key: each.summary[key] for key in ("config", "environment")} for each in records],
    }
    thumbnails = {name: uri for each in records for name, uri in each.thumbnails.items()}
    return RunRecords(summary, folders, first.dataset, first.split, thumbnails)


_LEDGER = ("parameters", "forward_flops", "forward_flops_xla", "activation_bytes", "init_from")
"""What an arm's part of a summary says of the network alone."""


def _right_answers(
    results: Mapping[str, Mapping[int, dict | None]], folders: Mapping[str, Mapping[int, Path]], first: RunRecords
) -> tuple[dict[str, dict[int, np.ndarray]], np.ndarray] | tuple[None, None]:
    """Which images each finished replica has right, and their groups of copies; nothing where one does not know."""
    together = replace(first, folders=folders)
    correct: dict[str, dict[int, np.ndarray]] = {arm: {} for arm in results}
    ids = None
    for arm, by_seed in results.items():
        for seed, result in by_seed.items():
            if result is not None and result["status"] == "done":
                found = together.predictions(arm, seed, result["evaluated_on"])
                if found is None or (ids is not None and found.ids != ids):
                    return None, None
                ids = found.ids
                correct[arm][seed] = found.logits.argmax(-1) == found.labels
    group_of = {image["id"]: image["group"] for image in (first.split or {"images": []})["images"]}
    if ids is None or not group_of.keys() >= set(ids):
        return None, None
    return correct, np.unique([group_of[name] for name in ids], return_inverse=True)[1]


def _changes(one: dict, other: dict) -> list[str]:
    """A phrase for each difference of data, recipe or arms between two summaries."""
    flags = [flag for flag in one["config"] if flag in other["config"] and flag not in OUTSIDE_RECIPE]
    changed = [
        f"--{flag}={one['config'][flag]} and {other['config'][flag]}"
        for flag in flags
        if one["config"][flag] != other["config"][flag]
    ]
    if one["dataset"]["fingerprint"] != other["dataset"]["fingerprint"]:
        changed.append("other images, labels or sides")
    for arm in one["architectures"]:
        if arm in other["architectures"]:
            parts = one["architectures"][arm], other["architectures"][arm]
            if parts[0]["parameters"] != parts[1]["parameters"]:
                changed.append(f"{arm} of another size")
            if parts[0].get("init_from") != parts[1].get("init_from"):
                changed.append(f"{arm} started from other weights")
    return changed
