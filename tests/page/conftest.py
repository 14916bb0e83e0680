"""A browser, and sample runs that are opened in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.browser import DESK, Open, started, tab
from tests.helpers.report_sample import make_run, render


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser a module; it keeps an event loop in this thread, so it does not outlive that."""
    with started() as found:
        yield found


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A name of the kind that people have: with what an address cannot hold as it is."""
    return tmp_path / "a bowl #1, 100 %"


@pytest.fixture
def opened(browser: Any, run_folder: Path) -> Iterator[Open]:
    """Makes a sample run (`run`: of what kind; `change`: its page's variables), and opens its page.

    `options` are of the browser's context; `script` runs before the page's own. Afterwards nothing may have
    gone wrong in the page: no error, no failed request, no word in the console.
    """
    with ExitStack() as tabs:
        problems: list[list[str]] = []

        def open_run(
            change: Callable[[dict[str, Any]], None] | None = None,
            options: dict[str, Any] | None = None,
            script: str = "",
            **run: Any,
        ) -> Any:
            variables = make_run(run_folder, **run)
            if change:
                change(variables)
            found = tabs.enter_context(tab(browser, **{"viewport": DESK} | (options or {})))
            problems.append(found.problems)
            if script:
                found.page.add_init_script(script)
            return found.open(render(run_folder, variables))

        yield open_run
        assert not any(problems), problems
