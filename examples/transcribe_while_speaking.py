"""Speech recognition while it is being said: how long after a word is it known?

    python examples/transcribe_while_speaking.py

The words are tones, so that recognizers are learned in seconds. One reads each recording as a
whole, in both directions; the others listen while it comes, and look some steps of 40 ms ahead. At
the end one of them hears a melody tone by tone, finds its pauses, and says what it heard.
"""

import os
import random
from pathlib import Path

import numpy as np
import soundfile

import loopwise
from loopwise.codec.speech.files import read_utterances
from loopwise.codec.speech.metrics import speech_score
from loopwise.runtime.recognition_stream import EndpointRules
from loopwise.tasks.speech.measure import listen

STEPS = int(os.environ.get("STEPS", 0))  # 0 for all epochs
OUT = Path(os.environ.get("OUT", "runs/transcribe-while-speaking"))
RATE = 8_000
TONES = {"do": 523, "re": 587, "mi": 659, "fa": 698, "so": 784, "la": 880, "ti": 988}
rng = np.random.default_rng(1)

# %% Recordings: tones of a scale, not equally long, with pauses and noise


def sung(words):
    parts = [np.zeros(800)]
    for word in words:
        time = np.arange(int(rng.uniform(0.12, 0.3) * RATE)) / RATE
        fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.03)
        tone = sum(np.sin(2 * np.pi * TONES[word] * k * time) / k for k in (1, 2, 3))
        parts += [0.2 * tone * fade, np.zeros(int(rng.uniform(0.04, 0.2) * RATE))]
    samples = np.concatenate([*parts, np.zeros(1600)])
    return (samples + rng.normal(0, 0.01, len(samples))).astype(np.float32)


def recordings(name, count):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        words = random.Random(f"{name} {number}").choices(list(TONES), k=1 + number % 6)
        soundfile.write(folder / f"{number:03}.wav", sung(words), RATE)
        (folder / f"{number:03}.txt").write_text(" ".join(words))
    return read_utterances(folder)


learned, unseen = recordings("train", 240), recordings("test", 60)

# %% A recognizer that hears the whole, and some that listen

SMALL = {"unit": "words", "rate": RATE, "bins": 40, "warp": 0.0, "hidden_size": 48, "num_layers": 1}
SMALL |= {"dropout_output": 0.1, "lr": 0.01, "epochs": 20, "max_steps": STEPS, "threads": 1}

whole = loopwise.Recognizer(**SMALL).fit(learned)
whole.save(OUT / "whole.safetensors")
texts = whole.transcribe([each.audio for each in unseen])
print("looks ahead   wrong words   behind the end of a word")
print(f"{'all':>11}   {100 * speech_score(texts, unseen.texts).wer:9.1f} %")
for steps in (0, 2, 4):
    model = loopwise.Recognizer(**SMALL, bidirectional=False, lookahead=steps).fit(learned)
    model.save(OUT / f"ahead-{steps}.safetensors")
    heard = listen(model.fitted, unseen)
    wer = speech_score(heard.texts, unseen.texts).wer
    assert heard.latency is not None
    print(f"{steps * 40:8} ms   {100 * wer:9.1f} %   {1000 * heard.latency.mean:7.0f} ms")

# %% A melody as it comes, in pieces of 0.2 s, by a model that needs no torch any more

model = loopwise.load(OUT / "ahead-4.safetensors")
stream = model.stream(EndpointRules(silence_after=0.6))
pause = rng.normal(0, 0.01, 8000).astype(np.float32)
first, second = sung(["do", "re", "mi", "fa", "so"]), sung(["la", "ti", "do"])
melody = np.concatenate([first, pause, second, pause])
shown = ""
for begin in range(0, len(melody), RATE // 5):
    stream.accept_waveform(melody[begin : begin + RATE // 5], RATE)
    if stream.is_endpoint():
        found = stream.finish()
        print(f"{begin / RATE + 0.2:5.1f} s  = {found.text}")
        shown = ""
    elif (now := stream.partial().text) != shown:
        print(f"{begin / RATE + 0.2:5.1f} s    {now}")
        shown = now
