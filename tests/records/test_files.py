"""Records are whole or absent, hold no NaN, and are refused by name where they are damaged or of another kind."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from resjax.errors import DamagedRecord, RecordError
from resjax.records import (
    SCHEMA_VERSION,
    Done,
    Gallery,
    MetricsLine,
    Summary,
    append_line,
    read_lines,
    read_npz,
    read_record,
    read_result,
    set_aside,
    write_lines,
    write_npz,
    write_record,
    write_text,
)
from tests.records.made import diverged, done, metrics_line, summary

pytestmark = pytest.mark.smoke


def test_a_record_is_read_as_it_was_written(tmp_path):
    for record in (done(), summary(), Gallery(thumbnails={"é.png": "data:"})):
        write_record(tmp_path / "a.json", record)
        assert read_record(tmp_path / "a.json", type(record)) == record
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


def test_numpy_values_become_plain_ones(tmp_path):
    write_record(tmp_path / "a.json", {"loss": np.float32(0.5), "matrix": np.eye(2, dtype=int), "ok": np.bool_(True)})
    record = structs.replace(
        done(), loss=np.float32(0.5), confusion_matrix=np.array([[2, 2], [0, 4]]), seed=np.int64(1)
    )
    write_record(tmp_path / "b.json", record)
    assert json.loads((tmp_path / "a.json").read_text())["matrix"] == [[1, 0], [0, 1]]
    found = read_result(tmp_path / "b.json")
    assert (found.loss, found.seed, found.confusion_matrix) == (0.5, 1, [[2, 2], [0, 4]])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float32("nan"), np.array(np.inf)])
def test_what_is_not_finite_becomes_null(tmp_path, value):
    append_line(tmp_path / "a.jsonl", metrics_line(train_loss=value))
    assert '"train_loss": null,' in (tmp_path / "a.jsonl").read_text()
    assert read_lines(tmp_path / "a.jsonl", MetricsLine)[0].train_loss is None


def test_keys_stand_in_the_order_of_the_fields_and_absent_ones_stay_absent(tmp_path):
    write_record(tmp_path / "a.json", done())
    keys = list(json.loads((tmp_path / "a.json").read_text()))
    assert keys[:4] == ["schema_version", "architecture", "seed", "status"]
    assert keys[-2:] == ["timing", "crc32"] and "leaked" not in keys and "final_test_accuracy" not in keys


def test_seeds_are_whole_numbers_in_code_and_texts_in_the_file(tmp_path):
    write_record(tmp_path / "a.json", summary())
    assert json.loads((tmp_path / "a.json").read_text())["architectures"]["plain34"]["status"]["3"] == "done"
    assert read_record(tmp_path / "a.json", Summary).architectures["plain34"].status[3] == "done"


def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_record(path, Gallery(thumbnails={"a": "b"}))

    def full_disk(descriptor):
        raise OSError("no space left on device")

    with pytest.raises(TypeError):
        write_record(path, {"epoch": object()})
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr("os.fsync", full_disk)
        write_record(path, Gallery(thumbnails={}))
    assert read_record(path, Gallery).thumbnails == {"a": "b"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("data", [b'{"epoch": ', b"\xff\xfe\xfa", b""])
def test_a_damaged_record_is_named(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(DamagedRecord, match=r"a\.json"):
        read_record(tmp_path / "a.json", Gallery)


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 0, None, "1", 1.0, True])
def test_another_version_is_refused_with_the_one_expected(tmp_path, version):
    write_record(tmp_path / "a.json", {"schema_version": version, "thumbnails": {}})
    with pytest.raises(RecordError, match=rf"a\.json: .*schema_version.*expected {SCHEMA_VERSION}"):
        read_record(tmp_path / "a.json", Gallery)


def test_a_record_without_a_version_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"thumbnails": {}}')
    with pytest.raises(RecordError, match="no schema_version"):
        read_record(tmp_path / "a.json", Gallery)


@pytest.mark.parametrize("text", ["[]", "null", '{"schema_version": 1, "thumbnails": {}, "colour": "red"}'])
def test_what_is_not_ours_is_named(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(RecordError, match=r"a\.json: not a Gallery"):
        read_record(tmp_path / "a.json", Gallery)


def test_a_record_without_a_checksum_is_taken_as_it_is(tmp_path):
    (tmp_path / "a.json").write_text('{"schema_version": 1, "thumbnails": {}}')
    assert read_record(tmp_path / "a.json", Gallery) == Gallery(thumbnails={})


def test_a_mapping_is_read_by_its_type_too(tmp_path):
    write_record(tmp_path / "timing.json", {"seconds": 2.0, "training_seconds": 1.5})
    assert read_record(tmp_path / "timing.json", dict[str, float]) == {"seconds": 2.0, "training_seconds": 1.5}


def test_a_torn_last_line_is_ignored_and_replaced_by_the_next(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_lines(path, [metrics_line(1)])
    append_line(path, metrics_line(2))
    with open(path, "a") as file:
        file.write('{"epoch": 3, "train_lo')
    assert read_lines(path, MetricsLine) == [metrics_line(1), metrics_line(2)]
    append_line(path, metrics_line(3))
    assert [line.epoch for line in read_lines(path, MetricsLine)] == [1, 2, 3]


def test_a_damaged_or_strange_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_lines(path, [metrics_line(1), metrics_line(2), metrics_line(3)])
    lines = path.read_text().splitlines(keepends=True)
    write_text(path, lines[0] + '{"ep\n' + lines[2])
    with pytest.raises(DamagedRecord, match=r"metrics\.jsonl, line 2"):
        read_lines(path, MetricsLine)
    write_text(path, lines[0] + '{"epoch": 2}\n' + lines[2])
    with pytest.raises(RecordError, match=r"metrics\.jsonl, line 2: .*train_loss"):
        read_lines(path, MetricsLine)


def test_no_lines_are_an_empty_list(tmp_path):
    write_lines(tmp_path / "metrics.jsonl", [])
    assert read_lines(tmp_path / "metrics.jsonl", MetricsLine) == []


def test_arrays_survive_a_round_trip(tmp_path):
    write_npz(tmp_path / "a.npz", id=np.array(["x.jpg"]), logits=np.ones((1, 2), np.float32))
    arrays = read_npz(tmp_path / "a.npz")
    assert arrays["id"].tolist() == ["x.jpg"] and arrays["logits"].dtype == np.float32


def every_flip(data: bytes):
    for place in range(len(data)):
        yield data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]


def test_no_flipped_bit_gives_another_record(tmp_path):
    path = tmp_path / "a.json"
    for record, read in ((done(), read_result), (Gallery(thumbnails={}), lambda path: read_record(path, Gallery))):
        write_record(path, record)
        for data in every_flip(path.read_bytes()):
            path.write_bytes(data)
            try:
                assert read(path) == record
            except RecordError:
                pass


def test_no_flipped_bit_gives_another_line(tmp_path):
    path = tmp_path / "a.jsonl"
    write_lines(path, [metrics_line(1), metrics_line(2)])
    whole = read_lines(path, MetricsLine)
    for data in every_flip(path.read_bytes()):
        path.write_bytes(data)
        try:
            # A last line without its end is a write cut short.
            assert read_lines(path, MetricsLine) in (whole, whole[:1])
        except RecordError:
            pass


def test_no_flipped_bit_and_no_cut_gives_other_arrays(tmp_path):
    path = tmp_path / "a.npz"
    arrays = {"label": np.arange(7), "logits": np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)}
    write_npz(path, **arrays)
    whole = path.read_bytes()
    for data in [*every_flip(whole), *(whole[:length] for length in range(0, len(whole), 7))]:
        path.write_bytes(data)
        try:
            found = read_npz(path)
        except DamagedRecord:
            continue
        assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_what_is_set_aside_keeps_every_earlier_one(tmp_path):
    for text in ("one", "two"):
        (tmp_path / "a.json").write_text(text)
        set_aside(tmp_path / "a.json")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a.json.damaged": "one",
        "a.json.damaged2": "two",
    }


def test_a_result_is_read_by_its_status(tmp_path):
    for record in (done(), diverged()):
        write_record(tmp_path / "result.json", record)
        found = read_result(tmp_path / "result.json")
        assert type(found) is type(record) and found.status == record.status
    assert isinstance(found.last, MetricsLine) and found.last.train_loss is None
    write_record(tmp_path / "result.json", {"schema_version": 1, "status": "finished"})
    with pytest.raises(RecordError, match=r"result\.json: not a Done"):
        read_record(tmp_path / "result.json", Done)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_or_a_device_stays_what_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(pipe.read_bytes)
        write_text(pipe, "a page")
        assert read.result(timeout=30) == b"a page" and pipe.is_fifo()
    write_text(Path(os.devnull), "a page")
    assert Path(os.devnull).is_char_device() and [*tmp_path.iterdir()] == [pipe]
