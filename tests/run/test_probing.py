"""`experiments.probe` from the command line: what it writes, what it keeps, and what it refuses in one line."""

import shutil
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

import numpy as np
import pytest

from resjax.cli.flags.probes import PROBES, parse_probes
from resjax.cli.probe import with_flags_of_run
from resjax.errors import BadInput
from resjax.records import LeftOut, Probes, read_record
from resjax.report.page.run_page import report_page
from tests.commands import run_program

pytestmark = pytest.mark.usefixtures("unrendered")

TRAIN = [
    *("--dataset=synthetic:40", "--image_size=16", "--architectures=plain8,resnet8", "--width=2", "--seeds=2"),
    *("--epochs=1", "--batch_size=16", "--augment=none", "--near_copies=False"),
]
SMALL = [
    *("--probe_images=8", "--probe_scored=16", "--landscape_side=3", "--curvature_steps=2", "--curvature_samples=2"),
]


def run(name: str, *flags: str, cwd: Path) -> CompletedProcess[str]:
    return run_program(name, *flags, cwd=cwd)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> Path:
    """A comparison that was probed fast as it ended."""
    folder = tmp_path_factory.mktemp("probed")
    flags = [*TRAIN, *SMALL, "--probes=fast", f"--workdir={folder}/run", f"--cache_dir={folder}/cache"]
    with patch("resjax.run.reporting.report_page", wraps=report_page) as made:
        found = run("compare", *flags, cwd=folder)
    assert found.returncode == 0, found.stderr
    assert made.call_count == 1, "the pictures of a page are drawn once"
    assert "probes of plain8 and resnet8, 2 seeds each" in found.stdout
    assert "leave it open" in found.stdout
    return folder / "run"


@pytest.mark.slow
def test_a_comparison_with_probes_leaves_their_record_pictures_and_section(workdir):
    record = read_record(workdir / "probes.json", Probes)
    assert list(record.probes) == ["gradients", "signals", "lesions"]
    states = {(m.network, m.seed, m.at) for m in record.probes["gradients"].measurements}
    # After one epoch the last is the best: one state, not two.
    assert states == {(arm, seed, at) for arm in ("plain8", "resnet8") for seed in (0, 1) for at in ("init", "best")}
    assert (workdir / "figures" / "probe_lesions.png").exists()
    assert record.probes["lesions"].sentence in (workdir / "report.html").read_text()


@pytest.mark.slow
def test_later_probes_join_the_record_and_say_what_they_leave_out(workdir):
    before = read_record(workdir / "probes.json", Probes).probes["gradients"]
    shutil.rmtree(workdir / "runs" / "resnet8" / "seed1" / "checkpoints")
    found = run(
        "probe", f"--workdir={workdir}", "--probes=dose,saliency", *SMALL, "--dose_training=0.5", cwd=workdir.parent
    )
    assert found.returncode == 0, found.stderr
    record = read_record(workdir / "probes.json", Probes)
    assert record.probes["gradients"] == before
    dose = record.probes["dose"]
    assert LeftOut(network="resnet8", seed=1, reason="no checkpoint") in dose.left_out
    assert any(each.network == "plain8" and "no shortcut to scale" in each.reason for each in dose.left_out)
    (measured,) = dose.measurements
    assert measured.values["trained_doses"] == [0.5] and 0 <= measured.values["trained_accuracy"][0] <= 1


def test_names_of_probes_are_known_or_listed():
    assert parse_probes("all") == tuple(PROBES) and parse_probes("none") == ()
    with pytest.raises(BadInput, match="--probes=lesion: .*lesions.*gradients"):
        parse_probes("gradients,lesion")


@pytest.mark.slow
def test_what_cannot_be_probed_is_refused_in_one_line(workdir, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(workdir, bare)
    for checkpoints in bare.glob("runs/*/*/checkpoints"):
        shutil.rmtree(checkpoints)
    for refused, words in ((tmp_path / "nothing", "no summary.json there"), (bare, "no checkpoint of a finished")):
        found = run("probe", f"--workdir={refused}", f"--cache_dir={workdir.parent}/cache", cwd=tmp_path)
        assert found.returncode == 2 and words in found.stderr, found.stderr
        assert found.stderr.count("\n") == 1


def test_the_flags_of_the_run_come_before_those_that_are_given(tmp_path):
    (tmp_path / "config.flags").write_text("--seeds=2\n")
    given = [f"--workdir={tmp_path}", "--seeds=1"]
    assert with_flags_of_run(given) == [f"--flagfile={tmp_path}/config.flags", *given]
    assert with_flags_of_run(["--workdir", str(tmp_path)])[0] == f"--flagfile={tmp_path}/config.flags"
    assert with_flags_of_run(["--workdir=there/is/none"]) == ["--workdir=there/is/none"]
    assert np.all([name in PROBES for name in parse_probes("fast")])
