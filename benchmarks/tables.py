"""How the page writes values: tables, medians with their range, bytes, and where a result was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from figures import Row, mib


def table(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A Markdown table; an absent value is a dash."""
    shown = [["-" if each is None else str(each) for each in line] for line in lines]
    made = [list(heads), ["---"] + ["---:"] * (len(heads) - 1), *shown]
    return "".join("| " + " | ".join(line) + " |\n" for line in made)


def where(result: Row) -> str:
    """When and from which commit one result comes; the page names the machine once."""
    smoke = " A smoke run: no results." if result["smoke"] else ""
    return f"\nCommit {result['commit']}, {result['date'][:10]}.{smoke}\n"


def machine(result: Row) -> str:
    """The machine and the versions of one result."""
    about = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    versions = versions or "versions not recorded"
    size = f"{about['cpus']} cores, {about['memory']}"
    return f"{about['processor']}, {about['system']}, {size}; {versions}."


def spread(values: Row | None, digits: int = 1) -> str | None:
    """Median and range."""
    if not values:
        return None
    median, least, most = (f"{values[name]:.{digits}f}" for name in ("median", "least", "most"))
    return median if len(values["rounds"]) == 1 else f"{median} ({least} to {most})"


def number(value: float | None, form: str = ".1f") -> str | None:
    return None if value is None else f"{value:{form}}"


def memory_of(case: Row, name: str = "peak_memory_bytes") -> str | None:
    return None if case.get(name) is None else mib(case[name])


def failed(case: Row, columns: int) -> list[object]:
    """What stands in a failed case's row, after its name."""
    return [f"failed: {case['failure']}", *[None] * (columns - 2)]
