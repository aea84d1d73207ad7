"""Speech recognition on one core: whole utterances, streams, and the network beside onnxruntime.

There are two recognizers of the sizes of speech_results.py, with 40 log-mel features, 33 characters
and weights that were never trained, to which each character is about as likely as any other; this
is hard for a beam. `--bundle` takes a trained one instead. They hear noise, or what `--audio` names
(or ready features, for a bundle that wants these).

A real-time factor is seconds of work for a second of sound. "network" makes log-probabilities of
frames; "greedy" and "beam" make text of sound, with the features and this search by its defaults.
A stream is given pieces of 0.1 s; after each it is asked for the text so far, and whether the
utterance is over. "live streams": how many take a piece each in 0.1 s, one after the other. The
network alone: milliseconds, in turn with onnxruntime where that is installed, which is given
patches of frames and must put out the same. `--quick` only shows that the script works.
"""

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, cycle, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from contenders import INSTALLED
from report import argument_parser, print_table, write_results
from speech_models import amount, cut, frames_of, hear, precisions, untrained
from speech_onnx import OnnxNetwork, is_plain
from timing import durations, interleave

from loopwise import engine
from loopwise.runtime.acoustic_model import AcousticModel
from loopwise.runtime.acoustics import read_frames
from loopwise.runtime.load import load
from loopwise.runtime.recognizer import LoadedRecognizer

Array = np.ndarray
Row = dict[str, Any]

PIECE = 0.1
"""Seconds of sound that a stream is given at a time."""
SEARCHES: dict[str, dict[str, Any]] = {"greedy": {"beam_size": 1}, "beam": {}}
AGREE = 1e-4
"""How far log-probabilities may be apart."""


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--bundle", type=Path, help="a trained recognizer with CTC")
    parser.add_argument("--audio", nargs="+", type=Path, default=[], help="files instead of noise")
    parser.add_argument("--seconds", type=float, default=5, help="for each thing that is timed")
    arguments = parser.parse_args()
    use_one_thread()
    seconds = 0 if arguments.quick else arguments.seconds
    lengths = (0.3, 0.5) if arguments.quick else (3, 15)
    models = untrained(quick=arguments.quick)
    if arguments.bundle:
        models = {"bundle": load(arguments.bundle)}
    tables = defaultdict[str, list[Row]](list)
    for name, model in models.items():
        if not (isinstance(model, LoadedRecognizer) and model.description.ctc):
            parser.error(f"--bundle {arguments.bundle}: must be a recognizer with CTC")
        sound = hear(model, max(lengths), arguments.audio)
        for title, rows in measure(model, sound, lengths, seconds).items():
            tables[title] += [{"model": name, **row} for row in rows]
    for title, rows in tables.items():
        print_table(f"speech, {title}", rows)
    write_results(
        arguments.results,
        "speech",
        list(chain(*tables.values())),
        isa=engine.isa() if engine.available() else "",
        bundle=str(arguments.bundle or ""),
        sound="files" if arguments.audio else "noise",
        **INSTALLED,
    )


def use_one_thread() -> None:
    """Begin anew unless there is but one: libraries ask for the number as they are loaded."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def measure(
    model: LoadedRecognizer, sound: Array, lengths: Sequence[float], seconds: float
) -> dict[str, list[Row]]:
    """The rows of all tables, by their titles."""
    parts = {length: sound[: amount(model, length)] for length in lengths}
    tables = {
        "whole utterances: real-time factor": [
            {"seconds": length, **utterance(model, part, seconds)} for length, part in parts.items()
        ],
        "the network alone, whole utterances: milliseconds": [
            beside_whole(model, part, length, seconds) for length, part in parts.items()
        ],
    }
    if not model.description.bidirectional:
        tables[f"streams in pieces of {PIECE} s"] = streams(model, sound, seconds)
        tables["the network alone, streams: milliseconds"] = beside_streams(model, sound, seconds)
    return tables


def utterance(model: LoadedRecognizer, sound: Array, seconds: float) -> Row:
    """Real-time factors of the network, and of all that is done, by search."""
    frames = frames_of(model, sound)
    calls: dict[str, Callable[[], object]] = {"network": partial(model.log_probs, [frames])}
    for name, options in SEARCHES.items():
        calls[name] = lambda options=options: model.recognised([frames_of(model, sound)], **options)
    times = interleave(list(calls.values()), seconds)
    heard = len(sound) / amount(model, 1)
    return {name: digits(spent / heard) for name, spent in zip(calls, times, strict=True)}


def digits(x: float) -> float:
    """Three of them."""
    return float(f"{x:.3g}")


class Listener:
    """A stream that is given sound piece by piece, as a server does it.

    Args:
        model: that listens.
        pieces: of the sound, which come again and again.
        options: of the search.
        ahead: pieces that it is given at once; not all streams then take a step at a time.
    """

    def __init__(self, model: LoadedRecognizer, pieces: list[Array], options: Row, ahead: int):
        self._stream = model.stream(**options)
        ready = model.codec.features.options.ready
        self._accept = self._stream.accept_frames if ready else self._stream.accept_waveform
        self._pieces = cycle(pieces)
        for _ in range(ahead):
            self()

    def __call__(self) -> None:
        self._accept(next(self._pieces))
        self._stream.partial()
        if self._stream.is_endpoint():
            self._stream.finish()


def streams(model: LoadedRecognizer, sound: Array, seconds: float) -> list[Row]:
    """One stream of each precision and search, in turn; then as many as there can be."""
    pieces = cut(sound, amount(model, PIECE))
    makers: dict[tuple[str, str], Callable[[int], Listener]] = {
        (each.bundle.dtype, search): partial(Listener, each, pieces, options)
        for each in precisions(model)
        for search, options in SEARCHES.items()
    }
    times = durations(
        [make(0) for make in makers.values()], len(makers) * seconds, least=200 if seconds else 1
    )
    return [
        {
            "weights": dtype,
            "search": search,
            "real-time factor": digits(mine.mean() / PIECE),
            "ms a piece": digits(1e3 * np.median(mine)),
            "p99": digits(1e3 * np.percentile(mine, 99)),
            "live streams": count_live(make, float(np.median(mine)), seconds),
        }
        for ((dtype, search), make), mine in zip(makers.items(), times, strict=True)
    ]


def count_live(make: Callable[[int], Listener], alone: float, seconds: float) -> int:
    """How many streams take a piece each in the time of a piece.

    Args:
        make: makes one that is so many pieces ahead.
        alone: seconds that a piece takes where there is one stream.
        seconds: how long to time a number of streams. Three are tried, each by what the one before
            took; 0 tries two streams alone.
    """
    count = max(1, int(PIECE / alone)) if seconds else 2
    for _ in range(3 if seconds else 1):
        listeners = [make(number % 4) for number in range(count)]
        (spent,) = interleave([lambda own=listeners: [each() for each in own]], seconds)
        count = max(1, int(count * PIECE / spent))
    return count


def beside_whole(model: LoadedRecognizer, sound: Array, length: float, seconds: float) -> Row:
    """A whole utterance by the network, in turn with onnxruntime."""
    frames, own = frames_of(model, sound), in_precision(model)
    calls = {"loopwise": lambda: own.log_probs(own.see([frames])[0])}
    if theirs := in_onnx(own):
        calls["onnxruntime"] = partial(theirs.read, patches_of(own, frames))
        require_alike(*(call() for call in calls.values()))
    times = dict(zip(calls, interleave(list(calls.values()), seconds), strict=True))
    return {"seconds": length, **compared(times["loopwise"], times.get("onnxruntime"))}


def beside_streams(model: LoadedRecognizer, sound: Array, seconds: float) -> list[Row]:
    """Steps of a stream by the network, one a call, and those of a piece of sound."""
    frames, stride = frames_of(model, sound), model.description.stride
    piece = round(PIECE / model.codec.features.options.hop)
    return [
        *beside_stream(model, "a step", frames, stride, seconds),
        *beside_stream(model, f"{PIECE} s", frames, piece, seconds),
    ]


def beside_stream(
    model: LoadedRecognizer, what: str, frames: Array, size: int, seconds: float
) -> list[Row]:
    """So many frames a call in each precision, in turn with onnxruntime."""
    own, parts = in_precision(model), cut(frames, size)
    calls = {
        each.bundle.dtype: in_turn(stream_of(in_precision(each, each.bundle.dtype)), parts)
        for each in precisions(model)
    }
    if theirs := in_onnx(own):
        ends = [n * size // model.description.stride for n in range(len(parts) + 1)]
        patches = patches_of(own, frames)
        taken = [patches[begin:end] for begin, end in pairwise(ends)]
        said, heard = map(stream_of(own), parts), map(theirs.push, taken)
        require_alike(np.concatenate([*said]), np.concatenate([*heard])[:, 0])
        calls["onnxruntime"] = in_turn(theirs.push, taken)
    found = durations(list(calls.values()), len(calls) * seconds, least=200 if seconds else 1)
    times = {name: float(np.median(each)) for name, each in zip(calls, found, strict=True)}
    other = times.pop("onnxruntime", None)
    return [{"a call": what, "weights": w, **compared(mine, other)} for w, mine in times.items()]


def in_precision(model: LoadedRecognizer, dtype: str = "float32") -> AcousticModel:
    """Its network, with streams that keep weights so."""
    return AcousticModel(model.description, model.bundle.tensors, dtype)


def in_onnx(own: AcousticModel) -> OnnxNetwork | None:
    """The same in onnxruntime, where that is installed and the network is simple enough."""
    if "onnxruntime" not in INSTALLED or not is_plain(own.description):
        return None
    return OnnxNetwork(own.description, own.members[0].tensors, threads=1)


def patches_of(own: AcousticModel, frames: Array) -> Array:
    """What the first layer reads, [K, 1, w F]."""
    return read_frames(own.description, own.members[0].tensors, frames[:, np.newaxis])


def stream_of(own: AcousticModel) -> Callable[[Array], Array]:
    """A new stream, from frames [n, F] to log-probabilities [k, V]."""
    stream = own.stream()
    return lambda frames: own.log_probs(stream.push(frames))


def in_turn(call: Callable[[Array], Array], parts: list[Array]) -> Callable[[], Array]:
    """The call with the next part each time, again and again."""
    following = cycle(parts)
    return lambda: call(next(following))


def require_alike(ours: Array, theirs: Array) -> None:
    assert ours.shape == theirs.shape, f"{ours.shape}, onnxruntime {theirs.shape}"
    apart = np.abs(ours - theirs).max()
    assert apart < AGREE, f"log-probabilities are {apart:.1e} apart"


def compared(ours: float, theirs: float | None) -> Row:
    row = {"loopwise": digits(1e3 * ours)}
    if theirs is None:
        return row
    return {**row, "onnxruntime": digits(1e3 * theirs), "ratio": digits(theirs / ours)}


if __name__ == "__main__":
    main()
