"""Configuration: TOML and overrides to values, back again, and what a mistake is told."""

import tomllib
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from loopwise.config import ActsWith, Section
from loopwise.errors import ConfigError
from loopwise.tasks.lm.config import DataConfig, LMConfig, LMTrainConfig, ModelConfig
from loopwise.tasks.lm.estimator import LanguageModel


class Inner(Section):
    """Inner options."""

    ratio: float = Field(default=0.5, ge=0, description="between things")
    depth: int = Field(default=1, description="of it")


class Outer(Section):
    """Outer options."""

    name: str = Field(default="x", description="what it is called")
    kind: Literal["lstm", "gru"] = Field(default="lstm", description="one of two")
    on: bool = Field(default=False, description="whether")
    paths: tuple[str, ...] = Field(default=(), description="several")
    inner: Inner = Inner.load()


# TOML holds no lone surrogates
texts = st.text(st.characters(exclude_categories=["Cs"]))
outers = st.builds(
    Outer,
    name=texts,
    kind=st.sampled_from(["lstm", "gru"]),
    on=st.booleans(),
    paths=st.lists(texts).map(tuple),
    inner=st.builds(
        Inner,
        ratio=st.floats(0, allow_nan=False, allow_infinity=False),
        depth=st.integers(-(2**63), 2**63 - 1),
    ),
)


@given(outers, st.booleans())
def test_toml_gives_the_same_values_back(config, comments):
    assert Outer.parse(tomllib.loads(config.to_toml(comments=comments))) == config


def test_every_key_of_a_task_stands_under_its_description():
    lines = LMConfig.load().to_toml().splitlines()
    for number, line in enumerate(lines):
        if " = " in line and not line.startswith("#"):
            assert lines[number - 1].startswith("# "), line
    assert "# Text and how it is cut into tokens.\n[data]" in "\n".join(lines)
    assert "#" not in LMConfig.load().to_toml(comments=False)


def test_the_printed_configuration_is_a_configuration_file(tmp_path):
    config = LMConfig.load(overrides=["model.hidden_size=7", "data.train=['a', 'b c']"])
    (tmp_path / "c.toml").write_text(config.to_toml(), encoding="utf-8")
    assert LMConfig.load(tmp_path / "c.toml") == config
    assert config.data.train == ("a", "b c")


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "c.toml").write_bytes(b'\xef\xbb\xbfname = "y"\n')
    assert Outer.load(tmp_path / "c.toml").name == "y"


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("name=word", "word"),
        ("name=two words", "two words"),
        ("name='quoted # text'", "quoted # text"),
        ("name=a#b", "a#b"),
        ("name=a=b", "a=b"),
        ("name=2024-01-31", "2024-01-31"),
        ("name=", ""),
        ("kind=gru", "gru"),
        ("on=true", True),
        ("on=True", True),
        ("on=false", False),
        ("paths=['a', 'b']", ("a", "b")),
        ("inner.ratio=2", 2.0),
        ("inner.ratio=1e-3", 1e-3),
        (" inner.depth = -3 ", -3),
    ],
)
def test_overrides_are_typed(override, value):
    config = Outer.load(overrides=[override])
    name = override.partition("=")[0].strip().split(".")[-1]
    assert getattr(config.inner if "inner" in override else config, name) == value


def test_later_overrides_win_and_overrides_win_over_the_file(tmp_path):
    (tmp_path / "c.toml").write_text("[inner]\ndepth = 3\nratio = 0.25\n")
    overrides = ["inner.depth=4", "inner.depth=5"]
    assert Outer.load(tmp_path / "c.toml", overrides).inner == Inner(depth=5, ratio=0.25)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("model.hiden_size", "model.hidden_size"),
        ("hidden_size", "model.hidden_size"),
        ("hiden_size", "model.hidden_size"),
        ("train.hidden_size", "model.hidden_size"),
        ("lr", "train.lr"),
        ("model.num_layer", "model.num_layers"),
        ("train.batchsize", "train.batch_size"),
        ("units", "data.unit"),
    ],
)
def test_an_unknown_key_names_the_nearest(key, hint, tmp_path):
    with pytest.raises(ConfigError, match=f"unknown key '{key}'; did you mean '{hint}'"):
        LMConfig.load(overrides=[f"{key}=1"])
    (tmp_path / "c.toml").write_text(f"{key} = 1\n")
    with pytest.raises(ConfigError, match=f"c.toml: unknown key '{key}'; did you mean '{hint}'"):
        LMConfig.load(tmp_path / "c.toml")


def test_an_unknown_table_names_the_nearest(tmp_path):
    (tmp_path / "c.toml").write_text("[modle]\nnum_layers = 1\n")
    with pytest.raises(ConfigError, match="unknown key 'modle'; did you mean 'model'"):
        LMConfig.load(tmp_path / "c.toml")
    with pytest.raises(ConfigError, match=r"'modle\.num_layers'; did you mean 'model\.num_layers'"):
        LMConfig.load(overrides=["modle.num_layers=1"])


def test_an_unknown_key_far_from_all_lists_those_of_its_table():
    with pytest.raises(ConfigError, match=r"unknown key 'inner\.zzz'; known are ratio, depth"):
        Outer.load(overrides=["inner.zzz=1"])


def test_a_table_is_no_key():
    with pytest.raises(ConfigError, match=r"'inner' is a table; .* such as 'inner.ratio'"):
        Outer.load(overrides=["inner=3"])


@pytest.mark.parametrize("override", ["name", "=3", "inner.=3", ".depth=3", ""])
def test_an_override_has_a_key_and_a_value(override):
    with pytest.raises(ConfigError, match=r"expected section\.key=value"):
        Outer.load(overrides=[override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("kind=LSTM", "--set: kind: must be 'lstm' or 'gru', given 'LSTM'; did you mean 'lstm'"),
        ("on=perhaps", "--set: on: must be true or false, given 'perhaps'"),
        ("inner.depth=2.5", "--set: inner.depth: must be a whole number, given 2.5"),
        ("inner.depth=many", "--set: inner.depth: must be a whole number, given 'many'"),
        ("inner.depth=true", "--set: inner.depth: must be a number, given true"),
        ("inner.ratio=true", "--set: inner.ratio: must be a number, given true"),
        ("inner.ratio=-1", "--set: inner.ratio: must be greater than or equal to 0, given -1"),
        ("inner.ratio=nan", "--set: inner.ratio: must be a finite number, given nan"),
        ("paths=3", "--set: paths: must be a list, given 3"),
        ("paths=[1]", "--set: paths.0: must be text, given 1"),
        ("name=[1]", "--set: name: must be text, given [1]"),
    ],
)
def test_a_wrong_value_is_told_what_is_allowed(override, message):
    with pytest.raises(ConfigError) as caught:
        Outer.load(overrides=[override])
    assert str(caught.value) == message or str(caught.value) == message + "?"


def test_an_error_names_where_the_value_came_from(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("on = 7\n")
    with pytest.raises(ConfigError) as caught:
        Outer.load(file, ["inner.depth=x"])
    first, second = str(caught.value).splitlines()
    assert first == f"{file}: on: must be true or false, given 7"
    assert second == "--set: inner.depth: must be a whole number, given 'x'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"name = ", "not valid TOML: Invalid value .at end of document"),
        (b"name = 'a'\nname = 'b'\n", "not valid TOML: Cannot overwrite a value .at line 2"),
        (b"name = '\xff'", "not valid TOML: .*can't decode byte 0xff"),
        (b"inner = 3", "inner: must be a table of options, given 3"),
    ],
)
def test_a_broken_file_is_named(text, message, tmp_path):
    file = tmp_path / "c.toml"
    file.write_bytes(text)
    with pytest.raises(ConfigError, match=f"c.toml: {message}"):
        Outer.load(file)


def test_an_override_replaces_what_should_have_been_a_table(tmp_path):
    (tmp_path / "c.toml").write_text("inner = 3\n")
    assert Outer.load(tmp_path / "c.toml", ["inner.depth=2"]).inner.depth == 2


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        Outer.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        Outer.load(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model.peephole=true", "model.cell=gru"],
            r"model\.peephole: an option of cell lstm; the cell is gru",
        ),
        (["model.nonlinearity=relu"], r"an option of cell rnn; .*leave it at \"tanh\""),
        (["model.cell=rnn", "model.forget_bias=1"], "an option of cell lstm or gru"),
        (["model.chrono=9", "model.forget_bias=1"], "give one of them"),
        (["model.chrono=1"], "chrono 1: must be 0"),
        (["model.init_scale=0.1", "model.init=orthogonal"], "init_scale draws all weights"),
        (["model.proj_size=512"], "proj_size 512: must be less than .* here 512"),
        (["model.tied=true", "model.last_size=100"], "puts out 100 features.*128.*equal"),
        (["data.train=['-']", "data.valid=['-']"], "standard input .* only once"),
        (["task=speech"], "for the task 'speech'; expected 'lm'"),
    ],
)
def test_options_of_a_language_model_must_fit_each_other(overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        LMConfig.load(overrides=overrides)
    assert "given {" not in str(caught.value)


def test_sizes_of_layers():
    def sizes(**options):
        return ModelConfig(hidden_size=6, embedding_size=4, num_layers=3, **options).sizes

    assert sizes() == [6, 6, 6]
    assert sizes(last_size=5) == [6, 6, 5]
    assert sizes(tied=True) == [6, 6, 4]
    assert sizes(tied=True, proj_size=4, last_size=0) == [6, 6, 6]


def test_data_paths_become_absolute_but_for_standard_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = DataConfig(train=("a/*.txt", "-"), valid=("/b",)).absolute()
    assert data.train == (str(tmp_path / "a/*.txt"), "-")
    assert data.valid == ("/b",)


def test_settings_in_one_row_find_their_table():
    config = LanguageModel(unit="chars", hidden_size=3, epochs=2, window=9).config
    assert (config.data.unit, config.model.hidden_size) == ("chars", 3)
    assert (config.train.epochs, config.train.window) == (2, 9)
    names = [
        name for table in (DataConfig, ModelConfig, LMTrainConfig) for name in table.model_fields
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hiden_size": 3}, "unknown option 'hiden_size'; did you mean 'hidden_size'"),
        ({"valid": ["a"]}, "valid= is no option; give texts to fit"),
        ({"epochs": 0}, "train.epochs: must be greater than or equal to 1, given 0"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ConfigError, match=f"LanguageModel: {message}"):
        LanguageModel(**settings)


class Cake(Section):
    flour: str = "wheat"
    yeast: Annotated[int, ActsWith("flour", ("wheat",))] = 0
    sugar: int = 1


class Feast(Section):
    cake: Cake = Cake(yeast=3, sugar=5)


def test_a_table_given_in_part_keeps_the_defaults_of_its_configuration():
    assert Feast.load() == Feast.parse({"cake": {}}) == Feast()
    assert Feast.load(overrides=["cake.sugar=2"]).cake == Cake(yeast=3, sugar=2)
    assert Feast.parse({"cake": Cake(sugar=9)}).cake == Cake(sugar=9)


def test_a_default_that_would_do_nothing_beside_what_is_given_is_left_out():
    assert Feast.load(overrides=["cake.flour=rye"]).cake == Cake(flour="rye", sugar=5)
    with pytest.raises(ConfigError, match=r"cake\.yeast: an option of flour wheat"):
        Feast.load(overrides=["cake.flour=rye", "cake.yeast=3"])
