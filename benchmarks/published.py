"""Where the published data sets are."""

import os
import sys
from pathlib import Path


def data(name: str) -> Path:
    """A file or folder below LOOPWISE_DATA; ends the program if it is not there."""
    folder = os.environ.get("LOOPWISE_DATA")
    if not folder:
        sys.exit("LOOPWISE_DATA is unset: the folder of the data sets")
    path = Path(folder, name)
    if not path.exists():
        sys.exit(f"{path}: missing")
    return path
