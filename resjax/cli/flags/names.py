"""Names that other programs give to our flags, for the error text of an unknown flag."""

import re
from collections.abc import Iterable

from absl import flags

from resjax.errors import closest

USUAL = {
    "architectures": ("arch", "architecture", "model", "models", "net", "network", "networks", "depth"),
    "augment": ("aug", "augmentation", "transform", "transforms"),
    "batch_size": ("b", "batch", "batchsize", "train_batch_size"),
    "cache_dir": ("cache",),
    "clip_norm": ("clip_grad", "clip_grad_norm", "gradient_clipping", "grad_clip", "max_grad_norm"),
    "cutmix": ("cutmix_alpha",),
    "data_dir": ("tfds_dir", "tfds_data_dir"),
    "dataset": ("data", "dataset_name", "data_path", "input", "train_dir", "csv", "folder", "npz", "tfds"),
    "dtype": ("amp", "bf16", "fp16", "half", "mixed_precision", "precision"),
    "ema_decay": ("ema", "model_ema", "model_ema_decay"),
    "epochs": ("e", "epoch", "num_epochs", "n_epochs", "max_epochs"),
    "image_dir": ("images", "img_dir", "image_folder"),
    "image_size": ("size", "imgsz", "img_size", "input_size", "resolution"),
    "init_from": ("pretrained", "weights", "checkpoint", "ckpt"),
    "label_smoothing": ("smoothing",),
    "learning_rate": ("learningrate", "base_lr", "init_lr"),
    "max_minutes": ("time_limit", "timeout"),
    "mixup": ("mixup_alpha",),
    "optimizer": ("opt", "optim"),
    "schedule": ("scheduler", "lr_schedule", "lr_scheduler", "sched"),
    "seeds": ("s", "seed", "n_seeds", "num_seeds", "replicas", "runs"),
    "val_fraction": ("val_split", "validation_split", "valid_fraction", "val_ratio"),
    "weight_decay": ("decay", "l2", "weightdecay"),
    "workdir": ("o", "out", "output", "output_dir", "out_dir", "outdir", "logdir", "save_dir", "work_dir"),
}
"""Each flag with its usual other names; `lr`, `bs` and `wd` are real second names of theirs."""
ELSEWHERE = {
    **dict.fromkeys(("gpu", "gpus", "device", "devices", "cuda", "cpu"), "JAX_PLATFORMS=cpu, cuda or tpu before the "
    "command chooses the device"),
    **dict.fromkeys(("drop", "dropout", "drop_path"), "the networks have no dropout; an architecture such as "
    "resnet34_stochastic_depth drops blocks"),
    **dict.fromkeys(("resume", "restart"), "the same command resumes what is in its --workdir"),
}  # fmt: skip
"""What other programs have a flag for, and what is to be done here instead."""
KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false"}
"""The kinds of values, by absl's names."""
_FLAG_OF = {usual: flag for flag, names in USUAL.items() for usual in names}


def unknown_flag(name: str, known: Iterable[str]) -> str:
    """The error text for a flag that a command does not have.

    >>> unknown_flag("Epoch", ["epochs", "seeds"])
    '--Epoch: there is no such flag; did you mean --epochs?'
    """
    known = list(known)
    lower = name.lower().replace("-", "_")
    near = [each for each in (lower, _FLAG_OF.get(lower)) if each in known][:1]
    hint = ELSEWHERE.get(lower)
    if not near and not hint:
        begin = [each for each in known if len(lower) > 2 and each.startswith(lower)]
        near = list(dict.fromkeys([*begin, *closest(lower, known, 2)]))[:2]
    if near:
        hint = f"did you mean {' or '.join(f'--{each}' for each in near)}?"
    return f"--{name}: there is no such flag; {hint or '--help lists the flags'}"


def unreadable_value(said: str, known: flags.FlagValues) -> str:
    """The error text for a value that is not of its flag's kind, or is missing, from what absl says of it.

    >>> unreadable_value("flag --x=3: no", flags.FlagValues())
    'flag --x=3: no'
    """
    found = re.match(r"flag --(?P<name>\w+)=(?P<value>.*?): |Missing value for flag -+(?P<bare>\w+)", said, re.S)
    name = (found["name"] or found["bare"]) if found else ""
    if found is None or name not in known:
        return said
    flag = known[name]
    kind = KINDS.get(flag.parser.flag_type())
    if found["bare"]:
        return f"--{name}: the value is missing; expected {kind or 'a text'}{_example(flag)}"
    # Other kinds of values have words of their own.
    return said if kind is None else f"--{name}={found['value']}: expected {kind}{_example(flag)}"


def _example(flag: flags.Flag) -> str:
    return "" if flag.default in (None, []) else f", such as --{flag.short_name or flag.name}={flag.default}"


def described_names(flag: flags.Flag) -> str:
    """A flag's name with its second one, for `--help`."""
    return f"--{flag.name}, --{flag.short_name}" if flag.short_name else f"--{flag.name}"
