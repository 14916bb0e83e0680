"""The report's page and the gallery's, as files: templates filled in, styles and scripts beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..base.units import format_bytes
from ..errors import cannot_write
from ..run.layout import PAGE, PICTURES, RECORD_NAME, REPORT, SINGLE_FILE
from .page_data import facts, href, predictions, stages

_ASSETS = "assets"
#: The page's scripts, in the order in which they are run.
SCRIPTS = ("axes.js", "player.js", "views.js", "report.js")
_BESIDE = ("report.css", *SCRIPTS)
_HELD = "held.js"  # of a page in one file, before the others


def write_page(
    folder: Path, record: Mapping[str, Any], data: Mapping[str, Any], names: Sequence[str]
) -> None:
    """Write `index.html` of the run in `folder`, and what it shows beside its data.

    Args:
        record: the run's, as far as it is known.
        data: what the script is told; see `page_data`.
        names: of the run's files and folders that the page lists.
    """
    text = _report(record, data, [_file_entry(folder, name) for name in names])
    for name in _BESIDE:
        _write(folder / REPORT / name, _asset(name))
    _write(folder / PAGE, text)


def write_single_page(
    out: Path, record: Mapping[str, Any], data: Mapping[str, Any], held: Mapping[str, Any]
) -> None:
    """Write a run's page as one file, with style and scripts in it.

    Args:
        data: as for `write_page`, with names out of `held` in the place of files.
        held: files as text, by these names.
    """
    script = "\n".join(_asset(name) for name in (_HELD, *SCRIPTS))
    inline = {"style": _asset("report.css"), "script": script, "held": held}
    _write(out, _report(record, data, [], inline=inline))


def page_data_of(page: Path) -> dict[str, Any] | None:
    """Return what the script of a run's page is told; None where there is no such page."""
    try:
        text = page.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    found = re.search(r'<script type="application/json" id="netsounds-data">(.*?)</script>', text, re.DOTALL)
    return dict(json.loads(found[1])) if found else None


def _report(
    record: Mapping[str, Any], data: Mapping[str, Any], listed: Sequence[Mapping[str, str]], **more: Any
) -> str:
    seconds = record["seconds"]
    peak, plan = record["peak_memory_bytes"], record["plan"]
    memory = {
        "planned_bytes": plan["peak_memory_bytes"],
        "measured_bytes": peak,
        "budget_bytes": plan["budget_bytes"],
        "planned": format_bytes(plan["peak_memory_bytes"]),
        "measured": format_bytes(peak),
        "budget": format_bytes(plan["budget_bytes"]),
    }
    return _rendered(
        "report.html",
        title=record["label"],
        version=record["versions"]["netsounds-stream"],
        data=data,
        scripts=SCRIPTS,
        facts=facts(record),
        predictions=predictions(record),
        memory=memory,
        stages=stages(seconds),
        seconds=sum(seconds.values()),
        command=record["command"],
        notes=record["notes"],
        files=listed,
        **more,
    )


def write_gallery(
    out: Path,
    title: str,
    version: str,
    runs: Sequence[Mapping[str, Any]],
    failed: Sequence[Mapping[str, str]],
) -> None:
    """Write `index.html` of a gallery into the folder `out`.

    Args:
        runs: the cards, as the template reads them.
        failed: `name` and `reason` of each picture that failed.
    """
    words = {"title": title, "version": version, "runs": list(runs), "failed": list(failed)}
    _write(out / PAGE, _rendered("gallery.html", **words))


def is_ours(path: Path) -> bool:
    """Whether the page at `path` was written here."""
    with path.open("rb") as file:
        return b'<meta name="generator" content="netsounds-stream ' in file.read(4096)


def _package() -> Any:
    return files(__package__) / _ASSETS


def _asset(name: str) -> str:
    return str((_package() / name).read_text(encoding="utf-8"))


def _rendered(template: str, **values: Any) -> str:
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # here: a run needs it at its end only

    environment = Environment(autoescape=True, loader=FunctionLoader(_asset), undefined=StrictUndefined)
    return environment.get_template(template).render(**values)


def _file_entry(folder: Path, name: str) -> dict[str, str]:
    path = folder / name
    size = path.stat().st_size if path.exists() else 0  # the record is written last
    if path.is_dir():
        size = sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return {
        "name": name,
        "href": href(name) + ("/" if path.is_dir() else ""),
        "size": format_bytes(size) if size else "",
        "what": _what(name),
    }


def _what(name: str) -> str:
    path = Path(name)
    if name in _NAMED:
        return _NAMED[name]
    if path.suffix == ".zarr":
        return "activations, float16 [channel, y, x]"
    if path.stem == "mix":
        return "the mix of all banks"
    if name.startswith("stem-"):
        return "a bank's part of the mix"
    for ending, what in _WHAT.items():
        if path.stem.endswith(ending):
            return what
    return "one filter"


_NAMED = {
    PICTURES: "contact sheets, single filters, spectrograms and waveforms, with axes and numbers",
    REPORT: "pictures and scripts that this page needs beside it",
    SINGLE_FILE: "this page in one file, to send",
    RECORD_NAME: "everything about the run: options, plan, times, checksums",
}
_WHAT = {
    "_sum": "all filters of a bank added",
    "_concat": "a bank's filters, one after another",
}


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise cannot_write(path, error) from error
