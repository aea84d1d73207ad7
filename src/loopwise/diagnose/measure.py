"""`loopwise.diagnose`: one step of training, looked at closely."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.optim import Optimizer

from loopwise.diagnose.activity import activity
from loopwise.diagnose.curves import gradients, influence
from loopwise.diagnose.dependence import dependence as measure_dependence
from loopwise.diagnose.effort import QUICK, THOROUGH, Effort
from loopwise.diagnose.finite import first_not_finite
from loopwise.diagnose.observe import Observation, Observations, observe
from loopwise.diagnose.report import Dependence, LayerReport, Report, Spectrum, Training
from loopwise.diagnose.spectrum import spectrum
from loopwise.diagnose.tensors import tensors
from loopwise.errors import ConfigError, DataError, ShapeError
from loopwise.nn.adjoint import follow
from loopwise.nn.stack import Stack

Loss = Callable[[Any], Tensor]


def diagnose(
    model: nn.Module,
    batch: Any,
    loss_fn: Loss | None = None,
    *,
    optimizer: Optimizer | None = None,
    data: ArrayLike | Dependence | None = None,
    thorough: bool = False,
) -> Report:
    """Take one training step's forward and backward pass, and measure what happens inside.

    Every RNN, LSTM and GRU layer in `model`, of loopwise or of torch, is looked at, in each
    direction. The model, its gradients, buffers and mode, the optimiser and torch's random numbers
    are afterwards as before. With the default effort that takes about three times as long as the
    step itself.

    Args:
        model: any module with recurrent layers, or such a layer.
        batch: what it is called with: a tensor, a tuple of arguments, or a dict of named ones.
        loss_fn: from the model's output to a scalar. None: the output is the loss, has it as
            ``.loss`` or ``["loss"]``; or the model is a recurrent layer, and the loss is the sum of
            its final hidden states.
        optimizer: over the model's parameters, to see how large its updates are.
        data: sequences whose dependence on their own past is to be compared with the model's
            memory, as `loopwise.diagnose.dependence.dependence` takes them, or what it gave. None:
            the batch's tokens, or the input of the first recurrent layer.
        thorough: exact spectra, more rows, directions and steps; seconds for a large model.

    Returns:
        the measurements; ``report.findings`` says what they mean.

    Raises:
        ConfigError: no recurrent layer, or a loss that does not depend on the model.
        DataError: an empty batch.
        ShapeError: the loss is not one number.
    """

    def run() -> Tensor:
        return _loss(model, batch, loss_fn)

    _require_rows(batch)
    return examine(
        model, run, optimizer=optimizer, data=data, tokens=_ids(batch), thorough=thorough
    )


def examine(
    model: nn.Module,
    run: Callable[[], Tensor],
    *,
    optimizer: Optimizer | None = None,
    data: ArrayLike | Dependence | None = None,
    tokens: Tensor | None = None,
    training: Training | None = None,
    thorough: bool = False,
) -> Report:
    """`diagnose` for a loss that is computed by a function without arguments.

    Args:
        model: whose layers are looked at.
        run: computes the loss with `model`.
        optimizer: as in `diagnose`.
        data: likewise.
        thorough: likewise.
        tokens: [T, B] or [B, T] what the first layer reads, if these are tokens.
        training: what a run's log says.

    Raises:
        ConfigError, DataError, ShapeError: as `diagnose`.
    """
    effort = THOROUGH if thorough else QUICK
    with _left_as_it_was(model) as rewind, torch.enable_grad():
        with observe(model) as seen:
            _require_watched(seen)
            loss = run()
            _require_scalar(loss)
            if not loss.requires_grad:
                raise ConfigError("loss: does not depend on the model's parameters")
            loss.backward()
        weights = tuple(tensors(model, optimizer))
        calls = seen.longest()
        _require_reached(calls)
        not_finite = None
        if not np.isfinite([float(loss.detach()), *(each.gradient for each in weights)]).all():
            rewind()
            not_finite = first_not_finite(model, run)
        layers = look(calls, effort)
    return Report(
        float(loss.detach()),
        layers,
        weights,
        not_finite,
        _dependence(data, tokens, calls),
        training,
        seen.skipped | _unused(seen, calls),
    )


def look(
    calls: list[Observation], effort: Effort, *, spectra: bool = True
) -> tuple[LayerReport, ...]:
    """What each of the layers did that the loss reached."""
    return tuple(
        _look_at(c, effort, spectra) for c in calls if c.reached and 0 not in c.problem.x.shape
    )


def _look_at(call: Observation, effort: Effort, spectra: bool) -> LayerReport:
    problem = call.problem
    followed = follow(problem)
    steps, rows, inputs = problem.x.shape
    return LayerReport(
        call.name,
        problem.cell,
        inputs,
        problem.state[-1].shape[1],
        steps,
        rows,
        gradients(problem, followed.back(call.d_output, call.d_state, inputs=False)),
        influence(problem, effort),
        spectrum(problem, followed, effort) if spectra else Spectrum(),
        activity(problem, followed),
    )


def _unused(seen: Observations, calls: list[Observation]) -> dict[str, str]:
    """Layers that were watched and have no report, each with the reason."""
    used = {call.name.rpartition(".")[0] or "model" for call in calls}
    reasons = {name: "it took no part in the loss" for name in seen.watched if name not in used}
    for call in calls:
        if 0 in call.problem.x.shape:
            reasons[call.name] = "its input was empty"
        elif not call.reached:
            reasons[call.name] = "nothing of the loss comes back to it"
    return reasons


def _loss(model: nn.Module, batch: Any, loss_fn: Loss | None) -> Tensor:
    if isinstance(batch, Mapping):
        output = model(**cast(Mapping[str, Any], batch))
    elif isinstance(batch, tuple) and not isinstance(batch, PackedSequence):
        output = model(*cast(tuple[Any, ...], batch))
    else:
        output = model(batch)
    if loss_fn is not None:
        return loss_fn(output)
    if isinstance(model, nn.RNNBase | Stack):
        state = output[1]
        return (state if isinstance(state, Tensor) else state[0]).sum()
    if isinstance(output, Mapping):
        return cast(Mapping[str, Any], output).get("loss", output)
    return output if isinstance(output, Tensor) else getattr(output, "loss", output)


def _require_rows(batch: Any) -> None:
    given = list(batch.values()) if isinstance(batch, Mapping) else batch
    for part in given if isinstance(given, tuple | list) else [given]:
        if isinstance(part, Tensor) and part.numel() == 0:
            raise DataError(f"batch: is empty: a tensor of shape {tuple(part.shape)}")


def _require_scalar(loss: Any) -> None:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        given = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise ShapeError(f"loss: expected one number, given {given}; give loss_fn(output) -> loss")


def _require_watched(seen: Observations) -> None:
    if not seen.watched:
        others = "; ".join(f"{name}: {reason}" for name, reason in seen.skipped.items())
        raise ConfigError(
            "model: has no RNN, LSTM or GRU layer to look at" + (f" ({others})" if others else "")
        )


def _require_reached(calls: list[Observation]) -> None:
    if not any(call.reached for call in calls):
        names = ", ".join(call.name for call in calls) or "none was called"
        raise ConfigError(f"loss: does not depend on the model's recurrent layers ({names})")


def _ids(batch: Any) -> Tensor | None:
    """The first tensor of whole numbers in two dimensions."""
    given = list(batch.values()) if isinstance(batch, Mapping) else batch
    for part in given if isinstance(given, tuple | list) else [given]:
        if (
            isinstance(part, Tensor)
            and part.dim() == 2
            and part.dtype in (torch.int64, torch.int32)
        ):
            return part
        if isinstance(part, Tensor):
            return None
    return None


def _dependence(
    data: ArrayLike | Dependence | None, tokens: Tensor | None, calls: list[Observation]
) -> Dependence | None:
    if isinstance(data, Dependence):
        return data
    if data is not None:
        return measure_dependence(data)
    x = calls[0].problem.x
    if tokens is None:
        return measure_dependence(x.cpu().numpy())
    by_shape = {tuple(x.shape[:2]): tokens, tuple(x.shape[1::-1]): tokens.T}
    ids = by_shape.get(tuple(tokens.shape))
    return None if ids is None else measure_dependence(ids.cpu().numpy())


@contextmanager
def _left_as_it_was(model: nn.Module) -> Generator[Callable[[], None]]:
    """Gives a function that leads back to the beginning, and calls it in the end, too."""
    gradients = [(p, p.grad) for p in model.parameters()]
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    devices = {p.device.index for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(sorted(devices)):
        state = torch.get_rng_state()

        def clear() -> None:
            torch.set_rng_state(state)
            for parameter, _ in gradients:
                parameter.grad = None
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)

        clear()
        try:
            yield clear
        finally:
            clear()
            for parameter, gradient in gradients:
                parameter.grad = gradient
