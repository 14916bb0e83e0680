"""The command on networks by themselves: `layers`."""

from __future__ import annotations

import click

from ..base.machine import importing
from ..graph.layers import describe, layers_of, usual_layers
from ..graph.usual import USUAL_NETWORK, usual_graph
from .common import print_json
from .options import JSON
from .sections import SectionedCommand, stacked
from .text import layers_text


@click.command(cls=SectionedCommand)
@click.argument("network", default=USUAL_NETWORK)
@stacked(JSON)
def layers(network: str, as_json: bool) -> None:
    """List the layers of NETWORK, and say which of them can be streamed.

    NETWORK is the name of one of torchvision's classifiers, or code of your own that returns a
    torch.nn.Module, as package.module:function or file.py:function, which is run. [default: squeezenet1_0]
    """
    graph = usual_graph()
    if network != USUAL_NETWORK:
        with importing():
            from ..network.networks import graph_of

            graph = graph_of(network)
    if as_json:
        print_json(describe(graph))
    else:
        click.echo(layers_text(graph, layers_of(graph), usual_layers(graph)))
