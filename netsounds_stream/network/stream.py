"""The network as a line-buffered stream: picture rows in, every layer's new output rows out through hooks.

Each layer keeps only the input rows that its next output row still needs, so nothing is computed twice and
memory follows the row length, not the picture. Zero padding and `ceil_mode` come out as in the whole image.

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
from .layers import ClassifierStage, ConvStage, FireStage, Parts, PoolStage, Stage


@dataclass(frozen=True)
class RowBlock:
    """New output rows of one layer: rows `start` to `start + rows` of it.

    Attributes:
        layer: torchvision's name of the layer.
        start: number of the first row, counted along the stream.
        parts: tensors `[1, channel, row, cross]` (channels_last), one after another along the channels. They
            are valid during the call of the hook only: a later layer may work in their memory.
    """

    layer: str
    start: int
    parts: Parts

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.parts[0].shape[2])

    def tensor(self) -> Tensor:
        """Return the rows as one new tensor `[channel, row, cross]`, which may be kept."""
        return torch.cat(self.parts, dim=1)[0].contiguous()


Hook = Callable[[RowBlock], None]
_NEXT_ROWS = "next_rows"  # beside what a stage retains
#: Takes a stage's name, the layers that hooks of it see, and what it retains, valid during the call only.
Keep = Callable[[str, tuple[str, ...], Mapping[str, Tensor]], None]


@dataclass(frozen=True)
class Band:
    """A push on its way through the layers: pieces one after another, maybe none.

    `last` says that nothing follows, so that every layer also gives what waited for more. `keep` is called
    by every stage with what it retains when all bands before this one have passed it.
    """

    pieces: tuple[Parts, ...]
    last: bool = False
    keep: Keep | None = None


PipelineStage = Callable[[Band], Band]


def exact_float32(device: torch.device | str) -> AbstractContextManager[None]:
    """Keep cuDNN, on CUDA, from rounding float32's factors to 10 bits (TF32), in the whole process.

    `push` and `flush` do so themselves; who calls the stages from several threads does it once, around.
    """
    if torch.device(device).type != "cuda":
        return nullcontext()
    held: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return held


class RowStream:
    """SqueezeNet 1.0 over a picture that arrives in bands of rows.

    `push` any number of rows at a time, then `flush` once. What a push completes goes to the hooks, layer by
    layer in the network's order; a small push may complete nothing. Splitting the same rows otherwise gives
    the same values up to rounding, bit for bit where the convolution library picks the same kernels.

    Args:
        state: float32 parameters by torchvision's names, such as `load_weights(...).state`.
        hooks: what to call with each new `RowBlock` of a layer, by the layer's name; `layers` lists them.
        transposed: whether the rows run along the picture's x axis, from left to right.
        dtype: what is computed in: float32, bfloat16 or float16.
        device: where it is computed.
        first_row: row of the picture at which the stream begins; a multiple of the network's stride. Values
            that depend on rows before it are wrong, so ignore them.

    Raises:
        OptionError: no layer has the name of a hook.

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
        self._dtype, self._device = dtype, torch.device(device)
        params: dict[str, Tensor] = {}
        for name, value in state.items():
            turned = value.transpose(2, 3) if transposed and value.ndim == 4 else value
            params[name] = turned.to(self._device, dtype).contiguous(
                memory_format=torch.channels_last if value.ndim == 4 else torch.contiguous_format
            )
        self._stages: list[Stage] = []
        split: tuple[int, ...] = (3,)
        for layer in LAYERS:
            match layer:
                case Conv():
                    weight, bias = params[f"{layer.name}.weight"], params[f"{layer.name}.bias"]
                    self._stages.append(ConvStage(layer, weight, bias, self._emit))
                    split = (layer.out_channels,)
                case Pool():
                    self._stages.append(PoolStage(layer, self._emit))
                case Fire():
                    self._stages.append(FireStage(layer, params, split, self._emit))
                    split = (layer.expand, layer.expand)
        self._classifier = ClassifierStage(params, split, self._emit)
        self._stages.append(self._classifier)

    def push(self, rows: Tensor) -> None:
        """Take the next rows of the picture.

        Args:
            rows: `[channel=3, row, cross]`, normalised as the weights were trained; any number of rows.
        """
        self._carry(self.enter(rows))

    def flush(self) -> None:
        """Complete every row that waited for more input. Call it once, after the last push."""
        self._carry(self.ending())

    def enter(self, rows: Tensor) -> Band:
        """Make rows ready for the first stage. May run on any thread.

        Args:
            rows: as `push` takes them.
        """
        image = rows.to(self._device, self._dtype).unsqueeze(0)
        return Band(((image.contiguous(memory_format=torch.channels_last),),))

    def ending(self) -> Band:
        """Return what to carry through the stages after the last rows, once."""
        return Band((), last=True)

    def keeping(self, keep: Keep) -> Band:
        """Return what to carry through the stages, between two bands, to learn what each retains there.

        Args:
            keep: called by each stage.
        """
        return Band((), keep=keep)

    def restore(self, kept: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Continue where another stream was.

        Args:
            kept: what its stages retained, by their names.
        """
        for stage in self._stages:
            mine = dict(kept[stage.layers[-1]])
            next_rows = mine.pop(_NEXT_ROWS)
            self._next_row.update(zip(stage.layers, map(int, next_rows), strict=True))
            stage.restore({name: values.to(self._device) for name, values in mine.items()})

    @property
    def station_names(self) -> tuple[str, ...]:
        """Names of the stages, in the order in which a band passes them."""
        return tuple(stage.layers[-1] for stage in self._stages)

    @property
    def stages(self) -> tuple[PipelineStage, ...]:
        """The layers, as steps that each band takes in turn: `push` is `enter` and then all of these.

        They may run on several threads at once, as long as each stage sees the bands in order, one at a
        time: so one band can be in a deep layer while the next is in a shallow one. A hook is called by the
        thread that its layer's stage runs on.
        """
        return tuple(self._pipeline_stage(stage) for stage in self._stages)

    def logits(self) -> Tensor:
        """Return the classifier's average over all positions so far.

        Returns:
            float64 `[class=1000]` on the CPU.
        """
        return self._classifier.total / max(1, self._classifier.count)

    def _carry(self, band: Band) -> None:
        with exact_float32(self._device):
            for stage in self.stages:
                band = stage(band)

    def _pipeline_stage(self, stage: Stage) -> PipelineStage:
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
