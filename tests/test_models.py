"""Every way to name a model, and what each mistake is answered with."""

import re
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from boundary.errors import InputError
from boundary.images import open_images
from boundary.models import LoadedModel, Normalised, load_model
from boundary.weights import state_sha256
from testbed import CIFAR10, MODELS, needs_testbed


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def write(folder: Path, name: str, code: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(textwrap.dedent(code))
    return file


@pytest.fixture
def linear_file(tmp_path: Path) -> Path:
    return write(
        tmp_path,
        "nets.py",
        """
        from torch import nn

        def linear():
            return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))

        def linear_in_eval():
            return linear().eval()

        def text():
            return "a network"

        def broken():
            raise RuntimeError("no weights here")

        def needs_an_argument(width):
            return linear()

        number = 3
        network = linear()
        """,
    )


def same_layout() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))


def test_a_file_and_its_factory(linear_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(linear_file.parent)
    loaded = load_model("nets.py:linear")
    assert loaded.name == "nets.py:linear"
    assert loaded.spec == f"{linear_file}:linear"
    assert loaded.image_shape is None
    assert loaded.class_names is None
    assert loaded.module(torch.zeros(2, 1, 2, 2)).shape == (2, 3)
    assert load_model(loaded.spec).sha256 == loaded.sha256


def test_a_users_module_keeps_its_mode(linear_file: Path) -> None:
    assert load_model(f"{linear_file}:linear").module.training
    assert not load_model(f"{linear_file}:linear_in_eval").module.training


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("text", "`text()` of .* should return a torch.nn.Module. Found a str"),
        ("broken", "`broken()` of .* failed at line \\d+: RuntimeError: no weights here"),
        ("needs_an_argument", "`needs_an_argument()` of .* failed: TypeError: .*'width'"),
        ("number", "`number` of .* should be a function .* Found an int"),
        ("network", "`network` of .* should be a function .* Found a Sequential"),
        ("linera", "has no `linera`. Found `linear`, .*did you mean `linear`"),
    ],
)
def test_what_is_no_factory_is_named(linear_file: Path, factory: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("()", r"\(\)")):
        load_model(f"{linear_file}:{factory}")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def f(:", "could not be loaded: SyntaxError"),
        (
            "import nowhere_to_be_found",
            "at line 1: ModuleNotFoundError.*nowhere",
        ),
        ("raise SystemExit(2)", "could not be loaded at line 1: SystemExit: 2"),
    ],
)
def test_a_file_that_fails_is_named(tmp_path: Path, code: str, message: str) -> None:
    file = write(tmp_path, "bad.py", code)
    with pytest.raises(InputError, match=message):
        load_model(f"{file}:f")


@pytest.mark.parametrize("spec", ["resnet20", "", ":", ":make"])
def test_a_text_that_names_no_model(spec: str) -> None:
    with pytest.raises(InputError, match=r"does not name a model; use digits, .*FILE.py:factory"):
        load_model(spec)


def test_a_file_without_a_factory_is_answered_with_its_own(tmp_path: Path) -> None:
    code = """
        raise SystemExit("run")
        class Net: ...
        def _hidden(): ...
        def load(path): ...
        def keyword(*, path): ...
        def make(width=8, *, depth=2): ...
        """
    file = write(tmp_path, "net.py", code)
    for spec in (f"{file}", f"{file}:"):
        with pytest.raises(InputError) as refused:
            load_model(spec)
        assert str(refused.value) == (
            f"`{file}` names no function that returns a torch.nn.Module; "
            f"did you mean `{file}:make` or `{file}:Net`?"
        )
    file = write(tmp_path, "broken.py", "def make(:")
    with pytest.raises(InputError, match=r"write `.*broken.py:factory`\."):
        load_model(str(file))
    with pytest.raises(InputError, match=r"nett.py does not exist; did you mean `net.py`\?"):
        load_model(str(tmp_path / "nett.py"))


def test_weights_that_a_factory_loads_in_vain_are_named(tmp_path: Path) -> None:
    code = """
        from torch import nn
        def load(net, state):
            net.load_state_dict(state)
        def make():
            net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3))
            load(net, {**nn.Linear(2, 4).state_dict(prefix="0."), "head": nn.Linear(1, 1).weight})
        def tell():
            raise ValueError("\\n".join(f"{line} " + 300 * "x" for line in range(20)))
        """
    file = write(tmp_path, "net.py", code)
    with pytest.raises(InputError) as refused:
        load_model(f"{file}:make")
    said = str(refused.value)
    assert f"`make()` of {file} failed at line 4: RuntimeError: Error(s) in loading" in said
    assert 'Missing key(s) in state_dict: "1.weight", "1.bias"' in said
    assert 'Unexpected key(s) in state_dict: "head"' in said
    with pytest.raises(
        InputError, match=r"0 x{238} \.\.\. 1 x.* 7 x.* \(12 lines more\)\."
    ) as refused:
        load_model(f"{file}:tell")


def test_a_missing_file_is_answered_with_its_neighbours(linear_file: Path) -> None:
    with pytest.raises(InputError, match=r"net.py does not exist; did you mean `nets.py`\?"):
        load_model(f"{linear_file.parent}/net.py:linear")


def test_siblings_are_importable_and_not_confused_between_folders(tmp_path: Path) -> None:
    path = list(sys.path)
    for width in (2, 3):
        folder = tmp_path / f"width{width}"
        write(folder, "sizes.py", f"CLASSES = {width}")
        write(
            folder,
            "model.py",
            """
            from torch import nn
            from sizes import CLASSES

            def make():
                return nn.Linear(1, CLASSES)
            """,
        )
        assert load_model(f"{folder}/model.py:make").module(torch.zeros(1, 1)).shape == (1, width)
    assert sys.path == path
    assert "sizes" not in sys.modules


def test_packages_installed_below_the_folder_are_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "env", "installed_for_test.py", "")
    write(tmp_path / "parts_for_test", "__init__.py", "")
    write(tmp_path / "parts_for_test", "head.py", "from torch.nn import Identity as make")
    code = "import installed_for_test\nfrom parts_for_test.head import make"
    file = write(tmp_path, "model.py", code)
    monkeypatch.syspath_prepend(str(tmp_path / "env"))
    load_model(f"{file}:make")
    assert "installed_for_test" in sys.modules
    assert not {"parts_for_test", "parts_for_test.head"} & set(sys.modules)


def test_a_package_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "zoo_for_test", "__init__.py", "")
    write(
        tmp_path / "zoo_for_test",
        "small.py",
        "from torch import nn\ndef make():\n    return nn.Identity()",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = load_model("zoo_for_test.small:make")
    assert (loaded.name, loaded.spec) == ("zoo_for_test.small:make",) * 2
    with pytest.raises(InputError, match=r"`zoo_for_test.large` could not be imported"):
        load_model("zoo_for_test.large:make")


def test_loading_leaves_torch_as_it_was(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "rude.py",
        """
        import torch

        def make():
            torch.manual_seed(5)
            torch.set_default_dtype(torch.float64)
            return torch.nn.Linear(2, 2)

        def fail():
            make()
            raise ValueError("too late")
        """,
    )
    torch.manual_seed(11)
    state = torch.get_rng_state()
    load_model(f"{file}:make")
    load_model("digits", weights="random")
    with pytest.raises(InputError):
        load_model(f"{file}:fail")
    assert torch.get_default_dtype() is torch.float32
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_weights_from_a_file(linear_file: Path, suffix: str) -> None:
    wanted = same_layout()
    file = linear_file.with_suffix(suffix)
    if suffix == ".safetensors":
        save_file(wanted.state_dict(), file)
    else:
        torch.save(wanted.state_dict(), file)
    loaded = load_model(f"{linear_file}:linear", weights=str(file))
    assert loaded.sha256 == state_sha256(wanted)
    assert loaded.sha256 != load_model(f"{linear_file}:linear").sha256


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
def test_weights_in_a_training_checkpoint(linear_file: Path, wrapper: str) -> None:
    wanted, file = same_layout(), linear_file.with_suffix(".pt")
    torch.save({"epoch": 3, wrapper: wanted.state_dict()}, file)
    loaded = load_model(f"{linear_file}:linear", weights=str(file))
    assert loaded.sha256 == state_sha256(wanted)


def test_weights_that_do_not_fit_are_counted_and_named(linear_file: Path) -> None:
    file = linear_file.with_suffix(".safetensors")
    save_file({"1.weight": torch.zeros(5, 4), "a": torch.zeros(1), "b": torch.zeros(1)}, file)
    with pytest.raises(InputError) as caught:
        load_model(f"{linear_file}:linear", weights=str(file))
    message = str(caught.value)
    assert "its 2 entries and the file's 3" in message
    assert "1 missing (first 1.bias)" in message
    assert "2 unexpected (first a)" in message
    assert "1 of another shape (first 1.weight: (3, 4) wanted, (5, 4) found)" in message


class Payload:
    """Pickled, it would run code when loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("the checkpoint ran code",))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused(
    linear_file: Path, zipped: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    file = linear_file.with_suffix(".pt")
    torch.save({"state_dict": Payload()}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"would run code when loaded .* it names .*print"):
        load_model(f"{linear_file}:linear", weights=str(file))
    assert "ran code" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pt", b"not a checkpoint", "is not a checkpoint"),
        ("w.pt", b"", "is not a checkpoint"),
        ("w.safetensors", b"\xff" * 16, "is not a safetensors file"),
        ("w.txt", b"1 2 3", "should be a .safetensors, .pt or .pth file, or the word `random`"),
    ],
)
def test_weights_that_cannot_be_read(
    linear_file: Path, name: str, content: bytes, message: str
) -> None:
    file = linear_file.parent / name
    file.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(message)):
        load_model(f"{linear_file}:linear", weights=str(file))


def test_weights_that_hold_no_state_dict(linear_file: Path) -> None:
    file = linear_file.with_suffix(".pt")
    torch.save([torch.zeros(1)], file)
    with pytest.raises(InputError, match=r"should hold a state dict.*Found a list"):
        load_model(f"{linear_file}:linear", weights=str(file))


def test_missing_weights_are_answered_with_their_neighbours(linear_file: Path) -> None:
    save_file(same_layout().state_dict(), linear_file.with_suffix(".safetensors"))
    with pytest.raises(InputError, match=r"did you mean `nets.safetensors`"):
        load_model(f"{linear_file}:linear", weights=f"{linear_file.parent}/net.safetensors")


def test_random_weights_are_not_a_factorys(linear_file: Path) -> None:
    with pytest.raises(InputError, match="name a factory that returns the untrained network"):
        load_model(f"{linear_file}:linear", weights="random")


def test_random_digits_are_the_same_every_time_and_untrained() -> None:
    first = load_model("digits", weights="random")
    torch.manual_seed(12)
    second = load_model("digits", weights="random")
    assert first.sha256 == second.sha256
    assert first.image_shape == (1, 8, 8)
    assert first.class_names == tuple("0123456789")
    source = open_images("digits")
    batch = source.read(range(200))
    accuracy = (first.module(batch.images).argmax(1) == batch.labels).float().mean()
    assert accuracy < 0.5


def test_a_device_that_does_not_exist(linear_file: Path) -> None:
    with pytest.raises(InputError, match="could not be put on the device `abacus`"):
        load_model(f"{linear_file}:linear", device="abacus")


@pytest.mark.parametrize(
    ("spec", "module", "extra"),
    [
        ("timm:resnet18", "timm", "timm"),
        ("torchvision:resnet18", "torchvision", "torchvision"),
        ("hf:some/model", "transformers", "hf"),
    ],
)
def test_a_missing_extra_is_named(
    spec: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=re.escape(f"pip install 'boundary-geometry[{extra}]'")):
        load_model(spec)


def test_the_hash_sees_names_dtypes_shapes_and_bytes() -> None:
    class Holder(nn.Module):
        def __init__(self, name: str, value: Tensor) -> None:
            super().__init__()
            self.register_buffer(name, value)

    modules = [
        Holder("a", torch.zeros(4)),
        Holder("b", torch.zeros(4)),
        Holder("a", torch.zeros(2, 2)),
        Holder("a", torch.zeros(4, dtype=torch.int32)),
        Holder("a", torch.tensor([0.0, 0.0, 0.0, 1e-45])),
        Holder("a", torch.zeros(4, dtype=torch.bfloat16)),
        Holder("a", torch.tensor(0.0)),
        Holder("a", torch.zeros(0)),
    ]
    assert len({state_sha256(module) for module in modules}) == len(modules)
    strided = Holder("a", torch.zeros(8)[::2])
    assert state_sha256(strided) == state_sha256(modules[0])


def test_normalisation_happens_inside_and_outputs_are_unwrapped() -> None:
    class Output:
        def __init__(self, logits: Tensor) -> None:
            self.logits = logits

    class Wrapping(nn.Module):
        def forward(self, images: Tensor) -> Output:
            return Output(images.flatten(1))

    module = Normalised(Wrapping(), mean=[0.5, 0.25], std=[0.5, 0.25])
    logits = module(torch.tensor([1.0, 1.0]).view(1, 2, 1, 1))
    assert torch.equal(logits, torch.tensor([[1.0, 3.0]]))


def assert_normalises_inside(loaded: LoadedModel) -> None:
    module = loaded.module
    assert isinstance(module, Normalised)
    assert not module.training
    assert loaded.image_shape is not None
    images = torch.rand(1, *loaded.image_shape)
    with torch.no_grad():
        outside = module.network((images - module.mean) / module.std)
        outside = getattr(outside, "logits", outside)
        torch.testing.assert_close(module(images), outside)


def importable(name: str) -> None:
    """Skip where an extra is absent, or built for another torch."""
    try:
        pytest.importorskip(name)
    except RuntimeError as error:
        pytest.skip(f"{name} does not import: {error}")


@pytest.mark.filterwarnings("default")
def test_timm_with_random_weights() -> None:
    importable("timm")
    loaded = load_model("timm:resnet18", weights="random")
    assert loaded.image_shape == (3, 224, 224)
    assert loaded.sha256 == load_model("timm:resnet18", weights="random").sha256
    assert_normalises_inside(loaded)
    with pytest.raises(InputError, match="timm has no model `resnet81`; did you mean `resnet18`"):
        load_model("timm:resnet81", weights="random")


@pytest.mark.filterwarnings("default")
def test_torchvision_with_random_weights() -> None:
    importable("torchvision")
    loaded = load_model("torchvision:resnet18", weights="random")
    assert loaded.image_shape == (3, 224, 224)
    assert loaded.class_names is not None
    assert loaded.class_names[0] == "tench"
    assert_normalises_inside(loaded)
    with pytest.raises(InputError, match="torchvision has no classifier `resnet81`; did you mean"):
        load_model("torchvision:resnet81", weights="random")


@pytest.mark.filterwarnings("default")
def test_hugging_face_from_a_folder(tmp_path: Path) -> None:
    importable("transformers")
    import transformers

    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
        id2label={0: "cat", 1: "dog", 2: "emu"},
    )
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="transformers could not load"):
        load_model(f"hf:{tmp_path}")
    (tmp_path / "preprocessor_config.json").write_text(
        '{"do_normalize": true, "do_rescale": true, "rescale_factor": 0.00392156862745098,'
        ' "image_mean": [0.5, 0.4, 0.3], "image_std": [0.25, 0.5, 1.0],'
        ' "size": {"height": 32, "width": 32}}'
    )
    loaded = load_model(f"hf:{tmp_path}")
    assert loaded.image_shape == (3, 32, 32)
    assert loaded.class_names == ("cat", "dog", "emu")
    assert loaded.spec == f"hf:{tmp_path.resolve()}"
    assert loaded.name == tmp_path.name
    assert loaded.sha256 != load_model(f"hf:{tmp_path}", weights="random").sha256
    assert isinstance(loaded.module, Normalised)
    assert loaded.module.mean.flatten().tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert_normalises_inside(loaded)


@needs_testbed
def test_a_real_network_reads_real_images() -> None:
    loaded = load_model(f"{MODELS}:resnet20")
    source = open_images(CIFAR10)
    batch = source.read(range(0, len(source), len(source) // 200))
    with torch.no_grad():
        accuracy = (loaded.module(batch.images).argmax(1) == batch.labels).float().mean()
    assert len(batch.labels) == 200
    assert accuracy > 0.7
