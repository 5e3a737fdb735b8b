"""Loss, accuracy, confusion matrix and per-class scores from logits, on the host in float64."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from resjax.errors import BadInput
from resjax.records import ClassScores, PartScores


def loss_and_accuracy(
    logits: Float[np.ndarray, "image class"], labels: Int[np.ndarray, " image"]
) -> tuple[float, float]:
    """Mean cross-entropy (nats per image), and the fraction of images whose largest logit is that of their label.

    Raises:
      BadInput: for logits that are not (image, class), and labels that are not integers (image,) below the number of
        classes.
    """
    from scipy.special import log_softmax

    if logits.ndim != 2:
        raise BadInput(f"logits of shape {logits.shape}: expected (image, class)")
    _require_classes("labels", labels, *logits.shape)
    losses = -log_softmax(logits.astype(np.float64), axis=-1)[np.arange(len(labels)), labels]
    return float(losses.mean()), float((logits.argmax(-1) == labels).mean())


def accuracy_by_leak(
    logits: Float[np.ndarray, "image class"], labels: Int[np.ndarray, " image"], is_leaked: Bool[np.ndarray, " image"]
) -> dict[str, PartScores]:
    """The accuracy on the images that leak, under `leaked`, and on the others, under `clean`."""
    hits = logits.argmax(-1) == labels
    return {
        name: PartScores(
            images=int(part.sum()),
            correct=int(hits[part].sum()),
            accuracy=float(hits[part].mean()) if part.any() else None,
        )
        for name, part in (("leaked", is_leaked), ("clean", ~is_leaked))
    }


def confusion_matrix(
    predictions: Int[np.ndarray, " image"], labels: Int[np.ndarray, " image"], classes: int
) -> Int[np.ndarray, "class class"]:
    """How many images of each true class (row) were predicted as each class (column).

    Raises:
      BadInput: for predictions or labels that are not integers (image,) from 0 to below `classes`.
    """
    _require_classes("labels", labels, len(labels), classes)
    _require_classes("predictions", predictions, len(labels), classes)
    counts = np.bincount(labels.astype(np.int64) * classes + predictions, minlength=classes**2)
    return counts.reshape(classes, classes)


def per_class_scores(confusion: Int[np.ndarray, "class class"], classes: Sequence[str]) -> dict[str, ClassScores]:
    """Precision, recall, F1 and support of each class of a confusion matrix (rows true, columns predicted).

    A ratio whose denominator is 0 is 0, as in scikit-learn with `zero_division=0`.

    Raises:
      BadInput: for a matrix that has not a row and a column for each class.
    """
    if confusion.shape != (len(classes), len(classes)):
        raise BadInput(f"confusion matrix of shape {confusion.shape}: expected {(len(classes),) * 2}, (class, class)")
    hits = np.diag(confusion).astype(np.float64)
    support, predicted = confusion.sum(1), confusion.sum(0)
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    return {
        name: ClassScores(
            precision=float(precision[i]),
            recall=float(recall[i]),
            f1=float(f1[i]),
            support=int(support[i]),
        )
        for i, name in enumerate(classes)
    }


def _require_classes(name: str, values: Int[np.ndarray, " image"], images: int, classes: int) -> None:
    if values.shape != (images,) or values.dtype.kind not in "iu":
        raise BadInput(f"{name} of {values.dtype} and shape {values.shape}: expected integers of shape ({images},)")
    if images and not 0 <= values.min() <= values.max() < classes:
        raise BadInput(f"{name} from {values.min()} to {values.max()}: expected classes from 0 to {classes - 1}")
