"""What is said while replicas are trained, on a terminal and in a log, and that a whole comparison says it."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from resjax import terminal
from resjax.cli.compare import COMMAND
from resjax.run import progress
from resjax.run.progress import TrainingProgress, rough_duration
from resjax.terminal import status_line, status_text
from tests.commands import run_in_process
from tests.test_terminal import FakeTerminal, screen


def line(epoch: int) -> Any:
    return SimpleNamespace(epoch=epoch, train_loss=1.0, val_accuracy=0.5, images_per_second=100.0)


def ended(name: str, seed: int) -> Any:
    best = SimpleNamespace(val_accuracy=0.5, epoch=2)
    return SimpleNamespace(architecture=name, seed=seed, best=best, timing=SimpleNamespace(seconds=5.0))


def shown_now() -> str:
    assert terminal._line is not None
    return status_text(terminal._line.activities, 0.0, None)


def test_the_line_says_which_replica_of_how_many_is_compiled_trained_and_saved(monkeypatch):
    both = FakeTerminal()
    monkeypatch.setattr(sys, "stdout", both)
    monkeypatch.setattr(sys, "stderr", both)
    monkeypatch.delenv("TERM", raising=False)
    left: list[float | None] = [None]
    with status_line(), TrainingProgress(4, 2, lambda: left[0], roughly=600) as training:
        training.begin("plain8", [0])
        training.step("plain8", 1, 0.4)
        assert "~10 min left" in shown_now() and "compiling: plain8 seed 0 (1 of 4)" in shown_now()
        training.step("plain8", 1, 0.4)
        assert "training: plain8 seed 0 (1 of 4), epoch 1 of 2 | 5 %" in shown_now()
        left[0] = 300.0
        training.epoch("plain8", 0, line(1))
        assert shown_now().startswith("5 min left") and shown_now().endswith("12 %")
        training.epoch("plain8", 0, line(2))
        assert "saving: plain8" in shown_now()
        training.replica(ended("plain8", 0))
        # A program is compiled once, and several replicas may be trained together.
        training.begin("resnet8", [0])
        assert "compiling: resnet8 seed 0 (2 of 4)" in shown_now()
        training.begin("plain8", [1, 2])
        assert "training: plain8 2 seeds (2 to 3 of 4)" in shown_now()
    last = [text for text in screen(both.getvalue()) if text][-1]
    assert "trained 1 of 4 replicas" in last and last.endswith("100 %")
    assert "measured" not in both.getvalue()


def test_a_log_has_a_line_with_the_time_left_for_each_replica_and_for_epochs_after_silence(monkeypatch, capsys):
    monkeypatch.setattr(progress, "QUIET_SECONDS", -1.0)
    left: list[float | None] = [None]
    with TrainingProgress(2, 2, lambda: left[0]) as training:
        training.begin("plain8", [0])
        training.epoch("plain8", 0, line(1))
        left[0] = 300.0
        training.epoch("plain8", 0, line(2))
        training.replica(ended("plain8", 0))
    first, measured, second, replica = capsys.readouterr().out.splitlines()
    assert "left" not in first and all("5 min left" in each for each in (measured, second, replica))
    monkeypatch.setattr(progress, "QUIET_SECONDS", 30.0)
    with TrainingProgress(1, 3, lambda: None) as training:
        training.begin("plain8", [0])
        for epoch in (1, 2, 3):
            training.epoch("plain8", 0, line(epoch))
    assert capsys.readouterr().out == ""


def test_a_rough_duration_is_a_range():
    assert rough_duration(600) == "roughly 5 to 20 min"


@pytest.mark.slow
def test_a_comparison_says_what_it_does_in_one_line_of_a_narrow_terminal(tmp_path, monkeypatch):
    monkeypatch.setattr(terminal, "is_terminal", lambda stream: True)
    monkeypatch.setattr(terminal, "REFRESH_SECONDS", 0.002)
    flags = ("--image_size=8", "--stem=cifar", "--width=2", "--epochs=1", "--seeds=2", "--architectures=plain8")
    where = (f"--workdir={tmp_path}/out", f"--cache_dir={tmp_path}/cache", "--nocompile_cache")
    status, out, err = run_in_process(COMMAND, "--dataset=synthetic:40", "--batch_size=16", *flags, *where)
    assert status == 0, err
    for doing in ("reading images", "compiling: plain8", "training: plain8 seed 1 (2 of 2)", "drawing figures"):
        assert f"| {doing}" in err, doing
    assert max(map(len, err.replace("\n", "\r").split("\r"))) < 80
    final = [text for text in screen(err) if text]
    assert len(final) == 1 and "trained 2 of 2 replicas" in final[0] and final[0].endswith("100 %")
    table = [text for text in out.splitlines() if text.startswith("plain8  ")]
    assert table and max(map(len, table)) <= 80
    # It ends with what was made and what may come next.
    assert f"{tmp_path}/out/report.html" in out and f"{tmp_path}/out/figures/answer.png" in out
    assert [text.split()[1] for text in out.splitlines() if text.startswith("    resjax")] == [
        "compare",
        "probe",
        "predict",
    ]
