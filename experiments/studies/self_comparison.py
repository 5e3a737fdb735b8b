"""How often would an arm be called better than itself? Pairs the seeds of real replicas of one arm at random.

  python -m experiments.studies.self_comparison --workdir=runs/itself --architecture=resnet34

for a finished run of an even number of seeds, 12 or more, such as

  python -m experiments.compare --flagfile=experiments/flags/quickstart.flags --architectures=resnet34 --seeds=12 \\
    --workdir=runs/itself

Half of the seeds become the baseline, the other half the candidate, in random pairs, many times over. The pairings
share their replicas, so their share of verdicts is one run's, not an estimate with an error of its own.
"""

from pathlib import Path

import numpy as np
from absl import flags

from resjax.cli.program import Command, run_command
from resjax.errors import BadInput
from resjax.evaluation.answers import right_answers
from resjax.evaluation.comparison.verdict import Answers, judged, paired_statistics
from resjax.report.records import read_json, write_json
from resjax.training.recipe import require_range

FLAGS = flags.FLAGS


def compare_with_itself(workdir: Path, name: str, pairings: int) -> dict:
    """The share of random pairings of an arm's finished seeds that give a verdict, and that have zero in the interval.

    Raises:
      BadInput: where fewer than four seeds are finished, or their answers are not there.
    """
    # It imports jax, which --help does without.
    from resjax.run.replica_folder import finished_result

    folders = sorted((workdir / "runs" / name).glob("seed*"), key=lambda folder: int(folder.name.removeprefix("seed")))
    results = {folder: finished_result(folder) for folder in folders}
    done = {folder: result for folder, result in results.items() if result and result["status"] == "done"}
    side = next((result["evaluated_on"] for result in done.values()), "val")
    answers = [right for folder in done if (right := right_answers(folder, side)) is not None]
    pairs = len(answers) // 2
    if pairs < 2:
        raise BadInput(f"--workdir={workdir}: {len(answers)} finished seeds of {name}; four or more are accepted")
    images = read_json(workdir / "split.json")["images"]
    _, groups = np.unique([image["group"] for image in images if image["side"] == side], return_inverse=True)
    rng = np.random.default_rng(0)
    verdicts = covered = 0
    for _ in range(pairings):
        order = rng.permutation(len(answers))[: 2 * pairs]
        drawn = np.stack([answers[place] for place in order])
        differences = drawn[pairs:].mean(1) - drawn[:pairs].mean(1)
        known = Answers(drawn[:pairs], drawn[pairs:], groups)
        names = {"baseline": name, "candidate": f"{name} again", "metric": f"{side} accuracy at the best epoch"}
        (record,) = judged([names | paired_statistics(range(pairs), differences.tolist(), known)])
        verdicts += record["verdict"] != "inconclusive"
        covered += record["ci95"] is None or record["ci95"][0] <= 0 <= record["ci95"][1]
    accuracies = [float(right.mean()) for right in answers]
    return {
        "schema_version": 1,
        "architecture": name,
        "accuracies": accuracies,
        "sd": float(np.std(accuracies, ddof=1)),
        "images": len(groups),
        "groups": int(groups.max()) + 1,
        "seeds": pairs,
        "pairings": pairings,
        "verdicts": verdicts / pairings,
        "covered": covered / pairings,
    }


def self_comparison_text(record: dict) -> str:
    """What came out, in a sentence."""
    return (
        f"{record['architecture']} against itself, {record['seeds']} pairs of seeds, {record['images']} images: of "
        f"{record['pairings']} pairings {100 * record['verdicts']:.1f} % give a verdict, "
        f"{100 * record['covered']:.1f} % have zero within the interval"
    )


def define_self_flags() -> None:
    flags.DEFINE_string("workdir", "runs/itself", "folder of the finished run")
    flags.DEFINE_string("architecture", "resnet34", "the arm, one of that run's")
    flags.DEFINE_integer("pairings", 300, "random pairings of its seeds")
    flags.DEFINE_string("json", None, "file for the record; by default none is written")


def main() -> None:
    require_range("--pairings", FLAGS.pairings, 1)
    record = compare_with_itself(Path(FLAGS.workdir), FLAGS.architecture, FLAGS.pairings)
    print(self_comparison_text(record))
    if FLAGS.json:
        write_json(FLAGS.json, record)


COMMAND = Command("studies.self_comparison", __doc__, main, (define_self_flags,))

if __name__ == "__main__":
    run_command(COMMAND)
