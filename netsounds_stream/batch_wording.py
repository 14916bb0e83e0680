"""A batch's values as the command line tells them to a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .base.units import format_bytes
from .quantities import duration_text

if TYPE_CHECKING:
    from .batches.plan import BatchPlan
    from .batches.records import Result

_REASONS = 20  # that a plan tells


def plan_text(plan: BatchPlan) -> list[str]:
    """A batch's plan, in lines."""
    parts = {
        "new": plan.new,
        "to resume": plan.unfinished,
        "finished": plan.finished,
        "that will fail": plan.failing,
    }
    told = ", ".join(f"{count} {what}" for what, count in parts.items() if count)
    total = plan.budget_bytes
    budget = ", the budget of each worker" if total is None else f", budget {format_bytes(total, total)}"
    lines = [
        f"batch: {plan.pictures} pictures ({told}), {plan.pixels / 1e6:.1f} megapixels to make, "
        f"{plan.jobs} at a time",
        f"memory needs {format_bytes(plan.memory_bytes, total)}{budget} (for all {plan.jobs} together)",
        f"disk needs {format_bytes(plan.final_disk_bytes)}, {format_bytes(plan.disk_bytes)} while it runs; "
        f"{format_bytes(plan.free_disk_bytes)} free",
        f"run time about {duration_text(plan.seconds)} (an estimate)",
    ]
    lines += [f"will fail: {_said(name, reason)}" for name, reason in plan.reasons[:_REASONS]]
    if len(plan.reasons) > _REASONS:
        lines.append(f"and {len(plan.reasons) - _REASONS} more")
    return lines


def ended_text(result: Result) -> str:
    """A picture's end, in a line."""
    what = _said(result.picture, result.error) if result.error else result.picture
    return f"{result.status:<8}{what} ({result.seconds:.1f} s)"


def _said(name: str, reason: str) -> str:
    """A picture and why it failed, its name once."""
    return reason if name in reason else f"{name}: {reason}"


def table_text(results: Sequence[Result]) -> Iterator[str]:
    """What became of all, a line each, and why some failed."""
    width = max([len("picture"), *(len(each.picture) for each in results)])
    into = max([len("folder"), *(len(each.folder) for each in results)])
    yield f"{'status':<8} {'picture':<{width}}  {'folder':<{into}}  {'seconds':>8}  {'peak memory':>11}"
    for each in results:
        peak = "" if each.peak_memory_bytes is None else format_bytes(each.peak_memory_bytes)
        line = f"{each.status:<8} {each.picture:<{width}}  {each.folder:<{into}}  {each.seconds:>8.1f}"
        yield f"{line}  {peak:>11}".rstrip()
    for each in results:
        if each.error:
            yield f"failed: {_said(each.picture, each.error)}"
