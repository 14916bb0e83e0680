"""What each codec makes of real activations: `python benchmarks/codecs.py PICTURE WEIGHTS`.

Runs the picture once per codec and round, in turn: bytes stored for a raw byte by bank, seconds of the
network stage (where encoding happens) and of the sound stage (where decoding does).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from results import write_result

from netsounds_stream.options import CODECS

ROUNDS = 3


def main(picture: str, weights: str) -> None:
    seconds: dict[str, list[tuple[float, float]]] = {codec: [] for codec in CODECS}
    shares: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory(prefix="netsounds-") as folder:
        out = Path(folder) / "out"
        for _ in range(ROUNDS):
            for codec in CODECS:
                program = str(Path(sys.executable).parent / "netsounds-stream")
                words = ["sonify", picture, "--weights", weights, "--codec", codec, "--label", "a"]
                words += ["--out", str(out), "--overwrite", "--quiet", "--json"]
                done = subprocess.run([program, *words], capture_output=True, text=True, check=True)
                record = json.loads(done.stdout)
                sound = sum(each for name, each in record["seconds"].items() if name.startswith("sound"))
                seconds[codec].append((record["seconds"]["network"], sound))
                shares[codec] = {}
                for bank in record["plan"]["banks"]:
                    store = out / f"activations-{bank['number']}_a.zarr"
                    stored = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
                    shares[codec][bank["number"]] = round(stored / bank["raw_bytes"], 3)
    rows = []
    for codec in CODECS:
        network, sound = (round(statistics.median(each), 2) for each in zip(*seconds[codec], strict=True))
        rows.append({"codec": codec, "shares": shares[codec], "network_s": network, "sound_s": sound})
        print(rows[-1])
    write_result("codecs", {"picture": Path(picture).name, "rows": rows})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
