"""torchvision's classifiers: how they are built, what their weights were trained with, and class names."""

from __future__ import annotations

import difflib
import importlib.util
import sys
import types
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import OptionError

_UNTRAINED_SEED = 0
# Networks that change a picture's scale first if their weights are torchvision's.
_TRANSFORM_INPUT = ("googlenet", "inception_v3")


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Preprocessing that weights were trained with.

    Attributes:
        mean: mean of each channel, in [0, 1] units.
        std: deviation of each channel, likewise.
        resize: short edge of a picture that is classified, in pixels.
        crop: edge of its square centre crop.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    resize: int = 256
    crop: int = 224


def torchvision() -> types.ModuleType:
    """Import torchvision, even if its compiled operators do not load.

    Its wheel on PyPI is built against CUDA torch. Beside a CPU-only torch the operators do not load, and the
    import fails as it registers shape functions for two of them. It is enough to declare the schemas of those
    two: models, weights and transforms do not use them. Where the operators load, the first import succeeds
    and nothing is declared.

    Returns:
        The package.
    """
    try:
        import torchvision as package
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        for schema in (
            "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        ):
            torch.library.define(f"torchvision::{schema.split('(')[0]}", "(" + schema.split("(", 1)[1])
        import torchvision as package
    return package  # type: ignore[no-any-return]


def categories() -> tuple[str, ...]:
    """Return ImageNet's 1000 class names, in the order of the networks' outputs.

    They come from torchvision's table of them. Its module is loaded by itself, if it is at its usual place:
    importing the whole package would cost a run 80 MB and a second.
    """
    package = importlib.util.find_spec("torchvision")
    assert package is not None
    assert package.origin is not None
    table = Path(package.origin).parent / "models" / "_meta.py"
    spec = importlib.util.spec_from_file_location("netsounds_stream_categories", table)
    if not table.is_file() or spec is None or spec.loader is None:
        return tuple(torchvision().models.SqueezeNet1_0_Weights.IMAGENET1K_V1.meta["categories"])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return tuple(module._IMAGENET_CATEGORIES)


def model_names() -> tuple[str, ...]:
    """Return the names of torchvision's classifiers."""
    models = torchvision().models
    return tuple(models.list_models(module=models))


def require_known(name: str) -> None:
    """Require that a network is one of torchvision's classifiers.

    Raises:
        OptionError: it is not.
    """
    names = model_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f" ({near[0]}?)" if near else ""
        raise OptionError(
            f"there is no network {name[:80]!r}{hint}; give one of torchvision's classifiers, such as "
            f"resnet18, or code of your own as package.module:function or file.py:function"
        )


def build(name: str, *, pretrained: bool) -> nn.Module:
    """Build one of torchvision's classifiers.

    Args:
        name: its name.
        pretrained: load its default weights, which are downloaded once; else they are drawn with a fixed
            seed.

    Returns:
        The network, in evaluation mode.
    """
    models = torchvision().models
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GoogLeNet announces that it will draw weights in another way
        torch.manual_seed(_UNTRAINED_SEED)
        if pretrained:
            module = models.get_model(name, weights=models.get_model_weights(name).DEFAULT, progress=False)
        else:
            module = models.get_model(name, weights=None)
    made: nn.Module = module.eval()
    return made


def takes_other_scale(name: str) -> bool:
    """Return whether a network with trained weights changes a picture's scale before its first layer."""
    return name in _TRANSFORM_INPUT


def trained_with(name: str) -> tuple[Preprocessing, tuple[str, ...]]:
    """Return what a classifier's default weights were trained with, and their class names."""
    weights = torchvision().models.get_model_weights(name).DEFAULT
    transforms = weights.transforms()
    names: Sequence[Any] = weights.meta["categories"]
    preprocessing = Preprocessing(
        mean=tuple(map(float, transforms.mean)),
        std=tuple(map(float, transforms.std)),
        resize=_edge(transforms.resize_size),
        crop=_edge(transforms.crop_size),
    )
    return preprocessing, tuple(map(str, names))


def _edge(size: int | Sequence[int]) -> int:
    return int(size) if isinstance(size, int) else int(size[0])
