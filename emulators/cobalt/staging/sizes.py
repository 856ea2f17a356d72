"""How large the data sets of a replay are: drawn, with a seed, from the published sizes of what people move.

Liu, Rao et al. (HPDC 2018) give three points of the distribution of the data sets that Globus moves: half are of at
most 6.3 MB, three quarters of 221 MB, 95 % of 55.8 GB. Between and beyond them the logarithm of the size is taken to
be linear in the normal quantile, which makes nearly a log-normal distribution. Nothing is published of its far tail,
where few data sets would be most of the bytes: what is drawn above MOST is cut to it.
"""

from __future__ import annotations

import math
import random
from statistics import NormalDist

QUANTILES = ((0.50, 6.3e6), (0.75, 221.5e6), (0.95, 55.8e9))
MOST = 1e12
LEAST = 1.0

_POINTS = tuple((NormalDist().inv_cdf(share), math.log10(size)) for share, size in QUANTILES)


def size_at(share: float) -> int:
    """Return the size, in bytes, that this share (0 to 1) of the data sets does not exceed."""
    at = NormalDist().inv_cdf(min(max(share, 1e-9), 1 - 1e-9))
    low, high = (_POINTS[0], _POINTS[1]) if at < _POINTS[1][0] else (_POINTS[1], _POINTS[2])
    slope = (high[1] - low[1]) / (high[0] - low[0])
    return round(min(MOST, max(LEAST, 10 ** (low[1] + slope * (at - low[0])))))


class Sizes:
    """A stream of sizes; the same of the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def draw(self) -> int:
        return size_at(self._random.random())
