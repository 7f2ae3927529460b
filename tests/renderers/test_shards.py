"""Shards: many named drawings in files of gzipped JSON lines, and what is refused."""

import errno
import gzip
import json

import pytest

import renderers
from renderers import Drawing, files, read_drawings, shards
from renderers.drawing import DrawingError

NAMES = ["a/1.png", "ä b.jpg", "test/12", 'q"\\.png', "z.png"]
PLAN = shards.Plan(5, 2)


@pytest.fixture
def drawings():
    bezier = renderers.get("bezier").actions
    return {name: Drawing(bezier.random(i), "bezier") for i, name in enumerate(NAMES)}


@pytest.fixture
def folder(tmp_path, drawings):
    """Five drawings in three shards."""
    (tmp_path / "d").mkdir()
    shards.write_index(tmp_path / "d", PLAN, {"model": {"sha256": "12"}})
    lines = [shards.line(name, drawing.to_json()) for name, drawing in drawings.items()]
    for k in range(len(PLAN)):
        shards.write_shard(PLAN.path(tmp_path / "d", k), [lines[i] for i in PLAN.part(k)])
    return tmp_path / "d"


def test_a_folder_and_a_shard_are_read_and_picked_from(folder, drawings, tmp_path):
    first, last = PLAN.path(folder, 0), PLAN.path(folder, 2)
    assert [path.name for path in sorted(folder.iterdir())] == [
        *(f"0000{k}-of-00003.jsonl.gz" for k in range(3)),
        "index.json",
    ]
    assert dict(read_drawings(folder)) == drawings
    assert [name for name, _ in read_drawings(first)] == NAMES[:2]
    for i, name in enumerate(NAMES):
        assert Drawing.load(folder, name) == Drawing.load(folder, i) == drawings[name]
    assert Drawing.load(last) == drawings["z.png"]  # the only one
    assert Drawing.load(first, 1) == drawings[NAMES[1]]
    unpacked = tmp_path / "some.jsonl"
    unpacked.write_bytes(gzip.decompress(first.read_bytes()))
    assert list(read_drawings(unpacked)) == list(read_drawings(first))
    assert shards.read_index(folder) == (PLAN, {"model": {"sha256": "12"}})


@pytest.mark.parametrize(
    ("pick", "message"),
    [
        (None, "holds several drawings: pick one by its name, such as 'a/1.png', or number"),
        ("b.png", "has no drawing 'b.png': they are 'a/1.png' to 'z.png'"),
        (5, "has no drawing 5"),
        (-1, "has no drawing -1"),
    ],
)
def test_a_drawing_that_is_not_there(folder, pick, message):
    with pytest.raises(DrawingError, match=message):
        Drawing.load(folder, pick)


def test_what_was_not_drawn_is_left_out_or_says_why(tmp_path, drawings):
    path = tmp_path / "s.jsonl.gz"
    good = shards.line("good", drawings["z.png"].to_json())
    shards.write_shard(path, [shards.line("bad", json.dumps({"error": "no image"})), good])
    assert dict(read_drawings(path)) == {"good": drawings["z.png"]}
    with pytest.raises(DrawingError, match=r"s\.jsonl\.gz, line 1: bad was not drawn: no image"):
        Drawing.load(path, "bad")


def test_a_cut_shard(folder):
    """Its end shows it; to read it is one error with the file and the line; its drawings before that are given."""
    path = PLAN.path(folder, 0)
    assert shards.missing(folder, PLAN) == ([], [])
    whole = path.read_bytes()
    for kept in (0, 10, len(whole) // 2, len(whole) - 21, len(whole) - 1):
        path.write_bytes(whole[:kept])
        assert shards.missing(folder, PLAN) == ([0], [path])
        with pytest.raises(DrawingError, match=r"00000-of-00003\.jsonl\.gz"):
            list(read_drawings(folder))
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-20]) + shards.END)
    reading = read_drawings(path)
    assert next(reading)[0] == NAMES[0]
    with pytest.raises(DrawingError, match=r"00000-of-00003\.jsonl\.gz, line 2: not JSON"):
        next(reading)


def test_a_folder_that_is_not_whole(folder, tmp_path):
    PLAN.path(folder, 1).unlink()
    with pytest.raises(DrawingError, match=r"lacks 1 of 3 shards, such as 00001-of-00003\.jsonl\.gz"):
        next(read_drawings(folder))
    assert len(Drawing.load(folder, 4)) == 4  # its shard is there
    with pytest.raises(DrawingError, match="no folder of drawings: it has no index"):
        next(read_drawings(tmp_path))
    with pytest.raises(FileNotFoundError):
        next(read_drawings(tmp_path / "none.jsonl.gz"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"[]\n", "line 1: expected a JSON object with a name"),
        (b'{"name": 3}\n', "line 1: expected a JSON object with a name"),
        (b'{"name": "a"}\n', "line 1: not a drawing"),
        (b"\xff\n", "line 1: not JSON"),
        (b"[" * 100_000, "line 1: not JSON"),
        (b" " * (shards.LARGEST_LINE + 1), "line 1 has more than 16777216 bytes"),  # 16 kB in the file
    ],
)
def test_lines_that_are_no_drawings(tmp_path, line, message):
    path = tmp_path / "bad.jsonl.gz"
    path.write_bytes(gzip.compress(line))
    assert path.stat().st_size < 20_000
    with pytest.raises(DrawingError, match=f"bad.jsonl.gz, {message}"):
        list(read_drawings(path))


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[]",
        b'{"format": "strokezoo-drawings", "version": 2, "images": 5, "shard": 2}',
        b'{"format": "strokezoo-drawings", "version": 1, "images": 0, "shard": 2}',
        b'{"format": "strokezoo-drawings", "version": 1, "images": 1e999, "shard": 2}',
        b'{"format": "strokezoo-drawings", "version": 1, "images": 1000000000000, "shard": 1}',
        b'{"format": "strokezoo-drawings", "version": 1, "images": 5}',
        b" " * (shards.LARGEST_INDEX + 1),
    ],
)
def test_an_index_that_is_none(folder, index):
    (folder / "index.json").write_bytes(index)
    with pytest.raises(DrawingError, match=r"index\.json"):
        next(read_drawings(folder))


def test_a_full_disk(folder, monkeypatch):
    """The error names the shard; nothing is left of it, and the others stay."""
    PLAN.path(folder, 1).unlink()
    before = sorted(folder.iterdir())

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left .*00001-of-00003\.jsonl\.gz") as e:
        shards.write_shard(PLAN.path(folder, 1), [shards.line("a", "{}")])
    assert e.value.errno == errno.ENOSPC
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(("images", "shard"), [(0, 1), (5, 0), (5, -1), (5, 1 << 21), (1 << 70, 8), (100_001, 1)])
def test_plans_out_of_range(images, shard):
    with pytest.raises(ValueError, match="expected at least 1"):
        shards.Plan(images, shard)


def test_one_drawing_has_nothing_to_pick(tmp_path, drawings):
    drawings["z.png"].save(tmp_path / "z.json")
    with pytest.raises(DrawingError, match="nothing to pick"):
        Drawing.load(tmp_path / "z.json", 0)
