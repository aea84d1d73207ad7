r"""Lines of files that have one record in each: JSON, or columns.

Only ``\n`` ends a line; a ``\r`` before it and a byte order mark before the first line are removed.
"""

import json
from typing import Any

from loopwise.codec.corpus import Source
from loopwise.codec.dropped import Invalid

_JSON_NAMES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
_TAB_NAMES = (".tsv", ".txt", ".tsv.gz", ".txt.gz")
_BOM = b"\xef\xbb\xbf"


def is_json(source: Source) -> bool:
    """Whether each line holds a JSON object, by the file's name or else by the first line."""
    name = source.name.lower()
    if name.endswith(_JSON_NAMES):
        return True
    first = source.data[:4096].removeprefix(_BOM).lstrip()
    return not name.endswith(_TAB_NAMES) and first.startswith(b"{")


def json_value(line: str) -> Any:
    """The JSON value of a line, None if it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def record_lines(source: Source, invalid: Invalid) -> list[str | None]:
    """The lines without their ends; None for one that is not UTF-8, if such may be skipped.

    Raises:
        DataError: if a line is not UTF-8 and `invalid` does not skip it.
    """
    rows = source.data.removeprefix(_BOM).split(b"\n")
    if not rows[-1]:  # the last line has its end, as it should
        rows.pop()
    if invalid == "error":
        source.text("convert it, or leave out such lines with invalid=skip")
    return [_decoded(row.removesuffix(b"\r")) for row in rows]


def _decoded(row: bytes) -> str | None:
    try:
        return row.decode("utf-8")
    except UnicodeDecodeError:
        return None
