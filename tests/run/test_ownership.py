"""A folder with somebody's files: what is ours may be written anew, and nothing else is touched."""

import json

import pytest

from resjax.cli.compare import COMMAND as COMPARE
from resjax.cli.report import COMMAND as REPORT
from resjax.errors import BadInput
from resjax.records import NUMERICS_VERSION, RecipeData, RecipeRecord, write_record
from resjax.run.reporting import page_of
from resjax.run.workdir.lock import only_writer
from resjax.run.workdir.ownership import COMPARISON_FILES, require_own
from tests.commands import require_bad_input, run_in_process
from tests.made_run import make_run

RECIPE = RecipeRecord(recipe_version=NUMERICS_VERSION, config={}, dataset=RecipeData(fingerprint="f"), architectures={})


def contents(folder):
    return {path.relative_to(folder): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", COMPARISON_FILES)
@pytest.mark.parametrize("text", ["mine", json.dumps({"mine": 1}), json.dumps([1])])
def test_a_folder_with_somebodys_file_of_a_name_of_ours_is_refused(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=f"--workdir=.*{name}"):
        require_own(tmp_path)
    assert (tmp_path / name).read_text() == text


def test_new_folders_folders_with_other_files_and_workdirs_with_a_damaged_record_are_accepted(tmp_path):
    require_own(tmp_path / "new")
    (tmp_path / "thesis.tex").write_text("mine")
    require_own(tmp_path)
    write_record(tmp_path / "recipe.json", RECIPE)
    (tmp_path / "summary.json").write_text("{")
    require_own(tmp_path)


def test_compare_in_a_folder_with_somebodys_files_loses_none_of_them(tmp_path, monkeypatch):
    for name in (".x.123.tmp", ".lock", "notes.txt", "src/.y.5.tmp", "summary.json", "figures/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"mine: {name}")
    before = contents(tmp_path)
    monkeypatch.chdir(tmp_path)
    require_bad_input(COMPARE, "--workdir=.", "--dataset=synthetic:60", says=("--workdir", "summary.json"))
    assert contents(tmp_path) == before


def test_a_report_is_made_while_another_process_trains_in_the_workdir(tmp_path):
    make_run(tmp_path / "run", {"plain34": 0.5, "resnet34": 0.6})
    with only_writer(tmp_path / "run"):
        status, out, _ = run_in_process(REPORT, f"--workdir={tmp_path / 'run'}")
    assert status == 0 and (tmp_path / "run" / "report.html").exists()
    assert not [*(tmp_path / "run").rglob(".*.tmp")]


def test_a_page_of_several_workdirs_waits_for_itself_in_none(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with page_of(tmp_path / "a" / "page.html", [tmp_path / "a", tmp_path / "b", tmp_path / "a"]):
        pass
    with page_of(tmp_path / "c" / "page.html", [tmp_path / "missing"]):
        pass
