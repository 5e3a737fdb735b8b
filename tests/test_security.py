"""What a file from elsewhere cannot do: run code, or have a program reach the network."""

import ast
from pathlib import Path

import numpy as np
import pytest

from resjax.errors import DamagedRecord
from resjax.records import read_npz

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("resjax/**/*.py"), *ROOT.glob("experiments/**/*.py")])
RUN_CODE = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
NETWORK = {"socket", "urllib", "urllib3", "requests", "httpx", "http", "ftplib", "aiohttp", "huggingface_hub"}


def test_no_module_unpickles_or_reaches_the_network():
    """TFDS alone may, where it is asked to prepare a set; torch's files are read with weights_only."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found = {name.split(".")[0] for name in names} & (RUN_CODE | NETWORK)
            assert not found, f"{path.relative_to(ROOT)} imports {found}"


def test_every_load_says_that_it_runs_no_code():
    loads = 0
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            asked = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if asked == "torch.load":
                assert given.get("weights_only") == "True", path
                loads += 1
            if asked in ("np.load", "numpy.load"):
                assert given.get("allow_pickle") == "False", path
                loads += 1
            assert asked not in ("eval", "exec", "os.system"), f"{path.relative_to(ROOT)} calls {asked}"
    assert loads >= 2


def test_arrays_that_hold_a_pickle_are_damaged(tmp_path):
    class Runs:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    np.savez(tmp_path / "a.npz", logits=np.array([Runs()], object))
    with pytest.raises(DamagedRecord):
        read_npz(tmp_path / "a.npz")
    assert not (tmp_path / "ran").exists()
