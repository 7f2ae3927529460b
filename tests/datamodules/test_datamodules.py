"""Every data module on tiny files in the true format, and what each refuses."""

import gzip
import hashlib
import http.server
import socketserver
import threading
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from PIL import Image
from pytorch_lightning.trainer.states import TrainerFn
from tiny_files import digits, idx, write_omniglot

import datamodules
from datamodules import folder
from datamodules.base import hold_out, resize
from datamodules.files import DataError, Remote, download
from datamodules.strokes import TEST, VALIDATION

IMAGES = {
    "MNIST": {},
    "KMNIST": {},
    "ColoredMNIST": {},
    "FloorPlans": {},
    "SyntheticFloorPlans": {"train": 20},
    "Prisms": {"train": 20},
    "Omniglot": {"part": "small"},
    "SVHN": {},
    "CelebA": {},
    "ImageNet": {},
    "ImageFolder": {},
    "LineArt": {},
}


def make(name, image_folder, **options):
    options = IMAGES[name] | options
    if name == "ImageFolder":
        options["root"] = str(image_folder)
    return getattr(datamodules, name)(image_size=32, batch_size=4, **options)


def test_every_image_module_is_tested():
    named = {
        n for n in datamodules.__all__ if n not in ("DataModule", "Images", "Sketches", "StoredStrokes", "Strokes")
    }
    assert named == set(IMAGES)


@pytest.mark.parametrize("name", IMAGES)
def test_batches(name, data_root, image_folder):
    data = make(name, image_folder)
    data.prepare_data()  # everything is there: no network
    data.setup("fit")
    data.setup("test")
    for split in ("train", "val", "test"):
        loader = getattr(data, f"{split}_dataloader")()
        raw = next(iter(loader))
        batch = data.on_after_batch_transfer(raw, 0)
        b = len(batch["label"])
        assert 1 <= b <= 4
        assert batch["image"].shape[0] == b
        assert batch["image"].shape[2:] == (32, 32)
        assert batch["image"].dtype == torch.float32
        assert 0 <= batch["image"].min() < batch["image"].max() <= 1
        assert batch["label"].dtype == torch.int64
    inverted = make(name, image_folder, invert=True)
    torch.testing.assert_close(inverted.on_after_batch_transfer(raw, 0)["image"], 1 - batch["image"])
    assert data.licence


NAMED = {  # an item's name, where it has a file's
    "FloorPlans": "plans/00.png",
    "CelebA": "img_align_celeba/000001.jpg",
    "ImageNet": "n00000000/n00000000_0.JPEG",
    "ImageFolder": "a/0.png",
}


@pytest.mark.parametrize("name", IMAGES)
def test_items_have_names(name, data_root, image_folder):
    """Each another: the file's, or the place in the split. `zoo predict` draws the test split, or all of a folder."""
    data = make(name, image_folder)
    data.setup(TrainerFn.PREDICTING)
    (split,) = data.datasets
    names = [data.name_of(split, i) for i in range(data.count(split))]
    assert split == ("all" if name == "ImageFolder" else "test")
    assert len(set(names)) == len(names) == sum(len(b[1]) for b in data.predict_dataloader())
    if name == "LineArt":
        assert all(n.endswith(".svg") for n in names)
    else:
        assert names[0] == NAMED.get(name, f"{split}/0")


def test_a_folders_images_are_sorted_by_their_paths(image_folder):
    """As Path sorts them, whatever else lies there: the splits follow from the order."""
    some = next(image_folder.rglob("*.png")).read_bytes()
    for name in ("a b/1.PNG", "a/b/1.png", "a-b/1.png", "é.png", "A.png", ".png", "a/x.txt", "d.png/1.png"):
        (image_folder / name).parent.mkdir(exist_ok=True, parents=True)
        (image_folder / name).write_bytes(some)
    (image_folder / "link").symlink_to(image_folder / "a")
    (image_folder / "link.png").symlink_to(image_folder / "é.png")
    (image_folder / "dead.png").symlink_to(image_folder / "gone.png")
    paths = sorted(p for p in image_folder.rglob("*") if p.suffix.lower() == ".png" and p.is_file())
    assert folder.images_below(image_folder) == [p.relative_to(image_folder).as_posix() for p in paths]


@pytest.mark.parametrize("name", IMAGES)
def test_splits_do_not_overlap(name, data_root, image_folder):
    data = make(name, image_folder)
    seen = {}
    for split in ("train", "val", "test"):
        part = data.split(split)
        for i in range(len(part)):
            key = part[i][0].numpy().tobytes() if name != "ImageFolder" else part.names[i]
            assert seen.setdefault(key, split) == split
    assert set(seen.values()) == {"train", "val", "test"}


def test_mnist_reads_what_is_in_the_files(data_root):
    data = datamodules.MNIST()
    test = data.split("test")
    np.testing.assert_array_equal(test.images[:, 0].numpy(), digits(24, seed=1))
    assert test.labels.tolist() == [i % 10 for i in range(24)]
    assert (len(data.split("train")), len(data.split("val"))) == (16, 8)


def test_svhn_reads_what_is_in_the_files(data_root):
    from scipy.io import loadmat

    test = datamodules.SVHN().split("test")
    mat = loadmat(str(data_root / "svhn" / "test_32x32.mat"))
    np.testing.assert_array_equal(test.images[3].numpy(), mat["X"][..., 3].transpose(2, 0, 1))
    assert test.labels.tolist() == [v % 10 for v in mat["y"].ravel().tolist()]
    assert 0 in test.labels.tolist()  # stored as 10


def test_svhn_learns_from_the_extra_part_too(data_root):
    plain, extra = datamodules.SVHN(), datamodules.SVHN(extra=True)
    assert (len(plain.split("train")), len(extra.split("train"))) == (8, 8 + 12)
    assert len(extra.split("val")) == len(plain.split("val")) == 4
    assert set(extra.files()) - set(plain.files()) == {"extra_32x32.mat"}


def test_omniglot_keeps_alphabets_aside(data_root):
    data = datamodules.Omniglot(part="small")
    test = data.split("test")
    assert len(test) == 10  # of small2, Latin is left out: it trains
    np.testing.assert_array_equal(
        test.images[:, 0].numpy() > 127,
        np.stack([d > 0 for d in _ink(digits(10, 105, seed=sum(map(ord, "Tagalog"))))])[_order(10)],
    )
    with pytest.raises(ValueError, match="parts full, small, not 'x'"):
        datamodules.Omniglot(part="x")


def _ink(images):
    return [np.asarray(Image.fromarray(255 - i).convert("1").convert("L")) == 0 for i in images]


def _order(n):
    """Sorted by name: character01 has the even ones."""
    return list(range(0, n, 2)) + list(range(1, n, 2))


def test_omniglot_full_is_the_official_split(tmp_path):
    write_omniglot(tmp_path / "omniglot" / "images_background.zip", ("Greek", "Latin"), each=10)
    write_omniglot(tmp_path / "omniglot" / "images_evaluation.zip", ("Tengwar",))
    data = datamodules.Omniglot(root=str(tmp_path))
    assert [len(data.split(s)) for s in ("train", "val", "test")] == [18, 2, 10]


def test_image_folder_labels_and_few_images(image_folder, tmp_path):
    data = datamodules.ImageFolder(str(image_folder), channels=3, image_size=16)
    labels = {label for s in ("train", "val", "test") for _, label in data.split(s)}
    assert labels == {0, 1}
    assert data.split("train")[0][0].shape == (3, 16, 16)
    few = tmp_path / "few"
    few.mkdir()
    Image.new("RGB", (9, 20), "red").save(few / "one.png")
    assert [len(datamodules.ImageFolder(str(few)).split(s)) for s in ("train", "val", "test")] == [1, 1, 1]


def test_hold_out_is_a_partition():
    parts = [set(hold_out(57, s).tolist()) for s in ("train", "val", "test")]
    assert set.union(*parts) == set(range(57))
    assert sum(map(len, parts)) == 57
    assert parts[2] == {0, 10, 20, 30, 40, 50}


def test_resize_is_antialiased():
    checker = ((torch.arange(64)[:, None] + torch.arange(64)) % 2 * 255).byte()[None, None]
    assert (resize(checker, 8) - 0.5).abs().max() < 0.05


# --- the order of batches ---


class Progress:
    """What of a Trainer decides the order of batches."""

    def __init__(self, processed, rank=0, world=1):
        from types import SimpleNamespace as Space

        self.fit_loop = Space(epoch_loop=Space(batch_progress=Space(total=Space(processed=processed))))
        self.global_rank, self.world_size, self.training = rank, world, True


def order(data, **progress):
    data.trainer = Progress(**progress)
    return [tuple(batch.tolist()) for batch in data.train_dataloader().sampler]


def test_the_kth_batch_follows_from_k(data_root, monkeypatch):
    data = datamodules.MNIST(batch_size=5)
    data.setup("fit")
    first, second = order(data, processed=0), order(data, processed=3)
    assert len(first) == 3  # 16 images: the last one waits for another epoch
    assert first != second
    assert order(data, processed=2) == [first[2], *second[:2]]  # stopped in mid-epoch
    assert order(data, processed=0) == first
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    assert order(data, processed=0) != first


def test_each_rank_has_its_own_batches(data_root):
    data = datamodules.MNIST(batch_size=2)
    data.setup("fit")
    whole = order(data, processed=0)
    ranks = [order(data, processed=0, rank=r, world=3) for r in range(3)]
    assert [len(r) for r in ranks] == [2, 2, 2]  # 8 batches, as many on each
    assert sorted(b for r in ranks for b in r) == sorted(whole[:6])


def test_random_numbers_of_a_batch_follow_from_its_number(data_root):
    data = datamodules.MNIST()
    drawn = []
    for processed, rank in ((4, 0), (4, 0), (5, 0), (4, 1)):
        data.trainer = Progress(processed, rank, 2)
        data.on_before_batch_transfer((torch.zeros(1), torch.zeros(1)), 0)
        drawn.append(torch.rand(1).item())
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


# --- strokes ---


def test_strokes_are_rollouts_and_repeat_by_seed():
    data = datamodules.Strokes("bezier", reset=3, steps=5, batch_size=7, image_size=32, seed=2)
    data.setup()
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["canvas"].shape == batch["next"].shape == (9, 1, 32, 32)  # 7, rounded up to whole rollouts
    assert batch["action"].shape == (9, 6)
    for first in (0, 3, 6):
        assert batch["canvas"][first].max() == 0
        torch.testing.assert_close(batch["canvas"][first + 1], batch["next"][first])
    torch.testing.assert_close(data.renderer.paint(batch["canvas"], batch["action"]), batch["next"])
    again = datamodules.Strokes("bezier", reset=3, steps=5, batch_size=7, image_size=32, seed=2)
    torch.testing.assert_close(again.rollouts(11)["action"], data.rollouts(11)["action"])
    assert not torch.equal(data.rollouts(11)["action"], data.rollouts(12)["action"])
    seeds = [{int(s) for s in data.loader(n)} for n in ("train", "val", "test")]
    assert not seeds[0] & seeds[1]
    assert not seeds[1] & seeds[2]
    assert min(seeds[1]) >= VALIDATION
    assert min(seeds[2]) >= TEST
    firsts = [data.rollouts(next(int(s) for s in data.loader(n)))["action"] for n in ("val", "test")]
    assert not any(torch.equal(first, data.rollouts(seed)["action"]) for first in firsts for seed in seeds[0])
    assert not torch.equal(*firsts)
    with pytest.raises(ValueError, match="must be at least 1"):
        datamodules.Strokes(reset=0)


def test_strokes_of_each_epoch_differ():
    """Epochs are counted in batches done, which a resumed run has right at an epoch's end too."""
    data = datamodules.Strokes(steps=2, batch_size=4)
    total = SimpleNamespace(processed=0)
    progress = SimpleNamespace(batch_progress=SimpleNamespace(total=total))
    data.trainer = SimpleNamespace(world_size=1, fit_loop=SimpleNamespace(epoch_loop=progress))
    first = data.on_after_batch_transfer(torch.tensor([1]), 0)["action"]
    total.processed = 1
    assert torch.equal(first, data.on_after_batch_transfer(torch.tensor([1]), 0)["action"])
    total.processed = 2
    assert not torch.equal(first, data.on_after_batch_transfer(torch.tensor([1]), 0)["action"])
    val = data.on_after_batch_transfer(torch.tensor([VALIDATION]), 0)["action"]
    total.processed = 4
    torch.testing.assert_close(val, data.on_after_batch_transfer(torch.tensor([VALIDATION]), 0)["action"])


# --- bad files: one clear error that names the file ---


def breakages(path, whole):
    yield "truncated", whole[: len(whole) // 2]
    yield "empty", b""
    yield "other", b"<html>quota exceeded</html>"


@pytest.mark.parametrize("how", ["truncated", "empty", "other", "missing"])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("MNIST", "mnist/t10k-images-idx3-ubyte.gz"),
        ("MNIST", "mnist/t10k-labels-idx1-ubyte.gz"),
        ("KMNIST", "kmnist/kmnist-test-labels.npz"),
        ("Omniglot", "omniglot/images_background_small2.zip"),
        ("SVHN", "svhn/test_32x32.mat"),
    ],
)
def test_bad_files(name, file, how, data_root, image_folder):
    path = data_root / file
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(dict(breakages(path, path.read_bytes()))[how])
    with pytest.raises(DataError, match=path.name.replace(".", r"\.")):
        make(name, image_folder).split("test")


def test_idx_of_a_wrong_shape_or_content(data_root):
    path = data_root / "mnist" / "t10k-images-idx3-ubyte.gz"
    whole = idx(digits(24, seed=1))
    for data, message in (
        (idx(np.arange(9)), "IDX header"),
        (whole[:-5], "its header says"),
        (whole[:-1] + b"\x7f", "other content than the official file"),
    ):
        path.write_bytes(gzip.compress(data))
        with pytest.raises(DataError, match=message):
            datamodules.MNIST().split("test")


def test_images_and_labels_of_different_number(data_root, monkeypatch):
    monkeypatch.setattr(datamodules.MNIST, "contents", {})
    (data_root / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(7))))
    with pytest.raises(DataError, match=r"24.* 7 labels"):
        datamodules.MNIST().split("test")


def test_omniglot_of_a_wrong_size(tmp_path):
    path = tmp_path / "omniglot" / "images_background_small2.zip"
    write_omniglot(path, ("Greek",), side=28)
    write_omniglot(path.with_name("images_background_small1.zip"), ("Latin",))
    with pytest.raises(DataError, match=r"28×28 pixels, expected 105×105"):
        datamodules.Omniglot(part="small", root=str(tmp_path)).split("test")
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("x/readme.txt", "none")
    with pytest.raises(DataError, match=r"holds no \.png"):
        datamodules.Omniglot(part="small", root=str(tmp_path)).split("test")


def test_kmnist_never_unpickles(data_root):
    path = data_root / "kmnist" / "kmnist-test-imgs.npz"
    np.savez(path, np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="kmnist-test-imgs"):
        datamodules.KMNIST().split("test")


def test_image_folder_errors(tmp_path, image_folder):
    with pytest.raises(DataError, match="is not a folder"):
        datamodules.ImageFolder(str(tmp_path / "none")).split("train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        datamodules.ImageFolder(str(tmp_path / "empty")).split("train")
    bad = image_folder / "a" / "bad.png"
    bad.write_bytes(b"not an image")
    data = datamodules.ImageFolder(str(image_folder))
    parts = [data.split(s) for s in ("train", "val", "test")]
    where = [(p, p.names.index("a/bad.png")) for p in parts if "a/bad.png" in p.names]
    assert len(where) == 1
    part, i = where[0]
    with pytest.raises(DataError, match=r"bad\.png is not an image that Pillow can read"):
        part[i]
    part.strict = False
    black, label = part[i]
    assert (label, black.shape, int(black.max())) == (datamodules.base.UNREADABLE, (1, 64, 64), 0)
    bad.unlink()
    with pytest.raises(DataError, match="no file"):  # the disk's fault, not the image's
        part[i]
    with pytest.raises(ValueError, match="channels is 1 or 3"):
        datamodules.ImageFolder(str(image_folder), channels=2)


@pytest.mark.parametrize("name", [n for n in datamodules.__all__ if n != "Images"])
def test_every_option_is_explained(name):
    """As ``zoo fit --data.help datamodules.NAME`` shows it, inherited options too."""
    parser = ArgumentParser(exit_on_error=False)
    options = parser.add_class_arguments(getattr(datamodules, name), "data")
    missing = [a.dest for a in parser._actions if a.dest.startswith("data.") and not a.help]
    assert options
    assert missing == []


def test_root_is_the_argument_then_the_environment_then_a_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "a"))
    assert datamodules.MNIST(root=str(tmp_path / "b")).root == tmp_path / "b"
    assert datamodules.MNIST().root == tmp_path / "a"
    monkeypatch.delenv("ZOO_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert datamodules.MNIST().root == tmp_path / "c" / "strokezoo" / "data"


# --- downloads, from a server on this machine ---


class Server:
    """Serves one body; can cut the connection, ignore ranges, or fail."""

    def __init__(self, body, cut=None, ranges=True, status=200):
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].rstrip("-")) if ranges else 0
                outer.requests.append((self.path, start))
                if status != 200:
                    self.send_error(status)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                part = body[start:]
                self.wfile.write(part[:cut] if cut and len(outer.requests) == 1 else part)

            def log_message(self, *args):
                pass

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.server.shutdown()
        self.server.server_close()


BODY = bytes(range(256)) * 50


def remote(*urls, body=BODY):
    return Remote(urls, len(body), hashlib.sha256(body).hexdigest())


def test_download_is_whole_or_absent(tmp_path):
    path = tmp_path / "d" / "file.gz"
    with Server(BODY) as s:
        assert download(remote(s.url + "file.gz"), path).read_bytes() == BODY
        download(remote(s.url + "file.gz"), path)
        assert len(s.requests) == 1  # the second time nothing is fetched
    assert [p.name for p in path.parent.iterdir()] == ["file.gz"]


@pytest.mark.parametrize("ranges", [True, False])
def test_download_resumes(tmp_path, ranges):
    path = tmp_path / "file.gz"
    with Server(BODY, cut=1000, ranges=ranges) as s:
        with pytest.raises(DataError, match=r"could not download file\.gz"):
            download(remote(s.url + "x"), path)
        assert not path.exists()
        assert path.with_name("file.gz.part").stat().st_size == 1000
        assert download(remote(s.url + "x"), path).read_bytes() == BODY
        assert s.requests[1][1] == (1000 if ranges else 0)


def test_download_refuses_other_content_and_tries_the_next_mirror(tmp_path):
    path = tmp_path / "file.gz"
    with Server(BODY[::-1]) as wrong, Server(BODY) as right:
        with pytest.raises(DataError, match="sha256"):
            download(remote(wrong.url), path)
        assert list(tmp_path.iterdir()) == []
        assert download(remote(wrong.url, right.url), path).read_bytes() == BODY


def test_download_never_takes_more_than_it_should(tmp_path):
    with Server(BODY + b"more") as s:
        assert download(remote(s.url), tmp_path / "f").read_bytes() == BODY


def test_download_says_what_failed(tmp_path):
    with (
        Server(BODY, status=503) as s,
        pytest.raises(DataError, match=r"(?s)503.*put the file at .*file\.gz yourself") as e,
    ):
        download(remote(s.url), tmp_path / "file.gz")
    assert s.url in str(e.value).replace("\n", "")


def test_every_remote_has_https_or_is_checked():
    for cls in (datamodules.MNIST, datamodules.KMNIST, datamodules.SVHN, datamodules.Omniglot, datamodules.CelebA):
        for name, r in cls.downloads().items():
            assert len(r.sum) == 64, name
            assert r.bytes > 0
            assert all(
                u.startswith("http") and (u.endswith(name) or "//drive.usercontent.google.com/" in u) for u in r.urls
            )


# --- the real thing ---


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "options", "sizes"),
    [
        ("MNIST", {}, (55000, 5000, 10000)),
        ("KMNIST", {}, (8000, 1000, 1000)),
        ("Omniglot", {"part": "small"}, (2448, 272, 2120)),
    ],
)
def test_real_data(name, options, sizes):
    data = getattr(datamodules, name)(**options)
    data.prepare_data()
    assert tuple(len(data.split(s)) for s in ("train", "val", "test")) == sizes
