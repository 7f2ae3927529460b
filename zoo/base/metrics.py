"""The figures by which pictures are judged, in one place."""

from __future__ import annotations

from torchmetrics import MeanSquaredError, MetricCollection
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure


def pictures() -> MetricCollection:
    """The metrics of pictures (B, C, H, W) in [0, 1] against their targets, over all ranks under DDP.

    Returns:
        ``mse``, per pixel; ``psnr`` of the mean of all squared errors, in dB; ``ssim``, the mean over the pictures
        (Wang et al., 2004, with a Gaussian window of 11 × 11).
    """
    return MetricCollection(
        {
            "mse": MeanSquaredError(),
            "psnr": PeakSignalNoiseRatio(data_range=1.0),
            "ssim": StructuralSimilarityIndexMeasure(data_range=1.0),
        },
        compute_groups=False,
    )
