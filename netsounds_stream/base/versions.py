"""The versions of this package and of what decides the bytes that it writes."""

from __future__ import annotations

from importlib.metadata import version

import pyvips

PACKAGE = "netsounds-stream"


_PARTS = ("torch", "torchvision", "zarr", "numcodecs", "pcodec", "soundfile", "numpy", "pyvips", "soxr")


def versions() -> dict[str, str]:
    """Return the versions of this package and of what decides the bytes that it writes."""
    found = {name: version(name) for name in (PACKAGE, *_PARTS)}
    return {**found, "libvips": ".".join(str(pyvips.version(part)) for part in range(3))}
