"""A command several times at once: `at_once.py COUNT COMMAND WORD ...`; `{n}` in a word is its number.

Reports nothing of its own but that all have ended well; how long it took is seen from outside.
"""

from __future__ import annotations

import subprocess
import sys


def main() -> None:
    count, words = int(sys.argv[1]), sys.argv[2:]
    running = [
        subprocess.Popen([word.replace("{n}", str(number)) for word in words], stdout=subprocess.DEVNULL)
        for number in range(count)
    ]
    statuses = [each.wait() for each in running]
    sys.exit(int(any(statuses)))  # a killed one's is negative


if __name__ == "__main__":
    main()
