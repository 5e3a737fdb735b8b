"""A sweep that trains in a moment: tiny networks on 80 drawn dishes, a quarter of them for test."""

from dataclasses import replace
from pathlib import Path

from resjax.models.architecture import Architecture
from resjax.run.settings import Settings, SourceSettings, SplitSettings
from resjax.sweep.grid import Point, SweepSettings, name_of
from resjax.training.recipe import Recipe

PLAIN = Architecture("plain", (1,), "none", stem="cifar", width=4)
RESIDUAL = Architecture("residual", (1,), "project", stem="cifar", width=4)


def asked_for(
    root: Path,
    cache: Path,
    rates: tuple[float, ...] = (1e-2, 1e-3),
    batches: tuple[int, ...] = (16,),
    shard: tuple[int, int] = (1, 1),
    seeds: tuple[int, ...] = (0, 1),
) -> SweepSettings:
    """The settings of a sweep of batch size and learning rate in `root`."""
    base = Settings(
        architectures=(PLAIN, RESIDUAL),
        seeds=seeds,
        source=SourceSettings("synthetic:80", None, None, cache, 1.0, True),
        split=SplitSettings((), 0, None, None, None, 0.25),
        image_size=8,
        pipeline="resident",
        recipe=Recipe(epochs=1, batch_size=16, augmentations=()),
        dtype="float32",
        init_from={},
        workdir=root,
        flags={"epochs": 1, "workdir": str(root), "width": 4, "stem": "cifar", "split": "", "folds": None},
    )
    points = []
    for batch in batches:
        for rate in rates:
            choices = {"batch_size": batch, "learning_rate": rate}
            recipe = replace(base.recipe, learning_rate=rate, batch_size=batch)
            workdir = root / "cells" / name_of(choices)
            told = base.flags | choices | {"workdir": str(workdir)}
            points.append(Point(name_of(choices), choices, replace(base, recipe=recipe, workdir=workdir, flags=told)))
    return SweepSettings(base, {"batch_size": batches, "learning_rate": rates}, tuple(points), shard)
