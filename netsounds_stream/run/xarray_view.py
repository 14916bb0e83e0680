"""A stored array as an `xarray.DataArray` that is read where it is indexed.

xarray is optional, so this module is imported only where a user asks for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from xarray import Coordinates, DataArray, Variable
from xarray.backends import BackendArray
from xarray.core import indexing


@dataclass(frozen=True, eq=False)
class StoredArray(BackendArray):
    """A stored array as a backend of xarray, which reads what the user indexes and nothing else."""

    array: zarr.Array[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the array's axes."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number format of the array."""
        return np.dtype(self.array.dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        # OUTER as xarray means it is zarr's oindex; steps backwards are xarray's to turn
        support = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, support, self.array.oindex.__getitem__)


def data_array(array: zarr.Array[Any], name: str) -> DataArray:
    """Return a stored array for xarray, with coordinates.

    Args:
        array: the array, `[channel, y, x]`, with a run's attributes.
        name: name of the result.

    Returns:
        `[channel, y, x]`. `y` and `x` are the pixels that values are centred on, as the network saw them: of
        the resized picture, where `size` was given.
    """
    attributes: dict[str, Any] = dict(array.attrs)
    coordinates: dict[str, Any] = {"channel": np.arange(array.shape[0])}
    offsets = np.broadcast_to(attributes["offset_pixels"], 2).tolist()  # one for both axes, or two
    for axis, length, offset in zip(("y", "x"), array.shape[1:], offsets, strict=True):
        pixels = offset + attributes["stride_pixels"] * np.arange(length)
        coordinates[axis] = Variable(axis, pixels, {"units": "pixels"})
    variable = Variable(("channel", "y", "x"), indexing.LazilyIndexedArray(StoredArray(array)), attributes)
    return DataArray(variable, Coordinates(coordinates), name=name)
