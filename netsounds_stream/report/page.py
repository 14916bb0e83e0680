"""HTML files of the report and the gallery: rendered templates, with style sheet and scripts."""

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
#: The page's scripts, in the order in which they run.
SCRIPTS = (
    "axes.js", "bytes.js", "player.js", "firing.js", "mixer.js", "views.js", "lights.js", "report.js",
)  # fmt: skip
_LINKED = ("report.css", *SCRIPTS)
_EMBEDDED_FILES_SCRIPT = "held.js"  # runs before the others in a page of one file


def write_page(
    folder: Path, record: Mapping[str, Any], data: Mapping[str, Any], names: Sequence[str]
) -> None:
    """Write a run's page, `index.html`, with its style sheet and scripts.

    Args:
        folder: the run's folder.
        record: the run's record, as far as it is known.
        data: the data of the page's scripts; see `page_data`.
        names: files and folders of the run that the page lists.

    Raises:
        OutputError: a file cannot be written.
    """
    text = _report(record, data, [_file_entry(folder, name) for name in names])
    for name in _LINKED:
        write_text(folder / REPORT / name, _asset(name))
    write_text(folder / PAGE, text)


def write_single_page(
    out: Path, record: Mapping[str, Any], data: Mapping[str, Any], embedded: Mapping[str, Any]
) -> None:
    """Write a run's page as one file, with style sheet, scripts, images and sounds in it.

    Args:
        out: the file.
        record: the run's record, as far as it is known.
        data: the data of the page's scripts, in which keys of `embedded` stand for files.
        embedded: content, file name and media type of the embedded files, by key.

    Raises:
        OutputError: the file cannot be written.
    """
    script = "\n".join(_asset(name) for name in (_EMBEDDED_FILES_SCRIPT, *SCRIPTS))
    inline = {"style": _asset("report.css"), "script": script, "held": embedded}
    write_text(out, _report(record, data, [], inline=inline))


def page_data_of(page: Path) -> dict[str, Any] | None:
    """Return the data of the scripts of a run's page; None if there is no such page."""
    try:
        text = page.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    match = re.search(r'<script type="application/json" id="netsounds-data">(.*?)</script>', text, re.DOTALL)
    return dict(json.loads(match[1])) if match else None


def _report(
    record: Mapping[str, Any], data: Mapping[str, Any], listed: Sequence[Mapping[str, str]], **more: Any
) -> str:
    """Render a run's page.

    Args:
        record: the run's record.
        data: the data of the page's scripts.
        listed: entries of the table of files.
        more: further variables of the template.
    """
    seconds = record["seconds"]
    figures = {
        "planned": record["plan"]["peak_memory_bytes"],
        "measured": record["peak_memory_bytes"],
        "budget": record["plan"]["budget_bytes"],
    }
    memory = {f"{name}_bytes": value for name, value in figures.items()}
    memory |= {name: format_bytes(value) for name, value in figures.items()}
    return rendered(
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
    """Write the page of a gallery, `index.html`.

    Args:
        out: the gallery's folder.
        title: heading of the page.
        version: version of this package.
        runs: the cards, a mapping of template variables for each run.
        failed: `name` and `reason` of each picture that failed.

    Raises:
        OutputError: the file cannot be written.
    """
    text = rendered("gallery.html", title=title, version=version, runs=list(runs), failed=list(failed))
    write_text(out / PAGE, text)


def is_ours(path: Path) -> bool:
    """Return whether a page was written by this package."""
    with path.open("rb") as file:
        return b'<meta name="generator" content="netsounds-stream ' in file.read(4096)


def _package() -> Any:
    return files(__package__) / _ASSETS


def _asset(name: str) -> str:
    return str((_package() / name).read_text(encoding="utf-8"))


def rendered(template: str, **values: Any) -> str:
    """Return a template of `assets/` filled in; all values are escaped as text."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # late: only a finished run needs it

    environment = Environment(autoescape=True, loader=FunctionLoader(_asset), undefined=StrictUndefined)
    return environment.get_template(template).render(**values)


def _file_entry(folder: Path, name: str) -> dict[str, str]:
    """Return a row of the table of files."""
    path = folder / name
    size = path.stat().st_size if path.exists() else 0  # the record is written after the page
    if path.is_dir():
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return {
        "name": name,
        "href": href(name) + ("/" if path.is_dir() else ""),
        "size": format_bytes(size) if size else "",
        "what": _description(name),
    }


def _description(name: str) -> str:
    """Return what a file or folder of a run holds, in words."""
    path = Path(name)
    if name in _DESCRIPTIONS:
        return _DESCRIPTIONS[name]
    if name.startswith("sums-"):
        return "sums that the mix is made of, float32 [side, y, x]"
    if path.suffix == ".zarr":
        return "activations, float16 [channel, y, x]"
    if path.stem == "mix":
        return "the mix of all banks"
    if name.startswith("stem-"):
        return "a bank's part of the mix"
    for ending, description in _DESCRIPTIONS_BY_ENDING.items():
        if path.stem.endswith(ending):
            return description
    return "one filter"


_DESCRIPTIONS = {
    PICTURES: "contact sheets, single filters, spectrograms and waveforms, with axes and numbers",
    REPORT: "pictures and scripts that this page needs beside it",
    SINGLE_FILE: "this page in one file, to send",
    RECORD_NAME: "everything about the run: options, plan, times, checksums",
}
_DESCRIPTIONS_BY_ENDING = {
    "_sum": "all filters of a bank added",
    "_concat": "a bank's filters, one after another",
}


def write_text(path: Path, text: str) -> None:
    """Write a page.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise cannot_write(path, error) from error
