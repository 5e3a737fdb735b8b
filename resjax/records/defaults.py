"""The values that flags of a comparison have where nobody gave one, for commands that say only what matters.

They stand here because a report is made without the flags; a test holds them against the flags.
"""

from collections.abc import Mapping
from typing import Any

from resjax.records.kinds.base import Config

DEFAULTS: Config = {
    "dataset": "synthetic",
    "cache_gb": 20.0,
    "near_copies": True,
    "split_seed": 0,
    "test_fraction": 0.0,
    "train_fraction": 1.0,
    "architectures": "plain34,resnet34",
    "seeds": "6",
    "max_seeds": 20,
    "image_size": 224,
    "pipeline": "auto",
    "dtype": "float32",
    "gpu_flags": "latency_hiding",
    "compile_cache": True,
    "epochs": 10,
    "batch_size": 24,
    "optimizer": "adam",
    "learning_rate": 0.0005,
    "weight_decay": 0.0005,
    "decayed": "all",
    "momentum": 0.9,
    "schedule": "constant",
    "milestones": "0.5,0.75",
    "warmup_epochs": 0.0,
    "warmup_shape": "linear",
    "augment": "flip,rotate:15,color:0.2,0.2,0.2,0.1",
    "mixup": 0.0,
    "cutmix": 0.0,
    "label_smoothing": 0.0,
    "class_weights": "none",
    "clip_norm": 0.0,
    "ema_decay": 0.0,
    "replicas_as": "auto",
    "allow_mixed_environment": False,
    "comparisons": "twins",
    "metric": "accuracy",
    "probe_seeds": 3,
    "probe_images": 64,
    "probe_scored": 256,
    "landscape_side": 9,
    "landscape_chunk": 0,
    "curvature_steps": 10,
    "curvature_samples": 6,
    "dose_training": "",
}
"""Flags whose default is no value at all are left out."""


def said(config: Mapping[str, Any]) -> Config:
    """The flags of a record that a command has to give: those with another value than their default.

    >>> said({"epochs": 3, "seeds": "6", "width": None})
    {'epochs': 3}
    """
    return {name: value for name, value in config.items() if value is not None and value != DEFAULTS.get(name)}
