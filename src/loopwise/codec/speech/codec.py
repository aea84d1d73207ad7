"""What a recognizer's bundle knows beside the network: features, units, and the language."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from loopwise.codec.audio.features import FeatureCodec
from loopwise.codec.ngram.model import SPECIAL, NGram
from loopwise.codec.speech.base import UnitCodec
from loopwise.codec.speech.symbols import PhoneUnits
from loopwise.codec.speech.units import units_from_json
from loopwise.errors import DataError

FORMAT = 1


@dataclass(frozen=True)
class SpeechCodec:
    """From sound to the frames of a network, and from its units to text.

    Attributes:
        features: of the frames.
        units: what the network tells apart.
        language: n-grams of words; None where there are none.
    """

    features: FeatureCodec
    units: UnitCodec
    language: NGram | None

    @cached_property
    def words(self) -> dict[str, list[tuple[int, ...]]]:
        """Every word that is known, and the units of each way in which it is said.

        Those of the lexicon where there is one, else those of the n-grams that units can spell.
        """
        names = ()
        if isinstance(self.units, PhoneUnits):
            names = self.units.lexicon.words
        elif self.language is not None:
            names = self.language.words[len(SPECIAL) :]
        found: dict[str, list[tuple[int, ...]]] = {}
        for name in names:
            try:
                several = self.units.pronunciations(name)
            except DataError:  # as of a word that the transcripts alone have
                continue
            found[name] = [tuple(each.tolist()) for each in several if len(each)]
        return {name: several for name, several in found.items() if several}

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs to rebuild this codec, as JSON values."""
        return {
            "format": FORMAT,
            "unit": "speech",
            "features": self.features.to_json(),
            "units": self.units.to_json(),
            "language": None if self.language is None else self.language.to_json(),
        }

    @classmethod
    def from_json(cls, described: object) -> "SpeechCodec":
        """The codec that `to_json` described.

        Args:
            described: JSON values, from a source that need not be trusted.

        Raises:
            DataError: if it cannot be one.
            MissingExtraError: if its units are bpe and `tokenizers` is not installed.
        """
        match described:
            case {"format": 1, "unit": "speech", "features": _, "units": _, "language": _}:
                parts = cast(Mapping[str, Any], described)
            case _:
                raise DataError(f"a codec of speech of format {FORMAT} is described otherwise")
        language = parts["language"]
        return cls(
            FeatureCodec.from_json(parts["features"]),
            units_from_json(parts["units"]),
            None if language is None else NGram.from_json(language),
        )
