"""The epochs of a replica as plain values, which a checkpoint holds beside the state, and back."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool
from msgspec import UNSET

from resjax.records import BegunEpoch, MetricsLine, PackedAnswers, Progress, plain
from resjax.training.loop import PartialEpoch
from resjax.training.step import StepSums

Answers = Bool[np.ndarray, " image"]


def progress_values(
    lines: Sequence[MetricsLine], correct: Sequence[Answers], partial: PartialEpoch | None = None
) -> Any:
    """A `Progress` record as plain values.

    Args:
      lines: of the finished epochs.
      correct: which validation images were right after each of them.
      partial: the finished part of the next epoch, if training was stopped inside it.
    """
    begun = UNSET
    if partial is not None:
        sums = partial.sums
        begun = BegunEpoch(loss=sums.loss.tolist(), correct=sums.correct.tolist(), seconds=partial.seconds)
    return plain(Progress(lines=[*lines], correct=_packed(correct), begun=begun))


def partial_epoch(progress: Progress) -> PartialEpoch | None:
    """The finished part of an epoch, if training was stopped inside one."""
    begun = progress.begun
    if begun is UNSET:
        return None
    return PartialEpoch(StepSums(np.array(begun.loss, np.float32), np.array(begun.correct, np.int32)), begun.seconds)


def correct_by_epoch(progress: Progress) -> list[Answers]:
    """Which validation images were right after each epoch."""
    packed = progress.correct
    if packed is None:
        return []
    bits = np.frombuffer(base64.b64decode(packed.bits), np.uint8).reshape(packed.epochs, -1)
    return [*np.unpackbits(bits, axis=1, count=packed.images).astype(bool)]


def _packed(correct: Sequence[Answers]) -> PackedAnswers | None:
    if not correct:
        return None
    bits = np.packbits(np.stack(correct), axis=1)
    text = base64.b64encode(bits.tobytes()).decode()
    return PackedAnswers(images=correct[0].size, bits=text, epochs=len(correct))
