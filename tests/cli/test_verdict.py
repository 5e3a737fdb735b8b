"""`resjax verdict a.csv b.csv`: every form of table gives the verdict of its arrays, and a slip one line."""

import json

import numpy as np
import pytest

import resjax
from resjax.cli.verdict import COMMAND
from tests.commands import require_bad_input, run_in_process

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 40)
ANSWERS = {
    "plain": np.where(RNG.random((6, 40)) < 0.55, LABELS, 1 - LABELS),
    "residual": np.where(RNG.random((6, 40)) < 0.95, LABELS, 1 - LABELS),
}
CLASSES = ("cat", "dog")


def write(folder, header, rows_of):
    paths = []
    for name, answers in ANSWERS.items():
        rows = [header, *(rows_of(seed, image, answers[seed, image]) for seed in range(6) for image in range(40))]
        paths.append(folder / f"{name}.csv")
        paths[-1].write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return paths


def said_of(paths, *flags):
    status, out, err = run_in_process(COMMAND, *paths, *flags)
    assert (status, err) == (0, "")
    return out.strip()


def test_answers_and_correctness_say_the_same_as_arrays(tmp_path):
    wanted = resjax.verdict(*ANSWERS.values(), labels=LABELS, groups=np.arange(40) // 2, names=tuple(ANSWERS))
    answers = write(
        tmp_path,
        ("seed", "image", "label", "prediction", "group"),
        lambda seed, image, answer: (seed, f"{image:02}", CLASSES[LABELS[image]], CLASSES[answer], image // 2),
    )
    figure, numbers = tmp_path / "verdict.png", tmp_path / "verdict.json"
    assert said_of(answers, f"--figure={figure}", f"--json={numbers}") == str(wanted)
    assert figure.exists() and numbers.read_text() == json.dumps([wanted.to_dict()], indent=2) + "\n"
    correct = write(
        tmp_path,
        ("image", "seed", "correct", "group"),
        lambda seed, image, answer: (f"{image:02}", seed, int(answer == LABELS[image]), image // 2),
    )
    assert said_of(correct) == str(wanted)


def test_logits_give_the_log_loss(tmp_path):
    paths = write(
        tmp_path,
        ("seed", "image", "label", "logit_cat", "logit_dog"),
        lambda seed, image, answer: (seed, f"{image:02}", CLASSES[LABELS[image]], int(not answer), int(answer)),
    )
    logits = [np.eye(2)[answers] for answers in ANSWERS.values()]
    wanted = resjax.verdict(*logits, labels=LABELS, metric="log_loss", names=tuple(ANSWERS))
    assert said_of(paths, "--metric=log_loss") == str(wanted)


def test_scores_of_seeds_in_semicolons_and_any_order(tmp_path):
    for name, score in (("plain", 0.5), ("residual", 0.7)):
        rows = [f"{seed};{score + 0.01 * seed * (name == 'plain')}" for seed in (5, 3, 1, 0, 2, 4)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["Seed;Score", *rows]))
    said = said_of([tmp_path / "plain.csv", tmp_path / "residual.csv"], "--margin=1")
    assert said.startswith("residual is better than plain") and "over seeds alone" in said


@pytest.mark.parametrize(
    ("plain", "residual", "named"),
    [
        ("seed,score\n0,0.5\n1,0.6\n", "seed,score\n0,0.5\n", "residual.csv"),
        ("seed,score\n0,0.5\n0,0.6\n", "seed,score\n0,0.5\n1,0.4\n", "plain.csv"),
        ("seed,score\n0,high\n", "seed,score\n0,0.5\n", "high"),
        ("seed,score\nzero,0.1\n", "seed,score\n0,0.5\n", "zero"),
        ("score\n0.1\n", "score\n0.5\n", "seed"),
        ("seed,accuracy\n0,0.1\n", "seed,accuracy\n0,0.1\n", "score"),
        ("seed,score\n", "seed,score\n", "no rows"),
        ("", "", "plain.csv"),
        ("seed,image,correct\n0,a,2\n", "seed,image,correct\n0,a,1\n", "correct"),
        ("seed,image,correct\n0,a,1\n", "seed,image,correct\n0,b,1\n", "residual.csv"),
        ("seed,image,label,prediction\n0,a,x,x\n", "seed,image,label,prediction\n0,a,y,x\n", "label"),
        ("seed,image,label,logit_x\n0,a,y,1\n", "seed,image,label,logit_x\n0,a,y,1\n", "logit_y"),
        ("seed,image\n0,a\n", "seed,image\n0,a\n", "correct"),
        ("seed,score\n0,0.5,7\n", "seed,score\n0,0.5\n", "row 2"),
    ],
)
def test_tables_that_cannot_be_read_are_refused_in_a_line(plain, residual, named, tmp_path):
    paths = tmp_path / "plain.csv", tmp_path / "residual.csv"
    for path, text in zip(paths, (plain, residual), strict=True):
        path.write_text(text)
    require_bad_input(COMMAND, *paths, says=(named,))


@pytest.mark.parametrize(
    ("words", "named"),
    [(["a.csv"], "two csv files"), (["a.csv", "b.csv"], "a.csv"), (["a.csv", "b.csv", "--margin=-1"], "--margin=-1")],
)
def test_slips_on_the_command_line(words, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    require_bad_input(COMMAND, *words, says=(named,))
