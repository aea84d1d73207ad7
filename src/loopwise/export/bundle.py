"""From a trained torch model to a bundle."""

import dataclasses
import json
import math
from datetime import UTC, datetime
from typing import Any, Protocol, cast

import torch
from torch import Tensor

import loopwise
from loopwise.runtime.bundle import Bundle


class Described(Protocol):
    """A model that says what it is: `description` is a dataclass of `loopwise.runtime`."""

    description: Any

    def state_dict(self) -> dict[str, Tensor]:
        """Its tensors, named as the description has them."""
        ...


class Codec(Protocol):
    """What stands between the model and the world."""

    def to_json(self) -> dict[str, Any]:
        """The codec as JSON values."""
        ...


def to_bundle(task: str, model: Described, codec: Codec | None, info: dict[str, Any]) -> Bundle:
    """Pack a model as deployment reads it.

    Args:
        task: the kind of sequence work, such as ``"language-model"``.
        model: the trained model; its tensors are copied, as float32.
        codec: its codec; None where none stands between.
        info: anything that JSON can hold; the version and the date are added, and numbers that
            are not finite become null.

    Returns:
        a bundle that shares no memory with the model.
    """
    wanted = model.description.tensor_shapes()  # others, as of losses, serve training alone
    tensors = {
        name: tensor.detach().to("cpu", torch.float32).numpy().copy()
        for name, tensor in model.state_dict().items()
        if name in wanted
    }
    made = {
        "loopwise": loopwise.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    # Through JSON, so that what is in memory equals what a file gives back.
    description = json.loads(json.dumps(dataclasses.asdict(model.description)))
    coded = {} if codec is None else codec.to_json()
    return Bundle(task, description, coded, tensors, _jsonable({**made, **info}))


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(part) for key, part in cast(dict[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_jsonable(part) for part in cast(list[Any], value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
