"""The notebook runs from top to bottom and again, and does what its machine needs."""

import html
import importlib.util
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from experiments.notebook import cells as notebook
from resjax.records import Summary, read_record
from tests.commands import require_understood
from tests.markup import text_of

ROOT = Path(__file__).parents[2]
PATH = ROOT / "experiments" / "colab.ipynb"
COLAB = """
def mount(where):
    print(f"Mounted at {where}")
"""


def read() -> nbformat.NotebookNode:
    return nbformat.read(PATH, as_version=nbformat.NO_CONVERT)


def execute(folder: Path, **parameters: object) -> dict[str, nbformat.NotebookNode]:
    """The notebook's cells by id, executed in `folder` with these parameters in the place where papermill puts them."""
    book = read()
    (place,) = (number for number, cell in enumerate(book.cells) if "parameters" in cell.metadata.get("tags", []))
    given = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    book.cells.insert(place + 1, nbformat.v4.new_code_cell(given))
    NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return {cell.id: cell for cell in book.cells}


def said(cell: nbformat.NotebookNode) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def test_it_is_valid_and_without_outputs():
    book = read()
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert len(code) > 5 and all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert set(book.metadata) == {"kernelspec", "language_info"}
    source = "\n".join(cell.source for cell in code)
    # A TPU belongs to one process, which is a command's; and nothing of the time before TPU VMs.
    assert not re.search(r"import (jax|tensorflow)|setup_tpu|COLAB_TPU_ADDR|grpc://", source)


def test_its_cells_run_commands_that_understand_their_flags(tmp_path, monkeypatch):
    """The short form: the cells in this process, their commands no further than their flags."""
    (tmp_path / "my_images").mkdir()
    names, shown = [], []

    def stream(command: list[str]) -> None:
        names.append(command[3])
        require_understood(names[-1], *command[4:], cwd=ROOT)

    monkeypatch.setattr(notebook, "stream", stream)
    monkeypatch.setattr(notebook, "install", lambda: None)
    monkeypatch.setattr(notebook, "devices", lambda: "one device")
    monkeypatch.setattr(notebook, "show", lambda workdir: shown.append(workdir.name))
    monkeypatch.setattr(sys, "path", [*sys.path])
    for quick in (True, False):
        variables: dict[str, object] = {}
        for cell in read().cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, cell.id, "exec"), variables)
            if cell.id == "parameters":
                variables |= {"QUICK": quick, "CODE": str(ROOT), "KEEP": str(tmp_path), "MINUTES": 9}
    assert names == 2 * ["compare", "audit", "compare"] and shown == 2 * ["quickstart", "my_images"]


@pytest.mark.slow
@pytest.mark.long
# Jupyter's own libraries warn of each other.
@pytest.mark.filterwarnings("default")
def test_it_runs_from_top_to_bottom_and_goes_on_in_a_new_runtime(tmp_path, monkeypatch):
    for label in ("cat", "dog"):
        (tmp_path / "drive" / "my_images" / label).mkdir(parents=True)
        for index in range(12):
            pixels = np.random.default_rng([index, *label.encode()]).integers(0, 255, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "drive" / "my_images" / label / f"{index}.png")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    parameters = {"QUICK": True, "KEEP": str(tmp_path / "drive")}
    (tmp_path / "empty").mkdir()

    # As committed, from an empty folder; resjax is there, as after its installation.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cells = execute(tmp_path / "empty", **parameters)
    assert "Mounted" not in said(cells["prepare"])
    assert said(cells["accelerator"]).count("\n") == 1
    assert re.search(r"JAX \S+ on \d+ x .+ \(cpu\)", said(cells["install"]))
    for name, folder in {"quickstart": "quickstart", "own": "my_images"}.items():
        assert "plain8 and resnet8, 2 seeds each" in said(cells[name]) and "4 replicas to train" in said(cells[name])
        summary = read_record(tmp_path / "drive" / "quick" / folder / "summary.json", Summary)
        (report,) = (each for each in cells[f"{name}-report"].outputs if each.output_type == "display_data")
        # A page within a page.
        assert summary.comparisons[0].sentence in text_of(html.unescape(report.data["text/html"]))

    # A new runtime, and in Colab this time, with a checkout: the same folder, the same commands.
    for name, text in {"__init__.py": "", "drive.py": COLAB, "files.py": ""}.items():
        (tmp_path / "packages" / "google" / "colab").mkdir(parents=True, exist_ok=True)
        (tmp_path / "packages" / "google" / "colab" / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    cells = execute(tmp_path / "empty", **parameters, CODE=str(ROOT), MY_IMAGES="not there")
    assert "Mounted at /content/drive" in said(cells["prepare"])
    assert "nothing to train" in said(cells["quickstart"])
    assert said(cells["own"]).startswith("no images yet: ") and cells["own-report"].outputs == []


@pytest.fixture
def prepared(tmp_path, monkeypatch) -> Callable[..., tuple[dict[str, Any], list[list[str]]]]:
    """Runs the cell that finds resjax in an empty folder, on a machine that has none; its variables, and the programs
    that it started."""
    (source,) = (cell.source for cell in read().cells if cell.id == "prepare")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setattr(sys, "path", [*sys.path])

    def prepare(code: str = "", started: Callable[[list[str]], object] = lambda command: None):
        commands: list[list[str]] = []

        def run(command: list[str], **_: object) -> None:
            commands.append(command)
            started(command)

        with monkeypatch.context() as patched:
            patched.setattr(subprocess, "run", run)
            patched.setattr(importlib.util, "find_spec", lambda name: None)
            variables: dict[str, Any] = {"QUICK": True, "CODE": code, "KEEP": "", "MY_IMAGES": "", "MINUTES": 0}
            exec(source, variables)
        return variables, commands

    return prepare


def test_where_resjax_is_not_it_says_in_a_line_what_to_do_and_the_other_cells_do_nothing(prepared, capsys):
    variables, commands = prepared()
    assert commands == [] and "upload" in capsys.readouterr().out.splitlines()[0]
    for cell in read().cells:
        if cell.cell_type == "code" and cell.id not in ("parameters", "prepare"):
            exec(cell.source.replace("from ", "# from "), variables)
    assert "resjax is not here" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["resjax-0.1.0-py3-none-any.whl", "resjax.zip", "resjax-0.1.0.tar.gz"])
@pytest.mark.parametrize("is_named", [True, False])
def test_a_wheel_or_an_archive_is_installed_from_beside_the_notebook_or_from_its_path(
    name, is_named, prepared, tmp_path
):
    file = (tmp_path if is_named else tmp_path / "empty") / name
    file.touch()
    _, ((*_, pip, install, quiet, given),) = prepared(str(file) if is_named else "")
    assert (pip, install, quiet, Path(given)) == ("pip", "install", "-q", file)


def test_an_address_is_cloned_and_a_checkout_is_used_as_it_is(prepared, tmp_path):
    def clone(command: list[str]) -> None:
        (Path(command[-1]) / "experiments" / "notebook").mkdir(parents=True)

    variables, commands = prepared("https://example.org/resjax.git", clone)
    assert commands == [
        ["git", "clone", "--depth=1", "https://example.org/resjax.git", str(tmp_path / "empty" / "resjax")]
    ]
    assert variables["checkout"] == tmp_path / "empty" / "resjax"
    # Beside the notebook it is found without its address.
    again, commands = prepared()
    assert commands == [] and again["checkout"] == variables["checkout"]
    named, commands = prepared(str(ROOT))
    assert commands == [] and named["checkout"] == ROOT


@pytest.mark.parametrize(
    ("driver", "packages", "chips", "extra"),
    [
        (None, {}, [], None),
        (None, {}, ["accel0"], "tpu"),
        (None, {}, ["vfio/0"], "tpu"),
        (None, {}, ["vfio/vfio"], None),
        (None, {"libtpu": "0.0.42"}, [], "tpu"),
        ("CUDA Version: 12.8 ", {}, [], "cuda12"),
        ("CUDA Version: 13.0 ", {}, [], "cuda"),
        ("CUDA Version: 13.0 ", {"jax-cuda12-plugin": "0.7.2"}, ["vfio/0"], "cuda12"),
        ("NVIDIA-SMI has failed", {}, [], None),
    ],
)
def test_the_extra_is_the_one_that_the_machine_needs(tmp_path, monkeypatch, driver, packages, chips, extra):
    (tmp_path / "dev" / "vfio").mkdir(parents=True)
    for chip in chips:
        (tmp_path / "dev" / chip).touch()
    if driver:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho '{driver}'\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if driver else str(tmp_path))
    monkeypatch.setattr(notebook, "_version", packages.get)
    assert notebook.accelerator(tmp_path / "dev") == extra


@pytest.mark.parametrize(
    ("extra", "packages", "needs"),
    [
        (None, {"jaxlib": "0.10.2"}, True),
        (None, {"resjax": "0.1.0", "jaxlib": "0.10.2"}, False),
        ("cuda12", {"resjax": "0.1.0", "jaxlib": "0.10.2"}, True),
        ("cuda12", {"resjax": "0.1.0", "jaxlib": "0.10.2", "jax-cuda12-plugin": "0.7.2"}, True),
        ("cuda12", {"resjax": "0.1.0", "jaxlib": "0.10.2", "jax-cuda12-plugin": "0.10.2"}, False),
        ("tpu", {"resjax": "0.1.0", "jaxlib": "0.10.2", "libtpu": "0.0.42"}, False),
    ],
)
def test_it_installs_what_is_missing_or_of_another_version_than_jax(monkeypatch, extra, packages, needs):
    monkeypatch.setattr(notebook, "_version", packages.get)
    assert notebook.needs_install(extra) is needs


@pytest.mark.parametrize("is_checkout", [True, False])
def test_what_is_installed_is_the_checkout_or_the_package_with_the_extra(is_checkout, monkeypatch):
    commands: list[list[str]] = []
    monkeypatch.setattr(notebook, "stream", commands.append)
    monkeypatch.setattr(notebook, "accelerator", lambda: "tpu")
    monkeypatch.setattr(notebook, "_version", {}.get)
    monkeypatch.setattr(notebook, "CHECKOUT", ROOT if is_checkout else None)
    notebook.install()
    what = ["-e", f"{ROOT}[tpu]"] if is_checkout else ["resjax[tpu]"]
    assert commands == [[sys.executable, "-m", "pip", "install", "-q", *what]]


def test_an_accelerator_that_cannot_be_used_is_said_in_a_line_and_the_cpu_computes(monkeypatch, capsys):
    commands: list[list[str]] = []

    def fails_with_extra(command: list[str]) -> None:
        commands.append(command)
        if "[" in command[-1]:
            raise RuntimeError("no network")

    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(notebook, "stream", fails_with_extra)
    monkeypatch.setattr(notebook, "accelerator", lambda: "cuda")
    monkeypatch.setattr(notebook, "_version", {}.get)
    notebook.install()
    assert [command[-1] for command in commands] == [f"{ROOT}[cuda]", str(ROOT)]
    assert os.environ["JAX_PLATFORMS"] == "cpu" and capsys.readouterr().out.count("\n") == 1


def test_a_jax_that_does_not_start_on_the_accelerator_is_said_in_a_line_and_the_cpu_computes(monkeypatch):
    def start(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if os.environ.get("JAX_PLATFORMS") == "cpu":
            return subprocess.CompletedProcess(command, 0, "0.10.2 1 cpu cpu\n", "")
        return subprocess.CompletedProcess(command, 1, "", "Traceback\nRuntimeError: the TPU is in use\n")

    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(subprocess, "run", start)
    monkeypatch.setattr(notebook, "accelerator", lambda: "tpu")
    line = notebook.devices()
    assert "the TPU is in use" in line and "(cpu)" in line and "\n" not in line
    assert os.environ["JAX_PLATFORMS"] == "cpu"


def test_a_command_that_fails_stops_the_cell_with_its_last_line_shown(capfd):
    with pytest.raises(RuntimeError, match="status 2"):
        notebook.run("report", "--workdir=/no/such/folder")
    assert capfd.readouterr().out.splitlines()[-1].startswith("error: ")


def test_the_stop_button_is_one_ctrl_c_for_the_command():
    child = """
    import signal, threading
    heard = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: (print("heard", flush=True), heard.set()))
    print("ready", flush=True)
    heard.wait(30)
    print("saved", flush=True)
    """
    child = textwrap.dedent(child)
    code = f"import sys; from experiments.notebook.cells import stream; stream([sys.executable, '-c', {child!r}])"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert out.splitlines() == ["heard", "saved"] and errors.splitlines()[-1] == "KeyboardInterrupt"


def test_a_report_that_is_not_there_yet_is_said_to_be_missing(tmp_path, capsys):
    notebook.show(tmp_path)
    assert capsys.readouterr().out.startswith("no report yet")
