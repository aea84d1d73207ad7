"""Settings of the whole suite."""

import os

from hypothesis import settings

# The tensors here are tiny: more threads would only wait for each other, in subprocesses too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline, since machines are shared; the same examples every time, since a failure in CI must
# be one at home.
settings.register_profile("loopwise", deadline=None, derandomize=True)
settings.load_profile("loopwise")
