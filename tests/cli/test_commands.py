"""The commands that run a model: evaluate, generate, score, export, and config, help, version."""

import inspect
import json
import math
import tomllib

import pytest

import loopwise
from cli.calling import call, mistake, sets
from loopwise.codec.corpus import read_sources
from loopwise.runs import Run
from loopwise.runtime.cache import NeuralCache
from loopwise.runtime.load import load
from loopwise.tasks.lm.config import LMConfig
from loopwise.tasks.lm.dynamic import DynamicEvaluation
from runtime.tiny import loaded


@pytest.fixture
def bundle(trained, tmp_path):
    called = call("export", trained, tmp_path / "b.safetensors")
    size = (tmp_path / "b.safetensors").stat().st_size
    assert called.out == f"{tmp_path}/b.safetensors: {size:,} bytes\n"
    return tmp_path / "b.safetensors"


def test_evaluate_prints_a_table_with_a_total(trained, text):
    head, *rows = call("evaluate", trained, text).out.splitlines()
    assert head.split() == ["file", "perplexity", "bits/char", "bits/byte", "unknown", "tokens"]
    assert rows[-1].split()[0] == "total"
    assert rows[-1].split()[-1] == f"{sum(len(s.data) for s in read_sources([text])):,}"
    assert len(call("evaluate", trained, text / "a.txt").out.splitlines()) >= 2
    assert "total" not in call("evaluate", trained, text / "a.txt").out


def test_evaluate_in_json_agrees_with_the_model(trained, text):
    figures = json.loads(call("evaluate", trained, text, "--json").out)
    scores = [load(trained).score_source(source) for source in read_sources([text])]
    assert [each["file"] for each in figures["files"]] == [f"{text}/a.txt", f"{text}/b.txt"]
    assert [each["nats"] for each in figures["files"]] == [score.nats for score in scores]
    assert figures["nats"] == sum(score.nats for score in scores)
    assert figures["perplexity"] == pytest.approx(math.exp(figures["nats"] / figures["tokens"]))


def test_a_file_named_twice_counts_twice(trained, text):
    once = json.loads(call("evaluate", trained, text / "a.txt", "--json").out)
    twice = json.loads(call("evaluate", trained, text / "a.txt", text / "a.txt", "--json").out)
    assert twice["tokens"] == 2 * once["tokens"]
    assert twice["perplexity"] == pytest.approx(once["perplexity"])


def test_evaluate_with_cache_and_dynamic(trained, tmp_path):
    (tmp_path / "t.txt").write_text("a cat saw a cat saw " * 30)

    def nats(*options):
        return json.loads(call("evaluate", trained, tmp_path / "t.txt", "--json", *options).out)[
            "nats"
        ]

    plain = nats()
    assert nats("--dynamic", "--dynamic-lr", 0) == pytest.approx(plain, rel=1e-5)
    assert nats("--dynamic", "--dynamic-lr", 0.5) < 0.95 * plain
    assert nats("--cache", 100) != plain
    assert nats("--cache", 100, "--cache-weight", 0) == pytest.approx(plain)


def test_generate_repeats_itself_with_a_seed(trained):
    options = ("--prompt", "the ", "--length", 30)
    one = call("generate", trained, *options, "--seed", 1).out
    assert one == call("generate", trained, *options, "--seed", 1).out
    assert one != call("generate", trained, *options, "--seed", 2).out
    assert one.startswith("the ")
    assert len(one) == len("the ") + 30 + 1
    greedy = [call("generate", trained, *options, "--temperature", 0).out for _ in range(2)]
    assert greedy[0] == greedy[1]
    assert call("generate", trained, "--length", 0).out == "\n"


def test_generate_is_what_the_model_generates(trained):
    expected = load(trained).generate("the ", seed=4)
    assert call("generate", trained, "--prompt", "the ", "--seed", 4).out == f"the {expected}\n"
    expected = load(trained).generate("the ", 20, temperature=0.5, top_k=3, top_p=0.9, seed=4)
    options = ("--temperature", 0.5, "--top-k", 3, "--top-p", 0.9, "--seed", 4, "--length", 20)
    assert call("generate", trained, "--prompt", "the ", *options).out == f"the {expected}\n"


def test_generate_stops_before_a_text(trained):
    options = ("--prompt", "the", "--length", 200, "--seed", 1)
    assert " " in call("generate", trained, *options).out
    assert " " not in call("generate", trained, *options, "--stop", " ").out


def test_words_are_generated_with_spaces(words):
    out = call("generate", words, "--prompt", "the cat <unk>", "--length", 5, "--seed", 3).out
    assert out.startswith("the cat <unk>")
    assert all(len(word) < 6 for word in out.split())
    spaced = call("generate", words, "--prompt", "the cat <unk> ", "--length", 5, "--seed", 3).out
    assert spaced == out


def test_score_prints_a_line_for_each_line(trained, tmp_path):
    (tmp_path / "t.txt").write_text("a cat\n\nthe mat")
    rows = [row.split("\t") for row in call("score", trained, tmp_path / "t.txt").out.splitlines()]
    assert [line for _, line in rows] == ["a cat", "", "the mat"]
    expected = load(trained).score(["a cat\n", "\n", "the mat\n"])
    assert [float(nats) for nats, _ in rows] == pytest.approx(expected, abs=1e-4)
    records = call("score", trained, tmp_path / "t.txt", "--json").out.splitlines()
    assert [json.loads(r)["log_probability"] for r in records] == expected
    assert (
        call("score", trained, stdin=b"a cat\n\nthe mat\n").out
        == call("score", trained, tmp_path / "t.txt").out
    )


def test_tokens_add_up_to_their_line(trained):
    given = {"stdin": b"a cat\nthe mat\n"}
    lines = [json.loads(row) for row in call("score", trained, "--json", **given).out.splitlines()]
    out = call("score", trained, "--tokens", "--json", **given).out
    tokens = [json.loads(row) for row in out.splitlines()]
    for number, line in enumerate(lines, start=1):
        nats = sum(token["surprisal"] for token in tokens if token["line"] == number)
        assert nats == pytest.approx(-line["log_probability"], abs=1e-4)
    out = call("score", trained, "--tokens", **given).out
    head, *rows = [row.split("\t") for row in out.splitlines()]
    assert head == ["line", "token", "surprisal"]
    assert [row[1] for row in rows[:6]] == ["a", " ", "c", "a", "t", r"\n"]


def test_a_model_of_bytes_scores_what_is_not_utf8(trained, tmp_path):
    model = loaded("bytes")
    model.save(tmp_path / "m.safetensors")
    given = {"stdin": b"caf\xe9\n\xff\n"}
    rows = call("score", tmp_path / "m.safetensors", **given).out.splitlines()
    assert [row.split("\t")[1] for row in rows] == [r"caf\xe9", r"\xff"]
    records = call("score", tmp_path / "m.safetensors", "--json", **given).out.splitlines()
    nats = [json.loads(record)["log_probability"] for record in records]
    assert nats == model.score([b"caf\xe9\n", b"\xff\n"])
    _, *rows = call("score", tmp_path / "m.safetensors", "--tokens", **given).out.splitlines()
    assert [row.split("\t")[1] for row in rows] == ["c", "a", "f", r"\xe9", r"\n", r"\xff", r"\n"]
    said = mistake("score", trained, **given)
    assert said.startswith("standard input: byte 0xe9 at offset 3 (line 1) is not UTF-8")


def test_a_bundle_will_do_wherever_a_run_will(trained, bundle, text):
    for command in (
        ("evaluate", text, "--json"),
        ("generate", "--seed", 1, "--length", 9),
        ("score", text / "a.txt"),
    ):
        name, *rest = command
        assert call(name, bundle, *rest).out == call(name, trained, *rest).out
    assert call("export", bundle, bundle.with_name("c.safetensors")).status == 0
    assert bundle.read_bytes() == bundle.with_name("c.safetensors").read_bytes()


def test_export_replaces_on_demand_only(trained, bundle):
    assert "exists already; replace it with --overwrite" in mistake("export", trained, bundle)
    assert call("export", trained, bundle, "--overwrite").status == 0
    said = mistake("export", trained, bundle.with_suffix(".pt"))
    assert "b.pt: a bundle's name ends in .safetensors" in said
    said = mistake("export", trained, bundle.parent / "none/b.safetensors")
    assert "none/b.safetensors: cannot be written: No such file or directory" in said


def test_config_prints_what_it_was_told_and_is_a_configuration():
    out = call("config", "lm", *sets(model__cell="gru")).out
    assert LMConfig.parse(tomllib.loads(out)) == LMConfig.load(
        overrides=sets(model__cell="gru")[1::2]
    )
    assert "unknown key 'model.sell'; did you mean 'model.cell'" in mistake(
        "config", "lm", "--set", "model.sell=gru"
    )


def test_help_and_version():
    assert call("--version").out == f"loopwise {loopwise.__version__}\n"
    out = call("--help").out
    names = (
        "train",
        "diagnose",
        "evaluate",
        "forecast",
        "generate",
        "score",
        "export",
        "config",
        "data",
    )
    places = [out.index(f"\n  {name} ") for name in names]
    assert places == sorted(places)
    for name in names:
        assert call(name, "-h").out == call(name, "--help").out != ""
    for line in out.splitlines():
        assert "..." not in line or "data" in line or "COMMAND" in line  # descriptions fit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["NONE"], "NONE: no such file; expected a bundle or the directory of a run"),
        (["FOLDER"], "FOLDER: not a run: has no config.toml"),
        (["YOUNG"], "YOUNG: this run has no bundle yet"),
        (["TEXT"], "TEXT: damaged, or not a safetensors file"),
        (["CUT"], "CUT: damaged, or not a safetensors file"),
        (["RUN", "--prompt", "a 7 b é"], "--prompt: '7', 'é': not among the"),
        (["WORDS", "--prompt", "the Dog"], "--prompt: 'Dog': not among .* or write <unk>"),
        (["RUN", "--temperature", "-1"], "temperature=-1.0: must be"),
        (["RUN", "--top-p", "2"], "top_p=2.0: must be above 0 and at most 1"),
        (["RUN", "--top-k", "-2"], "top_k=-2: must be"),
        (["RUN", "--seed", "-2"], "seed=-2: must be at least 0"),
        (["RUN", "--stop", ""], "stop='': must hold at least one character"),
    ],
)
def test_mistakes_with_a_model(arguments, message, trained, words, bundle, tmp_path):
    Run.create(tmp_path / "young").write_config('task = "lm"\n')
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("some text, and no bundle")
    (tmp_path / "cut").write_bytes(bundle.read_bytes()[:-100])
    names = {name: tmp_path / name.lower() for name in ("NONE", "FOLDER", "YOUNG", "TEXT", "CUT")}
    names |= {"RUN": trained, "WORDS": words}
    said = mistake("generate", *[names.get(argument, argument) for argument in arguments])
    start, _, end = message.partition(".*")
    assert said.startswith(start.replace(arguments[0], str(names[arguments[0]]), 1))
    assert end in said
    assert "\n" not in said


def test_the_help_of_evaluate_shows_the_defaults():
    said = " ".join(call("evaluate", "--help").out.split())
    learner = inspect.signature(DynamicEvaluation).parameters
    for option, default in {
        "cache-theta": NeuralCache.theta,
        "cache-weight": NeuralCache.interpolation,
        "dynamic-lr": learner["lr"].default,
        "dynamic-decay": learner["decay"].default,
    }.items():
        shown = said.split(f"--{option} ")[1].split("[default: ")[1].split("]")[0]
        assert shown == str(default)


def test_a_model_behind_its_files_is_noticed(trained, bundle, text, tmp_path):
    file, gone = text / "a.txt", text / "none.txt"
    first = "the model comes first: loopwise"
    said = mistake("evaluate", file, bundle)
    assert said == f"{file}: no model, but {bundle} is; {first} evaluate {bundle} {file}"
    said = mistake("evaluate", text, file, trained)
    assert said.endswith(f"{first} evaluate {trained} {text} {file}")
    assert mistake("score", gone, trained).endswith(f"{first} score {trained} {gone}")
    young = Run.create(tmp_path / "young")
    young.write_config('task = "lm"\n')
    assert "has no bundle yet" in mistake("evaluate", young.path, trained)
    assert mistake("score", file, young.path).endswith(f"{first} score {young.path} {file}")
    assert mistake("evaluate", file, file).startswith(f"{file}: damaged, or not a safetensors file")


def test_mistakes_with_files_and_options(trained, text):
    assert "did you mean" in mistake("evaluate", trained, text / "c.txt")
    said = mistake("evaluate", trained, text, "--dynamic", "--cache", 9)
    assert "--dynamic and --cache cannot be combined" in said
    assert "cache size -3: must be at least 1" in mistake("evaluate", trained, text, "--cache", -3)
    assert "dynamic lr -1.0" in mistake("evaluate", trained, text, "--dynamic", "--dynamic-lr", -1)
    for option in ("--cache-theta", "--cache-weight", "--dynamic-lr", "--dynamic-decay"):
        said = mistake("evaluate", trained, text, option, 0.5)
        assert option in said
        assert f"need {option.rpartition('-')[0]}" in said
    assert "standard input: empty" in mistake("score", trained)
    assert "--length" in mistake("generate", trained, "--length", -1, status=2)
    assert "RUN" in mistake("generate", status=2)
    assert "'lm'" in mistake("config", "ml", status=2)
