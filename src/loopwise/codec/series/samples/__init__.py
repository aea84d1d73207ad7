"""Two real series that come with loopwise, for a first try and for examples.

Both are in the public domain. They are as statsmodels carries them (``statsmodels.datasets``,
*sunspots* and *elnino*, with the statement "This data is in the public domain"):

- sunspots, 1700 to 2008, from the National Geophysical Data Center;
- sea surface temperature of the Pacific off Peru, 1950 to 2010, from the National Weather Service
  (ERSST.V3B, Nino 1+2).
"""

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.frequency import Frequency
from loopwise.codec.series.panel import Panel
from loopwise.codec.series.stamps import Stamps
from loopwise.config import nearest
from loopwise.errors import ConfigError, DataError, missing_extra
from loopwise.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


@dataclass(frozen=True, eq=False)
class Sample:
    """A series that comes with loopwise.

    Attributes:
        name: how commands call it.
        description: what it is, in one line.
        frequency: the step between stamps.
        stamps: datetime64[us], [T].
        values: float64, [T], none missing.
        csv: the same as a file: a header ``ds,y``, then a line for each point.
    """

    name: str
    description: str
    frequency: Frequency
    stamps: Stamps
    values: NDArray[np.float64]
    csv: str

    def panel(self) -> Panel:
        """The series as a panel, its id being its name."""
        return Panel.from_arrays(
            [self.values], ids=[self.name], first=self.stamps[0], frequency=self.frequency
        )

    def to_pandas(self) -> "pd.DataFrame":
        """The series as a data frame of pandas, which must be installed: ``ds`` and ``y``."""
        import pandas as pd

        return pd.DataFrame({"ds": self.stamps, "y": self.values})

    def to_polars(self) -> "pl.DataFrame":
        """The series as a data frame of polars: ``ds`` and ``y``.

        Raises:
            MissingExtraError: polars is not installed.
        """
        try:
            import polars as pl
        except ModuleNotFoundError as error:
            raise missing_extra(error, "Sample.to_polars") from error
        return pl.DataFrame({"ds": self.stamps, "y": self.values})

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the series as a CSV file, over what is there.

        Raises:
            DataError: the file cannot be written.
        """
        try:
            write_atomically(Path(path), self.csv.encode())
        except OSError as error:
            raise DataError(f"{os.fspath(path)}: cannot be written ({error.strerror})") from None


_KNOWN = {
    "sunspots": ("YS", "mean number of sunspots, yearly, 1700 to 2008"),
    "sea-temperature": ("MS", "sea surface off Peru, degrees Celsius, monthly, 1950 to 2010"),
}

SAMPLES = tuple(_KNOWN)
"""Names of the samples."""


def sample(name: str) -> Sample:
    """The sample of this name.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in _KNOWN:
        raise ConfigError(
            f"no sample {name!r}; known are {', '.join(SAMPLES)}{nearest(name, SAMPLES)}"
        )
    frequency, description = _KNOWN[name]
    text = files(__name__).joinpath(f"{name}.csv").read_text(encoding="utf-8")
    cells = [line.split(",") for line in text.split()[1:]]
    return Sample(
        name=name,
        description=description,
        frequency=Frequency.parse(frequency),
        stamps=np.array([stamp for stamp, _ in cells], "datetime64[us]"),
        values=np.array([value for _, value in cells], np.float64),
        csv=text,
    )


def sunspots() -> Sample:
    """Sunspots of each year from 1700 to 2008: 309 points, cycles of about eleven years."""
    return sample("sunspots")


def sea_temperature() -> Sample:
    """Sea surface temperature of each month from 1950 to 2010: 732 points, in degrees Celsius."""
    return sample("sea-temperature")
