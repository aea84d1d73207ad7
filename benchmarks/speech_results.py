"""Speech recognition of AN4 and of spoken digits, from training to error rates on test parts.

    python benchmarks/speech_results.py an4 [SECTION.KEY=VALUE ...]   # phones, lexicon, trigram
    python benchmarks/speech_results.py an4-free                      # neither lexicon nor language
    python benchmarks/speech_results.py an4-stream                    # while it is being spoken
    python benchmarks/speech_results.py fsdd                          # digits, the official test
    python benchmarks/speech_results.py fsdd-speakers                 # each speaker left out once

The data are found through LOOPWISE_DATA, as speech_data.py says. OUT names a folder that keeps
the runs. With WHOLE=1 models of AN4 learn from all of its training part, also from what is else
held out to choose options by: as published ones have done.
"""

import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from published import data
from speech_data import an4, fsdd

from loopwise.codec.audio.files import read_audio
from loopwise.codec.audio.resampling import resample
from loopwise.codec.speech.metrics import speech_score
from loopwise.codec.speech.utterances import Utterances
from loopwise.export.precision import lower
from loopwise.runtime.load import load
from loopwise.runtime.precision import PRECISIONS
from loopwise.runtime.recognizer import LoadedRecognizer
from loopwise.tasks.speech.config import SpeechConfig
from loopwise.tasks.speech.measure import hear, listen
from loopwise.tasks.speech.training import train
from loopwise.tasks.speech.utterances import hold_out

MFCC = ["features.kind=ready", "features.deltas=2"]
TOGETHER = ["model.members=2", "model.agreement=0.5"]
STREAM = ["model.bidirectional=false", "model.hidden_size=256", "model.num_layers=2"]


def folder() -> Path:
    return Path(os.environ.get("OUT") or tempfile.mkdtemp())


def fit(out: Path, settings: Sequence[str], *utterances: Utterances) -> LoadedRecognizer:
    config = SpeechConfig.load(None, settings)
    begin = time.monotonic()
    train(config, out, *utterances, overwrite=True)
    print(f"training: {time.monotonic() - begin:.0f} s")
    return load(out)


def tell(name: str, heard: Sequence[str], said: Sequence[str], extra: str = "") -> None:
    found = speech_score(heard, said)
    print(
        f"{name}: WER {100 * found.wer:.2f}, CER {100 * found.cer:.2f}, sentences wrong "
        f"{100 * found.sentence_error_rate:.1f}; {found.substitutions} substitutions, "
        f"{found.deletions} deletions, {found.insertions} insertions{extra}"
    )


def offline(name: str, model: LoadedRecognizer, part: Utterances, **options: Any) -> None:
    heard = hear(model, part, **options)
    factor = f"; real-time factor {heard.real_time_factor:.4f}"
    tell(name, heard.texts, part.texts, factor)


def streamed(name: str, model: LoadedRecognizer, part: Utterances) -> None:
    heard = listen(model, part)
    late = heard.latency
    assert late is not None
    tell(name, heard.texts, part.texts, f"; real-time factor {heard.real_time_factor:.4f}")
    print(
        f"  words stand {late.mean:.2f} s after their end in the mean, 90 % within "
        f"{late.ninety:.2f} s; algorithmic latency {late.algorithmic:.2f} s"
    )


def an4_parts() -> tuple[Utterances, Utterances]:
    """AN4's utterances to learn from and to validate on."""
    every = an4("train")
    learned, held = hold_out(every, 0.1)
    return (every if os.environ.get("WHOLE") else learned), held


def lowered(name: str, model: LoadedRecognizer, part: Utterances) -> None:
    """The same with its weights in fewer bits."""
    for dtype in PRECISIONS[1:]:
        bundle = lower(model.bundle, dtype, None, math.inf)
        offline(f"{name}, {dtype}", LoadedRecognizer(bundle), part)


def phones(lexicon: Path) -> list[str]:
    return ["data.unit=phones", f"data.lexicon={lexicon}", 'data.preferred=["A(2)"]', *MFCC]


def an4_offline(settings: list[str]) -> None:
    lexicon = data("an4") / "etc/an4.dic"
    learned, held = an4_parts()
    heard = ["data.auxiliary=words", "model.auxiliary_layer=3"]  # the last layer's, as the phones
    model = fit(folder() / "an4", [*phones(lexicon), *heard, *TOGETHER, *settings], learned, held)
    for name, part in (("validation", held), ("test", an4("test"))):
        offline(f"{name}, lexicon and trigram", model, part)
        offline(f"{name}, lexicon alone", model, part, language="none")
        lowered(f"{name}, lexicon and trigram", model, part)


def an4_free(settings: list[str]) -> None:
    lexicon = data("an4") / "etc/an4.dic"
    learned, held = an4_parts()
    heard = ["data.auxiliary=phones", f"data.lexicon={lexicon}", 'data.preferred=["A(2)"]']
    model = fit(folder() / "free", [*MFCC, *heard, *settings], learned, held)
    for name, part in (("validation", held), ("test", an4("test"))):
        offline(f"{name}, greedy", model, part, beam_size=1)
        offline(f"{name}, beam", model, part, language="none")


def an4_stream(settings: list[str]) -> None:
    lexicon = data("an4") / "etc/an4.dic"
    learned, held = an4_parts()
    heard = ["data.auxiliary=words", "model.auxiliary_layer=2", "model.lookahead=8"]
    own = [*STREAM, *heard, *TOGETHER, "features.normalise=running"]
    model = fit(folder() / "stream", [*phones(lexicon), *own, *settings], learned, held)
    for name, part in (("validation", held), ("test", an4("test"))):
        offline(f"{name}, whole", model, part)
        streamed(f"{name}, in pieces of 0.1 s", model, part)
        lowered(f"{name}, whole", model, part)


OF_DIGITS = [
    "data.unit=words",
    "data.order=0",
    "features.rate=8000",
    "features.normalise=global",  # a mean of one word would be much of the word itself
    "augment.join=5",
    "augment.time_mask=8",
    "model.stride=3",  # some recordings have 12 frames
    "train.batch_size=16",
    "train.epochs=25",
    "train.average=0.99",
]

OF_STRANGERS = [
    "features.kind=mfcc",  # whose few coefficients do not tell how high a voice is
    "features.deltas=1",
    "features.low=200",  # microphones differ most at both ends
    "features.high=3700",
    "features.normalise=utterance",
    "augment.join=1",
    "augment.speed=0.15",
    "augment.warp=0.12",
    "augment.noise=15",
    "model.members=3",  # one alone may be 10 points better or worse of some speaker
    "model.agreement=0.5",
]
"""Where the speaker is none of those learned from: what tells voices and rooms apart goes, or is
changed in training."""


def fsdd_official(settings: list[str]) -> None:
    learned, held = _hold_out_recordings(fsdd("train"))
    model = fit(folder() / "fsdd", [*OF_DIGITS, *settings], learned, held)
    offline("validation", model, held)
    test = fsdd("test")
    offline("test", model, test)
    connected(model, test)


def _hold_out_recordings(part: Utterances) -> tuple[Utterances, Utterances]:
    """Recordings 5 to 9 of each speaker and digit to validate on."""
    held = [5 <= int(each.id.split("_")[2]) < 10 for each in part]
    rows = range(len(part))
    return part.choose(i for i in rows if not held[i]), part.choose(i for i in rows if held[i])


def connected(model: LoadedRecognizer, part: Utterances) -> None:
    """Five recordings of a speaker each, joined."""
    rng = np.random.default_rng(1)
    rate = model.codec.features.options.rate
    sounds, texts = list[np.ndarray](), list[str]()
    for speaker in part.speakers:
        own = [each for each in part if each.speaker == speaker]
        order = rng.permutation(len(own))
        for begin in range(0, len(order) - 4, 5):
            chosen = [own[i] for i in order[begin : begin + 5]]
            pieces = [resample(*read_audio(each.audio), rate) for each in chosen]
            sounds.append(np.concatenate(pieces))
            texts.append(" ".join(each.text for each in chosen))
    heard = model.transcribe(sounds)
    tell("connected digits, five at a time", heard, texts)


def fsdd_speakers(settings: list[str]) -> None:
    out, every = folder(), fsdd()
    accuracies: list[float] = []
    for speaker in sorted(every.speakers):
        others = [i for i, each in enumerate(every) if each.speaker != speaker]
        learned, held = _hold_out_recordings(every.choose(others))
        model = fit(out / speaker, [*OF_DIGITS, *OF_STRANGERS, *settings], learned, held)
        own = every.choose(i for i, each in enumerate(every) if each.speaker == speaker)
        heard = model.transcribe([each.audio for each in own])
        accuracies.append(float(np.mean([h == s for h, s in zip(heard, own.texts, strict=True)])))
        print(f"{speaker}: accuracy {100 * accuracies[-1]:.2f} %")
    print(f"mean over {len(accuracies)} speakers: {100 * np.mean(accuracies):.2f} %")


RESULTS: dict[str, Callable[[list[str]], None]] = {
    "an4": an4_offline,
    "an4-free": an4_free,
    "an4-stream": an4_stream,
    "fsdd": fsdd_official,
    "fsdd-speakers": fsdd_speakers,
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in RESULTS:
        sys.exit(__doc__)
    RESULTS[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    main()
