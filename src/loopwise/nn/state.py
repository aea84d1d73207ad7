"""Recurrent state: a tensor, or a nested tuple of them, always passed in and handed back.

Between layers a state has the batch first, ``[B, ...]``; at a layer's edge its tensors are stacked
over layers and directions, ``[L*D, B, ...]``, as in ``torch.nn``.
"""

from collections.abc import Callable, Iterator
from typing import cast, overload

from torch import Tensor

from loopwise.errors import ShapeError
from loopwise.nn.autocast import autocast_active

State = Tensor | tuple["State", ...]


def leaves(state: State) -> Iterator[Tensor]:
    """The tensors of `state`, in order.

    Raises:
        ShapeError: there is something else in it.
    """
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, (tuple, list)):  # pyright: ignore[reportUnnecessaryIsInstance]
        for part in state:
            yield from leaves(part)
    else:
        raise ShapeError(f"hx: expected tensors, given {_describe(state)}")


def hidden(state: State) -> tuple[Tensor, ...]:
    """The state of one of loopwise's own cells as ``(h,)`` or ``(h, c)``, however it is given."""
    return (state,) if isinstance(state, Tensor) else cast(tuple[Tensor, ...], tuple(state))


def rebuild(like: State, tensors: Iterator[Tensor]) -> State:
    """A state nested as `like`, holding the next of `tensors`; the inverse of `leaves`."""
    if isinstance(like, Tensor):
        return next(tensors)
    return tuple(rebuild(part, tensors) for part in like)


@overload
def map_state(function: Callable[[Tensor], Tensor], state: State, /) -> State: ...
@overload
def map_state(
    function: Callable[[Tensor, Tensor], Tensor], state: State, other: State, /
) -> State: ...
@overload
def map_state(function: Callable[..., Tensor], state: State, /, *others: State) -> State: ...
def map_state(function: Callable[..., Tensor], state: State, /, *others: State) -> State:
    """Apply `function` to each tensor of `state`, with its counterparts in `others`."""
    if not others:  # the most frequent case, and a matter of microseconds
        if isinstance(state, Tensor):
            return function(state)
        if isinstance(state, (tuple, list)):  # pyright: ignore[reportUnnecessaryIsInstance]
            return tuple([map_state(function, part) for part in state])
    columns = zip(leaves(state), *(leaves(other) for other in others), strict=True)
    return rebuild(state, iter([function(*column) for column in columns]))


def detach(state: State) -> State:
    """The same values, cut off from the graph: what truncated backpropagation carries on."""
    return map_state(lambda tensor: tensor.detach(), state)


def require_like(hx: State, expected: State) -> None:
    """Check a state that a caller gave.

    Args:
        hx: the state given.
        expected: one as it should be: nested alike, its tensors of the same shapes, types and
            devices. Under autocast types may differ.

    Raises:
        ShapeError: it is not.
    """
    if not _alike(hx, expected):
        raise ShapeError(f"hx: expected {_describe(expected)}, given {_describe(hx)}")


def _alike(given: State, expected: State) -> bool:
    if isinstance(expected, Tensor):
        return (
            isinstance(given, Tensor)
            and given.shape == expected.shape
            and given.device == expected.device
            and (given.dtype == expected.dtype or autocast_active(given.device))
        )
    return (
        isinstance(given, (tuple, list))
        and len(given) == len(expected)
        and all(_alike(part, like) for part, like in zip(given, expected, strict=True))
    )


def _describe(state: State) -> str:
    if isinstance(state, Tensor):
        where = "" if state.device.type == "cpu" else f" on {state.device}"
        return f"{str(state.dtype).removeprefix('torch.')} {tuple(state.shape)}{where}"
    if isinstance(state, (tuple, list)):  # pyright: ignore[reportUnnecessaryIsInstance]
        return f"a tuple of [{', '.join(_describe(part) for part in state)}]"
    return type(state).__name__
