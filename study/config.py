"""Every setting of a study, with its default: the only place that has them.

A configuration is data: numbers, texts and lists, never code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import inf
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from analysis.algorithms import Algorithm
from boundary.collect import RETIRED as RETIRED_OPTION
from boundary.errors import InputError, did_you_mean
from boundary.nearest import FEWEST_GRADIENTS
from boundary.splits import CHOOSING


@dataclass(frozen=True)
class SearchOptions:
    """The search for nearest boundary points.

    Args:
        candidates: Classes, by logit, that are looked at to choose the first direction.
        max_gradients: The most backward passes spent on an image. More find nearer points:
            docs/benchmarks.md says how much.
        residual_tol: Largest distance from the boundary, as a share of the margin.
        alignment_tol: Cosine of displacement and normal at which a walk is done.
        early_bfloat16: Take the first gradients of an image in bfloat16: it saves little on a CPU,
            and costs quality.
        in_bounds: Keep boundary points inside the bounds of the images. By default they are free:
            the geometry is that of the classifier.
        max_margin: Distance beyond which a search gives up, input units; by default the diagonal
            of the input box.
        max_change: Largest change of any number of an image (an l-infinity ball), input units.
    """

    candidates: int = 10
    max_gradients: int = 40
    residual_tol: float = 1e-4
    alignment_tol: float = 0.999
    early_bfloat16: bool = False
    in_bounds: bool = False
    max_margin: float | None = None
    max_change: float | None = None


@dataclass(frozen=True)
class SpectrumOptions:
    """The singular spectrum of the normals.

    Args:
        directions: Singular vectors to keep; by default 100, or as many as there can be.
        null_draws: Draws of each null that is simulated: random directions, coordinates permuted,
            phases randomised.
        splits: How often the normals are split in two halves, for intervals and for stability.
        method: `gram`, which reads the normals in blocks, or `lapack`, which holds them all and is
            exact in the tail too.
        float32: Take the products on a GPU in float32; the report states the error.
    """

    directions: int | None = None
    null_draws: int = 20
    splits: int = 10
    method: Literal["gram", "lapack"] = "gram"
    float32: bool = False


@dataclass(frozen=True)
class UniversalOptions:
    """Universal perturbations, made from the images whose boundary points were collected.

    Args:
        algorithms: Of smooth_rate, cross_entropy, aggregated, deepfool, hidden_layer; the first is
            also tried on fewer images. [] leaves universal perturbations out.
        images: The most images to make them from.
        gradients: Image gradients that each may spend; by default ten for each image, at most 4000
            or, where that is more, four for each.
        reference: Norm of the Euclidean ones, at which all families are ranked and the subspace
            dimension is varied, as a share of the mean image norm; by default 0.04, the 2000 of
            about 50,000 of the CVPR 2017 paper, or what makes two median margins where that is
            more.
        dimension: R of S_f; by default the one whose random vectors fool most of a fifth of the
            collected images, which does nothing else.
        linf: Norm of the l-infinity ones, input units; 10/255 is that of the CVPR 2017 paper.
        target: Class to move images to; by default away from their own.
        mirror: Mirror images left to right one time in two, where that is natural.
        layer: Hidden layer for hidden_layer, by its name in the model.
        q: Of the norm that measures how far the hidden layer moves; by default 5 for l-infinity,
            1 for Euclidean perturbations.
        counts: Numbers of images to make one from, beside all.
    """

    algorithms: list[Algorithm] = field(default_factory=lambda: ["smooth_rate"])
    images: int = 1000
    gradients: int | None = None
    reference: float | None = None
    dimension: int | None = None
    linf: float | None = 10 / 255
    target: int | None = None
    mirror: bool = False
    layer: str | None = None
    q: float | None = None
    counts: list[int] | None = None


@dataclass(frozen=True)
class FoolingOptions:
    """The fooling rates of all families of perturbations.

    Args:
        norms: Euclidean norms to try, input units, like 0.5,1,2; by default the numbers 1, 2, 5
            times powers of ten from 1 % to 20 % of the mean image norm, or to 5 median margins
            where that is more. The reference norm is always added.
        dimensions: Subspace dimensions to try, like 1,10,100; by default 1, 2, 5, 10, 20, 50,
            100, ... as far as directions were kept. The reference one is always added.
        draws: Random vectors of S_f that answer, and of matched noise, a fifth in each of five
            draws of it. Curves take ten of each family.
        files: Perturbations of others to compare with, like v.mat,w.npy, scaled to each norm.
    """

    norms: list[float] | None = None
    dimensions: list[int] | None = None
    draws: int = 100
    files: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CurvatureOptions:
    """The curvature of the boundary.

    Args:
        images: The most collected boundary points that make S_c, a third of them each of the three.
        judge: The most evaluated images on which the causes of fooling and the hypothesis are
            judged.
        dimension: R of S_c; by default 5, or as many directions of S_f as were kept.
        scale: s at which S_c is made, input units; by default half the reference norm.
        scales: At which curvature is measured, like 0.05,0.5,1; by default a quarter of the median
            margin, a half and once, and half the reference norm and once.
        steps: Of the ascent that makes S_c.
    """

    images: int = 300
    judge: int = 200
    dimension: int | None = None
    scale: float | None = None
    scales: list[float] | None = None
    steps: int = 80


@dataclass(frozen=True)
class SubjectOptions:
    """A classifier and its images.

    Args:
        model: `digits` (built in), control:NAME or control:NAME:SEED (planted networks), or
            FILE.py:factory, package.module:factory, timm:NAME, torchvision:NAME, hf:NAME. A model
            file's code is run.
        weights: A .safetensors file or .pt state dict for the model; `random` for the untrained
            architecture of a control, timm, torchvision or hf name.
        images: `digits` (built in), a folder of class folders, a .npz, .npy, .h5 or .safetensors
            file of arrays, or hf:NAME. A control is by default given its own.
        classes: File with one class a line, the line's number being the class index, where the
            folders are a subset of the classes.
        size: Side to which images of a folder are resized and cropped; by default the model's
            own where it says so, else their own.
        channels: 3 for colour, 1 for grey, for images of a folder.
        device: Where the model runs: `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1`.
        batch_size: Images in one pass, and what an interruption can cost; by default 64, on a CPU
            fewer where images hold more than 16,384 numbers.
        channels_last: Keep images and weights with the channels innermost: faster, to rounding the
            same.
        fuse_batch_norm: Fold batch normalisations into convolutions: faster, to rounding the same.
    """

    model: str = "digits"
    weights: str | None = None
    images: str = "digits"
    classes: str | None = None
    size: int | None = None
    channels: int = 3
    device: str = "auto"
    batch_size: int | None = None
    channels_last: bool = False
    fuse_batch_norm: bool = False


@dataclass(frozen=True)
class StudyConfig(SubjectOptions):
    """A study: which classifier, which images, how many, and how.

    Args:
        name: Of the model, in titles and in what is recorded; by default the name that it has where
            it comes from, or FILE.py:factory.
        collect: How many images to find boundary points of; by default 500, or 5 of every 9 where
            there are fewer than 900.
        evaluate: How many other images to measure fooling rates on; by default 400, or what is
            left.
        accuracy_images: Clean accuracy and mean image norm are taken on all images, but no more
            than this many.
        untrained: Networks of the same architecture, weights initialised anew, whose boundary
            points are collected too, as a null model; 0 leaves it out.
        seed: Of the splits, the held-out share, the nulls and the draws.
        search: The search for nearest boundary points.
        spectrum: The singular spectrum.
        universal: The universal perturbations.
        fooling: The fooling rates.
        curvature: The curvature stage.
    """

    name: str | None = None
    collect: int | None = None
    evaluate: int | None = None
    accuracy_images: int = 5000
    untrained: int = 3
    seed: int = 0
    search: SearchOptions = field(default_factory=SearchOptions)
    spectrum: SpectrumOptions = field(default_factory=SpectrumOptions)
    universal: UniversalOptions = field(default_factory=UniversalOptions)
    fooling: FoolingOptions = field(default_factory=FoolingOptions)
    curvature: CurvatureOptions = field(default_factory=CurvatureOptions)


@dataclass(frozen=True)
class TrialConfig(SubjectOptions):
    """Perturbations from files, tried on a classifier.

    Args:
        count: Images to try them on, a seeded choice; all by default.
        seed: Of that choice, and of the places of shuffled pixels.
        norm: Scale every perturbation to this norm, input units; by default it stays as it is.
        lp: In which norm: `2` or `inf`; by default that of the file, or 2.
        key: Name of the array, where a file holds several.
        layout: CHW or HWC; by default told from the shape.
        units: 255 where 255 is white, 1 where 1 is; by default told from the largest number.
        save: A .png file for the perturbation, rounded to 8 bits, or a .safetensors file.
    """

    count: int | None = None
    seed: int = 0
    norm: float | None = None
    lp: Literal["2", "inf"] | None = None
    key: str | None = None
    layout: Literal["CHW", "HWC"] | None = None
    units: Literal[1, 255] | None = None
    save: str | None = None


COLLECT, EVALUATE = 500, 400
"""Images of each part, where there are as many."""

REFERENCE, REFERENCE_IN_MARGINS = 0.04, 2.0
"""The reference norm, as a share of the mean image norm, or in median margins where that is more:
a robust model would not be fooled at all."""

FREE = ("name", "device", "batch_size", "untrained")
"""Settings that may differ when a run is continued: they change titles or the speed alone, or, as
the number of untrained networks, what is collected beside the normals."""


RETIRED = {
    "search": (RETIRED_OPTION,),
    "fooling": ("reference", "dimension"),
    "spectrum": ("held_out",),
    "curvature": (
        "surface",
        "draws",
        "sections_at",
        "passes",
        "counts",
        "per_class",
        "others",
    ),
}
"""Settings that earlier versions wrote, which mean nothing now, by their group; those of `fooling`
are those of `universal`."""


def config_from(*settings: Mapping[str, Any]) -> StudyConfig:
    """Return a configuration from nested dictionaries of typed values; later ones prevail.

    Args:
        settings: Any part of the settings; the others have their defaults.

    Raises:
        InputError: If there is no such setting, or a value is of another kind or out of its range.
    """
    merged: dict[str, Any] = {}
    groups = {
        "search": SearchOptions,
        "spectrum": SpectrumOptions,
        "universal": UniversalOptions,
        "fooling": FoolingOptions,
        "curvature": CurvatureOptions,
    }
    for given in settings:
        for name, value in given.items():
            if name in groups and not isinstance(value, Mapping):
                raise InputError(
                    f"`{name}` should be a group of settings. Found `{value}`; write `{name}.NAME`."
                )
            old = merged.get(name)
            merged[name] = {**old, **value} if isinstance(old, dict) else value
    for name, kind in groups.items():
        _check_kinds(merged.get(name, {}), kind, f"{name}.")
    _check_kinds({name: merged[name] for name in merged if name not in groups}, StudyConfig)
    parts = {name: kind(**merged.pop(name, {})) for name, kind in groups.items()}
    config = StudyConfig(**merged, **parts)
    _check_ranges(config)
    return config


def _check_kinds(values: Mapping[str, Any], group: type[Any], prefix: str = "") -> None:
    kinds = {one.name: one.type for one in fields(group)}
    for name, value in values.items():
        if name not in kinds:
            hint = did_you_mean(str(name), kinds) or "; `boundary run --help` lists them."
            raise InputError(f"`{prefix}{name}` is not a setting{hint}")
        if not _is_of(value, kinds[name]):
            found = "nothing; leave it out for its default" if value is None else f"`{value!r}`"
            raise InputError(
                f"`--{prefix}{name}` should be {_in_words(kinds[name])}. Found {found}."
            )


def _is_of(value: object, kind: Any) -> bool:
    """Return whether a value of a configuration is of an annotated kind."""
    inside = get_args(kind)
    if get_origin(kind) is UnionType:
        return any(_is_of(value, one) for one in inside)
    if get_origin(kind) is Literal:
        return value in inside
    if get_origin(kind) is list:
        return isinstance(value, list) and all(_is_of(one, inside[0]) for one in value)
    return type(value) in ({int, float} if kind is float else {kind})


def _in_words(kind: Any) -> str:
    inside = get_args(kind)
    if get_origin(kind) is UnionType:
        return " or ".join(_in_words(one) for one in inside if one is not NoneType)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, inside))}"
    if get_origin(kind) is list:
        return f"a list, each of it {_in_words(inside[0])}"
    return {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[kind]


_LEAST = {
    "collect": 1,
    "evaluate": 1,
    "accuracy_images": 1,
    "batch_size": 1,
    "untrained": 0,
    "search.candidates": 1,
    "search.max_gradients": FEWEST_GRADIENTS,
    "spectrum.null_draws": 1,
    "spectrum.splits": 1,
    "universal.images": 1,
    "universal.gradients": 1,
    "fooling.draws": 2,
    "curvature.images": 3,
    "curvature.judge": 1,
    "curvature.dimension": 1,
    "curvature.steps": 1,
}
"""Of whole numbers."""
_TOO_MANY = 2**31
_SHARES = ("search.residual_tol", "search.alignment_tol")
_LENGTHS = (
    "search.max_margin",
    "search.max_change",
    "universal.reference",
    "universal.linf",
    "fooling.norms",
    "curvature.scale",
    "curvature.scales",
)
_DIMENSIONS = ("spectrum.directions", "universal.dimension", "fooling.dimensions")


def _check_ranges(config: StudyConfig) -> None:
    for name, least in _LEAST.items():
        for count in _values(config, name):
            if count < least:
                raise InputError(f"`--{name}` should be at least {least}. Found {count}.")
            if count >= _TOO_MANY:
                raise InputError(f"`--{name}` should be less than {_TOO_MANY}. Found {count}.")
    for name in _SHARES:
        for share in _values(config, name):
            if not 0 < share < 1:
                raise InputError(f"`--{name}` should be a share between 0 and 1. Found {share}.")
    for name in _LENGTHS:
        for length in _values(config, name):
            if not 0 < length < inf:
                raise InputError(f"`--{name}` should be positive and finite. Found {length}.")
    collected = config.collect or COLLECT
    making = max(1, collected - max(1, round(collected / CHOOSING)))
    most = min(config.spectrum.directions or making, making)
    for name in _DIMENSIONS:
        for dimension in _values(config, name):
            if not 1 <= dimension <= most:
                raise InputError(
                    f"`--{name}` should lie in 1..{most}, as there are no more directions. "
                    f"Found {dimension}."
                )
    if not 0 <= config.seed < 2**63:
        raise InputError(f"`--seed` should not be negative, nor above 2^63. Found {config.seed}.")
    if config.spectrum.float32 and config.device == "cpu":
        raise InputError(
            "`--spectrum.float32` is for products on a GPU. Found `--device cpu`; leave it out."
        )


def _values(config: StudyConfig, name: str) -> list[Any]:
    """Return a setting by its dotted name, those of a list, or none where it is not given."""
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def without_retired(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return saved settings without those that mean nothing now."""
    return {
        name: {key: value[key] for key in value if key not in RETIRED.get(name, ())}
        if isinstance(value, Mapping)
        else value
        for name, value in saved.items()
        if name != "with_curvature"
    }
