"""Groups, conflicts and expected leaks against simulation and enumeration; the page; the audit from end to end."""

import itertools
import re
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import msgspec
import numpy as np
import pytest
from PIL import Image

from experiments.studies.near_duplicates import CHANGES, thumbnails
from resjax.cli.audit import COMMAND as AUDIT
from resjax.data.dataset import Dataset, Exclusion
from resjax.data.duplicates.groups import copy_groups, expected_leak
from resjax.data.findings import KINDS
from resjax.data.splits import leaked_images, make_split
from resjax.data.synthetic import source as synthetic
from resjax.errors import BadInput
from resjax.records import DatasetRecord, GivenSplit, read_record
from resjax.report.page.audit_page import audit_page
from resjax.run.setup.dataset import dataset_record
from tests.commands import require_bad_input, run_in_process, run_program
from tests.markup import Tags

ROOT = Path(__file__).parents[2]
FIVE_DISHES = ROOT.parent / "shared" / "data" / "indonesian_food" / "train.csv"
NASTY = '<img src=x onerror="alert(1)">&.png'


def made_dataset(groups, labels) -> Dataset:
    count = len(groups)
    return Dataset(
        name="made",
        classes=tuple(f"class{label}" for label in range(max(labels) + 1)),
        ids=tuple(f"{index:04}" for index in range(count)),
        labels=np.array(labels, np.int32),
        images=np.zeros((count, 1, 1, 3), np.uint8),
        contents=tuple(f"{group:04}" for group in groups),
        groups=np.array(groups, np.int32),
        details={"decoded": 0},
    )


def test_the_expected_leak_is_the_mean_over_all_stratified_splits():
    groups, labels = np.array([0, 0, 0, 1, 2, 2, 3, 1]), np.array([0, 0, 1, 0, 1, 1, 1, 0])
    of_class = [np.flatnonzero(labels == label) for label in (0, 1)]
    shares = []
    for first, second in itertools.product(*(itertools.combinations(images, 2) for images in of_class)):
        val = [*first, *second]
        train = set(range(8)) - set(val)
        shares.append(np.mean([any(groups[other] == groups[image] for other in train) for image in val]))
    assert expected_leak(groups, labels, 0.5) == pytest.approx(np.mean(shares))


def test_the_expected_leak_is_what_random_splits_leak_on_average():
    rng = np.random.default_rng(0)
    dataset = made_dataset(rng.integers(0, 90, 200).tolist(), rng.integers(0, 3, 200).tolist())
    shares = []
    for seed in range(300):
        split = make_split(dataset, method="random", seed=seed, val_fraction=0.2)
        shares.append(leaked_images(split, dataset.groups) / len(split.sides["val"]))
    error = np.std(shares) / np.sqrt(len(shares))
    assert expected_leak(dataset.groups, dataset.labels, 0.2) == pytest.approx(np.mean(shares), abs=4 * error)


def test_without_copies_nothing_is_expected_to_leak():
    assert expected_leak(np.arange(20), np.arange(20) % 2, 0.2) == 0.0
    with pytest.raises(BadInput, match="val_fraction 1: expected a number above 0"):
        expected_leak(np.arange(20), np.arange(20) % 2, 1.0)


def test_conflicts_come_first_then_the_least_alike_then_exact_copies():
    rng = np.random.default_rng(0)
    dishes = [Image.fromarray(synthetic.draw_dish(0, seed=seed, size=96)) for seed in range(4)]
    copies = [
        CHANGES[name](dish, rng)
        for name, dish in zip(("JPEG quality 95", "5 % cropped, anywhere", "mirrored"), dishes, strict=False)
    ]
    seen = thumbnails([*dishes, *copies, dishes[3]])
    groups, labels = np.array([0, 1, 2, 3, 0, 1, 2, 3]), np.array([0, 0, 0, 0, 0, 0, 1, 0])
    contents = ["a", "b", "c", "d", "e", "f", "g", "d"]
    found = copy_groups(groups, labels, contents, seen)
    assert [group.images.tolist() for group in found] == [[2, 6], [1, 5], [0, 4], [3, 7]]
    assert [group.in_conflict for group in found] == [True, False, False, False]
    links = [group.weakest_link for group in found]
    assert 0.75 <= links[1] < links[2] <= 1 and links[3] is None


def test_a_chain_is_as_strong_as_its_weakest_link():
    rng = np.random.default_rng(0)
    dish = Image.fromarray(synthetic.draw_dish(0, seed=0, size=96))
    near, far = (CHANGES[name](dish, rng) for name in ("mirrored", "5 % cropped, anywhere"))

    def link(*images):
        seen = thumbnails(images)
        zeros = np.zeros(len(images), int)
        return copy_groups(zeros, zeros, [str(index) for index in range(len(images))], seen)[0].weakest_link

    assert link(dish, near, far) == pytest.approx(max(link(dish, far), link(near, far)))


def test_the_record_of_a_dataset_counts_pictures_and_names_conflicts():
    dataset = made_dataset([0, 0, 1, 2, 2, 3], [0, 0, 0, 1, 0, 1])
    record = dataset_record(dataset, val_fraction=0.5)
    assert record.distinct_contents == record.distinct_pictures == 4
    assert record.classes == {"class0": 4, "class1": 2}
    assert record.pictures_of_class == {"class0": 3, "class1": 2}
    assert record.conflicts == [["0003", "0004"]] and record.findings is None
    assert [group.ids for group in record.groups] == [["0003", "0004"], ["0000", "0001"]]
    assert record.expected_leak.exact == record.expected_leak.pictures > 0


def test_leaks_of_a_split_that_the_data_came_with_are_named():
    dataset = replace(made_dataset([0, 0, 1, 2, 2, 3], [0, 0, 0, 1, 1, 1]), sides=("train", "val", *["test"] * 4))
    given = dataset_record(dataset, val_fraction=0.5).given_split
    assert given == GivenSplit(images={"train": 1, "val": 1, "test": 4}, leaked=["0001"])


def nasty_record() -> dict:
    dataset = made_dataset([0, 0, 1, 1], [0, 1, 0, 1])
    dataset = replace(
        dataset,
        name="csv:<b>",
        classes=("<script>alert(1)</script>", "b"),
        ids=(NASTY, "1", "2", "3"),
        exclusions=(Exclusion(NASTY, "unreadable", "<i>"),),
    )
    return dataset_record(dataset, val_fraction=0.5, findings=[Exclusion(NASTY, "tiny", "1 x 1 <pixels>")])


def test_names_with_html_in_them_stay_text():
    page = audit_page(nasty_record(), {"0000": "data:image/jpeg;base64,AAAA", "0001": "data:,"}, KINDS)
    tags = Tags(page)
    assert not {tag for tag, _ in tags.tags} & {"script", "b", "i"}
    assert not any(name.startswith("on") for _, attributes in tags.tags for name in attributes)
    assert {attributes["src"][:5] for tag, attributes in tags.tags if tag == "img"} == {"data:"}
    assert NASTY in tags.text and "<script>alert(1)</script>" in tags.text


def test_the_page_loads_nothing_and_counts_the_groups_that_it_does_not_show():
    page = audit_page(nasty_record(), {"0000": "data:image/jpeg;base64,AAAA"}, KINDS)
    assert "default-src 'none'; img-src data:" in page
    assert not re.search(r"https?:|//|url\(|@import|<link|<script", page.split("</style>")[1])
    assert "1 group is not shown here" in page and len(re.findall("<figure>", page)) == 1


def audit(*flags: str, cwd: Path) -> CompletedProcess[str]:
    return run_program("audit", *flags, cwd=cwd)


@pytest.fixture(scope="module")
def audited(tmp_path_factory) -> tuple[Path, CompletedProcess[str]]:
    """A folder of two classes: exact copies, near-copies, one of these with the other label, and odd files."""
    here = tmp_path_factory.mktemp("audit")
    rng = np.random.default_rng(0)
    for label, name in enumerate(("bakso", "gado_gado")):
        folder = here / "images" / name
        folder.mkdir(parents=True)
        for seed in range(5):
            Image.fromarray(synthetic.draw_dish(label, seed=seed, size=96)).save(folder / f"{seed}.png")
        (folder / "same.png").write_bytes((folder / "0.png").read_bytes())
    bakso, gado_gado = here / "images" / "bakso", here / "images" / "gado_gado"
    CHANGES["JPEG quality 50"](Image.open(bakso / "1.png"), rng).save(bakso / "again.jpg")
    CHANGES["mirrored"](Image.open(bakso / "2.png"), rng).save(gado_gado / "wrong.png")
    Image.open(bakso / "3.png").save(gado_gado / "named.png", "WEBP")
    (bakso / "broken.jpg").write_bytes(b"no image")
    return here, audit("--dataset=folder:images", "--workdir=out", "--val_fraction=0.3", cwd=here)


def test_an_audit_leaves_its_record_its_page_and_a_table(audited):
    here, done = audited
    assert done.returncode == 0, done.stderr
    record = read_record(here / "out" / "dataset.json", DatasetRecord)
    assert (record.images, record.distinct_contents, record.distinct_pictures) == (15, 13, 10)
    conflicts = {frozenset(ids) for ids in record.conflicts}
    assert conflicts == {
        frozenset({"bakso/2.png", "gado_gado/wrong.png"}),
        frozenset({"bakso/3.png", "gado_gado/named.png"}),
    }
    found = {(finding.id, finding.reason) for finding in record.findings}
    assert found == {("bakso/broken.jpg", "unreadable"), ("gado_gado/named.png", "wrongly named")}
    assert record.expected_leak.val_fraction == 0.3
    assert 0 < record.expected_leak.exact < record.expected_leak.pictures
    page = (here / "out" / "audit.html").read_text()
    assert len(re.findall('<img src="data:image/jpeg', page)) == 8 and len(page) < 5e6
    assert re.search(r"distinct pictures +10 ", done.stdout) and "conflict: bakso/2.png" in done.stdout


def test_a_second_audit_finds_the_same_from_the_cache(audited):
    here, _ = audited
    again = audit("--dataset=folder:images", "--workdir=again", "--val_fraction=0.3", cwd=here)
    assert again.returncode == 0
    first, second = (read_record(here / name / "dataset.json", DatasetRecord) for name in ("out", "again"))
    assert (first.decoded, second.decoded) == (13, 0) and msgspec.structs.replace(second, decoded=13) == first


@pytest.mark.skipif(not FIVE_DISHES.exists(), reason="the photographs of five dishes are not here")
def test_the_five_dishes_hold_about_six_hundred_pictures_and_no_conflict(tmp_path):
    done = audit(f"--dataset=csv:{FIVE_DISHES}", "--workdir=out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "out" / "dataset.json", DatasetRecord)
    assert (record.images, record.distinct_contents, record.conflicts) == (1162, 709, [])
    assert 600 <= record.distinct_pictures <= 640
    assert record.expected_leak.exact == pytest.approx(0.57, abs=0.01)


def test_drawn_dishes_are_known_to_be_different_and_need_no_hashing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagehash", None)
    done = audit("--dataset=synthetic:60", "--workdir=out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "out" / "dataset.json", DatasetRecord)
    assert record.distinct_pictures == record.distinct_contents < 60 and record.conflicts == []


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--dataset=folder:nowhere"], "nowhere"),
        (["--val_fraction=1.5"], "val_fraction"),
        (["--workdir=file/out"], "--workdir"),
        (["--pictures=3"], "pictures"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_bad_input_ends_with_one_line_and_status_2(flags, named, tmp_path):
    (tmp_path / "file").write_text("")
    bad = audit("--dataset=synthetic:20", "--workdir=out", *flags, cwd=tmp_path)
    assert bad.returncode == 2, bad.stderr
    assert len(bad.stderr.strip().splitlines()) == 1 and bad.stderr.startswith("error: ") and named in bad.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def odd_files(tmp_path_factory) -> Path:
    """Two classes of 12-bit pictures, one of them of one colour, with files that are no images."""
    here = tmp_path_factory.mktemp("odd")
    for label, name in enumerate(("x", "y")):
        folder = here / "images" / name
        (folder / "@eaDir").mkdir(parents=True)
        (folder / "@eaDir" / "small.png").write_bytes(b"")
        for number in range(3):
            values = np.random.default_rng([label, number]).integers(0, 4096, (32, 32)).astype(np.uint16)
            Image.fromarray(values).save(folder / f"{number}.png")
    Image.fromarray(np.full((32, 32), 4095, np.uint16)).save(here / "images" / "x" / "white.png")
    (here / "images" / "x" / "pointer.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d")
    (here / "images" / "y" / "page.jpg").write_bytes(b"<!doctype html><title>404</title>")
    return here


def test_deep_images_one_colour_and_what_is_no_image_are_said_listed_and_on_the_page(odd_files, monkeypatch):
    monkeypatch.chdir(odd_files)
    flags = ("--dataset=folder:images", "--workdir=out", f"--cache_dir={odd_files}/cache", "--nonear_copies")
    status, out, err = run_in_process(AUDIT, *flags)
    assert status == 0, err
    record = read_record(odd_files / "out" / "dataset.json", DatasetRecord)
    assert record.one_colour == ["x/white.png"] and record.value_ranges.integers == (0, 4095)
    assert {(each.id, each.reason) for each in record.excluded} == {
        ("x/@eaDir", "folder of the system"),
        ("y/@eaDir", "folder of the system"),
        ("x/pointer.jpg", "unreadable"),
        ("y/page.jpg", "unreadable"),
    }
    page = Tags((odd_files / "out" / "audit.html").read_text()).text
    for words in ("x/white.png", "4095", "Git LFS", "HTML"):
        assert words in page
    for words in ("x/white.png", "4,095", "Git LFS", "HTML"):
        assert words in out


def test_an_audit_in_the_folder_of_images_is_refused(odd_files):
    flags = (f"--dataset=folder:{odd_files}/images", f"--workdir={odd_files}/images/audit")
    require_bad_input(AUDIT, *flags, says=("--workdir=", "images/audit"))
    assert not (odd_files / "images" / "audit").exists()


def test_help_says_what_an_audit_is(tmp_path):
    shown = audit("--help", cwd=tmp_path)
    assert shown.returncode == 0 and "--workdir" in shown.stdout and "audit.html" in shown.stdout
