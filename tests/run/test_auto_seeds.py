"""Seeds are added until there is a verdict, at looks fixed beforehand, and a second start goes on with them."""

from dataclasses import replace

import pytest

from resjax.cli.flags.settings import parse_looks
from resjax.errors import BadInput
from resjax.records import Summary, read_record
from resjax.run import comparison
from resjax.run.compare import compare
from tests.run.test_several_splits import settings


def automatic(workdir, cache, most=20):
    return replace(settings(workdir, cache), seeds=tuple(range(most)), looks=parse_looks("auto", most))


def test_a_clear_difference_ends_at_the_first_look(trained, tmp_path, cache, capsys):
    started, gain = trained
    gain["residual"] = 0.5
    summary = compare(automatic(tmp_path / "out", cache))
    assert read_record(tmp_path / "out" / "summary.json", Summary).comparisons == summary.comparisons
    (pair,) = summary.comparisons
    assert pair.verdict == "candidate better" and pair.seeds == list(range(8)) and len(started) == 16
    assert pair.level == 0.0182 and "98.2 % interval" in pair.sentence
    said = capsys.readouterr().out
    assert "8 to 20 seeds each" in said and pair.sentence in said
    assert "residual minus plain after 3 seeds" in said
    # The same command trains nothing more, and says the same.
    assert compare(automatic(tmp_path / "out", cache)).comparisons == [pair] and len(started) == 16


def test_without_one_it_goes_on_to_the_last_look(trained, tmp_path, cache):
    started, _ = trained
    summary = compare(automatic(tmp_path / "out", cache, most=12))
    (pair,) = summary.comparisons
    assert pair.verdict == "inconclusive" and len(pair.seeds) == 12 and len(started) == 24
    assert summary.architectures["plain"].seeds == list(range(12))


def test_between_two_looks_nothing_is_judged(trained, tmp_path, cache, monkeypatch):
    _, gain = trained
    gain["residual"] = 0.5
    seen = []
    write = comparison.ComparisonRun.write_summary

    def noting(run):
        summary = write(run)
        seen.append((len(summary.comparisons[0].seeds), summary.comparisons[0].verdict))
        return summary

    monkeypatch.setattr(comparison.ComparisonRun, "write_summary", noting)
    compare(automatic(tmp_path / "out", cache))
    assert (7, "inconclusive") in seen and seen[-1] == (8, "candidate better")
    assert read_record(tmp_path / "out" / "summary.json", Summary).comparisons[0].over_both.p_value < 0.01


def test_it_is_refused_with_several_splits(tmp_path, cache):
    several = replace(settings(tmp_path / "out", cache, folds=2), seeds=(0, 1, 2, 3, 4, 5), looks=(6,))
    with pytest.raises(BadInput, match="--seeds=auto with several splits"):
        compare(several)
    assert not (tmp_path / "out").exists()
