"""The comparisons of a run judged again from its records: by another measure or margin, without training anything."""

import numpy as np

from resjax.evaluation.comparison.comparing import Question, compare_networks
from resjax.evaluation.comparison.looks import Shown, planned_by
from resjax.evaluation.comparison.measures import require_classes
from resjax.evaluation.merging import given_up, level_of
from resjax.evaluation.run_evaluation import evidence_of
from resjax.records import Comparison, Done, Looks
from resjax.records.run_records import RunRecords


def judged_again(records: RunRecords, shown: Looks, measure: str, margin: float | None) -> list[Comparison]:
    """The comparisons that a run asked for, by a measure and a margin, as `compare` with these flags would judge them.

    They are judged together, at the run's level. Verdicts that were shown before count as earlier looks.

    Args:
      shown: the verdicts that were shown in the workdir.
      measure: one of `MEASURES`.
      margin: differences closer to zero than this are equivalent, in the unit of the measure; None if it is not asked.

    Raises:
      BadInput: for a mean over classes where a class has no image.
    """
    summary, results = records.summary, records.results()
    done = [result for by_seed in results.values() for result in by_seed.values() if isinstance(result, Done)]
    if done:
        labels = np.repeat(np.arange(len(summary.dataset.classes)), np.sum(done[0].confusion_matrix, axis=1))
        require_classes(measure, summary.dataset.classes, labels, done[0].evaluated_on)
    return compare_networks(
        results,
        [(each.baseline, each.candidate) for each in summary.comparisons],
        evidence_of(records, results, measure),
        Question(measure, margin, level_of(summary)),
        given_up=given_up([summary]),
        shown=Shown([shown], planned_by(summary)),
    )
