"""The store: what is written in any pieces reads back the same, also without this package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from netsounds_stream.errors import StoreError
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.planning.options import CODECS
from netsounds_stream.planning.plan import BankPlan
from netsounds_stream.store.arrays import ShardWriter, create_array, open_activations
from netsounds_stream.store.shards import ShardedArray


def planned(frames: int, frequencies: int, per_shard: int, time_axis: str) -> BankPlan:
    plane = (frequencies, frames) if time_axis == "x" else (frames, frequencies)
    return BankPlan(
        number=1,
        shape=(6, *plane),
        frames=frames,
        frequencies=frequencies,
        frames_per_shard=per_shard,
        raw_bytes=0,
        stored_bytes_estimate=0,
        audio=(),
        whole_frames=frames,
        bank=usual_banks().bank(1),
    )


def stored(
    path: Path, values: torch.Tensor, per_shard: int, time_axis: str, codec: str, pieces: list[int]
) -> np.ndarray:
    """Write `[channel, frame, frequency]` in pieces of so many frames; what `[channel, y, x]` should be."""
    _, frames, frequencies = values.shape
    bank = planned(frames, frequencies, per_shard, time_axis)
    create_array(path, bank, time_axis=time_axis, codec=codec, attributes={"bank": 1})
    writer = ShardWriter(path, bank, time_axis=time_axis, codec=codec, defer=lambda job: job())
    start = turn = 0
    while start < frames:
        piece = values[None, :, start : start + pieces[turn % len(pieces)]]
        writer.append((piece[:, :2], piece[:, 2:]))  # as a fire's two expansions come
        start += piece.shape[2]
        turn += 1
    assert writer.finished
    upright = values.transpose(1, 2) if time_axis == "x" else values
    return upright.numpy()


def some_values(frames: int, frequencies: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(6, frames, frequencies, generator=generator).relu().half()
    values[3] = 0  # a filter that never fires
    return values


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 9),
    st.integers(1, 45),
    st.sampled_from("xy"),
    st.lists(st.integers(1, 20), min_size=1, max_size=3),
)
def test_any_pieces_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    frames: int,
    frequencies: int,
    per_shard: int,
    time_axis: str,
    pieces: list[int],
) -> None:
    path = tmp_path_factory.mktemp("store") / "a.zarr"
    values = some_values(frames, frequencies)
    expected = stored(path, values, min(per_shard, frames), time_axis, "zstd", pieces)
    np.testing.assert_array_equal(zarr.open_array(str(path), mode="r")[:], expected)
    source = open_activations(path)
    assert (source.channels, source.frames, source.frequencies) == (6, frames, frequencies)
    block = source.read(slice(1, 5), slice(0, min(3, frames)))
    assert torch.equal(block, values[1:5, :3].float())


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_plain_zarr_reads_every_codec(tmp_path: Path, codec: str, time_axis: str) -> None:
    expected = stored(tmp_path / "a.zarr", some_values(40, 9), 16, time_axis, codec, [7])
    array = zarr.open(str(tmp_path / "a.zarr"), mode="r")
    np.testing.assert_array_equal(array[:], expected)
    np.testing.assert_array_equal(array[4, 2:5, 1:8], expected[4, 2:5, 1:8])
    assert array.dtype == np.float16
    assert array.metadata.dimension_names == ("channel_1", "y_1", "x_1")
    assert array.attrs["time_axis"] == time_axis


def recognised(path: Path) -> ShardedArray:
    metadata = zarr.open_array(str(path), mode="r").metadata.to_dict()
    array = ShardedArray.recognise(path, metadata)
    assert array is not None
    return array


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_any_part_is_read_as_zarr_reads_it(tmp_path: Path, codec: str, time_axis: str) -> None:
    path = tmp_path / "a.zarr"
    expected = stored(path, some_values(40, 9), 16, time_axis, codec, [7])
    array = recognised(path)
    generator = np.random.default_rng(3)
    parts = [(slice(None),), (slice(2, 5), slice(3, 3))]
    for _ in range(40):
        bounds = [np.sort(generator.integers(0, length + 1, 2)) for length in array.shape]
        parts.append(tuple(slice(int(first), int(last)) for first, last in bounds))
    for part in parts:
        np.testing.assert_array_equal(array[part], expected[part])


@pytest.mark.parametrize(
    "other",
    [
        {"shards": None},
        {"chunks": (2, 9, 16)},
        {"chunks": (1, 9, 8)},
        {"dtype": "float32"},
        {"fill_value": 1},
        {"compressors": zarr.codecs.GzipCodec()},
        {"serializer": zarr.codecs.BytesCodec(endian="big")},
        {"shards": (3, 9, 16)},
        {"chunk_key_encoding": {"name": "v2", "separator": "."}},
        {"filters": zarr.codecs.TransposeCodec(order=(0, 2, 1))},
        {"zarr_format": 2, "shards": None},
    ],
    ids=str,
)
def test_arrays_of_other_layouts_go_through_zarr(tmp_path: Path, other: dict[str, object]) -> None:
    values = some_values(40, 9).transpose(1, 2).numpy()
    usual = {"shards": (6, 9, 16), "chunks": (1, 9, 16), "dtype": "float16", "fill_value": 0}
    path = tmp_path / "a.zarr"
    array = zarr.create_array(str(path), shape=values.shape, **(usual | other))
    array[:] = values
    source = open_activations(path, "x")
    np.testing.assert_array_equal(source.read(slice(None), slice(None)).transpose(1, 2).numpy(), values)
    if other.get("zarr_format") != 2:
        assert ShardedArray.recognise(path, array.metadata.to_dict()) is None


def test_an_array_that_zarr_wrote_in_this_layout_is_read(tmp_path: Path) -> None:
    """Also whole shards of zeros, which zarr leaves out."""
    values = some_values(40, 9).transpose(1, 2).numpy().copy()
    values[:, :, :16] = 0
    path = tmp_path / "a.zarr"
    array = zarr.create_array(
        str(path), shape=values.shape, shards=(6, 9, 16), chunks=(1, 9, 16), dtype="float16", fill_value=0
    )
    array[:] = values
    source = open_activations(path, "x")
    np.testing.assert_array_equal(source.read(slice(None), slice(None)).transpose(1, 2).numpy(), values)


@pytest.mark.parametrize("damage", ["cut", "index", "empty", "lost"])
def test_a_damaged_shard_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.zarr"
    stored(path, some_values(40, 9), 16, "x", "lz4", [7])
    shard = path / "c" / "0" / "0" / "1"
    content = bytearray(shard.read_bytes())
    content[-10] ^= 1
    shard.unlink()
    if damage != "lost":
        shard.write_bytes({"cut": content[: len(content) // 2], "index": content, "empty": b""}[damage])
    with pytest.raises(StoreError, match=r"(c/0/0/1 is (cut short|damaged)|No such file .*c/0/0/1)"):
        open_activations(path).read(slice(None), slice(None))


def test_equal_activations_give_equal_bytes(tmp_path: Path) -> None:
    for name, pieces in (("a", [7]), ("b", [16, 3])):
        stored(tmp_path / name, some_values(40, 9), 16, "x", "lz4", pieces)
    for shard in (tmp_path / "a" / "c").rglob("?"):
        if shard.is_file():
            assert shard.read_bytes() == (tmp_path / "b" / shard.relative_to(tmp_path / "a")).read_bytes()


@pytest.mark.parametrize("codec", ["zstd", "lz4", "none"])  # pcodec is not in zarr's specification
def test_tensorstore_reads_it(tmp_path: Path, codec: str) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    expected = stored(tmp_path / "a.zarr", some_values(40, 9), 16, "y", codec, [7])
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "a.zarr")}}
    array = tensorstore.open(spec).result()
    np.testing.assert_array_equal(array.read().result(), expected)
    assert array.domain.labels == ("channel_1", "y_1", "x_1")


def test_one_filter_is_read_without_the_others(tmp_path: Path) -> None:
    expected = stored(tmp_path / "a.zarr", some_values(64, 32), 32, "x", "none", [64])
    for shard in (tmp_path / "a.zarr" / "c").rglob("*"):
        if shard.is_file():  # spoil the first filter's bytes, which lie first
            content = bytearray(shard.read_bytes())
            content[:64] = b"\xff" * 64
            shard.write_bytes(bytes(content))
    array = zarr.open_array(str(tmp_path / "a.zarr"), mode="r")
    np.testing.assert_array_equal(array[4], expected[4])
    assert not np.array_equal(array[0], expected[0], equal_nan=True)


def test_files_are_few(tmp_path: Path) -> None:
    stored(tmp_path / "a.zarr", some_values(400, 9), 64, "x", "zstd", [32])
    assert len([path for path in (tmp_path / "a.zarr" / "c").rglob("*") if path.is_file()]) == 7
