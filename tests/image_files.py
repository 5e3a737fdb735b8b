"""Files for the tests of the sources, and what they look at in a catalogue."""

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from resjax.data.sources.opening import Catalogue, open_catalogue
from resjax.errors import BadInput


def write_images(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (4, 4), (len(name), 0, 0))
        # A set of images of one colour is refused.
        image.putpixel((1, 1), (255, 255, 255))
        image.save(path, "PNG")


def write_csv(folder: Path, *rows: str, header: str = "filename,label") -> str:
    path = folder / "train.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return f"csv:{path}"


def labels_by_id(catalogue: Catalogue) -> dict[str, str]:
    return {name: catalogue.classes[label] for name, label in zip(catalogue.ids, catalogue.labels, strict=True)}


def sides_by_id(catalogue: Catalogue) -> dict[str, str]:
    return dict(zip(catalogue.ids, catalogue.sides, strict=True))


def reasons(catalogue: Catalogue) -> dict[str, int]:
    return Counter(exclusion.reason for exclusion in catalogue.exclusions)


def refusal(spec: str, **options) -> str:
    """The line that the user sees instead of a catalogue."""
    with pytest.raises(BadInput) as refused:
        open_catalogue(spec, image_size=8, **options)
    text = str(refused.value)
    assert text and "\n" not in text
    return text
