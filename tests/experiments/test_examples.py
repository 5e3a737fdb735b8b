"""The worked examples run, at a tiny size."""

import re
from pathlib import Path

import pytest

from experiments.examples import vision_transformer
from resjax.records import Summary, read_record

ROOT = Path(__file__).parents[2]


def test_the_guide_shows_what_the_example_runs():
    (shown,) = re.findall(r"```py\n(.*?)```", (ROOT / "experiments/README.md").read_text(), re.S)
    assert shown in Path(vision_transformer.__file__).read_text()


@pytest.mark.slow
def test_a_vision_transformer_is_compared_with_a_resnet(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    vision_transformer.main(str(tmp_path / "run"), baseline="resnet8", images=48, seeds=1, epochs=1)
    summary = read_record(tmp_path / "run/summary.json", Summary)
    assert [(pair.baseline, pair.candidate) for pair in summary.comparisons] == [("resnet8", "vision_transformer")]
    assert summary.architectures["vision_transformer"].own.origin.endswith("vision_transformer:vision_transformer")
    assert (tmp_path / "run/report.html").exists()
