"""Words that are tones: recordings small enough to be learned in seconds."""

import json
import random

import numpy as np

from loopwise.codec.audio.features import FeatureCodec
from loopwise.codec.audio.files import read_audio
from loopwise.codec.audio.options import FeatureOptions
from loopwise.codec.speech.files import read_utterances

RATE = 8_000
TONES = {"do": 400, "re": 700, "mi": 1_100, "fa": 1_700, "so": 2_600}
WORD, PAUSE, EDGE = 0.16, 0.06, 0.1  # seconds
NOISE = 0.003

SMALL = {
    "unit": "words",
    "kind": "logmel",
    "rate": RATE,
    "bins": 16,
    "hidden_size": 32,
    "num_layers": 1,
    "dropout_hidden": 0.0,
    "dropout_output": 0.0,
    "stretch": 0.05,
    "warp": 0.0,
    "time_masks": 0,
    "batch_size": 8,
    "epochs": 16,
    "lr": 0.02,
    "threads": 1,
    "device": "cpu",
}


def said(text, rate=RATE, seed=None):
    """Samples [N] of words, with a little noise and silence before, between and after them.

    With a seed these are not always equally long and loud.
    """
    rng = np.random.default_rng(seed or 0)
    longer = (lambda: 1.0) if seed is None else (lambda: float(np.exp(rng.uniform(-0.5, 1.0))))
    noise = NOISE if seed is None else NOISE * float(np.exp(rng.uniform(-0.5, 0.5)))
    parts = [np.zeros(round(EDGE * longer() * rate))]
    for word in text.split():
        time = np.arange(round(WORD * rate)) / rate
        tone = 0.4 * np.sin(2 * np.pi * TONES[word] * time)
        fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.02)
        parts += [tone * fade, np.zeros(round(PAUSE * longer() * rate))]
    parts.append(np.zeros(round(EDGE * longer() * rate)))
    samples = np.concatenate(parts)
    return (samples + rng.normal(0, noise, len(samples))).astype(np.float32)


def texts(count, seed=1, repeats=True):
    """Lines of one to four words, in which one may come several times."""
    rng = random.Random(seed)
    draw = rng.choices if repeats else rng.sample
    return [" ".join(draw(list(TONES), k=rng.randint(1, 4))) for _ in range(count)]


def write(path, samples, rate=RATE):
    """Samples as a file of the kind that its name says."""
    import soundfile

    soundfile.write(path, samples, rate)


def write_manifest(folder, name, count, seed, repeats=True):
    """Recordings of `texts`, and a manifest of JSON lines; its path."""
    (folder / name).mkdir()
    lines = []
    for number, text in enumerate(texts(count, seed, repeats)):
        audio = f"{name}/{number:03}.wav"
        write(folder / audio, said(text, seed=1000 * seed + number))
        lines.append(json.dumps({"audio": audio, "text": text, "speaker": f"s{number % 4}"}))
    manifest = folder / f"{name}.jsonl"
    manifest.write_text("".join(f"{line}\n" for line in lines))
    return manifest


def write_features(manifest, folder, bins):
    """The recordings of a manifest as features in another folder, with a manifest of its own."""
    codec = FeatureCodec(FeatureOptions(rate=RATE, bins=bins))
    lines = []
    for number, utterance in enumerate(read_utterances(manifest)):
        samples, _ = read_audio(utterance.audio)
        audio = f"{manifest.stem}-{number:03}.npy"
        np.save(folder / audio, codec.base(samples))
        lines.append(json.dumps({"audio": audio, "text": utterance.text}))
    (folder / manifest.name).write_text("".join(f"{line}\n" for line in lines))
