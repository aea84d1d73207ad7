"""Recurrent state: a tensor, or a nested tuple of them, always passed in and handed back.

Between layers a state has the batch first, ``[B, ...]``; at a layer's edge its tensors are stacked
over layers and directions, ``[L*D, B, ...]``, as in ``torch.nn``.
"""

from collections.abc import Callable, Iterator

from torch import Tensor

State = Tensor | tuple["State", ...]


def leaves(state: State) -> Iterator[Tensor]:
    """The tensors of `state`, in order."""
    if isinstance(state, Tensor):
        yield state
    else:
        for part in state:
            yield from leaves(part)


def rebuild(like: State, tensors: Iterator[Tensor]) -> State:
    """A state nested as `like`, holding the next of `tensors`; the inverse of `leaves`."""
    if isinstance(like, Tensor):
        return next(tensors)
    return tuple(rebuild(part, tensors) for part in like)


def map_state(function: Callable[..., Tensor], state: State, *others: State) -> State:
    """Apply `function` to each tensor of `state`, with its counterparts in `others`."""
    columns = zip(leaves(state), *(leaves(other) for other in others), strict=True)
    return rebuild(state, iter([function(*column) for column in columns]))


def detach(state: State) -> State:
    """The same values, cut off from the graph: what truncated backpropagation carries on."""
    return map_state(lambda tensor: tensor.detach(), state)
