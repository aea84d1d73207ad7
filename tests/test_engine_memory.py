"""A lack of memory is an exception, whichever thread finds none."""

import os
import subprocess
import sys

import pytest

from loopwise import engine

SCRIPT = """
import resource
import sys
from pathlib import Path

import numpy as np

from loopwise import engine

ROOM = range(0, 64 << 20, 512 << 10)


def zeros(*shape):
    return np.zeros(shape, np.float32)


def recurrence(T, B, H):
    return {
        "x": zeros(T, B, 1), "h0": zeros(B, H), "c0": zeros(B, H), "w_ih": zeros(4 * H, 1),
        "w_hh": zeros(4 * H, H), "y": zeros(T, B, H), "hn": zeros(B, H), "cn": zeros(B, H),
    }


B, H = 1 << 16, 2  # many rows: long lists and much scratch for each thread
arrays = recurrence(1, B, H)
kept = {"kept": zeros(1, B, 4 * H), "cells": zeros(1, B, H)}
wanted = {"d_y": zeros(1, B, H), "d_h0": zeros(B, H)}
logits, targets, nats = zeros(2, 200_000), np.zeros(2, np.int64), zeros(2)

calls = {
    "surprisal": lambda: engine.surprisal(2, 1.0, logits=logits, targets=targets, nats=nats),
    "forward": lambda: engine.forward("lstm", False, 2, **arrays),
    "backward": lambda: engine.backward("lstm", False, 2, **arrays, **kept, **wanted),
}
_, most = resource.getrlimit(resource.RLIMIT_AS)
engine.forward("lstm", False, 2, **recurrence(4000, 2, 8))  # from here on there are threads
call, refused, done = calls[sys.argv[1]], 0, 0
for room in ROOM:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, most))
    try:
        call()
        done += 1
    except MemoryError:
        refused += 1
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
print(refused > 0, done > 0)
"""


@pytest.mark.skipif(not engine.available(), reason="no native engine here")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
@pytest.mark.parametrize("call", ["forward", "backward", "surprisal"])
def test_every_amount_of_memory_is_enough_or_an_exception(call):
    """Each in a process of its own, as the engine keeps memory that it once had."""
    # freed memory goes back at once, so that what is allowed is what there is
    settings = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, call], env={**os.environ, **settings},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True True\n"
