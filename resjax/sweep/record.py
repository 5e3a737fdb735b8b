"""`sweep.json`: what a sweep was told, how each cell stands, and what its results say. Made from records alone."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resjax.data.dataset import Dataset
from resjax.data.splits import FAULTS, Split, find_leaks
from resjax.errors import DamagedRecord, RecordError
from resjax.evaluation.answers import right_answers
from resjax.evaluation.comparison import tuning
from resjax.evaluation.comparison.depth import differences_by_depth
from resjax.evaluation.comparison.statistics import describe
from resjax.evaluation.comparison.summary import differences_of_arms
from resjax.evaluation.comparison.verdict import judged
from resjax.models.architecture import Architecture, architecture
from resjax.models.names import parse_name
from resjax.models.twins import families_of_twins, twins_among
from resjax.records.recipe_flags import OUTSIDE_RECIPE
from resjax.report.records import SCHEMA_VERSION, read_json
from resjax.report.storage import plain
from resjax.run.replica_folder import finished_result
from resjax.sweep.cells import FAILURE
from resjax.sweep.grid import TUNED, SweepSettings
from resjax.training.recipe import RECIPE_VERSION

DECLARED = ("recipe_version", "config", "grid", "points", "architectures", "seeds")
"""What tells sweeps apart, with the fingerprint of the data."""


def declaration(asked: SweepSettings, dataset: Dataset, split: Split, environment: Mapping[str, Any]) -> dict[str, Any]:
    """What the sweep was told, with a fingerprint of all that its results depend on."""
    from resjax.run.comparison import data_fingerprint

    record = {
        "recipe_version": RECIPE_VERSION,
        "config": asked.fixed,
        "grid": {name: list(values) for name, values in asked.grid.items()},
        "points": {point.name: dict(point.choices) for point in asked.points},
        "architectures": asked.architectures,
        "seeds": list(asked.base.seeds),
        "dataset": {
            "name": dataset.name,
            "fingerprint": data_fingerprint(dataset, split),
            "classes": list(dataset.classes),
            "images": len(dataset.ids),
            "split": split.method,
            "split_label": split.label,
            "split_is_faulty": split.method in FAULTS,
            "splits": {side: len(indices) for side, indices in split.sides.items()},
            "leaked": {side: len(images) for side, images in find_leaks(split, dataset.groups).items()},
        },
        "environment": dict(environment),
    }
    return plain(record) | {"fingerprint": fingerprint(plain(record))}


def fingerprint(declared: Mapping[str, Any]) -> str:
    """A hash of what has to be equal in shards of one sweep."""
    parts = [declared[name] for name in DECLARED if name != "config"]
    parts += [_recipe(declared["config"]), declared["dataset"]["fingerprint"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def differing(one: Mapping[str, Any], other: Mapping[str, Any], *, grid: bool = True) -> list[str]:
    """A phrase for each difference between two declarations; without `grid`, those of the grid, arms and seeds are
    none: a sweep may grow."""
    found = []
    first, second = _recipe(one["config"]), _recipe(other["config"])
    for flag in first.keys() & second.keys():
        if first[flag] != second[flag]:
            found.append(f"--{flag} {first[flag]} and {second[flag]}")
    if one["recipe_version"] != other["recipe_version"]:
        found.append(f"the training itself: version {one['recipe_version']} and {other['recipe_version']}")
    if one["dataset"]["fingerprint"] != other["dataset"]["fingerprint"]:
        found.append(f"the images or their split ({one['dataset']['name']} and {other['dataset']['name']})")
    if grid:
        for name, words in {"architectures": "--architectures", "seeds": "--seeds"}.items():
            if one[name] != other[name]:
                found.append(f"{words} {','.join(map(str, one[name]))} and {','.join(map(str, other[name]))}")
        if one["grid"] != other["grid"]:
            found.append(f"the grid {_words(one['grid'])} and {_words(other['grid'])}")
    return sorted(found)


def sweep_record(declared: Mapping[str, Any], workdirs: Sequence[Path]) -> dict[str, Any]:
    """The record of `sweep.json` from the cells that lie in the workdirs.

    Raises:
      RecordError: where two workdirs disagree on a cell.
    """
    cells, results, folders = _cells(declared, workdirs)
    conditions = _conditions(declared, results, folders)
    comparisons = [pair for condition in conditions for pair in condition["comparisons"]]
    for pair, verdict in zip(comparisons, judged(comparisons), strict=True):
        pair.update(verdict)
    done = [result for result in results.values() if result and result["status"] == "done"]
    tested = bool(done) and all(result["evaluated_on"] == "test" for result in done)
    return plain(
        {
            "schema_version": SCHEMA_VERSION,
            **declared,
            "reported_on": "test" if tested else "val",
            "tuned": [name for name in TUNED if name in declared["grid"]],
            "counts": {status: sum(cell["status"] == status for cell in cells) for status in STATUSES},
            "cells": cells,
            "conditions": conditions,
        }
    )


STATUSES = ("done", "diverged", "failed", "pending")
Key = tuple[str, str, int]
"""Point, architecture, seed."""


def _cells(
    declared: Mapping[str, Any], workdirs: Sequence[Path]
) -> tuple[list[dict[str, Any]], dict[Key, dict | None], dict[Key, Path]]:
    """How each cell stands, its result, and the folder that it was found in."""
    cells, results, folders = [], {}, {}
    for point in declared["points"]:
        for arm in declared["architectures"]:
            for seed in declared["seeds"]:
                key = (point, arm, seed)
                where = Path("cells") / point / "runs" / arm / f"seed{seed}"
                result, reason = None, None
                for workdir in workdirs:
                    found, why = _ended(workdir / where)
                    if found is not None and result is not None and _untimed(found) != _untimed(result):
                        raise RecordError(f"{workdir / where}: another result than in {folders[key]}")
                    if found is not None and result is None:
                        result, folders[key] = found, workdir / where
                    reason = reason or why
                status = result["status"] if result else "failed" if reason else "pending"
                if result and result["status"] == "diverged":
                    at = result["diverged_at"]
                    reason = f"loss not finite in epoch {at['epoch']}, step {at['step']}"
                results[key] = result
                cells.append(
                    {
                        "point": point,
                        "architecture": arm,
                        "seed": seed,
                        "status": status,
                        "reason": reason if status != "done" else None,
                        "folder": str(folders.get(key, workdirs[0] / where)),
                        "seconds": result["timing"]["seconds"] if result else None,
                    }
                )
    return cells, results, folders


def _ended(folder: Path) -> tuple[dict | None, str | None]:
    """The result of a cell that has ended, and why one has not."""
    try:
        result = finished_result(folder)
        failure = read_json(folder / FAILURE) if result is None and (folder / FAILURE).exists() else None
    except DamagedRecord as error:
        return None, f"damaged: {error}"
    return result, None if failure is None else f"{failure['kind']}: {failure['reason']}"


def _untimed(result: dict) -> dict:
    return result | {"timing": None, "trained_as": None}


def _conditions(
    declared: Mapping[str, Any], results: Mapping[Key, dict | None], folders: Mapping[Key, Path]
) -> list[dict[str, Any]]:
    """What the results say under each condition: the choices that are no learning rate and no decay."""
    by_condition: dict[str, list[str]] = {}
    conditions: dict[str, dict[str, Any]] = {}
    for point, choices in declared["points"].items():
        condition = {name: value for name, value in choices.items() if name not in TUNED}
        label = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in condition.items())
        conditions[label] = condition
        by_condition.setdefault(label, []).append(point)
    twins = sorted(twins_among(_known(declared["architectures"])))
    pairs = [(pair.baseline, pair.candidate) for pair in twins]
    if not pairs:
        baseline, *others = declared["architectures"]
        pairs = [(baseline, other) for other in others]
    return [
        {"label": label, "condition": conditions[label]}
        | _condition(declared, points, pairs, len(pairs) * len(by_condition), results, folders)
        for label, points in by_condition.items()
    ]


def _condition(
    declared: Mapping[str, Any],
    points: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    comparisons_in_all: int,
    results: Mapping[Key, dict | None],
    folders: Mapping[Key, Path],
) -> dict[str, Any]:
    seeds, arms = declared["seeds"], declared["architectures"]
    candidates = {arm: {point: {seed: results[point, arm, seed] for seed in seeds} for point in points} for arm in arms}
    choices = {arm: tuning.choose(candidates[arm]) for arm in arms}
    chosen = {arm: candidates[arm][choice.name] if choice else dict.fromkeys(seeds) for arm, choice in choices.items()}
    sides = {r["evaluated_on"] for by_seed in chosen.values() for r in by_seed.values() if r is not None}
    side = "test" if "test" in sides else "val"
    answers = {
        arm: _answers(folders, [(choice.name, arm, seed) for seed in seeds], chosen[arm], side) if choice else {}
        for arm, choice in choices.items()
    }
    groups = _groups(folders, points, side)
    families = sorted(families_of_twins(_known(arms)), key=min)
    comparisons = differences_of_arms(chosen, pairs, answers, groups, comparisons_in_all=comparisons_in_all)
    described = {
        arm: _place(arm)
        | _arm(declared, points, candidates[arm], choice)
        | {"optimism_of_choice": _optimism(arm, points, candidates[arm], folders, groups) if side == "val" else None}
        for arm, choice in choices.items()
    }
    for pair in comparisons:
        pair["settings"] = {arm: described[arm]["chosen"] for arm in (pair["baseline"], pair["candidate"])}
    return {
        "points": list(points),
        "arms": described,
        "comparisons": comparisons,
        "at_equal_settings": [
            {"baseline": baseline, "candidate": candidate}
            | {"points": tuning.paired_means(candidates[baseline], candidates[candidate])}
            for baseline, candidate in pairs
        ],
        "depth": [record for family in families if (record := differences_by_depth(family, chosen)) is not None]
        or None,
    }


def _arm(
    declared: Mapping[str, Any],
    points: Sequence[str],
    candidates: Mapping[str, tuning.Results],
    choice: tuning.Choice | None,
) -> dict[str, Any]:
    """An arm under one condition: every setting of it, the best one, and what choosing it is worth."""
    settings = {}
    for point in points:
        done = [r for r in candidates[point].values() if r is not None and r["status"] == "done"]
        tested = [result["accuracy"] for result in done if result["evaluated_on"] == "test"]
        settings[point] = {
            "status": {str(seed): r["status"] if r else "pending" for seed, r in candidates[point].items()},
            "best_val_accuracy": describe([tuning.val_accuracy(result) for result in done]),
            "final_train_accuracy": describe([result["last"]["train_accuracy"] for result in done]),
            "test_accuracy": describe(tested) if tested else None,
        }
    others = tuning.chosen_by_others(candidates)
    tuned = {name: values for name, values in declared["grid"].items() if name in TUNED}
    at = {name: declared["points"][choice.name][name] for name in tuned} if choice else {}
    return {
        "settings": settings,
        "chosen": choice.name if choice else None,
        "choices": at,
        "edges": tuning.edges(at, tuned) if choice else [],
        "chosen_by_others": describe(list(others.values())) if others else None,
    }


def _optimism(
    arm: str,
    points: Sequence[str],
    candidates: Mapping[str, tuning.Results],
    folders: Mapping[Key, Path],
    groups: np.ndarray | None,
) -> float | None:
    if groups is None:
        return None
    correct = {
        point: _answers(folders, [(point, arm, seed) for seed in candidates[point]], candidates[point], "val")
        for point in points
    }
    return tuning.optimism_of_choice(correct, groups)


def _answers(
    folders: Mapping[Key, Path], keys: Sequence[Key], results: tuning.Results, side: str
) -> dict[int, np.ndarray]:
    """Which images of a side each finished replica has right, where its predictions were kept."""
    found = {}
    for key in keys:
        result = results[key[2]]
        if result is not None and result["status"] == "done":
            right = right_answers(folders[key], side)
            if right is not None:
                found[key[2]] = right
    return found


def _groups(folders: Mapping[Key, Path], points: Sequence[str], side: str) -> np.ndarray | None:
    """The groups of copies among a side's images, in the order of the predictions: ascending, as in `split.json`."""
    for key, folder in folders.items():
        path = folder.parents[2] / "split.json"
        if key[0] in points and path.exists():
            names = [image["group"] for image in read_json(path)["images"] if image["side"] == side]
            return np.unique(names, return_inverse=True)[1] if names else None
    return None


def _known(names: Sequence[str]) -> list[Architecture]:
    """The architectures that are known by these names; a record holds nothing else of them."""
    return [architecture(name) for name in names if (parts := parse_name(name)) and parts.sizes()]


def _place(arm: str) -> dict[str, Any]:
    """The depth in an architecture's name, and the rest of it."""
    name = parse_name(arm)
    depth = name.depth if name else None
    return {"depth": depth, "family": arm.replace(str(depth), "", 1)}


def _recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    return {flag: value for flag, value in config.items() if flag not in OUTSIDE_RECIPE}


def _words(grid: Mapping[str, Sequence[object]]) -> str:
    return " ".join(f"{name}={','.join(map(str, values))}" for name, values in grid.items()) or "(none)"
