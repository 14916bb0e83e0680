"""Whether a cluster's workers are as the command is: the versions that decide bytes, and the processors.

Versions that differ are refused: bytes would change with the worker that a segment comes to. Processors that
differ are told: a kernel for another one may round another last bit, and nobody can mend that.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from ..base import machine
from ..errors import ClusterError

#: What makes bytes on a worker: the network and the inversion, and the shards' codecs.
DECISIVE = ("netsounds-stream", "torch", "numcodecs", "pcodec")
_NONE = "none"


@cache
def own_versions() -> Mapping[str, str]:
    """Those of this process, of what is decisive; 'none' of what is not installed."""
    found = {}
    for name in DECISIVE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = _NONE
    return found


@cache
def own_processor() -> str:
    """This machine's, by its maker's name."""
    return str(machine.describe()["processor"])


def require_versions(expected: Mapping[str, str], found: Mapping[str, Mapping[str, str | None]]) -> None:
    """Raise ClusterError where versions are not as expected.

    Args:
        found: of each place versions by name, as far as they are known; None: not installed.
    """
    told, pins = list[str](), list[str]()
    for name, wanted in expected.items():
        others: dict[str, list[str]] = {}
        for place, versions in found.items():
            if name in versions and (there := versions[name] or _NONE) != wanted:
                others.setdefault(there, []).append(place)
        for there, places in others.items():
            more = f" and {len(places) - 1} more" if places[1:] else ""
            told.append(f"{name} {there} instead of {wanted} at {places[0]}{more}")
        if others:
            pins.append(f"{name}=={wanted}")
    if told:
        raise ClusterError(
            f"the workers have other versions than the command ({', '.join(told)}), so the files would "
            f"differ; install the same on the workers: pip install {' '.join(pins)}"
        )


def require_own_versions(expected: Mapping[str, str]) -> None:
    """On a worker: raise ClusterError where its versions are not those."""
    require_versions(expected, {platform.node(): own_versions()})


def processors_note(workers: Iterable[str]) -> list[str]:
    """What a run's record is to say of its workers' processors and the command's; nothing of one kind."""
    kinds = sorted({own_processor(), *workers})
    if len(kinds) == 1:
        return []
    return [
        f"the command and its workers run on {len(kinds)} kinds of processor: {', '.join(kinds)}; values "
        "may differ in the last bit from a run on one machine"
    ]
