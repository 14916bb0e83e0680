"""Whether the stream gives what the whole-image network gives, on a user's own picture and machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isfinite, isqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from ..base import machine
from ..base.progress import Listener, Stages
from ..base.units import format_bytes
from ..errors import BudgetError
from ..picture.in_memory import PictureInput
from ..picture.opening import opened_picture
from ..picture.picture import Picture, slabs
from ..planning.geometry import BANKS, SMALLEST_SIDE, Bank
from ..planning.keywords import NetworkKeywords
from ..planning.options import SonifyOptions, resolve_options
from ..planning.plan import STORED_MEMORY, Limits
from ..planning.planner import make_plan
from .compute import choose_compute, pixel_network
from .label import Guess, top5
from .stream import Hook, RowBlock, RowStream
from .weights import load_weights, normalised, reference_module

# The whole-image forward's peak, per pixel: the first bank twice over, the kept banks, the allocator's
# slack. The reason that this is tried at a size that fits.
_WHOLE_IMAGE_BYTES_PER_PIXEL = 700
#: Largest difference allowed, as a share of a bank's largest value. fp32: rounding of sums of a few
#: thousand terms; the others: their 11 and 8 significant bits through 26 layers.
TOLERANCES = {"fp32": 1e-5, "fp16": 1e-2, "bf16": 5e-2}


@dataclass(frozen=True)
class BankAgreement:
    """How one bank by the stream agrees with the whole-image network.

    Attributes:
        bank: number of the bank.
        shape: `[channel, y, x]`.
        largest: largest value of the whole-image network.
        difference: largest difference from it.
    """

    bank: int
    shape: tuple[int, ...]
    largest: float
    difference: float

    @property
    def relative(self) -> float:
        """The difference as a share of the largest value."""
        return self.difference / self.largest if self.largest else self.difference


@dataclass(frozen=True)
class Verification:
    """What was compared, at which size, and how it agreed.

    Attributes:
        width: of the picture, as it was compared, in pixels.
        height: likewise.
        band_rows: rows in a band of the stream.
        precision: what was computed in.
        tolerance: largest difference that counts as agreement, as a share of a bank's largest value.
        banks: the agreement of each bank.
        stream_top5: the five likeliest classes by the stream.
        whole_top5: the same by the whole-image network.
    """

    width: int
    height: int
    band_rows: int
    precision: str
    tolerance: float
    banks: tuple[BankAgreement, ...]
    stream_top5: tuple[Guess, ...]
    whole_top5: tuple[Guess, ...]

    @property
    def agreed(self) -> bool:
        """Whether every bank is within the tolerance, and by fp32 the same five classes are seen."""
        # in half precision the order of near-equals is chance
        mine, theirs = ({guess.category for guess in each} for each in (self.stream_top5, self.whole_top5))
        same = mine == theirs or self.precision != "fp32"
        return same and all(each.relative <= self.tolerance for each in self.banks)


def verify(
    image: PictureInput,
    options: SonifyOptions | None = None,
    *,
    on_progress: Listener | None = None,
    **words: Unpack[NetworkKeywords],
) -> Verification:
    """Compare the stream's activations of a picture with those of torchvision's whole-image network.

    Args:
        image: the picture: a file, a URL, a numpy array or a PIL image; see `sonify`.
        options: the run's options. Without `size`, the picture is compared at the largest size that the
            memory budget allows the whole-image network.
        on_progress: called as the work goes on, from any thread.
        words: options by keyword, in place of `options`; see `NetworkKeywords`.

    Returns:
        The largest difference in each bank, and the five likeliest classes by both ways.

    Raises:
        PictureError: the picture cannot be read, or is too small.
        BudgetError: the whole-image network does not fit into the memory budget at the size asked for.

    Example:
        >>> from netsounds_stream import verify
        >>> verify("landscape.png", size=64, weights="untrained").agreed
        True
    """
    options, stages = resolve_options(options, words), Stages(on_progress)
    compute = choose_compute(options.device, options.precision)
    weights = load_weights(options.weights)
    module = reference_module(weights)
    budget = options.memory_bytes or machine.default_budget_bytes()
    room = budget - machine.resident_bytes()
    with TemporaryDirectory() as folder:
        picture = opened_picture(image, Path(folder), stages, options)
        decoder = picture.source.decoder_bytes + picture.pending_bytes
        room -= decoder
        pixels = max(0, room) // _WHOLE_IMAGE_BYTES_PER_PIXEL
        if options.size is None and picture.width * picture.height > pixels:
            short, long = sorted((picture.width, picture.height))
            fitting = replace(options, size=max(SMALLEST_SIDE, isqrt(pixels * short // long)))
            picture = opened_picture(image, Path(folder), stages, fitting)
        area = picture.width * picture.height
        if area > max(pixels, 4 * SMALLEST_SIDE**2) or decoder > max(0, room + decoder):
            needed = machine.resident_bytes() + decoder + area * _WHOLE_IMAGE_BYTES_PER_PIXEL
            raise BudgetError(
                f"the whole-image network needs about {format_bytes(needed)} at {picture.width} x "
                f"{picture.height} and the budget is {format_bytes(budget)}; raise --memory, or lower --size"
            )
        limits = Limits(
            baseline_bytes=machine.resident_bytes(),
            budget_bytes=1 << 62,
            compute_bytes_per_value=compute.dtype.itemsize,
        )
        plan = make_plan(picture.source, options, limits)
        upright = _upright(picture)
    with stages.stage("whole image", 1, "share") as advance:
        whole, whole_logits = _whole_image(module, upright, picture.full_scale, options.normalize)
        advance(1)
    differences = dict.fromkeys(whole, 0.0)
    hooks = {layer: _compare(whole[layer], differences, plan.time_axis) for layer in whole}
    network = pixel_network(weights, picture.full_scale, options.normalize, compute.dtype)
    stream = RowStream(
        network.state,
        hooks,
        transposed=plan.time_axis == "x",
        dtype=compute.dtype,
        device=compute.device,
    )
    along = upright if plan.time_axis == "y" else upright.transpose(1, 2)
    with stages.stage("stream", upright[0].numel(), "px") as advance:
        for band in torch.split(along, plan.band_rows, dim=1):
            stream.push(network.prepare(band))
            advance(band[0].numel())
        stream.flush()
    return Verification(
        width=picture.width,
        height=picture.height,
        band_rows=plan.band_rows,
        precision=compute.precision,
        tolerance=TOLERANCES[compute.precision],
        banks=tuple(_agreement(each, whole[each.layer], differences[each.layer]) for each in BANKS),
        stream_top5=top5(stream.logits()),
        whole_top5=top5(whole_logits),
    )


def _upright(picture: Picture) -> Tensor:
    """Return all pixels, float32 `[rgb, y, x]`, 0 to full scale."""
    pieces = slabs(picture, time_axis="y", rows=picture.height, stored=STORED_MEMORY, spool=Path())
    return torch.from_numpy(np.concatenate(list(pieces)).astype(np.float32)).permute(2, 0, 1)


@torch.inference_mode()
def _whole_image(
    module: torch.nn.Module, pixels: Tensor, full_scale: int, normalize: bool
) -> tuple[dict[str, Tensor], Tensor]:
    values = normalised(pixels, full_scale, normalize).unsqueeze(0)
    kept: dict[str, Tensor] = {}
    for index, layer in enumerate(module.get_submodule("features").children()):
        values = layer(values)
        if f"features.{index}" in {bank.layer for bank in BANKS}:
            # kept as it is: the layer after it works in place only on a convolution's output
            kept[f"features.{index}"] = values[0]
    return kept, module.get_submodule("classifier")(values).flatten().double()


def _compare(reference: Tensor, differences: dict[str, float], time_axis: str) -> Hook:
    def take(block: RowBlock) -> None:
        rows = slice(block.start, block.start + block.rows)
        mine = block.tensor().float().cpu()
        theirs = reference[:, rows] if time_axis == "y" else reference[:, :, rows].transpose(1, 2)
        worst = float((mine - theirs).abs().max())
        differences[block.layer] = max(differences[block.layer], worst if isfinite(worst) else inf)

    return take


def _agreement(bank: Bank, reference: Tensor, difference: float) -> BankAgreement:
    return BankAgreement(bank.number, tuple(reference.shape), float(reference.max()), difference)
