"""CelebA and ImageNet on tiny archives."""

import io
import os
import time
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_files import write_pictures

import datamodules
from datamodules import pictures
from datamodules.files import DataError, cache


def training(data):
    """A data module as it is while training."""
    data.trainer = SimpleNamespace(training=True)
    return data


def test_pixels_are_those_of_the_files(data_root):
    data = datamodules.CelebA(archive="celeba-faces-128.zip", image_size=24)
    found = data.split("test")
    with zipfile.ZipFile(data_root / "celeba-faces-128.zip") as z:
        for image, name in zip(found.images, sorted(z.namelist())[::10], strict=True):  # of every ten the first tests
            with Image.open(io.BytesIO(z.read(name))) as face:
                expected = np.asarray(face.convert("RGB").resize((24, 24), Image.Resampling.BILINEAR)).transpose(
                    2, 0, 1
                )
            assert (
                np.abs(expected.astype(int) - image.numpy()).mean() < 3
            )  # but for what the JPEG decoder scales itself


def test_imagenet_keeps_the_middle_and_crops_at_random_in_training(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = 255  # the middle square is white
    for i in range(20):
        (tmp_path / "set" / "n0").mkdir(parents=True, exist_ok=True)
        Image.fromarray(wide).save(tmp_path / "set" / "n0" / f"{i}.png")
    data = datamodules.ImageNet(root=str(tmp_path), archive="set", image_size=16)
    assert data.split("test").images.min() > 200
    uncropped = datamodules.ImageNet(root=str(tmp_path), archive="set", image_size=16, crops=False)
    assert uncropped.split("train").images.shape[2:] == (16, 16)
    train = data.split("train").images
    assert train.shape[2:] == (20, 20)  # a quarter larger
    train[:] = (torch.arange(20) * 10)[None, None, None, :].to(torch.uint8)
    ready = [training(data).on_after_batch_transfer((train[:2], torch.zeros(2)), 0)["image"] for _ in range(30)]
    assert all(r.shape == (2, 3, 16, 16) for r in ready)
    assert len({r[0, 0, 0].sum().item() for r in ready}) > 2  # places
    assert {bool(r[0, 0, 0, 0] < r[0, 0, 0, -1]) for r in ready} == {True, False}  # and mirrored


def test_no_flip_without_asking_and_none_in_testing(data_root):
    for flip, is_training in ((False, True), (True, False)):
        data = datamodules.CelebA(image_size=16, flip=flip)
        data.trainer = SimpleNamespace(training=is_training)
        images = data.split("train").images[:4]
        for _ in range(8):
            assert torch.equal(data.on_after_batch_transfer((images, torch.zeros(4)), 0)["image"], images.float() / 255)


def test_large_sets_are_split_as_in_the_paper(monkeypatch):
    names = [f"{i:06}.jpg" for i in range(30_000)]
    parts = {s: datamodules.CelebA().choose(names, s) for s in ("train", "val", "test")}
    assert (parts["test"], parts["val"], parts["train"]) == (names[:2000], names[2000:2500], names[2500:])
    data = datamodules.ImageNet(subset=25_000, seed=3)
    parts = {s: data.choose(names, s) for s in ("train", "val", "test")}
    assert [len(parts[s]) for s in ("test", "val", "train")] == [2000, 500, 22_500]
    assert len(set().union(*map(set, parts.values()))) == 25_000
    assert parts["test"] == datamodules.ImageNet(subset=25_000, seed=3).choose(names, "test")
    assert parts["test"] != datamodules.ImageNet(subset=25_000, seed=4).choose(names, "test")


def test_the_official_partition(data_root):
    with pytest.raises(ValueError, match="paper and official"):
        datamodules.CelebA(part="small")
    counts = [len(datamodules.CelebA(part="official", image_size=16).split(s)) for s in ("train", "val", "test")]
    assert counts == [10, 10, 10]
    assert set(datamodules.CelebA(part="official").files()) == {"list_eval_partition.txt"}  # the archive is there
    (data_root / "celeba" / "list_eval_partition.txt").write_text("<html>quota exceeded</html> and more\n")
    with pytest.raises(DataError, match="is not CelebA's list"):
        datamodules.CelebA(part="official", image_size=16).split("test")


def test_what_is_missing_is_fetched_only_for_the_official_archive(tmp_path):
    assert "img_align_celeba.zip" in datamodules.CelebA(root=str(tmp_path)).files()
    assert not datamodules.CelebA(root=str(tmp_path), archive="mine.zip").files()
    assert not list(datamodules.ImageNet(root=str(tmp_path)).files())


def test_pictures_are_decoded_once(data_root, monkeypatch):
    data = datamodules.CelebA(image_size=16)
    first = data.split("test").images.clone()
    (made,) = (cache() / "decoded").glob("*.npy")
    monkeypatch.setattr(pictures.Archive, "decode", lambda *args: pytest.fail("decoded again"))
    assert torch.equal(data.split("test").images, first)
    monkeypatch.undo()
    os.environ["XDG_CACHE_HOME"] = str(made.parent.parent.parent)
    later = time.time() + 10
    os.utime(data_root / "celeba" / "img_align_celeba.zip", (later, later))  # a changed archive is decoded anew
    datamodules.CelebA(root=str(data_root), image_size=16).split("test")
    assert len(list((cache() / "decoded").glob("*.npy"))) == 2


def test_a_failure_leaves_nothing_in_the_cache(data_root):
    path = write_pictures(data_root / "bad.zip", [f"{i}.jpg" for i in range(12)])
    with zipfile.ZipFile(path, "a") as z:
        z.writestr("!.jpg", b"\xff\xd8 half a picture")
    with pytest.raises(DataError, match=r"bad.zip: !.jpg is not an image that Pillow can read"):
        datamodules.CelebA(archive="bad.zip", image_size=16).split("test")
    assert not list((cache() / "decoded").iterdir())


def test_bad_archives(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "html.zip").write_text("<html>Quota exceeded</html>")
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as z:
        z.writestr("readme.txt", "no pictures")
    huge = io.BytesIO()
    Image.new("1", (11000, 10000)).save(huge, "PNG")
    with zipfile.ZipFile(tmp_path / "huge.zip", "w") as z:
        z.writestr("huge.png", huge.getvalue())
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("bomb.jpg", b"\0" * (65 << 20))
    for name, message in {
        "html.zip": "is not a whole .zip",
        "nowhere.zip": "expected a folder or a .zip of images there",
        "empty": "holds no image",
        "text.zip": "holds no image",
        "huge.zip": "11000×10000 pixels",
        "bomb.zip": "claims 68157440 bytes",
    }.items():
        with pytest.raises(DataError, match=message) as e:
            datamodules.ImageNet(root=str(tmp_path), archive=name, image_size=16).split("test")
        assert name in str(e.value)
    with pytest.raises(ValueError, match="subset is 0"):
        datamodules.ImageNet(subset=0)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("cls", "archive", "counts"),
    [("CelebA", "celeba-faces-128.zip", [14_500, 500, 2000]), ("ImageNet", "imagenet-sample.zip", [720, 90, 90])],
)
def test_the_real_ones(cls, archive, counts):
    data = getattr(datamodules, cls)(archive=archive, image_size=32)
    assert [len(data.split(s)) for s in ("train", "val", "test")] == counts
    assert 60 < data.split("test").images.float().mean() < 190
