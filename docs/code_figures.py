"""Figures of the code's form: its longest functions and classes, bundled arguments, docstrings.

    python docs/code_figures.py [FOLDER ...]

prints them for each folder of Python files; without any, for the package. `--list` names what counts as long,
bundled, packed or a fragment.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: The most lines that a function, a class and a file may have; `tests` hold the package to it.
FUNCTION_LINES, CLASS_LINES, FILE_LINES = 60, 200, 600
#: A call with so many positional arguments cannot be read without its definition.
BUNDLE = 7

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Found:
    """Something counted: where it is, and how large."""

    path: Path
    line: int
    name: str
    size: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.name}" + (f" ({self.size})" if self.size else "")


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is counted in some files."""

    files: int
    functions: tuple[Found, ...]
    classes: tuple[Found, ...]
    bundles: tuple[Found, ...]
    assignments: int
    packed: tuple[Found, ...]
    docstrings: int
    fragments: tuple[Found, ...]
    with_returns: int


def figures(paths: list[Path]) -> Figures:
    """Count in these files."""
    functions: list[Found] = []
    classes: list[Found] = []
    bundles: list[Found] = []
    packed: list[Found] = []
    assignments = 0
    fragments: list[Found] = []
    texts: list[str] = []
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, Function):
                functions.append(_found(path, node, node.name, _lines(node)))
            elif isinstance(node, ast.ClassDef):
                classes.append(_found(path, node, node.name, _lines(node)))
            elif isinstance(node, ast.Call) and len(node.args) >= BUNDLE and not _plain(node):
                bundles.append(_found(path, node, ast.unparse(node.func), len(node.args)))
            elif isinstance(node, ast.Assign):
                assignments += 1
                if _is_packed(node):
                    packed.append(_found(path, node, ast.unparse(node.targets[0]), 0))
            if isinstance(node, Function) and (text := ast.get_docstring(node)):
                texts.append(text)
                if _is_fragment(text):
                    fragments.append(_found(path, node, f"{node.name}: {text.splitlines()[0]}", 0))
    return Figures(
        files=len(paths),
        functions=_largest(functions),
        classes=_largest(classes),
        bundles=_largest(bundles),
        assignments=assignments,
        packed=_largest(packed),
        docstrings=len(texts),
        fragments=tuple(fragments),
        with_returns=sum("\nReturns:" in text or "\nYields:" in text for text in texts),
    )


def _found(path: Path, node: ast.stmt | ast.expr, name: str, size: int) -> Found:
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    return Found(path=shown, line=node.lineno, name=name, size=size)


def _lines(node: Function | ast.ClassDef) -> int:
    """Return the lines of a definition without its docstring, which may be as long as it needs to be."""
    assert node.end_lineno is not None
    first = node.body[0]
    told = 0
    if ast.get_docstring(node) is not None and first.end_lineno is not None:
        told = first.end_lineno - first.lineno + 1
    return node.end_lineno - node.lineno + 1 - told


def _largest(found: list[Found]) -> tuple[Found, ...]:
    return tuple(sorted(found, key=lambda each: -each.size))


def _plain(call: ast.Call) -> bool:
    """Return whether a call's arguments are all of a kind: words and numbers written out, as of a set."""
    return all(isinstance(each, ast.Constant) for each in call.args)


def _is_packed(node: ast.Assign) -> bool:
    """Return whether an assignment matches several names with several values, one by one."""
    (target, *more), value = node.targets, node.value
    if more or not isinstance(target, ast.Tuple) or not isinstance(value, ast.Tuple):
        return False
    return len(target.elts) > 1 and len(target.elts) == len(value.elts)


def _is_fragment(text: str) -> bool:
    """Return whether a docstring's first line cannot be read without the name above it."""
    return text.split(maxsplit=1)[0].strip("`,.:;").lower() in FRAGMENTS


#: First words of docstrings that are answers to a question which only the name asks.
FRAGMENTS = frozenset(
    (
        *("also", "and", "are", "as", "at", "but", "by", "can", "does"),
        *("for", "from", "gives", "had", "has", "here", "how", "if", "in"),
        *("is", "it", "its", "may", "must", "none", "nothing", "of", "on"),
        *("only", "so", "such", "takes", "that", "there", "these", "they", "this"),
        *("those", "to", "under", "was", "were", "what", "when", "where", "whether"),
        *("which", "who", "whose", "will", "with"),
    )
)


def table(given: Figures) -> Iterator[str]:
    """Yield a folder's figures, a line each."""
    yield f"files: {given.files}"
    for kind, found, most in (
        ("functions", given.functions, FUNCTION_LINES),
        ("classes", given.classes, CLASS_LINES),
    ):
        yield f"{kind} past {most} lines: {sum(each.size > most for each in found)}; longest {found[0]}"
    yield f"calls with {BUNDLE} or more positional arguments: {len(given.bundles)}"
    yield f"packed assignments: {len(given.packed)}, {_share(len(given.packed), given.assignments)} of all"
    yield (
        f"docstrings of functions: {given.docstrings}; fragments "
        f"{_share(len(given.fragments), given.docstrings)}, with Returns or Yields "
        f"{_share(given.with_returns, given.docstrings)}"
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.1f} %"


def main() -> None:
    """Print the figures of the folders that are given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, default=[ROOT / "netsounds_stream"])
    parser.add_argument("--list", action="store_true", help="name what counts as long, bundled or packed")
    given = parser.parse_args()
    for folder in given.folders:
        found = figures(sorted(folder.resolve().rglob("*.py")))
        print(f"{folder}:")
        print(*(f"  {line}" for line in table(found)), sep="\n")
        if given.list:
            long = [each for each in found.functions if each.size > FUNCTION_LINES]
            long += [each for each in found.classes if each.size > CLASS_LINES]
            print(
                *(f"    {each}" for each in [*long, *found.bundles, *found.packed, *found.fragments]),
                sep="\n",
            )


if __name__ == "__main__":
    main()
