"""Many series with their covariates, end to end in a few arrays."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.codec.series.frequency import Frequency
from loopwise.codec.series.stamps import Stamps, stamp_array
from loopwise.errors import DataError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Schema:
    """What panels have in common that a model can take one after the other.

    Attributes:
        frequency: the step between stamps.
        targets: names of the channels.
        past, future, static: names of the numeric covariates: known up to now, known ahead, and
            one a series.
        categories: names of the categories of series.
        category_values: the values of each, in the order of their codes from 1; code 0 is unknown.
        zone: the time zone, or None.
    """

    frequency: Frequency
    targets: tuple[str, ...]
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    category_values: tuple[tuple[str, ...], ...] = ()
    zone: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON has it; `from_json` takes it back."""
        plain = dataclasses.asdict(self)
        return plain | {"frequency": self.frequency.name}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "Schema":
        """From what `to_json` made, before or after it went through JSON."""
        names = ("targets", "past", "future", "static", "categories")
        return cls(
            frequency=Frequency.parse(plain["frequency"]),
            category_values=tuple(tuple(values) for values in plain["category_values"]),
            zone=plain["zone"],
            **{name: tuple(plain[name]) for name in names},
        )


def _nothing() -> NDArray[Any]:
    return np.empty((0, 0))


@dataclass(frozen=True, eq=False)
class Panel:
    """N series of one frequency, all points of one after those of the other.

    Letters: N series, `total` points of all, C channels.

    Attributes:
        ids: the name of each series.
        offsets: where each series begins, and the end, int64 [N + 1], ascending.
        values: float64 [total, C]; NaN is missing.
        first: the stamp of each series' first point, [N]: int64; or datetime64[us], in UTC if the
            panel has a zone and steps are shorter than a day, else as the clock on the wall shows.
        frequency: the step between stamps.
        targets: names of the C channels.
        past: covariates known only up to now, float64 [total, P], named by `past_names`.
        future: covariates known ahead, over the same points, float64 [total, F], named by
            `future_names`.
        static: numbers that a series keeps, float64 [N, A], named by `static_names`.
        categories: codes of what a series keeps, int64 [N, K], named by `category_names`: 0 is
            unknown, and from 1 they count through `category_values`.
        weights: of each series in training, float64 [N], above 0; or None.
        zone: the time zone in which stamps came, or None.

    Raises:
        DataError: an array does not have the shape that the others ask for.
    """

    ids: tuple[str | int, ...]
    offsets: Integers
    values: Floats
    first: Stamps
    frequency: Frequency
    targets: tuple[str, ...] = ("y",)
    past: Floats = field(default_factory=_nothing)
    past_names: tuple[str, ...] = ()
    future: Floats = field(default_factory=_nothing)
    future_names: tuple[str, ...] = ()
    static: Floats = field(default_factory=_nothing)
    static_names: tuple[str, ...] = ()
    categories: Integers = field(default_factory=_nothing)
    category_names: tuple[str, ...] = ()
    category_values: tuple[tuple[str, ...], ...] = ()
    weights: Floats | None = None
    zone: str | None = None

    def __post_init__(self):
        number, total = len(self.ids), len(self.values)
        wanted: dict[str, tuple[int, ...]] = {
            "offsets": (number + 1,),
            "first": (number,),
            "values": (total, len(self.targets)),
            "past": (total, len(self.past_names)),
            "future": (total, len(self.future_names)),
            "static": (number, len(self.static_names)),
            "categories": (number, len(self.category_names)),
        }
        for name, shape in wanted.items():
            array = getattr(self, name)
            if not array.size and not np.prod(shape):  # none were given
                dtype = np.int64 if name == "categories" else array.dtype
                object.__setattr__(self, name, np.empty(shape, dtype))
            elif array.shape != shape:
                raise DataError(f"Panel.{name} is {list(array.shape)}; it must be {list(shape)}")
        if self.offsets[0] != 0 or self.offsets[-1] != total or (np.diff(self.offsets) < 0).any():
            raise DataError(f"Panel.offsets must ascend from 0 to the {total} points of `values`")

    @classmethod
    def from_arrays(
        cls,
        series: Sequence[ArrayLike],
        *,
        ids: Sequence[str | int] | None = None,
        first: Any = 0,
        frequency: str | int | Frequency = 1,
        targets: Sequence[str] | None = None,
    ) -> "Panel":
        """A panel of plain arrays.

        Args:
            series: each [T] or [T, C], with its own T; NaN is missing.
            ids: names; without, 0, 1, ...
            first: the stamp of the first point, one for all or one for each series.
            frequency: the step between stamps.
            targets: names of the channels; without, ``y``, or ``y0``, ``y1``, ...

        Raises:
            DataError: arrays have not one number of channels, or `first` and `frequency` are of
                different kinds.
        """
        arrays = [np.asarray(each, np.float64) for each in series]
        columns = [each[:, None] if each.ndim == 1 else each for each in arrays]
        channels = {each.shape[1:] for each in columns}
        if len(channels) != 1 or len(next(iter(channels))) != 1:
            raise DataError(
                f"series of shapes {[each.shape for each in arrays][:5]}; all must be "
                "[T] or [T, C] with one C, and there must be at least one"
            )
        (count,) = next(iter(channels))
        step = Frequency.parse(frequency)
        starts = np.broadcast_to(stamp_array(first), (len(columns),)).copy()
        step.require_fit(starts, np.arange(len(columns) + 1))
        return cls(
            ids=tuple(ids) if ids is not None else tuple(range(len(columns))),
            offsets=offsets_of([len(each) for each in columns]),
            values=np.concatenate(columns),
            first=starts,
            frequency=step,
            targets=tuple(targets or (["y"] if count == 1 else [f"y{c}" for c in range(count)])),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Integers:
        """Points of each series, [N]."""
        return np.diff(self.offsets)

    @property
    def longest(self) -> str:
        """The longest series and its points, in the words of a message."""
        i = int(self.lengths.argmax())
        return f"the longest series, {self.ids[i]!r}, has {self.lengths[i]} points"

    @property
    def schema(self) -> Schema:
        """What another panel must have for the same model."""
        return Schema(
            frequency=self.frequency,
            targets=self.targets,
            past=self.past_names,
            future=self.future_names,
            static=self.static_names,
            categories=self.category_names,
            category_values=self.category_values,
            zone=self.zone,
        )

    def series(self, i: int) -> Floats:
        """The values of one series, a view [T, C]."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def stamps(self, i: int) -> Stamps:
        """The stamps of one series, [T]."""
        return self.frequency.stamps(self.first[i], int(self.offsets[i + 1] - self.offsets[i]))

    def all_stamps(self) -> Stamps:
        """The stamps of all points, [total]."""
        lengths = self.lengths
        position = np.arange(len(self.values)) - np.repeat(self.offsets[:-1], lengths)
        return self.frequency.at(np.repeat(self.first, lengths), position)

    def stamps_after(self, horizon: int) -> Stamps:
        """The stamps of the `horizon` steps after each series, [N, horizon]."""
        position = self.lengths[:, None] + np.arange(horizon)
        return self.frequency.at(self.first[:, None], position)

    def select(self, indices: ArrayLike) -> "Panel":
        """The series at these places, in this order."""
        chosen = np.arange(len(self))[np.asarray(indices)]
        return self._cut(chosen, np.zeros(len(chosen), np.int64), self.lengths[chosen])

    def head(self, lengths: ArrayLike) -> "Panel":
        """The first points of each series, without the series of which none are left.

        Args:
            lengths: how many, one for all or one for each series; a series that has fewer keeps
                all of its own.
        """
        wanted = np.minimum(np.broadcast_to(np.asarray(lengths, np.int64), len(self)), self.lengths)
        chosen = np.flatnonzero(wanted > 0)
        return self._cut(chosen, np.zeros(len(chosen), np.int64), wanted[chosen])

    def before(self, steps: int) -> "Panel":
        """All but the last points of each series, without the series of which none are left."""
        return self.head(self.lengths - steps)

    def tail(self, steps: int) -> "Panel":
        """The last points of each series, or all of a series that has fewer."""
        wanted = np.minimum(steps, self.lengths)
        return self._cut(np.arange(len(self)), self.lengths - wanted, wanted)

    def followed_by(self, values: Floats, future: Floats) -> "Panel":
        """The series with points after their ends, whose past covariates are unknown.

        Args:
            values: [N, n, C].
            future: covariates known ahead, [N, n, F].
        """
        steps = values.shape[1]
        offsets = offsets_of(self.lengths + steps)
        places = np.repeat(offsets[:-1] - self.offsets[:-1], self.lengths)
        before = np.arange(len(self.values)) + places
        after = (offsets[1:, None] - steps + np.arange(steps)).ravel()

        def joined(old: Floats, new: Floats) -> Floats:
            whole = np.empty((offsets[-1], old.shape[1]))
            whole[before], whole[after] = old, new
            return whole

        unknown = np.full((len(after), self.past.shape[1]), np.nan)
        return dataclasses.replace(
            self,
            offsets=offsets,
            values=joined(self.values, values.reshape(len(after), -1)),
            past=joined(self.past, unknown),
            future=joined(self.future, future.reshape(len(after), self.future.shape[1])),
        )

    def beside(self, other: "Panel") -> "Panel":
        """These series and then those of a panel of the same schema; without weights."""

        def joined(name: str) -> Any:
            return np.concatenate([getattr(self, name), getattr(other, name)])

        arrays = ("values", "first", "past", "future", "static", "categories")
        return dataclasses.replace(
            self,
            ids=self.ids + other.ids,
            offsets=offsets_of(np.concatenate([self.lengths, other.lengths])),
            weights=None,
            **{name: joined(name) for name in arrays},
        )

    def _cut(self, chosen: Integers, skipped: Integers, lengths: Integers) -> "Panel":
        """Some series, each without some points at its beginning, and of a length."""
        offsets = offsets_of(lengths)
        rows = np.arange(offsets[-1]) + np.repeat(
            self.offsets[chosen] + skipped - offsets[:-1], lengths
        )
        return dataclasses.replace(
            self,
            ids=tuple(self.ids[i] for i in chosen),
            offsets=offsets,
            values=self.values[rows],
            first=self.frequency.at(self.first[chosen], skipped),
            past=self.past[rows],
            future=self.future[rows],
            static=self.static[chosen],
            categories=self.categories[chosen],
            weights=None if self.weights is None else self.weights[chosen],
        )

    def require_like(self, wanted: "Panel | Schema") -> None:
        """Refuse this panel where a model knows another kind.

        Args:
            wanted: the panel that the model was trained on, or its schema.

        Raises:
            DataError: names the first thing that differs, what is here and what is wanted.
        """
        other = wanted.schema if isinstance(wanted, Panel) else wanted
        titles = {
            "frequency": "frequency",
            "targets": "target columns",
            "past": "past covariates",
            "future": "future covariates",
            "static": "static numbers",
            "categories": "static categories",
            "category_values": "values of the static categories",
            "zone": "time zone",
        }
        for name, title in titles.items():
            here, there = getattr(self.schema, name), getattr(other, name)
            if here != there:
                raise DataError(f"{title}: {_list(here)} given; the model knows {_list(there)}")


def offsets_of(lengths: ArrayLike) -> Integers:
    """Where each of many parts begins, and the end, [N + 1], from their lengths [N]."""
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))]).astype(np.int64)


def listed(ids: Sequence[str | int], most: int = 5) -> str:
    """The names of series in a message, the first few of many."""
    shown = [repr(name) for name in ids[:most]]
    return ", ".join(shown) + (", ..." if len(ids) > most else "")


def _list(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(repr(each) for each in value) or "none"
    return "none" if value is None else str(value)
