"""Dynamic evaluation: a model that goes on learning from the text it is being tested on.

Krause et al. 2018, arXiv:1709.07432, section 4, with plain gradient descent.
"""

import numpy as np
import torch

from loopwise.codec.corpus import Source
from loopwise.codec.metrics import TextScore, score_of
from loopwise.codec.text import codec_from_json
from loopwise.errors import ConfigError
from loopwise.nn.state import State, detach
from loopwise.runtime.bundle import Bundle
from loopwise.runtime.description import LanguageModelDescription, parse_as
from loopwise.tasks.lm.model import RecurrentLanguageModel


class DynamicEvaluation:
    """Scores texts in turn; what it learns from one stays for the next.

    Args:
        bundle: a language model.
        lr: learning rate of the gradient step after each window, at least 0; 0 is plain evaluation.
        decay: share of the way back to the trained weights that each step takes, in [0, 1].
        window: tokens that are scored before the weights change.

    Raises:
        ConfigError: a value is not allowed.
    """

    def __init__(self, bundle: Bundle, *, lr: float = 0.1, decay: float = 0.0, window: int = 32):
        if lr < 0:
            raise ConfigError(f"dynamic lr {lr}: must be at least 0")
        if not 0 <= decay <= 1:
            raise ConfigError(f"dynamic decay {decay}: must be from 0 to 1")
        if window < 1:
            raise ConfigError(f"dynamic window {window}: must be at least 1")
        self.codec = codec_from_json(bundle.codec)
        self.model = RecurrentLanguageModel(parse_as(LanguageModelDescription, bundle.model)).eval()
        self.model.load_state_dict(
            {name: torch.from_numpy(np.array(t)) for name, t in bundle.tensors.items()}
        )
        self.trained = [parameter.detach().clone() for parameter in self.model.parameters()]
        self.lr, self.decay, self.window = lr, decay, window

    def score_source(self, source: Source) -> TextScore:
        """Score a file as one text, and learn from it.

        Raises:
            DataError: the codec cannot encode the source.
        """
        targets = torch.from_numpy(self.codec.encode(source).astype(np.int64))
        inputs = torch.cat((torch.tensor([self.codec.start]), targets[:-1]))
        state: State | None = None
        nats = 0.0
        for at in range(0, len(targets), self.window):
            expected = targets[at : at + self.window, None]
            reading = self.model(inputs[at : at + self.window, None], expected, state)
            nats += float(reading.nats.detach())
            state = detach(reading.state)
            self._learn(reading.nats / len(expected))
        return score_of(self.codec, source, targets.numpy(), nats)

    def _learn(self, loss: torch.Tensor) -> None:
        parameters = list(self.model.parameters())
        # a learned initial state has a part in the first window alone
        gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
        with torch.no_grad():
            for parameter, gradient, trained in zip(
                parameters, gradients, self.trained, strict=True
            ):
                parameter.sub_(gradient, alpha=self.lr)
                if self.decay:
                    parameter.lerp_(trained, self.decay)
