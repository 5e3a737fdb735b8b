"""The report of made runs: what it shows, what it says where something is missing, and that nothing crashes it."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import asdict, replace

from resjax.records import (
    Depth,
    DepthMeasure,
    Gallery,
    MetricsLine,
    OverImages,
    OverSeeds,
    Slope,
    Twins,
    read_lines,
    write_lines,
    write_record,
)
from resjax.records.run_records import RunRecords, read_run_records
from resjax.report.figures.run_figures import draw_figures
from resjax.report.page.gallery import MOST_SHOWN, galleries, pictures_of
from resjax.report.page.run_page import report_page
from resjax.report.page.saliency import heat_maps
from resjax.report.page.verdict import verdict_details
from tests.made_records import comparison, described, probes_record
from tests.made_run import PIXEL, make_run
from tests.report.made import change, explain

pytestmark = pytest.mark.smoke

NETWORKS = {"plain18": 0.5, "resnet18": 0.8}


INLINE = {"a", "span", "strong", "wbr"}
"""Elements that do not part words."""


class Page(HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.page, self.tags, self.words, self.silent = page, [], [], False
        self.feed(page)
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.silent = tag == "style"
        self.apart(tag)

    def handle_endtag(self, tag):
        self.silent = False
        self.apart(tag)

    def apart(self, tag):
        if tag not in INLINE:
            self.words.append(" ")

    def handle_data(self, data):
        if not self.silent:
            self.words.append(data)


def report(workdir: Path, records: RunRecords | None = None) -> Page:
    page = Page(report_page(records or read_run_records(workdir)))
    assert not re.search(r"\b([nN]a[nN]|inf|None|UNSET|undefined)\b", page.text)
    assert not re.search(r'="[^"]*\b(nan|inf|UNSET)\b', page.page)
    return page


def test_twins_at_several_depths_are_shown_with_their_slope(tmp_path):
    workdir = make_run(tmp_path / "run", NETWORKS)
    measure = DepthMeasure(
        by_depth=[described(0.02, 2)] * 2,
        slope=Slope(**asdict(replace(described(0.02, 2), ci95=(-0.01, 0.05))), p_value=0.5),
    )
    names = ("train_accuracy", "train_loss", "val_accuracy", "gap")
    twins = [Twins(depth=depth, baseline=f"plain{depth}", candidate=f"resnet{depth}") for depth in (20, 32)]
    change(workdir, depth=[Depth(twins=twins, seeds=[0, 1], measures=dict.fromkeys(names, measure))])
    text = report(workdir).text
    assert "resnet32 minus plain32" in text and "per ten layers" in text
    assert "+2.0" in text and "+0.020" in text and "−1.0 to +5.0" in text
    assert "By depth" not in report(make_run(tmp_path / "shallow", NETWORKS)).text


def test_the_verdict_with_its_interval_comes_first(tmp_path):
    workdir = make_run(tmp_path / "run", NETWORKS)
    (pair,) = read_run_records(workdir).summary.comparisons
    text = report(workdir).text
    assert text.index(pair.sentence) < text.index("What was found") < text.index("Confusion matrices")
    assert f"{pair.sentence} {pair.verdict}" in text and re.search(r"95 % interval \(.*?\) [+−]\d", text)


def test_everything_that_a_reader_asks_for_has_a_section(tmp_path):
    workdir = make_run(tmp_path / "run", NETWORKS, config={"image_dir": "my images"})
    explain(workdir, ["bakso", "soto_ayam"])
    page = report(workdir)
    headings = {attributes.get("id") for tag, attributes in page.tags if tag == "section"}
    linked = {attributes["href"][1:] for tag, attributes in page.tags if tag == "a" and "class" not in attributes}
    linked |= {attributes["href"][1:] for tag, attributes in page.tags if attributes.get("class") == "skip"}
    assert (
        linked
        == headings
        == {
            *("diagnosis", "accuracies", "histories", "classes", "pictures", "calibration"),
            *("data", "cost", "repeat", "limits", "words"),
        }
    )
    charts = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) == 1 + 4 + 2 + 2 and all(chart["aria-label"] for chart in charts)
    assert (
        "--learning_rate" not in page.text and "--schedule" not in page.text and "'--image_dir=my images'" in page.text
    )
    assert "resnet18 minus plain18" in page.text and "1,000" in page.text and "36 MFLOP" in page.text
    assert "A made sentence." in page.text and "a made rule" in page.text
    assert "30 to 70 %" in page.text and "−1 to +60" in page.text and "expected calibration error 7.0 %" in page.text
    assert "With 4 seeds a two-sided sign-flip test over seeds cannot give a p-value below 0.12" in page.text


def test_a_tested_verdict_is_shown_as_it_was_recorded(tmp_path):
    workdir = make_run(tmp_path / "run", NETWORKS)
    pair = comparison(
        "plain18",
        "resnet18",
        [0.25, 0.35],
        sentence="resnet18 is better by 30 points (98.6 % interval +20 to +40).",
        verdict="candidate better",
        ci95=(0.2, 0.4),
        interval="t over seeds and groups of images",
        level=0.014,
        p_value=0.0125,
        test="the larger of two",
        over_seeds=OverSeeds(p_value=0.0078125, test="sign flips", ci95=(0.25, 0.35)),
        over_images=[OverImages(seed=0, only_baseline_right=3, only_candidate_right=21, p_value=0.00005)],
        smallest_detectable=0.05,
        seeds_to_settle=6,
    )
    change(workdir, comparisons=[pair])
    text = report(workdir).text
    assert "resnet18 is better by 30 points (98.6 % interval +20 to +40). candidate better" in text
    assert "98.6 % interval (t over seeds and groups of images) +20.0 to +40.0 points" in text
    assert "95 % interval over seeds alone +25.0 to +35.0 points p-value (the larger of two) 0.013" in text
    assert "p-value over seeds (sign flips) 0.0078" in text and "below 0.0001: 21 images right" in text
    assert "Holm" not in text and "about 6" in text and "5.0 points" in text


def test_pictures_of_disagreement_are_few_distinct_and_described(tmp_path):
    records = read_run_records(make_run(tmp_path / "run", NETWORKS, images=120))
    (gallery,) = galleries(records)
    assert gallery.seeds == 4
    for _, pictures, count in gallery.kinds:
        assert len(pictures) <= min(MOST_SHOWN, count)
    gained, lost, both = (pictures for _, pictures, _ in gallery.kinds)

    def right(picture, name):
        return sum(count for _, count, is_right in picture.taken_for[name] if is_right)

    shares = [right(picture, "resnet18") - right(picture, "plain18") for picture in gained]
    assert shares == sorted(shares, reverse=True) and shares[0] >= 3
    assert all(right(picture, "resnet18") < right(picture, "plain18") for picture in lost)
    assert all(right(picture, name) == 0 for picture in both for name in NETWORKS)
    # 000 and 001 are copies of each other, as are 002 and 003.
    shown = pictures_of([gallery])
    assert len(shown) == len(set(shown)) and not {"000.png", "001.png"} <= set(shown)


def test_names_with_html_in_them_stay_text(tmp_path):
    nasty = '<img src=x onerror="alert(1)">&'
    classes = ["<script>alert(1)</script>", "{{ 7 * 7 }}", "c" * 80]
    ids = [f"{nasty}{image}" for image in range(60)]
    page = report(make_run(tmp_path / "run", NETWORKS, classes=classes, ids=ids, config={"image_dir": nasty}))
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "link", "object"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert {attributes["src"][:5] for tag, attributes in page.tags if tag == "img"} == {"data:"}
    assert "<script>alert(1)</script>" in page.text and "{{ 7 * 7 }}" in page.text and nasty in page.text


def test_the_page_loads_nothing_and_is_small(tmp_path):
    page = report(make_run(tmp_path / "run", NETWORKS, images=300)).page
    assert "default-src 'none'; img-src data:" in page
    assert not re.search(r"https?:|url\((?!#)|@import|<link|<script", page)
    assert len(page) < 5e6


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"pending": [(name, seed) for name in NETWORKS for seed in range(4)]}, "No replica is finished"),
        ({"pending": [("resnet18", seed) for seed in range(4)]}, "resnet18: 4 seeds pending (0, 1, 2, 3)"),
        ({"diverged": [("plain18", 1)]}, "plain18: 1 seed diverged (1)"),
        ({"diverged": [("plain18", seed) for seed in range(4)]}, "No seed is finished in two networks"),
        ({"seeds": [3]}, "mean paired difference"),
        ({"same": True}, "mean paired difference"),
        ({"networks": {"plain18": 1.0, "resnet18": 1.0}}, "mean paired difference 0.0 points"),
        ({"networks": {"plain18": 0.0, "resnet18": 1.0}}, "mean paired difference +100.0 points"),
        ({"networks": {"resnet18": 0.7}}, "There is no other network to compare it with"),
        ({"networks": {f"resnet{6 * n + 2}": 0.1 * n for n in range(1, 9)}}, "resnet50 minus resnet44"),
        ({"leaked": 20}, "20 of 60 validation images (33 %)"),
        ({"classes": [f"class{label}" for label in range(40)], "images": 80}, "40 classes: the matrices are in"),
        ({"epochs": 1}, "Validation loss"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)) + str(len(str(value))),
)
def test_a_report_comes_of_every_run_and_says_what_is_missing(made, said, tmp_path):
    workdir = make_run(tmp_path / "run", **{"networks": NETWORKS} | made)
    assert said in report(workdir).text


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("dataset.json", "images by class are not known"),
        ("split.json", "Split: grouped. Fingerprint"),
        ("gallery.json", "The pictures themselves were not kept"),
        ("predictions.npz", "No two networks have predictions of the same seed"),
        ("metrics.jsonl", "There are no histories of finished replicas"),
    ],
)
def test_without_some_records_the_rest_is_shown(missing, said, tmp_path):
    workdir = make_run(tmp_path / "run", NETWORKS)
    for path in workdir.rglob(missing):
        path.unlink()
    assert said in report(workdir).text


def test_numbers_that_are_null_leave_gaps_and_not_nan(tmp_path):
    workdir = make_run(tmp_path / "run", NETWORKS, epochs=4)
    for path in workdir.rglob("metrics.jsonl"):
        lines = read_lines(path, MetricsLine)
        lines[2] = replace(lines[2], val_loss=None)
        write_lines(path, lines)
    report(workdir)


def test_no_interval_is_claimed_without_width():
    pair = comparison("a", "b", [0.1, 0.1], sd=0.0, ci95=(0.1, 0.1))
    assert [name for name, _ in verdict_details(pair)] == ["mean paired difference", "standard deviation over seeds"]


def test_the_probes_are_shown_with_their_figures_and_maps(tmp_path):
    workdir = make_run(tmp_path / "run", NETWORKS, seeds=(0, 1))
    assert "what the probes measured" not in report(workdir).text
    record = probes_record()
    write_record(workdir / "probes.json", record)
    write_record(workdir / "gallery.json", Gallery(thumbnails={"000.png": PIXEL}))
    page = report(workdir)
    assert record.paragraph in page.text and "diverged" in page.text
    assert page.page.count('class="heat"') == 2
    # The picture's class, and how sure each network is of it.
    first = read_run_records(workdir).predictions("resnet18", 0, "val")
    assert first and first.ids[0] == "000.png"
    shares = [
        heat_maps(read_run_records(workdir))["000.png"].maps[name].probability for name in ("plain18", "resnet18")
    ]
    assert all(f"{share:.0%}".replace("%", " % bakso") in page.text for share in shares)
    charts = [attributes["aria-label"] for tag, attributes in page.tags if attributes.get("class") == "figure"]
    assert any(label.startswith("How much of the gradient reaches each depth: ") for label in charts)
    assert {"probe_gradients", "probe_lesions"} <= {path.stem for path in draw_figures(workdir)}


def test_without_predictions_a_map_names_the_class_alone(tmp_path):
    workdir = make_run(tmp_path / "run", NETWORKS, seeds=(0,))
    write_record(workdir / "probes.json", probes_record(seeds=1))
    for path in workdir.rglob("predictions.npz"):
        path.unlink()
    maps = heat_maps(read_run_records(workdir))["000.png"]
    assert maps.label == "bakso" and all(each.probability is None for each in maps.maps.values())


def test_only_flags_that_differ_from_their_defaults_are_shown(tmp_path):
    config = {"learning_rate": 5e-4, "batch_size": 7, "schedule": "constant", "mesh": None}
    page = report(make_run(tmp_path / "run", NETWORKS, config=config))
    section = page.text.split("How to repeat it")[2]
    assert "--batch_size 7 24" in section and "--batch_size=7" in section
    assert "learning_rate" not in section and "schedule" not in section and "mesh" not in section


def test_a_chart_of_the_classes_shows_every_seed(tmp_path):
    workdir = make_run(tmp_path / "run", NETWORKS)
    explain(workdir, ["bakso"])
    page = report(workdir)
    (difference,) = [
        attributes
        for _, attributes in page.tags
        if "aria-label" in attributes and "Recall of resnet18 minus" in attributes["aria-label"]
    ]
    assert "bakso +30" in difference["aria-label"]
    (recall,) = [
        attributes for _, attributes in page.tags if attributes.get("aria-label", "").startswith("Recall of each class")
    ]
    assert all(name in recall["aria-label"] for name in NETWORKS)
