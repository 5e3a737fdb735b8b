"""The measures that a comparison can be judged by, each as a value of one replica and as what each image adds to it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from resjax.errors import BadInput
from resjax.records import Done

Contributions = Float[np.ndarray, " image"] | Bool[np.ndarray, " image"]
"""What each image adds to a measure of one replica; the mean over the images is the measure itself."""


class Measure(NamedTuple):
    """A measure of how good the answers of one replica are."""

    words: str
    of_result: Callable[[Done], float]
    """Its value, from the confusion matrix or the loss of a result."""
    contributions: Callable[[Float[np.ndarray, "image class"], Int[np.ndarray, " image"]], Contributions]
    """What each image adds, from logits and labels."""
    at_chance: Callable[[int], float]
    """Its value for answers drawn evenly from so many classes."""
    higher_is_better: bool = True
    is_share: bool = True
    """Whether it is a fraction, which is shown in percent; the log loss is in nats."""


def _accuracy(result: Done) -> float:
    # A validation accuracy is that of the epoch's line, so that it is the same number in all records.
    return result.accuracy if result.evaluated_on == "test" else result.best.val_accuracy


def _recalls(result: Done) -> Float[np.ndarray, " class"]:
    confusion = np.asarray(result.confusion_matrix, float)
    return np.diag(confusion) / np.maximum(confusion.sum(1), 1)


def _macro_f1(result: Done) -> float:
    confusion = np.asarray(result.confusion_matrix, float)
    return float((2 * np.diag(confusion) / np.maximum(confusion.sum(0) + confusion.sum(1), 1)).mean())


def right_answers(
    logits: Float[np.ndarray, "image class"], labels: Int[np.ndarray, " image"]
) -> Bool[np.ndarray, " image"]:
    """Whether the largest logit of each image is that of its label."""
    return logits.argmax(-1) == labels


def contributions_to_recall(
    logits: Float[np.ndarray, "image class"], labels: Int[np.ndarray, " image"]
) -> Float[np.ndarray, " image"]:
    """What each image adds to the balanced accuracy, the mean recall of the classes.

    Pseudo-values of the jackknife (Tukey 1958, Ann. Math. Stat. 29, p. 614), N M - (N - 1) M_without_i: with N images,
    K classes and n_c images of class c, image i of class c adds M + (N - 1) (h_i - recall_c) / (K (n_c - 1)) to the
    mean recall M, where h_i is 1 if it is right. So the number of images of a class is taken for random, as images of
    other classes could have been collected. The infinitesimal jackknife, with N / n_c for (N - 1) / (n_c - 1), gave
    6 % false verdicts with small classes.
    """
    right = right_answers(logits, labels).astype(float)
    count, classes = len(labels), logits.shape[1]
    sizes = np.bincount(labels, minlength=classes)
    recalls = np.bincount(labels, right, classes) / np.maximum(sizes, 1)
    # An image that is alone in its class has its recall.
    others = np.maximum(sizes[labels] - 1, 1)
    return recalls.mean() + (count - 1) * (right - recalls[labels]) / (classes * others)


def contributions_to_f1(
    logits: Float[np.ndarray, "image class"], labels: Int[np.ndarray, " image"]
) -> Float[np.ndarray, " image"]:
    """What each image adds to the macro F1, the mean over classes of 2 right / (true + predicted).

    Pseudo-values as for the balanced accuracy: an image of class c that is answered d adds
    M + N / K (2 [c = d] / s_c - F_c / s_c - F_d / s_d), where s_c counts the images that are of class c or predicted
    as c, those that are both twice, and F_c is the F1 of class c.
    """
    answers, count, classes = logits.argmax(-1), len(labels), logits.shape[1]
    right = answers == labels
    counted = np.bincount(labels, minlength=classes) + np.bincount(answers, minlength=classes)
    f1 = 2 * np.bincount(labels[right], minlength=classes) / np.maximum(counted, 1)
    share = f1 / np.maximum(counted, 1)
    added = np.where(right, 2 / counted[labels], 0.0) - share[labels] - share[answers]
    return f1.mean() + count / classes * added


def losses(logits: Float[np.ndarray, "image class"], labels: Int[np.ndarray, " image"]) -> Float[np.ndarray, " image"]:
    """The cross-entropy of each image in nats."""
    from scipy.special import log_softmax

    return -log_softmax(logits.astype(np.float64), axis=-1)[np.arange(len(labels)), labels]


MEASURES = {
    "accuracy": Measure("accuracy", _accuracy, right_answers, lambda classes: 1 / classes),
    "balanced_accuracy": Measure(
        "balanced accuracy", lambda r: float(_recalls(r).mean()), contributions_to_recall, lambda classes: 1 / classes
    ),
    "macro_f1": Measure("macro F1", _macro_f1, contributions_to_f1, lambda classes: 1 / classes),
    "log_loss": Measure(
        *("log loss", lambda result: result.loss, losses, lambda classes: float(np.log(classes))),
        higher_is_better=False,
        is_share=False,
    ),
}
"""The measures by the names that --metric takes."""
LABELLED = "labelled_"
"""How the key of a measure begins that is taken on images from outside of a comparison."""


def metric_name(measure: str, *, tested: bool) -> str:
    """The key of a measure in records: of the test set, or of the validation images at the best epoch.

    >>> metric_name("accuracy", tested=False), metric_name("log_loss", tested=True)
    ('best_val_accuracy', 'test_log_loss')
    """
    return f"{'test' if tested else 'best_val'}_{measure}"


def measure_of(metric: str) -> Measure:
    """The measure of a key that `metric_name` made, or of a measure on labelled images."""
    return MEASURES[metric.removeprefix("test_").removeprefix("best_val_").removeprefix(LABELLED)]


def metric_words(metric: str) -> str:
    """A key in words; a measure that is not known to be of validation or test stays without a side.

    >>> metric_words("best_val_accuracy"), metric_words("test_macro_f1")
    ('validation accuracy at the best epoch', 'test macro F1')
    """
    words = measure_of(metric).words
    if metric in MEASURES:
        return words
    if metric.startswith(LABELLED):
        return f"{words} on the labelled images"
    return f"test {words}" if metric.startswith("test_") else f"validation {words} at the best epoch"


def require_classes(measure: str, classes: Sequence[str], labels: Int[np.ndarray, " image"], side: str) -> None:
    """Refuses a mean over classes where a class has no image.

    Raises:
      BadInput: names the class.
    """
    if measure not in ("balanced_accuracy", "macro_f1"):
        return
    sizes = np.bincount(labels, minlength=len(classes))
    if missing := [name for name, size in zip(classes, sizes, strict=True) if not size]:
        raise BadInput(
            f"--metric={measure}: {side} has no image of {', '.join(missing)}; expected images of every class, or "
            "--metric=accuracy"
        )
