"""What a model is: typed values from the JSON in a bundle, and the tensors that follow."""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

import pydantic
from pydantic import TypeAdapter, ValidationError

from loopwise.errors import BundleError
from loopwise.runtime.description.forecaster import (
    STATISTICS,
    ForecasterDescription,
    OutputDescription,
)
from loopwise.runtime.description.language_model import LanguageModelDescription
from loopwise.runtime.description.layer import LayerDescription
from loopwise.runtime.description.recognizer import (
    RecognizerDescription,
    TransducerDescription,
)
from loopwise.runtime.description.sequence_model import SequenceModelDescription
from loopwise.runtime.description.translator import TranslatorDescription

__all__ = [
    "STATISTICS",
    "Description",
    "ForecasterDescription",
    "LanguageModelDescription",
    "LayerDescription",
    "OutputDescription",
    "RecognizerDescription",
    "SequenceModelDescription",
    "SteppedDescription",
    "TransducerDescription",
    "TranslatorDescription",
    "parse_as",
    "parse_description",
]

SteppedDescription: TypeAlias = LanguageModelDescription | SequenceModelDescription
"""Of models that read a sequence forwards and put something out at every step."""

Description: TypeAlias = (
    LanguageModelDescription
    | SequenceModelDescription
    | ForecasterDescription
    | TranslatorDescription
    | RecognizerDescription
)
D = TypeVar(
    "D",
    LanguageModelDescription,
    SequenceModelDescription,
    ForecasterDescription,
    TranslatorDescription,
    RecognizerDescription,
)

_KINDS: dict[str, TypeAdapter[Any]] = {
    "language-model": TypeAdapter(LanguageModelDescription),
    "sequence-model": TypeAdapter(SequenceModelDescription),
    "forecaster": TypeAdapter(ForecasterDescription),
    "translator": TypeAdapter(TranslatorDescription),
    "recognizer": TypeAdapter(RecognizerDescription),
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
