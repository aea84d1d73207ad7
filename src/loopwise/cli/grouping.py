"""Options that belong together as one dataclass, for commands that have many of them.

A parameter of a command whose type is a dataclass stands for all fields of that dataclass, whose
types are typer's. So commands share groups of options, and hand them on as one value. A field that
several groups of a command have is one option, whose value each of them gets.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, get_type_hints

from typer.core import TyperCommand

from loopwise.errors import ConfigError

Command = Callable[..., None]


def grouped(function: Command) -> Command:
    """The command with each dataclass among its parameters spread out, its fields in its place.

    All parameters are keywords, so that groups, which have no default, may stand anywhere.
    """
    keyword = inspect.Parameter.KEYWORD_ONLY
    flat: dict[str, inspect.Parameter] = {}
    groups: dict[str, tuple[type[Any], list[str]]] = {}
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints[name]
        if not dataclasses.is_dataclass(kind):
            flat[name] = parameter.replace(annotation=kind, kind=keyword)
            continue
        assert isinstance(kind, type)
        own = get_type_hints(kind, include_extras=True)
        fields = dataclasses.fields(kind)
        groups[name] = kind, [field.name for field in fields]
        for field in fields:
            if field.name in flat:
                continue
            required = field.default is dataclasses.MISSING
            flat[field.name] = inspect.Parameter(
                field.name,
                keyword,
                default=inspect.Parameter.empty if required else field.default,
                annotation=own[field.name],
            )

    @wraps(function)
    def command(**given: Any) -> None:
        values = {
            name: kind(**{field: given[field] for field in fields})
            for name, (kind, fields) in groups.items()
        }
        others = {name: value for name, value in given.items() if name in hints}
        function(**others, **values)

    vars(command)["__signature__"] = inspect.Signature(list(flat.values()))
    command.__annotations__ = {name: each.annotation for name, each in flat.items()}
    return command


class Grouped(TyperCommand):
    """Shows options in the help under the headings that their ``rich_help_panel`` says."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """A section a heading, in the order of the options."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            plain = "Arguments" if parameter.param_type_name == "argument" else "Options"
            panel: str = getattr(parameter, "rich_help_panel", None) or plain
            if record is not None:
                sections.setdefault(panel, []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def given(group: Any) -> dict[str, Any]:
    """The options of a group that are not left out, whose defaults are known elsewhere."""
    values = {field.name: getattr(group, field.name) for field in dataclasses.fields(group)}
    return {k: v for k, v in values.items() if not (v is None or v is False or v == [])}


def option_names(names: Mapping[str, Any]) -> str:
    """Options as they are typed, with commas between them."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def refuse(what: str, groups: list[Any], own: Sequence[Any] = ()) -> None:
    """Raise ConfigError where options are given that are not for `what`, as those of `own` are."""
    fitting = {field.name for group in own for field in dataclasses.fields(group)}
    surplus = {
        name: value
        for group in groups
        for name, value in given(group).items()
        if name not in fitting
    }
    if surplus:
        raise ConfigError(f"{what}: leave out {option_names(surplus)}")
