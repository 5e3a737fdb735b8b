"""Which thresholds tell near-duplicates from other pictures? Precision and recall on made copies and hard negatives.

  python -m experiments.studies.near_duplicates --dataset=csv:train.csv --pictures=300 --json=study.json

The study takes pictures of different contents from the data, makes a copy of each by every change that usually makes
near-duplicates, and looks for each picture among all copies. Pairs of pictures with different labels are the negatives.
Hard negatives are pictures in the same frame or with the same caption, drawn dishes of one kind, and plain pictures.
The hash and the detail are those of `resjax.data.duplicates`; `near_duplicate_kinds` measures the whole search.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image, ImageDraw, ImageEnhance

from resjax.cli.flags.data import define_source_flags, source_settings
from resjax.cli.flags.paths import define_path
from resjax.cli.program import Command, run_command
from resjax.data.decoding import THUMBNAIL_SIZE
from resjax.data.duplicates.near_duplicates import DETAIL, HASH_DISTANCE, resemblance
from resjax.data.sources.opening import open_catalogue
from resjax.data.synthetic import source as synthetic
from resjax.records import Part, Record, write_record
from resjax.training.recipe import require_range

FLAGS = flags.FLAGS
DETAILS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
HASH_DISTANCES = (8, 12, 16, 18, 20, 22)

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


class Found(Part, frozen=True, kw_only=True):
    """How many pairs of pictures count as near-duplicates."""

    pairs: int
    detail: dict[str, int]
    """For each threshold of detail, at the default threshold of the hash."""
    hash_distance: dict[int, int]
    """For each threshold of the hash, at the default threshold of detail."""
    details: list[float]
    """Quantiles of the detail that the pairs share: 0, 1, 50, 99 and 100 %."""


class OfChange(Part, frozen=True, kw_only=True):
    """Copies made by one change, and pairs with different labels one of which was changed."""

    change: str
    copies: Found
    others: Found


class OfNegatives(Part, frozen=True, kw_only=True):
    """One kind of pairs of different pictures."""

    negatives: str
    others: Found


class Thresholds(Part, frozen=True, kw_only=True):
    """The default thresholds."""

    hash_distance: int
    detail: float


class Study(Record, frozen=True, kw_only=True):
    """The record of the study."""

    dataset: str
    pictures: int
    thresholds: Thresholds
    changes: list[OfChange]
    negatives: list[OfNegatives]


def jpeg(quality: int) -> Change:
    """Saved as a JPEG."""

    def change(image, rng):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return change


def scaled(factor: float) -> Change:
    """Resized by a factor."""
    return lambda image, rng: image.resize(
        [max(1, round(factor * length)) for length in image.size], Image.Resampling.BICUBIC
    )


def cropped(share: float, *, where: str) -> Change:
    """Cropped to `1 - share` of height and width, at the `centre`, in a `corner` or `anywhere`."""

    def change(image, rng):
        corner = {"centre": np.full(2, 0.5), "corner": rng.integers(0, 2, 2), "anywhere": rng.random(2)}[where]
        left, top = (round(share * length * part) for length, part in zip(image.size, corner, strict=True))
        width, height = (round((1 - share) * length) for length in image.size)
        return image.crop((left, top, left + width, top + height))

    return change


def mirrored(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Flipped left to right."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def recoloured(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast and saturation by up to a fifth, and the hue turned by up to a twentieth of the circle."""
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = kind(image).enhance(rng.uniform(0.8, 1.2))
    hue, *others = image.convert("HSV").split()
    turn = int(rng.integers(-13, 14))
    return Image.merge("HSV", [hue.point([(value + turn) % 256 for value in range(256)]), *others]).convert("RGB")


def in_sequence(*changes: Change) -> Change:
    """Several changes, one after the other."""

    def change(image, rng):
        for step in changes:
            image = step(image, rng)
        return image

    return change


CHANGES: dict[str, Change] = {
    "JPEG quality 30": jpeg(30),
    "JPEG quality 50": jpeg(50),
    "JPEG quality 75": jpeg(75),
    "JPEG quality 95": jpeg(95),
    "scaled by 0.25": scaled(0.25),
    "scaled by 0.5": scaled(0.5),
    "scaled by 2": scaled(2.0),
    "5 % cropped, centred": cropped(0.05, where="centre"),
    "5 % cropped, from a corner": cropped(0.05, where="corner"),
    "5 % cropped, anywhere": cropped(0.05, where="anywhere"),
    "mirrored": mirrored,
    "recoloured": recoloured,
    "recoloured, halved, mirrored, JPEG quality 50": in_sequence(recoloured, scaled(0.5), mirrored, jpeg(50)),
    "recoloured, cropped anywhere, JPEG quality 75": in_sequence(recoloured, cropped(0.05, where="anywhere"), jpeg(75)),
    "10 % cropped, centred (more than is looked for)": cropped(0.1, where="centre"),
}


def thumbnails(images: Sequence[Image.Image]) -> np.ndarray:
    """The pictures as the search sees them: (picture, height, width, 3) in uint8."""
    return np.stack(
        [np.asarray(image.resize((THUMBNAIL_SIZE, THUMBNAIL_SIZE), Image.Resampling.BILINEAR)) for image in images]
    )


def found_in(distances: np.ndarray, details: np.ndarray) -> Found:
    """How many pairs count as near-duplicates, by each threshold.

    Args:
      distances: of the hashes, and details: that are shared, both (orientation, pair).
    """
    best = np.where(distances <= HASH_DISTANCE, details, -1).max(axis=0)
    return Found(
        pairs=best.size,
        detail={f"{least:g}": int((best >= least).sum()) for least in DETAILS},
        hash_distance={
            most: int(((distances <= most) & (details >= DETAIL)).any(axis=0).sum()) for most in HASH_DISTANCES
        },
        details=[round(float(value), 2) for value in np.quantile(details.max(axis=0), (0, 0.01, 0.5, 0.99, 1))],
    )


def study_changes(images: Sequence[Image.Image], labels: np.ndarray) -> list[OfChange]:
    """For each change, which of the made copies are found, and which pairs with different labels count as copies."""
    originals = thumbnails(images)
    unlike = labels[:, None] != labels
    rows = []
    for name, change in CHANGES.items():
        rng = np.random.default_rng(0)
        distances, details = resemblance(originals, thumbnails([change(image, rng) for image in images]))
        copies = np.eye(len(images), dtype=bool)
        found, false = (found_in(distances[:, pairs], details[:, pairs]) for pairs in (copies, unlike))
        rows.append(OfChange(change=name, copies=found, others=false))
    return rows


def study_negatives(images: Sequence[Image.Image], labels: np.ndarray) -> list[OfNegatives]:
    """For each kind of hard negative, which pairs of different pictures count as near-duplicates."""
    unlike = np.triu(labels[:, None] != labels, 1)
    drawings = {(drawing.label, drawing.seed) for drawing in synthetic.plan(400)}
    drawn = np.stack([synthetic.draw_dish(label, seed=seed, size=THUMBNAIL_SIZE) for label, seed in sorted(drawings)])
    plain = thumbnails(plain_pictures(200))
    kinds = {
        "two labels": (thumbnails(images), unlike),
        "two labels, in one frame": (thumbnails([framed(image) for image in images]), unlike),
        "two labels, over one caption": (thumbnails([captioned(image) for image in images]), unlike),
        "drawn dishes": (drawn, np.triu(np.ones((len(drawn),) * 2, bool), 1)),
        "plain pictures": (plain, np.triu(np.ones((len(plain),) * 2, bool), 1)),
    }
    rows = []
    for name, (pictures, pairs) in kinds.items():
        distances, details = resemblance(pictures, pictures)
        rows.append(OfNegatives(negatives=name, others=found_in(distances[:, pairs], details[:, pairs])))
    return rows


def framed(image: Image.Image) -> Image.Image:
    """With a white frame over the border, a sixteenth of the picture wide."""
    framed = image.copy()
    width = max(1, round(min(image.size) / 16))
    ImageDraw.Draw(framed).rectangle((0, 0, image.width - 1, image.height - 1), outline="white", width=width)
    return framed


def captioned(image: Image.Image) -> Image.Image:
    """With a black bar over the lower tenth, which has the same words in every picture."""
    captioned = image.resize((320, 320))
    draw = ImageDraw.Draw(captioned)
    draw.rectangle((0, 288, 319, 319), fill="black")
    draw.text((10, 292), "www.recipes.example", fill="white", font_size=24)
    return captioned


def plain_pictures(count: int) -> list[Image.Image]:
    """Gradients between two colours in random directions with a little noise, like walls, skies and bare tables."""
    rng = np.random.default_rng(0)
    down, right = np.mgrid[-1:1:128j, -1:1:128j]
    pictures = []
    for _ in range(count):
        angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
        share = 0.5 + strength * (np.cos(angle) * down + np.sin(angle) * right)
        first, second = rng.uniform(0, 255, (2, 3))
        pixels = share[..., None] * first + (1 - share[..., None]) * second + rng.normal(0, 2, (128, 128, 1))
        pictures.append(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))
    return pictures


def study_text(record: Study) -> str:
    """The record as tables in Markdown: recall and precision by change in per cent, and false pairs."""
    shown = ("0.5", "0.6", "0.65", "0.7", "0.75", "0.8", "0.9")
    lines = [
        f"{record.dataset}: {record.pictures} pictures, hashes at most {HASH_DISTANCE} bits apart",
        "",
        "| recall / precision, % | " + " | ".join(shown) + " |",
        "| --- |" + " --- |" * len(shown),
    ]
    for row in record.changes:
        cells = []
        for least in shown:
            found, false = row.copies.detail[least], row.others.detail[least]
            precision = f"{100 * found / (found + false):.1f}" if found else "-"
            cells.append(f"{100 * found / row.copies.pairs:.1f} / {precision}")
        lines.append(f"| {row.change} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| pairs taken for copies | of | " + " | ".join(shown) + " |",
        "| --- | --- |" + " --- |" * len(shown),
    ]
    for row in record.negatives:
        counts = [str(row.others.detail[least]) for least in shown]
        lines.append(f"| {row.negatives} | {row.others.pairs:,} | " + " | ".join(counts) + " |")
    hashes = [str(most) for most in HASH_DISTANCES]
    lines += ["", f"| recall, %, detail {DETAIL:g} | " + " | ".join(hashes) + " |", "| --- |" + " --- |" * len(hashes)]
    for row in record.changes:
        shares = [f"{100 * row.copies.hash_distance[most] / row.copies.pairs:.1f}" for most in HASH_DISTANCES]
        lines.append(f"| {row.change} | " + " | ".join(shares) + " |")
    return "\n".join(lines)


def main() -> None:
    require_range("--pictures", FLAGS.pictures, 10, 2000)
    source = source_settings()
    catalogue = open_catalogue(
        source.dataset, image_dir=source.image_dir, data_dir=source.data_dir, image_size=THUMBNAIL_SIZE
    )
    contents: dict[bytes, int] = {}
    for image in np.random.default_rng(0).permutation(len(catalogue.ids)).tolist():
        if len(contents) < FLAGS.pictures:
            contents.setdefault(catalogue.read(image), image)
    images = [Image.open(io.BytesIO(file)).convert("RGB") for file in contents]
    labels = catalogue.labels[list(contents.values())]
    record = Study(
        dataset=Path(source.dataset).name,
        pictures=len(images),
        thresholds=Thresholds(hash_distance=HASH_DISTANCE, detail=DETAIL),
        changes=study_changes(images, labels),
        negatives=study_negatives(images, labels),
    )
    print(study_text(record))
    if FLAGS.json:
        write_record(FLAGS.json, record)


def define_study_flags() -> None:
    flags.DEFINE_integer("pictures", 300, "number of pictures of different contents, drawn at random")
    define_path("json", None, "file for the record; by default none is written")


COMMAND = Command("studies.near_duplicates", __doc__ or "", main, (define_source_flags, define_study_flags))

if __name__ == "__main__":
    run_command(COMMAND)
