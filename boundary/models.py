"""Where models come from: the built-in one, a user's file or package, timm, torchvision, HF."""

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from boundary.errors import (
    InputError,
    as_input_error,
    did_you_mean,
    import_extra,
    require_path,
    type_of,
)
from boundary.untrained import untrained_copy
from boundary.weights import load_weights, state_sha256

__all__ = ["LoadedModel", "Normalised", "load_model"]

RANDOM = "random"
"""The word that stands for random weights where a file of weights could be named."""

_SEED = 0
"""Every load draws from this seed, so that random weights are the same ones tomorrow."""

_SHOWN = 5
"""Factories of a file that are named."""

_FILE_MODULE = "boundary_model_file_"
"""How the name begins under which a user's file is among the imported modules."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model and what has to be known to load it again and to recognise it."""

    module: nn.Module  # images in [0, 1], (N, C, H, W), to logits (N, K)
    name: str  # for titles: "net.py:make", "digits", "vit_tiny_patch16_224"
    spec: str  # what loads it again from any folder
    image_shape: tuple[int, int, int] | None  # (C, H, W), where the model states it
    class_names: tuple[str, ...] | None  # index -> name, where the model states it
    sha256: str  # of the state dict, see `state_sha256`


class Normalised(nn.Module):
    """A network behind its own normalisation: images in [0, 1] in, logits out.

    Args:
        network: Takes images of zero mean and unit deviation, (N, C, H, W); an output object with
            ``.logits`` is unwrapped.
        mean: What is subtracted from each channel, C numbers in units of [0, 1].
        std: What each channel is then divided by, C numbers.
    """

    mean: Tensor  # (1, C, 1, 1)
    std: Tensor  # (1, C, 1, 1)

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        dtype = next((p.dtype for p in network.parameters()), torch.float32)
        self.register_buffer("mean", torch.tensor(mean, dtype=dtype).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=dtype).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, shape (N, K), of images in [0, 1], shape (N, C, H, W)."""
        output = self.network((images - self.mean) / self.std)
        logits: Tensor = getattr(output, "logits", output)
        return logits


def load_model(
    spec: str, *, weights: str | None = None, device: str | torch.device = "cpu"
) -> LoadedModel:
    """Return the model that a short text names.

    Loading a ``FILE.py`` or a package runs its code. A user's module stays in the mode, train or
    eval, in which its factory returned it; all others are in eval mode. The state of torch's random
    generators and its default dtype are left as they were, and every load draws from the same seed.

    Args:
        spec: ``digits``, ``control:NAME``, ``control:NAME:SEED``, ``FILE.py:factory``,
            ``package.module:factory``, ``timm:NAME``, ``torchvision:NAME`` or ``hf:NAME``. A
            factory takes no arguments and returns a ``torch.nn.Module``.
        weights: A ``.safetensors``, ``.pt`` or ``.pth`` file with a state dict that fits exactly,
            or ``random``: the named architecture without training, nothing downloaded. Without
            it: what the factory loaded, or the published weights.
        device: Where the module goes.

    Raises:
        InputError: If the text names no model, an extra is not installed, a factory does not give
            a module, or the weights cannot be read or do not fit.
    """
    prefix, _, name = spec.partition(":")
    origin = _PREFIXES.get(prefix)
    with _torch_left_alone():
        built = _from_factory(spec, weights) if origin is None else origin.build(name, weights)
        if weights not in {None, RANDOM}:
            load_weights(built.network, Path(str(weights)).expanduser())
    return LoadedModel(
        module=_moved(built.module, device),
        name=built.name,
        spec=built.spec,
        image_shape=built.image_shape,
        class_names=built.class_names,
        sha256=state_sha256(built.module),
    )


@dataclass(frozen=True, eq=False)
class _Built:
    """A model as its origin builds it; ``network`` is the part that files of weights are for."""

    module: nn.Module
    network: nn.Module
    name: str
    spec: str
    image_shape: tuple[int, int, int] | None = None
    class_names: tuple[str, ...] | None = None


def _from_digits(rest: str, weights: str | None) -> _Built:
    # Imported here because scikit-learn is slow to import.
    from boundary.digits import CLASS_NAMES, IMAGE_SHAPE, DigitsNetwork, trained_digits_network

    if rest:
        raise InputError(f"the built-in model is called `digits`. Found `digits:{rest}`.")
    module = trained_digits_network() if weights is None else DigitsNetwork().eval()
    return _Built(module, module, "digits", "digits", IMAGE_SHAPE, CLASS_NAMES)


def _from_control(name: str, weights: str | None) -> _Built:
    # Imported here because the linear one needs the digits.
    from boundary.controls import named_control

    spec = f"control:{name}"
    control = named_control(spec)
    module, images = control.module, control.images
    if weights == RANDOM:
        module, _ = untrained_copy(module, _SEED)
    return _Built(module, module, spec, spec, images.shape, images.class_names)


def _from_factory(spec: str, weights: str | None) -> _Built:
    place, _, factory_name = spec.rpartition(":")
    if spec.endswith((".py", ".py:")):
        raise InputError(_without_factory(spec.removesuffix(":")))
    if not place or not factory_name:
        patterns = [pattern for origin in ORIGINS for pattern in origin.patterns]
        raise InputError(
            f"`{spec}` does not name a model; use {', '.join(patterns[:-1])} or {patterns[-1]}."
        )
    if weights == RANDOM:
        raise InputError(
            f"`random` weights cannot be asked of `{spec}`, whose factory chooses its own; name a "
            "factory that returns the untrained network."
        )
    if place.endswith(".py") or "/" in place:
        file = Path(place).expanduser().resolve()
        with _folder_importable(file.parent):
            module = _call(_run_file(file), factory_name, file)
        return _Built(module, module, f"{file.name}:{factory_name}", f"{file}:{factory_name}")
    with as_input_error(f"the package `{place}` could not be imported"):
        package = importlib.import_module(place)
    module = _call(package, factory_name, place)
    return _Built(module, module, spec, spec)


def _without_factory(name: str) -> str:
    """Return a sentence on a file without a factory, with those that it has; it is not run."""
    file = Path(name).expanduser()
    require_path(file.resolve())
    made = [f"`{name}:{factory}`" for factory in _factories(file)]
    hint = f"did you mean {' or '.join(made[:_SHOWN])}?" if made else f"write `{name}:factory`."
    return f"`{name}` names no function that returns a torch.nn.Module; {hint}"


def _factories(file: Path) -> list[str]:
    """Return the functions that take no arguments and the classes of a file, in its order."""
    try:
        parts = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
    functions = [one for one in parts if isinstance(one, ast.FunctionDef) and not _wants(one.args)]
    classes = [one for one in parts if isinstance(one, ast.ClassDef)]
    names = [one.name for one in functions] + [one.name for one in classes]
    return [name for name in names if not name.startswith("_")]


def _wants(arguments: ast.arguments) -> bool:
    """Return whether a function cannot be called without arguments."""
    first = len(arguments.posonlyargs) + len(arguments.args) > len(arguments.defaults)
    return first or None in arguments.kw_defaults


def _from_timm(name: str, weights: str | None) -> _Built:
    timm = import_extra("timm", "timm")
    if not timm.is_model(name):
        raise InputError(
            f"timm has no model `{name}`{did_you_mean(name, timm.list_models()) or '.'}"
        )
    with as_input_error(f"timm could not build `{name}`", _OFFLINE):
        network = timm.create_model(name, pretrained=weights is None)
    config = importlib.import_module("timm.data").resolve_model_data_config(network)
    names = network.pretrained_cfg.get("label_names")
    return _Built(
        Normalised(network, config["mean"], config["std"]).eval(),
        network,
        name,
        f"timm:{name}",
        _shape(*config["input_size"]),
        tuple(names) if names else None,
    )


def _from_torchvision(name: str, weights: str | None) -> _Built:
    zoo = import_extra("torchvision", "torchvision").models
    classifiers = zoo.list_models(module=zoo)
    if name not in classifiers:
        raise InputError(
            f"torchvision has no classifier `{name}`{did_you_mean(name, classifiers) or '.'}"
        )
    published = zoo.get_model_weights(name).DEFAULT
    with as_input_error(f"torchvision could not build `{name}`", _OFFLINE):
        network = zoo.get_model(name, weights=published if weights is None else None)
    preset = published.transforms()
    return _Built(
        Normalised(network, preset.mean, preset.std).eval(),
        network,
        name,
        f"torchvision:{name}",
        _shape(len(preset.mean), preset.crop_size[0], preset.crop_size[0]),
        tuple(published.meta["categories"]),
    )


def _from_hf(name: str, weights: str | None) -> _Built:
    transformers = import_extra("transformers", "hf")
    folder = Path(name).expanduser()
    place = str(folder.resolve()) if folder.is_dir() else name
    with as_input_error(f"transformers could not load `{name}`", _OFFLINE):
        auto = transformers.AutoModelForImageClassification
        config = transformers.AutoConfig.from_pretrained(place)
        processor, _ = transformers.BaseImageProcessor.get_image_processor_dict(place)
        network = auto.from_pretrained(place) if weights is None else auto.from_config(config)
    mean, std = _hf_normalisation(processor, name)
    names = tuple(config.id2label[index] for index in sorted(config.id2label))
    return _Built(
        Normalised(network, mean, std).eval(),
        network,
        Path(place).name,
        f"hf:{place}",
        _hf_image_shape(processor, len(mean), config),
        names,
    )


_OFFLINE = "; weights given as a file, or `random`, need no download"


@dataclass(frozen=True)
class Origin:
    """A place that models come from."""

    patterns: tuple[str, ...]
    """How its models are named."""
    text: str
    """What they are, in a line."""
    build: Callable[[str, str | None], _Built]
    """Of what follows the prefix, or of the whole name where there is none; and of weights."""
    package: str | None = None
    """That has to be installed."""
    extra: str | None = None
    """Of this project, which installs it."""


ORIGINS = (
    Origin(("digits",), "built in: a small network for 8 x 8 digits", _from_digits),
    Origin(
        ("control:NAME", "control:NAME:SEED"),
        "built in: a planted network whose geometry is known, with images of its own; NAME is "
        "linear, ridge, smooth, sink or curved",
        _from_control,
    ),
    Origin(
        ("FILE.py:factory", "package.module:factory"),
        "your function without arguments that returns a torch.nn.Module; its code is run",
        _from_factory,
    ),
    Origin(("timm:NAME",), "a network of timm", _from_timm, "timm", "timm"),
    Origin(
        ("torchvision:NAME",),
        "a classifier of torchvision",
        _from_torchvision,
        "torchvision",
        "torchvision",
    ),
    Origin(
        ("hf:NAME",),
        "an image classifier of Hugging Face: on the hub, or a folder",
        _from_hf,
        "transformers",
        "hf",
    ),
)
"""All of them."""

_PREFIXES = {
    origin.patterns[0].partition(":")[0]: origin
    for origin in ORIGINS
    if origin.build is not _from_factory
}


def _hf_normalisation(processor: dict[str, Any], name: str) -> tuple[list[float], list[float]]:
    # in units of [0, 1] images
    for option in ("do_flip_channel_order", "rescale_offset"):
        if processor.get(option):
            raise InputError(
                f"the image processor of `{name}` sets `{option}`, which is not supported; wrap "
                "the model in a FILE.py:factory with its preprocessing inside."
            )
    scale = 255.0
    if processor.get("do_rescale", True):
        scale *= processor.get("rescale_factor", 1 / 255)
    mean, std = [0.0] * 3, [1.0] * 3
    if processor.get("do_normalize", False):
        mean, std = list(processor["image_mean"]), list(processor["image_std"])
    return [m / scale for m in mean], [s / scale for s in std]


def _hf_image_shape(
    processor: dict[str, Any], channels: int, config: Any
) -> tuple[int, int, int] | None:
    crop = processor.get("crop_size") if processor.get("do_center_crop") else None
    size = crop or processor.get("size")
    if isinstance(size, int):
        return _shape(channels, size, size)
    if size and "height" in size:
        return _shape(channels, size["height"], size["width"])
    side = getattr(config, "image_size", None)
    return _shape(channels, side, side) if isinstance(side, int) else None


def _shape(channels: int, height: int, width: int) -> tuple[int, int, int]:
    return int(channels), int(height), int(width)


def _run_file(file: Path) -> ModuleType:
    require_path(file)
    name = f"{_FILE_MODULE}{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"{file} is not a Python file; its name should end in `.py`.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up by name
    with as_input_error(f"{file} could not be loaded", code=file):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _folder_importable(folder: Path) -> Iterator[None]:
    """Let a file import its siblings, and forget them afterwards.

    Forgotten, the `nets.py` of one folder cannot be taken for that of the next one.
    """
    path, known = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = path
        if folder not in {Path(entry).resolve() for entry in path}:
            new = {name: name.partition(".")[0] for name in set(sys.modules) - known}
            own = {top for top in new.values() if _lies_in(sys.modules.get(top), folder)}
            for name, top in new.items():
                if top in own - known and not top.startswith(_FILE_MODULE):
                    del sys.modules[name]


def _lies_in(module: ModuleType | None, folder: Path) -> bool:
    # not deeper: a virtual environment may lie in the same folder
    file = Path(getattr(module, "__file__", None) or "/")
    return folder == (file.parent.parent if file.name == "__init__.py" else file.parent)


def _factory(module: ModuleType, name: str, place: Path | str) -> Callable[[], object]:
    if not hasattr(module, name):
        own = [
            key
            for key, value in vars(module).items()
            if callable(value)
            and not key.startswith("_")
            and getattr(value, "__module__", None) == module.__name__
        ]
        found = ", ".join(f"`{key}`" for key in own[:8]) or "none of its own"
        raise InputError(f"{place} has no `{name}`. Found {found}{did_you_mean(name, own) or '.'}")
    factory: Any = getattr(module, name)
    if not callable(factory) or isinstance(factory, nn.Module):
        raise InputError(
            f"`{name}` of {place} should be a function without arguments that returns a "
            f"torch.nn.Module. Found {type_of(factory)}."
        )
    made: Callable[[], object] = factory
    return made


def _call(code: ModuleType, name: str, place: Path | str) -> nn.Module:
    factory = _factory(code, name, place)
    with as_input_error(f"`{name}()` of {place} failed", code=getattr(code, "__file__", None)):
        module = factory()
    if not isinstance(module, nn.Module):
        raise InputError(
            f"`{name}()` of {place} should return a torch.nn.Module. Found {type_of(module)}."
        )
    return module


def _moved(module: nn.Module, device: str | torch.device) -> nn.Module:
    with as_input_error(f"the model could not be put on the device `{device}`"):
        return module.to(torch.device(device))


@contextmanager
def _torch_left_alone() -> Iterator[None]:
    """Draw from a fixed seed, then put back torch's random generators and its default dtype."""
    dtype = torch.get_default_dtype()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices):
            # torch.manual_seed would also seed a CUDA generator that is not there to be put back
            torch.default_generator.manual_seed(_SEED)
            if devices:
                torch.cuda.manual_seed_all(_SEED)
            yield
    finally:
        torch.set_default_dtype(dtype)
