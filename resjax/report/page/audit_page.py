"""The page of an audit: what a set of images holds, with the groups of copies for a person to judge."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from resjax.records import CopyGroup, DatasetRecord, Listed
from resjax.report.page.html import render
from resjax.report.words import SIDES, counted

MOST_LISTED = 500
"""Files that are listed by name, of one kind; the rest is counted."""
ONE_COLOUR = "one colour or nearly so"
MOST_NAMED = 20
"""The same of one picture's exact copies."""


def audit_page(record: DatasetRecord, thumbnails: Mapping[str, str], meanings: Mapping[str, str]) -> str:
    """The page as HTML: one file, nothing loaded from elsewhere, every name escaped.

    Args:
      record: `dataset.json`.
      thumbnails: data URIs of small images, by content; pictures and groups that have none are counted.
      meanings: what becomes of a file, by the kind of finding.
    """
    one_colour = [Listed(id=name, reason=ONE_COLOUR, detail="") for name in record.one_colour or []]
    groups = [_group(group, thumbnails) for group in record.groups]
    shown = [group for group in groups if group["pictures"]]
    return render(
        "audit.html",
        counted=counted,
        record=record,
        random_split=_random_split(record),
        given_split=_given_split(record),
        copies=record.images - record.distinct_contents,
        near_copies=record.distinct_contents - record.distinct_pictures,
        groups=shown,
        groups_not_shown=len(groups) - len(shown),
        findings=_by_reason([*(record.findings or []), *one_colour]),
        excluded=_by_reason(record.excluded),
        ranges=_ranges(record),
        meanings={**meanings, ONE_COLOUR: "kept; their values hardly differ"},
        most_listed=MOST_LISTED,
    )


def _random_split(record: DatasetRecord) -> str:
    """What a random split would do with the copies."""
    leak = record.expected_leak
    return (
        f"With {100 * leak.val_fraction:g} % of the images for validation, a random split leaks: on average "
        f"{100 * leak.exact:.1f} % of the validation images have a byte-identical copy in training, and "
        f"{100 * leak.pictures:.1f} % an identical copy or a near-copy. The grouped split keeps all copies that were "
        "found on one side."
        if leak.pictures
        else "No copies were found, so a random split cannot put copies on two sides."
    )


def _given_split(record: DatasetRecord) -> str:
    """How many images leak in the split that came with the data; empty without one."""
    if not (given := record.given_split):
        return ""
    sides = ", ".join(f"{count:,} {SIDES[side]}" for side, count in given.images.items())
    leaked = counted(len(given.leaked), "image")
    return (
        f"In the split that came with the data ({sides}), {leaked} of validation and test have a copy on another side."
    )


def _ranges(record: DatasetRecord) -> str:
    """The ranges of images with more than 8 bits in words; empty if there are none."""
    if not record.value_ranges:
        return ""
    named = {"integers": record.value_ranges.integers, "floating-point numbers": record.value_ranges.floats}
    return " and ".join(f"{kind} from {ends[0]:g} to {ends[1]:g}" for kind, ends in named.items() if ends)


def _group(group: CopyGroup, thumbnails: Mapping[str, str]) -> dict[str, Any]:
    """A group by its distinct contents, the most frequent first, each with its files and labels."""
    names, labels = defaultdict(list), defaultdict(set)
    for name, content, label in zip(group.ids, group.contents, group.labels, strict=True):
        names[content].append(name)
        labels[content].add(label)
    pictures = [
        {
            "thumbnail": thumbnails[content],
            "count": len(ids),
            "name": ids[0],
            "names": ", ".join(ids[:MOST_NAMED]) + (" and more" if len(ids) > MOST_NAMED else ""),
            "labels": sorted(labels[content]),
        }
        for content, ids in sorted(names.items(), key=lambda item: -len(item[1]))
        if content in thumbnails
    ]
    return {
        "labels": sorted(set(group.labels)),
        "weakest_link": group.weakest_link,
        "pictures": pictures,
        "more": len(names) - len(pictures),
    }


def _by_reason(entries: Sequence[Listed]) -> dict[str, list[Listed]]:
    reasons = sorted({entry.reason for entry in entries})
    return {reason: [entry for entry in entries if entry.reason == reason] for reason in reasons}
