"""Timing that a busy machine disturbs alike for all that is compared."""

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np


def interleave(
    calls: Sequence[Callable[[], object]], seconds: float, pause: float = 0
) -> list[float]:
    """Time calls in turn, A B A B ..., and return the median seconds of each.

    Args:
        calls: what to compare; each is called once beforehand to warm up.
        seconds: how long to go on; at least five rounds are made.
        pause: seconds before each call, for what has threads of its own: those of the call before
            may still spin on the cores. A call that is not timed then wakes its own.
    """
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for call, mine in zip(calls, times, strict=True):
            if pause:
                time.sleep(pause)
                call()
            start = time.perf_counter()
            call()
            mine.append(time.perf_counter() - start)
    return [statistics.median(mine) for mine in times]


def durations(
    calls: Sequence[Callable[[], object]], seconds: float, least: int = 200
) -> list[np.ndarray]:
    """Time short calls in rounds of 50 each, in turn, and return the seconds of all of them.

    Args:
        calls: as of `interleave`.
        seconds: how long to go on.
        least: calls of each that are made in any case, in whole rounds.
    """
    times: list[list[int]] = [[] for _ in calls]
    for call in calls:
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < least:
        for call, mine in zip(calls, times, strict=True):
            for _ in range(50):
                start = time.perf_counter_ns()
                call()
                mine.append(time.perf_counter_ns() - start)
    return [np.array(mine) / 1e9 for mine in times]
