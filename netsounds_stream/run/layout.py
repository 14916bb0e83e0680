"""The names of a run's files, in its folder or under its URL, while it is made and when it is finished.

Everything that spells one of these names asks here. Nothing here reads or writes a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import OutputError
from ..planning.plan import AudioPlan, Plan
from ..planning.sound_options import FORMATS
from ..sound.naming import FILTERS, sum_spool_path

RECORD_NAME = "run.json"
#: The report: its page, and the folders of pictures for people and of the page's own data.
PAGE = "index.html"
PICTURES = "pictures"
REPORT = "report"
#: The picture as the page shows it, in `REPORT`.
PAGE_PICTURE = "picture.jpg"
#: Levels of the filters over time, in `REPORT`.
FIRING_SCRIPT = "firing-bytes.js"
#: Media types of a run's images.
IMAGE_TYPES = {".jpg": "image/jpeg", ".webp": "image/webp", ".png": "image/png"}
#: The page as one file that needs no other.
SINGLE_FILE = "share.html"
#: Held by the process that makes the run.
LOCK = ".lock"
#: Folder for intermediate files, which are never part of the run.
TEMPORARY = "temporary"
_PARTIAL = ".partial"
_REPLACED = ".replaced"
_LONGEST_LABEL_BYTES = 80  # file names may have 255


@dataclass(frozen=True)
class Layout:
    """Paths of one run's files.

    Attributes:
        folder: the folder that they lie in.
        label: the run's label as file names have it; see `file_label`.
        ending: suffix of the sound files, without its dot.
    """

    folder: Path
    label: str
    ending: str

    @property
    def temporary(self) -> Path:
        """Folder for intermediate files."""
        return self.folder / TEMPORARY

    @property
    def picture_spool(self) -> Path:
        """Temporary file of the decoded picture."""
        return self.folder / "picture.spool.tif"

    @property
    def mix(self) -> Path:
        """Sound file of the mix of all banks."""
        return self.folder / f"mix.{self.ending}"

    def parts(self, number: int, plan: Plan) -> list[tuple[AudioPlan, Path]]:
        """Return the planned files of a bank's part of the mix.

        Args:
            number: number of the bank.
            plan: plan of the run.

        Returns:
            Plan and path of the stem, and of the part that the page plays; either may be missing.
        """
        stem = self.folder / f"{stem_name(number, self.label)}.{self.ending}"
        part = self.folder / REPORT / f"part-{number}.flac"
        planned = ((plan.stems, stem), (plan.parts, part))
        return [(audio, path) for audio, path in planned if audio is not None]

    def array(self, number: int) -> Path:
        """Return the path of a bank's stored array."""
        return self.folder / array_name(number, self.label)

    def sum_map(self, number: int) -> Path:
        """Return the path of a bank's sum map."""
        return self.folder / sum_map_name(number, self.label)

    def sum_spool(self, number: int) -> Path:
        """Return the temporary file of a bank's sum."""
        return sum_spool_path(self.temporary, number)

    def overview(self, name: str) -> Path:
        """Return the temporary file of a reduced picture or bank."""
        return self.temporary / f"{name}.overview"

    def firing(self, number: int) -> Path:
        """Return the temporary file of the levels of a bank's filters over time."""
        return self.temporary / f"bank-{number}.firing"

    def sounds(self, number: int, audio: AudioPlan, filters: Iterable[int]) -> list[Path]:
        """Return the sound files of one scheme of a bank.

        Args:
            number: number of the bank.
            audio: plan of the scheme.
            filters: numbers of the selected filters.

        Returns:
            One path, or with scheme 'filters' one for each filter, whose folder is made.
        """
        if audio.scheme == "filters":
            return self.filters(number, filters)
        return [self.sound(number, audio.scheme)]

    def sound(self, number: int, scheme: str) -> Path:
        """Return the sound file of a bank's scheme 'sum' or 'concat'."""
        return self.folder / f"{bank_stem(number, self.label)}_{scheme}.{self.ending}"

    def filters(self, bank: int, filters: Iterable[int]) -> list[Path]:
        """Make the folder of a bank's scheme 'filters', and return its sound files, one for each filter."""
        folder = self.folder / filters_folder(bank, self.label)
        folder.mkdir(exist_ok=True)
        return [folder / f"{filter_stem(number)}.{self.ending}" for number in filters]


def bank_stem(number: int, label: str) -> str:
    """Return what the names of a bank's array and sounds begin with; `label` is a `file_label`."""
    return f"activations-{number}_{label}"


def array_name(number: int, label: str) -> str:
    """Return the name of a bank's stored array."""
    return f"{bank_stem(number, label)}.zarr"


def sum_map_name(number: int, label: str) -> str:
    """Return the name of a bank's sum map; `label` is a `file_label`."""
    return f"sums-{number}_{label}.zarr"


def is_sharded_array(name: str) -> bool:
    """Return whether a name in a run's folder is that of stored activations, whose shards come in order."""
    return name.startswith("activations-") and name.endswith(".zarr")


def filters_folder(number: int, label: str) -> str:
    """Return the name of the folder of a bank's sound files, one for each filter."""
    return f"{bank_stem(number, label)}{FILTERS}"


def filter_stem(number: int) -> str:
    """Return the name of one filter's sound file, without its suffix."""
    return f"{number:03d}"


def stem_name(number: int, label: str) -> str:
    """Return the name of a bank's stem (its part of the mix), without its suffix."""
    return f"stem-{number}_{label}"


def is_mix(name: str) -> bool:
    """Return whether a file of a run is its mix."""
    return name.startswith("mix.")


def contact_sheet(number: int, reduce: str) -> str:
    """Return the name of a bank's contact sheet in `PICTURES`; `reduce` is 'mean' or 'max'."""
    return f"bank-{number}_{reduce}.jpg"


def picture_of_run(path: Path) -> Path:
    """Return where an image of a finished run lies: at `path`, or as the WebP file that version 0.1 wrote."""
    older = path.with_suffix(".webp")
    return older if older.exists() and not path.exists() else path


def browser_form(sound: str) -> str:
    """Return the name, in `REPORT`, of a sound's browser form; `sound` is 'mix', or a bank and a scheme."""
    return f"{sound}.flac"


def page_sheet(number: int) -> str:
    """Return the name of a bank's contact sheet of small tiles in `REPORT`."""
    return f"bank-{number}.jpg"


def part_script(number: int) -> str:
    """Return the name of the script with a bank's part of the mix, in `REPORT`."""
    return f"part-{number}.js"


def page_script(number: int) -> str:
    """Return the name of the script in `REPORT` with waveforms and spectra of a bank's filters."""
    return f"bank-{number}.js"


def spectra_sheet(number: int) -> str:
    """Return the name of the image in `REPORT` with spectrograms of a bank's filters."""
    return f"bank-{number}_spectra.jpg"


def file_label(label: str) -> str:
    """Write a label as a part of file names.

    Args:
        label: any text.

    Returns:
        The label with hyphens for spaces and '_' for what file systems dislike, cut to 80 bytes of UTF-8.
    """
    hyphenated = re.sub(r"\s+", "-", label.strip())
    allowed = re.sub(r"[^\w.'+-]", "_", hyphenated)
    return allowed.encode()[:_LONGEST_LABEL_BYTES].decode(errors="ignore")


def resolved(out: Path) -> Path:
    """Return `out` with every link followed.

    Raises:
        OutputError: the links lead in a circle.
    """
    try:
        return out.resolve()
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{out} cannot be resolved ({error}); choose another --out") from error


def work_path(out: Path) -> Path:
    """Return the hidden neighbour of `out` in which the run is made that will become `out`."""
    return out.with_name(f".{out.name}{_PARTIAL}")


def replaced_path(work: Path) -> Path:
    """Return where an earlier run is set aside, while the run made in `work` takes its place."""
    return work.with_name(work.name.removesuffix(_PARTIAL) + _REPLACED)


def out_path(folder: Path) -> Path:
    """Find the run that a user means by a folder.

    Args:
        folder: the run's folder, or the hidden one that the run is made in.

    Returns:
        The run's folder, with every link followed.

    Raises:
        OutputError: the path's links lead in a circle.
    """
    folder = resolved(folder)
    name = folder.name
    if name.startswith(".") and name.endswith(_PARTIAL):
        return folder.with_name(name[1 : -len(_PARTIAL)])
    return folder


def outputs(folder: Path) -> list[str]:
    """List the names in a run's folder that its record lists.

    Returns:
        The names in the order of `outputs_of`.
    """
    return outputs_of(PurePosixPath(path.relative_to(folder)) for path in folder.rglob("*"))


def tops_of(record: Mapping[str, Any]) -> set[str]:
    """Return the names in a run's folder, files and folders, that its record knows."""
    return {PurePosixPath(name).parts[0] for name in (*record["files"], *record.get("checksums", ()))}


def outputs_of(paths: Iterable[PurePosixPath]) -> list[str]:
    """Return the names that a run's record lists, in their order there.

    Args:
        paths: all files of the run, relative to its folder.

    Returns:
        The page; then the mix, arrays and sound files at any depth; then the page as one file, and the
        report's folders.
    """
    present = set(paths)
    present |= {parent for path in present for parent in path.parents if parent.parts}
    suffixes = {".zarr", *(f".{name}" for name in FORMATS)}
    names = [
        path.as_posix()
        for path in present
        if path.suffix in suffixes and path.parts[0] not in (PICTURES, REPORT)
    ]
    names.sort(key=lambda name: (not is_mix(name), name))
    page = [PAGE] if PurePosixPath(PAGE) in present else []
    rest = [name for name in (SINGLE_FILE, PICTURES, REPORT) if PurePosixPath(name) in present]
    return [*page, *names, *rest]
