"""The rule by which a network is called better than another, or as good."""

from collections.abc import Sequence

from msgspec import UNSET
from msgspec.structs import replace

from resjax.evaluation.comparison.measures import measure_of
from resjax.evaluation.comparison.sentence import sentence_of
from resjax.evaluation.comparison.statistics.paired_tests import bonferroni, holm
from resjax.records import Comparison, Verdict


def judged(comparisons: Sequence[Comparison], next_looks: Sequence[int | None] | None = None) -> list[Comparison]:
    """The comparisons of a run with their verdicts and sentences.

    The rule: a network is better if p is at most `level`. p is the larger of two: that of the exact sign-flip test over
    seeds, which asks whether these differences could be the luck of the seeds on these images, and that of the
    interval, which asks whether they would hold with other seeds and other images. Two networks are equivalent, where a
    margin was given, if the p of a true difference beyond the margin is at most `level`, by the same two tests. All
    else is inconclusive: always with fewer than six seeds, because their signs agree by chance in more than 5 %; and
    while seeds are still missing.

    With several comparisons p is Holm's; with a margin it is Bonferroni's. Then each comparison has two null
    hypotheses of which one at most is true, so as many can be true as there are comparisons, also after some were
    rejected (Shaffer 1986, JASA 81, p. 826).

    Args:
      next_looks: for each comparison the number of seeds at which it will be judged; None if it may be judged now.
    """
    waiting = [None] * len(comparisons) if next_looks is None else next_looks
    with_margin = [each for each in comparisons if each.equivalence is not UNSET]
    several = len(comparisons) > 1
    adjusted = (bonferroni if with_margin else holm)([each.p_value for each in comparisons])
    tested = sum(p is not None for p in adjusted)
    of_equivalence = bonferroni([each.equivalence.p_value if each.equivalence else None for each in comparisons])
    records = []
    for each, p_value, p_equivalent, next_look in zip(comparisons, adjusted, of_equivalence, waiting, strict=True):
        record = replace(each, holm_p_value=p_value if several else None)
        if each.equivalence:
            record = replace(
                record, equivalence=replace(each.equivalence, adjusted_p_value=p_equivalent if several else None)
            )
        record = replace(record, verdict=_verdict(each, p_value, p_equivalent, next_look))
        if record.verdict != "inconclusive":
            record = replace(record, seeds_to_settle=None)
        records.append(replace(record, sentence=sentence_of(record, tested, next_look)))
    return records


def _verdict(
    record: Comparison, p_value: float | None, p_equivalent: float | None, next_look: int | None
) -> Verdict | None:
    if record.mean is None:
        return None
    if next_look is not None:
        return "inconclusive"
    if p_value is not None and p_value <= record.level:
        higher = record.mean > 0
        return "candidate better" if higher == measure_of(record.metric).higher_is_better else "baseline better"
    if p_equivalent is not None and p_equivalent <= record.level:
        return "equivalent"
    return "inconclusive"
