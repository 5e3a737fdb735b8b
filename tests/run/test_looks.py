"""The verdicts that a run shows are kept in its workdir, whatever becomes of the files."""

import errno
from dataclasses import replace

import pytest
from msgspec import UNSET

from resjax.cli.flags.settings import parse_looks
from resjax.records import Looks, Summary, read_record, write_lines, write_record
from resjax.run import compare as engine
from resjax.run import comparison
from resjax.run.compare import compare
from resjax.run.setup.dataset import load_dataset
from resjax.run.stopping import Stopped
from tests.made_results import made_line
from tests.run.test_several_splits import settings


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return load_dataset(settings(cache / "out", cache).source, 8)


@pytest.fixture
def look(trained, tmp_path, loaded, monkeypatch):
    """Runs the comparison in one workdir with so many seeds, and returns how many looks its verdict counts."""
    monkeypatch.setattr(engine, "load_dataset", lambda *_: loaded)
    trained[1]["residual"] = 0.5

    def run(seeds, auto=False):
        asked = replace(settings(tmp_path / "out", tmp_path / "cache"), seeds=tuple(range(seeds)))
        (pair,) = compare(replace(asked, looks=parse_looks("auto", seeds)) if auto else asked).comparisons
        run.pair = pair
        return 0 if pair.earlier_looks is UNSET else len(pair.earlier_looks)

    return run


def looks(tmp_path):
    return read_record(tmp_path / "out" / "looks.json", Looks)


def test_six_then_eight_then_twelve_seeds(look, tmp_path):
    assert look(6) == 0 and look.pair.verdict == "candidate better"
    assert look(8) == 1 and look(12) == 2
    assert [len(each.seeds) for each in looks(tmp_path).looks] == [6, 8, 12]
    assert read_record(tmp_path / "out" / "summary.json", Summary).comparisons == [look.pair]
    before = (tmp_path / "out" / "looks.json").read_bytes()
    assert look(12) == 2 and look(6) == 0
    assert (tmp_path / "out" / "looks.json").read_bytes() == before


def test_auto_counts_fixed_seeds_before_it_and_not_its_own_looks(look, trained, tmp_path):
    trained[1]["residual"] = 0.0
    assert look(12, auto=True) == 0 and [len(each.seeds) for each in looks(tmp_path).looks] == [8, 12]
    assert look(12, auto=True) == 0 and len(looks(tmp_path).looks) == 2
    assert [(each.seeds, each.verdict) for each in look.pair.planned_looks] == [(8, "inconclusive")]
    assert look(12) == 2


def test_a_run_that_was_stopped_has_shown_nothing(look, tmp_path, monkeypatch):
    train = comparison.run_replicas

    def stopping(programs, way, replicas, on_epoch):
        name, seed, folder, *_ = replicas[0]
        if seed == 4:
            folder.mkdir(parents=True)
            write_lines(folder / "metrics.jsonl", [made_line(0.5)])
            raise Stopped("stopped", 0)
        return train(programs, way, replicas, on_epoch)

    monkeypatch.setattr(comparison, "run_replicas", stopping)
    with pytest.raises(Stopped):
        look(6)
    assert looks(tmp_path) == Looks(complete=True, looks=[])
    # The epochs so far are there for who wants to look at them.
    header, row = (tmp_path / "out" / "results.csv").read_text().splitlines()
    assert header.startswith("network,seed,status,epoch,") and row.startswith("plain,4,pending,1,")
    (tmp_path / "out" / "runs" / "plain" / "seed4" / "metrics.jsonl").unlink()
    (tmp_path / "out" / "runs" / "plain" / "seed4").rmdir()
    monkeypatch.setattr(comparison, "run_replicas", train)
    assert look(6) == 0 and look.pair.looks_are_lost is UNSET and len(looks(tmp_path).looks) == 1


def test_a_full_disk_does_not_hide_that_a_run_was_stopped(look, tmp_path, monkeypatch):
    def stopping(*_):
        raise Stopped("stopped", 143)

    def full(workdir):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(comparison, "run_replicas", stopping)
    monkeypatch.setattr(engine, "write_results", full)
    with pytest.raises(Stopped):
        look(6)


@pytest.mark.parametrize("damage", ["removed", "damaged"])
def test_without_the_record_the_summary_tells_of_its_verdict_and_more_is_said_to_be_unknown(look, damage, tmp_path):
    look(6)
    path = tmp_path / "out" / "looks.json"
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b"candidate", b"candidata", 1))
    assert look(8) == 1 and look.pair.looks_are_lost is True
    assert (tmp_path / "out" / "looks.json.damaged").exists() == (damage == "damaged")
    # It stays unknown.
    assert look(12) == 2 and look.pair.looks_are_lost is True
    assert [len(each.seeds) for each in looks(tmp_path).looks] == [6, 8, 12] and not looks(tmp_path).complete


def test_a_verdict_in_the_summary_alone_was_shown(look, tmp_path):
    look(6)
    write_record(tmp_path / "out" / "looks.json", Looks(complete=True, looks=[]))
    assert look(8) == 1 and look.pair.looks_are_lost is UNSET


def test_every_split_has_its_own_looks(look, tmp_path):
    folds = settings(tmp_path / "out", tmp_path / "cache", folds=2)
    first = compare(replace(folds, seeds=tuple(range(6))))
    assert all(part.comparisons[0].earlier_looks is UNSET for part in first.splits.values())
    again = compare(replace(folds, seeds=tuple(range(7))))
    assert [len(part.comparisons[0].earlier_looks) for part in again.splits.values()] == [1, 1]
    assert len(list((tmp_path / "out").glob("*/looks.json"))) == 2
