"""The training loop that every task shares: truncated BPTT, optimisers, checkpoints, `fit`."""
