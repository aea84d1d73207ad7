"""Settings of the whole suite."""

import os

# The tensors here are tiny: more threads would only wait for each other, in subprocesses too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
