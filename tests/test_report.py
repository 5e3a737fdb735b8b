"""The report of made runs: what it shows, what it says where something is missing, and that nothing crashes it."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from resjax.cli.report import write_report
from resjax.errors import RecordError
from resjax.evaluation.explain import explained
from resjax.records.run_records import read_run_records
from resjax.report.figures.charts import ticks
from resjax.report.page.gallery import MOST_SHOWN, galleries, pictures_of
from resjax.report.page.run_page import report_page
from resjax.report.page.verdict import verdict_of
from resjax.report.records import read_json, read_lines, write_json, write_lines
from tests.made_run import make_run

ROOT = Path(__file__).parents[1]
ARMS = {"plain18": 0.5, "resnet18": 0.8}


class Page(HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.page, self.tags, self.words, self.silent = page, [], [], False
        self.feed(page)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.silent = tag == "style"

    def handle_endtag(self, tag):
        self.silent = False

    def handle_data(self, data):
        if not self.silent:
            self.words.append(data)


def report(workdir: Path) -> Page:
    page = Page(report_page(explained(read_run_records(workdir))))
    assert not re.search(r"\b([nN]a[nN]|inf|None|undefined)\b", page.text)
    assert not re.search(r'="[^"]*\b(nan|inf)\b', page.page)
    return page


def test_twins_at_several_depths_are_shown_with_their_slope(tmp_path):
    workdir = make_run(tmp_path / "run", ARMS)
    summary = read_json(workdir / "summary.json")
    change = {"values": [0.01, 0.03], "mean": 0.02, "sd": 0.01, "ci95": [-0.01, 0.05]}
    measures = {
        name: {"by_depth": [change, change], "slope": change | {"p_value": 0.5}}
        for name in ("train_accuracy", "train_loss", "val_accuracy", "gap")
    }
    twins = [{"depth": depth, "baseline": f"plain{depth}", "candidate": f"resnet{depth}"} for depth in (20, 32)]
    write_json(workdir / "summary.json", summary | {"depth": [{"twins": twins, "seeds": [0, 1], "measures": measures}]})
    text = report(workdir).text
    assert "resnet32 minus plain32" in text and "for ten layers more" in text
    assert "+2.0" in text and "+0.020" in text and "−1.0 to +5.0" in text
    assert "By depth" not in report(make_run(tmp_path / "shallow", ARMS)).text


def test_the_verdict_with_its_interval_comes_first(tmp_path):
    page = report(make_run(tmp_path / "run", ARMS))
    text = page.text
    assert re.search(r"resnet18 is [\d.]+ points above plain18 in validation accuracy .* 95 % interval \+", text)
    assert text.index("resnet18 is ") < text.index("What was found") < text.index("Confusion matrices")
    assert "described, not tested" in text and "p-value" not in text


def test_everything_that_a_reader_asks_for_has_a_section(tmp_path):
    page = report(make_run(tmp_path / "run", ARMS, config={"image_dir": "my images"}))
    headings = {attributes.get("id") for tag, attributes in page.tags if tag == "section"}
    linked = {attributes["href"][1:] for tag, attributes in page.tags if tag == "a"}
    assert (
        linked
        == headings
        == {
            *("diagnosis", "accuracies", "histories", "classes", "pictures", "calibration"),
            *("data", "cost", "repeat", "limits"),
        }
    )
    charts = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) == 1 + 4 + 2 and all(chart["aria-label"] for chart in charts)
    assert "--learning_rate=0.0005" in page.text and "'--image_dir=my images'" in page.text
    assert "resnet18 minus plain18" in page.text and "1,000" in page.text and "36 MFLOP" in page.text
    assert "With 4 seeds, no two-sided sign-flip test over seeds can be below 0.12" in page.text


def test_a_tested_verdict_is_shown_as_it_was_recorded(tmp_path):
    workdir = make_run(tmp_path / "run", ARMS)
    summary = read_json(workdir / "summary.json")
    summary["comparisons"][0] |= {
        "sentence": "resnet18 is better by 30 points (98.6 % interval +20 to +40).",
        "verdict": "candidate better",
        "ci95": [0.2, 0.4],
        "interval": "t over seeds and groups of images",
        "level": 0.014,
        "p_value": 0.0125,
        "test": "the larger of two",
        "over_seeds": {"p_value": 0.0078125, "test": "sign flips", "ci95": [0.25, 0.35]},
        "over_images": [{"seed": 0, "only_baseline_right": 3, "only_candidate_right": 21, "p_value": 0.00005}],
        "holm_p_value": None,
        "smallest_detectable": 0.05,
        "seeds_to_settle": 6,
    }
    write_json(workdir / "summary.json", summary)
    text = report(workdir).text
    assert "resnet18 is better by 30 points (98.6 % interval +20 to +40). candidate better" in text
    assert "98.6 % interval (t over seeds and groups of images) +20.0 to +40.0 points" in text
    assert "95 % interval over seeds alone +25.0 to +35.0 points p-value (the larger of two) 0.013" in text
    assert "p-value over seeds (sign flips) 0.0078" in text and "below 0.0001: 21 images right" in text
    assert "Holm" not in text and "about 6" in text


def test_pictures_of_disagreement_are_few_distinct_and_described(tmp_path):
    records = read_run_records(make_run(tmp_path / "run", ARMS, images=120))
    (gallery,) = galleries(records)
    assert gallery.seeds == 4
    for _, pictures, count in gallery.kinds:
        assert len(pictures) <= min(MOST_SHOWN, count)
    gained, lost, both = (pictures for _, pictures, _ in gallery.kinds)

    def right(picture, arm):
        return sum(count for _, count, is_right in picture.taken_for[arm] if is_right)

    shares = [right(picture, "resnet18") - right(picture, "plain18") for picture in gained]
    assert shares == sorted(shares, reverse=True) and shares[0] >= 3
    assert all(right(picture, "resnet18") < right(picture, "plain18") for picture in lost)
    assert all(right(picture, arm) == 0 for picture in both for arm in ARMS)
    # 000 and 001 are copies of each other, as are 002 and 003.
    shown = pictures_of([gallery])
    assert len(shown) == len(set(shown)) and not {"000.png", "001.png"} <= set(shown)


def test_names_with_html_in_them_stay_text(tmp_path):
    nasty = '<img src=x onerror="alert(1)">&'
    classes = ["<script>alert(1)</script>", "{{ 7 * 7 }}", "c" * 80]
    ids = [f"{nasty}{image}" for image in range(60)]
    page = report(make_run(tmp_path / "run", ARMS, classes=classes, ids=ids, config={"image_dir": nasty}))
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "link", "object"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert {attributes["src"][:5] for tag, attributes in page.tags if tag == "img"} == {"data:"}
    assert "<script>alert(1)</script>" in page.text and "{{ 7 * 7 }}" in page.text and nasty in page.text


def test_the_page_loads_nothing_and_is_small(tmp_path):
    page = report(make_run(tmp_path / "run", ARMS, images=300)).page
    assert "default-src 'none'; img-src data:" in page
    assert not re.search(r"https?:|url\(|@import|<link|<script", page)
    assert len(page) < 5e6


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"pending": [(arm, seed) for arm in ARMS for seed in range(4)]}, "No replica is finished"),
        ({"pending": [("resnet18", seed) for seed in range(4)]}, "resnet18: 4 seeds pending (0, 1, 2, 3)"),
        ({"diverged": [("plain18", 1)]}, "plain18 diverged in 1 of 4 replicas"),
        ({"diverged": [("plain18", seed) for seed in range(4)]}, "No seed is finished in two arms"),
        ({"seeds": [3]}, "with one seed, which gives no interval"),
        ({"same": True}, "in every one of 4 seeds, which leaves no interval over seeds"),
        ({"arms": {"plain18": 1.0, "resnet18": 1.0}}, "resnet18 is 0.0 points from plain18"),
        ({"arms": {"plain18": 0.33, "resnet18": 0.33}}, "includes no difference"),
        ({"arms": {"plain18": 0.0, "resnet18": 1.0}}, "resnet18 is 100.0 points above"),
        ({"arms": {"resnet18": 0.7}}, "there is no other arm to compare it with"),
        ({"arms": {f"resnet{6 * n + 2}": 0.1 * n for n in range(1, 9)}}, "resnet50 is"),
        ({"leaked": 20}, "20 of 60 validation images (33 %) lie on another side too"),
        ({"classes": [f"class{label}" for label in range(40)], "images": 80}, "40 classes: the matrices are in"),
        ({"epochs": 1}, "resnet18 is"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)) + str(len(str(value))),
)
def test_a_report_comes_of_every_run_and_says_what_is_missing(made, said, tmp_path):
    workdir = make_run(tmp_path / "run", **{"arms": ARMS} | made)
    assert said in report(workdir).text


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("dataset.json", "images are not counted by class"),
        ("split.json", "Split: grouped. Fingerprint"),
        ("gallery.json", "The pictures themselves were not kept"),
        ("predictions.npz", "No two arms have predictions of the same seed"),
        ("metrics.jsonl", "There are no histories of finished replicas"),
    ],
)
def test_without_some_records_the_rest_is_shown(missing, said, tmp_path):
    workdir = make_run(tmp_path / "run", ARMS)
    for path in workdir.rglob(missing):
        path.unlink()
    assert said in report(workdir).text


def test_numbers_that_are_null_leave_gaps_and_not_nan(tmp_path):
    workdir = make_run(tmp_path / "run", ARMS, epochs=4)
    for path in workdir.rglob("metrics.jsonl"):
        lines = read_lines(path)
        lines[2]["val_loss"] = None
        write_lines(path, lines)
    report(workdir)


def test_no_interval_is_claimed_without_width():
    pair = {"baseline": "a", "candidate": "b", "metric": "test_accuracy", "seeds": [0, 1], "differences": [0.1, 0.1]}
    verdict = verdict_of(pair | {"mean": 0.1, "sd": 0.0, "ci95": [0.1, 0.1], "p_value": float("nan")})
    assert "interval +" not in verdict.sentence and [name for name, _ in verdict.details] == [
        "mean paired difference",
        "standard deviation over seeds",
    ]


def test_ticks_are_round_and_few():
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    rng = np.random.default_rng(0)
    for low, width in zip(rng.normal(0, 50, 200), rng.exponential(30, 200), strict=True):
        found = ticks(low, low + width)
        assert len(found) <= 8 and all(low - 1e-6 <= value <= low + width + 1e-6 for value in found)


def run_report(*flags: str, cwd: Path) -> subprocess.CompletedProcess:
    (cwd / "jax.py").write_text("raise ImportError('no jax on this machine')\n")
    environment = os.environ | {"PYTHONPATH": f"{cwd}:{ROOT}"}
    command = [sys.executable, "-m", "experiments.report", *flags]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_report_is_made_again_on_a_machine_without_jax(tmp_path):
    make_run(tmp_path / "run", ARMS)
    done = run_report("--workdir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run/report.html\n" and "resnet18 is" in (tmp_path / "run" / "report.html").read_text()


def test_a_workdir_of_several_splits_gets_a_report_for_each(tmp_path):
    for name in ("random", "grouped"):
        make_run(tmp_path / "run" / name, ARMS, seeds=[0], leaked=9 * (name == "random"))
    write_json(tmp_path / "run" / "splits.json", {"schema_version": 1, "splits": {"random": {}, "grouped": {}}})
    done = run_report("--workdir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["run/random/report.html", "run/grouped/report.html"]
    pages = [(tmp_path / path).read_text() for path in done.stdout.split()]
    assert ["WARNING: split random" in page for page in pages] == [True, False]


def test_seeds_that_were_trained_apart_become_one_comparison(tmp_path):
    make_run(tmp_path / "one", ARMS, seeds=[0, 1])
    make_run(tmp_path / "two", ARMS | {"resnet34": 0.9}, seeds=[1, 2, 3])
    path = write_report([tmp_path / "one", tmp_path / "two"])
    assert path == tmp_path / "one" / "merged_report.html"
    text = Page(path.read_text()).text
    assert "resnet18, 4 seeds" in text and "resnet34, 3 seeds" in text
    assert text.count("python -m experiments.compare") == 2


def test_workdirs_of_other_recipes_or_data_are_not_mixed(tmp_path):
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    make_run(one, ARMS, seeds=[0])
    make_run(two, ARMS, seeds=[1], config={"learning_rate": 0.1})
    with pytest.raises(RecordError, match=r"not of one recipe \(--learning_rate=0.0005 and 0.1\)"):
        write_report([one, two])
    make_run(three, {"plain18": 0.1, "resnet18": 0.2}, seeds=[0])
    with pytest.raises(RecordError, match="seed 0 of plain18 has another result"):
        write_report([one, three])
    summary = read_json(three / "summary.json")
    summary["dataset"]["fingerprint"] = "other"
    write_json(three / "summary.json", summary)
    with pytest.raises(RecordError, match="other images, labels or sides"):
        write_report([one, three])


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--workdir=nowhere"], "nowhere: no summary.json"),
        ([], "--workdir"),
        (["--workdir=run", "--output=nowhere/report.html"], "--output=nowhere"),
        (["--workdir=newer"], "schema_version 99"),
        (["--workdir=torn"], "summary.json: not a readable JSON record"),
        (["--workdirs=run"], "workdir"),
        (["run"], "'run'"),
    ],
    ids=lambda value: str(value),
)
def test_bad_input_ends_with_one_line_and_status_2(flags, named, tmp_path):
    make_run(tmp_path / "run", ARMS, seeds=[0])
    for name, text in (("newer", '{"schema_version": 99}'), ("torn", '{"schema_')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(text)
    bad = run_report(*flags, cwd=tmp_path)
    assert bad.returncode == 2, bad.stderr
    assert len(bad.stderr.strip().splitlines()) == 1 and bad.stderr.startswith("error: ") and named in bad.stderr


def test_help_says_what_a_report_needs(tmp_path):
    shown = run_report("--help", cwd=tmp_path)
    assert shown.returncode == 0 and "--workdir" in shown.stdout and "neither the images nor jax" in shown.stdout
