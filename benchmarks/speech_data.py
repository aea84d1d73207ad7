"""The utterances of AN4 and of the Free Spoken Digit Dataset, as manifests.

    python benchmarks/speech_data.py an4 train > an4-train.jsonl
    python benchmarks/speech_data.py an4 test > an4-test.jsonl
    python benchmarks/speech_data.py fsdd train > fsdd-train.jsonl
    python benchmarks/speech_data.py fsdd test > fsdd-test.jsonl

The data are found through LOOPWISE_DATA: the folders an4, with etc and feat, and fsdd, with
recordings. AN4 is there as 13 mel cepstra a frame, 100 frames a second (.mfc).
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from published import data

from loopwise.codec.speech.files import manifest_lines
from loopwise.codec.speech.utterances import Flaw, Utterance, Utterances, select_utterances

Part: TypeAlias = Literal["train", "test"]

DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
FSDD_TEST = range(5)
"""The recordings 0 to 4 of each speaker and digit are the official test set."""


def an4(part: Part) -> Utterances:
    """AN4's official training set (948 utterances) or test set (130)."""
    folder = data("an4")
    files = [folder / f"etc/an4_{part}.{kind}" for kind in ("fileids", "transcription")]
    return select_utterances(_an4(folder, *files), name=f"an4 {part}")


def _an4(folder: Path, fileids: Path, transcription: Path) -> Iterator[Utterance | Flaw]:
    """As Sphinx reads them: a line of one file has a path, that of the other its text and name."""
    paths, texts = (file.read_text().splitlines() for file in (fileids, transcription))
    for number, (path, line) in enumerate(zip(paths, texts, strict=True), 1):
        where = f"{transcription}, line {number}"
        found = re.fullmatch(r"(.*\S)\s*\((\S+)\)", line)
        if not found or found[2] != Path(path).name:
            yield Flaw(where, "malformed", f"no text of {path}")
            continue
        audio = folder / f"feat/{path}.mfc"
        yield Utterance(audio, found[1], Path(path).parent.name, id=found[2], where=where)


def fsdd(part: Part | None = None) -> Utterances:
    """Spoken digits: the official training set (2,700), the test set (300), or all of them."""
    folder = data("fsdd") / "recordings"
    files = sorted(folder.glob("*_*_*.wav"), key=_digit)
    return select_utterances(
        Utterance(file, DIGITS[digit], speaker, id=file.stem, where=str(file))
        for file in files
        for speaker, index, digit in [_digit(file)]
        if part is None or (index in FSDD_TEST) == (part == "test")
    )


def _digit(file: Path) -> tuple[str, int, int]:
    """The speaker, the number and the digit of a recording."""
    digit, speaker, index = file.stem.split("_")
    return speaker, int(index), int(digit)


def main() -> None:
    match sys.argv[1:]:
        case [("an4" | "fsdd") as name, part] if part in get_args(Part):
            print(*manifest_lines({"an4": an4, "fsdd": fsdd}[name](part)), sep="\n")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
