"""netsounds-stream: turn pictures of any size into sound through a neural network, in bounded memory.

    from netsounds_stream import sonify, resume, plan, render

Each public name is imported on first use, so that importing the package itself costs nothing.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors; a test holds these imports to the names below
    from .api import activations as activations
    from .api import plan as plan
    from .api import resume as resume
    from .api import sonify as sonify
    from .base.progress import Stop as Stop
    from .batches.batch import Batch as Batch
    from .batches.batch import batch as batch
    from .batches.batch import plan_batch as plan_batch
    from .batches.plan import BatchPlan as BatchPlan
    from .cli.bench import bench as bench
    from .errors import NetsoundsError as NetsoundsError
    from .errors import Stopped as Stopped
    from .graph.layers import Layer as Layer
    from .network.networks import Network as Network
    from .network.networks import layers as layers
    from .network.networks import load_network as load_network
    from .network.stream import RowBlock as RowBlock
    from .network.stream import RowStream as RowStream
    from .network.verify import verify as verify
    from .planning.keywords import NetworkKeywords as NetworkKeywords
    from .planning.keywords import RenderKeywords as RenderKeywords
    from .planning.keywords import SonifyKeywords as SonifyKeywords
    from .planning.options import SonifyOptions as SonifyOptions
    from .planning.plan import Plan as Plan
    from .planning.sound_options import SoundOptions as SoundOptions
    from .rendering.render import render as render
    from .report.gallery import gallery as gallery
    from .report.path_page import path_page as path_page
    from .report.plot import plot as plot
    from .report.single_file import share as share
    from .run.check import check as check
    from .run.inspect import inspect as inspect
    from .run.notebook import Sound as Sound
    from .run.result import Run as Run
    from .run.result import open_run as open_run
    from .store.arrays import open_activations as open_activations
    from .transcription.midi import Midi as Midi
    from .transcription.midi import midi as midi
    from .videos.video import Video as Video
    from .videos.video import video as video

# OpenMP's threads would wait by spinning, on cores that other programs could use. OpenMP reads this variable
# once, when torch is loaded.
if "torch" not in sys.modules:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_HOMES = {
    "sonify": "api",
    "activations": "api",
    "batch": "batches.batch",
    "plan_batch": "batches.batch",
    "plan": "api",
    "resume": "api",
    "open_run": "run.result",
    "path_page": "report.path_page",
    "render": "rendering.render",
    "plot": "report.plot",
    "share": "report.single_file",
    "gallery": "report.gallery",
    "midi": "transcription.midi",
    "Midi": "transcription.midi",
    "video": "videos.video",
    "Video": "videos.video",
    "Run": "run.result",
    "Sound": "run.notebook",
    "Batch": "batches.batch",
    "BatchPlan": "batches.plan",
    "verify": "network.verify",
    "bench": "cli.bench",
    "inspect": "run.inspect",
    "check": "run.check",
    "open_activations": "store.arrays",
    "load_network": "network.networks",
    "Network": "network.networks",
    "layers": "network.networks",
    "Layer": "graph.layers",
    "RowStream": "network.stream",
    "RowBlock": "network.stream",
    "SonifyOptions": "planning.options",
    "SoundOptions": "planning.sound_options",
    "NetworkKeywords": "planning.keywords",
    "RenderKeywords": "planning.keywords",
    "SonifyKeywords": "planning.keywords",
    "Plan": "planning.plan",
    "Stop": "base.progress",
    "Stopped": "errors",
    "NetsoundsError": "errors",
}

__all__ = sorted(_HOMES)


if not TYPE_CHECKING:  # or a type checker would accept any name, of any type

    def __getattr__(name: str) -> Any:
        """Import a public name on first use.

        Raises:
            AttributeError: there is no such public name.
        """
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
