"""Duplicate groups: finds near-duplicates, describes the groups, and computes the leaks to expect from them.

Imagehash's pHash of the picture and its mirror image finds candidates, at most 20 of 64 bits apart; the correlation
of the pair's detail must be at least 0.75; and both pictures must confirm the link by the background of their own
set: the step to a copy must be one that chance makes in 0.05 pictures of a set. False links are rare in every kind of
set (experiments/results/near_copies/README.md), at the price of recall where copies are as unlike as other pictures.
Links across labels have no threshold of their own: copies with two labels are what an audit looks for. A group of
several labels with more than half of a class is parted; one of a single label is kept, because enlarged sets have
such groups; both are said. No picture is farther than two links from the one with the most. All looks at thumbnails
of 64 x 64 pixels, so groups do not depend on the size that is trained at; confirming links at 48 pixels found no
more, and at 64 up to nine of 112 copies fewer, so the files themselves are not compared again. Groups are cached,
because the search is quadratic. `--nonear_copies` leaves it out; the record then says null and not 0. Drawn dishes
need no search.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
