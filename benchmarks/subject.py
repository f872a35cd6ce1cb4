"""What the benchmarks share: their subject from the command line, and a clock."""

import argparse
from collections.abc import Callable
from time import perf_counter

import torch
from torch import Tensor, nn

from boundary import load_model, open_images


def parser(description: str | None, *, count: int, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark; the numbers are defaults."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    made.add_argument("--model", default="digits")
    made.add_argument("--images", default="digits")
    made.add_argument("--size", type=int, help="side of pictures")
    made.add_argument("--classes", help="file with one class a line")
    made.add_argument("--count", type=int, default=count, help="images, evenly spaced")
    made.add_argument("--rounds", type=int, default=rounds, help="of the timing")
    made.add_argument("--device", default="cpu")
    return made


def load(options: argparse.Namespace) -> tuple[nn.Module, Tensor]:
    """Return the module and the images that the options name, both on their device."""
    module = load_model(options.model, device=options.device).module
    source = open_images(options.images, size=options.size, classes=options.classes)
    spaced = range(0, len(source), max(1, len(source) // options.count))
    images = source.read(list(spaced)[: options.count]).images.to(options.device)
    return module, images


def described(options: argparse.Namespace, images: Tensor) -> str:
    """Return what was measured and on what."""
    where = torch.cuda.get_device_name() if "cuda" in options.device else "CPU"
    return (
        f"{options.model}, {len(images)} images of {tuple(images.shape[1:])}, {where}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )


def seconds(work: Callable[[], object], device: str) -> float:
    """Return the time that some work takes, on its device too."""
    _wait(device)
    begun = perf_counter()
    work()
    _wait(device)
    return perf_counter() - begun


def _wait(device: str) -> None:
    if "cuda" in device:
        torch.cuda.synchronize(device)
