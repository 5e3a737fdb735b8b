"""Imports run one way through the rooms, and the light rooms stay free of jax."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BASE = {"errors", "terminal", "types"}
NETWORKS = BASE | {"ops", "models", "functional"}
TRAINING = NETWORKS | {"data", "records", "evaluation"}
RUN = TRAINING | {"training", "probes", "report"}
MAY_IMPORT = {
    **{
        "errors": set(),
        "types": set(),
        "terminal": set(),
        "records": BASE,
        "evaluation": BASE | {"records"},
        "data": BASE,
    },
    **{"ops": BASE, "models": BASE | {"ops"}, "functional": BASE | {"ops", "models"}},
    **{
        "training": TRAINING,
        "probes": TRAINING | {"training"},
        "report": {"errors", "records", "terminal"},
        "run": RUN,
    },
    **{"predict": RUN | {"run"}, "sweep": RUN | {"run"}, "cli": RUN | {"run", "predict", "sweep", "api"}},
    "api": RUN | {"run"},
    **{"__init__": set(), "__main__": {"cli"}},
}
REPORT_MAY_IMPORT = {"numpy", "matplotlib", "jinja2", "msgspec", "lazy_loader"}
"""Beside the standard library."""


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", sorted(ROOT.glob("resjax/**/*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_lies_below(path):
    room = path.relative_to(ROOT / "resjax").with_suffix("").parts[0]
    found = imports(path)
    assert not any(name.split(".")[0] in ("experiments", "tests") for name in found)
    assert {name.split(".")[1] for name in found if name.startswith("resjax.")} - {room} <= MAY_IMPORT[room]
    if room == "report":
        outer = {name.split(".")[0] for name in found} - set(sys.stdlib_module_names) - {"resjax"}
        assert outer <= REPORT_MAY_IMPORT


def test_importing_resjax_leaves_heavy_libraries_alone():
    heavy = ["jax", "tensorflow", "tensorflow_datasets", "grain", "matplotlib", "sklearn", "torch", "safetensors"]
    code = f"import resjax, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_report_needs_no_jax():
    code = f"""
import sys
from resjax.cli.program import run_command
from resjax.cli.report import COMMAND
run_command(COMMAND, ["--workdir={ROOT}/experiments/results/quickstart", "--output=/dev/null"])
print([heavy for heavy in ("jax", "flax", "torch") if heavy in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert shown.splitlines()[-1] == "[]"
