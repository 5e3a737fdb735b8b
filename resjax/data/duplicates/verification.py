"""Verifies links between pictures: does each of the two stand out from the other pictures of the set?"""

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int

from resjax.data.dataset import Pixels
from resjax.data.duplicates.background import BEHIND, MOST_COPIES, Chance, out_of_reach, standing_out
from resjax.data.duplicates.detail import GREY, WINDOWS, blurred, resampling
from resjax.terminal import track

SAMPLE = 2048
"""Pictures of a larger set that serve as the background."""
ERRORS = 0.05
"""Pictures of a set that are expected to stand out by chance."""
SIZE = 32
"""Pixels of height and width. At 64 false links are as few and fewer copies are found, because crops fit less well."""
BLUR, MARGIN = SIZE / 16, round(SIZE * 3 / 32)
"""Standard deviation of the Gaussian blur, and the border that is not compared, in pixels."""
AT_ONCE = 256


def links_that_stand_out(
    thumbnails: Pixels,
    distinct: Int[np.ndarray, " picture"],
    links: Int[np.ndarray, "link 2"],
    least: float,
) -> Int[np.ndarray, "link 2"]:
    """The links that both pictures confirm, each by its own background.

    A picture confirms a link where chance would not make it as close among the pictures outside of its group, or where
    the other picture stands out from all others, linked ones too.

    Args:
      thumbnails: as for `near_duplicate_groups`.
      distinct: the thumbnail of each picture.
      links: pairs of pictures, each pair once.
      least: the correlation that links have.
    """
    if not len(links):
        return links
    sample = np.arange(min(SAMPLE, len(distinct)))
    background = _whole(thumbnails, distinct[sample]).astype(np.float32)
    chance = Chance(len(distinct), len(sample), ERRORS)
    component = _components(len(distinct), links)
    of_copies = _may_be_copies(component, links, chance)
    both = np.concatenate([links, links[:, ::-1]])
    order = np.argsort(both[:, 0], kind="stable")
    pictures, first = np.unique(both[order, 0], return_index=True)
    whole = _whole(thumbnails, distinct[pictures])
    links_of = dict(zip(pictures.tolist(), np.split(order, first[1:]), strict=True))
    alike = np.empty(len(both), np.float32)
    rare = np.empty(len(both), bool)
    backgrounds = {}
    for picture in track(pictures.tolist(), "verifying copies"):
        partners = both[links_of[picture], 1]
        views = _views(thumbnails[distinct[[picture]]])
        partners_whole = whole[np.searchsorted(pictures, partners)].astype(np.float32)
        alike[links_of[picture]] = (views @ partners_whole.T).max(axis=0)
        others = (views @ background.T).max(axis=0)
        unlinked = np.ones(len(sample), bool)
        unlinked[[index for index in (*partners, picture) if index < len(sample)]] = False
        backgrounds[picture] = _nearest(others[unlinked])
        outside = others[component[sample] != component[picture]]
        group_may_be = of_copies[component[picture]]
        rare[links_of[picture]] = group_may_be and out_of_reach(least, _nearest(outside))
    # A crop and its original are more alike in one direction than in the other.
    alike = np.maximum(alike, np.roll(alike, len(links)))
    confirmed = rare
    for picture, numbers in links_of.items():
        confirmed[numbers] |= standing_out(alike[numbers], backgrounds[picture], chance)
    return links[confirmed[: len(links)] & confirmed[len(links) :]]


def _components(count: int, links: Int[np.ndarray, "link 2"]) -> Int[np.ndarray, " picture"]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _may_be_copies(
    component: Int[np.ndarray, " picture"], links: Int[np.ndarray, "link 2"], chance: Chance
) -> Bool[np.ndarray, " component"]:
    """Which components are small, or no chains but densely linked, and less than an eighth of the set."""
    sizes = np.bincount(component)
    linked = np.bincount(component[links[:, 0]], minlength=len(sizes))
    dense = 2 * linked >= 0.5 * sizes * np.minimum(MOST_COPIES, sizes - 1)
    return (sizes <= chance.most_copies) | (dense & (sizes <= chance.pictures // 8))


def _nearest(alike: Float32[np.ndarray, " picture"]) -> Float32[np.ndarray, " nearest"]:
    """The largest, in descending order, as many as `standing_out` looks at."""
    return -np.sort(-alike)[: MOST_COPIES + BEHIND + 1]


def _whole(thumbnails: Pixels, rows: Int[np.ndarray, " image"]) -> Float16[np.ndarray, "image pixel"]:
    chunks = (thumbnails[rows[start : start + AT_ONCE]] for start in range(0, len(rows), AT_ONCE))
    whole = resampling(thumbnails.shape[1], WINDOWS[0], SIZE)
    details = [_detail(whole @ (images @ GREY) @ whole.T).reshape(len(images), -1) for images in chunks]
    return np.concatenate([chunk.astype(np.float16) for chunk in details])


def _views(images: np.ndarray) -> Float32[np.ndarray, "view pixel"]:
    """The detail of a picture, (1, height, width, 3), under each of the expected crops, and of their mirror images."""
    windows = np.stack([resampling(images.shape[1], window, SIZE) for window in WINDOWS])
    crops = (windows @ (images[0] @ GREY))[:, None] @ windows.transpose(0, 2, 1)
    details = _detail(crops.reshape(-1, SIZE, SIZE))
    return np.concatenate([details, details[..., ::-1]]).reshape(2 * len(details), -1)


def _detail(images: Float32[np.ndarray, "image size size"]) -> Float32[np.ndarray, "image row column"]:
    """What the blur removes, with mean 0 and norm 1, without the border.

    It is not divided by its local strength: noise and JPEG blocks must not count here as much as strong edges.
    """
    detail = (images - blurred(images, BLUR))[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    detail = detail - detail.mean(axis=(1, 2), keepdims=True)
    return detail / np.maximum(np.sqrt((detail**2).sum(axis=(1, 2), keepdims=True)), 1e-6)
