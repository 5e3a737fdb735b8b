"""What a reproduction's record says in tables and sentences, and that its page holds all of it."""

import msgspec
import pytest

from resjax.records import ReproductionRecord, read_record, write_record
from resjax.report.cautions import data_note
from resjax.report.page.reproduction_page import reproduction_page
from resjax.report.reproduction_text import depth_sentence, sentences, tables
from resjax.report.tables import in_columns, markdown
from tests.made_records import reproduction_record
from tests.markup import text_of


@pytest.fixture(scope="module")
def record() -> ReproductionRecord:
    return reproduction_record()


def test_published_and_own_numbers_stand_in_rows_of_their_own(record):
    values, changes, recalls = tables(record)
    rows = {row[0]: row[1:] for row in values.rows}
    assert values.header == ["", "plain20", "resnet20", "plain56", "resnet56"]
    assert rows["Somebody: test error"] == ["10", "9", "8", "7"]
    assert rows["Others: lowest to highest"] == ["about 9 to 12.5", "–", "–", "–"]
    mean = record.own[0].measures["final_val_accuracy"].mean
    # An error, where the record has accuracies; the loss is a loss.
    assert rows["ours: validation, last epoch"][0].startswith(f"{100 * (1 - mean):.1f} ± ")
    assert rows["ours: training loss, last epoch (nats)"][1].startswith("1.2")
    assert recalls.rows == [["published: plain20", "50", "100"]]


def test_differences_have_the_sign_of_what_is_listed(record):
    changes = {row[0]: row[1:] for row in tables(record)[1].rows}
    assert changes["Somebody: test error"] == ["−1.00", "−1.00"]
    assert "Others: lowest to highest" not in changes
    # One point more of accuracy is one point less of error.
    described = record.pairs[0].own[0].measures["final_val_accuracy"]
    assert described.mean > 0 and changes["ours: validation, last epoch"][0].startswith("−")
    low, high = described.ci95
    assert (
        f"({-100 * high:+.1f} to {-100 * low:+.1f})".replace("-", "−").replace("+", "+")
        in (changes["ours: validation, last epoch"][0])
    )
    accurate = tables(msgspec.structs.replace(record, quantity="accuracy"))[1]
    assert accurate.rows[-2][1].startswith("+")


def test_each_split_has_its_own_rows():
    values = tables(reproduction_record(splits=("overlapping", "grouped")))[0]
    labels = [row[0] for row in values.rows]
    assert "ours, split overlapping: validation, last epoch" in labels
    assert "ours, split grouped: training loss, last epoch (nats)" in labels


@pytest.mark.parametrize(
    ("slope", "words"),
    [
        ([-0.2, -0.1], "the gap grows with depth, as the paper reports"),
        ([0.1, 0.2], "the gap does not grow with depth"),
        ([-0.2, 0.1], "it is not shown whether the gap grows with depth"),
        (None, "it is not shown whether the gap grows with depth"),
    ],
)
def test_the_sentence_on_depth_claims_growth_where_the_interval_leaves_out_zero(slope, words, record):
    family = record.depth[0]
    loss = family.measures["train_loss"]
    changed = msgspec.structs.replace(loss.slope, mean=sum(slope) / 2 if slope else -0.1, ci95=slope)
    loss = msgspec.structs.replace(loss, slope=changed)
    said = depth_sentence(msgspec.structs.replace(family, measures=family.measures | {"train_loss": loss}))
    assert said.endswith(f": {words}.") and "at 20 layers" in said and "lower in 3 of 3 seeds" in said
    assert sentences(record)[-1] == "Inconclusive: made."


def test_the_page_holds_every_cell_and_says_what_the_numbers_are_not(record):
    second = msgspec.structs.replace(record.own[1], status=record.own[1].status | {2: "diverged"})
    page = reproduction_page(msgspec.structs.replace(record, own=[record.own[0], second, *record.own[2:]]))
    text = text_of(page)
    for table in tables(record):
        for row in table.rows:
            assert all(part in text for cell in row for part in cell.strip(")").split(" ("))
    for words in ("Twins & <others>", "made: no images at all.", "--epochs=3: the recipe has 182", "table 1"):
        assert words in text
    assert "resnet20: seed 2 diverged" in text and "A small version (--quick)" in text
    assert page.count('<svg class="figure"') == 4 and "<script" not in page and "<others>" not in page
    assert "A small version" not in reproduction_page(msgspec.structs.replace(record, quick=False))


def test_the_terminal_and_a_text_have_the_same_cells(record):
    for table in tables(record):
        said = in_columns(table)
        for row in table.rows:
            assert all(cell in said for cell in row)
        assert all(f"| {cell} |" in markdown(table) for cell in table.rows[0][1:])


def test_a_record_that_was_read_again_has_the_same_page(record, tmp_path):
    write_record(tmp_path / "reproduction.json", record)
    again = read_record(tmp_path / "reproduction.json", ReproductionRecord)
    assert reproduction_page(again) == reproduction_page(record)


def test_what_a_record_lacks_leaves_no_trace_on_the_page(record):
    assert msgspec.UNSET == record.environment.processor
    bare = msgspec.structs.replace(record, pairs=[], departures=[], depth=None)
    page = reproduction_page(bare)
    assert "UNSET" not in page and "<ul>\n</ul>" not in page
    # Without pairs the recalls still have their own heading.
    assert "Class by class" in page and "What the shortcut changes" not in page


@pytest.mark.parametrize("name", ["tfds:cifar10_jpeg", "tfds:cifar10_jpeg@train[:20%]", "tfds:cifar10_jpeg:1.0.0"])
def test_lossy_copies_are_known_by_every_name(name):
    assert "no error rate on CIFAR-10" in data_note(name)


@pytest.mark.parametrize("name", ["tfds:cifar10", "tfds:cifar10@train[:20%]", "folder:cifar10_jpeg", "synthetic"])
def test_other_images_need_no_note(name):
    assert data_note(name) == ""
