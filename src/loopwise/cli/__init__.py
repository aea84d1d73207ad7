"""The command ``loopwise``: one thin function per command.

Nothing heavy is imported before a command needs it, so that ``--help`` is quick and the commands
that run a bundle work without torch.
"""

from loopwise.cli.app import main

__all__ = ["main"]
