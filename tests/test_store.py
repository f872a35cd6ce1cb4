import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from boundary import (
    Classifier,
    ImageBatch,
    ImageSource,
    InputError,
    NormalsStore,
    Status,
    StoreError,
    collect_normals,
    nearest_boundary_points,
    open_images,
)
from boundary import collect as collecting
from boundary import store as stores
from boundary.images import Unreadable
from boundary.manifest import MANIFEST
from sources import array_source
from surfaces import linear, random_images


@pytest.fixture
def source(tmp_path: Path) -> ImageSource:
    return array_source(tmp_path, 50)


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(linear(3, 4).float())


def test_what_is_collected_is_what_the_search_finds(
    source: ImageSource, classifier: Classifier, tmp_path: Path
) -> None:
    positions = [7, 3, 20, 21, 49]
    store = collect_normals(classifier, source, tmp_path / "n", positions=positions, batch_size=2)
    images = source.read(positions).images
    found = nearest_boundary_points(classifier, images)
    assert store.ids == [source.ids[place] for place in positions]
    np.testing.assert_allclose(store.column("margin"), found.margin.numpy(), rtol=1e-5)
    np.testing.assert_allclose(store.normals()[0:5], found.normal.flatten(1).numpy(), atol=1e-6)
    assert store.normals().shape == (5, 4)
    assert [shard.rows for shard in store.shards] == [2, 2, 1]
    reopened = NormalsStore.open(tmp_path / "n")
    reopened.verify()
    assert reopened.ids == store.ids
    assert (reopened.column("position") == positions).all()


def test_an_interrupted_collection_goes_on_where_it_stopped(
    source: ImageSource,
    classifier: Classifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = collect_normals(classifier, source, tmp_path / "whole", batch_size=8)
    calls = 0

    def interrupted(*args: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return nearest_boundary_points(*args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(collecting, "nearest_boundary_points", interrupted)
        patch.setattr(collecting, "collection_settings", lambda *_: whole.settings)
        with pytest.raises(KeyboardInterrupt):
            collect_normals(classifier, source, tmp_path / "part", batch_size=8)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "part").glob("*.h5")}
    assert len(kept) == 3

    resumed = collect_normals(classifier, source, tmp_path / "part", batch_size=5)
    for name, content in kept.items():
        assert (tmp_path / "part" / name).read_bytes() == content
    assert resumed.ids == whole.ids
    assert len(resumed) == 50
    np.testing.assert_allclose(resumed.normals()[0:50], whole.normals()[0:50], atol=1e-6)
    assert (resumed.column("status") == whole.column("status")).all()


def test_what_a_killed_run_leaves_is_removed(
    source: ImageSource, classifier: Classifier, tmp_path: Path
) -> None:
    folder = tmp_path / "n"
    whole = collect_normals(classifier, source, folder, batch_size=10)
    lines = (folder / MANIFEST).read_text().splitlines(keepends=True)
    # Killed while the line of the last shard was written, and while a next one was.
    (folder / MANIFEST).write_text("".join(lines[:-1]) + lines[-1][:25])
    (folder / "shard-00000050.h5.tmp").write_bytes(b"half a shard")
    assert len(NormalsStore.open(folder)) == 40
    resumed = collect_normals(classifier, source, folder, batch_size=10)
    assert resumed.ids == whole.ids
    assert not list(folder.glob("*.tmp"))
    assert (folder / MANIFEST).read_text().splitlines(keepends=True)[:-1] == lines[:-1]


def test_other_settings_are_refused_with_the_difference(
    source: ImageSource, classifier: Classifier, tmp_path: Path
) -> None:
    folder = tmp_path / "n"
    collect_normals(classifier, source, folder, positions=range(10))
    with pytest.raises(StoreError, match=r"search\.max_gradients was 40, is 5"):
        collect_normals(classifier, source, folder, positions=range(10), max_gradients=5)
    with pytest.raises(StoreError, match="count was 10, is 11"):
        collect_normals(classifier, source, folder, positions=range(11))
    with pytest.raises(StoreError, match="model was"):
        collect_normals(
            Classifier(linear(3, 4, seed=1).float()), source, folder, positions=range(10)
        )
    with pytest.raises(InputError, match="`max_stepz` is no option of collecting"):
        collect_normals(classifier, source, folder, max_stepz=5)
    with pytest.raises(InputError, match=r"`batch_size`.*Found 0"):
        collect_normals(classifier, source, folder, batch_size=0)


def as_an_earlier_version_wrote_it(folder: Path) -> None:
    """Before the gradients were bounded, steps were."""
    header, *lines = (folder / MANIFEST).read_text().splitlines()
    old = json.loads(header)
    old["settings"]["search"] = {
        "candidates": 10,
        "max_steps": 30,
        "residual_tol": 1e-4,
        "alignment_tol": 0.999,
        "max_margin": None,
    }
    (folder / MANIFEST).write_text("\n".join([json.dumps(old), *lines, ""]))


def test_what_an_earlier_version_collected_still_loads(
    source: ImageSource, classifier: Classifier, tmp_path: Path
) -> None:
    folder = tmp_path / "n"
    new = collect_normals(classifier, source, folder, positions=range(20), batch_size=10)
    normals = new.normals()[:]
    as_an_earlier_version_wrote_it(folder)
    old = collect_normals(classifier, source, folder, positions=range(20))
    assert (old.normals()[:] == normals).all()
    with pytest.raises(StoreError, match=r"search\.max_gradients was 40, is 60"):
        collect_normals(classifier, source, folder, positions=range(20), max_gradients=60)
    lines = (folder / MANIFEST).read_text().splitlines(keepends=True)
    (folder / MANIFEST).write_text("".join(lines[:-1]))
    with pytest.raises(StoreError, match="earlier version, whose search is gone"):
        collect_normals(classifier, source, folder, positions=range(20))
    assert len(NormalsStore.open(folder)) == 10


def test_damage_is_found(source: ImageSource, classifier: Classifier, tmp_path: Path) -> None:
    folder = tmp_path / "n"
    collect_normals(classifier, source, folder, positions=range(20), batch_size=10)
    shard = folder / "shard-00000010.h5"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(StoreError, match=r"shard-00000010.*checksum"):
        collect_normals(classifier, source, folder, positions=range(20))
    shard.write_bytes(content[:-1])
    with pytest.raises(StoreError, match=r"shard-00000010.*bytes"):
        NormalsStore.open(folder)
    shard.unlink()
    with pytest.raises(StoreError, match="missing"):
        NormalsStore.open(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged"),
        ("not json\n", "damaged"),
        ('{"format": "other", "version": 1, "shape": [1], "settings": {}}\n', "Found other 1"),
        ('{"format": "boundary-normals", "version": 9, "shape": [1], "settings": {}}\n', "9"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(StoreError, match=message):
        NormalsStore.open(tmp_path)


def test_shards_of_the_same_images_are_refused(
    source: ImageSource, classifier: Classifier, tmp_path: Path
) -> None:
    collect_normals(classifier, source, tmp_path, batch_size=20)
    manifest = tmp_path / MANIFEST
    manifest.write_text(manifest.read_text() + manifest.read_text().splitlines()[1] + "\n")
    with pytest.raises(StoreError, match="two shards cover the same images"):
        NormalsStore.open(tmp_path)


def test_a_manifest_cannot_name_files_elsewhere(
    source: ImageSource, classifier: Classifier, tmp_path: Path
) -> None:
    folder = tmp_path / "n"
    collect_normals(classifier, source, folder, positions=range(5))
    header, line = (folder / MANIFEST).read_text().splitlines()
    entry = json.loads(line) | {"name": "../shard-00000000.h5"}
    (folder / MANIFEST).write_text(f"{header}\n{json.dumps(entry)}\n")
    with pytest.raises(StoreError, match="`name` of a shard cannot be"):
        NormalsStore.open(folder)


def test_links_out_of_a_shard_are_refused(
    source: ImageSource, classifier: Classifier, tmp_path: Path
) -> None:
    folder = tmp_path / "n"
    store = collect_normals(classifier, source, folder, positions=range(5))
    path = folder / store.shards[0].name
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["margin"] = np.zeros(5)
    with h5py.File(path, "a") as file:
        del file["margin"]
        file["margin"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "margin")
    with pytest.raises(StoreError, match="points elsewhere"):
        store.column("margin")


def test_no_store_and_a_second_store_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no store"):
        NormalsStore.open(tmp_path)
    NormalsStore.create(tmp_path, (1, 2, 2), {})
    with pytest.raises(StoreError, match="holds a store already"):
        NormalsStore.create(tmp_path, (1, 2, 2), {})
    assert len(NormalsStore.open(tmp_path)) == 0


def test_failed_points_stay_but_give_no_normal(tmp_path: Path) -> None:
    images = random_images(6, (1, 2, 2)).float()
    module = linear(2, 4).float()
    module.bias.data[0] += 1e6
    far = nearest_boundary_points(Classifier(module), images)
    near = nearest_boundary_points(Classifier(linear(2, 4).float()), images)
    store = NormalsStore.create(tmp_path / "n", (1, 2, 2), {})
    ids = tuple(f"image {place}" for place in range(6))
    batch = ImageBatch(
        images=images,
        positions=torch.arange(6),
        ids=ids,
        labels=torch.full((6,), -1),
        unreadable=(Unreadable("broken.png", "truncated"),),
    )
    store.append(0, 7, batch, far)
    store.append(7, 13, batch, near)
    assert len(store) == 12
    assert store.normals().shape == (6, 4)
    assert store.on_boundary.tolist() == [False] * 6 + [True] * 6
    assert (store.column("status")[:6] == Status.NOT_FOUND).all()
    assert store.unreadable == [("broken.png", "truncated")] * 2
    np.testing.assert_allclose(store.normals()[0:6], near.normal.flatten(1).numpy())


def test_a_batch_of_unreadable_images_has_no_rows(classifier: Classifier, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    picture = Image.fromarray(np.full((2, 2), 90, np.uint8))
    picture.save(tmp_path / "photos" / "a" / "0.png")
    for name in ("1", "2"):
        (tmp_path / "photos" / "b" / f"{name}.png").write_bytes(b"not a picture")
    photos = open_images(str(tmp_path / "photos"), channels=1)
    store = collect_normals(classifier, photos, tmp_path / "n", batch_size=1)
    assert store.ids == ["a/0.png"]
    assert [name for name, _ in store.unreadable] == ["b/1.png", "b/2.png"]
    assert store.normals().shape == (1, 4)


def test_normals_are_read_by_rows_and_by_columns(
    source: ImageSource, classifier: Classifier, tmp_path: Path
) -> None:
    store = collect_normals(classifier, source, tmp_path / "n", batch_size=7)
    matrix = store.normals()
    whole = matrix[0:50]
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(matrix[:, 1:3], whole[:, 1:3])
    np.testing.assert_array_equal(matrix[5:30], whole[5:30])
    np.testing.assert_array_equal(matrix[48:99], whole[48:])
    places = np.array([40, 3, 17])
    np.testing.assert_array_equal(matrix.subset(places)[0:3], whole[places])
    np.testing.assert_array_equal(matrix.subset(places)[:, 0:2], whole[places, 0:2])
    np.testing.assert_array_equal(np.asarray(matrix.subset(places)), whole[places])
    assert len(matrix.subset(places)) == 3
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, rtol=1e-6)


def test_a_new_store_knows_nothing_of_manifests_that_were_left(
    source: ImageSource, classifier: Classifier, tmp_path: Path
) -> None:
    folder = tmp_path / "n"
    collect_normals(classifier, source, folder, positions=[1, 2, 3], batch_size=1)
    (folder / MANIFEST).rename(folder / "manifest-0001.jsonl")
    store = collect_normals(classifier, source, folder, positions=[5, 6])
    assert len(store) == 2
    assert store.ids == [source.ids[5], source.ids[6]]


def test_shards_beyond_those_that_stay_open_are_read_too(
    source: ImageSource, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = collect_normals(classifier, source, tmp_path / "n", batch_size=7)
    whole = np.asarray(store.normals())
    monkeypatch.setattr(stores, "_kept_open", lambda: 2)
    again = NormalsStore.open(tmp_path / "n").normals()
    np.testing.assert_array_equal(np.concatenate([again[:, :1], again[:, 1:]], axis=1), whole)
    places = np.array([48, 3, 3, 20, 19])
    np.testing.assert_array_equal(again.subset(places)[:], whole[places])
