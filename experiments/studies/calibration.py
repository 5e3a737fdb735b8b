"""Do the verdicts keep their promise? Simulates comparisons whose true difference is known, and counts errors.

  python -m experiments.studies.calibration --comparisons=2000 --json=experiments/results/calibration/cells.jsonl

Whole histories are simulated, and the best epoch is chosen on the images that it is scored on, as `compare` does it
(see `simulated_histories`). No network is trained. The true difference is that of the best epochs on new images with
new seeds: zero where both networks are drawn alike, and otherwise the mean of other simulated comparisons. The study
prints tables of false verdicts, coverage of the 95 % intervals, power, equivalence, and plans next to what was found.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags
from jaxtyping import Float, Int

from resjax.cli.flags.paths import define_path
from resjax.cli.program import Command, run_command
from resjax.evaluation.comparison.measures import MEASURES
from resjax.evaluation.comparison.statistics.intervals import (
    Components,
    bca_interval,
    components_of_images,
    components_of_seeds,
    group_sums,
    two_level_bootstrap,
)
from resjax.evaluation.comparison.statistics.paired_tests import one_sided_sign_flip_test, sign_flip_test
from resjax.evaluation.comparison.statistics.planning import LEVEL, LOOKS, assumed_components, level_of_looks, power_of
from resjax.training.recipe import require_range

from .calibration_tables import (
    AT_CHANCE,
    FINISHED,
    Alternative,
    Calibration,
    Cell,
    Counts,
    Planned,
    calibration_tables,
    write_calibration,
)
from .simulated_histories import CLASSES, Answers, World, draw_answers, draw_groups

FLAGS = flags.FLAGS
SEEDS = (2, 3, 4, 6, 8, 12, 20)
TRUTHS = {
    "itself": World(),
    "equal": World(other_images=True),
    "+5": World(other_images=True, shift=0.35),
    "+10": World(other_images=True, shift=0.7),
}
"""A network with itself, two equally accurate networks that are good at different images, and about 5 and 10 points."""
MARGINS = {"accuracy": 0.1, "balanced_accuracy": 0.1, "macro_f1": 0.1, "log_loss": 0.3}
"""Within which equally good networks are to be called equivalent. Networks that differ get their true difference."""
ALTERNATIVES = 500
"""The number of comparisons for other intervals, which take long."""
MANY_IMAGES = 20_000
"""On so many images, single answers add nearly nothing to the spread between seeds."""


class Outcome(NamedTuple):
    """What a comparison ends in, by the rule of `resjax.evaluation.comparison.verdict.judged`."""

    mean: float
    covers: bool | None
    """Whether the interval contains the true difference; None if there is no interval."""
    verdict: bool
    """Whether one network is called better."""
    equivalent: bool


class Sample(NamedTuple):
    """What each image adds to the difference of a measure, for the seeds of one analysis."""

    sums: Float[np.ndarray, "seed group"]
    sizes: Int[np.ndarray, " group"]
    means: Float[np.ndarray, " seed"]
    kept: np.ndarray
    """Which of the seeds take part, (seed,)."""

    def components(self, seeds: int) -> tuple[Components | None, Float[np.ndarray, " kept"]]:
        """Of the first `seeds` seeds: the parts of the variance, None with fewer than two, and the differences."""
        kept = self.kept[:seeds]
        rows = self.sums[:seeds][kept]
        return (components_of_images(rows, self.sizes) if len(rows) > 1 else None), self.means[:seeds][kept]


def outcome(
    found: Components | None, differences: Float[np.ndarray, " seed"], truth: float, level: float, margin: float
) -> Outcome:
    """The verdict without its p values, whose search takes long."""
    if found is None:
        return Outcome(float(np.mean(differences)) if len(differences) else 0.0, None, False, False)
    interval = found.interval(level)
    covers = None if interval is None else interval[0] <= truth <= interval[1]
    verdict = (interval is None or not interval[0] <= 0 <= interval[1]) and _at_most(sign_flip_test, differences, level)
    # A one-sided p is at most the level where the interval of twice the level ends within the margin.
    inner = found.interval(2 * level) or (found.mean, found.mean)
    equivalent = (
        not verdict
        and -margin <= inner[0]
        and inner[1] <= margin
        and _at_most(one_sided_sign_flip_test, margin + differences, level)
        and _at_most(one_sided_sign_flip_test, margin - differences, level)
    )
    return Outcome(found.mean, covers, verdict, equivalent)


def _at_most(test: Callable, differences: Float[np.ndarray, " seed"], level: float) -> bool:
    if test is one_sided_sign_flip_test and 2.0 ** -len(differences) <= level and min(differences) > 0:
        # No other flip has so high a mean.
        return True
    p_value = test(differences.tolist())
    return p_value is not None and p_value <= level


def samples(answers: Answers, measure: str) -> dict[str, Sample]:
    """The differences of a simulated comparison, without the seeds that diverged, and with those at chance."""
    contributions = np.stack(
        [
            [np.asarray(MEASURES[measure].contributions(logits, answers.labels), float) for logits in of_network]
            for of_network in answers.logits
        ]
    )
    failed = answers.diverged
    kept = {FINISHED: np.asarray(~failed.any(0))}
    of_analysis = {FINISHED: contributions}
    if failed.any():
        chance = MEASURES[measure].at_chance(CLASSES)
        of_analysis[AT_CHANCE] = np.where(failed[..., None], chance, contributions)
        kept[AT_CHANCE] = np.ones(failed.shape[1], bool)
    found = {}
    for analysis, values in of_analysis.items():
        sums, sizes = group_sums(values[1] - values[0], answers.groups)
        found[analysis] = Sample(sums, sizes, sums.sum(1) / sizes.sum(), kept[analysis])
    return found


def true_differences(world: World, measures: Sequence[str], count: int) -> dict[tuple[str, str], float]:
    """The expected difference by measure and analysis: exact where both networks are drawn alike."""
    analyses = [FINISHED, *([AT_CHANCE] if any(world.diverging) else [])]
    truths = dict.fromkeys([(measure, analysis) for measure in measures for analysis in analyses], 0.0)
    even = world.diverging[0] == world.diverging[1]
    if not world.shift and even:
        return truths
    rng = np.random.default_rng([1, *_numbers(world)])
    means: dict[tuple[str, str], list[float]] = {}
    for _ in range(count):
        answers = draw_answers(world, max(SEEDS), rng)
        for measure in measures:
            for analysis, sample in samples(answers, measure).items():
                means.setdefault((measure, analysis), []).append(float(sample.means[sample.kept].mean()))
    # Divergence does not depend on how good a replica is: without it only a shift makes a difference.
    estimated = {key: float(np.mean(each)) for key, each in means.items() if world.shift or key[1] == AT_CHANCE}
    return truths | estimated


def _numbers(world: World) -> list[int]:
    """Every world has random numbers of its own, the same on every machine."""
    diverging = [round(100 * share) for share in world.diverging]
    parts = [round(100 * world.shift), world.other_images, world.images, world.copies, world.imbalanced, *diverging]
    return [int(part) for part in parts]


def assess(truth: str, world: World, measures: Sequence[str], comparisons: int) -> list[Cell]:
    """A cell for each measure and analysis, with the counts by number of seeds, and with seeds that are added."""
    truths = true_differences(world, measures, comparisons)
    margins = {key: abs(value) or MARGINS[key[0]] for key, value in truths.items()}
    judged = {key: {str(seeds): _Counter() for seeds in (*SEEDS, "auto")} for key in truths}
    spread = {key: [] for key in truths}
    rng = np.random.default_rng([0, *_numbers(world)])
    for _ in range(comparisons):
        answers = draw_answers(world, max(SEEDS), rng)
        for measure in measures:
            for analysis, sample in samples(answers, measure).items():
                key = measure, analysis
                at_hand = truths[key], margins[key], analysis == FINISHED and measure == "accuracy"
                _count(judged[key], sample, *at_hand)
                spread[key].append(sample.means[sample.kept].var(ddof=1))
    return [
        Cell(
            truth=truth,
            images=world.images,
            copies=world.copies,
            imbalanced=world.imbalanced,
            diverging=world.diverging,
            metric=measure,
            analysis=analysis,
            comparisons=comparisons,
            true_difference=round(truths[measure, analysis], 5),
            margin=round(margins[measure, analysis], 5),
            spread=round(float(np.mean(spread[measure, analysis])) ** 0.5, 5),
            by_seeds={seeds: each.counts() for seeds, each in counters.items()},
        )
        for (measure, analysis), counters in judged.items()
    ]


class _Counter:
    """Counts the outcomes of a cell with one number of seeds."""

    def __init__(self):
        self.verdicts = self.wrong = self.intervals = self.covered = self.equivalent = 0
        self.by_signs: int | None = None
        self.seeds: list[int] = []

    def add(self, one: Outcome, truth: float) -> None:
        self.verdicts += one.verdict
        self.wrong += one.verdict and (not truth or one.mean * truth < 0)
        self.intervals += one.covers is not None
        self.covered += bool(one.covers)

    def counts(self) -> Counts:
        return Counts(
            verdicts=self.verdicts,
            wrong=self.wrong,
            intervals=self.intervals,
            covered=self.covered,
            equivalent=self.equivalent,
            by_signs=self.by_signs,
            mean_seeds=round(float(np.mean(self.seeds)), 2) if self.seeds else None,
        )


def _count(counters: dict[str, _Counter], sample: Sample, truth: float, margin: float, signs_alone: bool) -> None:
    found = {seeds: sample.components(seeds) for seeds in {*SEEDS, *LOOKS}}
    for seeds in SEEDS:
        counter = counters[str(seeds)]
        one = outcome(*found[seeds], truth, LEVEL, margin)
        counter.add(one, truth)
        counter.equivalent += one.equivalent
        if signs_alone:
            counter.by_signs = (counter.by_signs or 0) + _at_most(sign_flip_test, found[seeds][1], LEVEL)
    counter, level = counters["auto"], level_of_looks(len(LOOKS))
    looks = {seeds: outcome(*found[seeds], truth, level, margin) for seeds in LOOKS}
    seeds, ended = next(((seeds, one) for seeds, one in looks.items() if one.verdict), (LOOKS[-1], looks[LOOKS[-1]]))
    counter.add(ended, truth)
    counter.seeds.append(seeds)
    # With a margin a comparison also ends where the networks are equivalent.
    first = next((one for one in looks.values() if one.verdict or one.equivalent), ended)
    counter.equivalent += first.equivalent


def planned_and_found(cells: Sequence[Cell], group_samples: int = 100) -> list[Planned]:
    """The power that a plan promises for the true difference of each shifted world, and the power that was found.

    The plan is told what a user may assume: how the difference spreads between seeds on ever more images, the
    accuracy, and the sizes of the groups.
    """
    rng = np.random.default_rng(2)
    large = World(other_images=True, images=MANY_IMAGES, copies=False)
    drawn = [draw_answers(large, max(SEEDS), rng) for _ in range(6)]
    right = np.stack([answers.logits.argmax(-1) == answers.labels for answers in drawn])
    by_seed = right.mean(-1)
    spread = round(float((by_seed[:, 1] - by_seed[:, 0]).var(1, ddof=1).mean() ** 0.5), 4)
    accuracy = round(float(by_seed.mean()), 3)
    plans = []
    for cell in cells:
        if cell.metric != "accuracy" or cell.analysis != FINISHED or cell.truth not in ("+5", "+10") or cell.imbalanced:
            continue
        world = replace(TRUTHS[cell.truth], images=cell.images, copies=cell.copies)
        sizes = [np.bincount(draw_groups(rng, world)) for _ in range(group_samples)]
        for seeds in (each for each in SEEDS if each >= 6):
            promised = [
                power_of(assumed_components(each, spread, accuracy), seeds, cell.true_difference) for each in sizes
            ]
            plans.append(
                Planned(
                    images=cell.images,
                    copies=cell.copies,
                    seeds=seeds,
                    spread=spread,
                    accuracy=accuracy,
                    difference=cell.true_difference,
                    planned=round(float(np.mean(promised)), 4),
                    found=cell.by_seeds[str(seeds)].verdicts / cell.comparisons,
                    comparisons=cell.comparisons,
                )
            )
    return plans


def assess_alternatives(comparisons: int, truth: float) -> list[Alternative]:
    """The coverage of other 95 % intervals for networks that differ by 10 points on 230 images with copies."""
    world, rng = TRUTHS["+10"], np.random.default_rng(3)
    covered: dict[tuple[str, int], list[bool]] = {}
    for _ in range(comparisons):
        answers = draw_answers(world, max(SEEDS), rng)
        sums, sizes, means, _ = samples(answers, "accuracy")[FINISHED]
        right = (answers.logits.argmax(-1) == answers.labels).astype(int)
        alone = group_sums(right[1] - right[0], np.arange(world.images))
        for seeds in (3, 6, 20):
            intervals = {
                "t over seeds alone": components_of_seeds(means[:seeds].tolist()).interval(),
                "BCa bootstrap over seeds": bca_interval(means[:seeds].tolist(), resamples=1_000),
                "percentile bootstrap over seeds and groups": two_level_bootstrap(sums[:seeds], sizes, resamples=500),
                "t over seeds and images, copies taken for pictures": components_of_images(
                    alone[0][:seeds], alone[1]
                ).interval(),
                "t over seeds and groups (ours)": components_of_images(sums[:seeds], sizes).interval(),
            }
            for name, interval in intervals.items():
                if interval is not None:
                    covered.setdefault((name, seeds), []).append(interval[0] <= truth <= interval[1])
    return [
        Alternative(alternative=name, seeds=seeds, comparisons=len(hits), covered=round(float(np.mean(hits)), 5))
        for (name, seeds), hits in covered.items()
    ]


def worlds() -> list[tuple[str, World, tuple[str, ...]]]:
    """What is simulated: the truth, the world, and the measures that are judged in it."""
    every, accuracy = tuple(MEASURES), ("accuracy",)
    cases = [(truth, world, every) for truth, world in TRUTHS.items()]
    for truth, world in TRUTHS.items():
        cases += [(truth, replace(world, images=images), accuracy) for images in (100, 1000)]
        cases.append((truth, replace(world, copies=False), accuracy))
    cases += [(truth, replace(TRUTHS[truth], imbalanced=True), every) for truth in ("equal", "+10")]
    for diverging in ((0.15, 0.15), (0.3, 0.0)):
        cases.append(("equal", replace(TRUTHS["equal"], diverging=diverging), every))
    return cases


def define_calibration_flags() -> None:
    flags.DEFINE_integer("comparisons", 2000, "simulated comparisons for each cell of the tables")
    define_path("json", None, "file for the records, one a line; by default none is written")


def main() -> None:
    require_range("--comparisons", FLAGS.comparisons, 1)
    found = Calibration([], [], [])
    for truth, world, measures in worlds():
        found.cells.extend(assess(truth, world, measures, FLAGS.comparisons))
        print(f"{truth}, {world}: done", flush=True)
        _write(found)
    found.plans.extend(planned_and_found(found.cells))
    ten = next(cell.true_difference for cell in found.cells if cell.truth == "+10")
    found.alternatives.extend(assess_alternatives(min(ALTERNATIVES, FLAGS.comparisons), ten))
    _write(found)
    print("\n" + calibration_tables(found))


def _write(found: Calibration) -> None:
    if FLAGS.json:
        Path(FLAGS.json).parent.mkdir(parents=True, exist_ok=True)
        write_calibration(FLAGS.json, found)


COMMAND = Command("studies.calibration", __doc__ or "", main, (define_calibration_flags,))

if __name__ == "__main__":
    run_command(COMMAND)
