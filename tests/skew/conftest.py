"""The world's NFS server and store."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["NO_COLOR"] = "1"

from world.fixtures import (  # noqa: E402, F401
    directory,
    in_a_world,
    logs,
    module_logs,
    nfs,
    no_secret_in_any_log,
    pytest_runtest_makereport,
    store,
)
