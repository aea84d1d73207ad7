"""From utterances to base frames and units, all in memory. No torch here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.audio.deltas import Frames
from loopwise.codec.audio.feature_files import read_features
from loopwise.codec.audio.files import SLACK, read_audio
from loopwise.codec.audio.options import FeatureOptions
from loopwise.codec.audio.resampling import resample
from loopwise.codec.audio.samples import is_silent
from loopwise.codec.dropped import Invalid
from loopwise.codec.search.transducer.options import TransducerOptions
from loopwise.codec.speech.units import UnitCodec
from loopwise.codec.speech.utterances import Flaw, Utterance, Utterances, select_utterances
from loopwise.errors import DataError

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Recordings:
    """Utterances that are fit to be used.

    Attributes:
        utterances: which.
        sounds: of each the samples at the features' rate, or ready base frames.
        units: of each text, [U], in the units of each codec.
        codecs: of what is put out, and of what a lower layer hears if it hears anything else.
        ctc: whether CTC puts out what is said; else a transducer alone does.
    """

    utterances: Utterances
    sounds: tuple[NDArray[np.float32], ...]
    units: tuple[tuple[Ids, ...], ...]
    codecs: tuple[UnitCodec, ...]
    ctc: bool = True

    def __len__(self) -> int:
        return len(self.utterances)

    def joined(self, rows: Sequence[int]) -> tuple[Ids, ...]:
        """The units of utterances that follow each other, by each codec, [U]."""
        if len(rows) == 1:
            return tuple(units[rows[0]] for units in self.units)
        text = " ".join(self.utterances[row].text for row in rows)
        return tuple(np.asarray(codec.encode(text), np.int32) for codec in self.codecs)


def read_sound(utterance: Utterance, options: FeatureOptions) -> NDArray[np.float32]:
    """Samples [N] at the options' rate; or, where features are ready, base frames [T, B].

    Raises:
        DataError: the file cannot be used; the message names it.
    """
    if options.ready:
        frames = read_features(utterance.audio, options.base_size)
        return _part(frames, utterance, options.hop)
    samples, rate = read_audio(utterance.audio, utterance.start, utterance.end)
    if is_silent(samples):
        raise DataError(f"{utterance.audio}: holds no sound")
    return resample(samples, rate, options.rate)


def _part(frames: Frames, utterance: Utterance, hop: float) -> Frames:
    begin, end, total = utterance.start or 0.0, utterance.end, len(frames) * hop
    if begin >= total or (end is not None and end > total + SLACK):
        part = f"{begin:g} to {'the end' if end is None else format(end, 'g')}"
        raise DataError(f"{utterance.audio}: holds {total:g} s of frames, wanted is {part} s")
    return frames[round(begin / hop) : None if end is None else round(end / hop)]


def read_recordings(
    utterances: Utterances,
    options: FeatureOptions,
    codecs: Sequence[UnitCodec],
    *,
    stride: int,
    ctc: bool,
    longest: float,
    invalid: Invalid,
) -> Recordings:
    """Read all of some utterances.

    Args:
        utterances: which.
        options: of their features.
        codecs: of the units, and of those that a lower layer hears if there are such.
        stride: frames to a step of the network.
        ctc: whether CTC is to put out what is said.
        longest: seconds of an utterance, at most.
        invalid: what becomes of utterances that cannot be used.

    Raises:
        DataError: one cannot be used, or none is left.
    """
    sounds: list[NDArray[np.float32]] = []
    coded: list[list[Ids]] = [[] for _ in codecs]

    def raw() -> Iterator[Utterance | Flaw]:
        for utterance in utterances:
            found = _recording(utterance, options, codecs, stride, ctc, longest)
            if isinstance(found, Flaw):
                yield found
                continue
            sound, ids = found
            sounds.append(sound)
            for several, one in zip(coded, ids, strict=True):
                several.append(one)
            yield utterance

    kept = select_utterances(
        raw(), invalid=invalid, name=utterances.name, dropped=utterances.dropped
    )
    return Recordings(kept, tuple(sounds), tuple(map(tuple, coded)), tuple(codecs), ctc)


def _recording(
    utterance: Utterance,
    options: FeatureOptions,
    codecs: Sequence[UnitCodec],
    stride: int,
    ctc: bool,
    longest: float,
) -> tuple[NDArray[np.float32], list[Ids]] | Flaw:
    where = utterance.where or str(utterance.audio)
    named = "" if where == str(utterance.audio) else f"{utterance.audio}: "
    try:
        sound = read_sound(utterance, options)
    except DataError as error:
        return Flaw(where, "audio", str(error))
    try:
        ids = [np.asarray(codec.encode(utterance.text), np.int32) for codec in codecs]
    except DataError as error:
        return Flaw(where, "unknown", str(error))
    frames = frames_in(sound, options)
    if frames * options.hop > longest:
        told = f"{frames * options.hop:.1f} s, longer than max_seconds={longest:g}"
        return Flaw(where, "long", f"{named}{told}")
    steps, least = -(-frames // stride), steps_needed(ids, ctc)
    if steps < least:
        told = f"{frames} frames, {steps} steps of the network, are too short for "
        return Flaw(where, "short", f"{named}{told}{utterance.text!r}, which needs {least}")
    return sound, ids


def frames_in(sound: NDArray[np.float32], options: FeatureOptions) -> int:
    """How many frames samples, or ready frames, have."""
    if options.ready:
        return len(sound)
    window, hop = round(options.window * options.rate), round(options.hop * options.rate)
    return max((len(sound) - window) // hop + 1, 0)


def steps_needed(units: Sequence[Ids], ctc: bool) -> int:
    """Steps that a text needs, in the units of each codec.

    CTC needs one for each unit, and for a blank between equal ones; it is what hears the units of
    lower layers. A transducer alone says several in a step, as many as its searches follow.
    """
    said, *lower = units
    own = _ctc_steps(said) if ctc else -(-len(said) // TransducerOptions.max_symbols)
    return max(own, *map(_ctc_steps, lower), 1)


def _ctc_steps(units: Ids) -> int:
    return len(units) + int(np.count_nonzero(units[1:] == units[:-1]))
