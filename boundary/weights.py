"""Weights of a network: read from a file without running its code, fitted exactly, and hashed."""

import hashlib
import pickle
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from boundary.errors import InputError, as_input_error, require_path, type_of
from boundary.files import require_plausible_zip

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts put the state dict beside epochs and optimisers."""


def load_weights(network: nn.Module, file: Path) -> None:
    """Give a network the weights in a file.

    Args:
        network: Takes them in place, and stays as it was if they do not fit.
        file: A ``.safetensors``, ``.pt`` or ``.pth`` file.

    Raises:
        InputError: If the file cannot be read, would run code, or has other names, shapes or
            kinds of tensors.
    """
    given, wanted = _read(file), network.state_dict()
    misshapen = [
        f"{key}: {tuple(wanted[key].shape)} wanted, {tuple(given[key].shape)} found"
        for key in wanted
        if key in given and getattr(wanted[key], "shape", None) != given[key].shape
    ]
    differences = {
        "missing": [key for key in wanted if key not in given],
        "unexpected": [key for key in given if key not in wanted],
        "of another shape": misshapen,
    }
    problems = [
        f"{len(keys)} {what} (first {keys[0]})" for what, keys in differences.items() if keys
    ]
    if problems:
        raise InputError(
            f"the weights in {file} do not fit the model: of its {len(wanted)} entries and the "
            f"file's {len(given)}, {'; '.join(problems)}."
        )
    unfit = [
        key
        for key, value in given.items()
        if not is_plain(value) or value.is_complex() != wanted[key].is_complex()
    ]
    if unfit:
        raise InputError(
            f"the weights in {file} should be plain real tensors. Found another kind for "
            f"{unfit[0]}."
        )
    network.load_state_dict(given)


def is_plain(tensor: Tensor) -> bool:
    """Return whether every number of a tensor is stored, by itself."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        return False
    return tensor.nbytes <= tensor.untyped_storage().nbytes()


def state_sha256(module: nn.Module) -> str:
    """Return the SHA-256 of the names, dtypes, shapes and bytes of a module's state.

    That is its state dict and the buffers that it leaves out, such as a normalisation, in the order
    of their names; the device does not matter.
    """
    digest = hashlib.sha256()
    state = {**dict(module.named_buffers()), **module.state_dict()}
    for name, value in sorted(state.items()):
        if isinstance(value, Tensor):
            digest.update(f"{name}|{value.dtype}|{tuple(value.shape)}|".encode())
            flat = value.detach().cpu().contiguous().view(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
        else:
            digest.update(f"{name}|{value!r}|".encode())
    return digest.hexdigest()


def _read(file: Path) -> dict[str, Tensor]:
    if file.suffix not in {".safetensors", ".pt", ".pth"}:
        raise InputError(
            "`weights` should be a .safetensors, .pt or .pth file, or the word `random`. "
            f"Found {file}."
        )
    require_path(file)
    if file.suffix == ".safetensors":
        with as_input_error(f"{file} is not a safetensors file"):
            return load_file(file)
    with as_input_error(f"{file} is not a checkpoint"):
        return _state_dict(unpickled(file), file)


def unpickled(file: Path) -> object:
    """Return what a file of ``torch.save`` holds, if that takes no code.

    Raises:
        InputError: If it would run code, or is no such file.
    """
    # What would run code is refused: there is no second try without `weights_only`.
    require_plausible_zip(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = _refused_globals(file, error)
        if not refused:  # without torch's own words, which advise to let the code run
            raise InputError(f"{file} is not a checkpoint.") from error
        raise InputError(
            f"{file} would run code when loaded and was refused: it names {', '.join(refused)}; "
            "save the state dict alone, best as .safetensors."
        ) from error


def _refused_globals(file: Path, error: pickle.UnpicklingError) -> list[str]:
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    except Exception:  # files of the format before torch 1.6 cannot be listed
        found = re.findall(r"GLOBAL ([\w.]+)", str(error))
    return sorted(set(found))


def _state_dict(loaded: object, file: Path) -> dict[str, Tensor]:
    if isinstance(loaded, dict):
        inner = next((loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), dict)), None)
        state = loaded if inner is None else inner
        if state and all(isinstance(value, Tensor) for value in state.values()):
            return dict(state)
    raise InputError(
        f"{file} should hold a state dict, names with tensors, or one under "
        f"{', '.join(f'`{key}`' for key in _WRAPPERS)}. Found {type_of(loaded)} without one."
    )
