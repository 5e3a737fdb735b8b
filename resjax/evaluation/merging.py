"""Several workdirs of the same data and recipe as one comparison: seeds, or networks, that were trained separately."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from resjax.errors import RecordError
from resjax.evaluation.comparison.comparing import Question, compare_networks
from resjax.evaluation.comparison.designs.depth import differences_by_depth
from resjax.evaluation.comparison.looks import Shown, planned_by
from resjax.evaluation.comparison.pairs import Pair, pairs_asked
from resjax.evaluation.comparison.statistics.planning import level_of_looks
from resjax.evaluation.comparison.summary import summarize_network
from resjax.evaluation.run_evaluation import evidence_of
from resjax.records import Depth, Looks, NetworkSummary, Origin, Result, Summary, Twins, trained_in
from resjax.records.kinds.base import OUTSIDE_RECIPE
from resjax.records.run_records import RunRecords


def merged(workdirs: Sequence[Path], records: Sequence[RunRecords], shown: Sequence[Looks] = ()) -> RunRecords:
    """One comparison of all replicas of several workdirs. Networks keep the order in which they first occur.

    It asks what the parts asked, at the strictest of their levels. The verdicts that the parts have shown count as
    earlier looks, unless all parts and the seeds together are of one plan (--seeds=auto).

    Args:
      shown: the looks of each workdir.

    Raises:
      RecordError: if data, recipe, numerics, a network or the question differ, or two workdirs have different results
        of one replica.
    """
    first, summaries = records[0], [each.summary for each in records]
    for workdir, other in zip(workdirs[1:], summaries[1:], strict=True):
        if differing := _differing(first.summary, other):
            raise RecordError(f"{workdir} and {workdirs[0]} are not of one recipe ({'; '.join(differing)})")
        if differing := _asked_differently(first.summary, other):
            raise RecordError(
                f"{workdir} and {workdirs[0]} were asked different questions ({'; '.join(differing)}): expected equal "
                "ones; compare judges a workdir again with other flags"
            )
    results: dict[str, dict[int, Result | None]] = {}
    folders: dict[str, dict[int, Path]] = {}
    networks: dict[str, NetworkSummary] = {}
    for workdir, each in zip(workdirs, records, strict=True):
        for name, by_seed in each.results().items():
            network = each.summary.architectures[name]
            if name not in networks or networks[name].relation is UNSET:
                networks[name] = network
            for seed, result in by_seed.items():
                before = results.setdefault(name, {}).get(seed)
                if before is None:
                    results[name][seed] = result
                    folders.setdefault(name, {})[seed] = each.folders[name][seed]
                elif result is not None and _untimed(before) != _untimed(result):
                    raise RecordError(f"{workdir}: seed {seed} of {name} has another result than in {workdirs[0]}")
    results = {name: {seed: by_seed[seed] for seed in sorted(by_seed)} for name, by_seed in results.items()}
    twins = _twins(networks)
    question = _question(summaries)
    planned = planned_together(summaries, results)
    problems = given_up(summaries)
    summary = msgspec.structs.replace(
        first.summary,
        architectures={
            name: summarize_network(
                *(by_seed, first.summary.dataset.classes, networks[name]),
                relation=networks[name].relation,
                problem=problems.get(name, UNSET),
            )
            for name, by_seed in results.items()
        },
        environments=trained_in(results),
        comparisons=compare_networks(
            *(results, _pairs(summaries, list(results), twins)),
            *(evidence_of(replace(first, folders=folders), results, question.measure), question),
            given_up=problems,
            shown=Shown(shown, planned),
        ),
        depth=_depth(summaries, networks, twins, results),
        merged=[_origin(each, of) for each, of in zip_longest(summaries, shown)],
    )
    thumbnails = {name: uri for each in records for name, uri in each.thumbnails.items()}
    return RunRecords(summary, folders, first.dataset, first.split, thumbnails)


def planned_together(
    summaries: Sequence[Summary], results: Mapping[str, Mapping[int, Result | None]]
) -> tuple[int, ...]:
    """The plan of looks (--seeds=auto) that all parts and their seeds together are of; empty if there is none."""
    plans = {planned_by(summary) for summary in summaries}
    seeds = sorted({seed for by_seed in results.values() for seed in by_seed})
    plan = plans.pop()
    return plan if not plans and len(seeds) in plan and seeds == [*range(len(seeds))] else ()


def _question(summaries: Sequence[Summary]) -> Question:
    measure, margin = (_asked(summaries[0])[flag] for flag in ("metric", "margin"))
    level = min(map(level_of, summaries))
    return Question(measure, None if margin is None else margin / 100, level)


def level_of(summary: Summary) -> float:
    """The level that the verdicts of a run are taken at."""
    planned = level_of_looks(len(planned_by(summary)) or 1)
    return min((each.level for each in summary.comparisons), default=planned)


def _asked(summary: Summary) -> dict[str, Any]:
    return {flag: summary.config.get(flag, default) for flag, default in (("metric", "accuracy"), ("margin", None))}


def _asked_differently(one: Summary, other: Summary) -> list[str]:
    first, second = _asked(one), _asked(other)
    return [f"--{flag}={first[flag]} and {second[flag]}" for flag in first if first[flag] != second[flag]]


def given_up(summaries: Sequence[Summary]) -> dict[str, str]:
    """Why the pending replicas of a network will not be trained, where no part still waits for them."""
    networks = [(name, network) for each in summaries for name, network in each.architectures.items()]
    waiting = {name for name, each in networks if each.problem is UNSET and "pending" in each.status.values()}
    return {name: each.problem for name, each in networks if each.problem is not UNSET and name not in waiting}


def _twins(networks: Mapping[str, NetworkSummary]) -> list[Twins]:
    """The twins among networks, also of different workdirs."""
    found = []
    for name, network in networks.items():
        relation = network.relation
        if relation is not UNSET and relation.plain_twin is not None and relation.plain_twin in networks:
            found.append(Twins(depth=relation.depth, baseline=relation.plain_twin, candidate=name))
    return found


def _pairs(summaries: Sequence[Summary], names: Sequence[str], twins: Sequence[Twins]) -> list[Pair]:
    """The comparisons that the parts asked for: of all networks if they agree, or else of the networks of each part."""
    pairs_of_twins = [(each.baseline, each.candidate) for each in twins]
    # Before there was a choice, every two networks were compared.
    rules = [summary.config.get("comparisons", "all") for summary in summaries]
    if len(set(rules)) == 1:
        return pairs_asked(rules[0], names, pairs_of_twins)
    found: dict[frozenset[str], Pair] = {}
    for rule, summary in zip(rules, summaries, strict=True):
        own = [pair for pair in pairs_of_twins if set(pair) <= summary.architectures.keys()]
        for pair in pairs_asked(rule, list(summary.architectures), own):
            found.setdefault(frozenset(pair), pair)
    return [*found.values()]


def _depth(
    summaries: Sequence[Summary],
    networks: Mapping[str, NetworkSummary],
    twins: Sequence[Twins],
    results: Mapping[str, Mapping[int, Result | None]],
) -> list[Depth] | None:
    """What the shortcut does at each depth of each family, over the depths of all parts."""
    families: dict[str, list[Twins]] = {}
    for each in twins:
        relation = networks[each.candidate].relation
        families.setdefault(relation.family if relation else "", []).append(each)
    # Older records name the twins of their own depths alone.
    for summary in summaries:
        for depth in summary.depth or []:
            if not any(each in depth.twins for each in twins):
                families.setdefault(str(depth.twins), depth.twins)
    found = [differences_by_depth(family, results) for family in families.values()]
    return [depth for depth in found if depth is not None] or None


def _origin(summary: Summary, shown: Looks | None) -> Origin:
    return Origin(
        config=summary.config,
        environment=summary.environment,
        looks=UNSET if shown is None else shown.looks,
        planned=list(planned_by(summary)),
        level=level_of(summary),
    )


def _untimed(result: Result) -> dict[str, object]:
    return {**msgspec.structs.asdict(result), "timing": None, "environments": None}


def _differing(one: Summary, other: Summary) -> list[str]:
    """A phrase for each difference of data, recipe or networks between two summaries."""
    flags = [flag for flag in one.config if flag in other.config and flag not in OUTSIDE_RECIPE]
    found = [
        f"--{flag}={one.config[flag]} and {other.config[flag]}"
        for flag in flags
        if one.config[flag] != other.config[flag]
    ]
    if one.recipe_version != other.recipe_version:
        found.append(f"training of version {one.recipe_version} and {other.recipe_version}")
    if one.dataset.fingerprint != other.dataset.fingerprint:
        found.append("different images, labels or sides")
    for name in [name for name in one.architectures if name in other.architectures]:
        first, second = one.architectures[name], other.architectures[name]
        if first.parameters != second.parameters:
            found.append(f"{name} of different sizes")
        if first.own != second.own:
            found.append(f"{name} made from different sources")
        if first.init_from != second.init_from:
            found.append(f"{name} started from different weights")
    return found
