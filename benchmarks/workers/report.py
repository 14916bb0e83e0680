"""How a worker ends: one JSON object on stdout, its peak memory in it."""

from __future__ import annotations

import json
from typing import Any

from netsounds_stream.base.machine import peak_resident_bytes


def report(seconds: float | dict[str, float], **facts: Any) -> None:
    """Print the report that `harness` reads; `peak_memory_bytes` among the facts wins over the peak now."""
    print(json.dumps({"seconds": seconds, "peak_memory_bytes": peak_resident_bytes(), **facts}))
