"""The report in a real browser, headless Chromium: it is quiet, asks for nothing, and fits phones and wide screens."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from resjax.records.run_records import read_run_records
from resjax.report.page.run_page import report_page
from tests.made_run import make_run
from tests.report.made import explain

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian's package: chromium)")

MEASURE = """
<script>
addEventListener("load", () => {
  const beyond = [...document.querySelectorAll("body *")].filter(each => {
    const box = each.getBoundingClientRect();
    return box.width && box.right > innerWidth + 1 && !each.closest(".scroll");
  });
  const cut = [...document.querySelectorAll("svg.figure text")].filter(text => {
    const box = text.getBoundingClientRect(), frame = text.closest("svg").getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
  });
  const pictures = [...document.images].map(image => (image.loading = "eager", image.src.slice(0, 5)));
  const ids = [...document.querySelectorAll("[id]")].map(each => each.id);
  parent.postMessage({
    width: innerWidth,
    scroll: document.documentElement.scrollWidth,
    beyond: beyond.map(each => each.outerHTML.slice(0, 120)),
    cut: cut.map(text => text.textContent),
    reachable: [...document.querySelectorAll(".scroll")].every(each => each.tabIndex === 0),
    dead: [...document.querySelectorAll("a")].filter(a => !ids.includes(a.hash.slice(1))).length,
    pictures: [...new Set(pictures)],
    requests: performance.getEntriesByType("resource").map(each => each.name).filter(name => !name.startsWith("data:")),
  }, "*");
});
</script>
"""
WRAPPER = """<!doctype html><body><pre id="result"></pre>
<script>addEventListener("message", message => {{ result.textContent = JSON.stringify(message.data) }})</script>
<iframe src="{page}" style="border: 0; width: {width}px; height: 900px"></iframe>"""


def browse(page: Path, folder: Path) -> subprocess.CompletedProcess:
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"]
    flags += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=4000", "--window-size=1500,1000"]
    command = [CHROMIUM, *flags, "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A report with long names, two candidates, leaks, and replicas that are missing."""
    folder = tmp_path_factory.mktemp("browser")
    classes = ["bakso", "gado_gado_with_a_very_long_name_and_peanut_sauce", "Soto<ayam>" * 5, "rendang"]
    workdir = make_run(
        folder / "run",
        {"se_preact_plain34_gn": 0.5, "se_preact_resnet34_gn_project_all": 0.8, "resnet18": 0.7},
        classes=classes,
        images=80,
        leaked=10,
        pending=[("resnet18", 3)],
        ids=[f"a_folder/with_a_long_name_{image:020}.jpeg" for image in range(80)],
        config={"image_dir": "/a/very/long/path" * 8},
    )
    explain(workdir, classes)
    path = folder / "report.html"
    path.write_text(report_page(read_run_records(workdir)))
    return path


def measure(page: Path, width: int) -> dict:
    """What a script finds in the page at that width; the page's own policy, which forbids scripts, is taken out."""
    text, count = re.subn(r"<meta http-equiv=[^>]+>", MEASURE.replace("\\", r"\\"), page.read_text())
    assert count == 1
    page.with_name("measured.html").write_text(text)
    wrapper = page.with_name(f"wrapper{width}.html")
    wrapper.write_text(WRAPPER.format(page="measured.html", width=width))
    dom = browse(wrapper, page.parent).stdout
    found = re.search(r'<pre id="result">(.*?)</pre>', dom, re.S)
    assert found and found[1], dom[:500]
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_overflows_and_nothing_is_asked_for(page, width):
    found = measure(page, width)
    assert found["width"] == width and found["scroll"] <= width
    assert found["beyond"] == [] and found["cut"] == []
    assert found["requests"] == [] and found["pictures"] == ["data:"]
    assert found["reachable"] and found["dead"] == 0


def test_the_console_stays_empty(page):
    done = browse(page, page.parent)
    assert done.returncode == 0 and "</html>" in done.stdout
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
