"""`gallery.json`: small copies of the pictures that a report shows, kept so that it can be made again without them."""

import base64
import io

import numpy as np
from PIL import Image

from resjax.report.page.gallery import galleries, pictures_of
from resjax.report.records import SCHEMA_VERSION
from resjax.records.run_records import RunRecords
from resjax.types import Dataset

LONGEST_SIDE = 96
"""Pixels; as a JPEG data URI about 4 kB a picture, at most 108 pictures (36 for each of 3 pairs of arms)."""


def gallery_record(records: RunRecords, dataset: Dataset) -> dict:
    """The thumbnails by the pictures' ids, as JPEG data URIs; images smaller than a thumbnail keep their size."""
    place = {name: image for image, name in enumerate(dataset.ids)}
    chosen = pictures_of(galleries(records))
    thumbnails = {name: _data_uri(dataset.images[np.array([place[name]])][0]) for name in chosen if name in place}
    return {"schema_version": SCHEMA_VERSION, "thumbnails": thumbnails}


def _data_uri(pixels: np.ndarray) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
