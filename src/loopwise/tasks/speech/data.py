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
    mask_cepstra,
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
from loopwise.tasks.speech.recordings import Ids, Recordings, steps_needed


class UtteranceStream(BucketStream[SpeechBatch]):
    """An endless stream of batches of utterances of like length.

    What is changed of an utterance follows from the seed, the epoch and its place. Where some are
    joined, each comes first in one of an epoch's sequences, and others follow it.

    Args:
        recordings: to learn from.
        features: of them.
        augment: what is changed.
        buckets: at most so many frames, and utterances, in a batch.
        stride: frames to a step of the network.
        longest: frames of utterances that are joined, at most.

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
        longest: float,
    ):
        self._recordings, self._features = recordings, features
        self._augment, self._stride, self._longest = augment, stride, longest
        rate = features.options.rate
        self._noises = read_noises(augment.noises, rate) if augment.noises else []
        whole = features.options.ready or not (augment.speed or augment.noise)
        self._bases = base_frames(recordings, features) if whole else None
        options = features.options
        hop = 1 if options.ready else round(options.hop * options.rate)
        self._sizes = np.array([len(sound) // hop for sound in recordings.sounds])
        self._alike = _rows_of_speakers(recordings)
        super().__init__(
            buckets,
            f"{recordings.utterances.name}: {len(recordings)} utterances",
            {
                "utterances": fingerprint(recordings, features),
                "joined": augment.join,
                "frames": buckets.most,
                "size": buckets.size,
            },
            "utterances, data options, features, augment.join, train.batch_seconds, "
            "train.batch_size and train.seed",
        )

    def _measure(self, epoch: int) -> Lengths:
        self._groups = self._join(epoch)
        sizes = np.array([self._sizes[group].sum() for group in self._groups])
        return Lengths(sizes, (sizes,))

    def _join(self, epoch: int) -> list[list[int]]:
        """The utterances of each of an epoch's sequences."""
        rng = np.random.default_rng([self._buckets.seed, epoch])
        groups: list[list[int]] = []
        for row, utterance in enumerate(self._recordings.utterances):
            count = int(rng.integers(self._augment.join))
            others = rng.choice(self._alike[utterance.speaker], count)
            group = [row, *others[others != row].tolist()]
            total = np.cumsum(self._sizes[group])
            groups.append(group[: max(int(np.sum(total <= self._longest)), 1)])
        return groups

    def _take(self, rows: NDArray[np.integer[Any]]) -> SpeechBatch:
        groups = [self._groups[row] for row in rows]
        units = [self._recordings.joined(group) for group in groups]
        frames = [
            self._changed(int(row), group, steps_needed(said, self._recordings.ctc) * self._stride)
            for row, group, said in zip(rows, groups, units, strict=True)
        ]
        return make_batch(frames, units)

    def _changed(self, row: int, group: Sequence[int], least: int) -> Frames:
        """The frames, at least so many, of a sequence of utterances in this epoch."""
        rng = np.random.default_rng([self._buckets.seed, self.epoch, row])
        options = self._augment
        base = self._base(group, least, rng)
        if options.stretch:
            stretched = stretch_time(base, float(np.exp(rng.uniform(-1, 1) * options.stretch)))
            base = stretched if len(stretched) >= least else base
        if options.warp:
            base = self._warped(base, 1 + float(rng.uniform(-1, 1)) * options.warp)
        if options.band_masks:
            base = self._masked(base, rng)
        frames = self._features.finish_frames(base)
        if options.time_masks:
            longest = min(options.time_mask, len(frames) // 4)
            frames = mask_time(frames, options.time_masks, longest, rng)
        if options.shift and len(frames) - self._stride >= least:
            frames = frames[int(rng.integers(self._stride)) :]
        return frames

    def _base(self, group: Sequence[int], least: int, rng: Generator) -> Frames:
        if self._bases is not None:
            return np.concatenate([self._bases[row] for row in group])
        options, rate = self._augment, self._features.options.rate
        samples = as_said = np.concatenate([self._recordings.sounds[row] for row in group])
        if options.speed:
            samples = change_speed(samples, rate, 1 + float(rng.uniform(-1, 1)) * options.speed)
        if options.noise:
            count, ratio = len(self._noises), options.noise + float(rng.exponential(10))
            noise = self._noises[int(rng.integers(count))] if count else None
            samples = add_noise(samples, ratio, rng, noise)
        base = self._features.base(samples)
        return base if len(base) >= least else self._features.base(as_said)

    def _warped(self, base: Frames, factor: float) -> Frames:
        options = self._features.options
        if options.kind == "logmel":
            return warp_frequency(base, factor)
        return warp_cepstra(base, factor, options.bins)

    def _masked(self, base: Frames, rng: Generator) -> Frames:
        options, augment = self._features.options, self._augment
        count, widest = augment.band_masks, augment.band_mask
        if options.kind == "logmel":
            return mask_frequency(base, count, widest, rng)
        return mask_cepstra(base, count, widest, options.bins, rng)


def base_frames(recordings: Recordings, features: FeatureCodec) -> list[Frames]:
    """Frames before slopes and normalisation, of each utterance."""
    if features.options.ready:
        return list(recordings.sounds)
    return [features.base(samples) for samples in recordings.sounds]


def make_batch(frames: Sequence[Frames], units: Sequence[tuple[Ids, ...]]) -> SpeechBatch:
    """Utterances and their texts, padded to the longest.

    Args:
        frames: of the utterances, [T, F] each.
        units: of their texts, and of a lower layer's texts if it hears others.
    """
    lengths = [len(each) for each in frames]
    table = np.zeros((max(lengths), len(frames), frames[0].shape[1]), np.float32)
    for i, each in enumerate(frames):
        table[: len(each), i] = each
    texts, *lower = (_texts(said) for said in zip(*units, strict=True))
    auxiliary = lower[0] if lower else None
    return SpeechBatch(torch.from_numpy(table), torch.tensor(lengths), texts, auxiliary)


def _rows_of_speakers(recordings: Recordings) -> dict[str | None, NDArray[np.int64]]:
    """The utterances of each speaker; None is one, too."""
    found: dict[str | None, list[int]] = {}
    for row, utterance in enumerate(recordings.utterances):
        found.setdefault(utterance.speaker, []).append(row)
    return {speaker: np.array(rows) for speaker, rows in found.items()}


def fingerprint(recordings: Recordings, features: FeatureCodec) -> str:
    """32 hexadecimal digits that name recordings and what is made of them."""
    digest = hashlib.blake2b(json.dumps(features.to_json()).encode(), digest_size=16)
    for sound, units in zip(recordings.sounds, recordings.units[0], strict=True):
        digest.update(np.ascontiguousarray(sound).data)
        digest.update(np.ascontiguousarray(units).data)
    return digest.hexdigest()


def _texts(units: Sequence[Ids]) -> Texts:
    return Texts(torch.from_numpy(pad(units, 0)), torch.tensor([len(each) for each in units]))
