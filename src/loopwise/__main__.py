"""``python -m loopwise``, as torchrun calls it."""

from loopwise.cli import main

main()
