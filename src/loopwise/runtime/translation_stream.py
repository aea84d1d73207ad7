"""Translation word by word, while the source is still coming (wait-k, Ma et al. 2019)."""

from bisect import bisect_right

import numpy as np

from loopwise.codec.sentences import TranslationCodec
from loopwise.runtime.translation_model import Decoder, GrowingSource, TranslationModel, limit
from loopwise.runtime.waiting import require_wait


class TranslationStream:
    """One sentence after the other: source words go in, target words come out as soon as they may.

    The word j of the target, counted from 0, comes once j + k words of the source are there, or all
    of it; each token is the likeliest. The target ends once the source has. Where k is as long as
    the source, that is the greedy translation of the whole.

    Args:
        model: one whose encoder reads forwards and whose decoder needs no mean of the source.
        codec: of both sides.
        wait: k, at least 1.

    Attributes:
        delays: of each word that came out of the sentence at hand, how many source words were read
            before it; after `finish` of the sentence that is over.

    Raises:
        ConfigError: another model.
    """

    def __init__(self, model: TranslationModel, codec: TranslationCodec, wait: int):
        require_wait(model.description, wait)
        self._model, self._codec, self._wait = model, codec, wait
        self.delays: list[int] = []
        self._begin()

    def push(self, words: str) -> list[str]:
        """Read one word, or several with white space between them; returns the words that come.

        Raises:
            DataError: what the codec cannot encode.
        """
        found: list[str] = []
        for word in words.split():
            if not self._ends:
                self.delays = []
            self._source.push(self._codec.source.encode(word))
            self._ends.append(len(self._source))
            self._words.append(word)
            found += self._speak(finished=False)
        return found

    def finish(self) -> list[str]:
        """End the sentence: returns its last words; what is pushed next begins another one."""
        found = self._speak(finished=True) if self._ends else []
        self._begin()
        return found

    def translate(self, sentence: str) -> str:
        """The words that come of a whole sentence, read word by word.

        Raises:
            DataError: as `push`.
        """
        return " ".join([*self.push(sentence), *self.finish()])

    def _begin(self) -> None:
        self._source = GrowingSource(self._model)
        self._ends: list[int] = []  # tokens of the source up to each of its words
        self._decoder: Decoder | None = None
        self._remembered = 0  # tokens of the source that it knows of
        self._next: int | None = self._codec.target.end  # what it has not read yet
        self._length = 0  # tokens of the target
        self._word: list[int] = []  # those of the word that is being made
        self._words: list[str] = []  # of the source
        self._place = self._looked = 0  # the source's token looked at most: now, by that word

    def _speak(self, *, finished: bool) -> list[str]:
        """All words that may come now."""
        words: list[str] = []
        target = self._codec.target
        while finished or len(self.delays) + self._wait <= len(self._ends):
            token = self._likeliest(finished)
            over = self._length >= limit(len(self._source))
            if self._word and (token == target.end or target.starts[token] or over):
                words.append(self._told())
                self.delays.append(len(self._ends))
                self._word = []
            elif token == target.end or over:
                break  # for good, or until more of the source is there
            else:
                self._word.append(token)
                self._looked = self._place
                self._next = token
                self._length += 1
        return words

    def _likeliest(self, finished: bool) -> int:
        """The next token, by as much of the source as the word that it is of may see."""
        place = len(self.delays) + self._wait - 1
        seen = np.array([self._ends[-1 if finished else place]])
        decoder = self._informed()
        if self._next is None:
            readout, attention = decoder.look(seen)
        else:
            first, token = np.zeros(1, np.int32), np.array([self._next])
            readout, attention = decoder.step(first, token, seen)
            self._next = None
        self._place = int(attention[0].argmax())
        return int(self._model.predict(readout)[0].argmax())

    def _told(self) -> str:
        """The word that is made; an unknown one is that of the source that it looked at."""
        if self._codec.unit == "words" and self._word == [self._codec.target.unknown]:
            return self._words[bisect_right(self._ends, self._looked)]
        return self._codec.target.decode(self._word)

    def _informed(self) -> Decoder:
        """The decoder, told of all of the source that was read."""
        if self._remembered < len(self._source):
            read = self._source.read
            if self._decoder is None:
                self._decoder = self._model.begin(read)
            self._decoder.see(read.memory)
            self._remembered = len(self._source)
        assert self._decoder is not None
        return self._decoder
