"""What a sequence model in a lower precision is measured on: held-out sequences of its task."""

from dataclasses import dataclass

from loopwise.export.precision import Measurement
from loopwise.runtime.sequence_model import LoadedSequenceModel
from loopwise.tasks.synthetic.config import SyntheticConfig
from loopwise.tasks.synthetic.measure import answers, figures
from loopwise.tasks.synthetic.problems import held_out


@dataclass(frozen=True)
class SequenceSample:
    """The sequences that a training validated on; see `export.precision.Sample`."""

    config: SyntheticConfig
    metric = "loss"
    output = "number of an answer"

    @property
    def name(self) -> str:
        """How many sequences of which task."""
        return f"{self.config.data.valid_sequences:,} sequences of {self.config.task}, held out"

    def measure(self, model: LoadedSequenceModel) -> Measurement:
        """The loss, and all that the model puts out where it is asked."""
        data, problem = self.config.data, self.config.problem
        sequences = held_out(problem, data.valid_sequences, data.valid_seed)
        outputs = answers(model, sequences)
        return Measurement(figures(problem, outputs, sequences.targets)["loss"], outputs.ravel())
