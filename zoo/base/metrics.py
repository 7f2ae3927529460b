"""The figures by which pictures are judged, in one place."""

from __future__ import annotations

from torchmetrics import MeanSquaredError, MetricCollection
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure


def pictures() -> MetricCollection:
    """Of pictures (B, C, H, W) in [0, 1] and their targets: ``mse``, per pixel; ``psnr`` of the mean of all squared errors, in dB; ``ssim``
    (Wang et al., 2004: a Gaussian window of 11 × 11), the mean over the pictures. All ranks together under DDP."""
    return MetricCollection(
        {
            "mse": MeanSquaredError(),
            "psnr": PeakSignalNoiseRatio(data_range=1.0),
            "ssim": StructuralSimilarityIndexMeasure(data_range=1.0),
        },
        compute_groups=False,
    )
