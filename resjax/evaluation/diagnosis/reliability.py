"""Is a network as often right as it is sure? Reliability diagram and expected calibration error, from logits; and the
temperature that mends it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from resjax.evaluation.diagnosis.finding import Finding, percent

BINS = 15
"""Bins of equal width between 0 and 1, as in Guo et al. 2017."""
MISCALIBRATED = 0.05
"""Expected calibration error from which there is a sentence..."""
TIMES_CHANCE = 2.0
"""...if it is also this many times that of a perfectly calibrated network on as many images."""
FEWEST_IMAGES = 20
"""Images from which on a temperature is fitted."""
FOLDS = 5
"""Parts of the images, each scored by the temperature of the others."""
LARGEST_TEMPERATURE = 100.0
"""At which logits say nothing any more; and 1 / that is the smallest."""


def reliability(logits: Float[np.ndarray, "image class"], labels: Int[np.ndarray, " image"]) -> dict[str, Any] | None:
    """Confidence against accuracy in 15 bins, and the expected calibration error (Guo et al. 2017, "On calibration").

    The error is the mean over images of |accuracy - confidence| of the image's bin; confidence is the largest softmax
    probability. On few images it is above 0 even where calibration is perfect: `expected_by_chance` is about what it
    would be then, sqrt(2 / pi) times the deviation of each bin's number of right ones. None of no images, or where a
    logit is not finite.
    """
    from scipy.special import softmax

    if len(labels) == 0 or not np.isfinite(logits).all():
        return None
    probabilities = softmax(logits.astype(np.float64), axis=-1)
    confidence, right = probabilities.max(-1), logits.argmax(-1) == labels
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    images = np.bincount(place, minlength=BINS)
    sure, hits, variance = (
        np.bincount(place, weights=weights, minlength=BINS)
        for weights in (confidence, right.astype(float), confidence * (1 - confidence))
    )
    return {
        "expected_calibration_error": float(np.abs(hits - sure).sum() / len(labels)),
        "expected_by_chance": float(np.sqrt(2 / np.pi * variance).sum() / len(labels)),
        "confidence": float(confidence.mean()),
        "accuracy": float(right.mean()),
        "bins": [
            {"images": int(n), "confidence": float(s / n), "accuracy": float(h / n)}
            for n, s, h in zip(images, sure, hits, strict=True)
            if n
        ],
    }


def pooled_reliability(
    predictions: Sequence[tuple[Float[np.ndarray, "image class"], Int[np.ndarray, " image"]]],
) -> dict[str, Any] | None:
    """The bins of all seeds together, the errors averaged over the seeds; each prediction is `(logits, labels)`."""
    by_seed = [found for logits, labels in predictions if (found := reliability(logits, labels)) is not None]
    if not by_seed:
        return None
    finite = [pair for pair in predictions if np.isfinite(pair[0]).all()]
    pooled = reliability(*(np.concatenate(parts) for parts in zip(*finite, strict=True)))
    errors = ("expected_calibration_error", "expected_by_chance")
    means = {key: float(np.mean([found[key] for found in by_seed])) for key in errors}
    return (pooled or {}) | means | {"seeds": len(by_seed)}


def miscalibration(arm: str, found: Mapping[str, Any]) -> Finding | None:
    """The expected calibration error is at least 0.05, and at least twice what chance makes on as many images."""
    error, chance = found["expected_calibration_error"], found["expected_by_chance"]
    if error < MISCALIBRATED or error < TIMES_CHANCE * chance:
        return None
    confidence, accuracy = found["confidence"], found["accuracy"]
    kind = "too sure" if confidence > accuracy else "not sure enough"
    return Finding(
        "calibration",
        arm,
        f"{arm} is {kind}: its confidence is {percent(confidence)} on average, its accuracy {percent(accuracy)} "
        f"(expected calibration error {100 * error:.0f} points; {100 * chance:.0f} would be chance).",
        {key: value for key, value in found.items() if key != "bins"} | {"least": MISCALIBRATED},
    )


def pooled_log_probabilities(logits: Float[np.ndarray, "seed image class"]) -> Float[np.ndarray, "image class"]:
    """The log of the mean over seeds of the softmax probabilities: a deep ensemble (Lakshminarayanan et al. 2017).

    Of probabilities and not of logits: so no seed that is sure of its mistake can rule a class out for all. The loss is
    never above the seeds' mean loss. With one seed it is the log softmax.
    """
    from scipy.special import log_softmax, logsumexp

    return logsumexp(log_softmax(logits.astype(np.float64), axis=-1), axis=0) - np.log(len(logits))


def fitted_temperature(logits: Float[np.ndarray, "image class"], labels: Int[np.ndarray, " image"]) -> float | None:
    """The T of least mean cross-entropy of softmax(logits / T) (Guo et al. 2017, section 4.2), at most 100.

    None where every image is right: then the loss falls all the way to T = 0, which would call every answer certain.
    """
    from scipy.optimize import minimize_scalar

    if (logits.argmax(-1) == labels).all():
        return None
    # Convex in 1 / T, so there is one minimum, in log T too.
    bound = np.log(LARGEST_TEMPERATURE)
    found = minimize_scalar(lambda log_t: cross_entropy(logits / np.exp(log_t), labels), bounds=(-bound, bound))
    return float(np.exp(found.x))


def cross_entropy(logits: Float[np.ndarray, "image class"], labels: Int[np.ndarray, " image"]) -> float:
    """The mean of -log softmax(logits) of the images' own classes, in nats per image."""
    from scipy.special import log_softmax

    return float(-log_softmax(logits.astype(np.float64), axis=-1)[np.arange(len(labels)), labels].mean())


def temperature_scaling(
    logits: Float[np.ndarray, "image class"],
    labels: Int[np.ndarray, " image"],
    groups: Int[np.ndarray, " image"],
    held_out: tuple[Float[np.ndarray, "other class"], Int[np.ndarray, " other"]] | None = None,
) -> dict[str, Any]:
    """The temperature that calibrates these logits, with the calibration before and after it.

    Both are measured on `held_out` (logits and labels) where there are images that nothing was chosen on. Otherwise on
    the same images, cross-fitted: each fifth of the groups of copies is scored by the temperature of the other four, so
    that no image is judged by a temperature that was fitted on it or on a copy of it.

    Returns:
      `temperature`, 1 where `problem` says why none can be fitted; `images` that it is fitted on; `measured_on`
      (`held out` or `cross-fitted`, None where nothing is measured), `measured_images`, and `before` and `after`, each
      with `expected_calibration_error`, `expected_by_chance` (see `reliability`) and `loss` in nats per image.
    """
    found: dict[str, Any] = {"temperature": 1.0, "problem": None, "images": len(labels)}
    found |= {"measured_on": None, "measured_images": 0, "before": None, "after": None}
    if len(labels) < FEWEST_IMAGES:
        return found | {"problem": f"{len(labels)} validation images; {FEWEST_IMAGES} are needed"}
    if not np.isfinite(logits).all():
        return found | {"problem": "a logit of the validation images is not finite"}
    temperature = fitted_temperature(logits, labels)
    if temperature is None:
        return found | {"problem": "every validation image is right, so they cannot say how sure is too sure"}
    if held_out is not None and len(held_out[1]):
        measured_on, (before, truth) = "held out", held_out
        after = before / temperature
    else:
        measured_on, before, truth = "cross-fitted", logits, labels
        after = _cross_fitted(logits, labels, groups)
    if after is not None and np.isfinite(before).all():
        found |= {"measured_on": measured_on, "measured_images": len(truth)}
        found |= {"before": _calibration_of(before, truth), "after": _calibration_of(after, truth)}
    return found | {"temperature": temperature}


def _cross_fitted(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray | None:
    """The logits, each divided by the temperature of the other folds; None of a single group."""
    from sklearn.model_selection import GroupKFold

    folds = min(FOLDS, len(np.unique(groups)))
    if folds < 2:
        return None
    scaled = np.empty(logits.shape, np.float64)
    for others, fold in GroupKFold(folds).split(logits, labels, groups):
        scaled[fold] = logits[fold] / (fitted_temperature(logits[others], labels[others]) or 1.0)
    return scaled


def _calibration_of(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    found = reliability(logits, labels) or {}
    errors = {key: found[key] for key in ("expected_calibration_error", "expected_by_chance")}
    return errors | {"loss": cross_entropy(logits, labels)}
