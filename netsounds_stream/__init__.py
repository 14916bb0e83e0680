"""netsounds-stream: pictures of any size into sound through a neural network, in bounded memory.

    from netsounds_stream import sonify, resume, plan, render

Names are loaded when first used, so that importing the package costs nothing.
"""

import os
import sys
from importlib import import_module
from typing import Any

# OpenMP's threads wait by spinning, on cores that other programs want. It reads this when torch is loaded.
if "torch" not in sys.modules:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_HOMES = {
    "sonify": "engine",
    "batch": "batches",
    "plan_batch": "batches",
    "plan": "engine",
    "resume": "engine",
    "open_run": "runs",
    "render": "rendering",
    "plot": "plotting",
    "gallery": "galleries",
    "Run": "runs",
    "Batch": "batches",
    "BatchPlan": "batch_plan",
    "verify": "verification",
    "bench": "benchmark",
    "inspect": "inspection",
    "check": "checking",
    "open_activations": "store",
    "load_weights": "weights",
    "for_pixels": "weights",
    "layers": "geometry",
    "Layer": "geometry",
    "RowStream": "stream",
    "RowBlock": "stream",
    "SonifyOptions": "options",
    "SoundOptions": "sound_options",
    "Plan": "plans",
    "Stop": "stopping",
    "Stopped": "errors",
    "NetsoundsError": "errors",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
