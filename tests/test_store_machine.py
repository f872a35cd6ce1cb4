"""A store under appends, crashes, repairs and reopenings in any order, against a model of it."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from boundary import BoundaryPoints, Classifier, ImageBatch, NormalsStore, nearest_boundary_points
from boundary.files import TEMPORARY
from boundary.manifest import manifest_of, manifests
from boundary.verify import examine_store, repair_store
from surfaces import linear, random_images

COUNT = 24
IMAGES = random_images(COUNT, (1, 2, 2)).float()
POINTS = nearest_boundary_points(Classifier(linear(3, 4).float()), IMAGES)


def part(start: int, stop: int) -> tuple[ImageBatch, BoundaryPoints]:
    """Return some of the images, and their boundary points."""
    places = torch.arange(start, stop)
    batch = ImageBatch(
        images=IMAGES[start:stop],
        positions=places,
        ids=tuple(f"image {place}" for place in range(start, stop)),
        labels=torch.full((stop - start,), -1),
        unreadable=(),
    )
    return batch, BoundaryPoints(*(column[start:stop] for column in vars(POINTS).values()))


class StoreMachine(RuleBasedStateMachine):
    """The model: which stretches of images are acknowledged."""

    @initialize()
    def begin(self) -> None:
        self.work = Path(tempfile.mkdtemp())
        self.store = NormalsStore.create(self.work / "n", (1, 2, 2), {})
        self.acknowledged: dict[int, int] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)

    @property
    def free(self) -> list[int]:
        covered = {place for a, b in self.acknowledged.items() for place in range(a, b)}
        return [place for place in range(COUNT) if place not in covered]

    def stretch(self, data: st.DataObject) -> tuple[int, int]:
        """Draw a stretch of images that no shard covers."""
        start = data.draw(st.sampled_from(self.free))
        longest = next((n for n in range(1, 6) if start + n not in self.free), 5)
        return start, start + data.draw(st.integers(1, longest))

    @precondition(lambda self: self.free)
    @rule(data=st.data(), rank=st.integers(0, 2))
    def append(self, data: st.DataObject, rank: int) -> None:
        start, stop = self.stretch(data)
        self.store.append(start, stop, *part(start, stop), rank)
        self.acknowledged[start] = stop

    @precondition(lambda self: self.free)
    @rule(data=st.data(), rank=st.integers(0, 2), cut=st.integers(1, 60), whole=st.booleans())
    def crash_in_append(self, data: st.DataObject, rank: int, cut: int, whole: bool) -> None:
        """Leave a shard, whole or under its temporary name, and a torn line of a manifest."""
        start, stop = self.stretch(data)
        manifest = self.store.directory / manifest_of(rank)
        before = manifest.read_bytes() if manifest.exists() else b""
        self.store.append(start, stop, *part(start, stop), rank)
        if whole:
            manifest.write_bytes(manifest.read_bytes()[: len(before) + cut])
        else:
            manifest.write_bytes(before)
            shard = self.store.directory / f"shard-{start:08d}.h5"
            shard.rename(shard.with_name(f"{shard.name}.1{TEMPORARY}"))
        self.reopen()

    @rule()
    def reopen(self) -> None:
        """Go on as the same command does."""
        self.store = NormalsStore.open(self.work / "n")
        self.store.clean()
        self.store.verify()

    @precondition(lambda self: self.acknowledged)
    @rule(data=st.data(), place=st.integers(0, 10**6))
    def damage_and_repair(self, data: st.DataObject, place: int) -> None:
        start = data.draw(st.sampled_from(sorted(self.acknowledged)))
        shard = self.store.directory / f"shard-{start:08d}.h5"
        content = bytearray(shard.read_bytes())
        content[place % len(content)] ^= 1
        shard.write_bytes(content)
        state = examine_store(self.store.directory)
        assert len(state.faults) == 1
        assert shard.name in state.faults[0]
        repair_store(self.store.directory)
        del self.acknowledged[start]
        self.reopen()

    @precondition(lambda self: self.acknowledged)
    @rule(data=st.data())
    def lose_and_repair(self, data: st.DataObject) -> None:
        start = data.draw(st.sampled_from(sorted(self.acknowledged)))
        (self.store.directory / f"shard-{start:08d}.h5").unlink()
        repair_store(self.store.directory)
        del self.acknowledged[start]
        self.reopen()

    @invariant()
    def what_was_acknowledged_is_there(self) -> None:
        store = NormalsStore.open(self.store.directory)
        expected = [p for a, b in sorted(self.acknowledged.items()) for p in range(a, b)]
        assert store.ids == [f"image {place}" for place in expected]
        assert store.covered == len(expected)
        if expected:
            np.testing.assert_array_equal(store.column("margin"), POINTS.margin.numpy()[expected])
            np.testing.assert_array_equal(
                np.asarray(store.normals()),
                POINTS.normal.flatten(1).numpy()[expected],
            )

    @invariant()
    def only_the_first_manifest_has_a_header(self) -> None:
        for manifest in manifests(self.store.directory)[1:]:
            assert b'"settings"' not in manifest.read_bytes()


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
