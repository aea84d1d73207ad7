"""Batches of utterances, changed at random in each epoch."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from loopwise.codec.audio.augment import (
    add_noise,
    change_speed,
    mask_frequency,
    mask_time,
    stretch_time,
    warp_cepstra,
    warp_frequency,
)
from loopwise.codec.audio.deltas import Frames
from loopwise.codec.audio.features import FeatureCodec
from loopwise.codec.audio.noise import read_noises
from loopwise.tasks.bucketing import Buckets, BucketStream, Lengths, pad
from loopwise.tasks.speech.config import AugmentConfig
from loopwise.tasks.speech.model import SpeechBatch, Texts
from loopwise.tasks.speech.recordings import Ids, Recordings


class UtteranceStream(BucketStream[SpeechBatch]):
    """An endless stream of batches of utterances of like length.

    What is changed of an utterance follows from the seed, the epoch and its place.

    Args:
        recordings: to learn from.
        features: of them.
        augment: what is changed.
        buckets: at most so many frames, and utterances, in a batch.
        stride: frames to a step of the network.

    Raises:
        DataError: an epoch has fewer batches than processes.
    """

    def __init__(
        self,
        recordings: Recordings,
        features: FeatureCodec,
        augment: AugmentConfig,
        buckets: Buckets,
        stride: int,
    ):
        self._recordings, self._features = recordings, features
        self._augment, self._stride = augment, stride
        rate = features.options.rate
        self._noises = read_noises(augment.noises, rate) if augment.noises else []
        whole = features.options.ready or not (augment.speed or augment.noise)
        self._bases = base_frames(recordings, features) if whole else None
        options = features.options
        hop = 1 if options.ready else round(options.hop * options.rate)
        self._sizes = np.array([len(sound) // hop for sound in recordings.sounds])
        super().__init__(
            buckets,
            f"{recordings.utterances.name}: {len(recordings)} utterances",
            {
                "utterances": fingerprint(recordings, features),
                "frames": buckets.most,
                "size": buckets.size,
            },
            "utterances, data options, features, train.batch_seconds, train.batch_size and "
            "train.seed",
        )

    def _measure(self, epoch: int) -> Lengths:
        return Lengths(self._sizes, (self._sizes,))

    def _take(self, rows: NDArray[np.integer[Any]]) -> SpeechBatch:
        frames = [self._changed(int(row)) for row in rows]
        return make_batch(self._recordings, frames, rows.tolist())

    def _changed(self, row: int) -> Frames:
        """The frames of an utterance in this epoch."""
        rng = np.random.default_rng([self._buckets.seed, self.epoch, row])
        options = self._augment
        least = self._recordings.steps_needed(row) * self._stride
        base = self._base(row, rng)
        if options.stretch:
            stretched = stretch_time(base, float(np.exp(rng.uniform(-1, 1) * options.stretch)))
            base = stretched if len(stretched) >= least else base
        if options.warp:
            base = self._warped(base, 1 + float(rng.uniform(-1, 1)) * options.warp)
        frames = self._features.finish_frames(base)
        if options.time_masks:
            longest = min(options.time_mask, len(frames) // 4)
            frames = mask_time(frames, options.time_masks, longest, rng)
        if options.band_masks:
            frames = mask_frequency(frames, options.band_masks, options.band_mask, rng)
        if options.shift and len(frames) - self._stride >= least:
            frames = frames[int(rng.integers(self._stride)) :]
        return frames

    def _base(self, row: int, rng: Generator) -> Frames:
        if self._bases is not None:
            return self._bases[row]
        options, rate = self._augment, self._features.options.rate
        samples = self._recordings.sounds[row]
        if options.speed:
            samples = change_speed(samples, rate, 1 + float(rng.uniform(-1, 1)) * options.speed)
        if options.noise:
            count, ratio = len(self._noises), options.noise + float(rng.exponential(10))
            noise = self._noises[int(rng.integers(count))] if count else None
            samples = add_noise(samples, ratio, rng, noise)
        base = self._features.base(samples)
        least = self._recordings.steps_needed(row) * self._stride
        return base if len(base) >= least else self._features.base(self._recordings.sounds[row])

    def _warped(self, base: Frames, factor: float) -> Frames:
        options = self._features.options
        if options.kind == "logmel":
            return warp_frequency(base, factor)
        return warp_cepstra(base, factor, options.bins)


def base_frames(recordings: Recordings, features: FeatureCodec) -> list[Frames]:
    """Frames before slopes and normalisation, of each utterance."""
    if features.options.ready:
        return list(recordings.sounds)
    return [features.base(samples) for samples in recordings.sounds]


def make_batch(
    recordings: Recordings, frames: Sequence[Frames], rows: Sequence[int]
) -> SpeechBatch:
    """Utterances and their texts, padded to the longest.

    Args:
        recordings: with the texts.
        frames: of the utterances, [T, F] each.
        rows: which of the recordings they are.
    """
    lengths = [len(each) for each in frames]
    table = np.zeros((max(lengths), len(frames), frames[0].shape[1]), np.float32)
    for i, each in enumerate(frames):
        table[: len(each), i] = each
    lower = recordings.auxiliary
    return SpeechBatch(
        torch.from_numpy(table),
        torch.tensor(lengths),
        _texts([recordings.units[row] for row in rows]),
        None if lower is None else _texts([lower[row] for row in rows]),
    )


def fingerprint(recordings: Recordings, features: FeatureCodec) -> str:
    """32 hexadecimal digits that name recordings and what is made of them."""
    digest = hashlib.blake2b(json.dumps(features.to_json()).encode(), digest_size=16)
    for sound, units in zip(recordings.sounds, recordings.units, strict=True):
        digest.update(np.ascontiguousarray(sound).data)
        digest.update(np.ascontiguousarray(units).data)
    return digest.hexdigest()


def _texts(units: Sequence[Ids]) -> Texts:
    return Texts(torch.from_numpy(pad(units, 0)), torch.tensor([len(each) for each in units]))
