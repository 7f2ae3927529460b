"""What every method stands on: drawers, painters, layers, tiling, metrics, images."""
