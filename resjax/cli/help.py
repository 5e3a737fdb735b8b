"""What `--help` and `--helpfull` show: flags in groups, wrapped to the terminal, the common ones with an example."""

import re
import shlex
import shutil
import textwrap
from collections.abc import Iterator, Sequence

from absl import flags

from resjax.cli.flags.names import described_names

HELP = frozenset({"--help", "-h", "-help", "--helpshort"})
HELPFULL = "--helpfull"
WIDEST = 100
"""Columns that a text has at most, however wide the terminal is."""
EXAMPLES = {
    "dataset": "--dataset=folder:my_images",
    "test_fraction": "--test_fraction=0.2",
    "architectures": "--architectures=plain18,resnet18",
    "image_size": "--image_size=64",
    "width": "--width=16",
    "epochs": "--epochs=20",
    "batch_size": "--bs=32",
    "learning_rate": "--lr=1e-3",
    "weight_decay": "--wd=1e-4",
    "optimizer": "--optimizer=sgd",
    "augment": "--augment=flip,crop:4",
    "seeds": "--seeds=auto",
    "metric": "--metric=macro_f1",
    "workdir": "--workdir=runs/mine",
    "probes": "--probes=fast",
    "max_minutes": "--max_minutes=60",
}
"""The flags of comparisons that are common, each with an example; the others are in `--helpfull`."""
SHOWN = {"probe": ("workdir", "probes", "probe_seeds", "probe_images", "probe_scored", "max_minutes")}
"""Of commands that read the other flags from a workdir: the shared ones that their `--help` shows."""
REQUIRED = {
    **dict.fromkeys(("compare", "sweep"), "dataset"),
    **dict.fromkeys(("probe", "predict", "report"), "workdir"),
    "reproduce": "target",
}
"""The flag without which a command does not begin."""
GROUPS = {
    "Data": (
        *("dataset", "test_fraction", "val_fraction", "train_fraction", "split", "split_seed", "split_file", "folds"),
        *("image_size", "image_dir", "data_dir", "near_copies", "cache_dir", "cache_gb"),
    ),
    "Networks": ("architectures", "width", "stem", "init_from", "freeze"),
    "Training": (
        *("epochs", "batch_size", "learning_rate", "weight_decay", "optimizer", "augment", "schedule", "milestones"),
        *("warmup_epochs", "warmup_shape", "decayed", "momentum", "class_weights"),
        *("label_smoothing", "mixup", "cutmix", "clip_norm", "ema_decay"),
    ),
    "Seeds and verdict": ("seeds", "max_seeds", "comparisons", "metric", "margin"),
    "Report": (
        *("workdir", "probes", "probe_seeds", "probe_images", "probe_scored", "landscape_side", "landscape_chunk"),
        *("curvature_steps", "curvature_samples", "dose_training"),
    ),
    "Devices and time": (
        *("max_minutes", "yes", "dtype", "pipeline", "replicas_as", "mesh", "gpu_flags", "compile_cache"),
        *("allow_mixed_environment", "coordinator_address", "process_id", "num_processes", "coordinator_timeout"),
    ),
}
"""The flags that several commands share, and `--yes`, in the order in which they are shown."""
SHARED = ("resjax.cli.flags", "resjax.cli.machine")
"""How the modules begin that define them."""


def help_text(
    introduction: str | None,
    defined: Sequence[flags.Flag],
    *,
    name: str,
    program: Sequence[str],
    full: bool = False,
) -> str:
    """The introduction, then the flags in groups: those of the command itself first, then common ones, or all.

    Args:
      introduction: the docstring of the command's module.
      defined: the command's flags.
      name: of the command.
      program: the words by which a user starts it.
      full: whether rare flags are among them.
    """
    columns = min(WIDEST, shutil.get_terminal_size((80, 24)).columns)
    words = shlex.join(program)
    text = (introduction or "").strip().replace(f"python -m experiments.{name}", words)
    grouped = _grouped(defined, f"Only in {words}")
    common, required = SHOWN.get(name, EXAMPLES), REQUIRED.get(name)
    shown = {
        group: [flag for flag in of_group if full or not _is_shared(flag) or flag.name in common]
        for group, of_group in grouped.items()
    }
    lines = _wrapped_paragraphs(text, columns)
    for group, of_group in shown.items():
        if of_group:
            lines += [group, *(line for flag in of_group for line in _described(flag, columns, required)), ""]
    hidden = sum(map(len, grouped.values())) - sum(map(len, shown.values()))
    more = f" {hidden} more flags: {words} {HELPFULL}" if hidden else ""
    return "\n".join(
        [*lines, *_wrapped(f"Flags may also stand in a file, one on each line: --flagfile=FILE.{more}", columns)]
    )


def _grouped(defined: Sequence[flags.Flag], own: str) -> dict[str, list[flags.Flag]]:
    ordered = {name: group for group, names in GROUPS.items() for name in names}
    shared = {flag.name: flag for flag in defined if _is_shared(flag) or flag.name == "yes"}
    grouped: dict[str, list[flags.Flag]] = {own: [flag for flag in defined if flag.name not in shared]}
    for name in sorted(shared, key=[*ordered, *shared].index):
        grouped.setdefault(ordered.get(name, "Others"), []).append(shared[name])
    return grouped


def _is_shared(flag: flags.Flag) -> bool:
    return (flags.FLAGS.find_module_defining_flag(flag.name) or "").startswith(SHARED)


def _described(flag: flags.Flag, columns: int, required: str | None) -> Iterator[str]:
    example = f"; for example {EXAMPLES[flag.name]}" if _is_shared(flag) and flag.name in EXAMPLES else ""
    # absl adds a line to the help of a flag that may be repeated, after a semicolon.
    text = (flag.help or "").split(";\n")[0]
    default = "" if flag.default in (None, "", []) else f" (default: {flag.default})"
    if flag.name == required:
        text, default = text.split("; by default")[0], " (required)"
    yield f"  {described_names(flag)}"
    yield from _wrapped(f"{text}{default}{example}", columns, " " * 6)


def _wrapped_paragraphs(text: str, columns: int) -> list[str]:
    """The text with each paragraph wrapped; lines that are indented are commands, which a shell reads as one line."""
    lines: list[str] = []
    paragraph: list[str] = []
    # A backslash in the text joins two lines, as in a shell.
    for line in [*re.sub(r" *\\\n *", " ", text).splitlines(), ""]:
        if line.strip() and not line.startswith(" "):
            paragraph.append(line)
            continue
        lines += [*_wrapped(" ".join(paragraph), columns), *_wrapped_command(line, columns)]
        paragraph = []
    return lines


def _wrapped(text: str, columns: int, indent: str = "") -> list[str]:
    # Flags and paths stay whole.
    return textwrap.wrap(
        text, columns, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _wrapped_command(line: str, columns: int) -> Iterator[str]:
    r"""A command in lines that end with a backslash, where one line is too short for it.

    >>> print("\n".join(_wrapped_command("  python -m experiments.report --workdir=runs/mine", 40)))
      python -m experiments.report \
          --workdir=runs/mine
    """
    *most, last = textwrap.wrap(
        " ".join(line.split()),
        columns if len(line) <= columns else columns - 2,
        initial_indent="  ",
        subsequent_indent=" " * 6,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
    yield from (f"{part} \\" for part in most)
    yield last
