"""What people typed to get here, for usage lines and advice on what to type next."""

import sys
from pathlib import Path

PLUGIN = "kubectl-perfslo"
"""kubectl runs a program of this name for `kubectl perfslo`."""


def called() -> str:
    return "kubectl perfslo" if Path(sys.argv[0]).stem == PLUGIN else "perfslo"
