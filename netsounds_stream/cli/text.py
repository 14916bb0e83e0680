"""Texts for people: plans, results, rates, times and lengths as the commands print them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..base.units import format_bytes
from ..graph.usual import USUAL_NETWORK, usual_banks
from ..planning.scales import IN_CENTS, Notes, degrees_of, note_name
from ..planning.sound_options import LISTENING_PHON

if TYPE_CHECKING:
    from ..batches.plan import BatchPlan
    from ..batches.records import Result
    from ..graph.layers import Layer
    from ..graph.values import Graph, Refused
    from ..network.verify import Verification
    from ..planning.plan import AudioPlan, BankPlan, Plan
    from ..run.check import Check
    from ..transcription.midi import Midi
    from ..videos.video import Video
    from .bench import Report


def short_plan(plan: Plan) -> str:
    """Return a plan in one line."""
    return (
        f"plan: {plan.width} x {plan.height} px, time along {plan.time_axis}; memory {_memory(plan)}; "
        f"disk needs {format_bytes(plan.final_disk_bytes)} ({format_bytes(plan.disk_bytes)} while it runs)"
        f"{_remote(plan)}"
    )


def _memory(plan: Plan) -> str:
    budget = plan.budget_bytes
    return f"needs {format_bytes(plan.peak_memory_bytes, budget)}, budget {format_bytes(budget, budget)}"


def _remote(plan: Plan) -> str:
    return f", about {format_bytes(plan.remote_bytes)} in the object store" if plan.remote_bytes else ""


def long_plan(plan: Plan, rate_hz: int, seconds: float | None) -> str:
    """Return a plan in full, for a person.

    Args:
        plan: the plan.
        rate_hz: the sample rate of the sound.
        seconds: estimate of the run's time; None where there is none.

    Returns:
        Several lines.
    """
    decoded = {"stream": "row by row", "memory": "in memory", "spool": "to a temporary file"}
    free = "unknown" if plan.free_disk_bytes is None else format_bytes(plan.free_disk_bytes)
    final = format_bytes(plan.final_disk_bytes)
    while_it_runs = format_bytes(plan.disk_bytes)
    libraries = format_bytes(plan.baseline_bytes, plan.budget_bytes)
    lines = [
        f"picture   {plan.width} x {plan.height} px, time along {plan.time_axis}, decoded "
        f"{decoded[plan.picture_stored]}, {plan.band_rows} rows a band",
        f"memory    {_memory(plan)} ({_stages(plan)})",
        f"          Python and its libraries take {libraries} of it",
        f"disk      needs {final} in the end, {while_it_runs} while it runs; {free} free",
    ]
    if plan.remote_bytes:
        lines.append(f"store     about {format_bytes(plan.remote_bytes)} in the object store")
    if plan.gpu_budget_bytes is not None:
        budget = plan.gpu_budget_bytes
        held = format_bytes(plan.gpu_memory_bytes, budget)
        lines.append(f"GPU       needs {held}, budget {format_bytes(budget, budget)}, without its libraries")
    if seconds is not None:
        lines.append(f"run time  about {duration_text(seconds)} (estimated, if this machine stays as busy)")
    lines.append(f"sound     {_total(plan, rate_hz)}")
    report = bool(plan.report_memory_bytes)
    if plan.mix is not None:
        lines.append(f"mix       {_audio_text(plan.mix, rate_hz, report=report)}")
    if plan.stems is not None:
        lines.append(f"stems     {_audio_text(plan.stems, rate_hz, report=report)}")
    lines += _pitch_lines(plan, rate_hz)
    for bank in plan.banks:
        lines += _bank_lines(plan, bank, rate_hz, report=report)
    if plan.measured_pixels:
        lines.append("range     the file is read once before, for black and white")
    lines += [f"note      {note}" for note in plan.notes]
    if plan.preview_rows is not None:
        lines.append(f"preview   uses the first {plan.preview_rows} rows of the picture in time")
    return "\n".join(lines)


def _bank_lines(plan: Plan, bank: BankPlan, rate_hz: int, *, report: bool) -> list[str]:
    """Return a bank's lines of a plan; its layer is named where it is not one of the usual banks."""
    stored_size = format_bytes(bank.stored_bytes_estimate)
    stored = f"about {stored_size} stored, {bank.frames_per_shard} frames a shard"
    usual = plan.network == USUAL_NETWORK and bank.bank in usual_banks().banks
    return [
        f"{f'bank {bank.number}':<9} {' x '.join(map(str, bank.shape))} values [channel, y, x], "
        f"{format_bytes(bank.raw_bytes)} raw, {stored if plan.stored else 'not stored'}",
        *([] if usual else [f"          {plan.network}: {bank.bank.layer}"]),
        *(f"          {audio.scheme}: {_audio_text(audio, rate_hz, report=report)}" for audio in bank.audio),
    ]


def _pitch_lines(plan: Plan, rate_hz: int) -> list[str]:
    """Return a plan's lines on notes and loudness, where these are wanted."""
    lines = []
    if plan.scale is not None and plan.stft is not None:
        ends = " to ".join(f"{note_name(hz)} ({hz:.6g} Hz)" for hz in (plan.scale.hz[0], plan.scale.hz[-1]))
        lines.append(
            f"notes     {len(plan.scale.hz)}, {scale_text(plan.scale)}: {ends}; levels in frames of "
            f"{length_text(plan.stft.fft_size / rate_hz)}"
        )
    if plan.equal_loudness:
        lines.append(f"loudness  low and high are equally loud at {LISTENING_PHON:g} phon")
    return lines


def scale_text(notes: Notes) -> str:
    """Return a scale and its root, such as 'minor-pentatonic on A2'."""
    name = notes.scale
    if name.startswith(IN_CENTS):
        *degrees, period = degrees_of(name)
        name = f"{len(degrees)} to {period:.6g} cents"
    return f"{name} on {note_name(notes.root_hz)}"


def _stages(plan: Plan) -> str:
    """Return the memory of each stage."""
    needs = {
        "network": plan.forward_memory_bytes,
        "sound": plan.sound_memory_bytes,
        "report": plan.report_memory_bytes,
    }
    parts = (f"{name} {format_bytes(count, plan.budget_bytes)}" for name, count in needs.items() if count)
    return ", ".join(parts)


def _sounds(plan: Plan) -> list[AudioPlan]:
    """Return the plans of all sounds, the mix first."""
    of_all_banks = [audio for audio in (plan.mix, plan.stems) if audio is not None]
    return [*of_all_banks, *(audio for bank in plan.banks for audio in bank.audio)]


def _total(plan: Plan, rate_hz: int) -> str:
    """Return number, length and size of all sound files together."""
    sounds = _sounds(plan)
    files = sum(audio.files for audio in sounds)
    if not files:
        return "none"
    seconds = sum(audio.files * audio.samples for audio in sounds) / rate_hz
    size = format_bytes(sum(audio.files * audio.bytes_per_file for audio in sounds))
    return f"{files} file{'s' if files > 1 else ''}, {length_text(seconds)} in all, {size}"


def _audio_text(audio: AudioPlan, rate_hz: int, *, report: bool) -> str:
    files = f"{audio.files} files of " if audio.files > 1 else ""
    channels = " in stereo" if audio.channels > 1 else ""
    at_most = "at most " if audio.container in ("FLAC", "OGG") else ""
    size = f"{at_most}{format_bytes(audio.bytes_per_file)} {audio.container}"
    text = f"{files}{length_text(audio.samples / rate_hz)}{channels}, {size}"
    if report and audio.browser_bytes:
        text += f", and at most {format_bytes(audio.browser_bytes)} of FLAC for browsers"
    return text


def plan_facts(
    plan: Plan, rate_hz: int, seconds: float | None, notes: tuple[str, ...] = ()
) -> dict[str, object]:
    """Return all of a plan, for programs.

    Args:
        plan: the plan.
        rate_hz: the sample rate of the sound.
        seconds: estimate of the run's time; None where there is none.
        notes: notes for the user.

    Returns:
        The plan's fields, and what is computed from them, JSON-ready.
    """

    def timed(audio: AudioPlan) -> dict[str, object]:
        return {**asdict(audio), "seconds": audio.samples / rate_hz}

    banks = [{**asdict(bank), "audio": [timed(audio) for audio in bank.audio]} for bank in plan.banks]
    return {
        **asdict(plan),
        "banks": banks,
        "mix": None if plan.mix is None else timed(plan.mix),
        "stems": None if plan.stems is None else timed(plan.stems),
        "peak_memory_bytes": plan.peak_memory_bytes,
        "sound_seconds": sum(audio.files * audio.samples for audio in _sounds(plan)) / rate_hz,
        "estimated_run_seconds": seconds,
        "notes": list(notes),
    }


def verification_text(result: Verification) -> str:
    """Describe a comparison of the stream with the whole image.

    Returns:
        Lines: the agreement of each bank, both top-5 lists, and the verdict.
    """
    lines = [f"{result.width} x {result.height} px, {result.precision}, {result.band_rows} rows a band"]
    for bank in result.banks:
        lines.append(
            f"bank {bank.bank}  {' x '.join(map(str, bank.shape)):>18}  largest value {bank.largest:9.3f}"
            f"  largest difference {bank.difference:.2e}  ({bank.relative:.1e} of it)"
        )
    for name, guesses in (("stream", result.stream_top5), ("whole image", result.whole_top5)):
        if guesses:
            seen = ", ".join(f"{guess.category} {guess.probability:.3f}" for guess in guesses)
            lines.append(f"{name:<11}  {seen}")
    lines.append(
        f"{'agrees' if result.agreed else 'DIFFERS'} (allowed: {result.tolerance:.0e} of the largest)"
    )
    return "\n".join(lines)


def video_text(video: Video) -> str:
    """Describe a video in one line."""
    return (
        f"{video.width} x {video.height} px, {video.fps:g} frames a second, {clock_text(video.seconds)}, "
        f"{video.codec} and {video.audio_codec}, {format_bytes(video.bytes)}"
    )


def midi_text(made: Midi) -> str:
    """Describe a MIDI file in one line."""
    banks = ", ".join(f"{count} of bank {number}" for number, count in made.by_bank.items())
    return f"{made.notes} notes, {made.bent} of them glide, in {clock_text(made.seconds)}: {banks}"


def layers_text(graph: Graph, layers: Sequence[Layer], banks: Sequence[str]) -> str:
    """List a network's layers as a table.

    Args:
        graph: the network.
        layers: those of its layers that can be streamed.
        banks: names of those that become banks unless others are named.

    Returns:
        Lines: a heading, one for each layer with the number of its bank, if any, and one for each reason for
        which others cannot be streamed.
    """
    rows = [("bank", "layer", "what", "channels", "stride", "field", "values/px")]
    for layer in layers:
        bank = str(banks.index(layer.name) + 1) if layer.name in banks else ""
        stride = _either(layer.y.stride, layer.x.stride)
        field = _either(layer.y.field, layer.x.field)
        values = f"{layer.values_a_pixel:.3g}"
        rows.append((bank, layer.name, layer.what, str(layer.channels), stride, field, values))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{width}}" if column in (1, 2) else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    blocked: dict[str, list[Refused]] = {}
    for refused in graph.refused:
        blocked.setdefault(f"{refused.blocked_by} {refused.reason}", []).append(refused)
    for reason, those in blocked.items():
        count = f"{len(those)} layers" if len(those) > 1 else "1 layer"
        lines.append(f"cannot be streamed: {count} from {those[0].name} on ({reason})")
    return "\n".join(lines)


def _either(y: int, x: int) -> str:
    """Return what is the same along both axes once, else that along y and along x."""
    return str(y) if y == x else f"{y} x {x}"


def bench_text(report: Report, machine: Mapping[str, str | int]) -> str:
    """Return speed and room of a machine as a table.

    Args:
        report: speed and room.
        machine: facts about the machine; see `machine.describe`.

    Returns:
        Lines: a column for each device, then the largest pictures.
    """
    speeds = report.speeds
    rows = [("", [f"{speed.device}, {speed.precision}" for speed in speeds])]
    rows.append(("network and store", [rate_text(s.pixels / s.network_seconds, "px") for s in speeds]))
    rows.append(("sound", [rate_text(s.pixels / s.sound_seconds, "px") for s in speeds]))
    for name, pixels in report.foretold:
        times = [report.start_seconds + speed.seconds_for(pixels) for speed in speeds]
        rows.append((name, [f"about {duration_text(seconds)}" for seconds in times]))
    if any(speed.cuda_peak_bytes for speed in speeds):
        peaks = [speed.cuda_peak_bytes for speed in speeds]
        rows.append(("GPU memory", ["" if count is None else format_bytes(count) for count in peaks]))
    width = max(len(name) for name, _ in rows)
    lines = [f"{machine['processor']}, {machine['cpus']} cores, {machine['memory']}"]
    lines += [
        f"{name:<{width}}  " + "  ".join(f"{cell:>16}" for cell in cells).rstrip() for name, cells in rows
    ]
    lines += [f"not measured: {device}" for device in report.failed]
    lines.append("")
    lines.append(
        f"largest square picture, on the CPU, in {format_bytes(report.budget_bytes)} of memory "
        f"and {format_bytes(report.free_disk_bytes)} of disk:"
    )
    lines += [f"{room.what:<{width}}  {room.side} x {room.side} px ({room.limit})" for room in report.rooms]
    return "\n".join(lines)


def check_text(result: Check) -> str:
    """Return in a line what was read of a run, and how much of it is intact."""
    intact = result.files - len({damage.name for damage in result.damaged})
    text = f"{intact} of {result.files} files are as they were written ({format_bytes(result.bytes)})"
    if result.unknown:
        text += f"; {len(result.unknown)} other files: {', '.join(result.unknown[:3])}"
    return text


def facts_text(facts: Mapping[str, object], indent: str = "") -> str:
    """Return facts in lines, one for each; nested facts are indented."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}", facts_text(value, indent + "  ")]
        elif value != []:
            shown = "; ".join(map(str, value)) if isinstance(value, list) else value
            lines.append(f"{indent}{name:<16} {shown}")
    return "\n".join(line for line in lines if line)


# A plan lists no more pictures that will fail.
_MOST_REASONS = 20


def plan_text(plan: BatchPlan) -> list[str]:
    """Describe the plan of a batch.

    Returns:
        Lines: pictures, memory, disk, time, and pictures that will fail.
    """
    parts = {
        "new": plan.new,
        "to resume": plan.unfinished,
        "finished": plan.finished,
        "that will fail": plan.failing,
    }
    pictures = ", ".join(f"{count} {what}" for what, count in parts.items() if count)
    total = plan.budget_bytes
    budget = ", the budget of each worker" if total is None else f", budget {format_bytes(total, total)}"
    lines = [
        f"batch: {plan.pictures} pictures ({pictures}), {plan.pixels / 1e6:.1f} megapixels to make, "
        f"{plan.jobs} at a time",
        f"memory needs {format_bytes(plan.memory_bytes, total)}{budget} (for all {plan.jobs} together)",
        f"disk needs {format_bytes(plan.final_disk_bytes)}, {format_bytes(plan.disk_bytes)} while it runs; "
        f"{format_bytes(plan.free_disk_bytes)} free",
        f"run time about {duration_text(plan.seconds)} (an estimate)",
    ]
    lines += [f"will fail: {_failure(name, reason)}" for name, reason in plan.reasons[:_MOST_REASONS]]
    if len(plan.reasons) > _MOST_REASONS:
        lines.append(f"and {len(plan.reasons) - _MOST_REASONS} more")
    return lines


def ended_text(result: Result) -> str:
    """Return in a line what became of a picture."""
    what = _failure(result.picture, result.error) if result.error else result.picture
    return f"{result.status:<8}{what} ({result.seconds:.1f} s)"


def _failure(name: str, reason: str) -> str:
    """Return a picture and why it failed, with its name once."""
    return reason if name in reason else f"{name}: {reason}"


def table_text(results: Sequence[Result]) -> Iterator[str]:
    """Describe the results of a batch.

    Yields:
        The lines of a table, then a line for each picture that failed.
    """
    picture = max([len("picture"), *(len(result.picture) for result in results)])
    folder = max([len("folder"), *(len(result.folder) for result in results)])
    yield f"{'status':<8} {'picture':<{picture}}  {'folder':<{folder}}  {'seconds':>8}  {'peak memory':>11}"
    for result in results:
        peak = "" if result.peak_memory_bytes is None else format_bytes(result.peak_memory_bytes)
        names = f"{result.picture:<{picture}}  {result.folder:<{folder}}"
        yield f"{result.status:<8} {names}  {result.seconds:>8.1f}  {peak:>11}".rstrip()
    for result in results:
        if result.error:
            yield f"failed: {_failure(result.picture, result.error)}"


# Prefixes of rates: their letter, their size, and the least rate that they are used for.
_PREFIXES = (("M", 1e6, 1e5), ("k", 1e3, 1e3))


def rate_text(per_second: float, unit: str) -> str:
    """Format a rate with the prefix that suits it, such as '1.2 Mpx/s'.

    Args:
        per_second: the rate.
        unit: 'px', 'samples' or 'B'.

    Returns:
        The number with one decimal place, and the unit.
    """
    for prefix, size, least in _PREFIXES:
        if per_second >= least:
            return f"{per_second / size:.1f} {prefix}{unit}/s"
    return f"{per_second:.1f} {unit}/s"


def clock_text(seconds: float) -> str:
    """Return a time that has passed, or is left, as a clock shows it, such as '1:05 min'."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d} min"


def duration_text(seconds: float) -> str:
    """Return a time roughly, such as '3 min'."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def length_text(seconds: float) -> str:
    """Return the length of a sound, such as '1 min 5 s'."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 else f"{1000 * seconds:.0f} ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"
