"""Compiled programs on disk: found by the next process, bounded, and nowhere where the user said otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from resjax.cli.machine import COMPILED, keep_compiled_programs, processor, trim
from resjax.errors import BadInput
from resjax.records.kinds.base import OUTSIDE_RECIPE

ROOT = Path(__file__).parents[2]
HITS_AND_VALUE = """
import sys, jax, pathlib
from resjax.cli.machine import keep_compiled_programs
keep_compiled_programs(pathlib.Path(sys.argv[1]))
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event) if event.endswith("/cache_hits") else None)
value = jax.jit(lambda x: (x * 3.7).sum() / 1.3)(jax.numpy.arange(5.0))
print(len(hits), float(value).hex())
"""


def run(folder: Path) -> tuple[int, str]:
    own = {"PYTHONPATH": str(ROOT), "JAX_ENABLE_COMPILATION_CACHE": "true"}
    environment = {name: value for name, value in os.environ.items() if "CACHE" not in name} | own
    command = [sys.executable, "-c", HITS_AND_VALUE, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert not done.stderr
    hits, value = done.stdout.split()
    return int(hits), value


def test_a_second_process_reads_what_the_first_compiled_and_computes_the_same(tmp_path):
    hits, value = run(tmp_path)
    assert hits == 0 and any((tmp_path / COMPILED / processor()).iterdir())
    hits_again, value_again = run(tmp_path)
    assert hits_again > 0 and value_again == value


def test_a_folder_that_the_user_gave_to_jax_stays(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    assert before is not None  # conftest.py gave it.
    keep_compiled_programs(tmp_path)
    assert jax.config.jax_compilation_cache_dir == before and not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    jax_has = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        with pytest.raises(BadInput, match="--nocompile_cache"):
            keep_compiled_programs(tmp_path / "file")
    finally:
        jax.config.update("jax_compilation_cache_dir", jax_has)


def test_the_oldest_programs_go_first_when_there_are_too_many(tmp_path):
    (tmp_path / "processor").mkdir()
    for age, name in enumerate(("newest", "older", "oldest")):
        path = tmp_path / "processor" / name
        path.write_bytes(b"x" * 100)
        os.utime(path, (1e9 - age, 1e9 - age))
    trim(tmp_path, 200)
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["newest", "older"]


def test_whether_programs_are_kept_is_no_part_of_the_recipe():
    assert "compile_cache" in OUTSIDE_RECIPE
