"""The typed records of every file that resjax writes, with their reading, writing, checksums and JSON schemas.

>>> import tempfile
>>> from pathlib import Path
>>> from resjax.records import Gallery, read_record, write_record
>>> with tempfile.TemporaryDirectory() as folder:
...     write_record(Path(folder) / "gallery.json", Gallery(thumbnails={}))
...     read_record(Path(folder) / "gallery.json", Gallery)
Gallery(schema_version=1, thumbnails={})
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
