"""A forecaster."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from loopwise.runtime.description.layer import (
    STRICT,
    Count,
    LayerDescription,
    Size,
    layer_shapes,
    require_chain,
)
from loopwise.runtime.shapes import Shapes


@dataclass(frozen=True, config=STRICT)
class OutputDescription:
    """What a forecaster puts out for each target; see `loopwise.codec.series.distributions`.

    Attributes:
        name: of the output.
        levels: of quantiles, else empty.
        components: of a mixture, else 1.
        size: P, numbers of it.
        locations: which of them move with the target's level.
    """

    name: str
    levels: tuple[float, ...]
    components: Size
    size: Size
    locations: tuple[Count, ...]


@dataclass(frozen=True, config=STRICT)
class ForecasterDescription:
    """A network that reads a window of a series and puts out what describes its next values.

    See `loopwise.runtime.forecast_network` for what it computes.

    Attributes:
        kind: always ``"forecaster"``.
        window: W, points that a forecast reads; a multiple of `patch`.
        patch: points that the recurrent layers read in one step.
        horizon: h, points forecast at once.
        channels: C, values of a point; 1 where each series is forecast on its own.
        seasons: season lengths in points, shortest first.
        cycles: how many past cycles of each season the decoder sees at the phase of each target.
        neighbours: how many phases before and after that one it sees of each season's last cycle.
        scale: what is taken out of a window before it is read: its ``"level"``; also its
            ``"seasonal"`` profile; ``"smoothing"``, both by Holt-Winters smoothing; its ``"mean"``
            as a factor, for counts; or ``"none"``.
        reads_in: the scale that patches are read in: that of the ``"origin"``, or each in that of
            its own ``"patch"``, so that a window has many origins.
        smoothed: series with smoothing of their own; the row after them serves all others.
        past: covariates known up to now.
        future: covariates known over the horizon too, calendar included.
        static: numbers that describe a series.
        categories: of each categorical description, how many values there are, the unknown one
            (0) included.
        category_sizes: features of each.
        input_size: features of a patch as the first layer reads it.
        layers: from the input upwards, at least one.
        dilations: of each layer: it reads every n-th step, n sequences side by side.
        linear: whether the decoder ``"lags"`` also mixes a linear map of the whole window and of
            the mean of its series.
        decoder: ``"lags"``, a small network for each target that also sees past cycles; or
            ``"linear"``, one map from the last layer's output to all targets.
        decoder_size: hidden units of the decoder ``"lags"``.
        step_size: features that tell it the target's place in the horizon.
        output: what is put out for each target.
        members: networks whose forecasts are averaged.
        calibration: held-out windows whose ranks correct the intervals; 0 for none.
    """

    kind: Literal["forecaster"]
    window: Size
    patch: Size
    horizon: Size
    channels: Size
    seasons: tuple[Size, ...]
    cycles: tuple[Size, ...]
    neighbours: Count
    scale: Literal["level", "seasonal", "smoothing", "mean", "none"]
    reads_in: Literal["origin", "patch"]
    smoothed: Count
    past: Count
    future: Count
    static: Count
    categories: tuple[Size, ...]
    category_sizes: tuple[Size, ...]
    input_size: Size
    layers: Annotated[tuple[LayerDescription, ...], Field(min_length=1)]
    dilations: tuple[Size, ...]
    linear: bool
    decoder: Literal["lags", "linear"]
    decoder_size: Size
    step_size: Size
    output: OutputDescription
    members: Size
    calibration: Count

    @property
    def season(self) -> int:
        """The shortest season; 1 for none."""
        return self.seasons[0] if self.seasons else 1

    @property
    def lags(self) -> int:
        """Past values of which a target's base is a mixture."""
        return sum(self.cycles)

    @property
    def candidates(self) -> int:
        """What it is a mixture of in all."""
        return self.lags + self.linear

    @property
    def described(self) -> int:
        """Features that describe a series: static numbers and the features of its categories."""
        return self.static + sum(self.category_sizes)

    @property
    def patch_features(self) -> int:
        """What the first map reads of a patch: values, which are known, covariates, own scale."""
        scale = 2 * self.channels if self.reads_in == "patch" else 0
        return self.patch * (2 * self.channels + self.past + self.future) + scale

    @property
    def context_features(self) -> int:
        """What the decoder is told once: the last layer's output and the series' description."""
        return self.layers[-1].output_size + self.described

    @property
    def past_values(self) -> int:
        """Past values that it sees for each target: those that it mixes, and their neighbours."""
        return self.lags + 2 * self.neighbours * len(self.seasons)

    def tensor_shapes(self) -> Shapes:
        """Every tensor of the model with its shape."""
        own = self.member_shapes()
        table = {f"members.{n}.{k}": v for n in range(self.members) for k, v in own.items()}
        if self.calibration:
            table["calibration"] = (self.calibration, self.horizon)
        return table

    def member_shapes(self) -> Shapes:
        """The tensors of one of its networks."""
        table: Shapes = {"patch.weight": (self.input_size, self.patch_features)}
        table["patch.bias"] = (self.input_size,)
        for n, (values, size) in enumerate(zip(self.categories, self.category_sizes, strict=True)):
            table[f"categories.{n}.weight"] = (values, size)
        if self.scale == "smoothing":
            table["smoothing.weight"] = (self.smoothed + 1, 2)
        table |= layer_shapes(self.layers)
        if self.decoder == "linear":
            outputs = self.horizon * self.channels * self.output.size
            table["head.weight"] = (outputs, self.context_features)
            table["head.bias"] = (outputs,)
            return table
        hidden = self.decoder_size
        table["context.weight"] = (hidden, self.context_features)
        table["context.bias"] = (hidden,)
        table["statistics.weight"] = (hidden, STATISTICS)
        table["targets.weight"] = (hidden, self.past_values)
        table["steps.weight"] = (self.horizon, self.step_size)
        table["steps_to_hidden.weight"] = (hidden, self.step_size)
        if self.linear:
            table["linear.weight"] = (self.horizon, self.window + 1)
            table["linear.share"] = (1,)
        if self.future:
            table["ahead.weight"] = (hidden, self.future)
        if self.channels > 1:
            table["channels.weight"] = (self.channels, hidden)
        table["head.weight"] = (self.candidates + self.output.size, hidden)
        table["head.bias"] = (self.candidates + self.output.size,)
        return table

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.window % self.patch:
            raise ValueError(f"window {self.window}: must be a multiple of patch {self.patch}")
        for name, other in (("seasons", self.cycles), ("layers", self.dilations)):
            if len(other) != len(getattr(self, name)):
                raise ValueError(f"{name}: {len(getattr(self, name))}, beside {len(other)}")
        if len(self.categories) != len(self.category_sizes):
            raise ValueError(
                f"categories: {len(self.categories)}, {len(self.category_sizes)} sizes"
            )
        require_chain(self.layers, self.input_size)
        return self


STATISTICS = 3
"""Of a window, that the decoder sees; see `loopwise.runtime.forecast_network`."""
