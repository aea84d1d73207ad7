"""Networks side by side that share nothing."""

from torch import nn


class Ensemble(nn.ModuleList):
    """Networks whose outputs are averaged, each trained as it would be alone.

    Their loss is the sum of their own losses, and the training loop clips the gradient of each by
    a norm of its own.
    """
