"""Makes `netsounds_stream/graph/squeezenet1_0.json` anew: `python -m tests.helpers.usual_graph`."""

from __future__ import annotations

from pathlib import Path

import netsounds_stream.graph
from netsounds_stream.graph.serial import as_text
from netsounds_stream.graph.usual import USUAL_NETWORK
from netsounds_stream.network.model_zoo import build
from netsounds_stream.network.tracing.capture import capture


def main() -> None:
    """Write what is captured of torchvision's network into the package."""
    graph = capture(build(USUAL_NETWORK, pretrained=False), USUAL_NETWORK).graph
    path = Path(netsounds_stream.graph.__file__).with_name(f"{USUAL_NETWORK}.json")
    path.write_text(as_text(graph), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
