"""SqueezeNet 1.0, the network that runs use unless they are told another.

Its graph lies in the package as `squeezenet1_0.json`, so that neither torchvision nor a trace is needed to
plan or run it. `python -m tests.helpers.usual_graph` makes the file, and a test holds it to torchvision's.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from .layers import Banks, choose_banks
from .serial import from_json
from .values import Graph

#: Name of the network.
USUAL_NETWORK = "squeezenet1_0"


@cache
def usual_graph() -> Graph:
    """Return the network's graph."""
    text = files(__package__).joinpath(f"{USUAL_NETWORK}.json").read_text(encoding="utf-8")
    return from_json(json.loads(text))


@cache
def usual_banks() -> Banks:
    """Return the banks that a run listens to unless it is told which."""
    return choose_banks(usual_graph())
