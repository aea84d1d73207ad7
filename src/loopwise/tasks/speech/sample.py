"""What a recognizer in a lower precision is measured on: held-out utterances."""

from dataclasses import dataclass

import numpy as np

from loopwise.codec.audio.features import FeatureCodec
from loopwise.codec.speech.metrics import speech_score
from loopwise.codec.speech.utterances import Utterances
from loopwise.export.precision import Measurement
from loopwise.runtime.recognizer import LoadedRecognizer
from loopwise.tasks.speech.config import SpeechConfig
from loopwise.tasks.speech.recordings import read_sound
from loopwise.tasks.speech.utterances import validation_utterances

MOST = 200
"""Utterances of a sample."""


@dataclass(frozen=True)
class UtteranceSample:
    """Utterances that a model transcribes; see `export.precision.Sample`."""

    utterances: Utterances
    metric = "word error rate"
    output = "log-probability of a unit or the blank in a step, in nats"

    @property
    def name(self) -> str:
        """How many of which utterances."""
        return f"{len(self.utterances)} utterances of {self.utterances.name}"

    def measure(self, model: LoadedRecognizer) -> Measurement:
        """Word error rate of the default search, and each step's log-probabilities."""
        features: FeatureCodec = model.codec.features
        sounds = [read_sound(each, features.options) for each in self.utterances]
        bases = sounds if features.options.ready else [features.base(sound) for sound in sounds]
        frames = [features.finish_frames(base) for base in bases]
        heard = [each.text for each in model.recognised(frames)]
        said = [model.codec.units.normalise(text) for text in self.utterances.texts]
        outputs = np.concatenate([each.ravel() for each in model.outputs(frames)])
        return Measurement(speech_score(heard, said).wer, outputs)


def sample_of(utterances: Utterances) -> UtteranceSample:
    """The first `MOST` of some utterances."""
    return UtteranceSample(utterances.choose(range(min(len(utterances), MOST))))


def sample_of_validation(config: SpeechConfig) -> UtteranceSample:
    """A sample of the utterances that a training with these options validated on.

    Raises:
        DataError: the utterances were no file, or are not there any more.
    """
    return sample_of(validation_utterances(config.data))
