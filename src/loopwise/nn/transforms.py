"""What torch may be doing around a call, which its kernels and ours have no rule for."""

import torch


def transforms_active() -> bool:
    """Whether ``torch.func`` or forward mode is at work, which kernels do not support."""
    return (
        torch._C._are_functorch_transforms_active()  # pyright: ignore[reportPrivateUsage]
        or torch.autograd.forward_ad._current_level >= 0  # pyright: ignore[reportPrivateUsage]
    )
