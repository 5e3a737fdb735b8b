"""The search for near-duplicates believes only links that stand out from how alike the other pictures of a set are."""

import numpy as np
import pytest
from PIL import Image

from experiments.studies.near_duplicates import CHANGES, thumbnails
from experiments.studies.picture_kinds import printed_digits, scanned_digits, sketches
from resjax.data.duplicates.background import LEAST_PICTURES, Chance, out_of_reach, standing_out
from resjax.data.duplicates.groups import without_swallowed_classes
from resjax.data.duplicates.near_duplicates import connected, near_duplicate_groups
from resjax.data.synthetic import source as synthetic


def groups_of(images: list[Image.Image]) -> np.ndarray:
    return near_duplicate_groups(thumbnails(images), [f"{index:04}" for index in range(len(images))])


@pytest.mark.parametrize(("kind", "count", "least"), [(scanned_digits, 150, 150), (printed_digits, 120, 118)])
def test_digits_are_distinct_pictures(kind, count, least):
    # Fixed thresholds alone count 66 and 95.
    assert len(np.unique(groups_of(kind(count)))) >= least


def test_copies_of_line_drawings_are_found_and_no_two_drawings_are_copies():
    drawings = sketches(50)
    rng = np.random.default_rng(0)
    changes = ["JPEG quality 75", "mirrored", "scaled by 0.5"]
    copies = [CHANGES[changes[index % 3]](image, rng) for index, image in enumerate(drawings[:12])]
    assert groups_of([*drawings, *copies]).tolist() == [*range(50), *range(12)]


def test_the_step_that_chance_makes_is_as_long_as_said():
    # Neighbours with an exponential tail: at most `errors` pictures of the set show a step by chance.
    rng = np.random.default_rng(0)
    chance = Chance(1000, 1000, 0.5)
    none = np.zeros(0, np.float32)
    alarms = 0
    for _ in range(1000):
        alike = np.tanh(rng.exponential(1 / 10, 999)).astype(np.float32)
        nearest = np.argmax(alike)
        alarms += standing_out(alike[[nearest]], np.delete(alike, nearest), chance).any()
        assert not len(standing_out(none, alike, chance))
    assert alarms <= 10


@pytest.mark.parametrize("scale", [5.0, 20.0, 60.0])
def test_a_copy_stands_out_by_the_spread_of_its_neighbours(scale):
    rng = np.random.default_rng(1)
    nearness = rng.exponential(1 / scale, 500)
    far = np.array([np.tanh(nearness.max() + 16 / scale)], np.float32)
    near = np.array([np.tanh(nearness.max() + 4 / scale)], np.float32)
    others, chance = np.tanh(nearness).astype(np.float32), Chance(501, 501, 0.05)
    assert standing_out(far, others, chance).tolist() == [True]
    assert standing_out(near, others, chance).tolist() == [False]


def test_a_fixed_threshold_holds_where_the_other_pictures_are_unlike_alone():
    rng = np.random.default_rng(2)
    photographs, digits = (np.tanh(rng.exponential(1 / scale, 499)).astype(np.float32) for scale in (40, 7))
    assert out_of_reach(0.75, photographs) and not out_of_reach(0.75, digits)
    assert not out_of_reach(0.75, photographs[:4])


def test_a_long_chain_of_links_is_parted():
    chain = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6], [2, 7]])
    # Picture 2 has the most links: those at most two links from it are in its group.
    assert connected(9, chain).tolist() == [2, 2, 2, 2, 2, 5, 5, 2, 8]


def test_many_copies_of_one_picture_are_one_group():
    others = scanned_digits(700)
    rng = np.random.default_rng(0)
    photograph = Image.fromarray(synthetic.draw_dish(0, seed=0, size=64))
    copies = [CHANGES["recoloured"](photograph, rng) for _ in range(80)]
    assert len(np.unique(groups_of([*others, *copies])[700:])) == 1


def test_small_sets_keep_the_fixed_thresholds():
    drawings = sketches(LEAST_PICTURES // 2)
    copies = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in drawings[:3]]
    assert groups_of([*drawings, *copies])[-3:].tolist() == [0, 1, 2]


def test_a_group_across_labels_that_swallows_a_class_is_parted_and_one_within_a_class_is_kept():
    contents = [f"{index:02}" for index in range(40)] + ["00"]
    labels = np.array([0] * 20 + [1] * 20 + [0])
    groups = np.arange(41)
    groups[40] = 0
    across = groups.copy()
    across[[*range(15), 20, 40]] = 0
    found = without_swallowed_classes(across, labels, contents)
    assert (found.parted, found.kept) == (1, 0) and found.groups.tolist() == groups.tolist()
    within = groups.copy()
    within[[*range(15), 40]] = 0
    found = without_swallowed_classes(within, labels, contents)
    assert (found.parted, found.kept) == (0, 1) and len(np.unique(found.groups)) == len(np.unique(within))
    assert found.groups[40] == found.groups[14] == 0
