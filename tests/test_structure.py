"""DESIGN.md's module table is the code: every module is in it, and imports what it says, and no more."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "netsounds_stream"
COMMANDS = (
    "batch_command",
    "cli",
    "command_options",
    "command_parts",
    "command_sections",
    "command_sound",
    "run_commands",
)


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
    words = [sys.executable, "-c", code, *table()]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_library_never_imports_click() -> None:
    for path in PACKAGE.glob("*.py"):
        if path.stem not in COMMANDS:
            assert not re.search(r"^\s*(import|from) click", path.read_text(), re.MULTILINE), path


def test_modules_stay_small() -> None:
    for folder in ("netsounds_stream", "tests", "benchmarks", "docs"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, path
