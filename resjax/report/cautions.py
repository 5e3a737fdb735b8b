"""Cautions on a comparison's numbers: leaks, lossy data, unfinished replicas, and what does not follow from a run."""

from resjax.records import (
    NetworkSummary,
    Side,
    SplitSummary,
    Summary,
    SummaryDataset,
    Sweep,
    SweepDataset,
    numeric_differences,
)
from resjax.records.kinds.base import Config
from resjax.records.kinds.environment import NUMERIC
from resjax.report.words import SIDES, counted, known, mean_of

FEWEST_SEEDS = 6
"""With fewer no two-sided sign-flip test over seeds can reach p < 0.05: its smallest p is 2 / 2^n."""
LOSSY_COPIES = {"tfds:cifar10_jpeg": "CIFAR-10"}
"""Data sets that look like another one, and are lossy copies of its images."""
MOST_LISTED = 10
"""Unfinished replicas that are named; the rest is counted."""


def data_note(name: str) -> str:
    """A caution on data that looks like a well-known data set and is not; empty for others."""
    for copies, original in LOSSY_COPIES.items():
        if name == copies or name.startswith((f"{copies}:", f"{copies}@", f"{copies}/")):
            return f"{name}: lossy JPEG copies of {original}; an error rate on them is no error rate on {original}"
    return ""


def leak_warning(data: SummaryDataset | SweepDataset | SplitSummary) -> str:
    """A warning on a split that leaks or is faulty; empty for one that keeps copies together."""
    if isinstance(data, SplitSummary):
        label, is_faulty, sides = data.label, data.is_faulty, data.sides
    else:
        label, is_faulty, sides = data.split_label, data.split_is_faulty, data.splits
    leaked: dict[Side, int] = {side: count for side, count in data.leaked.items() if count}
    if not leaked and not is_faulty:
        return ""
    if not leaked:
        return f"WARNING: split {label}: no image leaks"
    counts = " and ".join(
        f"{count} of {sides[side]} {SIDES[side]} images ({100 * count / sides[side]:.0f} %)"
        for side, count in leaked.items()
    )
    return (
        f"WARNING: split {label}: {counts} are also on another side, themselves or as a copy; accuracies are too high"
    )


def warnings_of(dataset: SummaryDataset | SweepDataset) -> list[str]:
    """What is special about the data and wrong with the split; mostly nothing."""
    return [text for text in (data_note(dataset.name), leak_warning(dataset)) if text]


def unfinished(summary: Summary) -> list[str]:
    """A line for each network that has pending or diverged seeds."""
    found = []
    for name, network in summary.architectures.items():
        for status in ("pending", "diverged"):
            seeds = [str(seed) for seed, each in network.status.items() if each == status]
            if seeds:
                found.append(f"{name}: {counted(len(seeds), 'seed')} {status} ({', '.join(seeds)})")
        if problem := known(network.problem):
            found.append(problem)
    return found


def mixed_environments(summary: Summary | Sweep) -> str:
    """A caution on replicas whose numbers come from several environments; empty if they come from one."""
    groups = known(summary.environments) or []
    if len(groups) < 2:
        return ""
    pairs = ((groups[0].environment, other.environment) for other in groups[1:])
    names = {name for pair in pairs for name, _, _ in numeric_differences(*pair)}
    fields = [field for field, name in NUMERIC.items() if name in names]
    parts = []
    for group in groups:
        replicas = "; ".join(f"{name} {', '.join(map(str, seeds))}" for name, seeds in group.replicas.items())
        values = ", ".join(f"{NUMERIC[field]} {known(getattr(group.environment, field))}" for field in fields)
        parts.append(f"{values} (seeds of {replicas})")
    return (
        f"Replicas were trained in {len(groups)} environments: {' and '.join(parts)}. A difference between networks "
        "may come from there."
    )


def unplanned(summary: Summary) -> str:
    """A caution on seeds that were brought together otherwise than --seeds=auto of a part planned; else empty."""
    parts = known(summary.merged) or []
    plans = {tuple(known(part.planned) or ()) for part in parts}
    seeds = max((len(network.seeds) for network in summary.architectures.values()), default=0)
    planned = sorted(plans)[-1] if plans else ()
    if not planned or (len(plans) == 1 and seeds in planned):
        return ""
    levels = [level for part in parts if (level := known(part.level))]
    return (
        f"These {counted(seeds, 'seed')} were not planned: --seeds=auto of a merged run looks after "
        f"{', '.join(map(str, planned))} seeds. The level is the strictest of the parts, {min(levels, default=0.05):g}."
    )


def optimism(summary: Summary) -> str:
    """By how much the best epoch's accuracies are too high for having been chosen; empty where that is not known."""
    if not (found := _optimism(summary.architectures)):
        return ""
    return f"Best-epoch accuracies are optimistic by about {found}, because the epoch was chosen on the same images."


def limits(summary: Summary) -> list[str]:
    """Sentences on what does not follow from a run; each from its records, none that holds of every experiment."""
    dataset, networks = summary.dataset, summary.architectures
    found = []
    others = [
        f"{name} seed {seed} {status}"
        for name, network in networks.items()
        for seed, status in network.status.items()
        if status != "done"
    ]
    if others:
        more = f" and {len(others) - MOST_LISTED} more" if len(others) > MOST_LISTED else ""
        found.append(
            f"Not counted: {', '.join(others[:MOST_LISTED])}{more}. The mean over the remaining seeds may be too high."
        )
    found += filter(None, (mixed_environments(summary), unplanned(summary)))
    seeds = min((len(pair.seeds) for pair in summary.comparisons), default=0)
    if 0 < seeds < FEWEST_SEEDS:
        found.append(
            f"With {counted(seeds, 'seed')} a two-sided sign-flip test over seeds cannot give a p-value below "
            f"{2 / 2**seeds:.2g}. {FEWEST_SEEDS} seeds can give one below 0.05."
        )
    tested = any(known(network.test_accuracy) for network in networks.values())
    if not tested:
        by = _optimism(networks)
        found.append(
            f"Best-epoch accuracies are optimistic{f' by about {by}' if by else ''}, because the epoch was chosen on "
            f"the same {dataset.splits['val']:,} validation images. --test_fraction keeps a test set apart."
        )
    if choice := _choice_of_images(dataset, "test" if tested else "val"):
        found.append(choice)
    found.append("All seeds share one split. --folds=5 shows how the result varies between splits.")
    if dataset.near_copies is None:
        found.append("Only exact copies were looked for; near-copies may leak.")
    if leak_warning(dataset):
        found.append("The split leaks: accuracies say little about new images, and differences may be hidden.")
    found.append(
        f"All networks were trained with one recipe{_recipe(summary.config)}, tuned for none of them. Another recipe "
        "may rank them differently."
    )
    found.append(f"The result is about one set of images, {dataset.name}. Other images may give another one.")
    return found


def _optimism(networks: dict[str, NetworkSummary]) -> str:
    known_means = {name: mean_of(network.best_optimism) for name, network in networks.items()}
    # An estimate below 0 is chance: choosing the best epoch makes no accuracy too low.
    return ", ".join(
        f"{max(0.0, 100 * mean):.1f} points ({name})" for name, mean in known_means.items() if mean is not None
    )


def _choice_of_images(dataset: SummaryDataset, side: Side) -> str:
    """By how much another choice of images would move an accuracy; empty where it is not known which are copies."""
    independent = known(dataset.independent_images)
    images = dataset.splits[side]
    if independent is None or not images:
        return ""
    half = 100 * 1.96 * (0.25 / independent[side]) ** 0.5
    copies = f", which with their copies say as much as {independent[side]:,.0f}" if independent[side] < images else ""
    return (
        f"There are {images:,} {SIDES[side]} images{copies}. Another choice of images alone moves an accuracy of 50 % "
        f"by up to {half:.1f} points (95 % interval)."
    )


def _recipe(config: Config) -> str:
    phrases = {"epochs": "{} epochs", "optimizer": "{}", "learning_rate": "learning rate {}", "image_size": "{} px"}
    given = [phrase.format(config[flag]) for flag, phrase in phrases.items() if config.get(flag) is not None]
    return f" ({', '.join(given)})" if given else ""
