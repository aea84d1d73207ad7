"""``loopwise score`` of a translator: pairs, tokens, and what is refused."""

import json

import pytest

from cli.calling import call, mistake
from cli.translating import tsv
from loopwise.runtime.load import load

TEXT = tsv(5, seed=3)
PAIRS = [tuple(line.split("\t")) for line in TEXT.splitlines()]


def scores(model):
    return load(model).score(*map(list, zip(*PAIRS, strict=True)))


def test_a_line_for_each_pair(translator, tmp_path):
    (tmp_path / "p.tsv").write_text(TEXT)
    rows = [r.split("\t") for r in call("score", translator, tmp_path / "p.tsv").out.splitlines()]
    assert [tuple(row[1:]) for row in rows] == PAIRS
    assert [float(row[0]) for row in rows] == pytest.approx(scores(translator), abs=1e-4)
    out = call("score", translator, "--json", stdin=TEXT.encode()).out
    records = [json.loads(row) for row in out.splitlines()]
    assert [record["log_probability"] for record in records] == pytest.approx(scores(translator))
    assert [(record["source"], record["target"]) for record in records] == PAIRS


def test_files_side_by_side(translator, tmp_path):
    for number, name in enumerate(("de", "en")):
        (tmp_path / name).write_text("\n".join(pair[number] for pair in PAIRS))
    given = ("--source", tmp_path / "de", "--target", tmp_path / "en")
    assert (
        call("score", translator, *given).out == call("score", translator, stdin=TEXT.encode()).out
    )


def test_tokens_add_up_to_their_pair(translator):
    text = "no tab\n" + TEXT
    called = call(
        "score", translator, "--tokens", "--json", "--invalid", "skip", stdin=text.encode()
    )
    assert called.err == "standard input: 1 pair dropped: 1 malformed\n"
    tokens = [json.loads(row) for row in called.out.splitlines()]
    for line, score in enumerate(scores(translator), start=2):
        own = [token["surprisal"] for token in tokens if token["line"] == line]
        assert sum(own) == pytest.approx(-score, rel=1e-5)
    head, *rows = call("score", translator, "--tokens", stdin=TEXT.encode()).out.splitlines()
    assert head == "line\ttoken\tsurprisal"
    words = [word for _, target in PAIRS for word in [*target.split(), "<eos>"]]
    assert [row.split("\t")[1] for row in rows] == words


def test_a_translator_that_waits_scores_what_it_was_trained_for(waiting):
    rows = call("score", waiting, stdin=TEXT.encode()).out.splitlines()
    model, sides = load(waiting), list(map(list, zip(*PAIRS, strict=True)))
    expected = model.score(*sides, wait=1)
    assert [float(row.split("\t")[0]) for row in rows] == pytest.approx(expected, abs=1e-4)
    assert expected != pytest.approx(model.score(*sides, wait=0), abs=1e-3)


def test_mistakes(translator, trained, tmp_path):
    (tmp_path / "p.tsv").write_text("ein Satz ohne Tab\n")
    said = mistake("score", translator, tmp_path / "p.tsv")
    assert "p.tsv, line 1: columns separated by tabs: 1, wanted: at least 2" in said
    assert "give both" in mistake("score", translator, "--target", tmp_path / "p.tsv")
    (tmp_path / "q.tsv").write_text("a\nb\n")
    said = mistake(
        "score", translator, "--source", tmp_path / "p.tsv", "--target", tmp_path / "q.tsv"
    )
    assert "p.tsv has 1 lines" in said
    assert "q.tsv has 2" in said
    said = mistake("score", trained, tmp_path / "p.tsv", "--invalid", "skip")
    assert said == f"{trained}: a language model: leave out --invalid"
    assert "the model comes first" in mistake("score", tmp_path / "p.tsv", translator)
