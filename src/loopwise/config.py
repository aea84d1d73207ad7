"""Typed configuration, TOML and ``--set section.key=value``: three faces of the same values.

A configuration is a frozen pydantic model (`Section`) whose fields carry a default and a
description. It is read from a TOML file and from overrides, written back with its descriptions
as comments, and every unknown key is an error that names the nearest known one. A table that is
given in part keeps the defaults that the configuration has for it.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from loopwise.errors import ConfigError

Key = tuple[str, ...]
S = TypeVar("S", bound="Section")


@dataclass(frozen=True)
class ActsWith:
    """Marks an option, within ``Annotated``, that acts with some values of another one alone.

    Beside other values it may only have its default: what does nothing is refused.

    Attributes:
        option: the other one, which the section declares before.
        values: with which the marked option acts.
    """

    option: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.option} {' or '.join(self.values)}"


class Section(BaseModel):
    """A group of typed options: a whole configuration, or one table of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _tables_keep_their_defaults(cls, values: Any) -> Any:
        # pydantic would complete a table from its own class, whatever its default is here
        if not isinstance(values, Mapping):
            return values
        given = dict(cast(Mapping[str, Any], values))
        for name in cls.model_fields:
            default, part = cls.default_table(name, given), given.get(name, {})
            if default is not None and isinstance(part, Mapping):
                given[name] = default._completing(cast(Mapping[str, Any], part))
        return given

    @field_validator("*", mode="before")
    @classmethod
    def _boolean_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        # pydantic would read true as 1
        kind = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and (kind is int or kind is float):
            raise ValueError(f"must be a number, given {str(value).lower()}")
        return value

    @field_validator("*")
    @classmethod
    def _does_something(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        for needs in _conditions(field):
            other = info.data.get(needs.option)  # None if that is wrong itself
            if value != field.default and other is not None and other not in needs.values:
                raise ValueError(
                    f"an option of {needs}; the {needs.option} is {other}: leave it at "
                    f"{_toml(field.default)}"
                )
        return value

    @classmethod
    def default_table(cls, name: str, given: Mapping[str, Any]) -> "Section | None":
        """What completes the table `name` of this configuration; None if that is no table.

        Args:
            name: of the field.
            given: all that is given, not validated yet, for defaults that depend on it.
        """
        default = cls.model_fields[name].default
        return default if isinstance(default, Section) else None

    @classmethod
    def load(cls, file: str | Path | None = None, overrides: Sequence[str] = ()) -> Self:
        """Read a configuration from a TOML file and overrides; the rest keeps its default.

        Args:
            file: a TOML file, or None for the defaults alone.
            overrides: strings of the form ``section.key=value``, applied in order after the file.
                The value is TOML, or text where it is not valid TOML: strings need no quotes.

        Raises:
            ConfigError: the file cannot be read, or a key or value is not allowed.
        """
        where = "--set" if file is None else str(file)
        values = {} if file is None else _read_toml(Path(file))
        _require_known(cls, values, where)
        overridden = [_apply_override(cls, values, override) for override in overrides]
        return _validate(cls, values, where, overridden)

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, where: str = "configuration") -> Self:
        """Validate nested `values`; `where` names their origin in errors (`ConfigError`)."""
        _require_known(cls, values, where)
        return _validate(cls, values, where)

    def changed(self, overrides: Sequence[str]) -> Self:
        """The same with overrides as `load` takes them.

        Raises:
            ConfigError: a key or value that is not allowed.
        """
        values = self.model_dump()
        overridden = [_apply_override(type(self), values, override) for override in overrides]
        return _validate(type(self), values, "--set", overridden)

    def to_toml(self, *, comments: bool = True) -> str:
        """Write the configuration as TOML, each key under its description as a comment."""
        return "\n".join(_toml_lines(self, "", comments)).strip() + "\n"

    def differences(self, other: Self) -> dict[str, tuple[str, str]]:
        """The keys whose values differ, with the value here and in `other`, both as TOML."""
        values = {
            ".".join(key): (_value(self, key), _value(other, key))
            for key in _known_keys(type(self))
        }
        return {key: (_toml(a), _toml(b)) for key, (a, b) in values.items() if a != b}

    def _completing(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`given`, and of the values here those that are not in it and act beside it."""
        fields = type(self).model_fields
        values = {**{name: getattr(self, name) for name in fields}, **given}

        def acts(name: str) -> bool:
            return all(values.get(n.option) in n.values for n in _conditions(fields[name]))

        return {name: value for name, value in values.items() if name in given or acts(name)}


def nearest(word: str, allowed: Sequence[str]) -> str:
    """Say ``; did you mean ...?`` for the closest allowed word, or nothing if none is close."""
    close = difflib.get_close_matches(word, allowed, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None


def _apply_override(cls: type[Section], values: dict[str, Any], override: str) -> Key:
    name, equals, text = override.partition("=")
    key = tuple(name.strip().split("."))
    if not equals or not all(key):
        raise ConfigError(f"--set {override}: expected section.key=value")
    if key not in _known_keys(cls):
        raise ConfigError(f"--set {override}: {_unknown_message(cls, key)}")
    table = values
    for part in key[:-1]:
        inner = table.get(part)
        table[part] = cast(dict[str, Any], inner) if isinstance(inner, dict) else {}
        table = table[part]
    table[key[-1]] = _parse_value(text.strip())
    return key


def _parse_value(text: str) -> Any:
    """A TOML value where the text is one; otherwise the text itself, so strings need no quotes."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = parsed["value"]
    # a file may be called 2024-01-01, which TOML takes for a date
    plain = isinstance(value, str | int | float | list) and len(parsed) == 1
    return cast(Any, value) if plain else text


def _table(cls: type[Section], name: str) -> type[Section] | None:
    """The class of a table of `cls`; None if `name` is a plain key or unknown."""
    field = cls.model_fields.get(name)
    kind = None if field is None else field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _known_keys(cls: type[Section], prefix: Key = ()) -> list[Key]:
    keys: list[Key] = []
    for name in cls.model_fields:
        table = _table(cls, name)
        inner = [(*prefix, name)] if table is None else _known_keys(table, (*prefix, name))
        keys += inner
    return keys


def _require_known(cls: type[Section], values: Mapping[str, Any], where: str) -> None:
    for key in _unknown_keys(cls, values):
        raise ConfigError(f"{where}: {_unknown_message(cls, key)}")


def _unknown_keys(cls: type[Section], values: Mapping[str, Any], prefix: Key = ()) -> Iterator[Key]:
    for name, value in values.items():
        table = _table(cls, name)
        if name not in cls.model_fields:
            yield (*prefix, name)
        elif table is not None and isinstance(value, Mapping):
            yield from _unknown_keys(table, cast(Mapping[str, Any], value), (*prefix, name))


def _unknown_message(cls: type[Section], key: Key) -> str:
    known, word = _known_keys(cls), ".".join(key)
    inside = [".".join(other) for other in known if other[: len(key)] == key]
    if inside:
        return f"'{word}' is a table; give one of its keys, such as '{inside[0]}'"
    beside = [other[: len(key)] for other in known if other[: len(key) - 1] == key[:-1]]
    hint = _nearest_key(known, list(dict.fromkeys(beside)), key)
    if hint is not None:
        return f"unknown key '{word}'; did you mean '{'.'.join(hint)}'?"
    names = ", ".join(dict.fromkeys(other[-1] for other in beside))
    return f"unknown key '{word}'" + (f"; known are {names}" if names else "")


def _nearest_key(known: Sequence[Key], beside: Sequence[Key], key: Key) -> Key | None:
    """The likeliest key: people remember its last part, and misplace or misspell the rest."""
    for candidates, cutoff in ((known, 1.0), (beside, 0.5), (known, 0.6)):
        names = [other[-1] for other in candidates]
        if close := difflib.get_close_matches(key[-1], names, n=1, cutoff=cutoff):
            return candidates[names.index(close[0])]
    return None


def _validate(
    cls: type[S], values: Mapping[str, Any], where: str, overridden: Collection[Key] = ()
) -> S:
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, where, overridden))) from None


_EXPECTED = {
    "bool": "must be true or false",
    "int": "must be a whole number",
    "float": "must be a number",
    "string": "must be text",
    "tuple": "must be a list",
    "model": "must be a table of options",
}


def _explain(error: ValidationError, where: str, overridden: Collection[Key]) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        key = tuple(str(part) for part in problem["loc"])
        origin = "--set" if any(other[: len(key)] == key for other in overridden) else where
        given = problem["input"]
        kind, _, _ = problem["type"].partition("_")
        if problem["type"] == "value_error":  # speaks for itself
            text = problem["msg"].removeprefix("Value error, ")
        else:
            text = problem["msg"].replace("Input should be", "must be")
            text = f"{_EXPECTED.get(kind, text)}, given {given!r}"
        if problem["type"] == "literal_error" and isinstance(given, str):
            text += nearest(given.lower(), re.findall("'([^']*)'", problem["msg"]))
        yield f"{origin}: {'.'.join(key)}: {text}" if key else f"{origin}: {text}"


def _value(section: Section, key: Key) -> Any:
    value: Any = section
    for part in key:
        value = getattr(value, part)
    return value


def _conditions(field: FieldInfo) -> list[ActsWith]:
    return [item for item in field.metadata if isinstance(item, ActsWith)]


def _toml_lines(section: Section, prefix: str, comments: bool) -> Iterator[str]:
    doc = (type(section).__doc__ or "").strip().splitlines()
    if comments and doc:
        yield f"# {doc[0]}"
    yield f"[{prefix[:-1]}]" if prefix else ""
    tables: dict[str, Section] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            tables[name] = value
            continue
        if comments and field.description:
            yield f"# {'; only with '.join([field.description, *map(str, _conditions(field))])}"
        yield f"{name} = {_toml(value)}"
    for name, table in tables.items():
        yield ""
        yield from _toml_lines(table, f"{prefix}{name}.", comments)


def _toml(value: Any) -> str:
    import tomlkit  # not needed to read a configuration

    plain = list(cast(Sequence[Any], value)) if isinstance(value, tuple) else value
    return tomlkit.item(plain).as_string()
