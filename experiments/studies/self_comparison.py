"""How often would a network be called better than itself? Pairs the seeds of real replicas of one network at random.

  python -m experiments.studies.self_comparison --workdir=runs/itself --architecture=resnet34

for a finished run of an even number of seeds, 12 or more, such as

  python -m experiments.compare --flagfile=experiments/flags/quickstart.flags --architectures=resnet34 --seeds=12 \\
    --workdir=runs/itself

Half of the seeds become the baseline and the other half the candidate, in random pairs, many times. The pairings share
their replicas, so the fraction of verdicts describes one run; it is not an estimate with an error of its own.
"""

from pathlib import Path

import numpy as np
from absl import flags

from resjax.cli.flags.paths import define_path
from resjax.cli.program import Command, run_command
from resjax.errors import BadInput
from resjax.evaluation.comparison.measures import metric_name
from resjax.evaluation.comparison.paired import Scores, paired_statistics
from resjax.evaluation.comparison.verdict import judged
from resjax.evaluation.run_evaluation import correctness
from resjax.records import Done, Record, Reported, SplitRecord, read_record, write_record
from resjax.training.recipe import require_range

FLAGS = flags.FLAGS


class SelfComparison(Record, frozen=True, kw_only=True):
    """A network that was compared with itself."""

    architecture: str
    accuracies: list[float]
    """Of each finished seed."""
    sd: float
    """The standard deviation of the accuracies."""
    images: int
    groups: int
    """Duplicate groups of these images."""
    seeds: int
    """Pairs of seeds in a pairing."""
    pairings: int
    verdicts: float
    """The fraction of pairings with a verdict."""
    covered: float
    """The fraction of pairings whose interval contains zero."""


def compare_with_itself(workdir: Path, name: str, pairings: int) -> SelfComparison:
    """Compares random pairings of the finished seeds of a network.

    Raises:
      BadInput: if fewer than four seeds are finished, or their predictions were not kept.
    """
    # It imports jax, which --help does without.
    from resjax.run.workdir.sound_records import finished_result

    folders = sorted((workdir / "runs" / name).glob("seed*"), key=lambda folder: int(folder.name.removeprefix("seed")))
    results = {folder: finished_result(folder) for folder in folders}
    done = {folder: result for folder, result in results.items() if isinstance(result, Done)}
    sides: list[Reported] = [result.evaluated_on for result in done.values()]
    side = sides[0] if sides else "val"
    answers = [right for folder in done if (right := correctness(folder, side)) is not None]
    pairs = len(answers) // 2
    if pairs < 2:
        raise BadInput(f"--workdir={workdir}: {len(answers)} finished seeds of {name}; expected four or more")
    images = read_record(workdir / "split.json", SplitRecord).images
    _, groups = np.unique([image.group for image in images if image.side == side], return_inverse=True)
    rng = np.random.default_rng(0)
    verdicts = covered = 0
    for _ in range(pairings):
        order = rng.permutation(len(answers))[: 2 * pairs]
        drawn = np.stack([answers[place] for place in order])
        differences = drawn[pairs:].mean(1) - drawn[:pairs].mean(1)
        known = Scores(drawn[:pairs], drawn[pairs:], groups)
        metric = metric_name("accuracy", tested=side == "test")
        pair = paired_statistics(name, f"{name} again", metric, range(pairs), differences.tolist(), known)
        (pair,) = judged([pair])
        verdicts += pair.verdict != "inconclusive"
        covered += pair.ci95 is None or pair.ci95[0] <= 0 <= pair.ci95[1]
    accuracies = [float(right.mean()) for right in answers]
    return SelfComparison(
        architecture=name,
        accuracies=accuracies,
        sd=float(np.std(accuracies, ddof=1)),
        images=len(groups),
        groups=int(groups.max()) + 1,
        seeds=pairs,
        pairings=pairings,
        verdicts=verdicts / pairings,
        covered=covered / pairings,
    )


def self_comparison_text(record: SelfComparison) -> str:
    """The result in a sentence."""
    return (
        f"{record.architecture} against itself, {record.seeds} pairs of seeds, {record.images} images: of "
        f"{record.pairings} pairings {100 * record.verdicts:.1f} % give a verdict, {100 * record.covered:.1f} % have "
        "zero within the interval"
    )


def define_self_flags() -> None:
    define_path("workdir", "runs/itself", "workdir of the finished run")
    flags.DEFINE_string("architecture", "resnet34", "the network, one of that run")
    flags.DEFINE_integer("pairings", 300, "number of random pairings of its seeds")
    define_path("json", None, "file for the record; by default none is written")


def main() -> None:
    require_range("--pairings", FLAGS.pairings, 1)
    record = compare_with_itself(Path(FLAGS.workdir), FLAGS.architecture, FLAGS.pairings)
    print(self_comparison_text(record))
    if FLAGS.json:
        write_record(FLAGS.json, record)


COMMAND = Command("studies.self_comparison", __doc__ or "", main, (define_self_flags,))

if __name__ == "__main__":
    run_command(COMMAND)
