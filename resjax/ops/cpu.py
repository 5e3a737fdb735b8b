"""What computes convolutions on a CPU: what was asked for, and what is used here. Adam is one call beside oneDNN."""

import os
from typing import Self

from resjax.errors import BadInput
from resjax.ops.onednn import Unavailable, library

VARIABLE = "RESJAX_CPU_CONVOLUTIONS"
ONEDNN, MATRIX_PRODUCTS, XLA = "onednn", "matrix_products", "xla"
WAYS = ONEDNN, MATRIX_PRODUCTS, XLA

_chosen: str | None = None


class cpu_convolutions:
    """Chooses what computes the convolutions of `resjax.ops` on a CPU, from now on or in a `with` block.

    It is what functions are traced with; those that are compiled already keep theirs.

    >>> import resjax.ops
    >>> with resjax.ops.cpu_convolutions("xla"):
    ...     resjax.ops.cpu_convolutions_used()
    'XLA'

    Args:
      by: `onednn`; `matrix_products`, in the forms of `resjax.ops.matrix_products`; `xla`, XLA's own convolutions; or
        None for what RESJAX_CPU_CONVOLUTIONS says, and without it oneDNN where it can be used, otherwise matrix
        products.

    Raises:
      BadInput: for another word, and for `onednn` if it cannot be loaded.
    """

    def __init__(self, by: str | None):
        global _chosen
        if by is not None:
            _require(by, "cpu_convolutions")
        self._before, _chosen = _chosen, by

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        global _chosen
        _chosen = self._before


def asked() -> str | None:
    """What was asked for, one of `WAYS`; None if nothing was.

    Raises:
      BadInput: for another value of RESJAX_CPU_CONVOLUTIONS, and for `onednn` if it cannot be loaded.
    """
    if _chosen is not None:
        return _chosen
    by = os.environ.get(VARIABLE)
    return _require(by, VARIABLE) if by else None


def _require(by: str, name: str) -> str:
    if by not in WAYS:
        raise BadInput(f"{name}={by}: expected {', '.join(WAYS)}")
    if by == ONEDNN:
        try:
            library()
        except Unavailable as reason:
            raise BadInput(f"{name}={by}: {reason}; expected nothing for what there is, or xla") from reason
    return by


def resolved(by: str | None) -> str:
    """What is used where `by` was asked for, one of `WAYS`: without a wish oneDNN, where it can be used."""
    return by or (MATRIX_PRODUCTS if why_no_onednn() else ONEDNN)


def why_no_onednn() -> str | None:
    """Why oneDNN cannot be used here; None if it can."""
    try:
        library()
    except Unavailable as reason:
        return str(reason)
    return None


def cpu_convolutions_used(dtype: str = "float32") -> str:
    """What computes convolutions of this dtype on a CPU, for records: `oneDNN 3.2.0`, `matrix products` or `XLA`."""
    by = resolved(asked())
    if by == ONEDNN and dtype in ("float32", "bfloat16"):
        return f"oneDNN {library().name}"
    return "matrix products" if by != XLA and dtype == "float32" else "XLA"
