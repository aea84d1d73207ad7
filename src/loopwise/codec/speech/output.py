"""What was recognised, as files: text, JSON, subtitles (SRT, WebVTT), and CTM."""

import html
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Literal, TypeAlias, get_args

from loopwise.codec.recognition import Recognition, Word
from loopwise.errors import ConfigError, DataError

Output: TypeAlias = Literal["text", "json", "srt", "vtt", "ctm"]
"""The kinds of files; in all but the subtitles several recordings can follow each other."""

_CUE_CHARACTERS = 84  # two lines of 42, which most styles of subtitles allow
_CUE_SECONDS = 7.0
_PAUSE = 1.0  # seconds without a word that end a subtitle


def transcript(kind: Output, name: str, parts: Sequence[Recognition]) -> str:
    """A recording's transcript.

    Args:
        kind: ``"text"`` has a line for each part. ``"json"`` is an object in one line, with the
            times of the parts and their words in seconds. ``"srt"`` and ``"vtt"`` are subtitles of
            at most 84 characters and 7 seconds, if one word is not longer. ``"ctm"`` is NIST's
            time-marked conversation: a line for each word, with its recording, channel 1, start
            and duration in seconds, and confidence.
        name: the recording; CTM has ``_`` for its white space.
        parts: what was recognised, such as from pause to pause, with times from the recording's
            beginning.

    Returns:
        Lines, each with its end; empty if there is nothing to tell.

    Raises:
        ConfigError: if `kind` is another.
        DataError: if a part has text but no words, and the kind is made of these.
    """
    check_output(kind)
    if kind == "json":
        return f"{_json(name, parts)}\n"
    return "".join(f"{line}\n" for line in transcript_lines(kind, name, parts))


def transcript_lines(kind: Output, name: str, parts: Iterable[Recognition]) -> Iterator[str]:
    """The lines of `transcript` without their ends, those of a part as soon as the part has come.

    What is ``"json"`` is here an object for each part.

    Raises:
        ConfigError: as `transcript`.
        DataError: as `transcript`, once the part's turn has come.
    """
    check_output(kind)
    if kind == "json":
        return (_json(name, [part]) for part in parts)
    timed = parts if kind == "text" else _timed(kind, name, parts)
    return {"text": _text, "srt": _srt, "vtt": _vtt, "ctm": _ctm}[kind](name, timed)


def _timed(kind: Output, name: str, parts: Iterable[Recognition]) -> Iterator[Recognition]:
    for part in parts:
        if part.text and not part.words:
            raise DataError(f"{name}: {kind} needs the times of words, which there are none of")
        yield part


def check_output(kind: object) -> None:
    """Raise ConfigError if this is no `Output`."""
    if kind not in get_args(Output):
        raise ConfigError(f"output {kind!r} is unknown; allowed are {', '.join(get_args(Output))}")


def _text(name: str, parts: Iterable[Recognition]) -> Iterator[str]:
    del name
    return (part.text for part in parts)


def _json(name: str, parts: Sequence[Recognition]) -> str:
    told = {
        "audio": name,
        "text": " ".join(part.text for part in parts if part.text),
        "parts": [
            {
                "text": part.text,
                "score": part.score if math.isfinite(part.score) else None,  # JSON has no infinity
                "words": [_told(word) for word in part.words],
            }
            for part in parts
        ],
    }
    return json.dumps(told, ensure_ascii=False)


def _told(word: Word) -> dict[str, str | float]:
    return {
        "text": word.text,
        "start": round(word.start, 3),
        "end": round(word.end, 3),
        "confidence": round(word.confidence, 4),
    }


def _srt(name: str, parts: Iterable[Recognition]) -> Iterator[str]:
    del name
    for number, cue in enumerate(_cues(parts), 1):
        yield from (str(number), _span(cue, ","), _lines(cue), "")


def _vtt(name: str, parts: Iterable[Recognition]) -> Iterator[str]:
    del name
    yield from ("WEBVTT", "")
    for cue in _cues(parts):
        yield from (_span(cue, "."), html.escape(_lines(cue), quote=False), "")


def _cues(parts: Iterable[Recognition]) -> Iterator[list[Word]]:
    """The words of each subtitle; none reaches from one part to the next."""
    for part in parts:
        cue: list[Word] = []
        for word in part.words:
            if cue and not _fits(cue, word):
                yield cue
                cue = []
            cue.append(word)
        if cue:
            yield cue


def _fits(cue: Sequence[Word], word: Word) -> bool:
    characters = sum(len(each.text) + 1 for each in cue) + len(word.text)
    return (
        characters <= _CUE_CHARACTERS
        and word.end - cue[0].start <= _CUE_SECONDS
        and word.start - cue[-1].end < _PAUSE
    )


def _span(cue: Sequence[Word], point: str) -> str:
    start = round(1000 * cue[0].start)
    end = max(round(1000 * cue[-1].end), start + 1)  # one without length would not be shown
    return f"{_clock(start, point)} --> {_clock(end, point)}"


def _clock(milliseconds: int, point: str) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{thousandths:03}"


def _lines(cue: Sequence[Word]) -> str:
    """The text in one line, or in two that are as equal as words allow."""
    words = [word.text for word in cue]
    whole = " ".join(words)
    if len(whole) <= _CUE_CHARACTERS // 2 or len(words) == 1:
        return whole
    splits = [(" ".join(words[:i]), " ".join(words[i:])) for i in range(1, len(words))]
    return "\n".join(min(splits, key=lambda split: abs(len(split[0]) - len(split[1]))))


def _ctm(name: str, parts: Iterable[Recognition]) -> Iterator[str]:
    recording = "_".join(name.split()) or "-"
    for word in chain.from_iterable(part.words for part in parts):
        duration = word.end - word.start
        yield f"{recording} 1 {word.start:.3f} {duration:.3f} {word.text} {word.confidence:.4f}"
