"""The rules of the diagnosis with their thresholds, and how a rule states what it found."""

from collections.abc import Mapping
from typing import Any

from resjax.records import Finding, plain

KINDS = {
    "at chance": "the metric asked for is not shown to be better than that of the best answer that does not look at "
    "the image (accuracy: the largest class's share; log loss: the entropy of the class shares; balanced accuracy and "
    "macro F1: one over the number of classes): one-sided p above 5 %, over seeds and groups of copies together (one "
    "seed: over groups of copies alone), after the mean was lowered by the estimated optimism of the best epoch. What "
    "is said of confusions and class differences needs networks above chance. Class weights are suggested where the "
    "largest class has 1.5 times an even share or more",
    "leaks": "1 or more images of validation or test are on another side, too, themselves or as a copy",
    "divergence": "the loss of 1 or more replicas was not finite",
    "collapsed class": "recall at most 10 %, Wilson's 95 % interval over different pictures below 25 %, in half of the "
    "seeds or more",
    "class gained": "interval of the difference in recall above 0, at 95 % for all classes together, over seeds and "
    "groups of copies, with 3 seeds or more",
    "class lost": "interval of the difference in recall below 0, at 95 % for all classes together, over seeds and "
    "groups of copies, with 3 seeds or more",
    "over-fitting": "validation loss ends 10 % or more above its lowest value, training loss 10 % or more below, 3 "
    "epochs or more later, in half of the seeds or more",
    "under-training": "the last quarter of the epochs is 2 points or more above the quarter before, in accuracy on "
    "validation and on training, in half of the seeds or more",
    "instability": "a quarter or more of the later epochs lose more than 5 points, and more than counting the pictures "
    "explains (2 standard deviations), in half of the seeds or more",
    "confused pairs": "20 % or more of a class, and 5 different pictures or more, predicted as one other class; the "
    "three largest",
    "calibration": "expected calibration error of 5 points or more, and twice that of chance or more, copies counted "
    "once (Guo et al. 2017)",
}
"""What each kind of finding requires, in the order of the sentences."""


def finding(kind: str, network: str | None, sentence: str, evidence: Mapping[str, Any]) -> Finding:
    """A finding of one of `KINDS`, with its rule; `network` is None if it is about the data.

    >>> finding("leaks", None, "3 of 60 validation images leak.", {"leaked": 3}).evidence
    {'leaked': 3}
    """
    return Finding(
        kind=kind, network=network, sentence=sentence, evidence=plain(evidence), rule=f"{kind}: {KINDS[kind]}"
    )


def percent(share: float) -> str:
    """A fraction in whole per cent."""
    return f"{100 * share:.0f} %"


def in_seeds(found: int, of: int) -> str:
    """` in 4 of 6 seeds`, or nothing with one seed."""
    return f" in {found} of {of} seeds" if of > 1 else ""


def is_half(found: int, of: int) -> bool:
    """Whether a rule that looks at each seed holds in at least half of them, and in at least one."""
    return found > 0 and 2 * found >= of
