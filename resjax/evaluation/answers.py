"""Which images a finished replica has right, from its predictions: what paired statistics over images need."""

from pathlib import Path

import numpy as np

from resjax.report.storage import read_npz


def right_answers(folder: Path, side: str) -> np.ndarray | None:
    """Whether each image of `val` or `test` was predicted right, in the split's order; None without predictions."""
    path = folder / "predictions.npz"
    if not path.exists():
        return None
    stored = read_npz(path)
    of_side = stored["side"] == side
    return stored["logits"][of_side].argmax(-1) == stored["label"][of_side]
