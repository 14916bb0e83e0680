"""Comparison of the stream with the whole-image network, on a user's own picture and machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isfinite, isqrt
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from ..base import machine
from ..base.progress import Listener, Stages
from ..base.units import format_bytes
from ..errors import BudgetError
from ..graph.layers import Bank, Banks
from ..picture.in_memory import PictureInput
from ..picture.opening import download_folder, opened_picture
from ..picture.picture import Picture, measured, slabs
from ..planning.keywords import NetworkKeywords
from ..planning.network_sizes import sizes_of
from ..planning.options import SonifyOptions, resolve_options
from ..planning.plan import STORED_MEMORY, Limits
from ..planning.planner import make_plan
from .compute import Compute, choose_compute, pixel_network
from .label import Guess, top5
from .networks import Network, load_network, whole_module
from .stream import Hook, RowBlock, RowStream
from .tracing.capture import whole_layers

# Peak memory of SqueezeNet's whole-image forward pass, per pixel: the first bank twice, the banks that are
# kept, the allocator's slack; and the values that its stream has in memory. Other networks take more or less
# in proportion. It is why the picture is compared at a size that fits.
_WHOLE_IMAGE_BYTES_PER_PIXEL = 700
_LIVE = 42
#: Largest difference allowed, as a share of a bank's largest value. In fp32 it comes from the rounding of
#: sums of a few thousand terms, in the others from 11 and 8 significant bits through 26 layers.
TOLERANCES = {"fp32": 1e-5, "fp16": 1e-2, "bf16": 5e-2}


@dataclass(frozen=True)
class BankAgreement:
    """The agreement of one bank of the stream with that of the whole-image network.

    Attributes:
        bank: number of the bank.
        shape: the bank's shape, `[channel, y, x]`.
        largest: the whole-image network's largest value, without its sign.
        difference: the largest absolute difference between the two.
    """

    bank: int
    shape: tuple[int, ...]
    largest: float
    difference: float

    @property
    def relative(self) -> float:
        """The difference as a share of the largest value."""
        return self.difference / self.largest if self.largest else self.difference


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The result of `verify`: the size of the comparison, and how well the two networks agreed.

    Attributes:
        width: width of the picture at the size compared, in pixels.
        height: height likewise.
        band_rows: rows in a band of the stream.
        precision: precision of the stream: 'fp32', 'bf16' or 'fp16'.
        tolerance: largest difference that counts as agreement, as a share of a bank's largest value.
        banks: the agreement of each bank.
        stream_top5: the five likeliest classes by the stream.
        whole_top5: the five likeliest classes by the whole-image network.
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
        """True if every bank is within the tolerance and, in fp32, both predict the same five classes."""
        if self.precision == "fp32":  # in half precision the order of near-equals is chance
            stream_classes = {guess.category for guess in self.stream_top5}
            whole_classes = {guess.category for guess in self.whole_top5}
            if stream_classes != whole_classes:
                return False
        return all(bank.relative <= self.tolerance for bank in self.banks)


def verify(
    image: PictureInput,
    options: SonifyOptions | None = None,
    *,
    on_progress: Listener | None = None,
    **words: Unpack[NetworkKeywords],
) -> Verification:
    """Compare the stream's activations of a picture with those of the network on the whole picture.

    Args:
        image: the picture: a file, a URL, a numpy array or a PIL image; see `sonify`.
        options: the run's options. Without `size`, the picture is compared at the largest size that the
            memory budget allows the whole-image network.
        on_progress: called as the work goes on, from any thread.
        words: options by keyword, in place of `options`; see `NetworkKeywords`.

    Returns:
        The largest difference in each bank, and the five likeliest classes by both networks.

    Raises:
        PictureError: the picture cannot be read, or is too small.
        BudgetError: the whole-image network does not fit into the memory budget at the size asked for.

    Example:
        >>> from netsounds_stream import verify
        >>> verify("landscape.png", size=64, weights="untrained").agreed
        True
    """
    options = resolve_options(options, words)
    stages = Stages(on_progress)
    compute = choose_compute(options.device, options.precision)
    network = load_network(options.network, options.weights)
    banks = network.banks(options.layers)
    options = options.with_banks(banks)
    module = whole_module(options.network, options.weights)
    with download_folder(image) as folder:
        picture = _fitting_picture(image, folder, stages, options, compute, banks)
        limits = Limits(
            baseline_bytes=machine.resident_bytes(),
            budget_bytes=1 << 62,
            compute_bytes_per_value=compute.dtype.itemsize,
        )
        plan = make_plan(picture.source, options, limits, banks)
        picture = measured(picture, stages)
        upright = _upright(picture)
    with stages.stage("whole image", 1, "share") as advance:
        values = network.normalised(upright, picture.full_scale, normalize=options.normalize)
        expected, whole_logits = _whole_image(module, values, banks)
        advance(1)
    differences = dict.fromkeys(expected, 0.0)
    hooks = {
        layer: _difference_hook(activations, differences, plan.time_axis)
        for layer, activations in expected.items()
    }
    prepared = pixel_network(network, picture.full_scale, options.normalize, compute.dtype)
    stream = RowStream(
        prepared.captured,
        hooks,
        transposed=plan.time_axis == "x",
        dtype=compute.dtype,
        device=compute.device,
    )
    rows = upright if plan.time_axis == "y" else upright.transpose(1, 2)
    with stages.stage("stream", upright[0].numel(), "px") as advance:
        for band in torch.split(rows, plan.band_rows, dim=1):
            stream.push(prepared.prepare(band))
            advance(band[0].numel())
        stream.flush()
    return Verification(
        width=picture.width,
        height=picture.height,
        band_rows=plan.band_rows,
        precision=compute.precision,
        tolerance=TOLERANCES[compute.precision],
        banks=tuple(_agreement(bank, expected[bank.layer], differences[bank.layer]) for bank in banks.banks),
        stream_top5=top5(stream.logits(), network.categories),
        whole_top5=_compared(network, whole_logits),
    )


def _fitting_picture(
    image: PictureInput,
    folder: Path,
    stages: Stages,
    options: SonifyOptions,
    compute: Compute,
    banks: Banks,
) -> Picture:
    """Open the picture at the size asked for, or at the largest that the whole-image network has memory for.

    Raises:
        BudgetError: the whole-image network does not fit at the size asked for.
    """
    budget = options.memory_bytes or machine.default_budget_bytes(compute.device)
    room = budget - machine.resident_bytes()
    picture = opened_picture(image, folder, stages, options)
    decoder = picture.source.decoder_bytes + picture.pending_bytes
    bytes_per_pixel = int(_WHOLE_IMAGE_BYTES_PER_PIXEL / _LIVE * sizes_of(banks, "y").live)
    smallest = banks.smallest_side
    pixels = max(0, room - decoder) // bytes_per_pixel
    if options.size is None and picture.width * picture.height > pixels:
        short, long = sorted((picture.width, picture.height))
        fitting = replace(options, size=max(smallest, isqrt(pixels * short // long)))
        picture = opened_picture(image, folder, stages, fitting)
    area = picture.width * picture.height
    if area > max(pixels, 4 * smallest**2) or decoder > max(0, room):
        needed = machine.resident_bytes() + decoder + area * bytes_per_pixel
        raise BudgetError(
            f"the whole-image network needs about {format_bytes(needed)} at {picture.width} x "
            f"{picture.height} and the budget is {format_bytes(budget)}; raise --memory, or lower --size"
        )
    return picture


def _upright(picture: Picture) -> Tensor:
    """Decode the whole picture.

    Returns:
        float32 `[rgb, y, x]`, 0 to full scale.
    """
    pieces = slabs(picture, time_axis="y", rows=picture.height, stored=STORED_MEMORY, spool=Path())
    return torch.from_numpy(np.concatenate(list(pieces)).astype(np.float32)).permute(2, 0, 1)


def _whole_image(
    module: torch.nn.Module, values: Tensor, banks: Banks
) -> tuple[dict[str, Tensor], Tensor | None]:
    """Run the whole-image network.

    Args:
        module: the network.
        values: its input, `[rgb, y, x]`.
        banks: the layers that are compared.

    Returns:
        The banks, `[channel, y, x]` by layer name, and its output, float64 `[class]`; None if that is no
        prediction.
    """
    found, output = whole_layers(module, values.unsqueeze(0), [bank.layer for bank in banks.banks])
    return found, output.flatten().double() if isinstance(output, Tensor) else None


def _difference_hook(reference: Tensor, differences: dict[str, float], time_axis: str) -> Hook:
    """Make a hook that raises a layer's entry in `differences` to its largest difference from `reference`."""

    def compare(block: RowBlock) -> None:
        rows = slice(block.start, block.start + block.rows)
        streamed = block.tensor().float().cpu()
        expected = reference[:, rows] if time_axis == "y" else reference[:, :, rows].transpose(1, 2)
        difference = float((streamed - expected).abs().max())
        differences[block.layer] = max(differences[block.layer], difference if isfinite(difference) else inf)

    return compare


def _agreement(bank: Bank, reference: Tensor, difference: float) -> BankAgreement:
    return BankAgreement(
        bank=bank.number,
        shape=tuple(reference.shape),
        largest=float(reference.abs().max()),
        difference=difference,
    )


def _compared(network: Network, logits: Tensor | None) -> tuple[Guess, ...]:
    """Rank the classes by the whole-image network, if the stream makes a prediction, too."""
    return () if network.captured.graph.mean is None else top5(logits, network.categories)
