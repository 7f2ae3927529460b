"""Augmentation and measured ink of training batches."""

import pytest
import torch

import datamodules
from datamodules.augment import KINDS, affine, augmented, mirrored, spliced, warped
from datamodules.base import Images
from datamodules.ink import Ink, measured


def drawings(count=8, size=32):
    """A light bar in each of (count, 1, size, size), elsewhere in each."""
    images = torch.zeros(count, 1, size, size)
    for k, image in enumerate(images):
        image[:, 4 + 2 * k : 8 + 2 * k, 6:26] = 1
    return images


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "flip"])
def test_every_kind_keeps_shape_and_range_and_changes_every_image(kind):
    torch.manual_seed(0)
    images = drawings()
    changed = augmented(images, kind)
    assert changed.shape == images.shape
    assert 0 <= changed.min() <= changed.max() <= 1
    assert all(not torch.allclose(a, b, atol=0.1) for a, b in zip(images, changed, strict=True))
    assert ((changed > 0.4).float().mean((1, 2, 3)) > 0.01).all()  # none lost its ink


def test_flipping_mirrors_half_of_the_images_and_does_nothing_else():
    torch.manual_seed(0)
    images = torch.rand(200, 1, 4, 4)
    changed = augmented(images, "flip")
    mirrored = (changed == images.flip(-1)).flatten(1).all(1)
    assert (mirrored | (changed == images).flatten(1).all(1)).all()
    assert 70 < mirrored.sum() < 130


def test_the_affine_map_of_nothing_changes_nothing():
    images = torch.rand(4, 1, 32, 32)
    torch.testing.assert_close(warped(images, affine(4, share=0.0)), images, atol=1e-5, rtol=0)


def test_a_quarter_is_mirrored_and_half_as_many_transposed():
    images = torch.rand(8, 1, 16, 16)
    changed = mirrored(images)
    torch.testing.assert_close(changed[:2], images[:2].flip(-1))
    torch.testing.assert_close(changed[2:3], images[2:3].transpose(2, 3))
    torch.testing.assert_close(changed[3:], images[3:])


def test_a_splice_is_of_two_images_of_the_batch_and_one_without_ink_is_left_as_it_is():
    torch.manual_seed(0)
    images = torch.stack([torch.full((1, 16, 16), 0.5 + k / 20) for k in range(8)])
    changed = spliced(images)
    for k in range(4):
        values = changed[k].unique()
        assert len(values) <= 2
        assert all(v in images[:, 0, 0, 0] for v in values)
    assert any(len(changed[k].unique()) == 2 for k in range(4))
    torch.testing.assert_close(changed[4:], images[4:])
    torch.testing.assert_close(spliced(torch.zeros(4, 1, 16, 16)), torch.zeros(4, 1, 16, 16))


class Toy(datamodules.DataModule):
    def split(self, name):
        return Images((255 * drawings()).byte(), torch.zeros(8).long())


def test_only_training_batches_are_augmented_and_measured(monkeypatch):
    data = Toy(image_size=32, augment="strong", ridges=True)
    batch = data.split("train").images, data.split("train").labels
    seen = data.on_after_batch_transfer(batch, 0)
    assert set(seen) == {"image", "label"}
    torch.testing.assert_close(seen["image"], drawings())
    monkeypatch.setattr(Toy, "learning", True)
    torch.manual_seed(0)
    made = data.on_after_batch_transfer(batch, 0)
    assert set(made) == {"image", "label", *Ink._fields}
    for a, b in zip(Ink.of(made), measured(made["image"]), strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.allclose(made["image"], seen["image"])


def test_an_unknown_kind_is_refused():
    for make in (
        lambda: Toy(augment="weak"),
        lambda: augmented(drawings(), "weak"),
        lambda: datamodules.Omniglot(augment="weak"),
    ):
        with pytest.raises(ValueError, match="augment is 'weak'; expected affine, digits, strong"):
            make()
    assert datamodules.Omniglot(augment=True).augment == "affine"
    assert datamodules.Omniglot(augment=False).augment is None
