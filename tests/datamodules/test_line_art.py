"""Line art in SVG: what is read, how it is painted, which drawings train, and what is refused."""

import zipfile

import numpy as np
import pytest
import torch
from test_datamodules import Progress
from tiny_files import icon, write_line_art

import datamodules
from datamodules import sketch_files
from datamodules.files import DataError
from datamodules.line_art import closeness

SPLITS = ("train", "val", "test")


def line_art(tmp_path, *bodies, **options):
    """The data module of a folder of icons; with so few, all are in every split."""
    folder = tmp_path / "icons"
    folder.mkdir(exist_ok=True)
    for i, body in enumerate(bodies):
        (folder / f"{i}.svg").write_text(icon(body))
    return datamodules.LineArt(str(folder), **{"image_size": 64, "batch_size": 8} | options)


def painted(data, split="test"):
    """All images of a split."""
    return data.on_after_batch_transfer(data.split(split).__getitems__(range(len(data.split(split)))), 0)["image"]


def test_closeness_against_a_slow_version():
    rng = np.random.default_rng(0)
    lines = [rng.random((5, 2), np.float32), rng.random((1, 2), np.float32)]
    size, reach = 24, 3.5
    expected = np.full((size, size), reach)
    along = np.linspace(0, 1, 2000)[:, None]
    for y in range(size):
        for x in range(size):
            for line in lines:
                for a, b in zip(line * size, (line if len(line) == 1 else line[1:]) * size, strict=False):
                    nearest = np.hypot(*(a + (b - a) * along - (x + 0.5, y + 0.5)).T).min()
                    expected[y, x] = min(expected[y, x], nearest)
    got = closeness(lines, size, reach)
    assert got.dtype == np.uint8
    np.testing.assert_allclose(got, 255 * (1 - expected / reach), atol=1)


@pytest.mark.parametrize("edge", [1.0, 3.0])
@pytest.mark.parametrize("width", [0.03, 0.08])
def test_a_line_is_as_wide_as_asked_for_and_centred(tmp_path, width, edge):
    data = line_art(tmp_path, '<line x1="2" y1="5" x2="9" y2="5" stroke-width="7"/>', width=width, edge=edge)
    (image,) = painted(data)[0]
    across = image[:, 32]
    if width * 64 > edge:  # else its middle is not all ink
        assert across.sum().item() == pytest.approx(width * 64, abs=0.1)
    assert (across > 0).sum() == pytest.approx(width * 64 + edge, abs=1.1)
    torch.testing.assert_close(image, image.flip(0), atol=0.03, rtol=0)
    torch.testing.assert_close(image, image.flip(1), atol=0.03, rtol=0)
    inked = (image[31] > 0.4 * across.max()).nonzero()
    assert int(inked[0]) == pytest.approx(6.4 - width * 32, abs=1)  # the margin, less the round end


def test_arcs_and_curves_of_all_kinds(tmp_path):
    """The same circle as a shape, as arcs, as cubic curves, and its polyline within a group that is moved."""
    near, far = 12 - 0.5523 * 9, 12 + 0.5523 * 9
    angles = np.linspace(0, 2 * np.pi, 64)
    points = " ".join(f"{9 * np.cos(a):.3f},{9 * np.sin(a):.3f}" for a in angles)
    cubics = f"M21 12C21 {far} {far} 21 12 21S3 {far} 3 12S{near} 3 12 3S21 {near} 21 12"
    images = painted(
        line_art(
            tmp_path,
            '<circle cx="12" cy="12" r="9"/>',
            '<path d="M3 12a9 9 0 0 1 18 0a9 9 0 0 1-18 0"/>',
            f'<path d="{cubics}"/>',
            f'<g transform="translate(3 1)"><polyline points="{points}"/></g>',
        )
    )
    for other in images[1:]:
        assert (other - images[0]).abs().max() < 0.2
        assert (other - images[0]).abs().mean() < 0.01


def test_a_dot_is_a_disc(tmp_path):
    """Icons have dots as lines of no length, as wide as all others."""
    image = painted(line_art(tmp_path, '<path d="M12 18h.01M2 2h20"/>', width=0.1))[0, 0]
    assert image.sum().item() == pytest.approx(64 * 0.1 * (64 * 0.8) + np.pi * 3.2**2 * 2, rel=0.02)


def test_training_widths_are_random_and_repeat(tmp_path):
    data = line_art(tmp_path, '<path d="M2 12h20"/>', widths=(0.04, 0.12))
    raw = data.split("train").__getitems__([0] * 40)
    batches = []
    for processed in (3, 3, 4):
        data.trainer = Progress(processed)
        batches.append(data.on_after_batch_transfer(data.on_before_batch_transfer(raw, 0), 0)["image"])
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])
    widths = torch.cat(batches[1:])[:, 0, :, 32].sum(1) / 64
    assert 0.038 < widths.min() < 0.055
    assert 0.105 < widths.max() < 0.122
    data.trainer = None
    torch.testing.assert_close(data.on_after_batch_transfer(raw, 0)["image"].std(0).max(), torch.tensor(0.0))


def test_options_of_every_data_module(tmp_path):
    data = line_art(tmp_path, '<path d="M2 12h20"/>', '<path d="M12 2v20"/>', augment="strong", ridges=True, side=80)
    data.trainer = Progress(0)
    batch = data.on_after_batch_transfer(data.split("train").__getitems__([0, 1]), 0)
    assert batch["image"].shape == batch["ridge_distance"].shape == (2, 1, 64, 64)
    assert batch["ridge"].any()
    assert not torch.equal(*batch["image"].mT.flip(1))


# --- which drawings train ---


def drawings(data):
    """The pictures that each split has."""
    return {split: {picture.numpy().tobytes() for picture in data.split(split).images} for split in SPLITS}


def test_the_name_alone_decides_the_split(tmp_path):
    archive = write_line_art(tmp_path / "icons.zip")
    options = {"root": str(tmp_path), "image_size": 24}
    first = drawings(datamodules.LineArt("icons.zip", **options))
    assert sum(map(len, first.values())) == 60
    assert len(first["train"]) > 45
    with zipfile.ZipFile(archive) as z:
        z.extractall(tmp_path / "elsewhere" / "deeper")
    assert drawings(datamodules.LineArt("elsewhere", **options)) == first
    with zipfile.ZipFile(archive, "a") as z:
        for i in range(40):
            z.writestr(f"icons/more{i}.svg", icon(f'<path d="M{i} 0L3 {i}L9 9"/>'))
    more = drawings(datamodules.LineArt("icons.zip", **options))
    assert all(first[split] <= more[split] for split in SPLITS)


def test_labels_are_folders_and_few_drawings_are_everywhere(tmp_path):
    data = line_art(tmp_path, '<path d="M2 12h20"/>', '<path d="M12 2v20"/>')
    for folder, name in (("b", "1.svg"), ("a", "2.svg")):
        (tmp_path / "icons" / folder).mkdir()
        (tmp_path / "icons" / folder / name).write_text(icon('<path d="M0 0h9"/>'))
    (tmp_path / "icons" / "1.svg").unlink()
    (tmp_path / "icons" / "note.txt").write_text("no drawing")
    splits = [data.split(split) for split in SPLITS]
    assert [split.labels.tolist() for split in splits] == [[0, 1, 2]] * 3


# --- bad input ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<svg", r"bad\.svg is not an SVG that can be read .*Replace or remove it"),
        (icon(""), r"bad\.svg holds no line to draw\. Replace or remove it"),
        (icon('<path d="M0 0L1e999 3"/>'), r"bad\.svg: a coordinate is not finite\. Replace or remove it"),
        ("<!DOCTYPE svg [<!ENTITY a 'b'>]>" + icon("<path d='M0 0h9'/>"), r"bad\.svg defines entities.*plain SVG"),
        (icon("<path d='M0 0h9'/>") + " " * 3000, r"bad\.svg has 3\d\d\d bytes; at most 2000 .*Simplify or remove it"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_bad_drawing_is_named(tmp_path, monkeypatch, text, message, packed):
    monkeypatch.setattr(sketch_files, "LARGEST_SVG", 2000)
    path = tmp_path / "icons" / "bad.svg"
    path.parent.mkdir()
    path.write_text(text)
    if packed:
        with zipfile.ZipFile(tmp_path / "icons.zip", "w") as z:
            z.write(path, "bad.svg")
    data = datamodules.LineArt(str(tmp_path / ("icons.zip" if packed else "icons")))
    with pytest.raises(DataError, match=message):
        data.split("train")


def test_a_folder_without_drawings(tmp_path):
    with pytest.raises(DataError, match=r"there is no .*lineart/none.*--data\.archive"):
        datamodules.LineArt("lineart/none", root=str(tmp_path)).split("test")
    with pytest.raises(DataError, match=r"icons holds no image \(\.svg\).*--data\.archive"):
        line_art(tmp_path).split("test")
    (tmp_path / "icons.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match=r"icons\.zip is not a whole \.zip"):
        datamodules.LineArt(str(tmp_path / "icons.zip")).split("test")


@pytest.mark.parametrize("options", [{"widths": (0.1, 0.05)}, {"width": 0}, {"edge": 0}, {"margin": 0.5}])
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match="expected widths over 0"):
        datamodules.LineArt(**options)


@pytest.mark.realdata
def test_real_icons():
    data = datamodules.LineArt(image_size=64)
    data.setup("test")
    assert data.count("test") == 79
    image = painted(data)
    assert image.shape == (79, 1, 64, 64)
    assert (image.amax((1, 2, 3)) == 1).all()
    assert 0.05 < image.mean() < 0.25
