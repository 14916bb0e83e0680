"""How long a run will take: an estimate from its plan, and from how fast this machine is now.

A model of a few terms, linear in what a stage works on. Its constants are processor seconds, fitted by
`benchmarks/pace.py` to whole runs; a machine's pace is how much longer it takes for the network's bands.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..network.stream import RowStream
from ..network.weights import expected_shapes
from ..planning.options import SonifyOptions
from ..planning.plan import STORED_SPOOL, AudioPlan, Plan, Stft

#: Seconds that the network alone took for a pixel, in one thread, where the constants were fitted.
REFERENCE_PIXEL_SECONDS = 6.4e-7

_LABEL_SECONDS, _SYNC_SECONDS = 0.1, 0.05
# Of a picture that is decoded first, and of the network's stage: all that is done with a pixel.
_DECODED_PIXEL_SECONDS = 5e-8
_NETWORK_SECONDS, _PIXEL_SECONDS = 0.15, 1.6e-6
# Of raw sound: a bank's file, and a value that is inverted by itself.
_BANK_SECONDS, _VALUE_SECONDS = 0.08, 1.1e-8
# Of windowed sound, a second of it: frames, an iteration of Griffin-Lim, the finished file. The
# frames lie over one another _OVERLAP times.
_FRAMES_SECONDS, _ITERATION_SECONDS, _FINISH_SECONDS, _OVERLAP = 0.012, 0.0026, 0.025, 4
# Of the report: sheets and single filters grow with the picture until they are as large as they get.
_REPORT_SECONDS, _REPORT_PIXEL_SECONDS, _REPORT_MOST = 1.0, 2.3e-6, 5.0

_BAND_ROWS, _BAND_CROSS = 64, 512
_WARM_UPS, _MEASURED_SECONDS, _FEWEST_BANDS = 2, 0.3, 3


def expected_seconds(plan: Plan, options: SonifyOptions) -> dict[str, float]:
    """Return what each stage of a run takes, in their order, where the constants were fitted."""
    sound, workers = options.sound, max(1, plan.workers)
    found = {"label": _LABEL_SECONDS}
    if plan.picture_stored == STORED_SPOOL:
        found["decode"] = _DECODED_PIXEL_SECONDS * plan.pixels
    found["network"] = (_NETWORK_SECONDS + _PIXEL_SECONDS * plan.pixels) / workers
    for bank in plan.banks:
        work = sum(
            _windowed_seconds(audio, plan.stft, sound.griffin_lim_iterations, sound.sample_rate_hz)
            if sound.windowed and plan.stft is not None
            else _BANK_SECONDS + (_VALUE_SECONDS * bank.raw_bytes / 2 if audio.scheme != "sum" else 0.0)
            for audio in bank.audio
        )
        found[f"sound {bank.number}"] = work / workers
    if plan.mix is not None and plan.stft is not None:
        one = _windowed_seconds(plan.mix, plan.stft, sound.griffin_lim_iterations, sound.sample_rate_hz)
        seconds = plan.stft.sounded / sound.sample_rate_hz
        found["mix"] = len(plan.banks) * one + _FINISH_SECONDS * seconds
    if options.report:
        report = _REPORT_SECONDS + _REPORT_PIXEL_SECONDS * plan.pixels
        found["report"] = min(_REPORT_MOST, report) / max(1, plan.report_workers)
    return {**found, "sync": _SYNC_SECONDS}


def _windowed_seconds(audio: AudioPlan, stft: Stft, iterations: int, rate_hz: int) -> float:
    signals = max(1, audio.temporary_bytes // (4 * audio.channels * stft.sounded))
    each = (_FRAMES_SECONDS + _ITERATION_SECONDS * iterations) * stft.overlap / _OVERLAP
    return signals * each * stft.sounded / rate_hz


def run_seconds(plan: Plan, options: SonifyOptions, *, start_seconds: float) -> float | None:
    """Return what a run takes here and now, about; None for a GPU, whose pace is not measured.

    Args:
        plan: the run's plan.
        options: what it is asked for.
        start_seconds: what a process takes to start.
    """
    if options.device not in ("auto", "cpu"):
        return None
    return start_seconds + pace(measured_pixel_seconds()) * sum(expected_seconds(plan, options).values())


def pace(pixel_seconds: float) -> float:
    """Return how many times as long as the reference a machine takes."""
    return pixel_seconds / REFERENCE_PIXEL_SECONDS


def measured_pixel_seconds() -> float:
    """Return what the network alone takes for a pixel here and now, in one thread: some tenths of a second.

    What else the machine does is in it, as it will be in a run.
    """
    with _one_thread(), torch.inference_mode():
        stream = RowStream({name: torch.full(size, 0.01) for name, size in expected_shapes().items()}, {})
        rows = torch.zeros(3, _BAND_ROWS, _BAND_CROSS)
        for _ in range(_WARM_UPS):
            stream.push(rows)
        began, bands = time.perf_counter(), 0
        while bands < _FEWEST_BANDS or time.perf_counter() - began < _MEASURED_SECONDS:
            stream.push(rows)
            bands += 1
        return (time.perf_counter() - began) / (bands * _BAND_ROWS * _BAND_CROSS)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
