"""Whole command lines, each in a process of its own: success, or one line on stderr and status 2; never a traceback.

Three by default, of three commands; RESJAX_FUZZ_PROGRAMS=100 tries a hundred, of all commands.
"""

import os
import random
import subprocess
import sys
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import pytest
from absl import flags

from tests.commands import forget_flags, parsed_flags
from tests.image_files import write_images

FLAGS = flags.FLAGS
PROGRAMS = int(os.environ.get("RESJAX_FUZZ_PROGRAMS", 3))
SEED = 20261128
ROOT = Path(__file__).parents[2]
HANGS_AFTER = 240
"""Seconds for one command line; the slowest train two tiny networks."""
COMMANDS = ("audit", "predict", "report", "compare", "sweep", "probe", "reproduce", "benchmark")
TINY = {
    "compare": ("--seeds=1", "--epochs=1", "--image_size=8", "--width=1", "--stem=cifar", "--architectures=resnet8"),
    "sweep": ("--seeds=1", "--epochs=1", "--image_size=8", "--width=1", "--stem=cifar", "--architectures=resnet8"),
    "reproduce": ("--quick", "--epochs=1", "--seeds=1", "--width=1", "--architectures=plain20"),
    "benchmark": ("--against=none", "--image_size=8", "--width=1", "--architectures=resnet8", "--batch_size=2"),
}
"""What keeps a command line short that turns out to be right."""
STRANGERS = ("help", "helpfull", "epoch", "model", "lr", "undefok", "flagfile", "top", "grid", "probes", "v")
"""Flags of other commands, of absl and of nobody."""
WORDS = (
    *(
        "",
        "0",
        "1",
        "-1",
        "3,",
        "nan",
        "inf",
        "1e400",
        "true",
        "none",
        "None",
        ",",
        "=",
        "..",
        "/",
        "~",
        "~/x",
        "~no/x",
    ),
    *(
        "synthetic:60",
        "synthetic:",
        "csv:a.csv",
        "csv:~/a.csv",
        "csv:nowhere.csv",
        "folder:images",
        "folder:.",
        "tfds:x",
    ),
    *("images", "a.csv", "out", "runs/mine", "/dev/null", "/proc/out", "é" * 300, "x" * 5000, "a\nb", "\udce9", "*"),
    *("resnet18", "ResNet8", "resnet2", "plain18,resnet18", "AdamW", "adamw", "flip", "Crop:1", "vmap", "batch:2"),
    *("learning_rate=1,2", "depth=8", "lr=1", "2/1", "1/2", "fast", "all", "cifar10", "train_step", "jsonl", "best"),
    *("localhost:1", "auto", "quickstart", "grouped", "random,given", "bfloat16", "float64", "latency_hiding"),
)
SURROUNDINGS = (
    *({}, {}, {}, {}, {"JAX_PLATFORMS": "cuda"}, {"JAX_PLATFORMS": "gpu,cpu"}, {"JAX_PLATFORMS": "cpu,"}),
    *(
        {"JAX_ENABLE_X64": "1"},
        {"JAX_DEFAULT_PRNG_IMPL": "banana"},
        {"JAX_TRANSFER_GUARD": "disallow"},
        {"COLUMNS": "20"},
    ),
    *({"HOME": "/nowhere"}, {"XDG_CACHE_HOME": "/dev/null"}, {"LANG": "C", "PYTHONUTF8": "0"}, {"TERM": "dumb"}),
)


@lru_cache
def flags_of(command: str) -> list[str]:
    """The names of a command's own flags."""
    own = import_module(f"experiments.{command}").COMMAND
    with parsed_flags(own):
        return sorted(set(FLAGS) - set(absl_flags()))


@lru_cache
def absl_flags() -> tuple[str, ...]:
    forget_flags()
    return tuple(FLAGS)


def command_line(draw: random.Random, command: str) -> list[str]:
    """A command with some flags, most of them its own, and now and then other words."""
    given = []
    for _ in range(draw.randint(0, 4)):
        name, value = draw.choice(flags_of(command) if draw.random() < 0.9 else STRANGERS), draw.choice(WORDS)
        form = draw.choice(("--{}={}", "--{}={}", "--{}={}", "-{}={}", "--{} {}", "--{}", "--no{}", "{1}"))
        given += form.format(name, value).split(" ", 1)
    return [command, *TINY.get(command, ()), *given]


def draws(count: int) -> list[tuple[list[str], dict[str, str]]]:
    draw = random.Random(SEED)
    return [(command_line(draw, COMMANDS[each % len(COMMANDS)]), draw.choice(SURROUNDINGS)) for each in range(count)]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """The folder in which the commands run, with some images."""
    folder = tmp_path_factory.mktemp("fuzz")
    write_images(folder / "images" / "x", *(f"{number}.png" for number in range(8)))
    write_images(folder / "images" / "y", *(f"{number}.png" for number in range(8)))
    (folder / "a.csv").write_text("filename,label\nx/0.png,x\ny/0.png,y\n")
    return folder


@pytest.mark.parametrize("number", range(PROGRAMS))
def test_a_command_line_ends_in_success_or_one_line(number, place):
    arguments, surroundings = draws(PROGRAMS)[number]
    (place / "home").mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(place / "home"), "JAX_PLATFORMS": "cpu"}
    environment |= {"XDG_CACHE_HOME": str(place / "cache")} | surroundings
    command = [sys.executable, "-m", f"experiments.{arguments[0]}", *arguments[1:]]
    encoded = [os.fsencode(word) for word in command]
    # A process has no zero byte in its words.
    ended = subprocess.run(encoded, cwd=place, env=environment, capture_output=True, timeout=HANGS_AFTER)
    said, tried = ended.stderr.decode(errors="replace"), f"{surroundings} {arguments}"
    assert "Traceback" not in said, f"{tried}\n{said}"
    assert ended.returncode in (0, 2), f"{tried}: {ended.returncode}\n{said}"
    if ended.returncode == 2:
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and said.endswith(f"{errors[0]}\n"), f"{tried}\n{said}"
