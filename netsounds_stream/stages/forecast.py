"""An estimate of the time of a run, from its plan and from this machine's speed at the moment.

The model has a few terms, each linear in the amount of a stage's work. Its constants are seconds of a worker
where a stage divides its work among workers, of the run elsewhere, fitted by `benchmarks/pace.py` to whole
runs by two workers on a quiet machine. A machine's pace is the factor by which the network's bands take
longer than they took there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..graph.usual import usual_graph
from ..network.stream import RowStream
from ..network.tracing.capture import Captured
from ..network.weights import usual_shapes
from ..planning.options import SonifyOptions
from ..planning.plan import STORED_SPOOL, AudioPlan, BankPlan, Plan, Stft
from ..planning.sound_options import SoundOptions

#: Seconds that the network alone took for a pixel, in one thread, on the machine of the fit.
REFERENCE_PIXEL_SECONDS = 2.3e-7

# SqueezeNet's multiplications for a pixel; other networks take time in proportion.
_MULTIPLICATIONS = 17_688
_LABEL_SECONDS = 0.09
_SYNC_SECONDS = 0.05
# A pixel of a picture that is decoded before the network starts.
_DECODED_PIXEL_SECONDS = 1.8e-8
# The network's stage: its start, and all that is done with a pixel.
_NETWORK_SECONDS = 0.25
_PIXEL_SECONDS = 5.5e-7
# Raw sound: a bank's file, and a value of a filter that is inverted by itself.
_BANK_SECONDS = 0.08
_VALUE_SECONDS = 8e-9
# One second of windowed sound, at an overlap of _OVERLAP: its frames, and an iteration of Griffin-Lim.
_FRAMES_SECONDS = 0.004
_ITERATION_SECONDS = 0.0009
_OVERLAP = 4
# The mix: its start, and a second of its file; more where the report shows its parts.
_MIX_SECONDS = 0.08
_FINISH_SECONDS = 0.005
_PARTS_SECONDS = 0.022
# The report: its images grow with the picture up to their largest size.
_REPORT_SECONDS = 0.65
_REPORT_PIXEL_SECONDS = 5e-8
_REPORT_MOST = 8.0

# The measurement of a machine's pace.
_BAND_ROWS = 64
_BAND_CROSS = 512
_WARM_UPS = 2
_MEASURED_SECONDS = 0.3
_FEWEST_BANDS = 3


def expected_seconds(plan: Plan, options: SonifyOptions) -> dict[str, float]:
    """Estimate the time of each stage on the machine of the fit.

    Args:
        plan: the run's plan.
        options: the run's options.

    Returns:
        Seconds by the stage's name, in the stages' order.
    """
    sound = options.sound
    workers = max(1, plan.workers)
    seconds = {}
    if plan.measured_pixels:
        seconds["range"] = _DECODED_PIXEL_SECONDS * plan.measured_pixels
    seconds["label"] = _LABEL_SECONDS
    if plan.picture_stored == STORED_SPOOL:
        seconds["decode"] = _DECODED_PIXEL_SECONDS * plan.pixels
    another = REFERENCE_PIXEL_SECONDS * (plan.multiplications / _MULTIPLICATIONS - 1)
    seconds["network"] = (_NETWORK_SECONDS + (_PIXEL_SECONDS + another) * plan.pixels) / workers
    for bank in plan.banks:
        bank_seconds = sum(
            _raw_seconds(audio, bank)
            if plan.stft is None or not sound.windowed
            else _windowed_seconds(audio, plan.stft, sound)
            for audio in bank.audio
        )
        seconds[f"sound {bank.number}"] = bank_seconds / workers
    if plan.mix is not None and plan.stft is not None:
        one_bank = _windowed_seconds(plan.mix, plan.stft, sound)
        length = plan.stft.sounded / sound.sample_rate_hz
        a_second = _FINISH_SECONDS + (_PARTS_SECONDS if options.report else 0.0)
        seconds["mix"] = _MIX_SECONDS + len(plan.banks) * one_bank / workers + a_second * length
    if options.report:
        report = _REPORT_SECONDS + _REPORT_PIXEL_SECONDS * plan.pixels
        seconds["report"] = min(_REPORT_MOST, report) / max(1, plan.report_workers)
    return {**seconds, "sync": _SYNC_SECONDS}


def _raw_seconds(audio: AudioPlan, bank: BankPlan) -> float:
    """Estimate the time of a bank's raw sound in one scheme."""
    return _BANK_SECONDS + (_VALUE_SECONDS * bank.raw_bytes / 2 if audio.scheme != "sum" else 0.0)


def _windowed_seconds(audio: AudioPlan, stft: Stft, sound: SoundOptions) -> float:
    """Estimate the time of a bank's windowed sound in one scheme."""
    signals = max(1, audio.temporary_bytes // (4 * audio.channels * stft.sounded))
    per_second = _FRAMES_SECONDS + _ITERATION_SECONDS * sound.griffin_lim_iterations
    length = stft.sounded / sound.sample_rate_hz
    return _BANK_SECONDS + signals * per_second * stft.overlap / _OVERLAP * length


def run_seconds(plan: Plan, options: SonifyOptions, *, start_seconds: float) -> float | None:
    """Estimate the time of a run on this machine, at its speed of the moment.

    Args:
        plan: the run's plan.
        options: the run's options.
        start_seconds: time that a process takes to start.

    Returns:
        Seconds; None for a GPU, whose pace is not measured.
    """
    if options.device not in ("auto", "cpu"):
        return None
    return start_seconds + pace(measured_pixel_seconds()) * sum(expected_seconds(plan, options).values())


def pace(pixel_seconds: float) -> float:
    """Return a machine's time as a multiple of the reference's.

    Args:
        pixel_seconds: time that the network alone takes for a pixel there, in one thread.
    """
    return pixel_seconds / REFERENCE_PIXEL_SECONDS


def measured_pixel_seconds() -> float:
    """Measure the network's time for a pixel on this machine, which takes some tenths of a second.

    Other work of the machine slows the measurement, as it will slow a run.

    Returns:
        Seconds for a pixel, in one thread.
    """
    with _one_thread(), torch.inference_mode():
        graph = usual_graph()
        state = {name: torch.full(size, 0.01) for name, size in usual_shapes(graph).items()}
        stream = RowStream(Captured(graph=graph, state=state), {})
        rows = torch.zeros(3, _BAND_ROWS, _BAND_CROSS)
        for _ in range(_WARM_UPS):
            stream.push(rows)
        bands = 0
        began = time.perf_counter()
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
