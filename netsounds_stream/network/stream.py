"""The network as a line-buffered stream: picture rows in, every layer's new output rows out through hooks.

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

import torch
from torch import Tensor

from ..errors import OptionError
from ..planning.geometry import LAYERS, Conv, Fire, Pool, layer_names, layer_strides
from .convolution import Parts
from .layers import ClassifierStage, ConvStage, FireStage, LayerStage, PoolStage


@dataclass(frozen=True)
class RowBlock:
    """New output rows of one layer, rows `start` to `start + rows`.

    Attributes:
        layer: torchvision's name of the layer.
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
_NEXT_ROWS = "next_rows"  # the name, beside what a stage retains, of its layers' next rows
#: Takes a stage's name, the layers whose hooks it calls, and its state, which is valid during the call only.
Keep = Callable[[str, tuple[str, ...], Mapping[str, Tensor]], None]


@dataclass(frozen=True)
class Band:
    """A push on its way through the layers.

    Attributes:
        pieces: the rows, one piece after another; there may be none.
        last: whether nothing follows, so that every layer also emits the rows that waited for more input.
        keep: makes the band a snapshot barrier: every stage calls it with its state once all bands before
            this one have passed.
    """

    pieces: tuple[Parts, ...]
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
    """SqueezeNet 1.0 over a picture that arrives in bands of rows.

    Call `push` with any number of rows at a time, then `flush` once. Rows that a push completes go to the
    hooks, layer by layer in the network's order; a small push may complete none. Other splits of the same
    rows give the same values up to rounding, and bit for bit if the convolution library picks the same
    kernels.

    Args:
        state: float32 parameters by torchvision's names, such as `load_weights(...).state`.
        hooks: functions to call with each new `RowBlock` of a layer, by the layer's name; `layers` lists
            the names.
        transposed: whether the rows run along the picture's x axis, from left to right.
        dtype: dtype of the computation: float32, bfloat16 or float16.
        device: device of the computation.
        first_row: row of the picture at which the stream begins; a multiple of the network's stride. Ignore
            values that depend on rows before it: they are wrong.

    Raises:
        OptionError: a hook names no layer.

    Example:
        >>> import torch
        >>> from netsounds_stream import RowStream, load_weights
        >>> def show(block):
        ...     print(block.layer, block.start, tuple(block.tensor().shape))
        >>> stream = RowStream(load_weights("untrained").state, {"features.7.squeeze": show})
        >>> stream.push(torch.randn(3, 100, 400))
        features.7.squeeze 0 (32, 9, 49)
        >>> stream.flush()
        features.7.squeeze 9 (32, 1, 49)
        features.7.squeeze 10 (32, 1, 49)
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        hooks: Mapping[str, Hook],
        *,
        transposed: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        first_row: int = 0,
    ) -> None:
        unknown = sorted(set(hooks) - set(layer_names()))
        if unknown:
            raise OptionError(f"no layer is called {unknown[0]!r}; use a name that layers() lists")
        self._hooks = dict(hooks)
        assert all(first_row % stride == 0 for stride in layer_strides().values())
        self._next_row = {name: first_row // stride for name, stride in layer_strides().items()}
        self._dtype = dtype
        self._device = torch.device(device)
        params: dict[str, Tensor] = {}
        for name, value in state.items():
            oriented = value.transpose(2, 3) if transposed and value.ndim == 4 else value
            params[name] = oriented.to(self._device, dtype).contiguous(
                memory_format=torch.channels_last if value.ndim == 4 else torch.contiguous_format
            )
        self._stages: list[LayerStage] = []
        split: tuple[int, ...] = (3,)
        for layer in LAYERS:
            match layer:
                case Conv():
                    weight = params[f"{layer.name}.weight"]
                    bias = params[f"{layer.name}.bias"]
                    self._stages.append(ConvStage(layer, weight, bias, emit=self._emit, wanted=hooks))
                    split = (layer.out_channels,)
                case Pool():
                    self._stages.append(PoolStage(layer, self._emit))
                case Fire():
                    self._stages.append(FireStage(layer, params, split, emit=self._emit, wanted=hooks))
                    split = (layer.expand, layer.expand)
        self._classifier = ClassifierStage(params, split, emit=self._emit, wanted=hooks)
        self._stages.append(self._classifier)

    def push(self, rows: Tensor) -> None:
        """Push the next rows of the picture through the network.

        Args:
            rows: `[channel=3, row, cross]`, normalised as in training; any number of rows.
        """
        self._carry(self.enter(rows))

    def flush(self) -> None:
        """Complete every row that waited for more input. Call it once, after the last push."""
        self._carry(self.ending())

    def enter(self, rows: Tensor) -> Band:
        """Prepare rows for the first stage. Any thread may call it.

        Args:
            rows: as `push` takes them.

        Returns:
            The band to carry through the stages.
        """
        image = rows.to(self._device, self._dtype).unsqueeze(0)
        return Band(((image.contiguous(memory_format=torch.channels_last),),))

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
            state = dict(kept[stage.layers[-1]])
            next_rows = state.pop(_NEXT_ROWS)
            self._next_row.update(zip(stage.layers, map(int, next_rows), strict=True))
            stage.restore({name: values.to(self._device) for name, values in state.items()})

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

    def logits(self) -> Tensor:
        """Average the classifier's output over all positions so far.

        Returns:
            float64 `[class=1000]`, on the CPU.
        """
        return self._classifier.total.cpu() / max(1, self._classifier.count)

    def _carry(self, band: Band) -> None:
        with exact_float32(self._device):
            for stage in self.stages:
                band = stage(band)

    def _pipeline_stage(self, stage: LayerStage) -> PipelineStage:
        @torch.inference_mode()
        def step(band: Band) -> Band:
            pieces = [stage.push(parts) for parts in band.pieces]
            if band.last:
                pieces.append(stage.flush())
            if band.keep is not None:
                next_rows = torch.tensor([self._next_row[layer] for layer in stage.layers])
                band.keep(stage.layers[-1], stage.layers, {**stage.retained(), _NEXT_ROWS: next_rows})
            return Band(tuple(parts for parts in pieces if parts is not None), band.last, band.keep)

        return step

    def _emit(self, layer: str, parts: Parts) -> None:
        block = RowBlock(layer, self._next_row[layer], parts)
        self._next_row[layer] += block.rows
        hook = self._hooks.get(layer)
        if hook is not None:
            hook(block)
