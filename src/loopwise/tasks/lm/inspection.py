"""A language model over one text, seen from inside."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loopwise.codec.corpus import Source
from loopwise.codec.text import TextCodec, codec_from_json
from loopwise.diagnose.attribution import attribute
from loopwise.diagnose.features import text_features
from loopwise.diagnose.states import Attribution, Inspection, LayerStates, Telling
from loopwise.diagnose.telling import telling
from loopwise.diagnose.trace import trace
from loopwise.errors import DataError
from loopwise.nn.state import State, map_state
from loopwise.runtime.bundle import Bundle
from loopwise.runtime.description import LanguageModelDescription, parse_as
from loopwise.tasks.lm.model import RecurrentLanguageModel

MEASURED = 4_000
"""Tokens that telling units are measured on, at most."""
SHORT = 2_000
"""Tokens of a text from which on it is measured on itself."""
WEIGHED = 128
"""Inputs before a prediction that are weighed, at most."""
LIKELY = 5

_SIGNS = {"\n": "⏎", " ": "·", "\t": "⇥"}


class TextInspector:
    """Reads texts with a language model of a bundle.

    Args:
        bundle: the model.
    """

    def __init__(self, bundle: Bundle):
        self.codec: TextCodec = codec_from_json(bundle.codec)
        self.model = RecurrentLanguageModel(parse_as(LanguageModelDescription, bundle.model)).eval()
        self.model.load_state_dict(
            {name: torch.from_numpy(np.array(t)) for name, t in bundle.tensors.items()}
        )

    def inspect(self, text: str, at: int | None, measured: Source | None) -> Inspection:
        """Look at one text.

        Args:
            text: two tokens at least.
            at: the token after which a prediction is explained; negative counts from the end, None
                is the last but one, whose successor is known.
            measured: the text that shows what units follow; None for `text` alone.

        Raises:
            DataError: the text is too short, or has no such token.
        """
        ids = self.codec.encode_text(text)
        if len(ids) < 2:
            raise DataError(
                f"the text has {len(ids)} tokens ({self.codec.unit}); there must be at least 2"
            )
        at = place(len(ids) - 2 if at is None else at, len(ids))
        states = self._states(ids, gates=True)
        features = text_features(self._pieces(ids))
        notes = list(self._unknown(text, ids))
        found: Telling | None = None
        if len(ids) >= SHORT:
            some = {name: values[:MEASURED] for name, values in features.items()}
            cut = tuple(
                LayerStates(s.name, s.cell, {k: v[:MEASURED] for k, v in s.memory.items()})
                for s in states
            )
            found = telling(cut, some, "the given text")
        elif measured is not None:
            found = self._telling(measured)
        else:
            notes.append(
                f"telling units need {SHORT:,} tokens: give --data FILE, more text of the kind"
            )
        return Inspection(
            "text",
            tuple(self.label(int(i)) for i in ids),
            states,
            features,
            found,
            self._attribution(ids, at),
            tuple(notes),
        )

    def label(self, token: int) -> str:
        """One token as it is shown: newline as ⏎, space as ·."""
        if token == self.codec.unknown:
            return "<unk>"
        shown = self.codec.token(token)
        if shown == "<eos>" and self.codec.unit == "words":
            return "⏎"
        shown = shown.replace("\\n", "\n").replace("\\t", "\t")
        return "".join(_SIGNS.get(letter, letter) for letter in shown)

    def _telling(self, source: Source) -> Telling | None:
        ids = self.codec.encode(source)[:MEASURED]
        if len(ids) < SHORT // 4:
            return None
        states = self._states(ids, gates=False)
        return telling(states, text_features(self._pieces(ids)), source.name)

    def _states(self, ids: NDArray[np.int32], *, gates: bool) -> tuple[LayerStates, ...]:
        """Of every token, behind the one that begins a text."""
        tokens = self._tensor([self.codec.start, *ids.tolist()])
        found = trace(
            self.model, lambda: self.model.layers(self.model.embedding(tokens)), gates=gates
        )
        return tuple(
            LayerStates(each.name, each.cell, {k: v[1:] for k, v in each.parts.items()})
            for each in found
        )

    def _attribution(self, ids: NDArray[np.int32], at: int) -> Attribution:
        first = max(0, at + 1 - WEIGHED)
        model = self.model
        with torch.no_grad():
            before = self._tensor([self.codec.start, *ids[:first].tolist()])
            state = model.layers(model.embedding(before)).state
            x = model.embedding(self._tensor(ids[first : at + 1].tolist()))[:, 0]
            chances = torch.log_softmax(self._logits(x.unsqueeze(1), state)[0], -1)
        target = int(ids[at + 1]) if at + 1 < len(ids) else int(chances.argmax())

        def score(inputs: Tensor) -> Tensor:
            return torch.log_softmax(self._logits(inputs, state), -1)[:, target]

        shares = attribute(score, x, model.embedding.weight.mean(0))
        top = chances.topk(min(LIKELY, len(chances)))
        likely = tuple(
            (self.label(int(i)), float(p))
            for i, p in zip(top.indices, top.values.exp(), strict=True)
        )
        what = f"the log-probability of {self.label(target)!r}"
        return Attribution(at, first, what, float(chances[target]), *shares, likely)

    def _logits(self, x: Tensor, state: State) -> Tensor:
        """[B, V] after inputs [T, B, E] from a state of one row."""
        rows = x.shape[1]
        wide = map_state(lambda part: part.expand(-1, rows, -1).contiguous(), state)
        return self.model.head(self.model.layers(x, wide).dropped[-1], self.model.embedding.weight)

    def _pieces(self, ids: NDArray[np.int32]) -> list[str]:
        decoder = self.codec.decoder()
        return [decoder.push(int(i)) for i in ids]

    def _unknown(self, text: str, ids: NDArray[np.int32]) -> Sequence[str]:
        unknown = self.codec.unknown
        if unknown is None or not (ids == unknown).any():
            return ()
        parts = list(dict.fromkeys(text.split() if self.codec.unit == "words" else text))
        strange = [part for part in parts if unknown in self.codec.encode_text(part)]
        shown = ", ".join(map(repr, strange[:10])) + (", ..." if len(strange) > 10 else "")
        return (f"not in the vocabulary, shown as <unk>: {shown}",)

    def _tensor(self, ids: list[int]) -> Tensor:
        return torch.tensor(ids, dtype=torch.int64).unsqueeze(1)


def place(at: int, count: int) -> int:
    """A place among `count`, from 0; raises DataError beyond."""
    if not -count <= at < count:
        raise DataError(f"at {at}: there are {count} steps, 0 to {count - 1} (or {-count} to -1)")
    return at % count
