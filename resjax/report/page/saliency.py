"""Grad-CAM of the pictures of a report: maps over the picture, with its class and how sure each network is of it."""

from typing import NamedTuple

import numpy as np

from resjax.records import Done
from resjax.records.run_records import RunRecords
from resjax.report.page.gallery import probability_of_label


class HeatMap(NamedTuple):
    """What speaks for the class of a picture, by one network, as the mean over seeds."""

    rows: list[list[float]]
    """From 0 to 1."""
    probability: float | None
    """Of the picture's class at the best epoch; None without predictions."""


class HeatMaps(NamedTuple):
    """A picture with its class, empty where no record knows it, and a map for each network."""

    label: str
    maps: dict[str, HeatMap]


def heat_maps(records: RunRecords) -> dict[str, HeatMaps]:
    """The maps of the pictures that have a thumbnail, by id."""
    saliency = records.probes.probes.get("saliency") if records.probes else None
    results = records.results()
    labels = {image.id: image.label for image in records.split.images} if records.split else {}
    maps: dict[str, dict[str, list[np.ndarray]]] = {}
    probabilities: dict[tuple[str, str], list[float]] = {}
    for each in saliency.measurements if saliency else []:
        size = [int(side) for side in np.array(each.values["size"], float)]
        for name, values in each.values.items():
            if name in records.thumbnails:
                of_network = maps.setdefault(name, {}).setdefault(each.network, [])
                of_network.append(np.reshape(np.array(values, float), size))
        result = results.get(each.network, {}).get(each.seed)
        found = records.predictions(each.network, each.seed, result.evaluated_on) if isinstance(result, Done) else None
        if found is None:
            continue
        shares = probability_of_label(found.logits.astype(np.float64), found.labels)
        for name, label, share in zip(found.ids, found.labels, shares, strict=True):
            labels[name] = records.summary.dataset.classes[label]
            probabilities.setdefault((name, each.network), []).append(float(share))

    def heat_map(name: str, network: str) -> HeatMap:
        shares = probabilities.get((name, network))
        rows = np.mean(maps[name][network], axis=0).tolist()
        return HeatMap(rows, float(np.mean(shares)) if shares else None)

    return {
        name: HeatMaps(labels.get(name, ""), {network: heat_map(name, network) for network in by_network})
        for name, by_network in maps.items()
    }
