"""DESIGN.md's table of rooms is the code: every room is in it, and imports what its row names, no more."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import operator
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "netsounds_stream"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.stem != "__init__"
}
ROOMS = {".".join(path.parent.relative_to(PACKAGE).parts): path for path in PACKAGE.rglob("__init__.py")}


def table() -> dict[str, set[str]]:
    """Return the rooms that each room, or module beside the rooms, may import, in the table's order."""
    text = (ROOT / "DESIGN.md").read_text()
    part = text[text.index("\n## Rooms") :]
    rows = re.findall(r"^\| `([\w.]+)/?` \|[^|]*\|([^|]*)\|$", part, re.MULTILINE)
    return {name: set(re.findall(r"`([\w.]+)/?`", imports)) for name, imports in rows}


def room_of(module: str) -> str:
    """Return the room of a module, which is the module itself where it lies beside the rooms."""
    return module.rpartition(".")[0] or module


def imports_of(module: str) -> set[str]:
    """Return the package's modules that one imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = module.split(".")[: -node.level]
            full = ".".join([*above, *([node.module] if node.module else [])])
            found |= (
                {full} if full in MODULES else {f"{full}.{alias.name}".lstrip(".") for alias in node.names}
            )
    return found


def test_the_table_names_every_room() -> None:
    assert set(table()) == {room_of(module) for module in MODULES}


def test_rooms_import_what_their_row_says() -> None:
    """No room imports another that its row does not name, and none is named in vain."""
    imported: dict[str, set[str]] = {room: set() for room in table()}
    for module in MODULES:
        imported[room_of(module)] |= {room_of(each) for each in imports_of(module)} - {room_of(module)}
    assert imported == table()


def test_a_row_of_the_table_names_every_module_of_its_room() -> None:
    text = (ROOT / "DESIGN.md").read_text()
    part = text[text.index("\n## Rooms") :]
    for room, said in re.findall(r"^\| `([\w.]+)/` \|([^|]*)\|[^|]*\|$", part, re.MULTILINE):
        modules = {module.rpartition(".")[2] for module in MODULES if room_of(module) == room}
        words = set(re.findall(r"`(\w+)`", said))
        assert modules <= words, f"{room}: {modules - words} not named"


def test_every_name_on_a_rows_way_is_there() -> None:
    """In DESIGN.md's section of that name: each file, and each function, class or method named behind it."""
    text = (ROOT / "DESIGN.md").read_text()
    part = text[text.index("\n## A row's way") :]
    part = part[: part.index("\n## ", 5)]
    hops = re.findall(r"`(?!tests/)([\w/]+)\.py`(?: \(((?:`[\w.]+`(?:, )?)+)\))?", part)
    assert len(hops) > 30
    for path, names in hops:
        module = importlib.import_module(f"netsounds_stream.{path.replace('/', '.')}")
        for name in re.findall(r"`([\w.]+)`", names):
            operator.attrgetter(name)(module)


def test_imports_run_one_way() -> None:
    order = list(table())
    for room, imports in table().items():
        for imported in imports:
            assert order.index(imported) < order.index(room), f"{room} imports {imported}, which stands below"


def test_no_module_imports_itself_by_way_of_others() -> None:
    TopologicalSorter({module: imports_of(module) for module in MODULES}).prepare()


def test_a_room_says_what_lives_there() -> None:
    """And nothing else: code in it would run whenever one of its modules is imported."""
    for room, path in ROOMS.items():
        if room:
            module = ast.parse(path.read_text())
            said = ast.get_docstring(module)
            # but for the command's entry, which imports when it is called
            entries = [each for each in module.body[1:] if not isinstance(each, ast.FunctionDef)]
            assert not entries and (room == "cli" or len(module.body) == 1) and said is not None, path
            assert re.search(r"\bn?ever\b", said), f"{path}: what never lives here?"


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="no forks there")
def test_every_module_may_be_the_first() -> None:
    """As one is in every command: none waits for what another has imported."""
    code = """
import importlib, os, sys
import numpy, pyvips, soundfile, torch, zarr  # which take a second, once
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        importlib.import_module(f"netsounds_stream.{name}")
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name} cannot be imported first")
"""
    words = [sys.executable, "-c", code, *MODULES]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_library_never_imports_click() -> None:
    for module, path in MODULES.items():
        if room_of(module) != "cli":
            assert not re.search(r"^\s*(import|from) click", path.read_text(), re.MULTILINE), path


def test_no_file_of_tests_imports_another() -> None:
    """What several need lies in `tests/helpers`, fixtures in a `conftest.py`."""
    for path in (ROOT / "tests").rglob("*.py"):
        found = re.findall(r"^\s*(?:from|import) .*\btest_\w+.*$", path.read_text(), re.MULTILINE)
        assert not found, (path, found)


def code_figures() -> ModuleType:
    """Load `docs/code_figures.py`, which counts."""
    spec = importlib.util.spec_from_file_location("code_figures", ROOT / "docs" / "code_figures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["code_figures"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_files_functions_and_classes_stay_small() -> None:
    """Nothing is excepted; a function's or a class's own docstring is not counted."""
    counting = code_figures()
    for folder in ("netsounds_stream", "tests", "benchmarks", "docs"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= counting.FILE_LINES, path
    counted = counting.figures(list(MODULES.values()))
    assert [str(each) for each in counted.functions if each.size > counting.FUNCTION_LINES] == []
    assert [str(each) for each in counted.classes if each.size > counting.CLASS_LINES] == []


def test_docstrings_stand_by_themselves() -> None:
    """None begins with a word that answers a question which only the name asks, as 'Of' or 'What'."""
    counted = code_figures().figures(list(MODULES.values()))
    assert [str(each) for each in counted.fragments] == []
