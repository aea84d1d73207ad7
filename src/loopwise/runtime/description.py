"""What a model is: typed values from the JSON in a bundle, and the tensors that follow."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeAlias, TypeVar

import pydantic
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from loopwise.errors import BundleError
from loopwise.runtime.shapes import INITIAL, Shapes, output_size, parameter_shapes, state_sizes

_Count = Annotated[int, Field(ge=0, lt=2**31)]
_Size = Annotated[int, Field(ge=1, lt=2**31)]
_Probability = Annotated[float, Field(ge=0.0, le=1.0)]
_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, config=_STRICT)
class LayerDescription:
    """One recurrent layer of one direction.

    Attributes:
        cell: ``"rnn"``, ``"lstm"`` or ``"gru"``.
        input_size: I, the size of a layer's input at one step.
        hidden_size: H, the size of the cell.
        proj_size: P, the size of the projected output; 0 for none.
        bias: whether ``bias_ih`` and ``bias_hh`` exist.
        nonlinearity: ``"tanh"`` or ``"relu"`` (rnn only; the others say ``"tanh"``).
        layer_norm: layer normalisation of both products and, in an lstm, of the cell state.
        peephole: diagonal connections from the cell state to the gates (lstm only).
        zoneout: the share of the old state kept at each step, ``[p_h, p_c]`` for an lstm and
            ``[p_h]`` for the others.
        learn_initial_state: whether the state before the first step is a parameter.
        residual: whether the input is added to the output; their sizes must be equal.
    """

    cell: Literal["rnn", "lstm", "gru"]
    input_size: _Size
    hidden_size: _Size
    proj_size: _Count
    bias: bool
    nonlinearity: Literal["tanh", "relu"]
    layer_norm: bool
    peephole: bool
    zoneout: tuple[_Probability, ...]
    learn_initial_state: bool
    residual: bool

    @property
    def output_size(self) -> int:
        """The size of y at one step: P with a projection, else H."""
        return output_size(self)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The sizes of the arrays of the state: (h, c) in an lstm, (h,) in the others."""
        return state_sizes(self)

    def tensor_shapes(self) -> Shapes:
        """The layer's tensors by their names in ``torch.nn`` (k = 0, forward direction)."""
        shapes = {f"{name}_l0": shape for name, shape in parameter_shapes(self).items()}
        if self.learn_initial_state:
            shapes |= {n: (1, s) for n, s in zip(INITIAL, self.state_sizes, strict=False)}
        return shapes

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.peephole and self.cell != "lstm":
            raise ValueError(f"peephole: only an lstm has peepholes, not a {self.cell}")
        if self.nonlinearity != "tanh" and self.cell != "rnn":
            raise ValueError(f"nonlinearity: a {self.cell} allows only 'tanh'")
        if len(self.zoneout) != len(self.state_sizes):
            raise ValueError(f"zoneout: a {self.cell} takes {len(self.state_sizes)} values")
        if self.residual and self.input_size != self.output_size:
            raise ValueError(
                f"residual: input size {self.input_size}, output size {self.output_size}"
            )
        return self


@dataclass(frozen=True, config=_STRICT)
class LanguageModelDescription:
    """An embedding, recurrent layers over each other and a linear head over the vocabulary.

    Attributes:
        kind: always ``"language-model"``.
        vocabulary: V, the number of tokens.
        embedding_size: E, the input size of the first layer.
        layers: from the input upwards, at least one.
        tied: whether the head's weight is the embedding's (Press & Wolf 2017, arXiv:1608.05859).
    """

    kind: Literal["language-model"]
    vocabulary: _Size
    embedding_size: _Size
    layers: Annotated[tuple[LayerDescription, ...], Field(min_length=1)]
    tied: bool

    def tensor_shapes(self) -> Shapes:
        """Every tensor of the model with its shape."""
        table: Shapes = {"embedding.weight": (self.vocabulary, self.embedding_size)}
        head = _head_shapes(self.vocabulary, self.layers)
        if self.tied:
            del head["head.weight"]
        return table | _layer_shapes(self.layers) | head

    @model_validator(mode="after")
    def _check(self) -> Self:
        size = _require_chain(self.layers, self.embedding_size)
        if self.tied and size != self.embedding_size:
            raise ValueError(f"tied: output size {size}, embedding size {self.embedding_size}")
        return self


@dataclass(frozen=True, config=_STRICT)
class SequenceModelDescription:
    """Numbers or symbols in, recurrent layers over each other, a linear head at every step.

    Attributes:
        kind: always ``"sequence-model"``.
        inputs: what a step reads: ``"numbers"``, or ``"symbols"`` as ids.
        input_size: numbers of a step, or how many symbols there are.
        embedding_size: features of a symbol, at least 1; 0 for numbers, which go in as they are.
        layers: from the input upwards, at least one.
        outputs: what a step puts out: ``"numbers"``, or the logits of ``"classes"``.
        output_size: numbers of a step, or how many classes there are.
    """

    kind: Literal["sequence-model"]
    inputs: Literal["numbers", "symbols"]
    input_size: _Size
    embedding_size: _Count
    layers: Annotated[tuple[LayerDescription, ...], Field(min_length=1)]
    outputs: Literal["numbers", "classes"]
    output_size: _Size

    def tensor_shapes(self) -> Shapes:
        """Every tensor of the model with its shape."""
        table: Shapes = {}
        if self.inputs == "symbols":
            table["embedding.weight"] = (self.input_size, self.embedding_size)
        head = _head_shapes(self.output_size, self.layers)
        return table | _layer_shapes(self.layers) | head

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.embedding_size > 0) != (self.inputs == "symbols"):
            raise ValueError(f"embedding_size: {self.embedding_size}, the inputs are {self.inputs}")
        _require_chain(self.layers, self.embedding_size or self.input_size)
        return self


@dataclass(frozen=True, config=_STRICT)
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
    components: _Size
    size: _Size
    locations: tuple[_Count, ...]


@dataclass(frozen=True, config=_STRICT)
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
    window: _Size
    patch: _Size
    horizon: _Size
    channels: _Size
    seasons: tuple[_Size, ...]
    cycles: tuple[_Size, ...]
    neighbours: _Count
    scale: Literal["level", "seasonal", "smoothing", "mean", "none"]
    reads_in: Literal["origin", "patch"]
    smoothed: _Count
    past: _Count
    future: _Count
    static: _Count
    categories: tuple[_Size, ...]
    category_sizes: tuple[_Size, ...]
    input_size: _Size
    layers: Annotated[tuple[LayerDescription, ...], Field(min_length=1)]
    dilations: tuple[_Size, ...]
    linear: bool
    decoder: Literal["lags", "linear"]
    decoder_size: _Size
    step_size: _Size
    output: OutputDescription
    members: _Size
    calibration: _Count

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
        table |= _layer_shapes(self.layers)
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
        _require_chain(self.layers, self.input_size)
        return self


STATISTICS = 3
"""Of a window, that the decoder sees; see `loopwise.runtime.forecast_network`."""

Description: TypeAlias = LanguageModelDescription | SequenceModelDescription | ForecasterDescription
D = TypeVar("D", LanguageModelDescription, SequenceModelDescription, ForecasterDescription)


def _layer_shapes(layers: Sequence[LayerDescription]) -> Shapes:
    return {
        f"layers.{n}.{name}": shape
        for n, layer in enumerate(layers)
        for name, shape in layer.tensor_shapes().items()
    }


def _head_shapes(size: int, layers: Sequence[LayerDescription]) -> Shapes:
    return {"head.weight": (size, layers[-1].output_size), "head.bias": (size,)}


def _require_chain(layers: Sequence[LayerDescription], size: int) -> int:
    """Check that each layer takes what the one below puts out; returns what the last puts out."""
    for n, layer in enumerate(layers):
        if layer.input_size != size:
            raise ValueError(f"layers.{n}.input_size: {layer.input_size}, the input has {size}")
        size = layer.output_size
    return size


_KINDS: dict[str, TypeAdapter[Any]] = {
    "language-model": TypeAdapter(LanguageModelDescription),
    "sequence-model": TypeAdapter(SequenceModelDescription),
    "forecaster": TypeAdapter(ForecasterDescription),
}


def parse_description(description: Mapping[str, Any]) -> Description:
    """Check a model description and give it types.

    Args:
        description: the JSON object; every key must be there and no other.

    Raises:
        BundleError: a kind that is not known, a key that is unknown or missing, a value of the
            wrong type or out of its range, or sizes that do not fit each other.
    """
    kind = description.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BundleError(f"model.kind is {kind!r}; allowed: {', '.join(_KINDS)}")
    try:
        return _KINDS[kind].validate_json(json.dumps(description))
    except ValidationError as error:
        raise BundleError(_message(error)) from None


def parse_as(kind: type[D], description: Mapping[str, Any]) -> D:
    """`parse_description` for a model of one kind; raises BundleError, too, if it is another."""
    parsed = parse_description(description)
    if not isinstance(parsed, kind):
        raise BundleError(f"model.kind is {parsed.kind!r}: not the kind of model expected here")
    return parsed


def _message(error: pydantic.ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in ("model", *first["loc"]))
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"
