"""``loopwise translate``: lines and words in, lines and words out, and what is refused."""

import gzip
import json
import subprocess
import sys

import pytest

from cli.calling import call, command, mistake
from cli.translating import sets
from loopwise.codec.search.options import Sampling
from loopwise.runtime.load import load
from loopwise.runtime.translator import ensemble

LINES = ["eins zwei", "", "drei  vier fünf", "quark", "   ", "null"]
TEXT = "\n".join(LINES).encode() + b"\n"


def translated(*arguments, stdin=TEXT):
    called = call("translate", *arguments, stdin=stdin)
    assert called.status == 0, called.err
    return called.out


def test_a_line_for_each_line_and_empty_ones_in_place(translator):
    expected = load(translator).translate(LINES)
    assert expected[1] == expected[4] == ""
    assert translated(translator).splitlines() == expected
    for size in (1, 2, 99):
        assert translated(translator, "--batch", size).splitlines() == expected


def test_line_ends_and_files(translator, tmp_path):
    expected = load(translator).translate(["eins zwei", "drei", "vier"])
    text = b"eins zwei\r\ndrei\nvier"
    assert translated(translator, stdin=b"\xef\xbb\xbf" + text).splitlines() == expected
    (tmp_path / "a").write_bytes(text)
    (tmp_path / "b.gz").write_bytes(gzip.compress(text))
    given = ("--input", tmp_path / "a", "--input", tmp_path / "b.gz")
    assert translated(translator, *given, stdin=b"").splitlines() == expected * 2
    assert translated(translator, stdin=b"") == ""


def test_options_of_the_search_reach_it(translator):
    model = load(translator)
    options = {
        "beam_size": 3,
        "length_penalty": 0.5,
        "coverage_penalty": 0.2,
        "block_ngram": 1,
        "min_length": 3,
        "max_length": 4,
    }
    words = [
        word
        for name, value in options.items()
        for word in (f"--{name.removesuffix('_size').replace('_', '-')}", value)
    ]
    assert translated(translator, *words).splitlines() == model.translate(LINES, **options)


def test_n_best_with_scores_and_alignments(translator):
    found = load(translator).translations(LINES, n_best=2)
    rows = [row.split("\t") for row in translated(translator, "--n-best", 2, "--align").split("\n")]
    assert rows[2] == [""]  # of the empty second line
    first = [[str(1), f"{t.score:.4f}", t.text, str(t.alignment)] for t in found[0]]
    assert rows[:2] == first
    assert [row[0] for row in rows if row != [""]] == ["1", "1", "3", "3", "4", "4", "6", "6"]


def test_json_says_all(translator):
    records = [json.loads(row) for row in translated(translator, "--json").splitlines()]
    assert [record["source"] for record in records] == LINES
    for record, found in zip(records, load(translator).translations(LINES), strict=True):
        assert [each["text"] for each in record["translations"]] == [each.text for each in found]
        for said, each in zip(record["translations"], found, strict=True):
            assert said["score"] == pytest.approx(each.score)
            assert said["log_probability"] == pytest.approx(each.log_probability)
            assert [f"{s}-{t}" for s, t in said["alignment"]] == str(each.alignment).split()


def test_what_is_drawn_follows_from_the_seed_whatever_the_batch(translator):
    lines = ("eins zwei drei\n" * 20).encode()
    drawn = translated(translator, "--sample", "--seed", 4, stdin=lines)
    assert drawn == translated(translator, "--sample", "--seed", 4, "--batch", 3, stdin=lines)
    assert drawn != translated(translator, "--sample", "--seed", 5, stdin=lines)
    assert len(set(drawn.splitlines())) > 1
    options = ("--temperature", 0.5, "--top-k", 3, "--top-p", 0.9, "--seed", 0)
    expected = load(translator).translate(
        lines.decode().splitlines(), sampling=Sampling(0.5, 3, 0.9, 0)
    )
    assert translated(translator, "--sample", *options, stdin=lines).splitlines() == expected
    cold = translated(translator, "--sample", "--temperature", 0)
    assert cold == translated(translator, "--beam", 1, "--length-penalty", 1)


def test_several_translate_together(translator, pairs, tmp_path):
    other = tmp_path / "other"
    settings = sets(train__max_steps=20, train__seed=2)
    assert (
        call("train", "translation", "--out", other, "--data", pairs / "p.tsv", *settings).status
        == 0
    )
    both = ensemble([load(translator), load(other)])
    assert translated(translator, other).splitlines() == both.translate(LINES)


def test_lines_before_one_that_is_broken_are_not_lost(translator):
    called = call("translate", translator, stdin=b"eins\nzwei\ndr\xffi\nvier\n")
    assert called.status == 1
    assert called.out.splitlines() == load(translator).translate(["eins", "zwei"])
    assert called.err == "error: standard input, line 3: byte 0xff is not UTF-8; convert it\n"


def as_a_stream(model, lines, wait=None):
    stream = model.stream(wait)
    return [" ".join([*stream.push(line), *stream.finish()]) for line in lines]


def test_word_by_word(waiting):
    expected = as_a_stream(load(waiting), LINES)
    assert translated(waiting, "--stream").splitlines() == expected
    assert translated(waiting, "--stream", stdin=TEXT[:-1]).splitlines() == expected
    later = as_a_stream(load(waiting), LINES, 2)
    assert translated(waiting, "--stream", "--wait", 2).splitlines() == later
    whole = load(waiting).translate(LINES, beam_size=1)
    assert translated(waiting, "--stream", "--wait", 99).splitlines() == whole


def test_words_before_a_broken_one_are_not_lost(waiting):
    called = call("translate", waiting, "--stream", stdin=b"eins\nzwei dr\xffi\n")
    assert called.status == 1
    stream = load(waiting).stream()
    (first,) = as_a_stream(load(waiting), ["eins"])
    assert called.out == f"{first}\n{' '.join(stream.push('zwei'))}"
    assert called.err == "error: standard input, line 2: byte 0xff is not UTF-8; convert it\n"


def test_each_word_comes_before_the_next_is_given(waiting):
    stream, came = load(waiting).stream(), 0
    with subprocess.Popen(
        command("translate", waiting, "--stream"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        source, target = process.stdin, process.stdout
        assert source
        assert target

        def answers(given, words, end=""):
            source.write(given.encode())
            source.flush()
            expected = ("".join(f" {word}" for word in words) + end).encode()
            expected = expected if came else expected.removeprefix(b" ")
            assert target.read(len(expected)) == expected
            return len(words)

        for word in ["eins", "zwei", "drei"]:
            came += answers(f"{word} ", stream.push(word))
        assert came >= 2
        answers("\n", stream.finish(), "\n")
        came = 0
        assert answers("vier\t", stream.push("vier")) == 1
        source.close()
        assert target.read().endswith(b"\n")
    assert process.returncode == 0


def test_lines_come_as_soon_as_their_batch_is_done(translator):
    expected = load(translator).translate(["eins zwei", "drei"])
    with subprocess.Popen(
        command("translate", translator, "--batch", 1),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin
        assert process.stdout
        for line, wanted in zip(["eins zwei", "drei"], expected, strict=True):
            process.stdin.write(f"{line}\n")
            assert process.stdout.readline() == f"{wanted}\n"
        process.stdin.close()
    assert process.returncode == 0


def test_one_that_waits_is_noted_where_it_reads_whole_lines(waiting):
    called = call("translate", waiting, stdin=TEXT)
    assert called.status == 0
    assert called.err.startswith(f"note: {waiting}: trained to translate word by word (wait 1)")


def test_mistakes(translator, waiting, trained, pairs, tmp_path):
    def said(*arguments, **options):
        found = mistake("translate", *arguments, **options)
        assert "\n" not in found
        return found

    file, none = pairs / "p.de", tmp_path / "none"
    assert said(trained) == f"{trained}: a language model, no translator"
    assert said(none).startswith(f"{none}: no such file; expected a bundle")
    assert said(file).startswith(f"{file}: damaged, or not a safetensors file")
    order = f"{file}: no model; text is read from standard input, or with --input {file}"
    assert said(translator, file) == order
    assert said(translator, "--input", none) == f"'{none}' does not exist"
    assert said(translator, "--n-best", 3, "--beam", 2) == "n_best=3: must be at most beam_size=2"
    assert "beam_size=2: must be 1 where tokens are drawn" in said(
        translator, "--sample", "--beam", 2
    )
    assert said(translator, "--top-k", 2, "--seed", 0).startswith("--top-k, --seed: needs --sample")
    assert said(translator, "--wait", 2).startswith("--wait: needs --stream")
    assert "length_penalty=-1.0: must be" in said(translator, "--length-penalty", -1)
    assert f"{translator}: this translator reads the whole sentence before its first word" in said(
        translator, "--stream"
    )
    assert said(waiting, "--stream", "--wait", 0) == f"{waiting}: wait=0: must be at least 1 word"
    assert "takes one RUN, given are 2" in said(waiting, waiting, "--stream")
    assert said(waiting, "--stream", "--beam", 2, "--json").endswith("leave out --json, --beam")
    assert "translator, no language model: use loopwise translate" in mistake(
        "generate", translator
    )
    assert "--batch" in mistake("translate", translator, "--batch", 0, status=2)


def test_an_ensemble_has_one_vocabulary(translator, pairs, tmp_path):
    settings = sets(train__max_steps=1, data__unit="chars")
    other = tmp_path / "chars"
    assert (
        call("train", "translation", "--out", other, "--data", pairs / "p.tsv", *settings).status
        == 0
    )
    said = mistake("translate", translator, other, stdin=TEXT)
    assert said.startswith(f"{translator}, {other}: translator 2 has another vocabulary")


WITHOUT_TORCH = """
import sys
from loopwise.cli import main

for command in {!r}:
    sys.argv = ["loopwise", *command]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, command
heavy = {{"torch", "lightning_fabric", "tokenizers"}} & sys.modules.keys()
sys.exit(f"imported: {{sorted(heavy)}}" if heavy else 0)
"""


def test_a_translator_is_used_without_torch(translator, waiting, pairs, tmp_path):
    text, both, out = (str(path) for path in (pairs / "p.de", pairs / "p.tsv", tmp_path))
    model, stream = str(translator), str(waiting)
    commands = [
        ["train", "translation", "--help"],
        ["config", "translation"],
        ["translate", model, "--input", text, "--n-best", "2", "--json"],
        ["translate", stream, "--stream"],
        ["evaluate", model, both],
        ["evaluate", stream, both, "--stream"],
        ["score", model, both, "--tokens"],
        ["export", model, f"{out}/m.safetensors", "--dtype", "int8", "--limit", "9"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH.format(commands)],
        input=b"eins zwei",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
