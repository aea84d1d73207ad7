"""Sentences a second from a bundle, beside the same network in torch.

The network has the default sizes and weights that were never trained, so every translation runs to
the same length as its source plus two tokens, whoever makes it. Both run the same search; torch has
`torch.nn.LSTM` over packed sources, one step of it at a time for the target, and the attention of
loopwise's own training. `--quick` only shows that the script works.
"""

import os
from functools import partial

# as the engine has it where torch is not loaded before it; NumPy's threads want the cores, too
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

import numpy as np
import torch
from report import argument_parser, print_table, write_results
from timing import interleave
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from loopwise import engine
from loopwise.codec.search.options import Search
from loopwise.codec.search.prediction import Prediction
from loopwise.codec.search.sequences import search
from loopwise.runtime.translation_model import TranslationModel
from loopwise.runtime.translation_network import begin, head, look, memorise, read_out
from loopwise.tasks.translation.config import TranslationConfig
from loopwise.tasks.translation.model import TranslationNetwork, describe

VOCABULARY, OUTPUTS, END = 8000, 4675, 0
"""As of Multi30k, German to English."""


class Ours:
    """The bundle's network, as the search asks it."""

    def __init__(self, model: TranslationModel, sources: list[np.ndarray], *, beam: int):
        self._model, self._rows = model, len(sources)
        self._decoder = model.begin(model.read(sources), beam * len(sources))

    def start(self) -> Prediction:
        rows = np.arange(self._rows, dtype=np.int32)
        return self.step(rows, np.full(self._rows, END, np.int32))

    def step(self, parents: np.ndarray, tokens: np.ndarray) -> Prediction:
        readout, attention = self._decoder.step(parents, tokens)
        return Prediction(self._model.predict(readout), attention)


class Theirs:
    """The same network in torch, as the search asks it."""

    def __init__(self, net: TranslationNetwork, encoder: nn.LSTM, decoder: nn.LSTM):
        self._net, self._encoder, self._decoder = net, encoder, decoder
        self._own = net.own()
        self._head = head(net.description, self._own)

    @torch.inference_mode()
    def read(self, sources: list[np.ndarray]) -> "Theirs":
        lengths = torch.tensor([len(source) for source in sources])
        padded = nn.utils.rnn.pad_sequence([torch.from_numpy(source) for source in sources])
        embedded = nn.functional.embedding(padded, self._own["embedding.weight"])
        packed = pack_padded_sequence(embedded, lengths, enforce_sorted=False)
        states, _ = pad_packed_sequence(self._encoder(packed)[0])
        d = self._net.description
        self._whole = self._memory = memorise(d, self._own, states, embedded, lengths)
        ((h, c),) = begin(d, self._own, states, lengths)
        self._state = h[None].contiguous(), c[None].contiguous()
        self._source = torch.arange(len(sources))
        return self

    def start(self) -> Prediction:
        rows = np.arange(len(self._source), dtype=np.int32)
        return self.step(rows, np.full(len(rows), END, np.int32))

    @torch.inference_mode()
    def step(self, parents: np.ndarray, tokens: np.ndarray) -> Prediction:
        rows = torch.from_numpy(parents).long()
        h, c = (part[:, rows] for part in self._state)
        source = self._source[rows]
        if not torch.equal(source, self._source):
            self._source, self._memory = source, self._whole.rows(source)
        ids = torch.from_numpy(tokens).long()
        x = nn.functional.embedding(ids, self._own["embedding.weight"])[None]
        hidden, self._state = self._decoder(x, (h, c))
        found = look(self._net.description, self._own, self._memory, hidden.transpose(0, 1))
        readout = read_out(self._own, hidden[0], found.context[:, 0])
        log_probs = nn.functional.linear(readout, *self._head).log_softmax(-1)
        return Prediction(log_probs.numpy(), found.weights[:, 0].numpy())


def plain(layers: nn.Module, *, bidirectional: bool) -> nn.LSTM:
    """The one loopwise layer as torch has it."""
    ours = layers[0]
    lstm = nn.LSTM(ours.input_size, ours.hidden_size, bidirectional=bidirectional)
    lstm.load_state_dict(ours.state_dict())
    return lstm


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="for each row of the table")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    config = TranslationConfig.load().model
    torch.manual_seed(1)
    net = TranslationNetwork(describe(config, VOCABULARY, OUTPUTS, shared=True), config).eval()
    model = TranslationModel(net.description, {k: v.numpy() for k, v in net.state_dict().items()})
    encoder = plain(net.encoder, bidirectional=True)
    decoder = plain(net.decoder, bidirectional=False)
    rng = np.random.default_rng(1)
    rows = []
    for batch in (1, 64):
        lengths = rng.integers(8, 23, 2 if arguments.quick else 128)
        sources = [rng.integers(1, OUTPUTS, length) for length in lengths]
        for beam in (1, 5):
            ours = partial(seek, partial(Ours, model, beam=beam), sources, batch, beam)
            theirs = partial(seek, Theirs(net, encoder, decoder).read, sources, batch, beam)
            assert ours() == theirs(), "the two must translate alike"
            seconds = 0 if arguments.quick else arguments.seconds
            mine, other = interleave([ours, theirs], seconds)
            rows.append(
                {
                    "batch": batch,
                    "beam": beam,
                    "loopwise": round(len(sources) / mine, 1),
                    "torch": round(len(sources) / other, 1),
                    "ratio": round(other / mine, 2),
                }
            )
    print_table("translation: sentences a second", rows)
    write_results(arguments.results, "translation", rows, isa=engine.isa())


def seek(make, sources: list[np.ndarray], batch: int, beam: int) -> list[list[int]]:
    found: list[list[int]] = []
    for begin_at in range(0, len(sources), batch):
        part = sources[begin_at : begin_at + batch]
        lengths = [len(source) for source in part]
        limits = [length + 2 for length in lengths]
        options = Search(beam_size=beam, length_penalty=1.0, min_length=min(limits))
        for each in search(make(part), options, end=END, limits=limits, source_lengths=lengths):
            found.append(each[0].ids.tolist())
    return found


if __name__ == "__main__":
    main()
