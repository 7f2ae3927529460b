"""Weekly: do the data sets' addresses still give files of the right size?"""

import urllib.request

import pytest

import datamodules

ADDRESSES = [
    (url, remote.bytes)
    for cls in (datamodules.MNIST, datamodules.KMNIST, datamodules.SVHN, datamodules.Omniglot, datamodules.CelebA)
    for remote in cls.downloads().values()
    for url in remote.urls
]


@pytest.mark.network
@pytest.mark.parametrize(("url", "size"), ADDRESSES)
def test_address(url, size):
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=60) as reply:
        assert int(reply.headers["Content-Length"]) == size
