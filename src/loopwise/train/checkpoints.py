"""Checkpoints that survive a kill at any moment and a damaged disk.

A checkpoint is two files. ``step-00001234.89abcdef.safetensors`` holds every tensor, and its name
eight digits of its checksum; ``step-00001234.json``, written last, commits it and holds the rest::

    {"format": 2, "step": 1234, "metric": 4.87 or null, "judge": hex,
     "tensors": {"size": bytes, "sha256": hex}, "state": {...}, "sha256": hex of all the above}

Both are written under another name, brought to the disk and renamed. A step that is saved again has
its old tensors beside the new ones until the new JSON file is there. There is no pickle in them,
and no file that points to another: the latest and the best are read off the JSON files.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from loopwise.errors import CheckpointError
from loopwise.files import write_atomically

FORMAT = 2
_NAME = re.compile(r"step-(\d{8,})\.json")


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint.

    Attributes:
        step: optimiser steps done.
        metric: the monitored metric of the validation at this step; None without one.
        tensors: by name, on the CPU.
        state: everything that is no tensor, JSON values without NaN and infinity.
        judge: which validation gave `metric`; those of different ones are not compared.
    """

    step: int
    metric: float | None
    tensors: dict[str, Tensor]
    state: dict[str, Any]
    judge: str = ""


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `checkpoint` into `folder`.

    Returns:
        The path of its JSON file.

    Raises:
        CheckpointError: the disk refuses.
    """
    path = folder / f"step-{checkpoint.step:08d}.json"
    tensors = {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in checkpoint.tensors.items()
    }
    data = safetensors.torch.save(tensors)
    record: dict[str, Any] = {
        "format": FORMAT,
        "step": checkpoint.step,
        "metric": checkpoint.metric,
        "judge": checkpoint.judge,
        "tensors": {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        "state": checkpoint.state,
    }
    record["sha256"] = _digest(record)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(_tensor_file(path, record), data)
        write_atomically(path, json.dumps(record, allow_nan=False).encode())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """The JSON files of the committed checkpoints in `folder`, by step."""
    found = [(int(m[1]), path) for path in folder.glob("*.json") if (m := _NAME.match(path.name))]
    return [path for _, path in sorted(found)]


def load(path: Path) -> Checkpoint:
    """Read and verify a checkpoint.

    Args:
        path: its JSON file.

    Raises:
        CheckpointError: a file is missing, truncated, altered or of a newer format; the message
            names it, and the latest sound checkpoint before it.
    """
    try:
        return _load(path)
    except CheckpointError as error:
        raise CheckpointError(f"{error}. {_offer_before(path)}") from None


def find(folder: Path, name: str) -> Path:
    """The checkpoint that a user names: ``step-00000120``, ``120``, or the path of its file.

    Raises:
        CheckpointError: there is none; the message lists what there is.
    """
    stem = f"step-{int(name):08d}" if name.isdecimal() else Path(name).name.partition(".")[0]
    path = folder / f"{stem}.json"
    elsewhere = Path(name).parent != Path() and Path(name).parent.resolve() != folder.resolve()
    if path.is_file() and not elsewhere:
        return path
    there = ", ".join(path.stem for path in list_checkpoints(folder)) or "none"
    raise CheckpointError(f"no checkpoint '{name}'; in {folder}: {there}")


def choose(folder: Path, name: str) -> Path | None:
    """`find`, or the ``"latest"`` or the ``"best"`` one, which is None where there is none.

    The latest counts as the best where none was validated.
    """
    if name not in ("latest", "best"):
        return find(folder, name)
    latest = next(reversed(list_checkpoints(folder)), None)
    return latest if name == "latest" else best(folder) or latest


def best(folder: Path) -> Path | None:
    """The checkpoint with the lowest metric, the earliest of equals; None without any metric.

    Only the judge of the latest one counts.
    """
    records = [(record, path) for path in list_checkpoints(folder) if (record := _peek(path))]
    known = [
        (record["metric"], path)
        for record, path in records
        if record["metric"] is not None and record["judge"] == records[-1][0]["judge"]
    ]
    return min(known)[1] if known else None


def prune(folder: Path, keep_last: int) -> None:
    """Remove all checkpoints but the last `keep_last` and the best, and what kills left over."""
    keep = {*list_checkpoints(folder)[-keep_last:], best(folder)}
    remove([path for path in list_checkpoints(folder) if path not in keep])
    committed = {file for path in list_checkpoints(folder) for file in _committed(path)}
    for file in [*folder.glob("step-*.safetensors"), *folder.glob("step-*.tmp")]:
        if file not in committed:
            file.unlink(missing_ok=True)


def remove(paths: list[Path]) -> None:
    """Delete checkpoints, given by their JSON files."""
    for path in paths:
        for file in files(path):
            file.unlink(missing_ok=True)


def files(path: Path) -> list[Path]:
    """The files of a checkpoint in the order in which they must go: its JSON file commits it."""
    return [path, *path.parent.glob(f"{path.stem}.*.safetensors")]


def _tensor_file(path: Path, record: Mapping[str, Any]) -> Path:
    return path.with_suffix(f".{record['tensors']['sha256'][:8]}.safetensors")


def _committed(path: Path) -> list[Path]:
    """The tensor files that a JSON file may stand for: all of its step if it is damaged."""
    record = _peek(path)
    return files(path)[1:] if record is None else [_tensor_file(path, record)]


def _load(path: Path) -> Checkpoint:
    record = _read_record(path)
    file = _tensor_file(path, record)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror}") from None
    expected = record["tensors"]
    if len(data) != expected["size"]:
        raise CheckpointError(f"{file}: has {len(data)} bytes instead of {expected['size']}")
    if hashlib.sha256(data).hexdigest() != expected["sha256"]:
        raise CheckpointError(f"{file}: altered: its checksum is not the recorded one")
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise CheckpointError(f"{file}: not a safetensors file: {error}") from None
    return Checkpoint(record["step"], record["metric"], tensors, record["state"], record["judge"])


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise CheckpointError(f"{path}: truncated or altered: not valid JSON") from None
    if not isinstance(record, dict) or "format" not in record:
        raise CheckpointError(f"{path}: not a checkpoint")
    if record["format"] != FORMAT:
        raise CheckpointError(
            f"{path}: format {record['format']!r}; this loopwise reads format {FORMAT}"
        )
    if record.pop("sha256", None) != _digest(record):
        raise CheckpointError(f"{path}: altered: its checksum is not the recorded one")
    return record


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _peek(path: Path) -> dict[str, Any] | None:
    """The record of a JSON file; None if it is damaged."""
    try:
        return _read_record(path)
    except CheckpointError:
        return None


def _offer_before(path: Path) -> str:
    for earlier in reversed(list_checkpoints(path.parent)):
        if earlier.name < path.name and _is_sound(earlier):
            return f"The one before it is sound: continue with --from-checkpoint {earlier.stem}"
    return "There is no sound checkpoint before it: train again from the start"


def _is_sound(path: Path) -> bool:
    try:
        _load(path)
    except CheckpointError:
        return False
    return True
