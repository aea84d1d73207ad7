"""The bundle: one safetensors file with weights and, in its metadata, what a model is.

The metadata has one key, ``"loopwise"``, whose value is the JSON object
``{"format": 1, "task": ..., "model": <description>, "codec": <codec>, "info": {...}}``, or with
``"format": 2`` and ``"dtype"`` besides where the weights are of a lower precision.
No part of a bundle is code, so one from a stranger is safe to open.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from loopwise.errors import BundleError
from loopwise.files import write_atomically
from loopwise.runs import Run
from loopwise.runtime.description import parse_description
from loopwise.runtime.precision import PRECISIONS, decode, encode, stored_forms

FORMAT = 2
"""The newest format; what the first can say is written in it, so that older readers read it."""

_KEYS = {"task": str, "model": dict, "codec": dict, "info": dict}
_LOWER = PRECISIONS[1:]


# What safetensors and NumPy raise, each on another kind of damage.
_DAMAGE = (SafetensorError, OSError, TypeError, AttributeError, ValueError, RecursionError)


@dataclass(frozen=True)
class Bundle:
    """The content of a bundle.

    Attributes:
        task: the kind of sequence work, such as ``"language-model"``.
        model: the model's description (see `loopwise.runtime.description`).
        codec: the tokenizer as its ``to_json`` gives it.
        tensors: name -> array of float16, float32 or float64, exactly those of the description.
        info: anything about the training that JSON can hold; nothing depends on it.
        dtype: what the file keeps of the matrices, and streams have by default: ``"float32"``
            (tensors as they are), or ``"bfloat16"`` or ``"int8"``, to which `tensors` are rounded.
    """

    task: str
    model: dict[str, Any]
    codec: dict[str, Any]
    tensors: dict[str, NDArray[Any]]
    info: dict[str, Any]
    dtype: str = "float32"

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that name the model: equal for equal model, codec and tensors."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(_json({"task": self.task, "model": self.model, "codec": self.codec}).encode())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} {tensor.dtype.str} {tensor.shape}\n".encode())
            digest.update(np.ascontiguousarray(tensor).data)
        return digest.hexdigest()


def write_bundle(path: str | os.PathLike[str], bundle: Bundle) -> None:
    """Write a bundle so that at any moment the path holds the old file or the whole new one.

    Equal bundles give equal bytes.

    Args:
        path: the file to write; its folder must exist.
        bundle: the content; it is checked as `read_bundle` would check it.

    Raises:
        BundleError: what `read_bundle` would refuse, content that JSON cannot hold, or a file that
            cannot be written.
    """
    path = Path(path)
    header: dict[str, Any] = {"format": 1, "task": bundle.task, "model": bundle.model}
    header |= {"codec": bundle.codec, "info": bundle.info}
    if bundle.dtype != "float32":
        header |= {"format": 2, "dtype": bundle.dtype}
    try:
        metadata = {"loopwise": _json(header)}
        checked = _header(metadata)
        stored = encode(bundle.tensors, bundle.dtype)
        _check_tensors(checked, stored)
    except _DAMAGE as error:
        raise BundleError(f"{path}: {error}") from error
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in stored.items()}
    try:
        write_atomically(path, save(tensors, metadata))
    except OSError as error:
        raise BundleError(f"{path}: cannot be written: {error.strerror}") from error


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read a bundle and check it against its own description.

    Args:
        path: a bundle, or the directory of a run, which holds one (`Run.bundle_path`).

    Raises:
        BundleError: a file that is missing, damaged, foreign or of a newer format, or whose tensors
            do not fit the description.
    """
    path = Path(path)
    if path.is_dir():
        path = Run(path).bundle_path
    if not path.is_file():
        raise BundleError(f"{path}: no such file; expected a bundle or the directory of a run")
    try:
        with safe_open(path, framework="np") as file:
            header = _header(file.metadata())
            stored = {name: file.get_tensor(name) for name in sorted(file.keys())}
        _check_tensors(header, stored)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    except _DAMAGE as error:
        raise BundleError(f"{path}: damaged, or not a safetensors file: {error}") from error
    del header["format"]
    return Bundle(tensors=decode(stored, header["dtype"]), **header)


def _header(metadata: dict[str, str] | None) -> dict[str, Any]:
    if not metadata or "loopwise" not in metadata:
        raise BundleError(
            "a safetensors file, but not a bundle: its metadata has no key 'loopwise'"
        )
    try:
        parsed = json.loads(metadata["loopwise"], parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"metadata 'loopwise' is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise BundleError("metadata 'loopwise' is not a JSON object")
    header = cast(dict[str, Any], parsed)
    keys = _KEYS if _check_format(header.get("format")) == 1 else {**_KEYS, "dtype": str}
    for key, kind in keys.items():
        if not isinstance(header.get(key), kind):
            raise BundleError(f"metadata 'loopwise': {key} is missing or not a {kind.__name__}")
    if surplus := header.keys() - keys.keys() - {"format"}:
        raise BundleError(f"metadata 'loopwise': unknown key {min(surplus)!r}")
    if header.setdefault("dtype", "float32") not in _LOWER and "dtype" in keys:
        raise BundleError(f"dtype is {header['dtype']!r}; allowed: {', '.join(_LOWER)}")
    return header


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no value of JSON")


def _check_format(given: object) -> int:
    if type(given) is not int or given < 1:
        raise BundleError(f"format is {given!r}; expected a whole number from 1 to {FORMAT}")
    if given > FORMAT:
        raise BundleError(f"format {given} is newer than this loopwise reads ({FORMAT}); update it")
    return given


def _check_tensors(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
    shapes = parse_description(header["model"]).tensor_shapes()
    expected = stored_forms(shapes, header["dtype"])
    if missing := expected.keys() - tensors.keys():
        raise BundleError(f"tensor {min(missing)} is missing ({len(missing)} in all)")
    if surplus := tensors.keys() - expected.keys():
        raise BundleError(f"tensor {min(surplus)} is not in the description")
    for name, (shape, dtypes) in expected.items():
        tensor = tensors[name]
        if tensor.shape != shape:
            raise BundleError(f"tensor {name} has shape {tensor.shape}, the description {shape}")
        if tensor.dtype.name not in dtypes:
            raise BundleError(f"tensor {name} is {tensor.dtype}; allowed: {', '.join(dtypes)}")


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
