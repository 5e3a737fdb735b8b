"""What every record and its parts have in common, and the shapes that several records share.

Records are msgspec Structs: msgspec is small and fast, has no dependencies, and one definition serves building a record
in code, writing it, reading it, validating it and its JSON schema.

Fields stand in the order in which they are written. A key that a file may lack has the default `UNSET`; a key that may
be null has the type `... | None`.
"""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

SCHEMA_VERSION = 1
"""Version of the records that this code writes and reads."""
NUMERICS_VERSION = 3
"""Increases with every change to the numbers of results: no replica resumes under another version, and the committed
records of an older one are taken again."""
Side = Literal["train", "val", "test"]
"""The parts of a split."""
Reported = Literal["val", "test"]
"""The side that accuracies are reported on."""
Status = Literal["done", "diverged", "pending"]
"""How a replica stands."""
Interval = tuple[float, float]
"""Lower and upper end."""
Config = dict[str, Any]
"""The value of each flag."""


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a record, or a record that is one line of a file."""


class Record(Part, frozen=True, kw_only=True):
    """A record that is a file of its own."""

    schema_version: Literal[1] = SCHEMA_VERSION


class Environment(Part, frozen=True, kw_only=True):
    """Versions, device and git revision that a run was made with."""

    jax: str
    flax: str
    platform: str
    device_kind: str
    device_count: int
    process_count: int
    cpu_count: int | None
    xla_flags: str | None | UnsetType = UNSET
    """Of the environment variable XLA_FLAGS, null where it was not set; absent where nobody looked."""
    git_revision: str | None
    """The commit, with `+` where files were changed; null outside of a checkout."""
    dtype: str | UnsetType = UNSET
    """That the networks of a comparison really computed in."""
    processor: str | UnsetType = UNSET
    """Of a reproduction."""
    jaxlib: str | UnsetType = UNSET
    """This and what follows is absent in records of earlier versions."""
    convolution: str | UnsetType = UNSET
    """What computes convolutions: `oneDNN` with its version, `matrix products` or `XLA`."""
    prng: str | UnsetType = UNSET
    """The implementation of our random keys."""
    threefry_partitionable: bool | UnsetType = UNSET
    x64: bool | UnsetType = UNSET
    matmul_precision: str | None | UnsetType = UNSET
    """JAX's default precision of matrix products and convolutions; null where it is the device's own."""
    numerics_version: int | UnsetType = UNSET
    """`NUMERICS_VERSION` of the code that computed."""


class Fold(Part, frozen=True, kw_only=True):
    """Which fold of how many a split is."""

    number: int
    of: int


class InitFrom(Part, frozen=True, kw_only=True):
    """The file of weights that a network starts from."""

    file: str
    sha256: str


class ValueRangesRecord(Part, frozen=True, kw_only=True):
    """The values that became black and white in images with more than 8 bits a channel, by the kind of number."""

    integers: Interval | None
    """Null where no image has them."""
    floats: Interval | None


class ClassScores(Part, frozen=True, kw_only=True):
    """Scores of one class; fractions, and its number of images."""

    precision: float
    recall: float
    f1: float
    support: int


def require_square(matrix: Sequence[Sequence[int]], size: int, name: str) -> None:
    """Raises ValueError where a confusion matrix does not have `size` rows of `size` numbers."""
    if len(matrix) != size or any(len(row) != size for row in matrix):
        raise ValueError(f"{name}: expected {size} rows of {size} numbers")


def require_sides(counts: dict[Side, int], sides: tuple[Side, ...], name: str) -> None:
    """Raises ValueError where not exactly these sides are counted."""
    if set(counts) != set(sides):
        raise ValueError(f"{name}: expected {', '.join(sides)}, found {', '.join(counts) or 'nothing'}")


OUTSIDE_RECIPE = (
    *("architectures", "seeds", "workdir", "cache_dir", "cache_gb", "compile_cache", "gpu_flags", "pipeline"),
    *("replicas_as", "mesh", "max_minutes", "allow_mixed_environment", "python"),
    *("dataset", "image_dir", "data_dir", "init_from"),
    *("probes", "probe_seeds", "probe_images", "probe_scored", "landscape_side", "landscape_chunk"),
    *("curvature_steps", "curvature_samples", "dose_training"),
    *("split", "split_seed", "split_file", "folds", "val_fraction", "test_fraction"),
    *("train_fraction", "comparisons", "metric", "margin"),
)
"""Flags that do not say what becomes of a replica: those of the first two lines, of the probes
and of the verdict never do, the others
only through the data and its split or through the content of a file, which have a fingerprint of their own. `python`
is no flag: it names the function that a run was started by whose arguments its flags do not say in full."""
