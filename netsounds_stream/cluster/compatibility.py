"""Compatibility of a cluster's workers with the command: the versions that decide bytes, and the processors.

Versions that differ are refused, since a segment's bytes would depend on the worker that computes it.
Processors that differ are only noted in the run's record: their kernels may round the last bit differently,
which no user can change.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from ..base import machine
from ..errors import ClusterError

#: Packages that decide a worker's bytes: the network, the inversion, and the shards' codecs.
DECISIVE = ("netsounds-stream", "torch", "numcodecs", "pcodec")
_NOT_INSTALLED = "none"


@cache
def own_versions() -> Mapping[str, str]:
    """Return this process's versions of the packages that decide bytes.

    Returns:
        Versions by package, in the order of `DECISIVE`; 'none' for a package that is not installed.
    """
    versions = {}
    for name in DECISIVE:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = _NOT_INSTALLED
    return versions


@cache
def own_processor() -> str:
    """Return the name that its maker gave to this machine's processor."""
    return str(machine.describe()["processor"])


def require_versions(expected: Mapping[str, str], found: Mapping[str, Mapping[str, str | None]]) -> None:
    """Check that workers have the expected versions.

    Args:
        expected: versions by package.
        found: each worker's versions by package, by its address, as far as they are known; None for a
            package that is not installed.

    Raises:
        ClusterError: a worker has another version; the message names the package, the worker and the remedy.
    """
    differences: list[str] = []
    pins: list[str] = []
    for name, wanted in expected.items():
        others: dict[str, list[str]] = {}
        for address, versions in found.items():
            if name in versions and (other := versions[name] or _NOT_INSTALLED) != wanted:
                others.setdefault(other, []).append(address)
        for other, addresses in others.items():
            more = f" and {len(addresses) - 1} more" if addresses[1:] else ""
            differences.append(f"{name} {other} instead of {wanted} at {addresses[0]}{more}")
        if others:
            pins.append(f"{name}=={wanted}")
    if differences:
        raise ClusterError(
            f"the workers have other versions than the command ({', '.join(differences)}), so the files "
            f"would differ; install the same on the workers: pip install {' '.join(pins)}"
        )


def require_own_versions(expected: Mapping[str, str]) -> None:
    """Check this process's versions; runs on a worker.

    Args:
        expected: the command's versions by package.

    Raises:
        ClusterError: a version differs.
    """
    require_versions(expected, {platform.node(): own_versions()})


def processors_note(workers: Iterable[str]) -> list[str]:
    """Return the note for a run's record on processors that differ.

    Args:
        workers: names of the workers' processors.

    Returns:
        One line where the workers and the command have several kinds of processor; else an empty list.
    """
    kinds = sorted({own_processor(), *workers})
    if len(kinds) == 1:
        return []
    return [
        f"the command and its workers run on {len(kinds)} kinds of processor: {', '.join(kinds)}; values "
        "may differ in the last bit from a run on one machine"
    ]
