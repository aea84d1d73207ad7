import pytest

from loopwise.codec.strings import list_texts, require_text
from loopwise.errors import DataError


@pytest.mark.parametrize("text", ["", "a text", b"", b"\xff"])
def test_one_text_is_one_text(text):
    assert require_text(text, "text") == text
    assert list_texts(text, "texts") == [text]


def test_several_texts_keep_their_order():
    for several in (["b", b"a"], ("b", b"a"), iter(["b", b"a"])):
        assert list_texts(several, "texts") == ["b", b"a"]
    assert list_texts([], "texts") == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "texts: must be a string, bytes or a sequence of these, not int"),
        (None, "texts: must be a string, bytes or a sequence of these, not NoneType"),
        (["a", 3], r"texts\[1\]: must be a string or bytes, not int"),
        ([["a"]], r"texts\[0\]: must be a string or bytes, not list"),
        (bytearray(b"a"), r"texts\[0\]: must be a string or bytes, not int"),
    ],
)
def test_what_is_no_text_is_named(given, message):
    with pytest.raises(DataError, match=f"^{message}$"):
        list_texts(given, "texts")


def test_several_texts_are_not_one():
    with pytest.raises(DataError, match=r"^text: must be a string or bytes, not list$"):
        require_text(["a"], "text")
