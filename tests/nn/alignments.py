"""Small batches of transcripts, and their losses by the definition: all ways, one by one."""

from itertools import combinations, groupby, product

import torch


def draw_targets(steps, rows, places, classes):
    """Targets [U, B], lengths and target lengths; the first row is as long as can be."""
    targets = torch.randint(1, classes, (places, rows))
    lengths = torch.randint(1, steps + 1, (rows,))
    target_lengths = torch.randint(0, places + 1, (rows,))
    lengths[0], target_lengths[0] = steps, places
    return targets, lengths, target_lengths


def transducer_nats(logits, targets, lengths, target_lengths):
    """[B], of logits [T, U + 1, B, V]: a way says each label after some number of blanks."""
    log_probs = logits.log_softmax(-1)
    nats = []
    for b, (T, U) in enumerate(zip(lengths.tolist(), target_lengths.tolist(), strict=True)):
        ways = []
        for says in combinations(range(T - 1 + U), U):  # the last blank comes last
            t = u = 0
            way = log_probs.new_zeros(())
            for step in range(T + U):
                said = int(targets[u, b]) if step in says else 0
                way = way + log_probs[t, u, b, said]
                t, u = (t, u + 1) if said else (t + 1, u)
            ways.append(way)
        nats.append(-torch.stack(ways).logsumexp(0))
    return torch.stack(nats)


def ctc_nats(logits, targets, lengths, target_lengths):
    """[B], of logits [T, B, V]: all alignments that are the transcript once merged."""
    log_probs = logits.log_softmax(-1)
    nats = []
    for b, (T, U) in enumerate(zip(lengths.tolist(), target_lengths.tolist(), strict=True)):
        wanted = targets[:U, b].tolist()
        frames = range(T)
        ways = [
            log_probs[frames, b, list(alignment)].sum()
            for alignment in product(range(logits.shape[-1]), repeat=T)
            if [label for label, _ in groupby(alignment) if label] == wanted
        ]
        nats.append(-torch.stack(ways).logsumexp(0))
    return torch.stack(nats)
