"""`docs/reliability.md`, out of what `python -m tests.soak` found.

By itself: `python -m tests.reliability_page`.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from netsounds_stream.base.journal import EVERY_SECONDS
from netsounds_stream.base.units import format_bytes

from .hostile_cases import LABELS, MADE, REFUSED
from .test_checking import FLIPS
from .test_mutations import COUNT, PLACES
from .test_resume import CASES
from .test_side_by_side import AT_ONCE

RESULTS = Path(__file__).parent.parent / "docs" / "reliability.json"
PAGE = RESULTS.with_suffix(".md")

Found = dict[str, Any]


def write_page() -> None:
    found = json.loads(RESULTS.read_text())
    parts = [_INTRODUCTION, _promises()]
    parts += [section(found[name]) for name, section in _SECTIONS.items() if name in found]
    PAGE.write_text("\n\n".join(part.strip() for part in parts) + "\n")


_INTRODUCTION = """
# Reliability

What is promised, how it is tested, and what the last long tests found. Written by `make soak`; not edited.
"""


def _promises() -> str:
    kills = sum(count for count, *_ in CASES.values())
    rows = [
        (
            "A run that is killed loses only the work since its last checkpoint, "
            f"{EVERY_SECONDS:.0f} s or 1.5 % of a long run, and resumes to the same bytes",
            f"{kills} SIGKILLs of the real command at random moments, in every step; Ctrl-C once and twice; "
            "more in the soak",
        ),
        (
            "A WAV file under its final name opens with the right length at any moment",
            "checked after every kill",
        ),
        (
            "An unfinished run never has the name of a run; files put there meanwhile are not replaced",
            "a kill between the end and the rename; files put there during a run",
        ),
        (
            "A full disk, a quota, a deleted or read-only folder: a one-line error; finished work is kept",
            "a file system of 100 MiB filled during a run, remounted read-only, moved away; "
            "a limit on file sizes",
        ),
        (
            "The process keeps to `--memory`",
            "grids of real runs; a process whose other memory grows; 2,100 bands",
        ),
        (
            "Any file as input: the right result, or a one-line error that names the file and the remedy",
            f"{len(REFUSED)} refused and {len(MADE)} unusual but valid cases, {len(LABELS)} labels; "
            f"every format cut at {PLACES} places; {COUNT:,} mutations; more in the soak",
        ),
        (
            "Two runs in one folder: the second is refused while the first lives",
            f"against a running, a stopped and a killed process; {AT_ONCE} runs side by side",
        ),
        (
            "`check` finds any change to a finished run",
            f"{FLIPS} bits flipped at random places of all files; files missing, cut short, longer",
        ),
    ]
    return "## What is promised\n\n" + _table(("promise", "how `make test` tests it"), rows)


def _kills(found: Found) -> str:
    cases = found["cases"]
    rows = [
        (
            each["case"],
            f"{each['width']} x {each['height']}",
            each["kills"],
            "the same" if each["same"] else "**DIFFERENT**",
            _steps(each["steps"]),
        )
        for each in cases
    ]
    total = sum(each["kills"] for each in cases)
    text = f"{total} SIGKILLs survived; at the end every file is compared with that of an undisturbed run:"
    return _section(
        "Kills", text, _table(("run", "pixels", "kills", "bytes", "killed in"), rows), found["about"]
    )


def _steps(steps: dict[str, int]) -> str:
    kinds: Counter[str] = Counter()
    for step, count in steps.items():
        kinds[step.partition(": ")[2] or ("sound" if step.startswith("sound") else step)] += count
    return ", ".join(f"{name} {count}" for name, count in kinds.most_common())


def _mutations(found: Found) -> str:
    outcomes = sorted({outcome for counts in found["table"].values() for outcome in counts})
    rows = [
        (kind, *(counts.get(outcome, 0) for outcome in outcomes)) for kind, counts in found["table"].items()
    ]
    rows.append(("all", *(sum(row[place] for row in rows) for place in range(1, len(outcomes) + 1))))
    text = (
        f"Outcomes of {found['count']:,} files with some bytes changed, read by the real code. "
        f"{len(found['defects'])} tracebacks, crashes, hangs or errors without a name and a remedy; "
        f"peak memory was {format_bytes(found['peak_bytes'])}."
    )
    return _section("Damaged files", text, _table(("kind", *outcomes), rows), found["about"])


def _memory(found: Found) -> str:
    cases = found["cases"]
    over = [each for each in cases if not each["measured"] <= each["planned"] <= each["budget"]]
    shares = sorted(each["measured"] / each["planned"] for each in cases)
    text = (
        f"{len(cases)} real runs over sizes, strips both ways, schemes, codecs, fp32 and bf16, 1, 2 and 4 "
        f"threads, half of them in the smallest budget that the plan takes: {len(cases) - len(over)} stayed "
        f"within their plan and budget. Measured over planned: {shares[0]:.2f} to {shares[-1]:.2f}, median "
        f"{statistics.median(shares):.2f}."
    )
    rows = [
        (each["case"], *(format_bytes(each[name]) for name in ("measured", "planned", "budget")))
        for each in sorted(cases, key=lambda each: -each["measured"] / each["planned"])[:10]
    ]
    table = "The ten nearest to their plan:\n\n" + _table(("run", "measured", "planned", "budget"), rows)
    return _section("Memory", text, table, found["about"])


def _bands(found: Found) -> str:
    growth = found["slope_bytes_a_band"] * found["bands"]
    text = (
        f"A picture {found['width']} wide, {found['bands']:,} bands: resident memory grows by "
        f"{found['slope_bytes_a_band']:.0f} bytes a band, {format_bytes(growth)} over all of them; samples "
        f"lie {format_bytes(found['noise_bytes'])} (standard deviation) about that line. Medians of the "
        f"first and last third: {format_bytes(found['first_third_median'])}, "
        f"{format_bytes(found['last_third_median'])}."
    )
    return _section("Thousands of bands", text, "", found["about"])


def _largest(found: Found) -> str:
    rows = []
    for each in found["cases"]:
        tried = f"{each['rows']} rows of {each['side']} pixels"
        result = (
            f"{format_bytes(each['measured'])} of {format_bytes(each['planned'])} planned, "
            f"{each['bands']:,} bands, {each['seconds']:.0f} s"
            if "measured" in each
            else each["error"]
        )
        gigapixels = each["side"] ** 2 / 1e9
        rows.append(
            (
                format_bytes(each["budget"]),
                each["what"],
                f"{each['side']:,} squared, {gigapixels:.2f} Gpx",
                tried,
                result,
            )
        )
    text = (
        "The largest square picture that the plan allows, and a real run of that row length (memory follows "
        "the row length; as many rows as disk and time allowed):"
    )
    table = _table(("budget", "what", "largest", "tried", "measured"), rows)
    return _section("The largest pictures", text, table, found["about"])


def _checkpoints(found: Found) -> str:
    median = statistics.median(found["ratios"])
    text = (
        f"{found['width']} x {found['height']} pixels, runs with the usual checkpoints and without any, in "
        f"turn: {median:.3f} times the time (median of {len(found['ratios'])}; "
        f"{min(found['ratios']):.3f} to {max(found['ratios']):.3f}). Of "
        f"{statistics.median(found['usual']):.0f} s, the last sync, which both have, took "
        f"{statistics.median(found['sync']):.1f} s."
    )
    return _section("What checkpoints cost", text, "", found["about"])


_SECTIONS = {
    "kills": _kills,
    "mutations": _mutations,
    "memory": _memory,
    "bands": _bands,
    "largest": _largest,
    "checkpoints": _checkpoints,
}


def _section(title: str, text: str, table: str, about: Found) -> str:
    machine, made = about["machine"], about["versions"]
    where = (
        f"{about['date']}, {machine['processor']}, {machine['cpus']} CPUs, {machine['memory']}; "
        f"netsounds-stream {made['netsounds-stream']}, torch {made['torch']}, libvips {made['libvips']}."
    )
    return "\n\n".join(part for part in (f"## {title}", text, table, where) if part)


def _table(heads: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    heads = tuple(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    write_page()
