"""Calibration: confidence against accuracy, the expected calibration error, and temperature scaling, from logits."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from msgspec.structs import replace

from resjax.evaluation.diagnosis.rules import finding, percent
from resjax.records import (
    Calibration,
    Finding,
    PooledReliability,
    Reliability,
    ReliabilityBin,
    TemperatureScaling,
    plain,
)

BINS = 15
"""Bins of equal width between 0 and 1, as in Guo et al. 2017."""
MISCALIBRATED = 0.05
"""The least expected calibration error that gets a sentence..."""
TIMES_CHANCE = 2.0
"""...if it is also this many times the error of a perfectly calibrated network on as many images."""
FEWEST_IMAGES = 20
"""The least number of images that a temperature is fitted on."""
FOLDS = 5
"""Parts of the images, each scored with the temperature fitted on the others."""
LARGEST_TEMPERATURE = 100.0
"""The largest temperature, at which all classes are about equally probable. The smallest is 1 / this."""


def reliability(
    logits: Float[np.ndarray, "image class"],
    labels: Int[np.ndarray, " image"],
    groups: Int[np.ndarray, " image"] | None = None,
) -> Reliability | None:
    """Confidence against accuracy in 15 bins, and the expected calibration error (Guo et al. 2017, "On calibration").

    The error is the mean over images of |accuracy - confidence| of the image's bin; confidence is the largest softmax
    probability. On few images the error is above 0 even with perfect calibration: `expected_by_chance` is about its
    value then, sqrt(2 / pi) times the standard deviation of each bin's number of right images. Copies of a picture are
    right or wrong together there: the standard deviations of a group's images add up. None for no images, or if a logit
    is not finite.

    Args:
      groups: images with equal numbers are copies of one picture; None if no image has a copy.
    """
    from scipy.special import softmax

    if len(labels) == 0 or not np.isfinite(logits).all():
        return None
    probabilities = softmax(logits.astype(np.float64), axis=-1)
    confidence, right = probabilities.max(-1), logits.argmax(-1) == labels
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    images = np.bincount(place, minlength=BINS)
    sure, hits = (np.bincount(place, weights, BINS) for weights in (confidence, right.astype(float)))
    group = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    together = np.zeros((BINS, len(labels)))
    np.add.at(together, (place, group), np.sqrt(confidence * (1 - confidence)))
    variance = (together**2).sum(1)
    return Reliability(
        expected_calibration_error=float(np.abs(hits - sure).sum() / len(labels)),
        expected_by_chance=float(np.sqrt(2 / np.pi * variance).sum() / len(labels)),
        confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
        bins=[
            ReliabilityBin(images=int(n), confidence=float(s / n), accuracy=float(h / n))
            for n, s, h in zip(images, sure, hits, strict=True)
            if n
        ],
    )


def pooled_reliability(
    predictions: Sequence[tuple[Float[np.ndarray, "image class"], Int[np.ndarray, " image"]]],
    groups: Int[np.ndarray, " image"] | None = None,
) -> PooledReliability | None:
    """The bins of several seeds together, with the errors averaged over the seeds.

    Each prediction is `(logits, labels)` of the same images; those with a logit that is not finite are left out. None
    if none is left. `groups` are those of `reliability`.
    """
    found = [(each, pair) for pair in predictions if (each := reliability(*pair, groups)) is not None]
    if not found:
        return None
    logits, labels = (np.concatenate(parts) for parts in zip(*(pair for _, pair in found), strict=True))
    pooled = reliability(logits, labels)
    assert pooled is not None
    return PooledReliability(
        expected_calibration_error=float(np.mean([each.expected_calibration_error for each, _ in found])),
        expected_by_chance=float(np.mean([each.expected_by_chance for each, _ in found])),
        confidence=pooled.confidence,
        accuracy=pooled.accuracy,
        bins=pooled.bins,
        seeds=len(found),
    )


def miscalibration(network: str, found: Reliability) -> Finding | None:
    """The expected calibration error is at least 0.05, and at least twice that of chance on as many images."""
    error, chance = found.expected_calibration_error, found.expected_by_chance
    if error < MISCALIBRATED or error < TIMES_CHANCE * chance:
        return None
    kind = "over-confident" if found.confidence > found.accuracy else "under-confident"
    return finding(
        "calibration",
        network,
        f"{network} is {kind}: its mean confidence is {percent(found.confidence)}, its accuracy "
        f"{percent(found.accuracy)} (expected calibration error {100 * error:.0f} points; {100 * chance:.0f} would be "
        "chance).",
        {key: value for key, value in plain(found).items() if key != "bins"} | {"least": MISCALIBRATED},
    )


def pooled_log_probabilities(logits: Float[np.ndarray, "seed image class"]) -> Float[np.ndarray, "image class"]:
    """The log of the mean over seeds of the softmax probabilities: a deep ensemble (Lakshminarayanan et al. 2017).

    Probabilities are averaged rather than logits, so that no over-confident seed can exclude a class for all. The loss
    is never above the seeds' mean loss. With one seed it is the log softmax.
    """
    from scipy.special import log_softmax, logsumexp

    return logsumexp(log_softmax(logits.astype(np.float64), axis=-1), axis=0) - np.log(len(logits))


def fitted_temperature(logits: Float[np.ndarray, "image class"], labels: Int[np.ndarray, " image"]) -> float | None:
    """The T with the least mean cross-entropy of softmax(logits / T) (Guo et al. 2017, section 4.2), at most 100.

    None if every image is right: then the loss falls until T = 0, at which every answer would be certain.
    """
    from scipy.optimize import minimize_scalar

    if (logits.argmax(-1) == labels).all():
        return None
    # The loss is convex in 1 / T, so there is one minimum, also in log T.
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
    held_out: tuple[Float[np.ndarray, "other class"], Int[np.ndarray, " other"], Int[np.ndarray, " other"]]
    | None = None,
) -> TemperatureScaling:
    """Fits the temperature that calibrates these logits, and measures the calibration before and after it.

    Both are measured on `held_out` (logits, labels, groups) if it has images. Otherwise they are measured on the same
    images by cross-fitting: each fifth of the groups of copies is scored with the temperature of the other four, so
    that no image is judged with a temperature that was fitted on it or on a copy of it.

    The temperature is 1 if `problem` says why none can be fitted. See `reliability` for the errors.
    """
    found = TemperatureScaling(
        temperature=1.0,
        problem=None,
        images=len(labels),
        measured_on=None,
        measured_images=0,
        before=None,
        after=None,
        leaked_left_out=0,
    )
    if len(labels) < FEWEST_IMAGES:
        return replace(found, problem=f"{len(labels)} validation images; {FEWEST_IMAGES} are needed")
    if not np.isfinite(logits).all():
        return replace(found, problem="a logit of the validation images is not finite")
    temperature = fitted_temperature(logits, labels)
    if temperature is None:
        return replace(found, problem="every validation image is right, so confidence cannot be calibrated on them")
    found = replace(found, temperature=temperature)
    if held_out is not None and len(held_out[1]):
        measured_on, (before, truth, copies) = "held out", held_out
        after = before / temperature
    else:
        measured_on, before, truth, copies = "cross-fitted", logits, labels, groups
        after = _cross_fitted(logits, labels, groups)
    if after is None or not np.isfinite(before).all():
        return found
    return replace(
        found,
        measured_on=measured_on,
        measured_images=len(truth),
        before=_calibration_of(before, truth, copies),
        after=_calibration_of(after, truth, copies),
    )


def _cross_fitted(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray | None:
    """The logits, each divided by the temperature fitted on the other folds; None for a single group."""
    from sklearn.model_selection import GroupKFold

    folds = min(FOLDS, len(np.unique(groups)))
    if folds < 2:
        return None
    scaled = np.empty(logits.shape, np.float64)
    for others, fold in GroupKFold(folds).split(logits, labels, groups):
        scaled[fold] = logits[fold] / (fitted_temperature(logits[others], labels[others]) or 1.0)
    return scaled


def _calibration_of(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> Calibration | None:
    found = reliability(logits, labels, groups)
    if found is None:
        return None
    return Calibration(
        expected_calibration_error=found.expected_calibration_error,
        expected_by_chance=found.expected_by_chance,
        loss=cross_entropy(logits, labels),
    )
