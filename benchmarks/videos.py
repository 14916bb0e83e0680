"""How fast is a video made, and in how much memory? Of one run, in each codec, beside how long it plays.

    python benchmarks/videos.py --weights WEIGHTS --picture PHOTO [--rounds 3]

1920 x 1080, 30 frames a second. Needs PyAV.
"""

from __future__ import annotations

from harness import OUT, Case, measure
from question import drawn, folder_for, installed, parse, parser, worker, write_result

from netsounds_stream import sonify

#: Codec and the file's ending.
CODECS = (("h264", ".mp4"), ("vp9", ".webm"), ("av1", ".webm"))
SIZE, SMOKE_SIZE = "1920x1080", "320x240"
PATHS = ("", "radar")


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--picture", help="a photograph; by default one is drawn")
    given = parse(made)
    if not installed("av"):
        made.error("it needs PyAV; install it by: pip install '.[video]'")
    size = SMOKE_SIZE if given.smoke else SIZE
    with folder_for(None) as folder:
        picture = given.picture or drawn(folder, *((96, 64) if given.smoke else (4032, 3024)))
        words = {"weights": given.weights, "scheme": "none", "activations": False}
        run = sonify(picture, folder / "run", duration=1.0 if given.smoke else None, **words)
        cases = [
            Case(
                " ".join(filter(None, (codec, path))),
                worker(
                    "video", run.folder, f"{OUT}{ending}", "--codec", codec, "--size", size, "--path", path
                ),
                {"codec": codec, "path": path, "size": size},
            )
            for path in PATHS
            for codec, ending in CODECS
            if not path or codec == "h264"
        ]
        rows = [each.as_json("plays_seconds", "video_bytes") for each in measure(cases, given.rounds)]
    write_result(given, "videos", {"cases": rows})


if __name__ == "__main__":
    main()
