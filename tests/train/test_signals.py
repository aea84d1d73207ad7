"""Signals to one of several processes; `test_loop` has those to one alone."""

import signal
import subprocess
import sys
import time

from loopwise.train.signals import SAME_REQUEST

WAITING = """
import time
from loopwise.train.signals import Interrupts

with Interrupts(announce=True, alone=False) as interrupts:
    print("ready", flush=True)
    while True:
        time.sleep(0.1)
"""


def test_a_second_request_ends_the_process_and_what_follows_at_once_is_the_first():
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    time.sleep(SAME_REQUEST / 5)
    process.send_signal(signal.SIGTERM)
    time.sleep(SAME_REQUEST)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    first, second = said.split("\n\n")
    assert first.strip() == "stopping after this step; once more stops at once"
    assert second.strip() == "stopped at once; the last checkpoint remains"
