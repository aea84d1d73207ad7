"""Recordings of noise, for `loopwise.codec.audio.augment.add_noise`."""

import os
from pathlib import Path

from loopwise.codec.audio.files import read_audio
from loopwise.codec.audio.resampling import resample
from loopwise.codec.audio.samples import Samples, is_silent
from loopwise.errors import DataError


def read_noises(path: str | os.PathLike[str], rate: int) -> list[Samples]:
    """The recordings of a folder and the folders in it, in the order of their names.

    Args:
        path: the folder; or one file. Names that begin with a dot are left out.
        rate: that they are brought to, Hz.

    Returns:
        samples [N] of each.

    Raises:
        DataError: there is none, or one cannot be read, or is silent; the message names it.
    """
    root = Path(path)
    files = sorted(root.rglob("[!.]*")) if root.is_dir() else [root]
    noises: list[Samples] = []
    for file in files:
        if file.is_dir():
            continue
        samples, found = read_audio(file)
        if is_silent(samples):
            raise DataError(f"{file}: is silent, and no noise")
        noises.append(resample(samples, found, rate))
    if not noises:
        raise DataError(f"{root}: a folder without recordings")
    return noises
