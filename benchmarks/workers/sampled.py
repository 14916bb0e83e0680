"""A command under `perf`, its CPU time split by kind: `sampled.py FOLDER COMMAND WORD ...`.

`perf` looks 499 times per second of CPU time (not of waiting) at every thread, kernel included. Each look is
counted by the function that ran; a look inside the kernel by the system call or fault that led there.
The command's own report is passed on, with `kinds`: CPU seconds of each.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

LOOKS_PER_SECOND = 499
KERNEL = "[kernel"

# What the target counts as the work itself.
WORK = ("convolution", "matrix products, FFT", "codec", "file writing")

# The first that matches a kernel look's stack, as function names, decides.
_KERNEL_KINDS = (
    ("file writing", re.compile(r"\b(vfs_write|vfs_writev|vfs_iter_write|\w*page_mkwrite|vfs_fallocate)\b")),
    ("file reading", re.compile(r"\b(vfs_read|vfs_readv|filemap_fault|filemap_map_pages)\b")),
    ("page faults", re.compile(r"\b(asm_exc_page_fault|exc_page_fault)\b")),
    ("kernel, other", re.compile("")),
)
# The first whose pattern is found in 'function library' decides. oneDNN's convolutions are machine code made
# while running, which no library holds; its reorders of their operands are too, and are counted with them.
# MKL's matrix products are 1x1 convolutions in the network's stage, and stand for FFTs (the cosines) in the
# sound's. A product with a vector, as the filters' means take, is neither.
_KINDS = (
    ("convolution", re.compile(r"\[JIT\]|perf-\d+\.map|//anon|dnnl")),
    ("matrix products, FFT", re.compile(r"fft|mkl_dft|ducc0|\b(?!fb)\w*sgemm|dgemm", re.I)),
    ("codec", re.compile(r"lz4|zstd|blosc|\bhuf_|\bfse_|pco::|pcodec", re.I)),
    ("waiting in a spin", re.compile(r"libgomp|libiomp|blas_thread_server|sched_yield")),
    ("pooling, conversion, sums (torch)", re.compile(r"libtorch|libc10")),
    ("copies", re.compile(r"mem(cpy|move|set)")),
    ("decoding", re.compile(r"libvips|libjpeg|libpng|libtiff|jsimd|pyvips")),
    ("Python, imports", re.compile(r"libpython|python3|ld-linux|_multiarray_umath")),
    ("other", re.compile("")),
)


def kind_of(stack: list[tuple[str, str]]) -> str:
    """The kind of one look: its stack of (function, library), innermost first."""
    function, library = stack[0]
    if library.startswith(KERNEL):
        names = " ".join(name for name, where in stack if where.startswith(KERNEL))
        return next(kind for kind, pattern in _KERNEL_KINDS if pattern.search(names))
    return next(kind for kind, pattern in _KINDS if pattern.search(f"{function} {library}"))


def stacks(text: str) -> Iterator[list[tuple[str, str]]]:
    """Stacks out of `perf script -F ip,sym,dso`: lines of an address, a function and (a library)."""
    stack: list[tuple[str, str]] = []
    for line in [*text.splitlines(), ""]:
        parts = line.split(maxsplit=1)
        if len(parts) == 2 and parts[1].endswith(")") and "(" in parts[1]:
            function, library = parts[1][:-1].rsplit("(", 1)
            stack.append((function.strip(), library))
        elif stack:
            yield stack
            stack = []


def main() -> None:
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "perf.data"
    how = ("-e", "cpu-clock", "-F", str(LOOKS_PER_SECOND), "--call-graph", "fp", "-o", str(data))
    done = subprocess.run(
        ["perf", "record", *how, "--", *words], stdout=subprocess.PIPE, text=True, check=True
    )
    script = ["perf", "script", "-i", str(data), "-F", "ip,sym,dso", "--no-inline"]
    text = subprocess.run(
        script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    ).stdout
    found = list(stacks(text))
    looks = Counter(kind_of(stack) for stack in found)
    kernel = any(stack[0][1].startswith(KERNEL) for stack in found)
    record = json.loads(done.stdout)
    kinds = {kind: count / LOOKS_PER_SECOND for kind, count in looks.most_common()}
    share = sum(looks[kind] for kind in WORK) / looks.total()
    names = Counter((kind_of(stack), stack[0][0] or "?", Path(stack[0][1]).name) for stack in found)
    functions = [
        {"kind": kind, "function": function[:120], "library": library, "share": count / looks.total()}
        for (kind, function, library), count in names.most_common(60)
    ]
    sampled = {"kinds": kinds, "work_share": share, "sees_kernel": kernel, "functions": functions}
    print(json.dumps({**record, **sampled}))


if __name__ == "__main__":
    main()
