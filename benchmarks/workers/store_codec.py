"""One case of the codec question: a bank's activations into a store and out again, by the package's own way.

Reads the bank whole from an existing store first, then times the writing, in bands as the network gives
them, and the reading, in blocks as the sound stage takes them. Files stay in the page cache.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from report import report

from netsounds_stream import open_activations, plan
from netsounds_stream.base.pipeline import Pipeline
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.store.arrays import ShardWriter, create_array

_BLOCK_VALUES = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", type=Path, help="what the activations were made of")
    parser.add_argument("activations", type=Path, help="a store of one bank")
    parser.add_argument("number", type=int)
    parser.add_argument("codec")
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="netsounds-") as folder:
        planned = plan(given.picture, folder, weights="untrained", codec=given.codec, banks=(given.number,))
    about = planned.banks[0]
    source = open_activations(given.activations)
    assert source.time_axis == planned.time_axis
    values = source.read(slice(None), slice(None))
    # channels innermost, as the network gives its rows: [frame, frequency, channel]
    frames = values.permute(1, 2, 0).contiguous()
    band = max(1, planned.band_rows // usual_banks().bank(given.number).stride)
    pieces = [piece.permute(2, 0, 1).unsqueeze(0) for piece in frames.split(band)]

    create_array(given.out, about, time_axis=planned.time_axis, codec=given.codec, attributes={})
    pipeline = Pipeline(planned.workers, partial(torch.set_num_threads, planned.threads_each))
    started = time.perf_counter()
    writer = ShardWriter(
        given.out, about, time_axis=planned.time_axis, codec=given.codec, defer=pipeline.defer
    )
    pipeline.run(pieces, lambda piece: piece, [lambda piece: writer.append((piece,))])
    assert writer.finished
    encode = time.perf_counter() - started
    del frames, pieces

    stored = open_activations(given.out)
    step = max(1, _BLOCK_VALUES // (stored.frames_per_block * stored.frequencies))
    blocks = [
        (
            slice(first, min(first + step, stored.channels)),
            slice(start, min(start + stored.frames_per_block, stored.frames)),
        )
        for first in range(0, stored.channels, step)
        for start in range(0, stored.frames, stored.frames_per_block)
    ]
    started = time.perf_counter()
    pipeline.run(blocks, lambda where: stored.read(*where), [])
    decode = time.perf_counter() - started
    error = max(float((stored.read(*where).float() - values[where].float()).abs().max()) for where in blocks)
    raw = 2 * values.numel()
    size = sum(each.stat().st_size for each in given.out.rglob("*") if each.is_file())
    report(
        {"encode": encode, "decode": decode},
        error=error / float(torch.amax(values)),
        raw_bytes=raw,
        stored_share=size / raw,
        encode_bytes_per_second=raw / encode,
        decode_bytes_per_second=raw / decode,
    )


if __name__ == "__main__":
    main()
