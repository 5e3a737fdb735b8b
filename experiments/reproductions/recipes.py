"""What can be reproduced: each published recipe as flags, its small version for `--quick`, and where ours departs.

A reproduction is a description. Its comparisons are those of `experiments.compare`: they resume, compare seed by seed
and write their own reports.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from resjax.records import PublishedNumber

from .published import CIFAR10, DISHES, FIRST_EXERCISE, FIRST_EXERCISE_CONFUSION, IMAGENET

Flags = Mapping[str, object]


@dataclass(frozen=True)
class Part:
    """Networks that share a recipe exactly, and therefore a comparison."""

    name: str
    """The name of its folder in the workdir."""
    flags: Flags = field(default_factory=lambda: MappingProxyType({}))
    """Flags by which the part departs from the recipe."""
    deepest: int | None = None
    """Networks of at most this many layers belong to the part; None for no limit. The first part that fits has them."""


@dataclass(frozen=True)
class Reproduction:
    """A published experiment."""

    title: str
    classes: int
    own_size: int | None
    """Height and width that every image of the data has; None if they differ."""
    recipe: Flags
    """Every flag that the published experiment determines; the others keep their defaults."""
    quick: Flags
    """The values that `--quick` takes instead."""
    published: tuple[PublishedNumber, ...]
    quantity: Literal["error", "accuracy"]
    """What the published numbers are, in per cent."""
    measures: Mapping[str, str]
    """Our own numbers beside them: metrics of a replica, with their headings."""
    departures: tuple[str, ...]
    """How our full version differs from the published experiment."""
    parts: tuple[Part, ...] = (Part("comparison"),)
    class_names: tuple[str, ...] = ()
    confusion: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Published confusion matrices by network, rows and columns in the order of `class_names`."""


_SAME_NETWORKS = {"width": None, "stem": None, "dtype": "float32", "init_from": None, "freeze": None}
_SGD = {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-4, "decayed": "all", "schedule": "step"}
_NO_WARMUP = {"warmup_epochs": 0.0, "warmup_shape": "linear"}

CIFAR_STEPS = 352
"""Steps per epoch: 45,000 images in batches of 128, the last of 72."""

REPRODUCTIONS: Mapping[str, Reproduction] = MappingProxyType(
    {
        "cifar10": Reproduction(
            title="Plain and residual networks of 20 to 110 layers on CIFAR-10 (He et al. 2015, section 4.2)",
            classes=10,
            own_size=32,
            recipe=_SAME_NETWORKS
            | _SGD
            | _NO_WARMUP
            | {
                **{"dataset": "tfds:cifar10", "image_size": 32, "val_fraction": 0.1, "seeds": "3"},
                "architectures": ",".join(f"plain{depth},resnet{depth}" for depth in (20, 32, 44, 56, 110)),
                **{"epochs": 182, "batch_size": 128, "learning_rate": 0.1, "milestones": "0.5,0.75"},
                "augment": "crop:4,flip",
            },
            quick={
                **{"dataset": "tfds:cifar10@train[:10%]", "near_copies": False, "image_size": 16, "width": 8},
                **{"architectures": "plain20,resnet20,plain56,resnet56", "epochs": 3, "batch_size": 16},
                # The rate is in proportion to the batch: the linear scaling rule (Goyal et al. 2017).
                **{"learning_rate": 0.0125, "augment": "crop:2,flip"},
            },
            published=CIFAR10,
            quantity="error",
            measures={
                "final_test_accuracy": "test, last epoch",
                "test_accuracy": "test, best epoch on validation",
                "final_val_accuracy": "validation, last epoch",
                "train_loss": "training loss, last epoch (nats)",
            },
            departures=(
                f"182 epochs of {CIFAR_STEPS} steps are 64,064 steps, not 64,000; the rate is divided after 32,032 and "
                "48,048 of them",
                "the last batch of an epoch has 72 images, so that every image counts once per epoch",
                "images are standardized by ImageNet's mean and standard deviation per channel; the paper "
                "subtracts the mean of each pixel",
                "depth 110 starts at a tenth of the learning rate for 400 steps; the paper does so until the training "
                "error is below 80 %, after about as many steps",
                "validation is 5,000 images in proportion to the classes, with duplicates kept on one side",
            ),
            parts=(
                Part("comparison", deepest=109),
                Part("with_warm_up", {"warmup_epochs": 400 / CIFAR_STEPS, "warmup_shape": "tenth"}),
            ),
        ),
        "imagenet": Reproduction(
            title="Plain and residual networks of 18 and 34 layers on ImageNet (He et al. 2015, section 4.1)",
            classes=1000,
            own_size=None,
            recipe=_SAME_NETWORKS
            | _SGD
            | _NO_WARMUP
            | {
                **{"dataset": "tfds:imagenet2012", "image_size": 256, "near_copies": False, "seeds": "3"},
                **{"cache_gb": 400.0, "architectures": "plain18,resnet18_pad,plain34,resnet34_pad"},
                **{"epochs": 120, "batch_size": 256, "learning_rate": 0.1, "milestones": "0.25,0.5,0.75"},
                "augment": "scale:224,256,480,flip,lighting:0.1",
            },
            quick={
                **{"dataset": "tfds:imagenet2012@validation[:20%]", "seeds": "2", "epochs": 2},
                **{"image_size": 64, "augment": "scale:56,64,120,flip,lighting:0.1", "width": 8, "batch_size": 64},
            },
            published=IMAGENET,
            quantity="error",
            measures={
                "final_val_accuracy": "validation, last epoch",
                "best_val_accuracy": "validation, best epoch",
                "train_loss": "training loss, last epoch (nats)",
            },
            departures=(
                "the rate is divided after 30, 60 and 90 of 120 epochs (600,600 steps); the paper divides it when the "
                "error stops falling",
                "images are stored after a resize to 256 x 256, which changes their aspect ratio, and scaled to 256 to "
                "480 pixels from there; the paper scales the shorter side of the original to 256 to 480 pixels",
                "validation uses the whole stored image once; the paper averages ten crops of 224 x 224",
                "images are standardized by mean and standard deviation per channel; the paper subtracts the mean of "
                "each pixel",
            ),
        ),
        "first_exercise": Reproduction(
            title="Five Indonesian dishes: plain-34, ResNet-34, pre-activation and SE, as in the first exercise",
            classes=5,
            own_size=None,
            recipe=_SAME_NETWORKS
            | _NO_WARMUP
            | {
                **{"dataset": "csv:indonesian_food/train.csv", "image_size": 300, "seeds": "6"},
                **{"architectures": "plain34,resnet34,preact_resnet34,se_resnet34", "split": "overlapping,grouped"},
                **{"epochs": 10, "batch_size": 24, "optimizer": "adam", "learning_rate": 5e-4, "weight_decay": 5e-4},
                **{"decayed": "all", "schedule": "constant", "augment": "flip,rotate:15,color:0.2,0.2,0.2,0.1"},
            },
            quick={"image_size": 32, "width": 8, "epochs": 4},
            published=FIRST_EXERCISE,
            quantity="accuracy",
            measures={
                "best_val_accuracy": "validation, best epoch",
                "final_val_accuracy": "validation, last epoch",
                "train_loss": "training loss, last epoch (nats)",
            },
            departures=(
                "its split drew train and validation independently; ours does so with another seed, so other images "
                "are on each side",
                "our photographs were scaled to a short side of at most 320 pixels before the resize to 300 x 300",
            ),
            class_names=DISHES,
            confusion=MappingProxyType(FIRST_EXERCISE_CONFUSION),
        ),
    }
)
"""By name, as `--target` takes it."""
