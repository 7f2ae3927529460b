"""The figures of pictures, against scikit-image and by hand."""

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import datamodules
import zoo
from zoo.base.metrics import pictures


def test_against_scikit_image():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(5, 1, 48, 40, generator=generator)
    drawn = (target + 0.1 * torch.randn(target.shape, generator=generator)).clamp(0, 1)
    figures = pictures()
    for part in (slice(0, 2), slice(2, 5)):
        figures.update(drawn[part], target[part])
    found = {k: float(v) for k, v in figures.compute().items()}
    a, b = drawn.numpy(), target.numpy()
    assert found["mse"] == pytest.approx(((a - b) ** 2).mean(), rel=1e-5)
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(b, a, data_range=1.0), rel=1e-5)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    expected = [structural_similarity(x[0], y[0], **options) for x, y in zip(a, b, strict=True)]
    assert found["ssim"] == pytest.approx(np.mean(expected), abs=0.01)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_drawer_logs_them(image_folder, precision):
    torch.manual_seed(0)
    model, data = (
        zoo.CanvasDrawer(image_size=16, steps=2),
        datamodules.ImageFolder(str(image_folder), image_size=16, batch_size=2),
    )
    trainer = Trainer(
        accelerator="cpu", precision=precision, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    (found,) = trainer.test(model, data, verbose=False)
    assert set(found) == {"test/mse", "test/psnr", "test/ssim", "test/painter_mse"}
    assert found["test/psnr"] == pytest.approx(-10 * np.log10(found["test/mse"]), rel=1e-4)
    assert -1 <= found["test/ssim"] <= 1
