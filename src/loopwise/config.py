"""Typed configuration, TOML and ``--set section.key=value``: three faces of the same values.

A configuration is a frozen pydantic model (`Section`) whose fields carry a default and a
description. It is read from a TOML file and from overrides, written back with its descriptions
as comments, and every unknown key is an error that names the nearest known one.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from loopwise.errors import ConfigError


class Section(BaseModel):
    """A group of typed options: a whole configuration, or one table of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def load(cls, file: str | Path | None = None, overrides: Sequence[str] = ()) -> Self:
        """Read a configuration from a TOML file and overrides; the rest keeps its default.

        Args:
            file: a TOML file, or None for the defaults alone.
            overrides: strings of the form ``section.key=value``, applied in order after the file.

        Raises:
            ConfigError: the file cannot be read, or a key or value is not allowed.
        """
        values = _read_toml(Path(file)) if file is not None else {}
        for override in overrides:
            _apply_override(cls, values, override)
        return cls.parse(values, where=str(file) if file is not None else "--set")

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, where: str = "configuration") -> Self:
        """Validate nested `values`; `where` names their origin in errors (`ConfigError`)."""
        for path in _unknown_keys(cls, values):
            raise ConfigError(f"{where}: {_unknown_message(cls, path)}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError("\n".join(_explain(error, where))) from None

    def to_toml(self, *, comments: bool = True) -> str:
        """Write the configuration as TOML, each key under its description as a comment."""
        lines: list[str] = []
        plain, tables = _split_fields(self)
        _write_fields(self, plain, lines, comments)
        for name in tables:
            section: Section = getattr(self, name)
            doc = (type(section).__doc__ or "").strip().splitlines()
            lines += [f"\n# {doc[0]}"] if comments and doc else [""]
            lines.append(f"[{name}]")
            _write_fields(section, _split_fields(section)[0], lines, comments)
        return "\n".join(lines).strip() + "\n"


def nearest(word: str, allowed: Sequence[str]) -> str:
    """Say ``; did you mean ...?`` for the closest allowed word, or nothing if none is close."""
    close = difflib.get_close_matches(word, allowed, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None


def _apply_override(cls: type[Section], values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise ConfigError(f"--set {override!r}: expected section.key=value")
    if path not in [list(known) for known in _known_keys(cls)]:
        raise ConfigError(f"--set {override!r}: {_unknown_message(cls, tuple(path))}")
    table = values
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = _parse_value(text.strip())


def _parse_value(text: str) -> Any:
    """A TOML value where the text is one; otherwise the text itself, so strings need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _known_keys(cls: type[Section], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in cls.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _known_keys(field.annotation, (*prefix, name))
        else:
            yield (*prefix, name)


def _unknown_keys(
    cls: type[Section], values: Mapping[str, Any], prefix: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        field = cls.model_fields.get(name)
        if field is None:
            yield (*prefix, name)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            if isinstance(value, Mapping):
                yield from _unknown_keys(
                    field.annotation, cast(Mapping[str, Any], value), (*prefix, name)
                )


def _unknown_message(cls: type[Section], path: tuple[str, ...]) -> str:
    known = [".".join(key) for key in _known_keys(cls)]
    word = ".".join(path)
    # A bare or misplaced key is matched by its last part, which is what people remember.
    same_name = [key for key in known if key.rsplit(".", 1)[-1] == path[-1]]
    hint = f"; did you mean '{same_name[0]}'?" if same_name else nearest(word, known)
    return f"unknown key '{word}'{hint}"


def _explain(error: ValidationError, where: str) -> Iterator[str]:
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        given = f", given {problem['input']!r}" if problem["type"] != "missing" else ""
        yield f"{where}: {key + ': ' if key else ''}{problem['msg']}{given}"


def _split_fields(section: Section) -> tuple[list[str], list[str]]:
    tables = [
        name for name in type(section).model_fields if isinstance(getattr(section, name), Section)
    ]
    return [name for name in type(section).model_fields if name not in tables], tables


def _write_fields(section: Section, names: list[str], lines: list[str], comments: bool) -> None:
    import tomlkit  # not needed to read a configuration

    for name in names:
        description = type(section).model_fields[name].description
        if comments and description:
            lines.append(f"# {description}")
        value = getattr(section, name)
        plain = list(cast(Sequence[Any], value)) if isinstance(value, tuple) else value
        lines.append(f"{name} = {tomlkit.item(plain).as_string()}")
