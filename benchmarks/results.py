"""The results page and its plots: `python benchmarks/results.py [--results DIR] [--page FILE]`.

Everything on it comes out of `results/*.json`; nothing on it is typed by hand.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import Results, end_to_end, forward_size, mib, row
from plots import draw_all
from sections import NOT_MEASURED, SECTIONS, target_table
from tables import machine
from targets import TARGETS

HERE = Path(__file__).parent


def read_results(folder: Path) -> Results:
    """Every question's result there, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


#: Around the headline in the README.
HEADLINE_FROM, HEADLINE_TO = "<!-- headline: benchmarks/results.py --readme -->", "<!-- end of headline -->"


def headline(results: Results) -> str:
    """One sentence for the page's head: the photograph beside the plain script."""
    found = {each.key: each.value(results) for each in TARGETS}
    ours = row(results, "end_to_end", group="12 Mpx", way="defaults")
    faster, smaller = (
        end_to_end("12 Mpx", "whole", what, "defaults")(results) for what in ("seconds", "memory")
    )
    if ours is None or faster is None or smaller is None:
        return ""
    alike = end_to_end("12 Mpx", "whole", "seconds", "alike")(results)
    same_work = f" ({alike:.1f} times where it does no more than that script)" if alike else ""
    gigapixel = found["gigapixel"]
    more = f" A gigapixel takes {mib(gigapixel)}." if gigapixel else ""
    return (
        f"**A picture of {ours['facts']['pixels'] / 1e6:.1f} megapixels in "
        f"{ours['wall_seconds']['median']:.1f} s and {mib(ours['peak_memory_bytes'])}: {faster:.1f} times as "
        f"fast as the plain whole-image script{same_work}, at 1/{smaller:.1f} of its memory.{more}**\n\n"
    )


def page(results: Results) -> str:
    """The whole page, Markdown."""
    text = "# Results\n\nWritten by `python benchmarks/results.py` out of `benchmarks/results/`.\n\n"
    text += headline(results) + "## Targets\n\n" + target_table(results, TARGETS)
    bf16 = forward_size(results, "bf16")
    if bf16 and bf16 != forward_size(results, "fp32"):
        text += f"\nRatios in bf16 are at {bf16 / 1e6:.2f} megapixels.\n"
    for name, (title, section) in SECTIONS.items():
        text += f"\n## {title}\n\n{section(results) if name in results else NOT_MEASURED}"
    return f"{text}\n## Machines and versions\n\n{machines(results)}"


def machines(results: Results) -> str:
    """Each machine with its versions, and what was measured there."""
    by_machine: dict[str, list[str]] = {}
    for name, result in results.items():
        by_machine.setdefault(machine(result), []).append(f"`{name}`")
    lines = [f"- {', '.join(names)}: {text}\n" for text, names in by_machine.items()]
    return "".join(lines) or NOT_MEASURED


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--page", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument("--readme", type=Path, help="its headline, between the marks there, is renewed")
    given: Any = parser.parse_args(words)
    results = read_results(given.results)
    draw_all(results, given.page.parent / "plots")
    given.page.write_text(page(results), encoding="utf-8")
    if given.readme is not None:
        text = given.readme.read_text(encoding="utf-8")
        before, after = text.split(HEADLINE_FROM)[0], text.split(HEADLINE_TO)[1]
        head = headline(results).strip()
        given.readme.write_text(f"{before}{HEADLINE_FROM}\n{head}\n{HEADLINE_TO}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
