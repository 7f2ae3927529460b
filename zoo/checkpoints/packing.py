"""A model's weights as the bytes of a safetensors file, and back: half precision, or matrices of 8 bits.

Those are quantised in blocks, linearly, by the largest value of each (block-wise absmax; Dettmers et al., 2022,
arXiv:2110.02861).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.checkpoints.entry import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

BITS = (16, 8)
GROUP = 32  # weights that share a scale
SMALL = 100_000  # weights; matrices of fewer stay in float16: last layers are among them, where 8 bits can cost much
SCALE = ":scale"  # what is added to a matrix's name; no name of a parameter has a colon


def pack(model: Any, bits: int = 16) -> bytes:
    """A model's weights as a safetensors file.

    Args:
        model: a drawer or a painter.
        bits: 16 for float16 throughout. 8 writes large parameters of two and more dimensions as int8, with a scale
            for every 32 weights, which is half as large; a weight moves by up to 1/254 of the largest of its 32.

    Raises:
        CheckpointError: some weights are not finite.
        ValueError: bits is neither.
    """
    import torch
    from safetensors.torch import save as to_safetensors

    if bits not in BITS:
        raise ValueError(f"weights have {bits} bits; expected one of {BITS}")
    state = {k: v.detach().cpu() for k, v in model.state_dict().items()}
    if bad := [k for k, v in state.items() if not torch.isfinite(v).all()]:
        raise CheckpointError(f"the weights {', '.join(bad)} are not finite: this model cannot be saved")
    matrices = {k for k, v in model.named_parameters() if v.ndim > 1 and v.numel() >= SMALL} if bits == 8 else set()
    packed: dict[str, Tensor] = {}
    for name, value in state.items():
        if name in matrices:
            rows = groups(value.float())
            scale = (rows.abs().amax(1) / 127).half()
            whole = (rows / scale.float().clamp(min=1e-8)[:, None]).round().clamp(-127, 127)
            packed[name] = whole.flatten()[: value.numel()].view_as(value).to(torch.int8)
            packed[name + SCALE] = scale
        else:
            packed[name] = value.half() if value.is_floating_point() else value
    return to_safetensors({k: v.contiguous() for k, v in packed.items()})


def unpack(data: bytes) -> dict[str, Tensor]:
    """The weights of a file of :func:`pack`, in float32.

    Raises:
        safetensors.SafetensorError: it is no safetensors file.
        CheckpointError: a matrix and its scales do not belong together.
    """
    from safetensors.torch import load as from_safetensors

    stored = from_safetensors(data)
    scales = {k.removesuffix(SCALE): stored.pop(k) for k in list(stored) if k.endswith(SCALE)}
    state = {k: v.float() if v.is_floating_point() else v for k, v in stored.items()}
    for name, scale in scales.items():
        whole = state.get(name)
        if whole is None or scale.shape != (-(-whole.numel() // GROUP),):
            raise CheckpointError(f"{name}{SCALE} does not belong to the weights {name}: fetch the file again")
        rows = groups(whole.float()) * scale.float()[:, None]
        state[name] = rows.flatten()[: whole.numel()].view_as(whole)
    return state


def groups(value: Tensor) -> Tensor:
    """Weights in their order, GROUP in a row; the last row is filled with nothing."""
    from torch.nn.functional import pad

    return pad(value.flatten(), (0, -value.numel() % GROUP)).view(-1, GROUP)
