"""How often is a network called better than itself? Trains a tiny network thousands of times, and compares.

  python -m experiments.studies.self_comparison --json=experiments/results/calibration/self_comparisons.jsonl

Every comparison has replicas, training images and validation images of its own, drawn from one pool of pictures, so the
comparisons are independent but for pictures that they share by chance. Half of its replicas are the baseline and the
others the candidate: the true difference is zero, and each verdict is false. The replicas are trained and their best
epochs chosen as `compare` does it. The same replicas are also compared on images that stay the same in all comparisons.
The same command resumes a study that was stopped.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags
from jaxtyping import Float, Int, UInt8

from resjax.cli.flags.paths import define_path
from resjax.cli.program import Command, run_command
from resjax.evaluation.comparison.measures import MEASURES, metric_name
from resjax.evaluation.comparison.paired import Scores, paired_statistics
from resjax.evaluation.comparison.statistics.describing import clopper_pearson
from resjax.evaluation.comparison.statistics.planning import LEVEL
from resjax.records import Part, read_lines
from resjax.records.files import append_line
from resjax.report.tables import Table, markdown
from resjax.training.recipe import require_range

FLAGS = flags.FLAGS
NETWORK, WIDTH, SIZE = "resnet8", 4, 16
"""The network, its width, and the side of the images in pixels."""
EPOCHS, BATCH, LEARNING_RATE = 6, 24, 1e-2
TRAIN_PICTURES, VAL_PICTURES, COPIES = 120, 90, 30
"""Of each comparison. So many of the validation pictures come a second time, mirrored: copies in one group."""
POOL = 3000
"""Drawn dishes that the comparisons take their pictures from."""
PAIRS = (6, 8)
"""A comparison is judged with its first six pairs of seeds and with all eight."""
FIXED = "the same images in all comparisons"
OWN = "other images in each comparison"
CASES = tuple(product((OWN, FIXED), PAIRS, MEASURES))
"""The images, the pairs of seeds and the measure of each judgement on the replicas of a comparison."""


class SelfComparison(Part, frozen=True, kw_only=True):
    """A line of the record: the replicas of one comparison."""

    comparison: int
    accuracy: float
    """Mean of the best epochs of all replicas, on the comparison's own images."""
    sd: float
    """The standard deviation of these accuracies."""
    last_accuracy: float
    """Mean after the last epoch."""
    judged: list[tuple[float, float, float]]
    """Lower and upper end of the interval, and p, in the order of `CASES`."""


class Images(NamedTuple):
    """Pictures with labels and groups of copies."""

    pixels: UInt8[np.ndarray, "image height width 3"]
    labels: Int[np.ndarray, " image"]
    groups: Int[np.ndarray, " image"]


def draw_pool(pictures: int) -> Images:
    """Drawn dishes, the classes in turn."""
    from resjax.data.synthetic.source import CLASSES, draw_dish

    labels = np.arange(pictures) % len(CLASSES)
    pixels = [draw_dish(int(label), seed=number, size=SIZE) for number, label in enumerate(labels)]
    return Images(np.stack(pixels), labels, np.arange(pictures))


def with_copies(pool: Images, pictures: Int[np.ndarray, " picture"], copies: int) -> Images:
    """These pictures of the pool, and the first `copies` of them once more, mirrored."""
    drawn = np.concatenate([pictures, pictures[:copies]])
    pixels = pool.pixels[drawn]
    pixels[len(pictures) :] = pixels[len(pictures) :, :, ::-1]
    return Images(pixels, pool.labels[drawn], pool.groups[drawn])


def best_epochs(
    train: Images, val: Images, parts: Sequence[slice], seeds: Sequence[int], epochs: int
) -> Iterator[list[tuple[Float[np.ndarray, "image class"], float]]]:
    """Trains replicas; for each yields, part by part of the validation images, the logits of the best epoch on it.

    Beside them stands the accuracy after the last epoch.
    """
    from resjax.data.pipeline import ResidentSide
    from resjax.data.synthetic.source import CLASSES
    from resjax.functional import Functional
    from resjax.models.architecture import architecture
    from resjax.training.loop import EpochResult, Trainer
    from resjax.training.recipe import Recipe
    from resjax.training.step import predict_logits

    functional = Functional(architecture(NETWORK, width=WIDTH, stem="cifar"), len(CLASSES))
    recipe = Recipe(epochs=epochs, batch_size=BATCH, learning_rate=LEARNING_RATE)
    side = ResidentSide(val.pixels, val.labels)
    trainer = Trainer(functional, recipe, ResidentSide(train.pixels, train.labels), side)
    for seed in seeds:
        best: list[tuple[float, np.ndarray]] = [(-1.0, np.zeros(0))] * len(parts)
        correct = np.zeros(len(val.labels), bool)
        for epoch in trainer.fit(trainer.initial_state(seed)):
            assert isinstance(epoch, EpochResult) and epoch.diverged_step is None
            correct = epoch.val_correct
            accuracies = [float(correct[part].mean()) for part in parts]
            if any(accuracy > known for accuracy, (known, _) in zip(accuracies, best, strict=True)):
                logits = predict_logits(trainer.functional, epoch.state.evaluated, side)
                best = [
                    (accuracy, logits[part]) if accuracy > known[0] else known
                    for accuracy, part, known in zip(accuracies, parts, best, strict=True)
                ]
        yield [(logits, float(correct[part].mean())) for (_, logits), part in zip(best, parts, strict=True)]


def compare_with_itself(number: int, pool: Images, fixed: Images, epochs: int = EPOCHS) -> SelfComparison:
    """Trains the replicas of a comparison and judges it by every metric.

    Args:
      number: of the comparison; it has pictures and seeds of its own.
      fixed: validation images that are the same for all comparisons.
    """
    pictures = np.random.default_rng([1, number]).permutation(len(pool.labels))[: TRAIN_PICTURES + VAL_PICTURES]
    train = with_copies(pool, pictures[:TRAIN_PICTURES], 0)
    own = with_copies(pool, pictures[TRAIN_PICTURES:], COPIES)
    val = Images(*(np.concatenate(both) for both in zip(own, fixed, strict=True)))
    parts = slice(0, len(own.labels)), slice(len(own.labels), None)
    replicas = 2 * max(PAIRS)
    seeds = range(number * replicas, (number + 1) * replicas)
    found = list(best_epochs(train, val, parts, seeds, epochs))
    answers = [np.stack([each[part][0] for each in found]) for part in range(2)]
    by_images = {OWN: (own, answers[0]), FIXED: (fixed, answers[1])}
    accuracies = (answers[0].argmax(-1) == own.labels).mean(1)
    return SelfComparison(
        comparison=number,
        accuracy=round(float(accuracies.mean()), 5),
        sd=round(float(accuracies.std(ddof=1)), 5),
        last_accuracy=round(float(np.mean([each[0][1] for each in found])), 5),
        judged=[_judged(measure, pairs, *by_images[images]) for images, pairs, measure in CASES],
    )


def _judged(
    measure: str, pairs: int, images: Images, logits: Float[np.ndarray, "replica image class"]
) -> tuple[float, float, float]:
    """The interval and p of the first pairs: every second replica is the baseline's."""
    first, second = (
        np.stack([MEASURES[measure].contributions(each, images.labels) for each in logits[half : 2 * pairs : 2]])
        for half in range(2)
    )
    # The mean over the images is the measure itself.
    differences = (second.astype(float).mean(1) - first.astype(float).mean(1)).tolist()
    scores = Scores(first, second, images.groups)
    metric = metric_name(measure, tested=False)
    record = paired_statistics("itself", "again", metric, range(pairs), differences, scores)
    assert record.ci95 is not None and record.p_value is not None, "replicas differ"
    return round(record.ci95[0], 5), round(record.ci95[1], 5), round(record.p_value, 5)


def self_comparison_text(records: Sequence[SelfComparison]) -> str:
    """False verdicts and coverage of zero in %, with exact 95 % intervals, as a table in Markdown."""
    rows = []
    for place, (images, pairs, measure) in enumerate(CASES):
        false = sum(is_verdict(record.judged[place]) for record in records)
        covered = sum(record.judged[place][0] <= 0 <= record.judged[place][1] for record in records)
        shares = _share(false, len(records)), _share(covered, len(records))
        rows.append([images, MEASURES[measure].words, str(pairs), *shares])
    means = {name: float(np.mean([getattr(each, name) for each in records])) for name in ("accuracy", "last_accuracy")}
    sd = float(np.mean([each.sd**2 for each in records])) ** 0.5
    head = (
        f"{len(records)} comparisons with {len(records) * 2 * max(PAIRS):,} replicas; accuracy at the best epoch "
        f"{100 * means['accuracy']:.1f} %, after the last one {100 * means['last_accuracy']:.1f} %; standard deviation "
        f"between seeds {100 * sd:.1f} points. In %:"
    )
    return (
        head + "\n\n" + markdown(Table(["images", "metric", "seeds", "false verdicts", "interval covers zero"], rows))
    )


def is_verdict(judged: tuple[float, float, float]) -> bool:
    """Whether one of the two is called better: a single comparison is judged by its p."""
    return judged[2] <= LEVEL


def _share(count: int, of: int) -> str:
    ends = clopper_pearson(count, of)
    assert ends is not None
    return f"{100 * count / of:.1f} ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})"


def define_self_flags() -> None:
    flags.DEFINE_integer("comparisons", 300, f"number of comparisons, of {2 * max(PAIRS)} replicas each")
    define_path("json", None, "file for the records, one a line; a study that was stopped goes on from it")


def main() -> None:
    require_range("--comparisons", FLAGS.comparisons, 1)
    path = Path(FLAGS.json) if FLAGS.json else None
    records = read_lines(path, SelfComparison) if path and path.exists() else []
    pool = draw_pool(POOL + VAL_PICTURES)
    fixed = with_copies(pool, np.arange(POOL, POOL + VAL_PICTURES), COPIES)
    pool = Images(*(each[:POOL] for each in pool))
    for number in range(len(records), FLAGS.comparisons):
        records.append(compare_with_itself(number, pool, fixed))
        if path:
            append_line(path, records[-1])
        print(f"{number + 1} of {FLAGS.comparisons} comparisons", flush=True)
    print("\n" + self_comparison_text(records))


COMMAND = Command("studies.self_comparison", __doc__ or "", main, (define_self_flags,))

if __name__ == "__main__":
    run_command(COMMAND)
