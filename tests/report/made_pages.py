"""A page of every kind, made of records alone, for tests of how pages look and whether everybody can read them."""

from pathlib import Path

from msgspec.structs import replace

from resjax.records import (
    CopyGroup,
    DatasetRecord,
    ExpectedLeak,
    Gallery,
    Listed,
    Probes,
    ReproductionRecord,
    read_record,
    write_record,
)
from resjax.records.run_records import read_run_records
from resjax.report.page.audit_page import audit_page
from resjax.report.page.reproduction_page import reproduction_page
from resjax.report.page.run_page import report_page
from resjax.report.page.sweep_page import sweep_page
from tests.made_records import probes_record, reproduction_record
from tests.made_run import PIXEL, make_run
from tests.made_sweep import make_sweep
from tests.report.made import explain

DISHES = ("bakso", "gado_gado", "nasi_goreng", "rendang", "soto_ayam")
LONG = ("bakso", "gado_gado_with_a_very_long_name_and_peanut_sauce", "Soto<ayam>" * 5, "rendang")
WORST = "learning_rate0.01_weight_decay0.0001"
PUBLISHED = Path(__file__).parents[2] / "experiments" / "results" / "reproduce_first_exercise_quick"
"""A real reproduction: long names of sources, two splits, classes, and a long command."""


def make_pages(folder: Path) -> dict[str, Path]:
    """Writes the pages into a folder and returns their paths by name."""
    pages = {
        "report": _report(folder / "run"),
        "long_names": _long_names(folder / "long"),
        "sweep": sweep_page(
            make_sweep(
                folder / "sweep",
                seeds=range(3),
                images=20,
                diverged=[(WORST, "plain20", 1)],
                failed=[(WORST, "resnet8", 2)],
                pending=[(WORST, "resnet8", 1)],
            )
        ),
        "sweep_along": sweep_page(
            make_sweep(
                folder / "along", depths=(8,), grid={"train_fraction": (0.05, 1.0)}, seeds=(0, 1), images=20, leaked=3
            )
        ),
        "reproduction": _reproduction(),
        "audit": _audit(),
    }
    paths = {name: folder / f"{name}.html" for name in pages}
    for name, path in paths.items():
        path.write_text(pages[name], encoding="utf-8")
    return paths


def _report(workdir: Path) -> str:
    """A report of two networks with ordinary names, with everything that a report can have."""
    ids = [f"{DISHES[image % 5]}_{image:04}.png" for image in range(80)]
    make_run(workdir, {"plain34": 0.5, "resnet34": 0.8}, classes=DISHES, images=80, ids=ids)
    explain(workdir, DISHES)
    write_record(workdir / "gallery.json", Gallery(thumbnails=dict.fromkeys(ids, PIXEL)))
    write_record(workdir / "probes.json", _probes(ids[0]))
    return report_page(read_run_records(workdir))


def _reproduction() -> str:
    """A reproduction with everything that one can have."""
    record = read_record(PUBLISHED / "reproduction.json", ReproductionRecord)
    first, *others = record.own
    own = [replace(first, status=first.status | {2: "diverged"}), *others]
    return reproduction_page(replace(record, own=own, depth=reproduction_record().depth))


def _probes(picture: str) -> Probes:
    record = probes_record()
    names = {"plain18": "plain34", "resnet18": "resnet34"}
    probes = {
        name: replace(
            probe,
            measurements=[
                replace(
                    each,
                    network=names[each.network],
                    values={picture if key == "000.png" else key: value for key, value in each.values.items()},
                )
                for each in probe.measurements
            ],
        )
        for name, probe in record.probes.items()
    }
    networks = {names[name]: network for name, network in record.networks.items()}
    return replace(record, networks=networks, probes=probes)


def _long_names(workdir: Path) -> str:
    """A report with long names, two candidates, leaks, and replicas that are missing."""
    networks = {"se_preact_plain34_gn": 0.5, "se_preact_resnet34_gn_project_all": 0.8, "resnet18": 0.7}
    ids = [f"a_folder/with_a_long_name_{image:020}.jpeg" for image in range(80)]
    config = {"image_dir": "/a/very/long/path" * 8}
    pending = [("resnet18", 3)]
    make_run(workdir, networks, classes=LONG, images=80, leaked=10, pending=pending, ids=ids, config=config)
    explain(workdir, LONG)
    return report_page(read_run_records(workdir))


def _audit() -> str:
    groups = [
        CopyGroup(ids=["one.png", "two.png"], contents=["a", "b"], labels=["bakso", "rendang"], weakest_link=0.91),
        CopyGroup(ids=["three.png", "four.png"], contents=["c", "c"], labels=["bakso"] * 2, weakest_link=None),
    ]
    record = DatasetRecord(
        name="folder:dishes",
        classes=dict.fromkeys(DISHES, 3),
        images=15,
        distinct_contents=14,
        distinct_pictures=13,
        pictures_of_class=dict.fromkeys(DISHES, 3),
        decoded=0,
        excluded=[Listed(id="broken.png", reason="unreadable", detail="cut short")],
        findings=[Listed(id="tiny.png", reason="tiny", detail="1 x 1 pixels")],
        expected_leak=ExpectedLeak(val_fraction=0.2, exact=0.1, pictures=0.2),
        given_split=None,
        conflicts=[["one.png", "two.png"]],
        groups=groups,
    )
    return audit_page(record, dict.fromkeys("abc", PIXEL), {"unreadable": "left out", "tiny": "kept"})
