"""Scripts that watch a run's memory from within its process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

# Something else in the process takes memory that nobody planned, for a moment after the network's first band:
# as much as brings the whole past 95 % of the budget. (What another worker takes meanwhile is far less than
# the 4.5 % that are left, 69 MiB. To take it may last as long as many bands: so there must be many left.)
TAKEN = """
import json, sys
import numpy as np
from netsounds_stream import sonify
from netsounds_stream.base.machine import resident_bytes
budget, (picture, out, weights) = int(sys.argv[1]), sys.argv[2:]
held, taken = [], []
def listen(progress):
    if progress.stage == "network" and progress.done > 0 and not taken:
        while resident_bytes() < budget * 955 // 1000:  # what others give back meanwhile must not count
            held.append(np.ones(4 << 20, np.uint8))
        taken.append(len(held))
        held.clear()
words = {"weights": weights, "label": "a", "scheme": "sum", "banks": (1,), "mix": False, "report": False}
run = sonify(picture, out, memory=budget, on_progress=listen, **words)
print(json.dumps({name: run.record[name] for name in ("notes", "peak_memory_bytes")}))
"""


# Resident memory after every band. Bands are as short in a narrow picture as in a wide one, so that little is
# held and a creep shows.
BANDS = """
import json, sys
from netsounds_stream import sonify
from netsounds_stream.base.machine import resident_bytes
from netsounds_stream.planning import planner
planner._USUAL_ACROSS = 0
held = []
def listen(progress):
    if progress.stage == "network":
        held.append(resident_bytes())
picture, out, weights = sys.argv[1:]
run = sonify(picture, out, weights=weights, label="a", scheme="sum", banks=(4,), mix=False, report=False,
    on_progress=listen)
print(json.dumps({"held": held, "notes": run.record["notes"]}))
"""


def in_a_process(script: str, *words: object) -> dict[str, Any]:
    words_of = [sys.executable, "-c", script, *map(str, words)]
    # the plan's workers, on any machine; torch asks both
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    done = subprocess.run(words_of, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
