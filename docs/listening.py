"""Write the figures of listening into docs/sound.md: `python docs/listening.py`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
BENCHMARKS = DOCS.parent / "benchmarks"
PAGE = DOCS / "sound.md"
_PLACE = re.compile(r"(<!-- listening: [^>]*-->\n).*?(<!-- end of listening -->)", re.DOTALL)


def page(text: str) -> str:
    """Return the page's text with the table as the last results have it."""
    sys.path.insert(0, str(BENCHMARKS))
    from heard import heard
    from results import read_results

    table = heard(read_results(BENCHMARKS / "results"))
    return _PLACE.sub(lambda found: f"{found[1]}\n{table}\n{found[2]}", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
