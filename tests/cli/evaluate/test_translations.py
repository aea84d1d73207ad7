"""``loopwise evaluate`` of a translator: what is printed, written and refused."""

import json
import math

import numpy as np
import pytest

from cli.calling import call, mistake
from cli.translating import tsv
from loopwise.codec.translation_metrics import average_lagging, translation_score
from loopwise.runtime.load import load

LINES = [line.split("\t") for line in tsv(40, seed=2).splitlines()]
SOURCES, TARGETS = map(list, zip(*LINES, strict=True))


@pytest.fixture
def file(tmp_path):
    (tmp_path / "test.tsv").write_text(tsv(40, seed=2))
    return tmp_path / "test.tsv"


def figures(*arguments):
    called = call("evaluate", *arguments, "--json")
    assert called.status == 0, called.err
    return json.loads(called.out)


def test_figures_are_those_of_the_library(translator, file, tmp_path):
    out = tmp_path / "o.txt"
    found = figures(translator, file, "--save-translations", out, "--beam", 2)
    model = load(translator)
    texts = model.translate(SOURCES, beam_size=2)
    assert out.read_text().splitlines() == texts
    expected = translation_score(texts, TARGETS)
    assert (found["bleu"], found["chrf"]) == (expected.bleu, expected.chrf)
    assert found["bleu_signature"] == expected.bleu_signature
    log_probs = np.concatenate(model.log_probs(SOURCES, TARGETS))
    assert found["perplexity"] == pytest.approx(math.exp(-log_probs.mean()), rel=1e-5)
    assert found["pairs"] == 40
    assert found["sentences_per_second"] == pytest.approx(40 / found["seconds"])
    assert figures(translator, file, "--beam", 2, "--batch", 1)["bleu"] == expected.bleu


def test_lines_for_people(translator, file):
    called = call("evaluate", translator, file, "--tokenize", "none", "--lowercase")
    assert called.status == 0, called.err
    lines = called.out.splitlines()
    assert lines[0] == f"{file}: 40 pairs"
    names = ["BLEU", "chrF", "perplexity", "speed", "BLEU", "chrF"]
    assert [line.split()[0] for line in lines[1:]] == names
    assert "case:lc|eff:no|tok:none" in lines[5]


def test_files_side_by_side_and_pairs_left_out(translator, file, tmp_path):
    for name, side in (("de", SOURCES), ("en", TARGETS)):
        (tmp_path / name).write_text("\n".join(side))
    given = ("--source", tmp_path / "de", "--target", tmp_path / "en")
    expected = figures(translator, file)
    assert figures(translator, *given)["bleu"] == expected["bleu"]
    file.write_text(file.read_text() + "no tab\n")
    assert "line 41: columns separated by tabs: 1" in mistake("evaluate", translator, file)
    found = figures(translator, file, "--invalid", "skip")
    assert (found["bleu"], found["dropped"]["malformed"]) == (expected["bleu"], 1)
    shown = call("evaluate", translator, file, "--invalid", "skip").out
    assert shown.splitlines()[0] == f"{file}: 40 pairs; 1 pair dropped: 1 malformed"


def test_columns_are_those_of_the_training(pairs, tmp_path):
    from cli.translating import sets

    rows = [f"{n}\t{target}\t{source}" for n, (source, target) in enumerate(LINES)]
    (tmp_path / "t.tsv").write_text("\n".join(rows))
    settings = sets(data__columns="[2, 1]", train__max_steps=2)
    given = ("train", "translation", "--out", tmp_path / "run", "--data", tmp_path / "t.tsv")
    assert call(*given, *settings).status == 0
    found = figures(tmp_path / "run", tmp_path / "t.tsv")
    texts = load(tmp_path / "run").translate(SOURCES)
    assert found["bleu"] == translation_score(texts, TARGETS).bleu


@pytest.mark.parametrize("wait", [None, 2])
def test_word_by_word_it_says_how_far_it_lags(waiting, file, wait):
    options = () if wait is None else ("--wait", wait)
    found = figures(waiting, file, "--stream", *options)
    stream = load(waiting).stream(wait)
    texts, lags = [], []
    for source in SOURCES:
        texts.append(" ".join([*stream.push(source), *stream.finish()]))
        lags.append(average_lagging(stream.delays, len(source.split())))
    assert found["bleu"] == translation_score(texts, TARGETS).bleu
    assert found["wait"] == (wait or 1)
    assert found["latency"]["average_lagging"] == pytest.approx(np.mean(lags))
    model = load(waiting)
    log_probs = np.concatenate(model.log_probs(SOURCES, TARGETS, wait))
    assert found["perplexity"] == pytest.approx(math.exp(-log_probs.mean()), rel=1e-5)
    whole = np.concatenate(model.log_probs(SOURCES, TARGETS, 0))
    assert figures(waiting, file)["perplexity"] == pytest.approx(math.exp(-whole.mean()), rel=1e-5)
    shown = call("evaluate", waiting, file, "--stream", *options).out
    assert f"waits for   {wait or 1} words\nlagging     {np.mean(lags):.2f} words\n" in shown


def test_mistakes(translator, waiting, trained, file, tmp_path):
    def said(*arguments):
        found = mistake("evaluate", *arguments)
        assert "\n" not in found
        return found

    assert (
        "a translator: give FILE... of pairs, or --source and --target; given is neither"
        in said(translator)
    )
    assert "given is both" in said(translator, file, "--source", file, "--target", file)
    assert "--source and --target: give both" in said(translator, "--source", file)
    assert said(translator, file, "--cache", 3) == f"{translator}: a translator: leave out --cache"
    assert said(trained, file, "--beam", 3).endswith("a language model: leave out --beam")
    assert said(file, translator).endswith(f"loopwise evaluate {translator} {file}")
    assert said(translator, file, "--wait", 3).startswith("--wait: needs --stream")
    assert "leave out --beam" in said(waiting, file, "--stream", "--beam", 3)
    assert "leave out --batch" in said(waiting, file, "--stream", "--batch", 3)
    assert "reads the whole sentence before" in said(translator, file, "--stream")
    missing = tmp_path / "none" / "o.txt"
    assert said(translator, file, "--save-translations", missing).startswith("--save-translations")
    assert "n_best" not in said(translator, file, "--beam", 0)
    assert "'spm' is not one of" in mistake(
        "evaluate", translator, file, "--tokenize", "spm", status=2
    )
