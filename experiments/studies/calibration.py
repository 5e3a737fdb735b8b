"""Do the verdicts keep their promise? Simulates comparisons whose true difference is known, and counts errors.

  python -m experiments.studies.calibration --comparisons=2000 --json=experiments/results/calibration/cells.jsonl

Two networks answer the same images with the same seeds. An image is equally hard for both, a seed may be lucky for
both, one network may be better at some images and worse at others, and copies of a picture mostly get the same answer.
No network is trained. The study prints tables of false verdicts, coverage of the 95 % intervals, and power.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
from absl import flags
from msgspec.structs import replace

from resjax.cli.flags.paths import define_path
from resjax.cli.program import Command, run_command
from resjax.evaluation.comparison.intervals import (
    bca_interval,
    components_of_images,
    components_of_seeds,
    group_sums,
    two_level_bootstrap,
)
from resjax.evaluation.comparison.paired_tests import sign_flip_test
from resjax.evaluation.comparison.planning import LEVEL, LOOKS, level_of_looks, smallest_detectable
from resjax.records import Interval
from resjax.training.recipe import require_range

from .calibration_tables import Alternative, Calibration, Cell, Seeds, calibration_tables, write_calibration

FLAGS = flags.FLAGS
SEEDS = (3, 4, 5, 6, 8, 12, 20)
IMAGES = (100, 230, 1000, 5000)
TRUTHS = {"itself": (0.0, 0.0), "equal": (0.0, 1.0), "+5": (0.05, 1.0), "+10": (0.10, 1.0)}
"""The true difference, and how much the networks differ on single images (standard deviation in logits): a network with
itself, two equally accurate networks that are good at different images, and two known differences."""
ACCURACY = 0.6
HARDNESS = 2.0
"""Standard deviation of the hardness of images in logits: most are nearly always answered right, or always wrong."""
SEED_SD = 0.04
"""Standard deviation of a network's accuracy between seeds, 4 points: our networks have 3 to 8."""
SHARED_LUCK = 0.3
"""Fraction of the variance over seeds that both networks share: a pair has the same initial numbers and batches."""
MEAN_COPIES, MOST_COPIES = 1162 / 602, 12
"""The mean number of files per picture of the five dishes. The numbers are drawn from a geometric distribution."""
COPY_AGREES = 0.8
"""The probability that a copy gets the answer of its picture; otherwise it is answered on its own."""
ALTERNATIVES = 1000
"""The number of comparisons for other intervals, which take long."""


@dataclass(frozen=True)
class World:
    """The truth of a simulated comparison."""

    truth: str
    images: int
    copies: bool

    @property
    def difference(self) -> float:
        """The true difference of accuracy, a fraction."""
        return TRUTHS[self.truth][0]


def mean_accuracy(logit: float, sd: float) -> float:
    """The accuracy of a network whose logits are normal over images and seeds, by Gauss-Hermite quadrature."""
    from scipy.special import expit

    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return float(weights @ expit(logit + sd * nodes) / weights.sum())


def draw_comparisons(world: World, count: int, seeds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Differences of right answers, candidate minus baseline (seed, image) in -1, 0 or 1, and the images' groups."""
    from scipy.optimize import brentq
    from scipy.special import expit

    # Every world has random numbers of its own, the same on every machine.
    rng = np.random.default_rng([list(TRUTHS).index(world.truth), world.images, world.copies])
    by_image = TRUTHS[world.truth][1]
    slope = (mean_accuracy(0.01, HARDNESS) - mean_accuracy(-0.01, HARDNESS)) / 0.02
    luck = SEED_SD / slope
    spread = (HARDNESS**2 + luck**2 + by_image**2) ** 0.5
    logits = [
        brentq(lambda logit, accuracy=accuracy: mean_accuracy(logit, spread) - accuracy, -9, 9)
        for accuracy in (ACCURACY, ACCURACY + world.difference)
    ]
    for _ in range(count):
        groups = draw_groups(rng, world)
        pictures = int(groups[-1]) + 1
        hardness = HARDNESS * rng.standard_normal(pictures, np.float32)
        shared = SHARED_LUCK**0.5 * luck * rng.standard_normal((seeds, 1), np.float32)
        right = []
        for logit in logits:
            own = (1 - SHARED_LUCK) ** 0.5 * luck * rng.standard_normal((seeds, 1), np.float32)
            liking = by_image * rng.standard_normal(pictures, np.float32)
            chance = expit(np.float32(logit) + shared + own + hardness + liking)  # pyright: ignore[reportArgumentType]
            drawn = rng.random((seeds, pictures), np.float32)
            if world.copies:
                agrees = rng.random((seeds, world.images), np.float32) < COPY_AGREES
                drawn = np.where(agrees, drawn[:, groups], rng.random((seeds, world.images), np.float32))
                chance = chance[:, groups]
            right.append((drawn < chance).astype(np.int8))
        yield right[1] - right[0], groups


def draw_groups(rng: np.random.Generator, world: World) -> np.ndarray:
    """The group of each image: a picture of its own, or one of several copies of a picture."""
    if not world.copies:
        return np.arange(world.images)
    sizes = np.minimum(rng.geometric(1 / MEAN_COPIES, world.images), MOST_COPIES)
    return np.repeat(np.arange(world.images), sizes)[: world.images]


def assess(world: World, comparisons: int) -> list[Cell]:
    """A cell for each number of seeds, and one for seeds that are added until there is a verdict."""
    truth = world.difference
    counts: dict[int, dict[str, int]] = {
        seeds: dict.fromkeys(("verdicts", "wrong", "by_signs", "intervals", "covered"), 0) for seeds in SEEDS
    }
    added: dict[str, int] = dict.fromkeys(("verdicts", "wrong", "covered", "intervals", "seeds"), 0)
    detectable: dict[int, list[float]] = {seeds: [] for seeds in SEEDS}
    for differences, groups in draw_comparisons(world, comparisons, max(SEEDS)):
        sums, sizes = group_sums(differences, groups)
        means = differences.mean(1)
        found = {seeds: components_of_images(sums[:seeds], sizes) for seeds in {*SEEDS, *LOOKS}}
        by_signs = {seeds: _sign_flip_p(means[:seeds]) for seeds in found}
        for seeds in SEEDS:
            _count(counts[seeds], found[seeds], by_signs[seeds], LEVEL, truth)
            counts[seeds]["by_signs"] += by_signs[seeds] <= LEVEL
            seen = smallest_detectable(found[seeds], seeds)
            detectable[seeds] += [seen] if seen is not None else []
        level = level_of_looks(len(LOOKS))
        for seeds in LOOKS:
            if seeds == LOOKS[-1] or _is_verdict(found[seeds], by_signs[seeds], level):
                _count(added, found[seeds], by_signs[seeds], level, truth)
                added["seeds"] += seeds
                break
    cells = [
        replace(
            _cell(world, seeds, count, comparisons),
            by_signs=count["by_signs"] / comparisons,
            smallest_detectable=_median(detectable[seeds]),
        )
        for seeds, count in counts.items()
    ]
    with_added = replace(_cell(world, "auto", added, comparisons), mean_seeds=added["seeds"] / comparisons)
    return [*cells, with_added]


def _sign_flip_p(differences: np.ndarray) -> float:
    p_value = sign_flip_test(differences.tolist())
    assert p_value is not None  # It is None without seeds alone.
    return p_value


def _is_verdict(found, by_signs: float, level: float) -> bool:
    # The same as p <= level for the larger p of the two, without a search for the interval's p.
    interval = found.interval(level)
    return by_signs <= level and (interval is None or not interval[0] <= 0 <= interval[1])


def _count(count: dict[str, int], found, by_signs: float, level: float, truth: float) -> None:
    interval = found.interval(level)
    verdict = _is_verdict(found, by_signs, level)
    count["verdicts"] += verdict
    count["wrong"] += verdict and (not truth or found.mean * truth < 0)
    if interval:
        count["intervals"] += 1
        count["covered"] += interval[0] <= truth <= interval[1]


def _cell(world: World, seeds: Seeds, count: dict[str, int], comparisons: int) -> Cell:
    """The counts as fractions of the comparisons; coverage is a fraction of the intervals that exist."""
    return Cell(
        **asdict(world),
        comparisons=comparisons,
        seeds=seeds,
        verdicts=count["verdicts"] / comparisons,
        verdicts_ci95=_exact_interval(count["verdicts"], comparisons),
        wrong=count["wrong"] / comparisons,
        wrong_ci95=_exact_interval(count["wrong"], comparisons),
        covered=count["covered"] / count["intervals"],
        covered_ci95=_exact_interval(count["covered"], count["intervals"]),
        without_interval=1 - count["intervals"] / comparisons,
    )


def _exact_interval(count: int, of: int) -> Interval:
    """The exact binomial 95 % interval of a share."""
    from scipy import stats

    low, high = stats.binomtest(count, of).proportion_ci(method="exact")
    return round(float(low), 5), round(float(high), 5)


def _median(values: list[float]) -> float | None:
    return round(float(np.median(values)), 5) if values else None


def assess_alternatives(comparisons: int) -> list[Alternative]:
    """The coverage of other 95 % intervals, for networks that differ by 10 points on 230 images with copies."""
    world = World("+10", 230, True)
    covered: dict[tuple[str, int], list[bool]] = {}
    for differences, groups in draw_comparisons(world, comparisons, max(SEEDS)):
        sums, sizes = group_sums(differences, groups)
        means = differences.mean(1)
        for seeds in (3, 6, 20):
            intervals = {
                "t over seeds alone": components_of_seeds(means[:seeds]).interval(),
                "BCa bootstrap over seeds": bca_interval(means[:seeds], resamples=1_000),
                "percentile bootstrap over seeds and groups": two_level_bootstrap(sums[:seeds], sizes, resamples=500),
                "t over seeds and images, copies taken for pictures": components_of_images(
                    *group_sums(differences[:seeds], np.arange(world.images))
                ).interval(),
                "t over seeds and groups (ours)": components_of_images(sums[:seeds], sizes).interval(),
            }
            for name, interval in intervals.items():
                if interval is not None:
                    hit = interval[0] <= world.difference <= interval[1]
                    covered.setdefault((name, seeds), []).append(hit)
    return [
        Alternative(**asdict(world), alternative=name, seeds=seeds, comparisons=len(hits), covered=float(np.mean(hits)))
        for (name, seeds), hits in covered.items()
    ]


def define_calibration_flags() -> None:
    flags.DEFINE_integer("comparisons", 2000, "simulated comparisons for each cell of the tables")
    define_path("json", None, "file for the records, one a line; by default none is written")


def main() -> None:
    require_range("--comparisons", FLAGS.comparisons, 1)
    cells = []
    for truth, images, copies in product(TRUTHS, IMAGES, (False, True)):
        cells += assess(World(truth, images, copies), FLAGS.comparisons)
        print(f"{truth}, {images} images, {'copies' if copies else 'no copies'}: done", flush=True)
    found = Calibration(cells, assess_alternatives(min(ALTERNATIVES, FLAGS.comparisons)))
    if FLAGS.json:
        Path(FLAGS.json).parent.mkdir(parents=True, exist_ok=True)
        write_calibration(FLAGS.json, found)
    print("\n" + calibration_tables(found))


COMMAND = Command("studies.calibration", __doc__ or "", main, (define_calibration_flags,))

if __name__ == "__main__":
    run_command(COMMAND)
