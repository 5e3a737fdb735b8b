"""The plan of a comparison: how many seeds show which difference on these images, before anything is trained."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from resjax.data.decoding import THUMBNAIL_SIZE
from resjax.errors import BadInput
from resjax.evaluation.comparison.measures import metric_name
from resjax.evaluation.comparison.paired import Scores, components
from resjax.evaluation.comparison.statistics.intervals import Components
from resjax.evaluation.comparison.statistics.planning import (
    DISAGREEMENT,
    LEVEL,
    MOST_SEEDS,
    assumed_components,
    level_of_looks,
    looks_until,
    smallest_detectable,
    smallest_margin,
)
from resjax.evaluation.run_evaluation import contributions
from resjax.records import write_record
from resjax.records.kinds.comparison import Comparison
from resjax.records.kinds.plan import Assumptions, Plan, PlannedLooks, PlannedSeeds
from resjax.records.run_records import RunRecords, read_run_records
from resjax.report.figures.plan_figure import draw_plan
from resjax.report.plan_text import plan_text
from resjax.run.settings import SourceSettings, SplitSettings
from resjax.run.setup.dataset import load_dataset, require_outside_images, whole_splits
from resjax.run.workdir.ownership import require_own

SEEDS = (6, 8, 12, 20, 30, 50)
EVER_MORE = 10_000
"""So many seeds leave nothing but the variance of the images."""


@dataclass(frozen=True)
class PlanQuestion:
    """What the plan is asked, in fractions (nats for the log loss)."""

    comparisons: int = 1
    """That will be judged together."""
    margin: float | None = None
    difference: float | None = None
    most_seeds: int = 20
    """Of --seeds=auto."""


@dataclass(frozen=True)
class Ground:
    """What a plan rests on."""

    source: str
    sizes: Int[np.ndarray, " group"]
    """How many images each duplicate group has."""
    metric: str
    found: Components
    assumptions: Assumptions | None = None
    pilot: str | None = None


def ground_of_images(
    source: str, sizes: Int[np.ndarray, " group"], spread: float, accuracy: float, disagreement: float | None
) -> Ground:
    """From assumptions on the networks, all fractions (see `assumed_components`)."""
    if disagreement is None:
        disagreement = DISAGREEMENT * 2 * accuracy * (1 - accuracy)
    found = assumed_components(sizes, spread, accuracy, disagreement)
    assumed = Assumptions(spread=spread, accuracy=accuracy, disagreement=disagreement)
    return Ground(source, sizes, metric_name("accuracy", tested=False), found, assumed)


def reported_groups(source: SourceSettings, split: SplitSettings) -> tuple[str, Int[np.ndarray, " group"]]:
    """The side that `compare` would report on, in words, and the sizes of its duplicate groups.

    Raises:
      BadInput: if the data cannot be used, or several splits are asked for.
    """
    if split.folds or len(split.methods) > 1:
        raise BadInput("a plan is for one split: expected neither --folds nor several in --split")
    _, dataset = load_dataset(source, THUMBNAIL_SIZE)
    (made,) = whole_splits(split, dataset).values()
    side = "test" if len(made.sides["test"]) else "val"
    sizes = np.unique(dataset.groups[made.sides[side]], return_counts=True)[1]
    words = {"val": "validation", "test": "test"}[side]
    return f"{dataset.name}, {words} images of --split={made.method}", sizes


def ground_of_pilot(workdir: Path) -> Ground:
    """From the comparison of a finished run that varies most between its seeds.

    Raises:
      BadInput: if there is no run, or no comparison of two seeds or more whose predictions were kept.
      RecordError: if a record of it cannot be read.
    """
    if not (workdir / "summary.json").exists():
        raise BadInput(f"--pilot={workdir}: no summary.json there; expected the workdir of a comparison")
    records = read_run_records(workdir)
    grounds = [each for pair in records.summary.comparisons if (each := _ground_of_pair(workdir, records, pair))]
    if not grounds:
        raise BadInput(
            f"--pilot={workdir}: expected a comparison of two seeds or more, with split.json and predictions.npz"
        )
    return max(grounds, key=lambda each: each.found.over_seeds)


def _ground_of_pair(workdir: Path, records: RunRecords, pair: Comparison) -> Ground | None:
    if len(pair.seeds) < 2 or records.split is None:
        return None
    side = "test" if pair.metric.startswith("test_") else "val"
    measure = pair.metric.removeprefix("test_").removeprefix("best_val_")
    groups = np.unique([each.group for each in records.split.images if each.side == side], return_inverse=True)[1]
    answers = [
        [contributions(records.folders[name][seed], side, measure) for seed in pair.seeds]
        for name in (pair.baseline, pair.candidate)
    ]
    known = [[each for each in of_network if each is not None] for of_network in answers]
    if any(len(of_network) < len(pair.seeds) for of_network in known):
        return None
    found, by_group = components(pair.differences, Scores(np.stack(known[0]), np.stack(known[1]), groups))
    if found is None or by_group is None or not found.variance:
        return None
    # For its number of seeds, so that the plan may take others: of two, as of assumptions.
    between = found.over_seeds * (found.seed_degrees + 1)
    return Ground(
        f"{records.summary.dataset.name}, {side} images",
        by_group[1],
        pair.metric,
        found._replace(mean=0.0, over_seeds=between / 2, seed_degrees=1),
        pilot=f"{pair.candidate} minus {pair.baseline} in {workdir}, {len(pair.seeds)} seeds",
    )


def make_plan(ground: Ground, question: PlanQuestion) -> Plan:
    """The plan, at the level that the first step of Holm's correction leaves to one of the comparisons."""
    found, level = ground.found, LEVEL / question.comparisons
    looks = looks_until(question.most_seeds)
    at_look = level_of_looks(len(looks)) / question.comparisons
    return Plan(
        source=ground.source,
        images=int(ground.sizes.sum()),
        groups=len(ground.sizes),
        metric=ground.metric,
        level=level,
        comparisons=question.comparisons,
        assumptions=ground.assumptions,
        pilot=ground.pilot,
        over_seeds=2 * found.over_seeds,
        over_images=found.over_images,
        by_seeds=[
            PlannedSeeds(
                seeds=seeds,
                detectable=smallest_detectable(found, seeds, level),
                margin=smallest_margin(found, seeds, level),
            )
            for seeds in SEEDS
        ],
        auto=PlannedLooks(
            seeds=looks[-1],
            detectable=smallest_detectable(found, looks[-1], at_look),
            margin=smallest_margin(found, looks[-1], at_look),
            looks=list(looks),
            level=at_look,
        ),
        detectable_at_best=smallest_detectable(found, EVER_MORE, level),
        margin=question.margin,
        seeds_for_margin=_fewest(question.margin, lambda seeds: smallest_margin(found, seeds, level)),
        difference=question.difference,
        seeds_for_difference=_fewest(question.difference, lambda seeds: smallest_detectable(found, seeds, level)),
    )


def _fewest(wanted: float | None, shown: Callable[[int], float | None]) -> int | None:
    if wanted is None:
        return None
    return next((n for n in range(2, MOST_SEEDS + 1) if (least := shown(n)) is not None and least <= wanted), None)


def write_plan(ground: Ground, question: PlanQuestion, workdir: Path, source: SourceSettings | None = None) -> Plan:
    """Prints the plan and writes `plan.json` and its picture into the workdir.

    Raises:
      BadInput: if the workdir cannot be written, lies among the images, or has somebody else's files of these names.
    """
    if source is not None:
        require_outside_images(source, workdir)
    require_own(workdir, ("plan.json", "plan.png", "plan.svg"), ("plan.json",))
    plan = make_plan(ground, question)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        write_record(workdir / "plan.json", plan)
        draw_plan(plan, workdir)
    except OSError as error:
        raise BadInput(f"--workdir={workdir}: {error.strerror}, expected a folder that can be written") from error
    print(plan_text(plan))
    print(f"\nplan.json, plan.png and plan.svg are in {workdir}")
    return plan
