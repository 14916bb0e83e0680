"""Run a command beside busy processes, which end with it: `beside.py COUNT COMMAND ...`.

A busy process wants a core all the time. Output and exit status are the command's.
"""

from __future__ import annotations

import os
import subprocess
import sys


def main() -> None:
    count, command = int(sys.argv[1]), sys.argv[2:]
    # set by this version's package, which the benchmark imports: another version is to be as it is
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        status = subprocess.run(command, check=False, env=environment).returncode
    finally:
        for each in busy:
            each.kill()
            each.wait()
    sys.exit(status)


if __name__ == "__main__":
    main()
