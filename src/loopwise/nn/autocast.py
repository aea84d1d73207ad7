"""Whether autocast is at work, asked of any device."""

import torch


def autocast_active(device: torch.device) -> bool:
    """Whether autocast is on for `device`; never on one without autocast, such as meta."""
    kind = device.type
    known = kind == "cpu" or torch.amp.is_autocast_available(kind)  # which is slow to answer
    return known and torch.is_autocast_enabled(kind)
