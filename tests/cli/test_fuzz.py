"""Whatever flagfiles, csv files and images say: it ends in success, or in one line and status 2, and leaves nothing.

A few hundred inputs by default; RESJAX_FUZZ=7000 tries so many of each of the three kinds.
"""

import os
import signal
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from absl import flags
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from resjax.cli import program as frame
from resjax.cli.flags import settings as options
from resjax.cli.flags.data import define_source_flags, define_split_flags
from resjax.cli.machine import define_process_flags
from resjax.data.dataset import Dataset
from resjax.data.decoding import decode
from resjax.data.sources.opening import open_catalogue
from resjax.errors import BadInput
from resjax.run.setup.dataset import load_splits
from resjax.run.workdir.lock import require_writable
from resjax.training.recipe import Recipe, fields_with_options
from tests.image_files import write_images
from tests.made_files import SIZE, catalogue_of, photograph, saved

INPUTS = int(os.environ.get("RESJAX_FUZZ", 0))
SEED = 20261125
HANGS_AFTER = 60
"""Seconds for one input, of which each takes milliseconds."""
FLAGS = flags.FLAGS


def fuzzed(inputs: int):
    """So many inputs from a fixed seed, or as many as RESJAX_FUZZ says."""
    few = settings(
        max_examples=INPUTS or inputs,
        deadline=None,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    return lambda test: seed(SEED)(few(test))


@contextmanager
def no_hang():
    def stop(*_):
        raise TimeoutError(f"no end after {HANGS_AFTER} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANGS_AFTER)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def one_line(error: object) -> bool:
    text = str(error)
    return bool(text) and "\n" not in text and "Traceback" not in text


# Flagfiles.

DEFINITIONS = (define_source_flags, define_split_flags, options.define_training_flags, define_process_flags)
NAMES = (
    *("dataset", "image_dir", "data_dir", "cache_dir", "cache_gb", "near_copies", "nonear_copies"),
    *("split", "split_seed", "split_file", "folds", "val_fraction", "test_fraction"),
    *("architectures", "init_from", "freeze", "seeds", "max_seeds", "image_size", "pipeline", "width", "stem", "dtype"),
    *("gpu_flags", "train_fraction", *(option.flag for _, option in fields_with_options(Recipe))),
    *("replicas_as", "mesh", "workdir", "coordinator_address", "process_id"),
    *("epoch", "bach_size", "seed", "flagfile", "undefok", "v", "only_check_args", "run_with_pdb"),
)
WORDS = (
    *("", "0", "1", "2", "-1", "3,", "0,3", "auto", "1e400", "-1e-400", "nan", "inf", "-inf", "0x10", "1_000", "٣"),
    *("99999999999999999999", "1e9", "0.5", "1.0", "0.999999", "true", "none", "None", ",", ":", "=", "@", "..", "/"),
    *("synthetic", "synthetic:60", "synthetic:", "synthetic:-4", "synthetic:999999999999", "csv:", "csv:.", "folder:"),
    *(
        "folder:/dev/null",
        "csv:/dev/null",
        "tfds:",
        "tfds:../x",
        "tfds:a/b/c@d[",
        "\x00",
        "a\x00b",
        "\ud83d",
        "é" * 300,
    ),
    *("plain18", "resnet18,plain18", "resnet18,resnet18", "resnet2", "resnet20000", "preact_preact_resnet18", "resnet"),
    *("sgd", "adma", "cosine", "grouped", "random,given", "vmap", "batch:0", "replica:2,batch:4", "replica:1e3"),
    *("flip", "rotate:361", "crop:99", "color:1,2", "color:1,1,1,nan", "crop:inf", "rotate:1e999", "stem.*", "[", "*"),
    *(
        "0.5,0.75",
        "0.75,0.5",
        "step",
        "tenth",
        "scale:8,8,9",
        "scale:9,8,7",
        "scale:1e9,1,2",
        "lighting:0.1",
        "lighting:nan",
    ),
    *("float32", "cifar", "imagenet", "streamed", "/proc/out", "/dev/null/out", "~nobody/x", "x" * 5000, "host:port"),
)
flag_lines = st.builds(
    lambda dashes, name, sign, value: f"{dashes}{name}{sign}{value}",
    st.sampled_from(["--", "--", "--", "-", ""]),
    st.sampled_from(NAMES) | st.text(max_size=8),
    st.sampled_from(["=", "=", "=", " ", ""]),
    st.sampled_from(WORDS) | st.text(max_size=12) | st.integers().map(str) | st.floats().map(str),
)
flagfiles = st.lists(flag_lines, max_size=5).map("\n".join) | st.text(max_size=80)


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Runs the main program of compare up to where it would read images and write, with the flags of a file."""
    for define in DEFINITIONS:
        define()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(frame, "hold_memory", lambda: None)
    monkeypatch.setattr(frame, "keep_compiled_programs", lambda folder: None)
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
    drawn = Dataset(
        name="drawn",
        classes=("x", "y"),
        ids=tuple(f"{index}.png" for index in range(40)),
        labels=np.arange(40, dtype=np.int32) % 2,
        images=np.zeros((40, 8, 8, 3), np.uint8),
        contents=tuple(f"{index:064x}" for index in range(40)),
        groups=np.arange(40, dtype=np.int32),
    )

    def checked() -> None:
        asked = options.settings("compare")
        load_splits(asked, drawn)
        require_writable(asked.workdir)

    command = frame.Command("compare", "", checked, ())

    def run(text: str) -> int:
        (tmp_path / "some.flags").write_bytes(text.encode("utf-8", "surrogatepass"))
        monkeypatch.setattr(sys, "argv", ["compare"])
        FLAGS.unparse_flags()
        for flag in FLAGS._flags().values():
            flag.value, flag.present = flag.default, 0
        try:
            frame.run_command(command, [f"--flagfile={tmp_path}/some.flags"])
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    yield run
    FLAGS.mark_as_parsed()
    for name in [flag.name for definition in FLAGS.flags_by_module_dict().values() for flag in definition]:
        module = FLAGS.find_module_defining_flag(name, "")
        if name in FLAGS and module.startswith("resjax.cli"):
            delattr(FLAGS, name)


def test_every_flagfile_ends_in_success_or_one_line_and_leaves_nothing(program, tmp_path, capsys):
    ended = {0: 0, 2: 0}

    @fuzzed(150)
    @given(text=flagfiles)
    def try_flags(text):
        with no_hang():
            status = program(text)
        said = capsys.readouterr().err
        assert status in ended
        ended[status] += 1
        if status == 2:
            assert said.startswith("error: ") and one_line(said.rstrip("\n"))
        assert [path.name for path in tmp_path.iterdir()] == ["some.flags"]

    try_flags()
    print(f"flagfiles: {ended[0]} accepted, {ended[2]} refused")
    assert ended[0] and ended[2], ended


# csv files.

cells = st.sampled_from(
    ["a.png", "b.png", "x", "y", "", ",", '"', "\n", "../a.png", "/etc/passwd", "\x00", "\r", "é", ";"]
    + ["C:\\x\\a.png", "..\\secret", "/y/B.PNG", "a", "\t"]
)
rows = (
    st.sampled_from(["a.png,x", "b.png,y", "b.png,y", "./a.png,x", "/y/B.PNG,y", "x\\a,x"])
    | st.lists(cells, min_size=2, max_size=2).map(",".join)
    | st.lists(cells | st.text(max_size=6), max_size=4).map(",".join)
)
csv_bytes = (
    st.lists(rows, max_size=8)
    .map(lambda given: "\n".join(["filename,label", *given]).encode("utf-8", "surrogatepass"))
    .flatmap(lambda good: st.just(good) | st.builds(changed, st.just(good), st.integers(0, 400), st.binary(max_size=9)))
)
csvs = (
    csv_bytes
    | st.binary(max_size=200)
    | csv_bytes.map(lambda data: data.decode("utf-8", "replace").encode("utf-16"))
    | csv_bytes.map(lambda data: data.replace(b",", b";"))
)


def changed(data: bytes, place: int, inserted: bytes) -> bytes:
    """The bytes with some of them written over."""
    place %= len(data) + 1
    return data[:place] + inserted + data[place + len(inserted) :]


def test_every_csv_ends_in_images_of_its_folder_or_one_line(tmp_path):
    write_images(tmp_path / "train", "a.png", "b.png")
    (tmp_path / "secret.png").write_bytes(b"secret")
    ended = {True: 0, False: 0}

    @fuzzed(400)
    @given(data=csvs)
    def try_csv(data):
        (tmp_path / "train.csv").write_bytes(data)
        try:
            with no_hang():
                catalogue = open_catalogue(f"csv:{tmp_path}/train.csv", image_size=8)
        except BadInput as error:
            assert one_line(error)
            ended[False] += 1
            return
        assert set(catalogue.ids) <= {"a.png", "b.png"}
        assert all(catalogue.read(image).startswith(b"\x89PNG") for image in range(len(catalogue.ids)))
        ended[True] += 1

    try_csv()
    print(f"csv files: {ended[True]} understood, {ended[False]} refused")
    assert ended[True] and ended[False], ended


# Image files.

KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO", "PCX")
SOUND = [saved(Image.fromarray(photograph(0, 20, 24)), kind) for kind in KINDS]
SOUND += [saved(Image.fromarray(photograph(0, 20, 24)).convert("P"), "PNG"), saved(Image.new("I;16", (9, 9)), "TIFF")]
image_files = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda data, share: data[: int(len(data) * share)], st.sampled_from(SOUND), st.floats(0, 1)),
    st.builds(changed, st.sampled_from(SOUND), st.integers(0, 3000), st.binary(min_size=1, max_size=8)),
    # Headers are where sizes and kinds stand.
    st.builds(changed, st.sampled_from(SOUND), st.integers(0, 60), st.binary(min_size=1, max_size=8)),
    st.builds(lambda data, more: data[:12] + more, st.sampled_from(SOUND), st.binary(max_size=200)),
)


def test_every_image_file_ends_in_pixels_or_a_listed_exclusion(tmp_path):
    ended = {True: 0, False: 0}

    @fuzzed(300)
    @given(data=image_files)
    def try_image(data):
        # A cache of few packs: each run adds one, and each reads the indices of all.
        cache = tmp_path / str(sum(ended.values()) // 50)
        with no_hang():
            dataset = decode(catalogue_of(SOUND[0], SOUND[3], data), SIZE, cache_dir=cache, workers=1)
        assert dataset.ids[:2] == ("00.jpg", "01.jpg")
        if len(dataset.ids) == 3:
            assert dataset.images[np.array([2])].shape == (1, SIZE, SIZE, 3)
        else:
            (exclusion,) = dataset.exclusions
            assert exclusion.id == "02.jpg" and exclusion.reason == "unreadable" and one_line(exclusion.detail)
        ended[len(dataset.ids) == 3] += 1

    try_image()
    print(f"image files: {ended[True]} decoded, {ended[False]} listed as unreadable")
    assert ended[True] and ended[False], ended
