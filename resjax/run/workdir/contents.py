"""The workdir of a comparison on one split: the results in it, and the records that are written into it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

import jax
import numpy as np
from msgspec import UNSET

import resjax
from resjax.data.dataset import Dataset
from resjax.data.splits import FAULTS, Split, find_leaks
from resjax.errors import BadInput
from resjax.evaluation.comparison.comparing import Evidence, compare_networks
from resjax.evaluation.comparison.designs.depth import differences_by_depth
from resjax.evaluation.comparison.looks import Shown, looks_of_summary
from resjax.evaluation.comparison.measures import Contributions, require_classes
from resjax.evaluation.comparison.pairs import pairs_asked
from resjax.evaluation.comparison.statistics.planning import level_of_looks
from resjax.evaluation.comparison.summary import summarize_network
from resjax.evaluation.run_evaluation import contributions
from resjax.functional import Functional, require_matched
from resjax.models.own_network import architectures_among
from resjax.models.twins import families_of_twins, family_of, plain_twin_name, twins_among
from resjax.records import (
    NUMERICS_VERSION,
    Done,
    Environment,
    Looks,
    NetworkCosts,
    RecipeData,
    RecipeNetwork,
    RecipeRecord,
    Relation,
    Reported,
    Result,
    Summary,
    SummaryDataset,
    read_record,
    trained_in,
    write_record,
    write_text,
)
from resjax.run.settings import SIZES, Settings
from resjax.run.setup.costs import ledger
from resjax.run.setup.dataset import (
    SIDES,
    class_images,
    data_fingerprint,
    dataset_record,
    independent_images,
    near_copies_known,
    split_record,
    value_ranges_record,
)
from resjax.run.setup.device import describe_environment, usable_dtype
from resjax.run.setup.initial_weights import read_initial_weights
from resjax.run.setup.networks import own_source, require_trainable
from resjax.run.timing import phase
from resjax.run.workdir.environments import require_same_environment
from resjax.run.workdir.lock import make_workdir, one_at_a_time
from resjax.run.workdir.looks import add_looks, looks_in
from resjax.run.workdir.ownership import require_own
from resjax.run.workdir.recipe_check import changes, data_changes, recipe_before
from resjax.run.workdir.sound_records import finished_result, quarantine_damaged, read_or_quarantine
from resjax.training.optimizer import require_optimizer

ledger_of = lru_cache(maxsize=512)(ledger)
"""The ledger of a network at an image size, computed once for all runs."""


class ComparisonWorkdir:
    """A comparison with its data: which replicas are finished, and the files of its workdir.

    Args:
      settings: all that the comparison is told.
      dataset: all images.
      split: of these images.
    """

    def __init__(self, settings: Settings, dataset: Dataset, split: Split):
        self.settings, self.dataset, self.split = settings, dataset, split
        self.workdir = settings.workdir
        self.looks: tuple[int, ...] = settings.looks or (len(settings.seeds),)
        """The numbers of seeds at which the comparison is judged and may end; the last one is all seeds."""
        self.seeds = settings.seeds[: self.looks[0]]
        """The seeds up to the next look."""
        self.shown = Looks(complete=True, looks=[])
        """The verdicts that were shown in the workdir."""
        self.problems: dict[str, str] = {}
        """Why the replicas of a network were not all finished; the other networks are."""
        self.leaks = find_leaks(split, dataset.groups)
        self.dtype, note = usable_dtype(settings.dtype, jax.devices()[0])
        if note:
            print(note, flush=True)
        self.functionals = {
            network.name: Functional(network, len(dataset.classes), self.dtype) for network in settings.architectures
        }
        for functional in self.functionals.values():
            require_trainable(functional, settings.image_size, settings.seeds, settings.recipe.augmentations)
        require_optimizer(settings.recipe, self.functionals.values())
        require_matched(settings.recipe.freeze, self.functionals.values())
        self.weights = read_initial_weights(settings.init_from, self.functionals)
        self.ledgers = {
            name: ledger_of(functional, settings.image_size) for name, functional in self.functionals.items()
        }
        self.costs = {
            name: NetworkCosts(
                **each._asdict(),
                init_from=self.weights[name].record() if name in self.weights else None,
                own=own_source(self.functionals[name].network, {size: settings.flags.get(size) for size in SIZES}),
            )
            for name, each in self.ledgers.items()
        }
        self.relations = {
            each.name: Relation(
                depth=each.depth,
                family=family_of(each),
                plain_twin=plain_twin_name(each, settings.architectures),
            )
            for each in architectures_among(settings.architectures)
        }
        self.pairs = pairs_asked(
            settings.comparisons,
            list(self.functionals),
            [(twins.baseline, twins.candidate) for twins in twins_among(settings.architectures)],
        )
        """The comparisons (baseline, candidate) that are judged."""
        self.question = replace(settings.question, level=level_of_looks(len(self.looks)))
        reported = split.sides[self.reported_side]
        require_classes(self.question.measure, dataset.classes, dataset.labels[reported], self.reported_side)
        self._contributions: dict[Path, Contributions] = {}

    def folder(self, name: str, seed: int) -> Path:
        """The folder of one replica."""
        return self.workdir / "runs" / name / f"seed{seed}"

    def results(self) -> dict[str, dict[int, Result | None]]:
        """The result of every replica up to the next look, None for a pending replica."""
        return {
            name: {seed: finished_result(self.folder(name, seed)) for seed in self.seeds} for name in self.functionals
        }

    @cached_property
    def environment(self) -> Environment:
        """The environment of this process, for the replicas that it trains."""
        return describe_environment(self.dtype)

    @property
    def reported_side(self) -> Reported:
        """The side that accuracies are reported on."""
        return "test" if len(self.split.sides["test"]) else "val"

    def evidence(self) -> Evidence:
        """What each image of the reported side adds to the measure of each finished replica, if that was kept."""
        found: dict[str, dict[int, Contributions]] = {}
        for name, results in self.results().items():
            found[name] = {}
            for seed, result in results.items():
                folder = self.folder(name, seed)
                if isinstance(result, Done) and folder not in self._contributions:
                    of_images = contributions(folder, self.reported_side, self.question.measure)
                    if of_images is not None:
                        self._contributions[folder] = of_images
                if folder in self._contributions:
                    found[name][seed] = self._contributions[folder]
        return Evidence(found, self.dataset.groups[self.split.sides[self.reported_side]])

    def require_same_recipe(self) -> None:
        """Refuses a workdir whose replicas were trained on other data or with another recipe.

        Damaged records of its replicas are quarantined before, so nobody else may be writing them.

        Raises:
          BadInput: names what differs.
        """
        if (self.workdir / "splits.json").exists():
            raise BadInput(f"--workdir={self.workdir} holds a comparison on several splits: name a new folder")
        require_own(self.workdir)
        with one_at_a_time(self.workdir):
            for folder in sorted((self.workdir / "runs").glob("*/seed*")):
                quarantine_damaged(folder)
            self.require_recipe_of_summary()
            if any(result is None for by_seed in self.results().values() for result in by_seed.values()):
                self.require_same_environment()

    def require_same_environment(self) -> None:
        """Refuses to train beside replicas whose numbers come from another environment, unless that is allowed.

        Raises:
          BadInput: names a replica and what differs.
        """
        folders = (self.workdir / "runs").glob("*/seed*")
        require_same_environment(folders, self.environment, mixed=self.settings.allow_mixed_environment)

    def require_recipe_of_summary(self) -> None:
        """As `require_same_recipe`, by the records of the workdir alone: replicas are not looked at."""
        require_own(self.workdir)
        read_or_quarantine(self.workdir / "looks.json", Looks)
        before = recipe_before(self.workdir)
        self.shown = looks_in(self.workdir)
        if before is None:
            return
        own = {name: each.own for name, each in self.costs.items() if each.own is not UNSET}
        changed = changes(before, self.settings, self.weights, own)
        if before.dataset.fingerprint != self.fingerprint():
            changed.append(data_changes(self.workdir, split_record(self.dataset, self.split)))
        if changed:
            raise BadInput(
                f"--workdir={self.workdir} holds a run of another recipe ({'; '.join(changed)}): name a new folder"
            )

    def fingerprint(self) -> str:
        """A hash of all that a replica sees of the data."""
        return data_fingerprint(self.dataset, self.split)

    @phase("writing")
    def write_preamble(self) -> None:
        """Writes what is known before training: data, split, flags, recipe, and the summary of what is finished."""
        make_workdir(self.workdir)
        record = dataset_record(self.dataset, val_fraction=self.settings.split.val_fraction)
        write_record(self.workdir / "dataset.json", record)
        write_record(self.workdir / "looks.json", self.shown)
        write_record(self.workdir / "split.json", split_record(self.dataset, self.split))
        write_flags(self.settings)
        summary = self.write_summary()
        # The summary changes with every replica; this part of it is safe from damage while it is written.
        recipe = RecipeRecord(
            recipe_version=summary.recipe_version,
            config=summary.config,
            dataset=RecipeData(fingerprint=summary.dataset.fingerprint),
            architectures={
                name: RecipeNetwork(init_from=each.init_from, own=each.own) for name, each in self.costs.items()
            },
        )
        write_record(self.workdir / "recipe.json", recipe)

    @phase("writing")
    def write_summary(self) -> Summary:
        """Writes `summary.json` from the results that are finished, and returns it."""
        results = self.results()
        families = families_of_twins(self.settings.architectures)
        environments = trained_in(results)
        summary = Summary(
            recipe_version=NUMERICS_VERSION,
            config=self.settings.flags,
            environment=environments[0].environment if environments else self._environment_before(results),
            environments=environments,
            dataset=self._dataset_part(),
            architectures={
                name: summarize_network(
                    *(by_seed, self.dataset.classes, self.costs[name]),
                    relation=self.relations.get(name, UNSET),
                    problem=self.problems.get(name, UNSET),
                )
                for name, by_seed in results.items()
            },
            comparisons=compare_networks(
                *(results, self.pairs, self.evidence(), self.question),
                given_up=self.problems,
                shown=Shown([self.shown], self.settings.looks),
            ),
            depth=[depth for twins in families if (depth := differences_by_depth(twins, results))] or None,
        )
        write_record(self.workdir / "summary.json", summary)
        return summary

    def remember_look(self, summary: Summary) -> None:
        """Writes that the verdicts of this summary, whose replicas have ended, were shown."""
        self.shown = add_looks(self.workdir, looks_of_summary(summary, self.settings.looks, resjax.__version__))

    def _environment_before(self, results: Mapping[str, Mapping[int, Result | None]]) -> Environment:
        """That of replicas that do not say where they were trained, as the summary says; otherwise that of now."""
        path = self.workdir / "summary.json"
        if any(result for by_seed in results.values() for result in by_seed.values()) and path.exists():
            return read_record(path, Summary).environment
        return self.environment

    def _dataset_part(self) -> SummaryDataset:
        dataset, split = self.dataset, self.split
        contents = len(set(dataset.contents))
        known = near_copies_known(self.settings.source, dataset)
        return SummaryDataset(
            name=dataset.name,
            fingerprint=self.fingerprint(),
            classes=list(dataset.classes),
            images=len(dataset.ids),
            split=split.method,
            split_label=split.label,
            split_is_faulty=split.method in FAULTS,
            splits={side: len(split.sides[side]) for side in SIDES},
            class_images=class_images(dataset, split),
            independent_images=independent_images(dataset, split),
            exact_copies=len(dataset.ids) - contents,
            near_copies=contents - len(np.unique(dataset.groups)) if known else None,
            leaked_images=sum(len(images) for images in self.leaks.values()),
            leaked={"val": len(self.leaks["val"]), "test": len(self.leaks["test"])},
            unreadable=[each.id for each in dataset.exclusions if each.reason == "unreadable"],
            left_out=len(dataset.exclusions),
            value_ranges=value_ranges_record(dataset.ranges),
        )


def write_flags(settings: Settings) -> None:
    """Writes the flags to `config.flags`, which is a flagfile."""
    flags = [f"--{name}={value}" for name, value in settings.flags.items() if value is not None and name != "python"]
    write_text(settings.workdir / "config.flags", "\n".join(flags) + "\n")
