"""Sketches: every form that is read, what is refused, and how batches are made."""

import json
import os
import pickle
import struct
import zipfile
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_files import drawing_line, objects, sketches, write_archive, write_quickdraw_sample, write_sketches

import datamodules
from datamodules import quickdraw, sketch_files
from datamodules.files import DataError
from datamodules.quickdraw import (
    SAMPLE,
    archived_lines,
    parse,
    part_of,
    read_bin,
    read_ndjson,
    read_sample,
    resample,
    to_sketch,
)
from datamodules.quickdraw_classes import CLASSES
from datamodules.sketch_files import (
    from_drawing,
    from_lines,
    read_npz,
    read_svg,
    simplify,
    to_drawing,
    to_lines,
)
from datamodules.sketches import SketchSet, drop_points, pad
from renderers import Drawing

SQUARE = [[[0, 255, 255, 0, 0], [0, 0, 255, 255, 0]], [[100, 150], [100, 150]]]


def ndjson(path, drawings):
    path.write_text("".join(json.dumps({"word": "cat", "drawing": d}) + "\n" for d in drawings))
    return path


def binary(drawings):
    out = b""
    for drawing in drawings:
        out += struct.pack("<Q2sbIH", 1, b"XX", 1, 5, len(drawing))
        for xs, ys in drawing:
            out += struct.pack("<H", len(xs)) + bytes(xs) + bytes(ys)
    return out


# --- stroke-3, lines, drawings ---


@pytest.mark.parametrize("sketch", sketches(5))
def test_lines_and_back(sketch):
    lines = to_lines(sketch)
    again = from_lines(lines)
    np.testing.assert_array_equal(again[1:], sketch[1:])  # the first offset is from nowhere
    assert (again[0] == [0, 0, sketch[0, 2]]).all()


@pytest.mark.parametrize("sketch", sketches(5))
def test_drawing_and_back(sketch):
    drawing = to_drawing(sketch)
    assert drawing.renderer == "pen"
    assert len(drawing) == len(sketch) - 2  # two strokes of k points have k - 2 segments
    expected, got = from_lines(simplify(to_lines(sketch), 0)), from_drawing(drawing, 0)
    np.testing.assert_array_equal(got[:, 2], expected[:, 2])
    np.testing.assert_allclose(got, expected, atol=0.01)


def test_stroke_5_and_back():
    parts = sketches(6)
    lengths = torch.tensor([len(s) for s in parts])
    padded = pad(torch.tensor(np.concatenate(parts)).float(), lengths, 24)
    assert padded.shape == (6, min(int(lengths.max()) + 2, 24) + 1, 5)
    assert (padded[:, 0] == torch.tensor([0, 0, 1.0, 0, 0])).all()
    assert (padded[..., 2:].sum(-1) == 1).all()
    for row, sketch in zip(padded, parts, strict=True):
        n = len(sketch)
        np.testing.assert_array_equal(row[1 : n + 1, :2], sketch[:, :2])
        np.testing.assert_array_equal(row[1 : n + 1, 3], sketch[:, 2])
        assert (row[n + 1 :] == torch.tensor([0, 0, 0, 0, 1.0])).all()


def test_the_longest_sketch_has_no_end_token():
    parts = sketches(1)
    n = len(parts[0])
    padded = pad(torch.tensor(parts[0]).float(), torch.tensor([n]), n)
    assert padded.shape == (1, n + 1, 5)
    assert padded[..., 4].sum() == 0


def test_one_point_is_a_dot_and_none_is_an_empty_drawing():
    dot = to_drawing(np.array([[5, 5, 1]]))
    assert dot.strokes.tolist() == [[0.5, 0.5, 0.5, 0.5]]
    assert dot.render(256).min() < 0.5
    assert len(to_drawing(np.zeros((0, 3)))) == 0
    with pytest.raises(DataError, match="the drawing is empty"):
        from_drawing(Drawing(torch.zeros(0, 4), "pen"))


def test_a_drawing_of_any_renderer_becomes_a_sketch():
    curve = Drawing(torch.tensor([[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]]), "bezier")
    sketch = from_drawing(curve)
    assert 3 < len(sketch) < 20
    assert sketch[:, 2].sum() == 1
    np.testing.assert_allclose(sketch[:, :2].sum(0), [255, 255], atol=0.5)


def test_simplify_is_ramer_douglas_peucker():
    t = np.linspace(0, 1, 200)[:, None]
    line = np.concatenate([t * [100, 0], [100, 0] + t * [0, 100]]) + np.random.default_rng(0).uniform(
        -0.3, 0.3, (400, 2)
    )
    (kept,) = simplify([line])
    assert 3 <= len(kept) <= 6
    (all_points,) = simplify([line], 0)
    assert len(all_points) == 400
    from itertools import pairwise

    def gap(p, a, b):  # distance from a point to a segment
        t = np.clip(np.dot(p - a, b - a) / np.dot(b - a, b - a), 0, 1)
        return np.hypot(*(a + t * (b - a) - p))

    assert max(min(gap(p, a, b) for a, b in pairwise(kept)) for p in all_points) <= 2.0 + 1e-9


def test_simplify_of_a_closed_line_and_of_a_point():
    (closed,) = simplify([np.array([[0, 0], [9, 0], [9, 9], [0, 9], [0, 0.0]])])
    assert len(closed) == 5
    (point,) = simplify([np.array([[3.0, 3.0]])])
    assert point.tolist() == [[0, 0]]


# --- augmentation ---


def by_the_authors_rule(sketch):
    """Their loop, with every point dropped that may be (``augment_strokes`` of sketch_rnn/utils.py in Magenta)."""
    kept, lifted, count = [], True, 0
    for x, y, lift in sketch.tolist():
        count = 0 if lift or lifted else count + 1
        if not lift and not lifted and count > 2:
            kept[-1] = [kept[-1][0] + x, kept[-1][1] + y, kept[-1][2]]
        else:
            kept.append([x, y, lift])
            lifted = bool(lift)
    return torch.tensor(kept)


def test_points_are_dropped_where_the_authors_drop_them():
    rng = np.random.default_rng(0)
    parts = [np.concatenate([rng.integers(-9, 9, (n, 2)), rng.random((n, 1)) < 0.2], 1) for n in (1, 2, 3, 9, 40, 200)]
    points, lengths = torch.tensor(np.concatenate(parts)).float(), torch.tensor([len(s) for s in parts])
    kept, left = drop_points(points, lengths, 1.0)
    for sketch, part in zip(parts, kept.split(left.tolist()), strict=True):
        assert torch.equal(part, by_the_authors_rule(sketch))


def test_dropping_points_keeps_ends_and_the_way():
    torch.manual_seed(0)
    parts = sketches(50)
    points, lengths = torch.tensor(np.concatenate(parts)).float(), torch.tensor([len(s) for s in parts])
    kept, left = drop_points(points, lengths, 0.5)
    assert len(kept) == left.sum() < 0.85 * len(points)
    for sketch, part in zip(parts, kept.split(left.tolist()), strict=True):
        assert part[:, 2].sum() == sketch[:, 2].sum() == 2
        np.testing.assert_allclose(part[:, :2].sum(0), sketch[:, :2].sum(0))  # it ends where it ended
        ends = [np.cumsum(s[:, :2], 0)[s[:, 2] == 1] for s in (sketch, part.numpy())]
        np.testing.assert_allclose(ends[0], ends[1])
        assert (part[0] == torch.tensor(sketch[0])).all() or len(sketch) > 2
    same, n = drop_points(points, lengths, 0.0)
    assert torch.equal(same, points)
    assert torch.equal(n, lengths)


def test_short_strokes_lose_nothing():
    sketch = torch.tensor([[0, 0, 0], [1, 1, 1], [2, 2, 0], [3, 3, 1.0]])
    assert torch.equal(drop_points(sketch, torch.tensor([4]), 1.0)[0], sketch)


# --- the module ---


def test_batches(data_root):
    data = datamodules.Sketches(["aaron_sheep", "cat"], batch_size=8)
    data.prepare_data()
    data.setup()
    assert data.n_max == max(len(s) for part in data.loaded.values() for s in (part[i] for i in range(len(part))))
    train = np.concatenate([data.loaded["train"][i] for i in range(80)])[:, :2]
    assert data.scale == pytest.approx(train.std())  # of x and y together, around their mean
    for name, n in (("train", 80), ("val", 24), ("test", 24)):
        batches = [data.on_before_batch_transfer(b, 0) for b in getattr(data, f"{name}_dataloader")()]
        assert sum(len(b["length"]) for b in batches) == n
        labels = torch.cat([b["label"] for b in batches])
        assert labels.bincount().tolist() == [n // 2, n // 2]
        for b in batches:
            assert b["sketch"].shape == (len(b["length"]), min(int(b["length"].max()) + 2, data.n_max) + 1, 5)
            assert b["n_max"] == data.n_max
    offsets = torch.cat([b["sketch"][..., :2][b["sketch"][..., 2:4].sum(-1) > 0] for b in batches])
    assert 0.7 < offsets.std() < 1.3


def test_batches_hold_similar_lengths(data_root):
    write_sketches(data_root / "sketch" / "short_kanji.npz", n=400, longest=60)
    data = datamodules.Sketches(["short_kanji"], batch_size=20)
    data.setup("fit")
    lengths = data.loaded["train"].lengths
    spread = [np.ptp(lengths[b.numpy()]) for b in data.batches("train", torch.Generator().manual_seed(0))]
    assert np.mean(spread) < 5
    first, second = (torch.cat(data.batches("train", torch.Generator().manual_seed(s))) for s in (0, 1))
    assert not torch.equal(first, second)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(400))


def test_training_batches_are_varied_and_others_are_not(data_root):
    data = datamodules.Sketches(["cat"], batch_size=40, scale_by=0.15, drop=0.3)
    data.setup("fit")
    raw = next(iter(data.train_dataloader()))

    class Trainer:
        training, global_rank = True, 0

        class fit_loop:  # noqa: N801
            class epoch_loop:  # noqa: N801
                class batch_progress:  # noqa: N801
                    class total:  # noqa: N801
                        processed = 3

    plain = data.on_before_batch_transfer([t.clone() for t in raw], 0)
    data.trainer = Trainer()
    varied, again = (data.on_before_batch_transfer([t.clone() for t in raw], 0) for _ in range(2))
    assert torch.equal(varied["sketch"], again["sketch"])  # of the same step
    assert varied["length"].sum() < plain["length"].sum()
    ends = [b["sketch"][..., :2].sum(1) for b in (plain, varied)]
    factor = ends[1][:, 0] / ends[0][:, 0]
    assert 0.84 < factor.min() < 0.95
    assert 1.05 < factor.max() < 1.16
    data.mirror = True
    mirrored = data.on_before_batch_transfer([t.clone() for t in raw], 0)["sketch"]
    torch.testing.assert_close(mirrored[..., 1:], varied["sketch"][..., 1:])
    torch.testing.assert_close(mirrored[..., 0].abs(), varied["sketch"][..., 0].abs())
    changed = (mirrored[..., 0] != varied["sketch"][..., 0]).any(1)
    assert 10 <= changed.sum() <= 30  # of 40
    torch.testing.assert_close(mirrored[changed][..., 0], -varied["sketch"][changed][..., 0])
    Trainer.fit_loop.epoch_loop.batch_progress.total.processed = 4
    assert not torch.equal(varied["length"], data.on_before_batch_transfer([t.clone() for t in raw], 0)["length"])


def test_long_sketches_are_left_out(data_root):
    data = datamodules.Sketches(["cat"], n_max=12)
    data.setup()
    assert data.n_max <= 12
    assert len(data.loaded["train"]) < 40
    with pytest.raises(DataError, match="no sketch of train has at most 2 points"):
        datamodules.Sketches(["cat"], n_max=2).setup()


def test_packing_keeps_integers_small():
    whole, real = SketchSet(sketches(5), [0] * 5), SketchSet([s / 2 for s in sketches(5)], [0] * 5)
    assert (whole.points.dtype, real.points.dtype) == (np.int16, np.float32)
    far = SketchSet([np.array([[40000, -40000, 1]])], [0])
    assert far[0].tolist() == [[1000, -1000, 1]]


def test_unknown_sources_name_the_nearest(data_root):
    with pytest.raises(DataError, match="did you mean 'camera'"):
        datamodules.Sketches(["camrea"]).prepare_data()
    with pytest.raises(DataError, match="did you mean 'aaron_sheep'"):
        datamodules.Sketches(["aron_sheep"]).setup()
    with pytest.raises(DataError, match=r"dog\.npz is missing"):
        datamodules.Sketches(["dog"]).setup()
    with pytest.raises(ValueError, match="expected one or more"):
        datamodules.Sketches([])
    with pytest.raises(ValueError, match="scale_by 2"):
        datamodules.Sketches(["cat"], scale_by=2)


def test_sources_of_every_form(data_root, tmp_path):
    drawings = [SQUARE] * 12
    ndjson(data_root / "quickdraw" / "dog.ndjson", drawings)
    (data_root / "quickdraw" / "the eye.bin").write_bytes(binary(drawings))
    folder = tmp_path / "mine"
    folder.mkdir()
    to_drawing(sketches(1)[0]).save(folder / "a.json")
    to_drawing(sketches(1, seed=5)[0]).save(folder / "b.svg")
    data = datamodules.Sketches(["dog", str(data_root / "quickdraw" / "the eye.bin"), str(folder), "cat"])
    data.setup()
    assert [len(data.loaded[s]) for s in ("train", "val", "test")] == [8 + 8 + 2 + 40, 2 + 2 + 2 + 12, 2 + 2 + 2 + 12]
    assert set(data.loaded["train"].labels.tolist()) == {0, 1, 2, 3}
    (tmp_path / "x.txt").write_text("?")
    with pytest.raises(DataError, match=r"x\.txt is neither \.npz"):
        datamodules.Sketches([str(tmp_path / "x.txt")]).setup()
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"holds no \.svg or \.json"):
        datamodules.Sketches([str(tmp_path / "none")]).setup()


# --- .npz ---


def test_npz_reads_what_is_in_the_file(tmp_path):
    path = write_sketches(tmp_path / "x.npz")
    got = read_npz(path)
    for name, seed, n in (("train", 0, 40), ("valid", 1, 12), ("test", 2, 12)):
        for a, b in zip(got[name], sketches(n, seed), strict=True):
            np.testing.assert_array_equal(a, b)


def old_pickle(arrays):
    """As NumPy for Python 2 wrote it: protocol 2, bytes as text."""
    return pickle.dumps(objects(arrays), protocol=2, fix_imports=True)


def member(payload, n):
    import io

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (n,)})
    return header.getvalue() + payload


def npz(path, payload, n):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name in ("train", "valid", "test"):
            z.writestr(f"{name}.npy", member(payload, n))
    return path


def test_npz_of_old_pickles(tmp_path):
    got = read_npz(npz(tmp_path / "old.npz", old_pickle(sketches(4)), 4))
    np.testing.assert_array_equal(got["test"][3], sketches(4)[3])


class Evil:
    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize(
    "evil",
    [
        Evil(os.system, "touch hacked"),
        Evil(eval, "open('hacked', 'w')"),
        Evil(np.load, "x"),
        Evil(np.empty, (10**12,)),
        Evil(np.lib.format.open_memmap, "hacked", "w+"),
        Evil(getattr, "text", "upper"),
    ],
)
def test_hostile_npz(tmp_path, monkeypatch, evil):
    monkeypatch.chdir(tmp_path)
    bad = objects(sketches(2))
    bad[0] = evil
    path = npz(tmp_path / "bad.npz", pickle.dumps(bad), 2)
    with pytest.raises(DataError, match=r"bad\.npz: train is not a pickled array of sketches: it wants to run"):
        read_npz(path)
    assert not (tmp_path / "hacked").exists()


def reconstruct(*args):
    """A pickle that calls NumPy's own constructor with other arguments than NumPy's."""
    return pickle.dumps(
        Evil(np.core.multiarray._reconstruct if hasattr(np, "core") else np._core.multiarray._reconstruct, *args)
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("args", [(np.ndarray, (10**12,), b"b"), (np.matrix, (0,), b"b")])
def test_npz_that_reserves_memory(tmp_path, args):
    with pytest.raises(DataError, match="is not a pickled array of sketches"):
        read_npz(npz(tmp_path / "big.npz", reconstruct(*args), 2))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([np.zeros((4, 2), np.int16)], r"sketch 0 is \(4, 2\); expected numbers \(N, 3\)"),
        ([np.zeros((0, 3), np.int16)], "sketch 0 is empty"),
        ([np.array([[0, 0, 0], [np.nan, 0, 1]])], "sketch 0: point 1 is not finite"),
        (["text"], "sketch 0 is str"),
    ],
)
def test_npz_of_what_is_no_sketch(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        read_npz(npz(tmp_path / "x.npz", pickle.dumps(objects(arrays)), 1))


@pytest.mark.parametrize("keep", [0, 10, 500, -40, -4])
def test_truncated_npz(tmp_path, keep):
    path = write_sketches(tmp_path / "x.npz")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"x\.npz"):
        read_npz(path)


def outcome(path):
    """The splits of an .npz, or the message of the error."""
    try:
        return read_npz(path), None
    except DataError as e:
        return None, str(e)


def test_npz_with_damage_inside(tmp_path):
    """A wrong byte is an error, unless it says nothing of the sketches (dates, attributes): then they are intact."""
    path = write_sketches(tmp_path / "x.npz")
    whole, intact, refused = path.read_bytes(), read_npz(path), 0
    positions = range(60, len(whole) - 200, 97)
    for at in positions:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        splits, error = outcome(path)
        if error is not None:
            assert str(path) in error
            refused += 1
            continue
        for name, parts in intact.items():
            for a, b in zip(parts, splits[name], strict=True):
                np.testing.assert_array_equal(a, b)
    assert refused > 0.9 * len(positions)


def test_npz_of_other_content(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(DataError, match=r"lacks test\.npy, train\.npy, valid\.npy"):
        read_npz(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as z:
        for name in ("train", "valid", "test"):
            z.writestr(f"{name}.npy", b"not an array")
    with pytest.raises(DataError, match="train is not a pickled array"):
        read_npz(tmp_path / "y.npz")


def test_npz_that_claims_too_much(tmp_path, monkeypatch):
    path = write_sketches(tmp_path / "x.npz")
    monkeypatch.setattr(sketch_files, "LARGEST", 1000)
    with pytest.raises(DataError, match=r"train claims \d+ bytes; at most 1000"):
        read_npz(path)


# --- .ndjson and .bin ---


def test_ndjson_and_bin_agree(tmp_path):
    a = read_ndjson(ndjson(tmp_path / "a.ndjson", [SQUARE, SQUARE[:1]]))
    (tmp_path / "a.bin").write_bytes(binary([SQUARE, SQUARE[:1]]))
    b = read_bin(tmp_path / "a.bin")
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(a[0][:, 2], [0, 0, 0, 0, 1, 0, 1])
    np.testing.assert_array_equal(a[0][1], [255, 0, 0])


def test_raw_ndjson_is_simplified(tmp_path):
    t = np.linspace(0, 1, 100)
    raw = [[(600 * t).tolist(), (300 * t).tolist(), (t * 1000).tolist()]]
    (sketch,) = read_ndjson(ndjson(tmp_path / "raw.ndjson", [raw]))
    np.testing.assert_array_equal(sketch, [[0, 0, 0], [255, 128, 1]])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not a drawing"),
        ("[]", "line 2 is not a drawing"),
        ("{}", "line 2 is not a drawing"),
        ('{"drawing": 5}', "line 2 is not a drawing"),
        ('{"drawing": []}', "line 2: the drawing is empty"),
        ('{"drawing": [[[1, 2], [3]]]}', "line 2: a stroke is not"),
        ('{"drawing": [[["a"], ["b"]]]}', "line 2: a stroke is not"),
        ('{"drawing": [[[1], [NaN]]]}', "line 2: a coordinate is not finite"),
        ('{"word": "cat", "drawing": [[[1, 2], [3, ', "line 2 is not a drawing"),
    ],
)
def test_bad_ndjson(tmp_path, line, message):
    path = ndjson(tmp_path / "x.ndjson", [SQUARE])
    path.write_text(path.read_text() + line)
    with pytest.raises(DataError, match=message):
        read_ndjson(path)


def test_truncated_bin(tmp_path):
    path = tmp_path / "x.bin"
    whole = binary([SQUARE, SQUARE])
    for keep in (1, 16, 20, len(whole) // 2 + 3, len(whole) - 1):
        path.write_bytes(whole[:keep])
        begin = 0 if keep <= len(whole) // 2 else len(whole) // 2
        with pytest.raises(DataError, match=f"ends in the middle of the drawing that begins at byte {begin} "):
            read_bin(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="holds no drawing"):
        read_bin(path)


# --- the sample of all classes ---

CAT, FACE = CLASSES.index("cat"), CLASSES.index("face")


def test_quickdraw_sample(data_root):
    data = datamodules.Sketches([SAMPLE])
    data.prepare_data()
    data.setup()
    assert data.classes == CLASSES
    assert sum(map(len, data.loaded.values())) == 160  # of 240 lines: 80 keys stand in both archives
    assert 120 < len(data.loaded["train"]) < 160
    for part in data.loaded.values():
        assert len(part)
        assert set(part.labels.tolist()) <= {CAT, FACE}
        assert set(part.lengths.tolist()) == {6, 9}  # a zigzag and a dot; the raw wave, simplified
    batch = data.on_before_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert set(batch["label"].tolist()) == {CAT, FACE}


def test_a_drawing_stays_in_its_split_whatever_else_is_there(data_root):
    before = read_sample(data_root / "quickdraw")
    write_quickdraw_sample(data_root / "quickdraw", each=60)
    after = read_sample(data_root / "quickdraw")
    for split, pairs in before.items():
        kept = {sketch.tobytes() for sketch, _ in after[split]}
        assert {sketch.tobytes() for sketch, _ in pairs} <= kept
        assert len(pairs) < len(after[split])
    parts = Counter(part_of(str(key)) for key in range(20_000))
    assert {name: round(n / 20_000, 2) for name, n in parts.items()} == {"train": 0.9, "val": 0.05, "test": 0.05}


def test_classes_are_named_by_source_and_shared_by_name(data_root, tmp_path):
    (tmp_path / "dog.ndjson").write_bytes(drawing_line("cat", 1, SQUARE) * 3)
    data = datamodules.Sketches(["aaron_sheep", str(tmp_path / "dog.ndjson"), "cat", SAMPLE])
    assert data.classes[:3] == ("aaron_sheep", "dog", "cat")
    assert set(data.classes) == {"aaron_sheep", *CLASSES}
    data.setup()
    counts = Counter(data.classes[label] for label in data.loaded["train"].labels)
    assert (counts["aaron_sheep"], counts["dog"]) == (40, 3)
    assert counts["cat"] > 40 + 60  # its own file's and the sample's
    assert counts["face"] > 60


def test_long_drawings_of_the_sample_are_left_out_and_counted(data_root):
    data = datamodules.Sketches([SAMPLE], n_max=6)
    data.setup()
    assert (data.n_max, data.left_out) == (6, 80)
    assert sum(map(len, data.loaded.values())) == 80


def test_raw_drawings_become_what_google_made_of_them():
    """A stroke of a raw drawing (key 4674110070194176 has such a dot) and its corners; a dot is two equal points."""
    t = np.linspace(0, 1, 50)
    corner = [(40 + 500 * t).tolist() + [540.0] * 50, [30.0] * 50 + (30 + 250 * t).tolist(), list(range(100))]
    lines = to_lines(to_sketch([corner, [[290.0], [30.0], [200]]], "here"))
    np.testing.assert_array_equal(lines[0], [[0, 0], [255, 0], [255, 128]])
    np.testing.assert_array_equal(lines[1], [[128, 0], [128, 0]])


def test_resampling_is_even_and_keeps_the_ends():
    points = resample(np.array([[0, 0], [0.5, 0], [7, 0], [7, 3.25]]))
    np.testing.assert_allclose(points[:-1], [[i, 0] for i in range(8)] + [[7, 1], [7, 2], [7, 3]])
    assert points[-1].tolist() == [7, 3.25]
    assert resample(np.array([[3.0, 4.0]])).tolist() == [[3, 4], [3, 4]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{\n", "cat.ndjson, line 2 is not a drawing"),
        (b"\xff\xfe\n", "cat.ndjson, line 2 is not a drawing"),
        (b'{"word": "cat", "key_id": "7"}\n', "cat.ndjson, line 2 is not a drawing"),
        (b'{"word": "cat", "drawing": [[[0], [0]]]}', 'line 2: expected a "key_id"'),
        (drawing_line("dragonfly", 7, SQUARE), "one of the 345 classes, not 'dragonfly'"),
        (drawing_line("cat", 7, []), "line 2: the drawing is empty"),
        (drawing_line("cat", 7, [[[0, 1], [0]]]), "line 2: a stroke is not"),
        (drawing_line("cat", 7, [[[0, 1e9], [0, 1], [0, 1]]]), "line 2: a coordinate is not finite, or beyond"),
        (drawing_line("cat", 7, [[[0] * 20_001] * 3]), "line 2: the drawing has 20001 points"),
    ],
)
def test_damaged_lines_of_the_sample(data_root, line, message):
    path = data_root / "quickdraw" / "simplified-25-per-class.tar.gz"
    write_archive(path, {"cat.ndjson": drawing_line("cat", 5, SQUARE) + line})
    with pytest.raises(DataError, match=rf"simplified-25-per-class\.tar\.gz: .*{message}"):
        datamodules.Sketches([SAMPLE]).setup()


def test_damaged_archives(data_root, monkeypatch):
    path = data_root / "quickdraw" / "raw-27-per-class.tar.gz"
    whole = path.read_bytes()
    for keep in (0, 20, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:keep])
        with pytest.raises(DataError, match=r"raw-27-per-class\.tar\.gz is not a whole \.tar\.gz .*Replace it"):
            datamodules.Sketches([SAMPLE]).setup()
    path.write_bytes(whole)
    monkeypatch.setattr(quickdraw, "LARGEST_ARCHIVE", 1000)
    with pytest.raises(DataError, match="unpacks to more than 1000 bytes"):
        datamodules.Sketches([SAMPLE]).setup()
    path.unlink()
    with pytest.raises(DataError, match=r"raw-27-per-class\.tar\.gz is missing.*borismus/exupery"):
        datamodules.Sketches([SAMPLE]).prepare_data()


def test_archives_are_read_and_never_unpacked(data_root, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = data_root / "quickdraw" / "raw-27-per-class.tar.gz"
    lines = b"".join(drawing_line("cat", 10**7 + i, SQUARE) for i in range(3))
    write_archive(path, {"../cat.ndjson": lines, "/tmp/x/face.ndjson": b"", "notes.txt": b"?", "._cat.txt": b"\0"})
    assert sum(map(len, read_sample(path.parent).values())) == 83
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "here"]
    assert not list((tmp_path / "here").iterdir())


# --- .svg ---

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 100">'


def svg(tmp_path, body):
    path = tmp_path / "x.svg"
    path.write_text(HEAD + body + "</svg>")
    return path


def test_svg_with_transforms_curves_and_groups(tmp_path):
    plain = read_svg(svg(tmp_path, '<path d="M10 10 L60 10 L60 60" fill="none" stroke="black"/>'))
    corner = '<polyline points="0,0 10,0 10,10" fill="none"/>'
    nested = f'<g transform="translate(10 10)"><g transform="scale(5)">{corner}</g></g>'
    np.testing.assert_allclose(read_svg(svg(tmp_path, nested)), plain, atol=1e-3)
    np.testing.assert_allclose(plain, [[0, 0, 0], [255, 0, 0], [0, 255, 1]], atol=1e-3)
    circle = read_svg(svg(tmp_path, '<circle cx="50" cy="50" r="40"/>'))
    points = np.cumsum(circle[:, :2], 0)
    assert 10 < len(circle) < 40
    np.testing.assert_allclose(np.hypot(*(points - (points.max(0) + points.min(0)) / 2).T), 127.5, atol=3)
    two = read_svg(
        svg(
            tmp_path,
            '<path d="M0 0C0 50 50 50 50 0M10 10Q20 20 30 10A5 5 0 0 1 40 10Z"/><line x1="0" y1="0" x2="9" y2="0"/>',
        )
    )
    assert two[:, 2].sum() == 3


def test_our_own_svg_comes_back(tmp_path):
    sketch = sketches(1)[0]
    drawing = to_drawing(sketch)
    drawing.save(tmp_path / "a.svg")
    expected = from_lines(simplify(to_lines(sketch), 0))
    got = read_svg(tmp_path / "a.svg", 0)
    np.testing.assert_array_equal(got[:, 2], expected[:, 2])
    np.testing.assert_allclose(np.cumsum(got[:, :2], 0), np.cumsum(expected[:, :2], 0), atol=1)


def test_svg_with_text_and_images(tmp_path):
    body = (
        '<text x="5" y="5">no</text><image xlink:href="a.png" width="9" height="9"/><line x1="0" y1="0" x2="9" y2="9"/>'
    )
    with pytest.warns(UserWarning, match=r"x\.svg: skipped image and text; only lines are read"):
        sketch = read_svg(svg(tmp_path, body))
    np.testing.assert_allclose(sketch, [[0, 0, 0], [255, 255, 1]], atol=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an SVG"),
        ("<svg", "is not an SVG"),
        (HEAD + "</svg>", "holds no line"),
        (
            '<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + HEAD + "<text>&a;</text></svg>",
            "defines entities",
        ),
    ],
)
def test_bad_svg(tmp_path, text, message):
    path = tmp_path / "x.svg"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"x\.svg.*{message}"):
        read_svg(path)


def test_svg_without_its_library(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "svgelements", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'strokezoo\[svg\]'"):
        read_svg(tmp_path / "x.svg")


# --- the real thing ---

REAL = {
    "aaron_sheep": (7400, 300, 300, 250),
    "omniglot_strokes": (30000, 1000, 1000, 157),
    "short_kanji": (10000, 600, 500, 88),
    "kanji.rdp200": (10358, 600, 500, 70),
}


@pytest.mark.realdata
@pytest.mark.parametrize("name", REAL)
def test_real_sets(name):
    data = datamodules.Sketches([name])
    data.prepare_data()
    data.setup()
    assert (*(len(data.loaded[s]) for s in ("train", "val", "test")), data.n_max) == REAL[name]


@pytest.mark.realdata
def test_real_quickdraw_sample():
    """Counts; each label is its class's; and raw drawings become what Google made of them."""
    folder = Path(os.environ["ZOO_DATA"]) / "quickdraw"
    data = datamodules.Sketches([SAMPLE], n_max=250)
    data.setup()
    assert [len(data.loaded[s]) for s in ("train", "val", "test")] == [9263, 503, 533]
    assert (data.n_max, data.left_out) == (246, 18)
    assert set(data.loaded["train"].labels.tolist()) == set(range(345))
    records = (parse(line, where) for line, where in archived_lines(folder / "simplified-25-per-class.tar.gz"))
    google = {r["key_id"]: r["drawing"] for r in islice(records, 250)}
    raw = (parse(line, where) for line, where in islice(archived_lines(folder / "raw-27-per-class.tar.gz"), 290))
    pairs = [(r["drawing"], google[r["key_id"]]) for r in raw if r["key_id"] in google]
    same = [np.array_equal(to_sketch(ours, ""), to_sketch(theirs, "")) for ours, theirs in pairs]
    assert len(same) > 150
    assert np.mean(same) > 0.7
