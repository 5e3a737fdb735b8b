"""The wheel that pip builds: complete, and of use in an empty folder outside of the checkout."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parents[1]
TINY = (
    *("--dataset=synthetic:60", "--image_size=16", "--stem=cifar", "--width=2", "--epochs=1", "--seeds=1,"),
    *("--batch_size=16", "--architectures=plain8,resnet8", "--augment=none", "--workdir=out", "--cache_dir=cache"),
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of the checkout: a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("resjax", "experiments", "pyproject.toml", "README.md", "LICENSE"):
        (folder / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, f"--wheel-dir={folder}/built", str(folder)], check=True, capture_output=True)
    (built,) = (folder / "built").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The wheel unpacked beside the libraries of the test's own environment: what pip does, without their download."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def resjax(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(installed), "JAX_PLATFORMS": "cpu"}
    code = "import sys; from resjax.cli.console import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=cwd, env=environment, capture_output=True, text=True
    )


def test_the_wheel_holds_every_package_and_what_they_read(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    for root, shipped in (("resjax", "resjax"), ("experiments", "resjax/experiments")):
        for path in (ROOT / root).rglob("*.py"):
            assert f"{shipped}/{path.relative_to(ROOT / root)}" in names
            if path.name == "__init__.py":
                folder = path.parent.relative_to(ROOT / root).parts
                assert ".".join([*shipped.split("/"), *folder]) in packages
    assert {"resjax/py.typed", "resjax/experiments/flags/quickstart.flags"} <= names
    assert any(name.endswith("templates/report.html") for name in names)
    assert not any(name.startswith(("experiments/", "tests/")) or "/results/" in name for name in names)


@pytest.mark.slow
def test_a_comparison_runs_to_its_report_in_an_empty_folder(installed, tmp_path):
    done = resjax(installed, tmp_path, "compare", *TINY)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").exists() and (tmp_path / "out" / "summary.json").exists()


@pytest.mark.parametrize("command", ["reproduce", "benchmark", "audit"])
def test_every_command_is_there_with_its_flags(command, installed, tmp_path):
    shown = resjax(installed, tmp_path, command, "--help")
    assert shown.returncode == 0 and "--" in shown.stdout, shown.stderr


def test_a_flagfile_that_ships_is_named_without_a_path(installed, tmp_path):
    refused = resjax(installed, tmp_path, "compare", "--flagfile=quickstart", "--epochs=0")
    assert refused.returncode == 2 and "--epochs=0" in refused.stderr
