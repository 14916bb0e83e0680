"""A stored array as an `xarray.DataArray` that is read where it is indexed. Imported where it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from xarray import Coordinates, DataArray, Variable
from xarray.backends import BackendArray
from xarray.core import indexing


@dataclass(frozen=True, eq=False)
class Stored(BackendArray):
    """A stored array as xarray's backend: it reads what the user indexes, and nothing else."""

    array: zarr.Array[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.array.dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        # OUTER as xarray means it is zarr's oindex; steps backwards are xarray's to turn
        support = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, support, self.array.oindex.__getitem__)


def data_array(array: zarr.Array[Any], name: str) -> DataArray:
    """Return `[channel, y, x]`; `y` and `x` are the pixels that values are centred on.

    Pixels are those that the network saw: of the resized picture, where `size` was given.
    """
    about: dict[str, Any] = dict(array.attrs)
    layout: dict[str, Any] = {"channel": np.arange(array.shape[0])}
    for axis, length in zip(("y", "x"), array.shape[1:], strict=True):
        pixels = about["offset_pixels"] + about["stride_pixels"] * np.arange(length)
        layout[axis] = Variable(axis, pixels, {"units": "pixels"})
    variable = Variable(("channel", "y", "x"), indexing.LazilyIndexedArray(Stored(array)), about)
    return DataArray(variable, Coordinates(layout), name=name)
