"""DESIGN.md's module table is the code: every module is in it, and imports what it says, and no more."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "netsounds_stream"


def table() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", (ROOT / "DESIGN.md").read_text(), re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", imports)) for name, imports in rows}


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
    return found


def test_the_table_is_the_code() -> None:
    modules = {path.stem: imports_of(path) for path in PACKAGE.glob("*.py") if path.stem != "__init__"}
    assert modules == table()


def test_imports_run_one_way() -> None:
    order = list(table())
    for name, imports in table().items():
        for imported in imports:
            assert order.index(imported) < order.index(name), f"{name} imports {imported}, which stands below"


def test_the_library_never_imports_click() -> None:
    for path in PACKAGE.glob("*.py"):
        if path.stem not in ("cli", "command_options", "command_parts"):
            assert not re.search(r"^\s*(import|from) click", path.read_text(), re.MULTILINE), path


def test_modules_stay_small() -> None:
    for path in PACKAGE.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path
