"""Whether autocast is at work, asked of any device."""

import torch


def autocast_active(device: torch.device) -> bool:
    """Whether autocast is on for `device`; never on one without autocast, such as meta."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)
