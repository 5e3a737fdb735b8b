"""The report's section on the probes."""

import re

from resjax.records import write_record
from resjax.records.run_records import read_run_records
from resjax.report.figures.probe_figures import embedded_figures, probe_figures
from resjax.report.page.run_page import report_page
from tests.made_records import probes_record
from tests.made_run import make_run


def test_the_report_shows_the_paragraph_the_sentences_and_the_pictures(tmp_path):
    workdir = make_run(tmp_path / "run", {"plain18": 0.5, "resnet18": 0.8}, seeds=(0, 1))
    assert "what the probes measured" not in report_page(read_run_records(workdir))
    record = probes_record()
    write_record(workdir / "probes.json", record)
    page = report_page(read_run_records(workdir))
    assert record.paragraph in page.replace("&#39;", "'")
    assert {f"probe_{name}" for name in embedded_figures(record)} == {name for name, _ in probe_figures(record)}
    assert page.count("data:image/png;base64") == 2
    assert page.count('class="heat"') == 2 and "diverged" in page
    assert not re.search(r">\s*(nan|None)\b", page)
