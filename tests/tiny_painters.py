"""Tiny neural painters, and short trainings of them."""

import torch
from pytorch_lightning import Trainer

import zoo


def gan(renderer="qbc", **options):
    torch.manual_seed(0)
    return zoo.NeuralPainterGAN(renderer, **({"width": 8} | options)).eval().requires_grad_(False)


def fit(model, data, steps):
    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_steps=steps, max_epochs=-1, enable_model_summary=False, limit_val_batches=0, **options)
    trainer.fit(model, data)
    return trainer


def weights(model):
    """Without biases: the critic's last has no effect on what it tells apart."""
    return [p.clone() for p in model.parameters() if p.ndim > 1]
