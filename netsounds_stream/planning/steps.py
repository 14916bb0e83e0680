"""Steps of a run: their names in its journal, and the types of their states.

A stopped run resumes from these states, so every name and every field is defined once, here. A state is a
small JSON object; the tensors that belong to it are in a checkpoint file that it names.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from ..base.checksums import SumJson
from ..base.journal import Complete, Step


class PassState(TypedDict):
    """Progress of a pass over stored blocks."""

    complete: bool
    blocks: int


class LevelState(TypedDict):
    """Extremes of each filter's samples so far, and sums of its energy if they are needed."""

    low: list[float]
    high: list[float]
    peak: list[float]
    energy: NotRequired[list[list[float]]]


class SumState(TypedDict):
    """Number of spooled half frames, and their extremes so far."""

    frames: int
    low: float
    high: float
    peak: float


class SpectraState(TypedDict):
    """State of a windowed sum's magnitudes.

    Attributes:
        seen: rows received.
        came: rows taken in; the others wait.
        made: frames made.
        energy: energy of these frames.
        loudest: largest energy of a frame.
    """

    seen: int
    came: int
    made: int
    energy: float
    loudest: float


class OverviewState(TypedDict):
    """Number of rows that an overview has seen."""

    came: int


class FiringState(TypedDict):
    """Number of rows of which filters' levels over time have been measured."""

    came: int


class BankState(TypedDict):
    """State of one bank in the network's stage.

    Attributes:
        levels: extremes of its filters.
        sum: its raw sum; None if it is not needed.
        shards: number of full shards; None if activations are not stored.
        spectra: its windowed sums, in the order of `Mixture.spectra`.
        overview: its overview; None without a report.
        firing: its filters' levels over time; None without a report.
    """

    levels: LevelState
    sum: SumState | None
    shards: int | None
    spectra: list[SpectraState]
    overview: OverviewState | None
    firing: FiringState | None


class NetworkState(TypedDict):
    """Progress of the network's stage.

    Attributes:
        complete: whether the stage has ended.
        banks: states of the banks, by their numbers.
        preview: state of the picture's overview; None without a report.
        rows: rows of the picture that have passed through the network; absent once complete.
        file: name of the checkpoint of the tensors that the layers retain; absent once complete.
        checksum: its checksum.
        segments: present in a run on a cluster.
        classes: sums over the classifier's positions, in a run on a cluster.
        positions: number of these positions.
        logits: the classifier's average, once complete; None if the network makes none.
    """

    complete: bool
    banks: dict[str, BankState]
    preview: OverviewState | None
    rows: NotRequired[int]
    file: NotRequired[str]
    checksum: NotRequired[SumJson]
    segments: NotRequired[Literal[True]]
    classes: NotRequired[list[float]]
    positions: NotRequired[int]
    logits: NotRequired[list[float] | None]


class LevelsPassState(PassState, LevelState):
    """A pass that measures each filter's extremes."""


class SignalsState(PassState, LevelState):
    """A pass that synthesises each filter's windowed signal; `rows` of samples are spooled."""

    rows: int


class SummingState(PassState):
    """A pass that computes weighted sums of filters.

    Attributes:
        sum: the raw sum; None if it is not needed.
        spectra: the windowed sums.
        waiting: name of the checkpoint of rows that have not become frames yet.
        waiting_sum: its checksum.
    """

    sum: SumState | None
    spectra: NotRequired[list[SpectraState]]
    waiting: NotRequired[str]
    waiting_sum: NotRequired[SumJson]


class FiltersState(PassState):
    """A pass that inverts filters one by one.

    Attributes:
        open: linear part of the checksum of each open file, by its number.
    """

    open: dict[str, int]


class FinishedState(PassState):
    """A pass that finishes files one after another, with their measurements by name."""

    measured: dict[str, Any]


class SoundState(Complete):
    """A file that is written in one piece: its measurements by name, and those of the stems."""

    measured: NotRequired[dict[str, Any]]
    stems: NotRequired[dict[str, float]]


#: Decoding of a picture that cannot be streamed into a temporary file; removal of that file.
DECODE: Step[Complete] = Step("decode")
SPOOL: Step[Complete] = Step("spool")
NETWORK: Step[NetworkState] = Step("network")
MIX: Step[SoundState] = Step("mix")
GROUP: Step[Complete] = Step("group")
REPORT: Step[Complete] = Step("report")


def sound_stage(number: int) -> str:
    """Return the name of a bank's sound stage, the prefix of its steps' names."""
    return f"sound {number}"


def sound_step(stage: str) -> Step[Complete]:
    """Return the step of a bank's whole sound stage."""
    return Step(stage)


def sum_map_step(number: int) -> Step[Complete]:
    """Return the step that writes a bank's sum map."""
    return Step(f"sums {number}")


def levels_step(stage: str) -> Step[LevelsPassState]:
    """Return the step that measures a bank's filters."""
    return Step(f"{stage}: levels")


def summing_step(stage: str) -> Step[SummingState]:
    """Return the step that sums a bank's stored filters."""
    return Step(f"{stage}: weighted sum")


def sum_step(stage: str) -> Step[SoundState]:
    """Return the step that writes a bank's sum."""
    return Step(f"{stage}: sum")


def filters_step(stage: str, scheme: str) -> Step[FiltersState]:
    """Return the step that inverts a bank's filters into the files of a scheme."""
    return Step(f"{stage}: {scheme}")


def signals_step(stage: str) -> Step[SignalsState]:
    """Return the step that synthesises windowed signals of a bank's filters."""
    return Step(f"{stage}: signals")


def spooled_step(stage: str) -> Step[Complete]:
    """Return the step after which the spooled signals are no longer needed."""
    return Step(f"{stage}: spooled")


def windowed_files_step(stage: str, scheme: str) -> Step[FinishedState]:
    """Return the step that finishes the windowed files of a scheme."""
    return Step(f"{stage}: {scheme}")


def finished_step(stage: str, scheme: str) -> Step[FinishedState]:
    """Return the step that finishes raw files of a scheme."""
    return Step(f"{stage}: {scheme} finished")


def form_step(name: str) -> Step[FinishedState]:
    """Return the step that writes copies of a sound for browsers."""
    return Step(f"form: {name}")


def upload_step(name: str) -> Step[Complete]:
    """Return the step that uploads a file."""
    return Step(f"put: {name}")
