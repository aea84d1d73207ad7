"""Dataclasses of options in a command's place: spread out, gathered, shown under headings."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from loopwise.cli.grouping import Grouped, given, grouped, refuse
from loopwise.errors import ConfigError


@dataclass(frozen=True)
class Colours:
    red: Annotated[int | None, typer.Option(help="Some.", rich_help_panel="Of paint")] = None
    dark_blue: Annotated[list[str] | None, typer.Option(help="More.")] = None
    shiny: Annotated[bool, typer.Option("--shiny", help="Or not.")] = False


@dataclass(frozen=True)
class Finish:
    shiny: Annotated[bool, typer.Option("--shiny", help="Or not.")] = False
    layers: Annotated[int, typer.Option(help="Of varnish.")] = 0


@grouped
def paint(wall: Annotated[str, typer.Argument(help="Which.")], *, colours: Colours, coats: int = 1):
    """Paint a wall."""
    print(wall, colours, coats)


app = typer.Typer(rich_markup_mode=None)
app.command(cls=Grouped)(paint)


@grouped
def varnish(*, colours: Colours, finish: Finish):
    """Varnish a wall."""
    print(colours, finish)


other = typer.Typer(rich_markup_mode=None)
other.command(cls=Grouped)(varnish)


def run(*arguments, app=app):
    found = CliRunner().invoke(app, list(arguments))
    assert found.exit_code == 0, found.output
    return found.output


def test_fields_are_options_and_come_as_one_value():
    assert run("north") == f"north {Colours()} 1\n"
    options = ("--red", "0", "--dark-blue", "a", "--dark-blue", "b", "--shiny", "--coats", "2")
    assert run("north", *options) == f"north {Colours(0, ['a', 'b'], True)} 2\n"


def test_a_field_of_two_groups_is_one_option_that_both_get():
    assert run(app=other) == f"{Colours()} {Finish()}\n"
    both = f"{Colours(red=1, shiny=True)} {Finish(True, 2)}\n"
    assert run("--shiny", "--layers", "2", "--red", "1", app=other) == both
    assert run("--help", app=other).count("--shiny") == 1


def test_headings_of_the_help():
    shown = run("--help")
    places = [shown.index(text) for text in ("Arguments:", "Options:", "--coats", "Of paint:")]
    assert places == sorted(places)
    assert shown.index("--red") > shown.index("Of paint:") > shown.index("--shiny")
    assert "Paint a wall." in shown


def test_what_is_given_and_what_is_refused():
    assert given(Colours()) == {}
    assert given(Colours(red=0, dark_blue=[])) == {"red": 0}
    refuse("the north wall", [Colours()])
    with pytest.raises(ConfigError, match=r"^the north wall: leave out --dark-blue, --shiny$"):
        refuse("the north wall", [Colours(dark_blue=["a"], shiny=True)])
    refuse("the north wall", [Colours(shiny=True)], [Finish()])
    with pytest.raises(ConfigError, match=r"^the north wall: leave out --red$"):
        refuse("the north wall", [Colours(red=1, shiny=True)], [Finish(True)])
