"""What a comparison left in its workdir, as one typed object; without jax."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from resjax.api.verdicts import ComparisonResult, require_question
from resjax.errors import BadInput, RecordError
from resjax.evaluation.judging import judged_again
from resjax.records import MetricsLine, Reported, Result, Status, Summary, write_text
from resjax.records.run_records import Predictions, RunRecords, read_run_records
from resjax.report.cautions import warnings_of
from resjax.report.comparison_text import comparison_text, verdicts
from resjax.report.paper_tables import epochs_csv, paper_latex, paper_markdown
from resjax.report.words import known, measure_asked
from resjax.run.workdir.looks import looks_in

SIDES: tuple[Reported, ...] = ("val", "test")
"""The sides of the split that predictions are kept of."""
OTHER_KINDS = {
    "splits.json": "a comparison on several splits",
    "sweep.json": "a sweep",
    "reproduction.json": "a reproduction",
}
MOST_NAMED = 5


@dataclass(frozen=True, repr=False, eq=False)
class Run:
    """A comparison as it stands in its workdir. `str()` is the answer, `to_csv` and its kin are for papers.

    The summary is read at once, everything else when it is asked for. Accuracies are fractions, losses in nats per
    image.

    >>> from pathlib import Path
    >>> import resjax
    >>> workdir = Path(resjax.__file__).parents[1] / "experiments/results/quickstart"
    >>> run = resjax.load_run(workdir)
    >>> isinstance(run, resjax.Run), run.networks, run.seeds, run.pending
    (True, ('plain34', 'resnet34'), (0, 1, 2, 3, 4, 5), [])
    >>> run.verdicts[0].verdict, len(run.metrics("resnet34", seed=3))
    ('candidate better', 8)
    """

    workdir: Path
    records: RunRecords
    """Everything in the workdir by the structures in which it is written (`resjax.records`)."""

    def __str__(self) -> str:
        """What is unfinished, the verdict on each comparison in a sentence, and warnings about the split.

        A run without a comparison gives the table of its networks.
        """
        said = verdicts(self.summary)
        answer = [*said, *warnings_of(self.summary.dataset)] if said else [comparison_text(self.summary).strip()]
        return "\n".join([*self._unfinished(), *answer])

    def __repr__(self) -> str:
        pending = f", {len(self.pending)} replicas pending" if self.pending else ""
        return f"Run({str(self.workdir)!r}: {', '.join(self.networks)}; {len(self.seeds)} seeds{pending})"

    @property
    def summary(self) -> Summary:
        """The record of `summary.json`: data, networks with their accuracies over seeds, comparisons, findings."""
        return self.records.summary

    @property
    def networks(self) -> tuple[str, ...]:
        """The names of the networks, in the order of the comparison."""
        return tuple(self.summary.architectures)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the comparison; not all of them need to be finished."""
        return tuple(sorted({seed for network in self.summary.architectures.values() for seed in network.seeds}))

    @property
    def status(self) -> dict[str, dict[int, Status]]:
        """`done`, `diverged` or `pending`, by network and seed."""
        return {name: network.status for name, network in self.summary.architectures.items()}

    @property
    def pending(self) -> list[tuple[str, int]]:
        """Network and seed of each replica that has not ended; none in a finished comparison."""
        return [
            (name, seed) for name, seeds in self.status.items() for seed, each in seeds.items() if each == "pending"
        ]

    @cached_property
    def results(self) -> dict[str, dict[int, Result | None]]:
        """The record of `result.json` by network and seed, None for a pending replica.

        Raises:
          BadInput: names the record that cannot be read.
        """
        with _records_of_user():
            return self.records.results()

    def metrics(self, network: str, seed: int) -> list[MetricsLine]:
        """The record of each epoch of a replica, so far; none of one that has not begun.

        Raises:
          BadInput: for another network or seed, and for a damaged record.
        """
        self._require_replica(network, seed)
        with _records_of_user():
            return self.records.history(network, seed)

    def predictions(self, network: str, seed: int, side: Reported | None = None) -> Predictions:
        """What a finished replica answers at its best epoch: `ids`, `labels` (image,) and `logits` (image, class).

        The images of a side have the same order for all networks and seeds.

        Args:
          side: `val` or `test`; by default the one that accuracies are reported on.

        Raises:
          BadInput: for a replica that is not finished, for a side without images, and where predictions were not kept
            or are damaged.
        """
        self._require_replica(network, seed)
        side = self._side(side)
        if (status := self.status[network][seed]) != "done":
            raise BadInput(f"{network}, seed {seed}: {status}, so there are no predictions")
        with _records_of_user():
            found = self.records.predictions(network, seed, side)
        if found is None:
            folder = self.records.folders[network][seed]
            raise BadInput(f"{network}, seed {seed}: no predictions.npz in {folder}; it was not kept")
        return found

    def groups(self, side: Reported | None = None) -> list[str]:
        """The duplicate group of each image of `predictions`, (image,): equal names are copies of one picture.

        Raises:
          BadInput: for a side without images, and where `split.json` was not kept.
        """
        side = self._side(side)
        if self.records.split is None:
            raise BadInput(f"{self.workdir}: no split.json there, so nothing is known of copies")
        return [image.group for image in self.records.split.images if image.side == side]

    @property
    def figures(self) -> dict[str, Path]:
        """The PNG of each figure in the workdir, by name, such as `answer`; the SVG lies beside it."""
        return {path.stem: path for path in sorted((self.workdir / "figures").glob("*.png"))}

    @property
    def verdicts(self) -> list[ComparisonResult]:
        """The verdicts as the run recorded them, one for each comparison that has a finished seed in both networks."""
        return [ComparisonResult(each) for each in self.summary.comparisons if each.mean is not None]

    def judge(self, metric: str | None = None, margin: float | None = None) -> list[ComparisonResult]:
        """The verdicts by another metric or margin, from the same replicas, by the rule of `resjax.verdict`.

        All comparisons of the run are judged together at its level. The verdicts that the run has shown are earlier
        looks: what is asked afterwards says that it is not confirmatory. Nothing is written.

        Args:
          metric: `accuracy`, `balanced_accuracy`, `macro_f1` or `log_loss`; by default the run's.
          margin: differences closer to zero than this are equivalent, in the unit of the metric, so 0.015 is 1.5
            points; by default the run's if the metric is the run's.

        Raises:
          BadInput: for an unknown metric, a margin outside its range, and records that cannot be read.
        """
        config = self.summary.config
        own = measure_asked(config) or "accuracy"
        metric = metric or own
        if margin is None and metric == own and config.get("margin") is not None:
            margin = config["margin"] / 100
        require_question(metric, margin)
        with _records_of_user():
            found = judged_again(self.records, looks_in(self.workdir), metric, margin)
        return [ComparisonResult(each) for each in found if each.mean is not None]

    def to_csv(self, path: Path | str | None = None) -> str:
        """A row for each network, seed and epoch, as in `results.csv`; written to `path` too if that is given.

        The columns are `network`, `seed`, `status` and the keys of `metrics.jsonl`.

        Raises:
          BadInput: for a damaged record, and a path that cannot be written.
        """
        return self._written(lambda: epochs_csv(self.records), path)

    def to_latex(self, path: Path | str | None = None) -> str:
        """The table of the comparison for LaTeX with the package booktabs, as in `results.tex`.

        It has parameters, accuracy as mean ± standard deviation over seeds, and the difference with interval and p.

        Raises:
          BadInput: for a path that cannot be written.
        """
        return self._written(lambda: paper_latex(self.summary), path)

    def to_markdown(self, path: Path | str | None = None) -> str:
        """The same table in Markdown, with the verdicts below, as in `results.md`.

        Raises:
          BadInput: for a path that cannot be written.
        """
        return self._written(lambda: paper_markdown(self.summary), path)

    def _unfinished(self) -> list[str]:
        """A line on the replicas that are pending, and one for each network that was given up; none if all ended."""
        if not self.pending:
            return []
        seeds = {name: [str(seed) for other, seed in self.pending if other == name] for name, _ in self.pending}
        listed = "; ".join(f"{name}: {', '.join(each)}" for name, each in seeds.items())
        total = sum(len(each) for each in self.status.values())
        problems = [problem for each in self.summary.architectures.values() if (problem := known(each.problem))]
        return [
            f"Unfinished: {len(self.pending)} of {total} replicas are pending (seeds of {listed}); the command that "
            "began them goes on.",
            *problems,
        ]

    def _written(self, make: Callable[[], str], path: Path | str | None) -> str:
        with _records_of_user():
            text = make()
        if path is not None:
            try:
                write_text(path, text)
            except OSError as error:
                raise BadInput(f"{path}: {error.strerror}, expected a file that can be written") from error
        return text

    def _require_replica(self, network: str, seed: int) -> None:
        if network not in self.networks:
            raise BadInput(f"network={network!r}: expected one of {', '.join(self.networks)}")
        if seed not in self.status[network]:
            raise BadInput(f"seed={seed!r}: expected one of {', '.join(map(str, self.status[network]))}")

    def _side(self, side: Reported | None) -> Reported:
        sizes = self.summary.dataset.splits
        there: list[Reported] = [each for each in SIDES if sizes[each]]
        if side is None:
            return there[-1]
        if side not in there:
            raise BadInput(f"side={side!r}: expected {' or '.join(there)}")
        return side


def load_run(workdir: Path | str) -> Run:
    """Reads the comparison in a workdir, finished or not, without jax.

    >>> from pathlib import Path
    >>> import resjax
    >>> run = resjax.load_run(Path(resjax.__file__).parents[1] / "experiments/results/quickstart")
    >>> print(run)  # doctest: +ELLIPSIS
    resnet34 is better than plain34: resnet34 minus plain34 is ...

    Raises:
      BadInput: if there is no such folder, if it holds no comparison, if it holds one on several splits or a sweep
        (which folders to load instead is said), and if a record is damaged.
    """
    workdir = Path(workdir)
    if not workdir.is_dir():
        raise BadInput(f"{workdir}: no such folder; expected the workdir of a comparison")
    with _records_of_user():
        if not (workdir / "summary.json").exists():
            raise BadInput(_why_no_run(workdir))
        return Run(workdir, read_run_records(workdir))


def _why_no_run(workdir: Path) -> str:
    """What a folder without `summary.json` is, and what to load instead."""
    kind = next((words for name, words in OTHER_KINDS.items() if (workdir / name).exists()), None)
    found = sorted(path.parent for depth in ("*", "*/*") for path in workdir.glob(f"{depth}/summary.json"))
    if kind and found:
        more = ", ..." if len(found) > MOST_NAMED else ""
        return f"{workdir}: {kind}; load one of its comparisons: {', '.join(map(str, found[:MOST_NAMED]))}{more}"
    return f"{workdir}: no summary.json there; expected the workdir of a comparison"


@contextmanager
def _records_of_user() -> Iterator[None]:
    """Records that cannot be read are the user's input here."""
    try:
        yield
    except RecordError as error:
        raise BadInput(str(error)) from error
