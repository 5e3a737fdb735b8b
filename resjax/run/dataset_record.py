"""`dataset.json`: what is known of the data, the same from an audit and from a comparison."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from resjax.data.dataset import Dataset, Exclusion
from resjax.data.duplicates.groups import copy_groups, expected_leak
from resjax.data.splits import SIDES, VAL_FRACTION
from resjax.report.records import SCHEMA_VERSION


def dataset_record(
    dataset: Dataset,
    *,
    val_fraction: float | None = None,
    findings: Iterable[Exclusion] | None = None,
) -> dict:
    """What is known of the data, for `dataset.json`.

    Args:
      dataset: its `groups` are those of pictures, near-copies included, where these were looked for.
      val_fraction: of the random splits whose leak is expected; None stands for what a split has by default.
      findings: what an audit found about single files; None where nobody looked.
    """
    val_fraction = VAL_FRACTION if val_fraction is None else val_fraction
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes)).tolist()
    exact = np.unique(dataset.contents, return_inverse=True)[1].reshape(-1)
    groups = copy_groups(dataset.groups, dataset.labels, dataset.contents, dataset.thumbnails)
    described = [
        {
            "ids": [dataset.ids[image] for image in group.images],
            "contents": [dataset.contents[image] for image in group.images],
            "labels": [dataset.classes[dataset.labels[image]] for image in group.images],
            "weakest_link": group.weakest_link,
        }
        for group in groups
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "name": dataset.name,
        "classes": dict(zip(dataset.classes, counts, strict=True)),
        "images": len(dataset.ids),
        "distinct_contents": len(set(dataset.contents)),
        "distinct_pictures": len(np.unique(dataset.groups)),
        "pictures_of_class": {
            name: len(np.unique(dataset.groups[dataset.labels == label])) for label, name in enumerate(dataset.classes)
        },
        "decoded": dataset.details["decoded"],
        "excluded": _listed(dataset.exclusions),
        "findings": None if findings is None else _listed(findings),
        "expected_leak": {
            "val_fraction": val_fraction,
            "exact": expected_leak(exact, dataset.labels, val_fraction),
            "pictures": expected_leak(dataset.groups, dataset.labels, val_fraction),
        },
        "given_split": None if dataset.sides is None else _given_split(dataset, dataset.sides),
        "conflicts": [record["ids"] for group, record in zip(groups, described, strict=True) if group.in_conflict],
        "groups": described,
    }


def _given_split(dataset: Dataset, sides: Sequence[str]) -> dict:
    """The split that the data came with, and its images of val and test that have a copy on another side."""
    counts = Counter(sides)
    sides_of_group = defaultdict(set)
    for group, side in zip(dataset.groups.tolist(), sides, strict=True):
        sides_of_group[group].add(side)
    leaked = [
        name
        for name, group, side in zip(dataset.ids, dataset.groups.tolist(), sides, strict=True)
        if side != "train" and len(sides_of_group[group]) > 1
    ]
    return {"images": {side: counts[side] for side in SIDES if side in counts}, "leaked": leaked}


def _listed(entries: Iterable[Exclusion]) -> list[dict]:
    return [{"id": entry.id, "reason": entry.reason, "detail": entry.detail} for entry in entries]
