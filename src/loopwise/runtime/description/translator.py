"""A translator: an encoder, attention, a decoder."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from loopwise.runtime.description.layer import (
    STRICT,
    Count,
    LayerDescription,
    Size,
    layer_shapes,
    require_chain,
)
from loopwise.runtime.shapes import Shapes

Layers = Annotated[tuple[LayerDescription, ...], Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class TranslatorDescription:
    """A network that reads a sentence and puts out the logits of another one's tokens.

    See `loopwise.runtime.translation_network` for what it computes.

    Attributes:
        kind: always ``"translator"``.
        source_vocabulary: tokens of the source side.
        target_vocabulary: O, tokens of the target side, which can be put out.
        shared: whether they are the source's first ones, with one embedding for both.
        embedding_size: E, features of a token.
        encoder: layers over the source, in one or both directions.
        source_in_memory: whether the decoder sees the source's embeddings beside its states.
        attention: how a decoder's state is compared with a place of the source: ``"dot"``,
            ``"general"`` (Luong et al. 2015) or ``"additive"`` (Bahdanau et al. 2015).
        attention_size: A, features of keys and of values.
        heads: K, comparisons side by side, which share A among them.
        coverage: whether keys tell how much of a place has been attended to (Tu et al. 2016).
        start: what the decoder begins with: ``"mean"``, a map of the mean of the encoder's states;
            or ``"learned"``, the same for every sentence.
        decoder: layers over the target, forwards.
        input_feeding: whether they also read the step before's readout (Luong et al. 2015).
        readout_size: R, features that the logits are a linear map of.
        tied: whether the weight of that map is the target's embedding; R is E then.
        wait: source words that the decoder was trained to wait for before its first; 0 for all.
    """

    kind: Literal["translator"]
    source_vocabulary: Size
    target_vocabulary: Size
    shared: bool
    embedding_size: Size
    encoder: Layers
    source_in_memory: bool
    attention: Literal["dot", "general", "additive"]
    attention_size: Size
    heads: Size
    coverage: bool
    start: Literal["mean", "learned"]
    decoder: Layers
    input_feeding: bool
    readout_size: Size
    tied: bool
    wait: Count

    @property
    def memory_size(self) -> int:
        """Features of a place of the source, as keys and values are made of them."""
        return self.encoder[-1].output_size + self.source_in_memory * self.embedding_size

    @property
    def query_size(self) -> int:
        """Features of the decoder's last layer."""
        return self.decoder[-1].output_size

    @property
    def start_sizes(self) -> tuple[tuple[int, ...], ...]:
        """The sizes of the decoder's state, by layer."""
        return tuple(layer.state_sizes for layer in self.decoder)

    @property
    def stepwise(self) -> bool:
        """Whether a step needs what attention found in the one before."""
        return self.input_feeding or self.coverage

    def tensor_shapes(self) -> Shapes:
        """Every tensor of the model with its shape."""
        size, readout = self.attention_size, self.readout_size
        rows = self.source_vocabulary if self.shared else self.target_vocabulary
        table: Shapes = {"embedding.weight": (rows, self.embedding_size)}
        if not self.shared:
            table["source_embedding.weight"] = (self.source_vocabulary, self.embedding_size)
        table |= layer_shapes(self.encoder, "encoder") | layer_shapes(self.decoder, "decoder")
        table["keys.weight"] = (size, self.memory_size)
        table["values.weight"] = (size, self.memory_size)
        if self.attention != "dot":
            table["queries.weight"] = (size, self.query_size)
        if self.attention == "additive":
            table |= {"queries.bias": (size,), "scores.vector": (size,)}
        if self.coverage:
            table["coverage.vector"] = (size,)
        states = sum(map(sum, self.start_sizes))
        if self.start == "mean":
            table["start.weight"] = (states, self.encoder[-1].output_size)
        table["start.bias"] = (states,)
        table |= {"readout.weight": (readout, self.query_size + size), "readout.bias": (readout,)}
        if not self.tied:
            table["head.weight"] = (self.target_vocabulary, readout)
        table["head.bias"] = (self.target_vocabulary,)
        return table

    @model_validator(mode="after")
    def _check(self) -> Self:
        require_chain(self.encoder, self.embedding_size, whole=True, name="encoder")
        fed = self.embedding_size + self.input_feeding * self.readout_size
        query = require_chain(self.decoder, fed, name="decoder")
        if self.attention == "dot" and query != self.attention_size:
            raise ValueError(f"attention dot: size {self.attention_size}, the decoder has {query}")
        if self.attention_size % self.heads:
            raise ValueError(
                f"heads {self.heads}: must divide attention_size {self.attention_size}"
            )
        if self.tied and self.readout_size != self.embedding_size:
            raise ValueError(f"tied: readout {self.readout_size}, embedding {self.embedding_size}")
        if self.shared and self.target_vocabulary > self.source_vocabulary:
            raise ValueError(
                f"shared: {self.target_vocabulary} tokens of the target, {self.source_vocabulary} "
                "of the source"
            )
        if self.wait and any(layer.bidirectional for layer in self.encoder):
            raise ValueError(f"wait {self.wait}: the encoder must read forwards alone")
        if self.wait and self.start == "mean":
            raise ValueError(f"wait {self.wait}: the mean of all states is not known at the start")
        return self
