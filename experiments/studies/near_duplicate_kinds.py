"""Precision and recall of the whole search for near-duplicates, by kind of set: photographs, digits, sketches, ...

  python -m experiments.studies.near_duplicate_kinds --dataset=csv:train.csv --json=kinds.json

A set holds pictures no two of which are copies, and changed copies of a quarter of them, each change in a set of its
own. Links are the pairs of pictures that the search puts into one group. The kinds are the photographs of `--dataset`,
and the made kinds of `picture_kinds`. A picture of the photographs that the search groups with another one before any
copy was made is left out, so their false links are those that the changes bring.
"""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image, ImageDraw

from experiments.studies.near_duplicates import CHANGES, Change, thumbnails
from experiments.studies.picture_kinds import KINDS
from resjax.cli.flags.data import define_source_flags, source_settings
from resjax.cli.program import Command, run_command
from resjax.data.decoding import THUMBNAIL_SIZE
from resjax.data.duplicates.near_duplicates import near_duplicate_groups
from resjax.data.sources.opening import open_catalogue
from resjax.records import Part, Record, write_record
from resjax.report.tables import Table, markdown
from resjax.training.recipe import require_range

FLAGS = flags.FLAGS


def watermarked(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """With white words across the middle, half transparent."""
    words = Image.new("L", image.size)
    place = (image.width / 2, image.height * rng.uniform(0.4, 0.6))
    ImageDraw.Draw(words).text(place, "example", fill=128, font_size=max(6, image.width / 6), anchor="mm")
    return Image.composite(Image.new("RGB", image.size, "white"), image, words)


USUAL = (
    *("JPEG quality 30", "JPEG quality 75", "scaled by 0.5", "5 % cropped, centred", "5 % cropped, anywhere"),
    *("mirrored", "recoloured", "recoloured, halved, mirrored, JPEG quality 50"),
)
TRIED: dict[str, Change] = {name: CHANGES[name] for name in USUAL} | {"watermarked": watermarked}


class OfSet(Part, frozen=True, kw_only=True):
    """What the search finds in one set."""

    change: str
    copies: int
    found: int
    """Copies in the group of their picture."""
    false_links: int
    """Pairs in one group that are no copies of each other."""


class OfKind(Part, frozen=True, kw_only=True):
    """One kind of pictures."""

    kind: str
    pictures: int
    groups_without_copies: int
    """Pictures that the search counts before any copy was made; all of them, if it is right."""
    sets: list[OfSet]


class KindsStudy(Record, frozen=True, kw_only=True):
    """The record of the study."""

    kinds: list[OfKind]


def groups_of(images: Sequence[Image.Image]) -> np.ndarray:
    """The duplicate group of each picture."""
    return near_duplicate_groups(thumbnails(images), [f"{index:06}" for index in range(len(images))])


def study_kind(kind: str, images: Sequence[Image.Image]) -> OfKind:
    """What the search finds among these pictures, and among them and changed copies of every fourth."""
    rows = []
    for name, change in TRIED.items():
        rng = np.random.default_rng(0)
        copies = [change(image, rng) for image in images[::4]]
        groups = groups_of([*images, *copies])
        linked = sum(count * (count - 1) // 2 for count in Counter(groups.tolist()).values())
        found = int((groups[: len(images) : 4] == groups[len(images) :]).sum())
        rows.append(OfSet(change=name, copies=len(copies), found=found, false_links=linked - found))
    return OfKind(kind=kind, pictures=len(images), groups_without_copies=len(np.unique(groups_of(images))), sets=rows)


def photographs(count: int) -> list[Image.Image]:
    """Pictures of the source, at random, without copies."""
    source = source_settings()
    catalogue = open_catalogue(
        source.dataset, image_dir=source.image_dir, data_dir=source.data_dir, image_size=THUMBNAIL_SIZE
    )
    contents: dict[bytes, None] = {}
    for image in np.random.default_rng(0).permutation(len(catalogue.ids)).tolist():
        if len(contents) < 2 * count:
            contents.setdefault(catalogue.read(image))
    images = [Image.open(io.BytesIO(file)).convert("RGB") for file in contents]
    for image in images:
        image.thumbnail((320, 320))
    first = np.unique(groups_of(images), return_index=True)[1]
    return [images[index] for index in np.sort(first)[:count]]


def kinds_text(record: KindsStudy) -> str:
    """The record as tables in Markdown: precision and recall by kind, and recall by change."""
    rows = []
    for row in record.kinds:
        copies, found, false = (
            sum(getattr(one, name) for one in row.sets) for name in ("copies", "found", "false_links")
        )
        rows.append(
            [
                row.kind,
                f"{row.pictures:,}",
                f"{row.groups_without_copies:,}",
                f"{100 * found / max(1, found + false):.1f}",
                f"{100 * found / copies:.1f}",
            ]
        )
    changes = [one.change for one in record.kinds[0].sets]
    recalls = [
        [change, *(f"{100 * row.sets[number].found / row.sets[number].copies:.0f}" for row in record.kinds)]
        for number, change in enumerate(changes)
    ]
    return "\n\n".join(
        [
            markdown(Table(["kind", "pictures", "counted as", "precision, %", "recall, %"], rows)),
            markdown(Table(["recall, %", *(row.kind for row in record.kinds)], recalls)),
        ]
    )


def main() -> None:
    require_range("--pictures", FLAGS.pictures, 40, 2000)
    form, _, path = source_settings().dataset.partition(":")
    name = Path(path).resolve().parent.name if form == "csv" else Path(path).name
    kinds = {f"photographs, {name}": photographs}
    if FLAGS.made:
        kinds |= KINDS
    record = KindsStudy(kinds=[study_kind(kind, pictures(FLAGS.pictures)) for kind, pictures in kinds.items()])
    print(kinds_text(record))
    if FLAGS.json:
        write_record(FLAGS.json, record)


def define_study_flags() -> None:
    flags.DEFINE_integer("pictures", 300, "number of pictures of each kind")
    flags.DEFINE_boolean("made", True, "the made kinds too; --nomade leaves the photographs alone")
    flags.DEFINE_string("json", None, "file for the record; by default none is written")


COMMAND = Command("studies.near_duplicate_kinds", __doc__ or "", main, (define_source_flags, define_study_flags))

if __name__ == "__main__":
    run_command(COMMAND)
