"""A network as a line-buffered stream: picture rows in, every layer's new output rows out through hooks.

Each layer retains only the input rows that its next output row still needs, so nothing is computed twice and
memory follows the row length, not the picture. Zero padding and `ceil_mode` work as on the whole image.

A stream runs along "rows"; the other axis is "cross". To stream along the picture's x axis, feed the
transposed picture to a stream with `transposed=True`: conv(xᵀ, wᵀ) = conv(x, w)ᵀ, so with every kernel
transposed the network still sees the picture upright. Nothing here knows of pictures, banks or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import lcm

import torch
from torch import Tensor, nn

from ..errors import OptionError
from ..graph.geometry import places
from ..graph.layers import node_named
from ..graph.values import INPUT
from .agreement import capture_checked
from .convolution import Parts
from .folding import folded, oriented
from .networks import Network
from .stages import MeanOverPicture, RowStage, Step, row_stages
from .tracing.capture import Captured
from .tracing.classifier import prediction as prediction_of_sum


@dataclass(frozen=True)
class RowBlock:
    """New output rows of one layer, rows `start` to `start + rows`.

    Attributes:
        layer: the layer's name, as the hook was given for it.
        start: number of the first row, counted along the stream.
        parts: tensors `[1, channel, row, cross]` (channels_last), one after another along the channels. They
            are valid only while the hook runs: a later layer may reuse their memory.

    Example:
        >>> import torch
        >>> from netsounds_stream import RowBlock
        >>> block = RowBlock("features.1", start=4, parts=(torch.zeros(1, 96, 2, 30),))
        >>> block.rows, tuple(block.tensor().shape)
        (2, (96, 2, 30))
    """

    layer: str
    start: int
    parts: Parts

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.parts[0].shape[2])

    def tensor(self) -> Tensor:
        """Copy the rows into one tensor, which may be kept.

        Returns:
            `[channel, row, cross]`.
        """
        return torch.cat(self.parts, dim=1)[0].contiguous()


Hook = Callable[[RowBlock], None]
#: Takes a stage's name, the layers whose hooks it calls, and its state, which is valid during the call only.
Keep = Callable[[str, tuple[str, ...], Mapping[str, Tensor]], None]


@dataclass(frozen=True)
class Band:
    """A push on its way through the layers.

    Attributes:
        steps: the rows that layers passed on, one step after another; there may be none.
        last: whether nothing follows, so that every layer also emits the rows that waited for more input.
        keep: makes the band a snapshot barrier: every stage calls it with its state once all bands before
            this one have passed.
    """

    steps: tuple[Step, ...]
    last: bool = False
    keep: Keep | None = None


PipelineStage = Callable[[Band], Band]


def exact_float32(device: torch.device | str) -> AbstractContextManager[None]:
    """Keep cuDNN, on CUDA, from rounding float32's factors to 10 bits (TF32), in the whole process.

    `push` and `flush` do so themselves. Code that calls the stages from several threads enters it once,
    around all calls.
    """
    if torch.device(device).type != "cuda":
        return nullcontext()
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return flags


class RowStream:
    """A network over a picture that arrives in bands of rows.

    Call `push` with any number of rows at a time, then `flush` once. Rows that a push completes go to the
    hooks, layer by layer in the network's order; a small push may complete none. Other splits of the same
    rows give the same values up to rounding, and bit for bit if the convolution library picks the same
    kernels. Layers that no hook and no prediction needs are not computed.

    Args:
        network: the network, as `load_network` or `capture` has it; or a module, whose parameters are copied.
        hooks: functions to call with each new `RowBlock` of a layer, by the layer's name; `layers` lists
            the names.
        transposed: whether the rows run along the picture's x axis, from left to right.
        dtype: dtype of the computation: float32, bfloat16 or float16.
        device: device of the computation.
        first_row: row of the picture at which the stream begins; a multiple of the network's stride. Ignore
            values that depend on rows before it: they are wrong.
        prediction: whether `logits` is wanted.

    Raises:
        NetworkError: the module cannot be traced, computes something else than was traced, or a layer that
            has a hook cannot be streamed.
        OptionError: there is no network, a hook names no layer, or a stream cannot begin at `first_row`.

    Example:
        >>> import torch
        >>> from netsounds_stream import RowStream, load_network
        >>> def show(block):
        ...     print(block.layer, block.start, tuple(block.tensor().shape))
        >>> stream = RowStream(load_network(weights="untrained"), {"features.7.squeeze": show})
        >>> stream.push(torch.randn(3, 100, 400))
        features.7.squeeze 0 (32, 9, 49)
        >>> stream.flush()
        features.7.squeeze 9 (32, 1, 49)
        features.7.squeeze 10 (32, 1, 49)
    """

    def __init__(
        self,
        network: Network | Captured | nn.Module,
        hooks: Mapping[str, Hook],
        *,
        transposed: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        first_row: int = 0,
        prediction: bool = True,
    ) -> None:
        captured = _captured(network)
        graph = captured.graph
        self._channels = graph.channels
        self._cross: int | None = None  # of a row, once one has come
        self._ended = False
        self._hooks: dict[str, list[tuple[str, Hook]]] = {}
        for name, hook in hooks.items():
            self._hooks.setdefault(node_named(graph, name).name, []).append((name, hook))
        self._device = torch.device(device)
        self._dtype = dtype
        self._classifier = captured.classifier
        ends = list(self._hooks)
        self._mean: MeanOverPicture | None = None
        if graph.mean is not None and prediction:
            ends.append(graph.mean)
            self._mean = MeanOverPicture(
                source=graph.mean, total=self._zeros(graph.by_name[graph.mean].channels)
            )
        graph, state = oriented(
            *folded(graph.needed(tuple(ends)), captured.state, ends),
            device=self._device,
            dtype=dtype,
            transposed=transposed,
        )
        strides = {name: each.stride for name, each in places(graph, "y").items()}
        whole = lcm(*strides.values())
        if first_row < 0 or first_row % whole:
            raise OptionError(f"first_row is {first_row}; give a multiple of the network's stride, {whole}")
        self._first = {name: first_row // stride for name, stride in strides.items()}
        self._stages: list[RowStage] = row_stages(
            graph, state, wanted=self._hooks, mean=self._mean, emit=self._emit
        )

    def push(self, rows: Tensor) -> None:
        """Push the next rows of the picture through the network.

        Args:
            rows: `[channel, row, cross]`, normalised as in training; any number of rows. They are copied.

        Raises:
            OptionError: they have another shape than that, or than the rows before; or `flush` was called.
        """
        self._require_open()
        if rows.ndim != 3 or rows.shape[0] != self._channels:
            raise OptionError(
                f"rows have the shape {tuple(rows.shape)}; give ({self._channels}, rows, cross)"
            )
        if self._cross not in (None, rows.shape[2]):
            raise OptionError(f"rows have {rows.shape[2]} values where those before them have {self._cross}")
        self._cross = int(rows.shape[2])
        self._carry(self.enter(rows.clone()))

    def flush(self) -> None:
        """Complete every row that waited for more input. Call it once, after the last push.

        Raises:
            OptionError: it was called before.
        """
        self._require_open()
        self._ended = True
        self._carry(self.ending())

    def enter(self, rows: Tensor) -> Band:
        """Prepare rows for the first stage. Any thread may call it.

        Args:
            rows: as `push` takes them.

        Returns:
            The band to carry through the stages.
        """
        image = rows.to(self._device, self._dtype).unsqueeze(0)
        return Band(({INPUT: (image.contiguous(memory_format=torch.channels_last),)},))

    def ending(self) -> Band:
        """Return the band that ends the stream, to be carried through the stages once, after all rows."""
        return Band((), last=True)

    def keeping(self, keep: Keep) -> Band:
        """Make a snapshot barrier, to be carried through the stages between two bands.

        Args:
            keep: called by each stage, in order, with its state.

        Returns:
            The band, without rows.
        """
        return Band((), keep=keep)

    def restore(self, kept: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Resume where another stream was when a snapshot barrier passed.

        Args:
            kept: the state of its stages, by their names.
        """
        for stage in self._stages:
            stage.restore({name: values.to(self._device) for name, values in kept[stage.layers[-1]].items()})

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the stages, in the order in which a band passes them."""
        return tuple(stage.layers[-1] for stage in self._stages)

    @property
    def stages(self) -> tuple[PipelineStage, ...]:
        """The layers as pipeline stages that each band passes in turn; `push` is `enter` and then all these.

        They may run on several threads at once, as long as each stage sees the bands in order and one at a
        time. So one band can be in a deep layer while the next one is in a shallow layer. A hook is called
        on the thread that runs its layer's stage.
        """
        return tuple(self._pipeline_stage(stage) for stage in self._stages)

    def logits(self) -> Tensor | None:
        """Return the prediction from the average over all positions so far.

        Returns:
            float64 `[class]`, on the CPU; None if the network makes no prediction from an average, or it is
            not wanted.
        """
        if self._mean is None:
            return None
        return prediction_of_sum(self._mean.total.cpu(), self._mean.count, self._classifier)

    def _require_open(self) -> None:
        if self._ended:
            raise OptionError("the stream has ended with flush; make another RowStream for another picture")

    def _zeros(self, channels: int) -> Tensor:
        # A sum on the CPU would wait for the device at every band; MPS has no float64.
        device = self._device if self._device.type == "cuda" else torch.device("cpu")
        return torch.zeros(channels, dtype=torch.float64, device=device)

    def _carry(self, band: Band) -> None:
        with exact_float32(self._device):
            for stage in self.stages:
                band = stage(band)

    def _pipeline_stage(self, stage: RowStage) -> PipelineStage:
        @torch.inference_mode()
        def step(band: Band) -> Band:
            steps = [stage.push(each) for each in band.steps]
            if band.last:
                steps.append(stage.flush())
            if band.keep is not None:
                band.keep(stage.layers[-1], stage.layers, stage.retained())
            return Band(tuple(each for each in steps if each), band.last, band.keep)

        return step

    def _emit(self, layer: str, start: int, parts: Parts) -> None:
        for name, hook in self._hooks.get(layer, ()):
            hook(RowBlock(name, self._first[layer] + start, parts))


def _captured(network: Network | Captured | nn.Module) -> Captured:
    if isinstance(network, Network):
        return network.captured
    if isinstance(network, Captured):
        return network
    if isinstance(network, nn.Module):
        return capture_checked(network)
    raise OptionError(
        f"a {type(network).__name__} is no network; give a torch.nn.Module, or what load_network returns"
    )
