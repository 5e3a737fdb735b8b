"""A finished sweep made of records alone: no image is decoded and no network trained."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from resjax.records import NUMERICS_VERSION, Declaration, Failure, Sweep, SweepDataset, write_record
from resjax.sweep.declaration import with_fingerprint
from resjax.sweep.record import sweep_record
from tests.made_run import environment, make_run

BEST, WORST = "learning_rate0.001_weight_decay0.0", "learning_rate0.01_weight_decay0.0001"
"""The points of `make_uneven_sweep` at which plain networks are best and worst."""


def make_uneven_sweep(workdir: Path) -> Sweep:
    """A sweep at two depths in which cells diverged, failed and are pending."""
    return make_sweep(
        workdir,
        diverged=[(WORST, "plain20", 1), (WORST, "plain20", 4)],
        failed=[(WORST, "resnet8", 2)],
        pending=[(BEST, "resnet8", 5)],
    )


def make_sweep(
    workdir: Path,
    *,
    depths: Sequence[int] = (8, 20),
    grid: Mapping[str, Sequence[object]] | None = None,
    seeds: Sequence[int] = tuple(range(8)),
    images: int = 60,
    diverged: Sequence[tuple[str, str, int]] = (),
    failed: Sequence[tuple[str, str, int]] = (),
    pending: Sequence[tuple[str, str, int]] = (),
    leaked: int = 0,
) -> Sweep:
    """Writes the cells of a sweep into `workdir` and returns its record, which is there too.

    The plain networks are best at the first point and get worse with depth, the residual ones at the last and do not.
    Cells that ended otherwise are named by point, architecture and seed.
    """
    grid = {"learning_rate": (1e-3, 1e-2), "weight_decay": (0.0, 1e-4)} if grid is None else grid
    points = {
        "_".join(f"{name}{value}" for name, value in zip(grid, values, strict=True)): dict(
            zip(grid, values, strict=True)
        )
        for values in product(*grid.values())
    }
    networks = [f"{family}{depth}" for depth in depths for family in ("plain", "resnet")]
    for place, point in enumerate(points):
        shares = {}
        for network in networks:
            is_plain, deep = network.startswith("plain"), network.endswith(str(max(depths)))
            shares[network] = 0.7 - 0.08 * place - 0.25 * deep if is_plain else 0.6 + 0.08 * place
        make_run(
            workdir / "cells" / point,
            shares,
            seeds=seeds,
            images=images,
            leaked=leaked,
            diverged=[(network, seed) for of, network, seed in diverged if of == point],
            pending=[(network, seed) for of, network, seed in (*pending, *failed) if of == point],
        )
    for point, network, seed in failed:
        folder = workdir / "cells" / point / "runs" / network / f"seed{seed}"
        folder.mkdir(parents=True)
        failure = Failure(architecture=network, seed=seed, kind="out of memory", reason="too small")
        write_record(folder / "failure.json", failure)
    config = {"epochs": 6, "dataset": "made", "seeds": str(len(seeds)), "weight_decay": 5e-4}
    declared = Declaration(
        recipe_version=NUMERICS_VERSION,
        config={name: value for name, value in config.items() if name not in grid},
        grid={name: list(values) for name, values in grid.items()},
        points=points,
        architectures=networks,
        seeds=list(seeds),
        dataset=SweepDataset(
            name="made",
            fingerprint="0123456789abcdef",
            classes=["bakso", "gado_gado", "soto_ayam"],
            images=4 * images,
            split="random" if leaked else "grouped",
            split_label="random (faulty: shown on purpose)" if leaked else "grouped",
            split_is_faulty=leaked > 0,
            splits={"train": 3 * images, "val": images, "test": 0},
            leaked={"val": leaked, "test": 0},
        ),
        environment=environment(),
        fingerprint="",
    )
    record = sweep_record(with_fingerprint(declared), [workdir])
    write_record(workdir / "sweep.json", record)
    return record
