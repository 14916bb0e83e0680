"""What mkdocs is told beyond `mkdocs.yml`: pages that lie elsewhere in the repository, and links to them.

README, DESIGN and the like are read on their own, too, so they stay where they are, with links as they hold
there. On the site each has a name of its own, and every link to one, in whatever page, is turned to that.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
#: From a path in the repository to the same on the site.
ELSEWHERE = {
    "README.md": "features.md",
    "DESIGN.md": "design.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/RESULTS.md": "results.md",
    **{
        path.relative_to(ROOT).as_posix(): f"plots/{path.name}"
        for path in sorted((ROOT / "benchmarks/plots").glob("*.png"))
    },
}
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(?=[#)])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what lies outside the pages' folder."""
    for path, name in ELSEWHERE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they hold on the site, out of links as they hold in the repository."""
    name = page.file.src_uri
    here = next((path for path, other in ELSEWHERE.items() if other == name), f"docs/{name}")

    def turned(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), found[1]))
        on_site = ELSEWHERE.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(on_site, posixpath.dirname(name) or ".")

    return "".join(_turn_links(markdown, turned))


def _turn_links(markdown: str, turned: Callable[[re.Match[str]], str]) -> Iterator[str]:
    """Outside fenced code, where brackets are no links."""
    fenced = False
    for line in markdown.splitlines(keepends=True):
        fenced ^= line.lstrip().startswith("```")
        yield line if fenced else _LINK.sub(turned, line)
