"""What a sweep was told: the declaration that all its shards share, its fingerprint, and how two of them differ."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from resjax.data.dataset import Dataset
from resjax.data.splits import FAULTS, Split, find_leaks
from resjax.records import NUMERICS_VERSION, Config, Declaration, Environment, SweepDataset, plain
from resjax.records.kinds.base import OUTSIDE_RECIPE
from resjax.run.setup.dataset import class_images, data_fingerprint
from resjax.sweep.grid import SweepSettings
from resjax.training.recipe import flag_defaults


def declare(asked: SweepSettings, dataset: Dataset, split: Split, environment: Environment) -> Declaration:
    """The declaration of a sweep on a data set and its split."""
    leaks = find_leaks(split, dataset.groups)
    declared = Declaration(
        recipe_version=NUMERICS_VERSION,
        config=asked.fixed,
        grid={name: list(values) for name, values in asked.grid.items()},
        points={point.name: dict(point.choices) for point in asked.points},
        architectures=asked.architectures,
        seeds=list(asked.base.seeds),
        dataset=SweepDataset(
            name=dataset.name,
            fingerprint=data_fingerprint(dataset, split),
            classes=list(dataset.classes),
            images=len(dataset.ids),
            split=split.method,
            split_label=split.label,
            split_is_faulty=split.method in FAULTS,
            splits={side: len(split.sides[side]) for side in ("train", "val", "test")},
            class_images=class_images(dataset, split),
            leaked={"val": len(leaks["val"]), "test": len(leaks["test"])},
        ),
        environment=environment,
        fingerprint="",
    )
    return with_fingerprint(declared)


def with_fingerprint(declared: Declaration) -> Declaration:
    """The declaration with a hash of everything that must be equal in the shards of one sweep."""
    parts = [
        *(declared.recipe_version, declared.grid, declared.points, declared.architectures, declared.seeds),
        *(recipe_flags(declared.config), declared.dataset.fingerprint),
    ]
    text = json.dumps(plain(parts), sort_keys=True)
    return replace(declared, fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16])


def differences(one: Declaration, other: Declaration, *, grid: bool = True) -> list[str]:
    """A phrase for each difference between two declarations.

    Without `grid`, differences in the grid, the networks and the seeds do not count: a sweep may grow.
    """
    found = []
    # One of the two was read from a file: plain values are compared, lists and not tuples.
    # A flag of the recipe that one of them did not know yet had its default there.
    unswept = {flag: value for flag, value in flag_defaults().items() if flag not in {*one.grid, *other.grid}}
    first, second = (plain(unswept | recipe_flags(each.config)) for each in (one, other))
    for flag in first.keys() & second.keys():
        if first[flag] != second[flag]:
            found.append(f"--{flag} {first[flag]} and {second[flag]}")
    if one.recipe_version != other.recipe_version:
        found.append(f"the numerics of training: version {one.recipe_version} and {other.recipe_version}")
    if one.dataset.fingerprint != other.dataset.fingerprint:
        found.append(f"the images or their split ({one.dataset.name} and {other.dataset.name})")
    if grid:
        for name in ("architectures", "seeds"):
            values = [getattr(each, name) for each in (one, other)]
            if values[0] != values[1]:
                found.append(f"--{name} {' and '.join(','.join(map(str, each)) for each in values)}")
        if one.grid != other.grid:
            found.append(f"the grid {_grid_text(one.grid)} and {_grid_text(other.grid)}")
    return sorted(found)


def recipe_flags(config: Config) -> dict[str, Any]:
    """The flags that decide what training a replica yields."""
    return {flag: value for flag, value in config.items() if flag not in OUTSIDE_RECIPE}


def _grid_text(grid: Mapping[str, Sequence[object]]) -> str:
    return " ".join(f"{name}={','.join(map(str, values))}" for name, values in grid.items()) or "(none)"
