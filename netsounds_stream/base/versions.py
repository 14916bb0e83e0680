"""Versions of this package and of the libraries that determine the bytes that it writes."""

from __future__ import annotations

from importlib.metadata import version

import pyvips

PACKAGE = "netsounds-stream"
_LIBRARIES = ("torch", "torchvision", "zarr", "numcodecs", "pcodec", "soundfile", "numpy", "pyvips", "soxr")


def versions() -> dict[str, str]:
    """Collect the versions of this package and of the libraries that determine the bytes that it writes.

    Returns:
        Versions by the name of the distribution; libvips, which is none, last.
    """
    installed = {name: version(name) for name in (PACKAGE, *_LIBRARIES)}
    return {**installed, "libvips": ".".join(str(pyvips.version(part)) for part in range(3))}
