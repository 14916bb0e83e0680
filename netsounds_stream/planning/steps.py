"""The steps of a run, by their names in its journal, and what the journal keeps of each.

A stopped run resumes from these states, so every name and every field stands here once. A state is a small
JSON object; tensors that are needed besides lie in a checkpoint file that it names.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from ..base.checksums import SumJson
from ..base.journal import Complete, Step


class PassState(TypedDict):
    """How far a pass over stored blocks is."""

    complete: bool
    blocks: int


class LevelState(TypedDict):
    """Extremes of each filter's samples so far, and the sums of its energy where they are wanted."""

    low: list[float]
    high: list[float]
    peak: list[float]
    energy: NotRequired[list[list[float]]]


class SumState(TypedDict):
    """Half frames that are spooled, and their extremes so far."""

    frames: int
    low: float
    high: float
    peak: float


class SpectraState(TypedDict):
    """Rows that came, frames that were made of them, and the frames' energies."""

    seen: int
    came: int
    made: int
    energy: float
    loudest: float


class OverviewState(TypedDict):
    """Rows that came."""

    came: int


class BankState(TypedDict):
    """What the network's stage has of a bank.

    Attributes:
        levels: extremes of its filters.
        sum: its raw sum; None where it is not wanted.
        shards: the shards that were full; None where activations are not stored.
        spectra: its windowed sums, in the order of `Mixture.spectra`.
        overview: its cells; None without a report.
    """

    levels: LevelState
    sum: SumState | None
    shards: int | None
    spectra: list[SpectraState]
    overview: OverviewState | None


class NetworkState(TypedDict):
    """How far the network's stage is.

    Attributes:
        rows: rows of the picture that are through; while it is not complete.
        file: name of the checkpoint with what is retained behind them, and its checksum.
        classes: sums over the classifier's positions, and their number, where a cluster computes.
        logits: the classifier's average, once it is complete.
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
    logits: NotRequired[list[float]]


class LevelsPassState(PassState, LevelState):
    """A pass that measures each filter's extremes."""


class SignalsState(PassState, LevelState):
    """A pass that synthesises each filter's windowed signal; `rows` of samples are spooled."""

    rows: int


class SummingState(PassState):
    """A pass that sums filters, each times its weights.

    Attributes:
        waiting: name of the checkpoint with the rows that wait, and its checksum.
    """

    sum: SumState | None
    spectra: NotRequired[list[SpectraState]]
    waiting: NotRequired[str]
    waiting_sum: NotRequired[SumJson]


class FiltersState(PassState):
    """A pass that inverts filters one by one.

    Attributes:
        open: linear checksum of each file that is open, by its number.
    """

    open: dict[str, int]


class FinishedState(PassState):
    """Files that are finished one after another, with what was measured of them, by their names."""

    measured: dict[str, Any]


class SoundState(Complete):
    """A file that was written at once: what was measured of it by its name, and of stems beside it."""

    measured: NotRequired[dict[str, Any]]
    stems: NotRequired[dict[str, float]]


#: The picture, decoded into a file where it cannot be streamed; that file's removal.
DECODE: Step[Complete] = Step("decode")
SPOOL: Step[Complete] = Step("spool")
NETWORK: Step[NetworkState] = Step("network")
MIX: Step[SoundState] = Step("mix")
REPORT: Step[Complete] = Step("report")


def sound_stage(number: int) -> str:
    """Return the name of a bank's sound stage, with which the names of its steps begin."""
    return f"sound {number}"


def sound_step(stage: str) -> Step[Complete]:
    """Return the step of all of a bank's sound."""
    return Step(stage)


def levels_step(stage: str) -> Step[LevelsPassState]:
    """Return the step that measures a bank's filters."""
    return Step(f"{stage}: levels")


def summing_step(stage: str) -> Step[SummingState]:
    """Return the step that sums a bank's filters out of its store."""
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
    """Return the step at whose end nothing of those signals is needed any more."""
    return Step(f"{stage}: spooled")


def windowed_files_step(stage: str, scheme: str) -> Step[FinishedState]:
    """Return the step that finishes the windowed files of a scheme."""
    return Step(f"{stage}: {scheme}")


def finished_step(stage: str, scheme: str) -> Step[FinishedState]:
    """Return the step that finishes raw files of a scheme."""
    return Step(f"{stage}: {scheme} finished")


def form_step(name: str) -> Step[FinishedState]:
    """Return the step that writes a sound's forms for browsers."""
    return Step(f"form: {name}")


def upload_step(name: str) -> Step[Complete]:
    """Return the step that uploads a file."""
    return Step(f"put: {name}")
