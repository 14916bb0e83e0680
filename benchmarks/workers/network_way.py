"""One way to a layer of a network over a picture: `python benchmarks/workers/network_way.py WAY PICTURE ...`.

Ways: `ours` (a RowStream over bands, two workers; with `--gather` the layer is put together in memory),
`whole` (torch over the whole picture, up to the layer), `lightstream` (exact tiles, put together in memory).
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from passes import normalised_picture, timed
from report import report
from torch import Tensor, nn

from netsounds_stream import RowBlock, RowStream
from netsounds_stream.base.machine import peak_resident_bytes, tune_heap
from netsounds_stream.base.pipeline import Pipeline
from netsounds_stream.graph.geometry import lengths
from netsounds_stream.network.networks import whole_module
from netsounds_stream.network.stream import Band
from netsounds_stream.network.tracing.capture import capture

_WORKERS, _BAND_ROWS = 2, 64
# Rows of the layer that are compared: some, and both edges.
_SAMPLES = 9


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("way", choices=tuple(_WAYS))
    parser.add_argument("picture", type=Path)
    parser.add_argument("--network", required=True)
    parser.add_argument("--layer", required=True)
    parser.add_argument("--gather", action="store_true")
    parser.add_argument("--layout", choices=("nchw", "channels_last"), default="nchw")
    parser.add_argument("--tile", type=int)
    parser.add_argument("--quick", action="store_true", help="one timed pass")
    parser.add_argument("--reference", type=Path, help="samples to compare with")
    parser.add_argument("--save", type=Path, help="where to leave this way's samples")
    given = parser.parse_args()
    picture = normalised_picture(given.picture)
    module = whole_module(given.network, "untrained")
    _at_work(module)
    once, samples, computed = _WAYS[given.way](given, module, picture)
    del picture
    with torch.inference_mode():
        seconds = timed(lambda: once, quick=given.quick)
        peak = peak_resident_bytes()
        found = samples()
    if given.save:
        np.save(given.save, found)
    error = None
    if given.reference:
        expected = np.load(given.reference)
        error = float(np.abs(found - expected).max() / np.abs(expected).max())
    report(seconds, peak_memory_bytes=peak, error=error, computed_per_pixel=computed)


#: Runs a pass; samples of its result; how many pixels are computed for each one.
Way = tuple[Callable[[], object], Callable[[], np.ndarray], float]


def _at_work(module: nn.Module) -> None:
    """Batch normalisation with statistics that change values, as training leaves them."""
    generator = torch.Generator().manual_seed(1)
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            assert each.running_mean is not None and each.running_var is not None
            each.running_mean.normal_(0, 0.2, generator=generator)
            each.running_var.uniform_(0.5, 1.5, generator=generator)


def _sampled(rows: int) -> list[int]:
    return sorted({*np.linspace(0, rows - 1, _SAMPLES).round().astype(int).tolist(), min(1, rows - 1)})


def _ours(given: argparse.Namespace, module: nn.Module, picture: Tensor) -> Way:
    tune_heap()
    network = capture(module)
    node = network.graph.by_name[given.layer]
    _, height, width = picture.shape
    rows = lengths(network.graph, "y", height)[node.name]
    shape = (node.channels, rows, lengths(network.graph, "x", width)[node.name])
    bands = [band.clone() for band in picture.split(_BAND_ROWS, dim=1)]
    gathered = (
        torch.empty((1, *shape)).contiguous(memory_format=torch.channels_last) if given.gather else None
    )
    wanted = _sampled(rows)
    kept: dict[int, np.ndarray] = {}

    def take(block: RowBlock) -> None:
        if gathered is not None:
            first = 0
            for part in block.parts:
                channels = part.shape[1]
                gathered[:, first : first + channels, block.start : block.start + block.rows] = part
                first += channels
            return
        for row in wanted:
            if block.start <= row < block.start + block.rows:
                kept[row] = block.tensor()[:, row - block.start].numpy()

    def once() -> None:
        stream = RowStream(network, {node.name: take}, prediction=False)
        pipeline = Pipeline(_WORKERS, partial(torch.set_num_threads, 1))

        def enter(band: Tensor | None) -> Band:
            return stream.ending() if band is None else stream.enter(band)

        pipeline.run([*bands, None], enter, stream.stages)

    def samples() -> np.ndarray:
        if gathered is not None:
            return gathered[0][:, wanted].numpy()
        return np.stack([kept[row] for row in wanted], axis=1)

    return once, samples, 1.0


def _up_to(module: nn.Module, layer: str) -> nn.Sequential:
    """The network's children up to the one that a layer is in, as a sequence."""
    parts: list[nn.Module] = []
    head, _, rest = layer.partition(".")
    for name, child in module.named_children():
        if name == head and rest:
            parts.extend(each for number, each in enumerate(child.children()) if number <= int(rest))
        else:
            parts.append(child)
        if name == head:
            break
    return nn.Sequential(*parts).eval()


def _whole(given: argparse.Namespace, module: nn.Module, picture: Tensor) -> Way:
    layout = torch.channels_last if given.layout == "channels_last" else torch.contiguous_format
    part = _up_to(module, given.layer).to(memory_format=layout)
    values = picture[None].contiguous(memory_format=layout)
    found: list[Tensor] = []

    def once() -> None:
        found.clear()
        found.append(part(values)[0])

    return once, lambda: found[0][:, _sampled(int(found[0].shape[1]))].numpy(), 1.0


def _lightstream(given: argparse.Namespace, module: nn.Module, picture: Tensor) -> Way:
    streaming = _constructor()(
        _up_to(module, given.layer),
        given.tile,
        verbose=False,
        copy_to_gpu=False,
        statistics_on_cpu=True,
        normalize_on_gpu=False,
    )
    streaming.statistics_on_cpu = False  # or it moves the network to a GPU afterwards; it stays on the CPU
    streaming.add_modules_to_keep([nn.BatchNorm2d])
    with torch.enable_grad():
        tiled = streaming.prepare_streaming_model()
    values = picture[None].contiguous()
    found: list[Tensor] = []
    tiles: list[int] = []
    tiled.stream_module.register_forward_pre_hook(lambda _, inputs: tiles.append(inputs[0][0, 0].numel()))

    def once() -> None:
        found.clear()
        tiles.clear()
        found.append(tiled(values)[0])

    once()
    computed = sum(tiles) / (values.shape[2] * values.shape[3])
    return once, lambda: found[0][:, _sampled(int(found[0].shape[1]))].detach().numpy(), computed


def _constructor() -> Callable[..., object]:
    """lightstream's core, without its package's own module, which imports a training library."""
    spec = importlib.util.find_spec("lightstream")
    assert spec is not None and spec.submodule_search_locations is not None
    package = types.ModuleType("lightstream")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["lightstream"] = package
    from lightstream.core.constructor import StreamingConstructor

    made: Callable[..., object] = StreamingConstructor
    return made


_WAYS: dict[str, Callable[[argparse.Namespace, nn.Module, Tensor], Way]] = {
    "ours": _ours,
    "whole": _whole,
    "lightstream": _lightstream,
}

if __name__ == "__main__":
    main()
