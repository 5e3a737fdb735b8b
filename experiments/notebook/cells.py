"""What colab.ipynb does in Colab, Kaggle and a local Jupyter: installs, runs commands, shows reports.

Everything that uses JAX runs in a process of its own and never in the notebook: a TPU belongs to one process, a process
that uses a GPU keeps most of its memory, and what was installed meanwhile is seen without a restart.
"""

import html
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FOLDER = Path(__file__).parents[2]
CHECKOUT = FOLDER if (FOLDER / "pyproject.toml").exists() else None
"""The checkout that this file is in; None in an installed package."""
PLUGINS = {"tpu": "libtpu", "cuda": "jax-cuda13-plugin", "cuda12": "jax-cuda12-plugin"}
"""The package by which JAX uses a device, for each extra of ours that brings it."""
JAX_EXTRAS = {"tpu": "tpu", "cuda": "cuda13", "cuda12": "cuda12"}
"""The extras of jax itself that ours stand for."""
SHOWN_HEIGHT = 800
"""Pixels of a report inside of a notebook; it scrolls."""


def accelerator(dev: Path = Path("/dev")) -> str | None:
    """The extra that this machine's accelerator needs: `tpu`, `cuda` (13), `cuda12`, or None where there is none.

    Where a runtime comes with JAX for CUDA 12 or 13, that is kept; else the driver's version decides. A TPU VM has its
    chips as /dev/accel0 or /dev/vfio/0, and Colab's and Kaggle's come with libtpu.
    """
    if driver := _cuda_of_driver():
        for extra in ("cuda12", "cuda"):
            if _version(PLUGINS[extra]):
                return extra
        return "cuda" if driver >= 13 else "cuda12"
    chips = [*dev.glob("accel[0-9]*"), *dev.glob("vfio/[0-9]*")]
    return "tpu" if chips or _version("libtpu") or _version("libtpu-nightly") else None


def needs_install(extra: str | None) -> bool:
    """Whether resjax is missing here, or what JAX needs for the accelerator is, or is of another version than JAX.

    JAX leaves a plugin of another version alone and computes on the CPU: Colab's own, once JAX alone was upgraded.
    """
    if not _version("resjax"):
        return True
    if extra is None:
        return False
    plugin = _version(PLUGINS[extra])
    return plugin is None or (extra != "tpu" and plugin != _version("jaxlib"))


def install() -> None:
    """Installs this checkout with the extra of the machine's accelerator, where it is missing.

    Where that is not possible, but resjax is there, a line says so, and the commands compute on the CPU.

    Raises:
      RuntimeError: where resjax is not there either.
    """
    extra = accelerator()
    if not needs_install(extra):
        print("resjax is installed")
        return
    what = ["-e", f"{CHECKOUT}"] if CHECKOUT else ["resjax"]
    pip = [sys.executable, "-m", "pip", "install", "-q", *what[:-1]]
    # Without -U, what is there and new enough stays as it is, and nothing is ever downgraded.
    try:
        stream([*pip, f"{what[-1]}[{extra}]" if extra else what[-1]])
    except RuntimeError:
        if extra is None:
            raise
        print(f"JAX for the {extra} of this machine cannot be installed here; what follows computes on the CPU")
        os.environ["JAX_PLATFORMS"] = "cpu"
        if not _version("resjax"):
            stream([*pip, what[-1]])


def devices() -> str:
    """What JAX computes on here, in a line; says so where it does not see the accelerator or does not start on it.

    Raises:
      RuntimeError: where JAX does not start on the CPU either.
    """
    code = "import jax; d = jax.devices(); print(jax.__version__, len(d), d[0].platform, d[0].device_kind)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if said.returncode:
        reason = said.stderr.strip().splitlines()[-1]
        if os.environ.get("JAX_PLATFORMS") == "cpu":
            raise RuntimeError(f"JAX does not start: {reason}")
        os.environ["JAX_PLATFORMS"] = "cpu"
        return (
            f"WARNING: JAX does not start on the accelerator ({reason}); what follows computes on the CPU: {devices()}"
        )
    jax, count, platform, kind = said.stdout.split(maxsplit=3)
    line = f"JAX {jax} on {count} x {kind.strip()} ({platform})"
    extra = accelerator()
    if extra and platform == "cpu" and os.environ.get("JAX_PLATFORMS") != "cpu":
        line += f"\nWARNING: there is an accelerator that JAX does not see: pip install -U 'jax[{JAX_EXTRAS[extra]}]'"
    return line


def run(command: str, *flags: str) -> None:
    """`resjax COMMAND FLAGS`, its output line by line as it comes.

    The notebook's stop button is a Ctrl-C for it: it ends after the step, and the same command resumes.

    Raises:
      RuntimeError: where it ends with another status than 0; its last line says why.
    """
    stream([sys.executable, "-m", "resjax", command, *flags])


def stream(command: Iterable[str]) -> None:
    """Runs a command with its output here; raises as `run` does."""
    # A session of its own: Jupyter interrupts its whole group, and a second Ctrl-C would end the run at once.
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    if CHECKOUT:
        # It may not be installed.
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    options = {"env": environment, "start_new_session": True}
    with subprocess.Popen(
        list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options
    ) as process:
        assert process.stdout is not None
        stopped = []

        def forward(number: int, _: object) -> None:
            stopped.append(number)
            process.send_signal(number)

        # Not by an exception, which could lose a line that was read and not printed yet.
        before = signal.signal(signal.SIGINT, forward)
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
        finally:
            signal.signal(signal.SIGINT, before)
    status = process.returncode
    if stopped:
        raise KeyboardInterrupt
    if status:
        raise RuntimeError(f"the command ended with status {status}; its last line says why")


def show(workdir: Path, height: int = SHOWN_HEIGHT) -> None:
    """Shows a run's report inside of the notebook, or says that there is none yet."""
    from IPython.display import HTML, display

    report = workdir / "report.html"
    if not report.exists():
        print(f"no report yet: {report} is made when the run ends; run the cell above again")
        return
    print(f"{report} is one file: download it, or open it in a browser")
    # The page as an attribute: Colab and Kaggle serve no files of the machine to the browser.
    page = html.escape(report.read_text(encoding="utf-8"), quote=True)
    display(HTML(f'<div><iframe srcdoc="{page}" style="width:100%;height:{height}px;border:0"></iframe></div>'))


def _cuda_of_driver() -> int | None:
    """The newest CUDA that the NVIDIA driver runs, None without a card."""
    if not shutil.which("nvidia-smi"):
        return None
    said = subprocess.run(["nvidia-smi"], capture_output=True, text=True)
    found = re.search(r"CUDA Version: (\d+)", said.stdout)
    return int(found[1]) if said.returncode == 0 and found else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
