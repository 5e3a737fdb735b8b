"""Which pictures a report shows: where two networks disagree most over the seeds, and where both are wrong."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from resjax.records import Done
from resjax.records.run_records import RunRecords

MOST_SHOWN = 12
"""Pictures of each kind, for one pair of networks."""
MOST_PAIRS = 3
"""Pairs of networks that have a gallery, each the first network and another one."""


class Picture(NamedTuple):
    """A picture with what each network took it for, in how many seeds."""

    id: str
    label: str
    taken_for: dict[str, list[tuple[str, int, bool]]]
    """For each network the classes that it was taken for, with the number of seeds and whether that is right."""


class Gallery(NamedTuple):
    """The pictures of one pair of networks, with the numbers of all of their kind."""

    baseline: str
    candidate: str
    seeds: int
    kinds: list[tuple[str, list[Picture], int]]
    """Words for each kind, the pictures shown, and how many distinct ones there are."""


def galleries(records: RunRecords) -> list[Gallery]:
    """The galleries of the first network against each other one; none without predictions of both on shared seeds."""
    baseline, *candidates = records.summary.architectures
    found = [_gallery(records, baseline, candidate) for candidate in candidates[:MOST_PAIRS]]
    return [gallery for gallery in found if gallery is not None]


def pictures_of(shown: list[Gallery]) -> list[str]:
    """The ids of all pictures in some galleries, each once."""
    pictures = (picture.id for gallery in shown for _, pictures, _ in gallery.kinds for picture in pictures)
    return list(dict.fromkeys(pictures))


def _gallery(records: RunRecords, baseline: str, candidate: str) -> Gallery | None:
    results = records.results()
    pairs = []
    for seed in results[baseline]:
        both = [result for name in (baseline, candidate) if isinstance(result := results[name].get(seed), Done)]
        if len(both) < 2:
            continue
        side = both[0].evaluated_on
        first, second = (records.predictions(network, seed, side) for network in (baseline, candidate))
        if first is not None and second is not None and first.ids == second.ids and first.ids:
            pairs.append((first, second))
    pairs = [pair for pair in pairs if pair[0].ids == pairs[0][0].ids]
    if not pairs:
        return None
    ids, labels = pairs[0][0].ids, pairs[0][0].labels
    logits = np.nan_to_num(np.array([[one.logits for one in pair] for pair in pairs], np.float64))
    predicted = logits.argmax(-1)  # (seed, network, image)
    right = (predicted == labels).mean(0)
    sure = probability_of_label(logits, labels).mean(0)
    gain, surer = right[1] - right[0], sure[1] - sure[0]
    kinds = {
        f"{candidate} is right more often than {baseline}": (gain > 0, np.lexsort((-surer, -gain))),
        f"{baseline} is right more often than {candidate}": (gain < 0, np.lexsort((surer, gain))),
        "Both are wrong in every seed, the surest mistakes first": (right.max(0) == 0, np.argsort(sure.sum(0))),
    }
    groups = _groups(records)
    classes = records.summary.dataset.classes
    described = []
    for words, (counts, order) in kinds.items():
        chosen = _one_of_each_group([image for image in order if counts[image]], ids, groups)
        pictures = [
            Picture(
                ids[image],
                classes[labels[image]],
                {
                    network: [
                        (classes[label], count, bool(label == labels[image]))
                        for label, count in Counter(predicted[:, place, image].tolist()).most_common()
                    ]
                    for place, network in enumerate((baseline, candidate))
                },
            )
            for image in chosen[:MOST_SHOWN]
        ]
        described.append((words, pictures, len(chosen)))
    return Gallery(baseline, candidate, len(pairs), described)


def probability_of_label(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The softmax probability of each image's own class."""
    exponents = np.exp(logits - logits.max(-1, keepdims=True))
    return (exponents / exponents.sum(-1, keepdims=True))[..., np.arange(len(labels)), labels]


def _groups(records: RunRecords) -> dict[str, str]:
    """The group of copies of each image, by id, as far as the split's record knows it."""
    return {image.id: image.group for image in records.split.images} if records.split else {}


def _one_of_each_group(images: list[int], ids: list[str], groups: dict[str, str]) -> list[int]:
    """Leaves the first of each group of copies: the same picture five times says nothing new."""
    first: dict[str, int] = {}
    for image in images:
        first.setdefault(groups.get(ids[image], ids[image]), image)
    return list(first.values())
