"""Values as the command line tells them to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .options import format_bytes
from .quantities import duration_text, rate_text

if TYPE_CHECKING:
    from .benchmark import Report
    from .checking import Check
    from .plans import AudioPlan, Plan
    from .verification import Verification


def short_plan(plan: Plan) -> str:
    """A plan in one line."""
    return (
        f"plan: {plan.width} x {plan.height} px, time along {plan.time_axis}, "
        f"memory {format_bytes(plan.peak_memory_bytes)} of {format_bytes(plan.budget_bytes)}, "
        f"disk {format_bytes(plan.final_disk_bytes)} ({format_bytes(plan.disk_bytes)} while it runs)"
        f"{_remote(plan)}"
    )


def _remote(plan: Plan) -> str:
    return f", about {format_bytes(plan.remote_bytes)} in the object store" if plan.remote_bytes else ""


def long_plan(plan: Plan) -> str:
    """A plan in full, for a person."""
    decoded = {"stream": "row by row", "memory": "in memory", "spool": "to a temporary file"}
    free = "unknown" if plan.free_disk_bytes is None else format_bytes(plan.free_disk_bytes)
    final, while_it_runs = format_bytes(plan.final_disk_bytes), format_bytes(plan.disk_bytes)
    network, sound = format_bytes(plan.forward_memory_bytes), format_bytes(plan.sound_memory_bytes)
    report = f", report {format_bytes(plan.report_memory_bytes)}" if plan.report_memory_bytes else ""
    lines = [
        f"picture   {plan.width} x {plan.height} px, decoded {decoded[plan.picture_stored]}",
        f"time      along {plan.time_axis}, {plan.band_rows} rows a band",
        f"memory    {format_bytes(plan.peak_memory_bytes)} of {format_bytes(plan.budget_bytes)} at the peak "
        f"(network {network}, sound {sound}{report})",
        f"disk      {final} in the end, {while_it_runs} while it runs; {free} free",
    ]
    if plan.remote_bytes:
        lines.append(f"store     about {format_bytes(plan.remote_bytes)} in the object store")
    if plan.gpu_budget_bytes is not None:
        held, allowed = format_bytes(plan.gpu_memory_bytes), format_bytes(plan.gpu_budget_bytes)
        lines.append(f"GPU       {held} of {allowed}, beside the libraries' own")
    for bank in plan.banks:
        stored_size = format_bytes(bank.stored_bytes_estimate)
        stored = f"about {stored_size} stored, {bank.frames_per_shard} frames a shard"
        lines.append(
            f"bank {bank.number}    {' x '.join(map(str, bank.shape))} values [channel, y, x], "
            f"{format_bytes(bank.raw_bytes)} raw, {stored if plan.stored else 'not stored'}"
        )
        lines += [f"          {_audio_text(audio, report=bool(report))}" for audio in bank.audio]
    for of_all in (plan.mix, plan.stems):
        if of_all is not None:
            lines.append(_audio_text(of_all, report=bool(report)))
    if plan.preview_rows is not None:
        lines.append(f"preview   {plan.preview_rows} rows of the picture in time are looked at")
    return "\n".join(lines)


def _audio_text(audio: AudioPlan, *, report: bool) -> str:
    files = f"{audio.files} files of " if audio.files > 1 else ""
    channels = " in stereo" if audio.channels > 1 else ""
    size = format_bytes(audio.bytes_per_file)
    at_most = "at most " if audio.container in ("FLAC", "OGG") else ""
    text = f"{audio.scheme}: {files}{audio.samples} samples{channels}, {at_most}{size} {audio.container}"
    if report and audio.browser_bytes:
        text += f", and at most {format_bytes(audio.browser_bytes)} of FLAC for browsers"
    return text


def verification_text(result: Verification) -> str:
    """How far the stream agrees with the whole image, bank by bank, and both top-5 lists."""
    lines = [f"{result.width} x {result.height} px, {result.precision}, {result.band_rows} rows a band"]
    for each in result.banks:
        lines.append(
            f"bank {each.bank}  {' x '.join(map(str, each.shape)):>18}  largest value {each.largest:9.3f}"
            f"  largest difference {each.difference:.2e}  ({each.relative:.1e} of it)"
        )
    for name, guesses in (("stream", result.stream_top5), ("whole image", result.whole_top5)):
        seen = ", ".join(f"{guess.category} {guess.probability:.3f}" for guess in guesses)
        lines.append(f"{name:<11}  {seen}")
    lines.append(
        f"{'agrees' if result.agreed else 'DIFFERS'} (allowed: {result.tolerance:.0e} of the largest)"
    )
    return "\n".join(lines)


def bench_text(report: Report, machine: Mapping[str, str | int]) -> str:
    """The table of `bench`."""
    heads = [f"{each.device}, {each.precision}" for each in report.speeds]
    rows = [("", heads)]
    rows.append(
        ("network and store", [rate_text(s.pixels / s.network_seconds, "px") for s in report.speeds])
    )
    rows.append(("sound", [rate_text(s.pixels / s.sound_seconds, "px") for s in report.speeds]))
    for name, pixels in report.foretold:
        times = [report.start_seconds + each.seconds_for(pixels) for each in report.speeds]
        rows.append((name, [f"about {duration_text(seconds)}" for seconds in times]))
    if any(each.cuda_peak_bytes for each in report.speeds):
        held = [each.cuda_peak_bytes for each in report.speeds]
        rows.append(("GPU memory", ["" if count is None else format_bytes(count) for count in held]))
    width = max(len(name) for name, _ in rows)
    lines = [f"{machine['processor']}, {machine['cpus']} cores, {machine['memory']}"]
    lines += [
        f"{name:<{width}}  " + "  ".join(f"{cell:>16}" for cell in cells).rstrip() for name, cells in rows
    ]
    lines += [f"not measured: {each}" for each in report.failed]
    lines.append("")
    lines.append(
        f"largest square picture, on the CPU, in {format_bytes(report.budget_bytes)} of memory "
        f"and {format_bytes(report.free_disk_bytes)} of disk:"
    )
    lines += [f"{room.what:<{width}}  {room.side} x {room.side} px ({room.limit})" for room in report.rooms]
    return "\n".join(lines)


def check_text(found: Check) -> str:
    """What was read, and whether it is whole."""
    whole = found.files - len({each.name for each in found.damaged})
    text = f"{whole} of {found.files} files are as they were written ({format_bytes(found.bytes)})"
    if found.unknown:
        text += f"; {len(found.unknown)} more, not of this run: {', '.join(found.unknown[:3])}"
    return text


def facts_text(facts: Mapping[str, object], indent: str = "") -> str:
    """Facts by name, a line each, those of a fact indented."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}", facts_text(value, indent + "  ")]
        elif value != []:
            said = "; ".join(map(str, value)) if isinstance(value, list) else value
            lines.append(f"{indent}{name:<16} {said}")
    return "\n".join(line for line in lines if line)
