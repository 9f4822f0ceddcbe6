"""The cluster's scripts run by path and import each other by name; so do their tests."""

import sys

from tests.conftest import ROOT

sys.path.append(str(ROOT / "dev" / "cluster"))
