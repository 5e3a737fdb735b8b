"""The settings of a comparison and of its probes: frozen dataclasses, made once from flags or by a caller in Python."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from resjax.data.dataset import Dataset
from resjax.data.sources.catalogue import Catalogue
from resjax.evaluation.comparison.comparing import Question
from resjax.models.own_network import NetworkSpec
from resjax.records import MetricsLine
from resjax.run.stopping import Stopping
from resjax.training.recipe import Recipe

OnEpoch = Callable[[str, int, MetricsLine], None]
"""Called with a network, a seed and the line of an epoch that has ended."""
SIZES = ("width", "stem")
"""Flags that change a field of every architecture; without them each has its own."""
PROBES = {
    "gradients": "gradient flow by depth",
    "signals": "signal flow by depth",
    "shattering": "autocorrelation of the input gradient along a line",
    "lesions": "accuracy without some of the blocks",
    "dose": "accuracy with the shortcut turned down",
    "landscape": "loss on a line and a plane through the parameters",
    "curvature": "largest eigenvalues and trace of the Hessian",
    "saliency": "Grad-CAM of the pictures in the report",
    "linear": "a linear classifier on what leaves each block",
    "connectivity": "loss between the solutions of two seeds",
}
"""The probes by name, in the order of the report."""
FAST = ("gradients", "signals", "lesions")


@dataclass(frozen=True)
class SourceSettings:
    """Where the images come from, and where decoded images are kept."""

    dataset: str
    image_dir: Path | None
    data_dir: Path | None
    cache_dir: Path | None
    cache_gb: float
    near_copies: bool
    given: Catalogue | Dataset | None = field(default=None, compare=False, repr=False)
    """Images that a caller in Python has; `dataset` is then their name alone."""


@dataclass(frozen=True)
class SplitSettings:
    """How the images are divided into training, validation and test."""

    methods: tuple[str, ...]
    """Empty if the data decide; with several, the comparison runs once on each."""
    seed: int
    file: Path | None
    folds: int | None
    val_fraction: float | None
    test_fraction: float
    train_fraction: float = 1.0
    """The fraction of the training images that is trained on."""


@dataclass(frozen=True)
class Settings:
    """All settings of a comparison."""

    architectures: tuple[NetworkSpec, ...]
    """The networks that are compared."""
    seeds: tuple[int, ...]
    source: SourceSettings
    split: SplitSettings
    image_size: int
    pipeline: str
    recipe: Recipe
    dtype: str
    init_from: dict[str, Path]
    """The file of weights that each network starts from; networks without one start from random numbers."""
    workdir: Path
    flags: dict[str, object]
    """Every flag of the experiment with its value, for the records."""
    comparisons: str = "twins"
    """Which networks are compared with which: see `resjax.evaluation.comparison.pairs`."""
    question: Question = Question()
    """What is asked of each comparison."""
    looks: tuple[int, ...] = ()
    """With --seeds=auto, the numbers of seeds after which the comparison is judged and may end; otherwise empty."""
    replicas_as: str = "auto"
    """How the replicas of a network are trained: one of `resjax.training.recipe.WAYS`, or `auto`."""
    mesh: dict[str, int] | None = None
    """Devices along `replica` and `batch`, if they are given."""
    allow_mixed_environment: bool = False
    """Whether replicas may be added to others that were trained where numbers come out otherwise."""
    callbacks: tuple[OnEpoch, ...] = field(default=(), compare=False, repr=False)
    """Called after each epoch of a replica."""
    stopping: Stopping = field(default_factory=Stopping, compare=False, repr=False)
    """Whether the run has been asked to stop."""


@dataclass(frozen=True)
class ProbeSettings:
    """The settings of the probes."""

    names: tuple[str, ...]
    seeds: int
    images: int
    scored: int
    side: int
    chunk: int
    steps: int
    samples: int
    dose_training: tuple[float, ...]
