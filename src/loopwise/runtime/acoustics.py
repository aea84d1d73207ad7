"""What a recognizer does around its recurrent layers, written once for NumPy and torch.

    step k of the layers reads frames k n - (w - n) ... k n + n - 1, side by side, as they are or
                        as relu(C x + c), a strided convolution
    look-ahead          g_t = sum over j = 0 ... of a_j * h_{t + j}   (Wang et al. 2016)
    CTC                 log softmax(W g + b)                          (Graves et al. 2006)
    joiner              log softmax(J tanh(A g_t + a + P p_u) + j)    (Graves 2012, 2013)

where h are the last layer's outputs and p those of the prediction network. Computed in array-API
functions alone, so that training and deployment run the very same lines.

Shapes: ``T`` frames, ``K`` steps, ``B`` utterances, ``F`` features, ``H`` of the last layer, ``V``
units, ``J`` joint features.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from array_api_compat import array_namespace, device

from loopwise.runtime.description import RecognizerDescription

Array: TypeAlias = Any
"""Of NumPy or torch, float32."""
Tensors: TypeAlias = Mapping[str, Array]


def steps_of(description: RecognizerDescription, frames: Any) -> Any:
    """Steps K of so many frames: one for each n of them, and one for what is left."""
    return (frames + description.stride - 1) // description.stride


def read_frames(description: RecognizerDescription, tensors: Tensors, frames: Array) -> Array:
    """What the layers read of whole utterances.

    Args:
        description: of the network.
        tensors: its own.
        frames: [T, B, F], 0 beyond an utterance's end.

    Returns:
        [K, B, I].
    """
    d, xp = description, array_namespace(frames)
    steps = steps_of(d, frames.shape[0])
    before, after = d.width - d.stride, steps * d.stride - frames.shape[0]
    padded = xp.concat([_zeros(xp, frames, before), frames, _zeros(xp, frames, after)], axis=0)
    patches = xp.concat(
        [padded[i : i + (steps - 1) * d.stride + 1 : d.stride] for i in range(d.width)], axis=-1
    )
    return convolve(d, tensors, patches)


def convolve(description: RecognizerDescription, tensors: Tensors, patches: Array) -> Array:
    """What the layers read, [..., I], of patches of frames [..., w F]."""
    if not description.channels:
        return patches
    xp = array_namespace(patches)
    return xp.clip(patches @ tensors["front.weight"].T + tensors["front.bias"], min=0.0)


def look_ahead(description: RecognizerDescription, tensors: Tensors, hidden: Array) -> Array:
    """The last layer's outputs [K, B, H], 0 beyond an utterance's end, with those that follow."""
    if not description.lookahead:
        return hidden
    xp, weight = array_namespace(hidden), tensors["lookahead.weight"]
    steps = hidden.shape[0]
    padded = xp.concat([hidden, _zeros(xp, hidden, description.lookahead)], axis=0)
    seen = weight[0] * hidden
    for j in range(1, description.lookahead + 1):
        seen = seen + weight[j] * padded[j : j + steps]
    return seen


def logits(tensors: Tensors, seen: Array) -> Array:
    """CTC's logits [..., V] of what was seen [..., H]."""
    return seen @ tensors["head.weight"].T + tensors["head.bias"]


def joint_frames(tensors: Tensors, seen: Array) -> Array:
    """What the joiner makes of frames, [..., J]."""
    return seen @ tensors["join_frame.weight"].T + tensors["join_frame.bias"]


def joint_units(tensors: Tensors, predicted: Array) -> Array:
    """What the joiner makes of the prediction network's outputs, [..., J]."""
    return predicted @ tensors["join_unit.weight"].T


def joint_logits(tensors: Tensors, frame: Array, unit: Array) -> Array:
    """The joiner's logits [..., V] of a frame [..., J] and a prediction [..., J]."""
    xp = array_namespace(frame)
    return xp.tanh(frame + unit) @ tensors["joint.weight"].T + tensors["joint.bias"]


def _zeros(xp: Any, like: Array, count: int) -> Array:
    return xp.zeros((count, *like.shape[1:]), dtype=like.dtype, device=device(like))
