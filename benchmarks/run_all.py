"""Ask every question at full size, then write the page: `python benchmarks/run_all.py --weights WEIGHTS`.

    [--picture PHOTO] [--pictures DIR] [--arrays ARRAY ...] [--before COMMIT]
    [--rounds 3] [--check] [--only NAME ...]

A question that fails ends the run; `--only` goes on from there. It takes well over an hour
on two cores, most of it in `memory`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# What each question takes besides --rounds.
QUESTIONS = {
    "forward": ("weights",),
    "fft": (),
    "codecs": ("weights", "picture"),
    "stages": ("weights", "picture", "pictures", "before"),
    "together": ("weights", "picture"),
    "busy": ("weights", "picture", "before"),
    "end_to_end": ("weights", "picture", "pictures", "check"),
    "memory": ("weights", "pictures", "check"),
    "widths": ("weights",),
    "networks": (),
    "by_hand": ("weights",),
    "phases": ("weights", "picture", "arrays"),
    "listening": ("weights", "before"),
    "videos": ("weights", "picture"),
    "stores": (),
    "scaling": ("weights", "pictures"),
    "gpu": ("weights", "picture"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--picture")
    parser.add_argument("--pictures")
    parser.add_argument("--arrays", nargs="+", help="stored activations, for `phases`")
    parser.add_argument("--before", help="another commit or checkout, for `stages` and `busy`")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", nargs="+", choices=tuple(QUESTIONS), default=tuple(QUESTIONS))
    given = parser.parse_args()
    for name in given.only:
        words = [sys.executable, str(HERE / f"{name}.py")]
        for option in (*QUESTIONS[name], "rounds"):
            value = getattr(given, option)
            if value is not None and value is not False:
                values = [] if value is True else value if isinstance(value, list) else [str(value)]
                words += [f"--{option}", *values]
        print(f"== {name}", file=sys.stderr, flush=True)
        subprocess.run(words, check=True)
    page = [sys.executable, str(HERE / "results.py"), "--readme", str(HERE.parent / "README.md")]
    subprocess.run(page, check=True)


if __name__ == "__main__":
    main()
