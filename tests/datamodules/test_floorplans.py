"""Floor plans, prisms, line drawings: what is made here, and pairs of files."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_files import write_plans

import datamodules
import renderers
from datamodules.files import DataError
from datamodules.floorplans import MOST, ROOMS
from datamodules.lines import line_art


def test_a_plan_and_its_rooms_agree():
    data = datamodules.SyntheticFloorPlans(train=40, image_size=64)
    for i in range(40):
        plan, types = data.split("train")[i]
        assert plan.shape == (1, 64, 64)
        kinds = set(types.unique().tolist())
        assert {0, 1} < kinds <= set(range(6))
        inside = types > 0
        assert (plan[0][inside] < 128).float().mean() > 0.05  # walls and furniture


def test_made_sets_follow_from_their_seeds():
    for cls in (datamodules.SyntheticFloorPlans, datamodules.Prisms):
        data = cls(train=20)
        assert [len(data.split(s)) for s in ("train", "val", "test")] == [20, 2, 1000]
        for k in (0, 1):
            assert torch.equal(
                torch.as_tensor(data.split("train")[3][k]), torch.as_tensor(cls(train=20).split("train")[3][k])
            )
        with pytest.raises(ValueError, match="train is 3"):
            cls(train=3)


def test_a_lesson_of_prisms_hides_what_is_left_over():
    data = datamodules.Prisms()
    prisms = torch.rand(4, 3, 9)
    count = torch.tensor([1, 2, 3, 3])
    lesson = data.lesson(prisms, count)
    assert lesson.shape == (4, 8, 9)
    for rows, true, n in zip(lesson, prisms, count.tolist(), strict=True):
        torch.testing.assert_close(rows[:n], true[:n])
        middle = (rows[n - 1, :3] + rows[n - 1, 3:6]) / 2
        torch.testing.assert_close(rows[n:], torch.cat([middle, middle, rows[n - 1, 6:]]).expand(8 - n, 9))


@torch.no_grad()
def test_a_lesson_of_prisms_looks_as_the_scene_does():
    exact = renderers.get("prism")
    data = datamodules.Prisms(most=4, train=80, image_size=32, batch_size=64)
    data.setup("fit")
    prisms, count = next(iter(data.train_dataloader()))
    there = torch.arange(4) < count[:, None]
    torch.testing.assert_close(exact.render(data.lesson(prisms, count), 32), exact.render(prisms, 32, there))


def test_prisms_lie_apart_and_are_what_is_seen():
    data = datamodules.Prisms(train=40, image_size=32, batch_size=8)
    data.setup("fit")
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["prisms"].shape == (8, 3, 9)
    assert set(batch["label"].tolist()) <= {1, 2, 3}
    for image, prisms, count in zip(batch["image"], batch["prisms"], batch["label"].tolist(), strict=True):
        torch.testing.assert_close(image, data.renderer.render(prisms[None, :count], 32)[0])
        for i in range(count):
            for j in range(i):
                assert ((prisms[i, 3:6] < prisms[j, :3]) | (prisms[j, 3:6] < prisms[i, :3])).any()


def test_coloured_mnist_is_grey_and_in_the_colour_of_its_class(data_root):
    data = datamodules.ColoredMNIST(image_size=28, batch_size=24)
    data.setup("test")
    batch = data.on_after_batch_transfer(raw := next(iter(data.test_dataloader())), 0)
    assert batch["palette"].shape == (10, 3)
    for image, target, label in zip(batch["image"], batch["target"], batch["label"].tolist(), strict=True):
        torch.testing.assert_close(target, image * batch["palette"][label][:, None, None])
    inverted = datamodules.ColoredMNIST(image_size=28, invert=True).on_after_batch_transfer(raw, 0)
    torch.testing.assert_close(inverted["target"], batch["target"])


def test_the_boxes_of_a_batch_are_its_target():
    data = datamodules.SyntheticFloorPlans(train=20, image_size=64, batch_size=6)
    data.setup("fit")
    raw = next(iter(data.train_dataloader()))
    assert "strokes" not in data.on_after_batch_transfer(raw, 0)  # for training only
    data.trainer = SimpleNamespace(training=True)
    batch = data.on_after_batch_transfer(raw, 0)
    assert batch["strokes"].shape == (6, MOST, 7)
    drawn = renderers.get("rectangle-lab").render(batch["strokes"], 64)
    torch.testing.assert_close(drawn, batch["target"], atol=0.01, rtol=0)


# --- pairs of files ---


def test_pairs_are_read(tmp_path):
    write_plans(tmp_path)
    data = datamodules.FloorPlans(root=str(tmp_path), image_size=32, batch_size=4)
    data.setup("fit")
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["image"].shape == (4, 1, 32, 32)
    assert batch["target"].shape == (4, 3, 32, 32)
    colours = torch.tensor(list(ROOMS.values())) / 255
    torch.testing.assert_close(batch["target"], colours[batch["label"]].movedim(-1, 1))
    plan, types = data.split("train")[0]
    drawn = Image.open(tmp_path / "plans" / "02.png").convert("L").resize((32, 32), Image.Resampling.BOX)
    np.testing.assert_array_equal(plan[0].numpy(), np.asarray(drawn))
    assert types.unique().tolist() == [0, 1, 3]
    assert batch["image"].mean() < 0.5  # light on dark


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda f: Image.new("RGB", (30, 40)).save(f / "rooms" / "02.png"),
            r"02.png has 40 × 40 pixels and its segmentation .* 30 × 40",
        ),
        (
            lambda f: Image.new("RGB", (40, 40), (255, 0, 255)).save(f / "rooms" / "02.png"),
            r"unknown colour \(255, 0, 255\); recolour",
        ),
        (lambda f: (f / "rooms" / "02.png").write_text("no"), r"02.png is not an image that Pillow can read"),
        (lambda f: Image.new("1", (9000, 9000)).save(f / "plans" / "02.png"), r"9000 × 9000 pixels"),
        (lambda f: (f / "rooms" / "02.png").unlink(), r"02 is only in one of the folders"),
        (lambda f: [p.unlink() for p in (f / "plans").iterdir()], r"plans holds no image"),
    ],
)
def test_pairs_that_are_refused(tmp_path, spoil, message):
    write_plans(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match=message):
        datamodules.FloorPlans(root=str(tmp_path), image_size=32).split("train")[0]


def test_blurred_borders_between_rooms_are_taken(tmp_path):
    write_plans(tmp_path)
    path = tmp_path / "rooms" / "02.png"
    with Image.open(path) as image:
        pixels = np.asarray(image).copy()
    pixels[0, :20] = (255, 0, 255)  # fewer than 2 % of all
    pixels[20, 20] = pixels[20, 20] + 5
    Image.fromarray(pixels).save(path)
    assert datamodules.FloorPlans(root=str(tmp_path), image_size=40).split("train")[0][1].max() <= 5


# --- line drawings from photographs ---


def test_pictures_become_line_drawings(data_root, image_folder):
    for data in (
        datamodules.ImageNet(archive="imagenet-sample.zip", image_size=24, side=48, lines=True, batch_size=4),
        datamodules.ImageFolder(str(image_folder), channels=3, image_size=24, side=48, lines=True, batch_size=4),
    ):
        data.setup("test")
        raw = next(iter(data.test_dataloader()))
        assert raw[0].shape[2:] == (48, 48)
        batch = data.on_after_batch_transfer(raw, 0)
        lines = line_art(raw[0].float().mean(1, keepdim=True) / 255)  # found before cropping
        torch.testing.assert_close(batch["image"], lines[:, :, 12:36, 12:36])
        assert batch["image"].shape[1:] == (1, 24, 24)
        inverted = data.__class__.on_after_batch_transfer
        data.invert = True
        torch.testing.assert_close(inverted(data, raw, 0)["image"], 1 - batch["image"])


def test_training_crops_are_taken_anywhere(image_folder):
    data = datamodules.ImageFolder(str(image_folder), image_size=8, side=32)
    data.trainer = SimpleNamespace(training=True)
    ramp = torch.arange(32.0).view(1, 1, 1, 32).expand(64, 1, 32, 32).to(torch.uint8)
    corners = data.on_after_batch_transfer((ramp, torch.zeros(64)), 0)["image"][:, 0, 0, 0] * 255
    assert len(corners.round().unique()) > 12  # elsewhere in each
    assert corners.max() <= 24.5
    data.trainer = None
    assert (data.on_after_batch_transfer((ramp, torch.zeros(64)), 0)["image"][:, 0, 0, 0] * 255).unique().tolist() == [
        12
    ]
    with pytest.raises(ValueError, match="side is 4; expected at least image_size, 8"):
        datamodules.ImageFolder(str(image_folder), image_size=8, side=4)
