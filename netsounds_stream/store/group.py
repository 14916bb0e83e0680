"""The zarr group that a run's arrays lie in, with their coordinates.

    RUN/zarr.json                          the group; the metadata of all below, so that nothing is listed
    RUN/activations-1_LABEL.zarr/          [channel_1, y_1, x_1], as it is without the group
    RUN/sums-1_LABEL.zarr/                 [side, y_1, x_1], the sums that the mix is made of
    RUN/y_1/, RUN/x_1/, RUN/seconds_1/     its coordinates, small arrays

Every bank has dimensions of its own, since one Dataset of xarray cannot have two lengths of one dimension.
Attributes follow the CF conventions, https://cfconventions.org, as far as they say anything of such data; the
group's `ome` those of OME-NGFF 0.5, https://ngff.openmicroscopy.org/0.5, each bank as a picture of one level.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
import zarr.codecs
from numpy.typing import NDArray

from ..base.journal import durably_replace
from ..graph.layers import Bank
from ..graph.values import AXES
from .shards import ZSTD_LEVEL

#: The file of a group's, or an array's, metadata.
METADATA = "zarr.json"
#: Dimension of a sum map's two sides.
SIDE = "side"


@dataclass(frozen=True, kw_only=True)
class BankCoordinates:
    """Where a bank's values lie, and when they are heard.

    Attributes:
        bank: the bank.
        arrays: names of its arrays in the group, the activations first.
        shape: its shape, `[channel, y, x]`.
        time_axis: 'x' or 'y'.
        kept: whether the activations are among the arrays.
        frame_seconds: what a frame takes of the bank's own sound, in seconds.
    """

    bank: Bank
    arrays: tuple[str, ...]
    shape: tuple[int, int, int]
    time_axis: str
    kept: bool
    frame_seconds: float

    @property
    def number(self) -> int:
        """The bank's number."""
        return self.bank.number

    def axes(self) -> list[tuple[str, NDArray[Any], dict[str, Any]]]:
        """Return the coordinates: name, values and attributes of each.

        Pixels are those of the picture as the network saw it, after any resizing, counted from 0.
        """
        found: list[tuple[str, NDArray[Any], dict[str, Any]]] = []
        for axis, what, length in zip(AXES, ("row", "column"), self.shape[1:], strict=True):
            lie = self.bank.along(axis)
            facts = {
                "long_name": f"{what} of the picture that the values are centred on",
                "units": "pixels",
                "axis": axis.upper(),
            }
            pixels = lie.offset + lie.stride * np.arange(length, dtype=np.int64)
            found.append((f"{axis}_{self.number}", pixels, facts))
        frames = self.shape[1] if self.time_axis == "y" else self.shape[2]
        middles = (np.arange(frames) + 0.5) * self.frame_seconds
        facts = {"long_name": "middle of the frame in the bank's own sound", "units": "s"}
        return [*found, (seconds_name(self.number), middles, facts)]

    def dimension(self, coordinate: str) -> str:
        """Return the dimension of a coordinate, which is its own name unless it is the seconds."""
        return coordinate if coordinate != seconds_name(self.number) else f"{self.time_axis}_{self.number}"

    @property
    def _first_dimension(self) -> str:
        activations, *_ = dimension_names(self.number)
        return activations if self.kept else SIDE

    def as_image(self) -> dict[str, Any]:
        """Describe the bank as a picture of OME-NGFF."""
        y, x = self.bank.y, self.bank.x
        _, *space = dimension_names(self.number)
        axes = [{"name": self._first_dimension, "type": "channel"}]
        axes += [{"name": name, "type": "space"} for name in space]
        placed = [
            {"type": "scale", "scale": [1, y.stride, x.stride]},
            {"type": "translation", "translation": [0, y.offset, x.offset]},
        ]
        levels = [{"path": self.arrays[0], "coordinateTransformations": placed}]
        return {"name": f"bank {self.number}, {self.bank.layer}", "axes": axes, "datasets": levels}


def dimension_names(number: int) -> tuple[str, str, str]:
    """Return the names of the dimensions of a bank's array."""
    return f"channel_{number}", f"y_{number}", f"x_{number}"


def map_dimension_names(number: int) -> tuple[str, str, str]:
    """Return the names of the dimensions of a bank's sum map."""
    _, *space = dimension_names(number)
    return (SIDE, *space)  # type: ignore[return-value]


def seconds_name(number: int) -> str:
    """Return the name of the coordinate that says when a bank's frames are heard."""
    return f"seconds_{number}"


def write_group(folder: Path, banks: Sequence[BankCoordinates], attributes: Mapping[str, Any]) -> list[Path]:
    """Write the group in a folder that holds the banks' arrays, and their coordinates.

    Args:
        folder: the folder.
        banks: the banks, whose arrays exist.
        attributes: attributes of the group.

    Returns:
        The files that were written.
    """
    members: dict[str, Any] = {}
    written: list[Path] = []
    for each in banks:
        members |= {name: _metadata(folder / name) for name in each.arrays}
        for name, values, facts in each.axes():
            shutil.rmtree(folder / name, ignore_errors=True)  # of an attempt that was killed
            made = zarr.create_array(
                str(folder / name),
                shape=values.shape,
                chunks=values.shape,
                dtype=values.dtype,
                compressors=zarr.codecs.ZstdCodec(level=ZSTD_LEVEL),
                dimension_names=(each.dimension(name),),
                attributes=facts,
                zarr_format=3,
            )
            made[:] = values
            members[name] = _metadata(folder / name)
            written += [path for path in sorted((folder / name).rglob("*")) if path.is_file()]
    content = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {
            **attributes,
            "ome": {"version": "0.5", "multiscales": [each.as_image() for each in banks]},
        },
        # as zarr-python writes it: the specification has no word for it yet
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": members},
    }
    durably_replace(folder / METADATA, json.dumps(content, indent=1))
    return [*written, folder / METADATA]


def _metadata(array: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((array / METADATA).read_text(encoding="utf-8"))
    return content
