"""``loopwise transcribe``: recordings and samples in, text out, and what is refused."""

import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import fields
from typing import get_type_hints

import numpy as np
import pytest

from cli.calling import call, command, mistake
from loopwise.cli.recognizing import RecognizingGroup
from loopwise.codec.speech.output import transcript
from loopwise.runtime.decoding import Decoding
from loopwise.runtime.load import load
from tasks.speech.sounds import NOISE, RATE, said, write


def files(utterances, *numbers):
    return [utterances / "test" / f"{number:03}.wav" for number in numbers]


def transcribed(*arguments, stdin=b""):
    called = call("transcribe", *arguments, stdin=stdin)
    assert called.status == 0, called.err
    return called.out


def pcm(*parts):
    """Samples as bytes: of a text, or of silence for a number of seconds."""
    sounds = [said(part) if isinstance(part, str) else silence(part) for part in parts]
    return (np.concatenate(sounds) * 32767).astype("<i2").tobytes()


def seconds(parts):
    return len(pcm(*parts)) / 2 / RATE


def silence(seconds):
    return np.random.default_rng(1).normal(0, NOISE, round(seconds * RATE))


def test_a_line_for_each_file_with_its_name_where_there_are_several(recognizer, utterances):
    several = files(utterances, 0, 1, 2, 3, 4)
    expected = load(recognizer).transcribe(several)
    assert len(set(expected)) > 2
    named = [f"{file}\t{text}" for file, text in zip(several, expected, strict=True)]
    for batch in (1, 2, 9):
        assert transcribed(recognizer, *several, "--batch", batch).splitlines() == named
    assert transcribed(recognizer, several[1]) == f"{expected[1]}\n"


def test_words_are_found_in_every_kind_of_file(recognizer, tmp_path):
    text = "do re mi"
    for rate, name in ((RATE, "a.wav"), (16_000, "b.flac"), (44_100, "c.wav"), (16_000, "d.ogg")):
        write(tmp_path / name, said(text, rate=rate), rate)
        assert transcribed(recognizer, tmp_path / name) == f"{text}\n", name
    both = np.stack([said(text), said(text)], axis=1)
    write(tmp_path / "e.wav", both)
    assert transcribed(recognizer, tmp_path / "e.wav") == f"{text}\n"


@pytest.mark.parametrize("kind", ["text", "json", "srt", "vtt", "ctm"])
def test_every_format_to_the_terminal_and_to_a_file(recognizer, utterances, kind, tmp_path):
    (file,) = files(utterances, 1)
    (found,) = load(recognizer).recognitions(file)
    expected = transcript(kind, str(file), [found])
    assert found.words
    assert transcribed(recognizer, file, "--format", kind) == expected
    assert transcribed(recognizer, file, "--format", kind, "--out", tmp_path / "o") == ""
    assert (tmp_path / "o").read_text() == expected


def test_a_file_each_in_a_folder(recognizer, utterances, tmp_path):
    several, out = files(utterances, 0, 1), tmp_path / "out"
    shown = transcribed(recognizer, *several, "--format", "srt", "--out", out)
    assert shown.splitlines() == [f"{out}/000.srt", f"{out}/001.srt"]
    assert (out / "001.srt").read_text().startswith("1\n00:00:00,")
    transcribed(recognizer, *several, "--out", f"{tmp_path}/new/")
    texts = [(tmp_path / "new" / f"00{i}.txt").read_text() for i in range(2)]
    assert texts == [f"{text}\n" for text in load(recognizer).transcribe(several)]


def test_options_of_the_search_reach_it(recognizer, utterances, tmp_path):
    (file,) = files(utterances, 2)
    model = load(recognizer)
    (tmp_path / "hot").write_text("fa\n\n  so  fa \n")
    options = {
        "beam_size": 3,
        "among": "words",
        "language": "own",
        "language_weight": 3.0,
        "word_bonus": -1.0,
        "hot_bonus": 9.0,
    }
    words = [w for name, value in options.items() for w in (f"--{name.replace('_', '-')}", value)]
    hot = ("--hot-word", "do re", "--hot-words", tmp_path / "hot")
    (found,) = model.recognitions(file, hot_words=["do re", "fa", "so fa"], **options)
    told = json.loads(transcribed(recognizer, file, *words, *hot, "--format", "json"))
    assert told["parts"][0]["score"] == pytest.approx(found.score)
    assert told["text"] == found.text
    (plain,) = model.recognitions(file)
    assert plain.score != pytest.approx(found.score)


def test_files_beside_one_that_is_broken_are_transcribed(recognizer, utterances, tmp_path):
    one, other = files(utterances, 0, 1)
    broken, none = tmp_path / "b.wav", tmp_path / "none.wav"
    broken.write_bytes(b"no sound at all")
    expected = load(recognizer).transcribe([one, other])
    for batch in (1, 8):
        called = call("transcribe", recognizer, one, broken, other, none, "--batch", batch)
        assert called.status == 1
        assert called.out == f"{one}\t{expected[0]}\n{other}\t{expected[1]}\n"
        errors = called.err.splitlines()
        assert errors[0].startswith(f"error: {broken}: no audio that can be read")
        assert errors[1] == f"error: {none}: cannot be read (No such file or directory)"


def test_ready_features(ready):
    several = [ready / "test-000.npy", ready / "test-001.npy"]
    expected = load(ready / "run").transcribe(several)
    shown = transcribed(ready / "run", *several).splitlines()
    assert [line.split("\t")[1] for line in shown] == expected


def test_utterances_of_a_stream_are_lines_with_times_from_its_beginning(listener):
    given = pcm("do re mi", 1.5, "fa so", 3.0, "mi")
    assert transcribed(listener, "--stream", stdin=given) == "do re mi\nfa so\nmi\n"
    rows = [
        row.split(" ")
        for row in transcribed(listener, "--stream", "--format", "ctm", stdin=given).splitlines()
    ]
    assert [row[4] for row in rows] == ["do", "re", "mi", "fa", "so", "mi"]
    starts = [float(row[2]) for row in rows]
    parts = ["do re mi", 1.5, "fa so", 3.0, "mi"]
    for index, offset in ((0, 0.0), (3, seconds(parts[:2])), (5, seconds(parts[:4]))):
        assert starts[index] == pytest.approx(offset + 0.1, abs=0.15)
    assert starts == sorted(starts)


def test_a_stream_in_every_format(listener):
    given = pcm("do re mi", 1.5, "fa so")
    records = [
        json.loads(row)
        for row in transcribed(listener, "--stream", "--format", "json", stdin=given).splitlines()
    ]
    assert [record["text"] for record in records] == ["do re mi", "fa so"]
    assert records[1]["parts"][0]["words"][0]["start"] > 2
    shown = transcribed(listener, "--stream", "--format", "srt", stdin=given)
    assert re.findall(r"^(\d+)\n[^\n]+\n(.*)$", shown, re.M) == [("1", "do re mi"), ("2", "fa so")]
    assert transcribed(listener, "--stream", "--format", "vtt", stdin=b"") == "WEBVTT\n\n"


def test_a_stream_without_a_pause_is_what_the_file_is(listener, utterances, tmp_path):
    text = "so fa mi re"
    write(tmp_path / "a.wav", said(text))
    data = pcm(text)
    assert transcribed(listener, tmp_path / "a.wav") == f"{text}\n"
    assert transcribed(listener, "--stream", stdin=data + b"x") == f"{text}\n"


def test_endpoints_are_where_the_options_say(listener):
    given = pcm("do re", 0.6, "mi fa", 0.6, "so")
    assert transcribed(listener, "--stream", stdin=given) == "do re mi fa so\n"
    early = transcribed(listener, "--stream", "--silence-after", 0.5, stdin=given)
    assert early == "do re\nmi fa\nso\n"
    short = transcribed(listener, "--stream", "--longest", 1.0, stdin=given)
    assert len(short.splitlines()) == 3
    rows = transcribed(
        listener, "--stream", "--silence-before", 0.5, "--format", "ctm", stdin=pcm(1.0, "do")
    )
    assert [row.split(" ")[4] for row in rows.splitlines()] == ["do"]


def test_another_rate(listener):
    sound = said("do mi so", rate=16_000)
    given = (sound * 32767).astype("<i2").tobytes()
    assert transcribed(listener, "--stream", "--rate", 16_000, stdin=given) == "do mi so\n"


def test_partial_results_as_lines(listener):
    given = pcm("do re mi", 1.5, "fa")
    rows = transcribed(listener, "--stream", "--partial", stdin=given).splitlines()
    assert [row for row in rows if row.startswith("final")] == ["final\tdo re mi", "final\tfa"]
    before = rows[: rows.index("final\tdo re mi")]
    assert before == ["partial\tdo", "partial\tdo re", "partial\tdo re mi"]
    records = [
        json.loads(row)
        for row in transcribed(
            listener, "--stream", "--partial", "--format", "json", stdin=given
        ).splitlines()
    ]
    assert [record.get("partial") for record in records[:4]] == ["do", "do re", "do re mi", None]
    assert records[4]["partial"] == "fa"
    assert records[4]["start"] >= 1.5


def test_partial_results_come_while_the_sound_does(listener):
    with subprocess.Popen(
        command("transcribe", listener, "--stream", "--partial"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        data = pcm("do re mi fa")
        cut = round(0.7 * RATE) * 2 + 1  # in the middle of a sample
        process.stdin.write(data[:cut])
        process.stdin.flush()
        assert process.stdout.readline() == b"partial\tdo\n"
        process.stdin.write(data[cut:] + pcm(1.5))
        process.stdin.flush()
        later = iter(process.stdout.readline, b"")
        assert (
            next(line for line in later if not line.startswith(b"partial"))
            == b"final\tdo re mi fa\n"
        )
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_after_an_interruption_what_was_said_is_printed(listener):
    with subprocess.Popen(
        command("transcribe", listener, "--stream", "--partial"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(pcm("do re", 0.5))
        process.stdin.flush()
        assert b"partial\tdo re\n" in iter(process.stdout.readline, b"")
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b"final\tdo re\n"
    assert process.returncode == 130


@pytest.mark.skipif(shutil.which("script") is None, reason="needs a terminal: script")
def test_at_a_terminal_the_line_is_written_anew(listener, tmp_path):
    (tmp_path / "a.pcm").write_bytes(pcm("do re"))
    line = " ".join([*command("transcribe", listener, "--stream"), "<", str(tmp_path / "a.pcm")])
    done = subprocess.run(
        ["script", "-qec", line, "/dev/null"], capture_output=True, check=False, timeout=60
    )
    assert b"\r\x1b[Kdo\r" in done.stdout
    assert done.stdout.endswith(b"\r\x1b[Kdo re\r\n")


def test_input_that_is_closed(listener):
    line = " ".join([*command("transcribe", listener, "--stream"), "<&-"])
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: --stream: standard input is closed; send samples there\n"


def test_the_help_tells_the_defaults():
    told = get_type_hints(RecognizingGroup, include_extras=True)
    for field in fields(Decoding):
        if field.name != "hot_words":
            found = re.search(r"\[default: (.*)\]", told[field.name].__metadata__[0].help)
            assert found, field.name
            assert found[1] == str(field.default), field.name


def test_mistakes(recognizer, listener, ready, trained, utterances, tmp_path):
    def told(*arguments, **options):
        found = mistake("transcribe", *arguments, **options)
        assert "\n" not in found
        return found

    one, other = files(utterances, 0, 1)
    assert told(trained, one) == f"{trained}: a language model, no recognizer of speech"
    assert told(one, recognizer).endswith(f"loopwise transcribe {recognizer} {one}")
    assert told(tmp_path / "none", one).startswith(f"{tmp_path}/none: no such file")
    assert "give FILE..., or --stream" in told(recognizer)
    assert told(recognizer, "-") == "-: samples from standard input need --stream"
    assert "is for loopwise evaluate" in told(recognizer, utterances / "test.jsonl")
    assert told(recognizer, "--stream").startswith(
        f"{recognizer}: this model reads utterances both"
    )
    assert told(listener, one, "--stream").endswith(f"leave out {one}")
    assert told(listener, one, "--rate", 8000, "--partial") == (
        "without --stream: leave out --rate, --partial"
    )
    assert told(listener, "--stream", "--batch", 2).endswith("leave out --batch")
    assert "give --out a folder" in told(recognizer, one, other, "--format", "srt")
    assert "would both be" in told(recognizer, one, one, "--format", "srt", "--out", tmp_path)
    assert told(recognizer, one, "--out", one) == f"--out: {one} is read, and would be overwritten"
    assert told(recognizer, one, "--out", tmp_path / "no" / "o").endswith("folder that is there")
    assert "beam_size=0" in told(recognizer, one, "--beam-size", 0)
    assert "knows no words, language, bonus or hot words" in told(
        recognizer, one, "--beam-size", 1, "--hot-word", "do"
    )
    assert "hum" in told(recognizer, one, "--hot-word", "hum")
    assert "does not exist" in told(recognizer, one, "--hot-words", tmp_path / "none")
    assert told(recognizer, one, "--language", trained / "no").startswith(f"{trained}/no: no such")
    assert "silence_after=0.0: must be above 0" in told(listener, "--stream", "--silence-after", 0)
    assert "leave out --out, or --format" in told(
        listener, "--stream", "--partial", "--format", "srt"
    )
    assert "come from files, not from samples" in told(ready / "run", "--stream")
    for rate in ("nan", "inf", "1e12", "0.001", "0", "-5"):
        found = told(listener, "--stream", "--rate", rate, stdin=bytes(999))
        assert found.endswith("must be a number from 1,000 to 1,000,000, in Hz"), found
    wav = one.read_bytes()
    assert told(listener, "--stream", stdin=wav).startswith("standard input: a wav file, not plain")
    assert "'pdf' is not one of" in mistake(
        "transcribe", recognizer, one, "--format", "pdf", status=2
    )


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


def test_a_recognizer_is_used_without_torch(recognizer, listener, utterances, tmp_path):
    (audio,) = files(utterances, 0)
    manifest = utterances / "test.jsonl"
    commands = [
        ["train", "speech", "--help"],
        ["config", "speech"],
        ["transcribe", recognizer, audio, "--format", "json"],
        ["transcribe", listener, "--stream", "--among", "words"],
        ["evaluate", recognizer, manifest],
        ["evaluate", listener, manifest, "--stream"],
        ["export", recognizer, tmp_path / "m.safetensors", "--dtype", "int8", "--limit", "9"],
    ]
    words = [[str(word) for word in each] for each in commands]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH.format(words)],
        input=pcm("do"),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
