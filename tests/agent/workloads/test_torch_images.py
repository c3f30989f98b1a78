from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.agent.datasets import training_set
from harness.agent.datasets.images import Encoder
from harness.agent.datasets.kept import kept
from harness.agent.datasets.stored import DataSetError, write_files
from harness.agent.messages import Location
from harness.agent.task import Context, Unavailable, find
from harness.agent.workloads import torch_images
from harness.agent.workloads.upstream import IMAGENET_CLASSES
from tests.agent.workloads.conftest import MakeContext


@pytest.fixture
def context(make_context: MakeContext, tmp_path: Path) -> Context:
    made = make_context("torch_cnn.lenet", params={"real_data": True, "images": 3})
    return replace(made, spec=replace(made.spec, locations=(Location(name="disk", path=str(tmp_path)),)))


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fakes in place of torch's DataLoader, Pillow and the process that makes the set; the files are real."""

    class Loaded:
        def __init__(self, _torch: Any, _context: Context, paths: list[Path], *_: object) -> None:  # noqa: ANN401
            self.paths = paths

        def close(self) -> None:
            """There are no workers."""

    monkeypatch.setattr(torch_images, "Loaded", Loaded)
    monkeypatch.setattr(torch_images, "_loader", lambda _torch, _context, stored, _labels, _side: stored.paths)
    encoder = Encoder(name="fake", encode=lambda pixels, _quality: bytes(pixels[0]))
    monkeypatch.setattr(torch_images, "pillow_encoder", lambda: encoder)
    monkeypatch.setitem(sys.modules, "PIL.Image", SimpleNamespace(preinit=lambda: None))
    monkeypatch.setattr(training_set, "in_memory", lambda _folder: False)
    monkeypatch.setattr(training_set, "_make", lambda place, form, images: kept(place, form, images, write_files))


@pytest.mark.usefixtures("fakes")
def test_the_set_is_made_once(context: Context) -> None:
    with torch_images.supplied(None, context, 28, IMAGENET_CLASSES) as images:
        paths: list[Path] = images.paths  # type: ignore[attr-defined]  # the fake's
        made = [path.stat().st_mtime_ns for path in paths]
    with torch_images.supplied(None, context, 28, IMAGENET_CLASSES) as again:
        assert again.paths == paths  # type: ignore[attr-defined]  # likewise
    assert [path.stat().st_mtime_ns for path in paths] == made
    assert len(paths) == 3


@pytest.mark.usefixtures("fakes")
def test_a_set_that_was_changed_meanwhile_is_named(context: Context) -> None:
    def train() -> None:
        with torch_images.supplied(None, context, 28, IMAGENET_CLASSES) as images:
            images.paths[1].write_bytes(b"cut")  # type: ignore[attr-defined]  # the fake's
            raise OSError("image file is truncated")

    with pytest.raises(DataSetError, match=r"000001\.jpg has 3 of its 1500 bytes"):
        train()


@pytest.mark.usefixtures("fakes")
def test_what_fails_for_another_reason_keeps_it(context: Context) -> None:
    def train() -> None:
        with torch_images.supplied(None, context, 28, IMAGENET_CLASSES):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        train()


def test_data_need_a_location(make_context: MakeContext) -> None:
    with pytest.raises(Unavailable, match="no location"):
        torch_images.check(make_context("torch_cnn.lenet", params={"real_data": True}))


def test_data_need_a_decoder(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_images, "find_spec", lambda name: None if name == "PIL" else object())
    with pytest.raises(Unavailable, match="no pillow"):
        torch_images.check(context)


def test_the_number_of_workers_may_be_none() -> None:
    task = find("torch_cnn.lenet")
    assert task is not None
    assert task.refusal("workers", 0) == ""
    assert task.refusal("workers", -1) != ""
