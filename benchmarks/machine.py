"""What the machine can do at most, by machine.cpp: what a benchmark's figures are a share of."""

import json
import math
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_suffix(".cpp")
SIZES = [1 << n for n in range(14, 27)]


@dataclass(frozen=True)
class Machine:
    """GF/s of multiply-adds by threads, one and all; GB/s that one thread reads by bytes."""

    peak: dict[int, float]
    read: dict[int, float]

    def share_of_read(self, size: int, seconds: float) -> float:
        """Of reading `size` bytes once in so many seconds, were it all that is done."""
        sizes, speeds = list(self.read), list(self.read.values())
        return size / seconds / 1e9 / float(np.interp(math.log(size), np.log(sizes), speeds))


def measure(threads: int, quick: bool = False) -> Machine | None:
    """Compile and run machine.cpp, print what it finds; None without a C++ compiler."""
    compiler = os.environ.get("CXX") or shutil.which("c++")
    if compiler is None:
        print("no C++ compiler here, and so no shares of what the machine can do")
        return None
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/machine"
        options = ["-std=c++17", "-O3", "-march=native", "-pthread"]
        subprocess.run([compiler, *options, SOURCE, "-o", program], check=True)
        seconds, sizes = (0.01, SIZES[:2]) if quick else (0.5, SIZES)
        command = [program, threads, seconds, *sizes]
        found = json.loads(subprocess.check_output(list(map(str, command))))
    machine = Machine(*({int(k): v for k, v in found[name].items()} for name in ("peak", "read")))
    for n, speed in machine.peak.items():
        print(f"multiply-adds on {n} of this machine's threads: {speed:.0f} GF/s")
    speeds = ", ".join(f"{size >> 10} KiB {speed:.0f}" for size, speed in machine.read.items())
    print(f"reading on one thread, GB/s: {speeds}\n")
    return machine


def rounded(x: float) -> float:
    """To three digits."""
    return float(f"{x:.3g}")
