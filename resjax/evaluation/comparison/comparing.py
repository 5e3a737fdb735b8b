"""Comparisons of networks over the seeds that both have finished, from the results of their replicas."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from msgspec import UNSET
from msgspec.structs import replace

from resjax.evaluation.comparison.chance import against_chance
from resjax.evaluation.comparison.divergence import divergence
from resjax.evaluation.comparison.looks import Shown, with_earlier_looks
from resjax.evaluation.comparison.measures import MEASURES, Contributions, metric_name
from resjax.evaluation.comparison.paired import Scores, paired_statistics
from resjax.evaluation.comparison.statistics.planning import LEVEL
from resjax.evaluation.comparison.verdict import judged
from resjax.records import Comparison, Done, Result

Results = Mapping[int, Result | None]
"""The results of a network's replicas by seed; None for a pending replica."""


@dataclass(frozen=True)
class Question:
    """What is asked of each comparison.

    Attributes:
      measure: one of `measures.MEASURES`.
      margin: differences closer to zero than this are equivalent, in the unit of the measure; None if it is not asked.
      level: of the verdict; intervals cover with 1 - `level`.
    """

    measure: str = "accuracy"
    margin: float | None = None
    level: float = LEVEL


@dataclass(frozen=True)
class Evidence:
    """What is known of single images: without it intervals are over seeds alone.

    Attributes:
      contributions: what each image of the reported side adds to the measure, by network and seed of the replicas that
        are finished (see `measures.Measure.contributions`).
      groups: the duplicate group of each of these images.
    """

    contributions: Mapping[str, Mapping[int, Contributions]]
    groups: Int[np.ndarray, " image"]


def finished(results: Results) -> dict[int, Done]:
    """The results of the replicas that were trained to their end: neither pending nor diverged."""
    return {seed: result for seed, result in results.items() if isinstance(result, Done)}


def compare_networks(
    networks: Mapping[str, Results],
    pairs: Sequence[tuple[str, str]],
    evidence: Evidence | None = None,
    question: Question = Question(),  # noqa: B008 - frozen
    *,
    given_up: Collection[str] = (),
    shown: Shown = Shown(),  # noqa: B008 - frozen
) -> list[Comparison]:
    """Compares pairs of networks (baseline, candidate) with a verdict each, candidate minus baseline.

    A pair is judged once all its seeds have ended: a verdict on the first few of them would be one more look. The
    metric is that of the test set if there is one, and of the best epoch's validation otherwise.

    Args:
      given_up: networks whose pending replicas will not be trained, which nobody waits for.
      shown: the verdicts that were shown before.
    """
    comparisons = differences_of_networks(networks, pairs, evidence, question)
    return judged(with_earlier_looks(comparisons, shown), [next_look(networks, pair, given_up) for pair in pairs])


def next_look(networks: Mapping[str, Results], pair: tuple[str, str], given_up: Collection[str] = ()) -> int | None:
    """The number of seeds after which a pair is judged; None if nothing of it is pending."""
    if set(pair).intersection(given_up):
        return None
    pending = any(result is None for name in pair for result in networks[name].values())
    return max(len(networks[name]) for name in pair) if pending else None


def differences_of_networks(
    networks: Mapping[str, Results],
    pairs: Sequence[tuple[str, str]],
    evidence: Evidence | None = None,
    question: Question = Question(),  # noqa: B008 - frozen
    *,
    comparisons_in_all: int | None = None,
) -> list[Comparison]:
    """As `compare_networks`, without verdicts.

    `judged` adds the verdicts to the comparisons of several calls together. There are `comparisons_in_all` of these, by
    default as many as `pairs`.
    """
    done = {name: finished(results) for name, results in networks.items()}
    planned_for = len(pairs) if comparisons_in_all is None else comparisons_in_all
    return [_compared(networks, done, pair, evidence, question, planned_for) for pair in pairs]


def _compared(
    networks: Mapping[str, Results],
    done: Mapping[str, Mapping[int, Done]],
    pair: tuple[str, str],
    evidence: Evidence | None,
    question: Question,
    comparisons: int,
) -> Comparison:
    baseline, candidate = pair
    shared = [seed for seed in done[baseline] if seed in done[candidate]]
    results = [(done[baseline][seed], done[candidate][seed]) for seed in shared]
    of_result = MEASURES[question.measure].of_result
    tested = bool(results) and all(each.evaluated_on == "test" for both in results for each in both)
    scores = known = groups = None
    if evidence is not None:
        known, groups = [evidence.contributions.get(name, {}) for name in pair], evidence.groups
        if shared and all(seed in of_network for of_network in known for seed in shared):
            first, second = (np.stack([of_network[seed] for seed in shared]) for of_network in known)
            scores = Scores(first, second, groups)
    record = paired_statistics(
        *(baseline, candidate, metric_name(question.measure, tested=tested), shared),
        *([of_result(second) - of_result(first) for first, second in results], scores),
        *(question.level, comparisons, question.margin),
    )
    classes = next((len(each.confusion_matrix) for of_network in done.values() for each in of_network.values()), 2)
    of_pair = networks[baseline], networks[candidate]
    tests = {
        name: against_chance(done[name], question.measure, evidence and evidence.contributions.get(name, {}), groups)
        for name in pair
    }
    return replace(
        record,
        divergence=divergence(*of_pair, question.measure, classes, known, groups, question.level),
        not_above_chance=[name for name, found in tests.items() if found and not found.is_above] or UNSET,
    )
