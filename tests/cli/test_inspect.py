"""``loopwise inspect``: pictures, and mistakes that say what is allowed."""

import pytest

from cli.calling import call, mistake
from tasks.synthetic.runs import SMALL

SETS = [word for setting in SMALL for word in ("--set", setting)]


@pytest.fixture(scope="module")
def adding(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "adding"
    assert call("train", "adding", "--out", out, *SETS).status == 0
    return out


def test_a_text_is_read_from_inside(trained, tmp_path):
    page, plots = tmp_path / "a" / "i.html", tmp_path / "plots"
    given = ("--text", "the cat Q\n", "--out", page, "--plots", plots, "--what", "gate-f")
    called = call("inspect", trained, *given)
    assert called.status == 0, called.err
    assert "10 steps through layers.0.l0 (lstm, 16 units)" in called.out
    assert "shown as <unk>: 'Q'" in called.out
    assert "due to, by occlusion" in called.out
    assert "<svg" in page.read_text(encoding="utf-8")
    assert {"attribution.png", "gate-f.layers.0.l0.svg"} <= {file.name for file in plots.iterdir()}
    assert not list(plots.glob("hidden*"))


def test_words_bundles_and_other_text(words, text):
    bundle = words / "bundle.safetensors"
    out = call("inspect", bundle, "--text", "the cat ran\n", "--data", text / "a.txt").out
    assert "shown as <unk>: 'ran'" in out
    assert "give --data" in call("inspect", bundle, "--text", "the cat sat\n").out


def test_another_checkpoint_and_place(trained):
    out = call("inspect", trained, "--text", "the cat", "--checkpoint", "latest", "--at", "2").out
    assert "after step 2" in out
    assert "log-probability of ' '" in out


def test_a_drawn_sequence_and_a_file(adding, tmp_path):
    assert "6 steps through layers.0.l0 (gru" in call("inspect", adding, "--seed", 3).out
    table = tmp_path / "a.csv"
    table.write_text("0.5,1\n0.25,0\n0.125,1\n")
    called = call("inspect", adding, "--series", table, "--out", tmp_path / "i.html")
    assert called.status == 0, called.err
    assert "the answer after step 2" in called.out


def test_mistakes(trained, adding, tmp_path):
    assert "at least 2" in mistake("inspect", trained, "--text", "a")
    assert "give --text" in mistake("inspect", trained)
    assert "no --series or --seed" in mistake("inspect", trained, "--seed", 1)
    assert "no --text or --data" in mistake("inspect", adding, "--text", "abc")
    said = mistake("inspect", trained, "--text", "the cat", "--at", "7")
    assert "at 7: there are 7 steps, 0 to 6 (or -7 to -1)" in said
    assert "6 steps, 0 to 5" in mistake("inspect", adding, "--at", "-7")
    said = mistake("inspect", trained, "--text", "the", "--layer", "layers.1.l0")
    assert "did you mean 'layers.0.l0'?" in said
    said = mistake("inspect", trained, "--text", "the", "--what", "gate-x")
    assert "gate-i" in said
    table = tmp_path / "a.csv"
    table.write_text("1,2,3\n1,2,3\n")
    assert "2 rows or more of 2 columns" in mistake("inspect", adding, "--series", table)
    table.write_text("a,b\n")
    assert "not a table of numbers" in mistake("inspect", adding, "--series", table)
    assert "cannot be read" in mistake("inspect", adding, "--series", tmp_path / "none.csv")


def test_a_sentence_and_where_its_translation_looks(translator, waiting, tmp_path):
    page, plots = tmp_path / "i.html", tmp_path / "plots"
    given = ("--text", "eins zwei", "--target", "one two", "--at", 1)
    called = call("inspect", translator, *given, "--out", page, "--plots", plots)
    assert called.status == 0, called.err
    assert "2 steps through encoder.0.l0 (lstm, 24 units), encoder.0.l0_reverse" in called.out
    assert "given translation: one two\nalignment: " in called.out
    assert "two' at token 1 of the translation: " in called.out
    assert "Where each word looks" in page.read_text(encoding="utf-8")
    assert {"attention.png", "attention.svg"} <= {file.name for file in plots.iterdir()}
    bundle = translator / "bundle.safetensors"
    assert "\ntranslation: " in call("inspect", bundle, "--text", "eins zwei").out
    given = ("--text", "eins zwei", "--checkpoint", "latest")
    assert "\ntranslation: " in call("inspect", waiting, *given).out


def test_units_of_a_translator_are_measured_on_sentences(translator, tmp_path):
    given = ("--text", "eins zwei", "--target", "one two")
    assert "telling units need 500 tokens" in call("inspect", translator, *given).out  # 9 are held
    (tmp_path / "more").write_text("eins zwei\n\ndrei  vier fünf\n" * 150)
    called = call("inspect", translator, *given, "--data", tmp_path / "more")
    assert called.status == 0, called.err
    assert "telling units, on 750 steps of " in called.out
    assert "  position in line  r " in called.out
    assert "does not exist" in mistake("inspect", translator, *given, "--data", tmp_path / "none")


def test_mistakes_with_a_translator(translator, trained):
    assert "a translator: give --text" in mistake("inspect", translator)
    said = mistake("inspect", translator, "--text", "a", "--seed", 1)
    assert "it takes --text and --target, but no --series" in said
    assert "no translator: --target is not for it" in mistake(
        "inspect", trained, "--text", "the cat", "--target", "x"
    )
    said = mistake("inspect", translator, "--text", "eins", "--target", "one", "--at", 4)
    assert said == "at 4: the translation has 1 tokens, 0 to 0 (or -1 to -1)"
