"""How much of each the tests do: what `docs/reliability.md` tells of them."""

from __future__ import annotations

from tests.helpers.runs import ALL_SCHEMES

#: Bits turned in a finished run.
FLIPS = 200

#: Runs side by side.
AT_ONCE = 10

#: Kills, width and height of the picture, options.
KILLS = {
    "sum and concat": (6, 700, 500, "--scheme sum --scheme concat"),
    "all schemes, levelled": (6, 500, 450, ALL_SCHEMES),
    "sum only": (5, 700, 900, "--scheme sum --no-activations --no-report --memory 460MiB"),
}
