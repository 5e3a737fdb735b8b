"""Imports run one way (types, ops, models, functional, training, probes), and the light parts stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ["arrays", "types", "ops", "models", "functional", "costs", "training", "probes"]
ONLY_TYPES = {"data", "evaluation", "records"}
REPORT_MAY_IMPORT = {"numpy", "matplotlib", "jinja2"}


def imports(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", sorted(ROOT.glob("resjax/**/*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_layer_imports_only_what_lies_below(path):
    parts = path.relative_to(ROOT / "resjax").with_suffix("").parts
    layer = parts[0]
    found = imports(path)
    assert not any(name.split(".")[0] in ("experiments", "tests") for name in found)
    inner = {name.split(".")[1] for name in found if name.startswith("resjax.")} - {layer}
    if layer == "report":
        outer = {name.split(".")[0] for name in found} - set(sys.stdlib_module_names) - {"resjax"}
        assert not inner and outer <= REPORT_MAY_IMPORT
    elif layer in ONLY_TYPES:
        assert inner <= {"types"}
    elif layer != "__init__":
        below = set(ORDER[: ORDER.index(layer)])
        assert inner <= (below | ONLY_TYPES if layer in ("training", "probes") else below)


def test_importing_resjax_leaves_heavy_libraries_alone():
    heavy = ["tensorflow", "tensorflow_datasets", "grain", "matplotlib", "sklearn", "torch", "safetensors"]
    code = f"import resjax, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_report_needs_no_jax():
    modules = "resjax.report.records, resjax.report.figures.run_figures, resjax.report.page.audit_page, resjax.report.page.run_page"
    code = f"import {modules}, sys; print('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("name", ["audit", "report"])
def test_help_needs_no_jax(name):
    code = f"""
import atexit, runpy, sys
atexit.register(lambda: print([heavy for heavy in ("jax", "flax", "torch", "matplotlib") if heavy in sys.modules]))
sys.argv = [{name!r}, "--help"]
runpy.run_module("experiments.{name}", run_name="__main__", alter_sys=True)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert "--" in shown and shown.splitlines()[-1] == "[]"
