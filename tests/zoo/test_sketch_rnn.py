"""sketch-rnn: every equation against a slow scalar form, and everything that its users do."""

import csv
import math
from unittest.mock import Mock

import numpy as np
import pytest
import sketch_figures
import torch
from PIL import Image
from tiny_files import sketches, write_sketches

import datamodules
import zoo
from datamodules.quickdraw_classes import CLASSES
from datamodules.sketch_files import from_drawing, to_drawing
from datamodules.sketches import pad
from renderers import Drawing
from zoo.checkpoints.loading import save
from zoo.checkpoints.methods import arguments
from zoo.cli.main import main
from zoo.sketch_rnn import networks
from zoo.sketch_rnn.inputs import between, on_page, stroke3
from zoo.sketch_rnn.mixture import Mixture, kl, reconstruction
from zoo.sketch_rnn.networks import DRAWN, KEPT, LSTM, SPREAD, Decoder, Encoder, HyperLSTM, LayerNormLSTM, Places
from zoo.sketch_rnn.options import KL, Decay, Measured, Network
from zoo.sketch_rnn.shared import Shared

SIZES = {"encoder_size": 12, "decoder_size": 16, "z_size": 4, "mixtures": 3}


def tiny(n_max=24, classes=(), network=None, **options):
    torch.manual_seed(0)
    measured = {"n_max": n_max, "classes": list(classes)}
    return zoo.SketchRNN(network=SIZES | (network or {}), measured=measured, **options).eval()


def padded(parts, n_max):
    lengths = torch.tensor([len(s) for s in parts])
    return pad(torch.tensor(np.concatenate(parts)).float(), lengths, n_max), lengths


# --- the law of the next point, and the losses ---


def normal(x, y, mx, my, sx, sy, rho):
    """The bivariate normal density, from its definition."""
    z = ((x - mx) / sx) ** 2 + ((y - my) / sy) ** 2 - 2 * rho * (x - mx) * (y - my) / (sx * sy)
    return math.exp(-z / (2 * (1 - rho**2))) / (2 * math.pi * sx * sy * math.sqrt(1 - rho**2))


def softmax(values):
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def slow(y, target, lengths, n_max, m=3):
    """Equation 9, number by number. y has all N_max steps."""
    l_s = l_p = 0.0
    for b in range(len(y)):
        for i in range(n_max):
            row = y[b][i].tolist()
            pi, mx, my, sx, sy, rho = (row[k * m : (k + 1) * m] for k in range(6))
            q = softmax(row[-3:])
            dx, dy, *p = target[b][i].tolist()
            if i < lengths[b]:  # i counts from 0
                weights = softmax(pi)
                l_s -= math.log(
                    sum(
                        weights[j] * normal(dx, dy, mx[j], my[j], math.exp(sx[j]), math.exp(sy[j]), math.tanh(rho[j]))
                        for j in range(m)
                    )
                )
            l_p -= sum(p[k] * math.log(q[k]) for k in range(3))
    return l_s / n_max / len(y), l_p / n_max / len(y)


def test_reconstruction_loss_is_equation_9():
    torch.manual_seed(1)
    n_max, parts = 30, [s / 8 for s in sketches(4, longest=12)]
    points, lengths = padded(parts, n_max)
    whole = torch.zeros(4, n_max + 1, 5)
    whole[..., 4] = 1
    whole[:, : points.shape[1]] = points
    y = torch.randn(4, n_max, 21)
    for b, n in enumerate(lengths.tolist()):
        y[b, n + 2 :] = y[b, n + 1]  # the state is held once the end token has been read
    expected = slow(y, whole[:, 1:], lengths.tolist(), n_max)
    got = reconstruction(y, whole[:, 1:], lengths, n_max)  # padded to N_max
    short = reconstruction(
        y[:, : points.shape[1] - 1], points[:, 1:], lengths, n_max
    )  # padded to the longest of the batch
    for a, b, c in zip(expected, got, short, strict=True):
        assert b.mean().item() == pytest.approx(a, rel=1e-5)
        assert c.mean().item() == pytest.approx(a, rel=1e-5)


def test_a_sketch_of_n_max_points_has_no_end():
    parts = [sketches(1)[0] / 8]
    n = len(parts[0])
    points, lengths = padded(parts, n)
    y = torch.randn(1, n, 21)
    got = reconstruction(y, points[:, 1:], lengths, n)
    assert [g.item() for g in got] == pytest.approx(slow(y, points[:, 1:], lengths.tolist(), n), rel=1e-5)


def test_kl_is_equation_10():
    mean, log_variance = torch.randn(3, 5), torch.randn(3, 5)
    expected = 0.0
    for b in range(3):
        for k in range(5):
            s, m = log_variance[b, k].item(), mean[b, k].item()
            expected -= (1 + s - m**2 - math.exp(s)) / (2 * 5) / 3
    assert kl(mean, log_variance).item() == pytest.approx(expected, rel=1e-5)
    assert kl(torch.zeros(2, 4), torch.zeros(2, 4)) == 0


@pytest.mark.parametrize("offset", [0.0, 1e-6, 1000.0, -1000.0])
@pytest.mark.parametrize("size", [0.0, 1.0, 20.0, 200.0])
def test_no_nan(offset, size):
    torch.manual_seed(0)
    y = (torch.randn(2, 8, 21) * size).requires_grad_()
    parts = [np.array([[offset, -offset, 0], [offset, offset, 0], [0, 0, 1.0]], np.float32)] * 2
    points, lengths = padded(parts, 8)
    loss = sum(reconstruction(y[:, : points.shape[1] - 1], points[:, 1:], lengths, 8)).mean()
    loss.backward()
    assert math.isfinite(loss.item())
    assert torch.isfinite(y.grad).all()


def test_a_batch_of_similar_lengths_has_the_loss_of_the_padded_one():
    """The same model, run to the longest sketch of the batch, and to N_max with the state held after the end token."""
    model, n_max = tiny(), 40
    parts = [s / 8 for s in sketches(5, longest=14)]
    points, lengths = padded(parts, n_max)
    short = model.losses(
        {"sketch": points, "length": lengths, "label": lengths * 0, "n_max": n_max}, torch.Generator().manual_seed(3)
    )
    long = torch.zeros(5, n_max + 1, 5)
    long[..., 4] = 1
    long[:, : points.shape[1]] = points
    mean, log_variance = model.encoder(long[:, 1:], lengths)
    z = mean + torch.exp(log_variance / 2) * torch.randn(mean.shape, generator=torch.Generator().manual_seed(3))
    rows = []
    for b in range(5):
        state, outputs = model.decoder.start(1, z[b : b + 1]), []
        for i in range(n_max):
            if i <= lengths[b] + 1:
                y, state = model.decoder(long[b : b + 1, i : i + 1], z[b : b + 1], state)
            outputs.append(y[0, 0])
        rows.append(torch.stack(outputs))
    expected = slow(torch.stack(rows), long[:, 1:], lengths.tolist(), n_max)
    assert short["L_s"].item() == pytest.approx(expected[0], rel=1e-4)
    assert short["L_p"].item() == pytest.approx(expected[1], rel=1e-4)
    assert short["L_KL"].item() == pytest.approx(kl(mean, log_variance).item(), rel=1e-5)


def test_sampling_follows_the_law():
    torch.manual_seed(0)
    y = torch.randn(21).expand(200_000, 21)
    law = Mixture.of(y)
    offset, pen = law.sample(1.0, 1.0, False, torch.Generator().manual_seed(0))
    share = torch.bincount(pen, minlength=3) / len(pen)
    torch.testing.assert_close(share, law.pen[0].softmax(-1), atol=0.01, rtol=0)
    weights = law.log_pi[0].exp()
    torch.testing.assert_close(offset[:, 0].mean(), (weights * law.mean_x[0]).sum(), atol=0.02, rtol=0)
    torch.testing.assert_close(offset[:, 1].mean(), (weights * law.mean_y[0]).sum(), atol=0.02, rtol=0)
    second = (
        weights
        * (law.log_sigma_x[0].exp() * law.log_sigma_y[0].exp() * law.rho_hat[0].tanh() + law.mean_x[0] * law.mean_y[0])
    ).sum()
    torch.testing.assert_close((offset[:, 0] * offset[:, 1]).mean(), second, atol=0.05, rtol=0.03)


def test_temperature_is_equation_8():
    y = torch.randn(1, 21, generator=torch.Generator().manual_seed(2)).expand(100_000, 21)
    law = Mixture.of(y)
    offset, pen = law.sample(0.25, 0.25, False, torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        torch.bincount(pen, minlength=3) / len(pen), (law.pen[0] / 0.25).softmax(-1), atol=0.01, rtol=0
    )
    weights = (law.log_pi[0] / 0.25).softmax(-1)
    mean = (weights * law.mean_x[0]).sum()
    variance = (weights * ((2 * law.log_sigma_x[0]).exp() * 0.25 + law.mean_x[0] ** 2)).sum() - mean**2
    torch.testing.assert_close(offset[:, 0].var(), variance, rtol=0.03, atol=0)
    cold, _ = law.sample(1e-6, 1e-6, False, torch.Generator().manual_seed(0))
    greedy, _ = law.sample(1.0, 1.0, True, None)
    torch.testing.assert_close(cold, greedy, atol=0.02, rtol=0)


# --- cells ---


def scalar_norm(values, gain, bias):
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / len(values)
    return [(v - mean) / math.sqrt(variance + 1e-3) * g + b for v, g, b in zip(values, gain, bias, strict=True)]


def sigmoid(v):
    return 1 / (1 + math.exp(-v))


def slow_gates(norms, gates, c, n):
    """The rest of a layer-normalised step, number by number."""
    gain, bias = norms.gain.tolist(), norms.bias.tolist()
    i, f, g, o = (scalar_norm(gates[k * n : (k + 1) * n], gain[k], bias[k]) for k in range(4))
    new_c = [sigmoid(f[k] + 1) * c[k] + sigmoid(i[k]) * math.tanh(g[k]) for k in range(n)]
    normal = scalar_norm(new_c, norms.cell.weight.tolist(), norms.cell.bias.tolist())
    return [sigmoid(o[k]) * math.tanh(normal[k]) for k in range(n)], new_c


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix.tolist()]


def shake(cell):
    with torch.no_grad():
        for p in cell.parameters():
            p.add_(torch.randn_like(p) * 0.3)
    return cell.eval()


def test_layer_norm_lstm_is_its_scalar_form():
    torch.manual_seed(0)
    cell = shake(LayerNormLSTM(3, 4))
    x, h, c = torch.randn(3), torch.randn(4), torch.randn(4)
    gates = [a + b for a, b in zip(times(cell.w_x, x.tolist()), times(cell.w_h, h.tolist()), strict=True)]
    expected = slow_gates(cell.norms, gates, c.tolist(), 4)
    got = cell.step(cell.project(x[None]), (h[None], c[None]), *cell.weights())
    for a, b in zip(got, expected, strict=True):
        assert a[0].tolist() == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_hyper_lstm_is_its_scalar_form():
    torch.manual_seed(0)
    n, k, e = 4, 3, 2
    cell = shake(HyperLSTM(2, n, hyper=k, embedding=e))
    x, h, c, sh, sc = torch.randn(2), torch.randn(n), torch.randn(n), torch.randn(k), torch.randn(k)
    wx, wh = times(cell.w_x, x.tolist()), times(cell.w_h, h.tolist())
    small_gates = [
        a + b + d for a, b, d in zip(wx[: 4 * k], wh[: 4 * k], times(cell.w_small, sh.tolist()), strict=True)
    ]
    new_sh, new_sc = slow_gates(cell.small_norms, small_gates, sc.tolist(), k)
    wx, wh, unfold = wx[4 * k :], wh[4 * k :], cell.unfold.tolist()
    embedded = [a + b for a, b in zip(times(cell.embed.weight, new_sh), cell.embed.bias.tolist(), strict=True)]
    gates = []
    for gate in range(4):
        for j in range(n):
            zx, zh, zb = (embedded[(block * 4 + gate) * e : (block * 4 + gate + 1) * e] for block in range(3))
            dx, dh, db = (
                sum(v[q] * unfold[block * 4 + gate][q][j] for q in range(e)) for block, v in enumerate((zx, zh, zb))
            )
            gates.append(dx * wx[gate * n + j] + dh * wh[gate * n + j] + db + cell.bias[gate * n + j].item())
    expected = slow_gates(cell.norms, gates, c.tolist(), n)
    got = cell.step(cell.project(x[None]), (h[None], c[None], sh[None], sc[None]), *cell.weights())
    for a, b in zip(got, (*expected, new_sh, new_sc), strict=True):
        assert a[0].tolist() == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_the_fused_kernel_and_the_steps_agree():
    torch.manual_seed(0)
    cell = LSTM(3, 8, keep=0.5)
    x = torch.randn(6, 2, 3)
    fused, state = cell.eval()(x)
    steps, last = networks.Cell.forward(cell, x)
    torch.testing.assert_close(fused, steps, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, last, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(cell.train()(x)[0], fused)  # dropout


@pytest.mark.parametrize("make", [LSTM, LayerNormLSTM, HyperLSTM])
def test_an_input_that_stays_is_an_input(make):
    torch.manual_seed(0)
    cell = make(5, 8).eval()
    x, z = torch.randn(6, 2, 3), torch.randn(2, 2)
    whole, _ = cell(torch.cat([x, z.expand(6, 2, 2)], -1))
    torch.testing.assert_close(cell(x, z=z)[0], whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(networks.Cell.forward(cell, x, z=z)[0], whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [LSTM, LayerNormLSTM, HyperLSTM])
def test_recurrent_dropout_loses_no_memory(make):
    """With every candidate dropped, the cell keeps what its forget gate lets through."""
    torch.manual_seed(0)
    cell = make(3, 8, keep=0.5).train()
    cell.candidate = torch.zeros_like
    c = torch.ones(1, 8)
    state = cell.step(
        cell.project(torch.randn(1, 1, 3))[0],
        tuple(c if k == 1 else torch.zeros(1, s) for k, s in enumerate(cell.state_sizes)),
        *cell.weights(),
    )
    assert (state[1] > 0.2).all()
    drops = torch.stack(
        [(networks.Cell.candidate(cell, torch.ones(4000)) == 0).float().mean() for _ in range(5)]
    ).mean()
    assert drops == pytest.approx(0.5, abs=0.03)
    kept = networks.Cell.candidate(cell.eval(), torch.ones(5))
    torch.testing.assert_close(kept, torch.tanh(torch.ones(5)))


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("make", [LSTM, LayerNormLSTM, HyperLSTM])
def test_shared_weights_have_the_gradients_of_autograd(make, bf16):
    """Of a pass whose steps share their weights, against one where each multiplies by the weights themselves."""
    torch.manual_seed(0)
    cell, x = make(5, 6, 0.8).train(), torch.randn(7, 3, 5)
    with torch.no_grad():
        for p in cell.parameters():
            p += 0.1 * torch.randn_like(p)

    def gradients(plain):
        cell.compiled = plain  # as of cells whose steps are compiled
        cell.zero_grad()
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16, cache_enabled=False):
            outputs = networks.Cell.forward(cell, x)[0]
        outputs.float().square().sum().backward()
        return outputs, {name: p.grad.clone() for name, p in cell.named_parameters() if p.grad is not None}

    (slow, expected), (fast, got) = gradients(True), gradients(False)
    torch.testing.assert_close(fast, slow)
    assert set(got) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, atol=2e-2 if bf16 else 1e-5, rtol=2e-2 if bf16 else 1e-4)


def test_a_shared_weight_is_released_after_its_pass_and_may_be_passed_again():
    weight = torch.randn(3, 4, requires_grad=True)
    for _ in range(2):
        weight.grad = None
        shared = Shared(weight)
        x = torch.randn(2, 3, requires_grad=True)
        (x @ shared + (2 * x) @ shared).sum().backward()
        torch.testing.assert_close(weight.grad, (3 * x.detach()).sum(0)[:, None].expand(3, 4))
        torch.testing.assert_close(x.grad, 3 * weight.detach().sum(1).expand(2, 3))
        assert not shared.terms
    Shared(weight).weight.sum().detach()  # nothing goes backward: nothing is left


@pytest.mark.parametrize("make", [LSTM, LayerNormLSTM, HyperLSTM])
def test_recurrent_weights_start_orthogonal(make):
    cell = make(3, 8)
    weight = cell.fused.weight_hh_l0 if isinstance(cell, LSTM) else cell.w_h
    for gate in weight.detach()[-32:].chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8), atol=1e-5, rtol=0)


def test_unknown_cells():
    with pytest.raises(ValueError, match="no cell 'gru'; there are lstm, layer_norm, hyper"):
        zoo.SketchRNN(network={"cell": "gru"})


@pytest.mark.parametrize("kind", ["lstm", "layer_norm", "hyper"])
def test_the_encoder_sees_no_padding(kind):
    torch.manual_seed(0)
    encoder = Encoder(kind, 8, 4, 1.0).eval()
    points, lengths = padded([s / 8 for s in sketches(4)], 40)
    mean, log_variance = encoder(points[:, 1:], lengths)
    for b, n in enumerate(lengths.tolist()):
        one = encoder(points[b : b + 1, 1 : n + 1], lengths[b : b + 1])
        torch.testing.assert_close(one[0][0], mean[b], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(one[1][0], log_variance[b], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["lstm", "layer_norm", "hyper"])
def test_decoding_step_by_step_is_decoding_at_once(kind):
    torch.manual_seed(0)
    decoder = Decoder(kind, 8, 4, 3, 1.0).eval()
    points, z = torch.randn(2, 5, 5), torch.randn(2, 4)
    whole, _ = decoder(points, z)
    state, rows = None, []
    for i in range(5):
        y, state = decoder(points[:, i : i + 1], z, state)
        rows.append(y)
    torch.testing.assert_close(whole, torch.cat(rows, 1), atol=1e-5, rtol=1e-4)


def test_sizes_of_the_published_configurations():
    """The authors' default has 2.2 million parameters; the paper's is encoder 512, HyperLSTM 2048."""
    assert sum(p.numel() for p in zoo.SketchRNN().parameters()) == pytest.approx(2.2e6, rel=0.01)
    with torch.device("meta"):
        hyper = Decoder("hyper", 2048, 128, 20, 0.9)
    assert hyper.cell.state_sizes == (2048, 2048, 256, 256)
    assert hyper.cell.unfold.shape == (12, 32, 2048)


# --- learning ---


def test_training_loss_is_annealed_and_floored_and_validation_is_not(monkeypatch):
    model = tiny(kl={"weight": 0.7, "floor": 0.2, "eta_min": 0.1, "eta_rate": 0.9})
    found = {"L_R": torch.tensor(2.0), "L_KL": torch.tensor(0.05)}
    logged = {}
    monkeypatch.setattr(model, "losses", lambda *args: dict(found))
    monkeypatch.setattr(model, "log_dict", lambda values, **kwargs: logged.update(values))
    monkeypatch.setattr(type(model), "global_step", 7)
    assert model.training_step({}, 0).item() == pytest.approx(2 + 0.7 * (1 - 0.9 * 0.9**7) * 0.2)
    found["L_KL"] = torch.tensor(0.5)
    assert model.training_step({}, 0).item() == pytest.approx(2 + 0.7 * (1 - 0.9 * 0.9**7) * 0.5)
    found["L_KL"] = torch.tensor(0.05)
    model.validation_step({"length": torch.ones(2), "n_max": 24}, 0)
    assert logged["val/loss"].item() == pytest.approx(2 + 0.7 * 0.05)
    assert logged["val/N_max"] == 24


def test_learning_rate_falls_to_its_floor():
    model = tiny(lr=1e-3, decay={"lr_min": 1e-5, "rate": 0.9})
    made = model.configure_optimizers()
    schedule = made["lr_scheduler"]["scheduler"]
    for step in (0, 1, 50):
        expected = (1e-3 - 1e-5) * 0.9**step + 1e-5
        assert schedule.lr_lambdas[0](step) * 1e-3 == pytest.approx(expected, rel=1e-6)


def test_learning_rate_falls_by_half_a_cosine():
    model = tiny(lr=1e-3, decay={"lr_min": 1e-5, "over": 40})
    schedule = model.configure_optimizers()["lr_scheduler"]["scheduler"]
    rates = [schedule.lr_lambdas[0](step) * 1e-3 for step in (0, 10, 20, 40, 50)]
    half = (1e-3 - 1e-5) / 2
    expected = [1e-3, 1e-5 + half * (1 + 2**-0.5), 1e-5 + half, 1e-5, 1e-5]
    assert rates == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "layer_norm", "hyper"])
def test_overfits_a_batch(cell):
    torch.manual_seed(0)
    model = tiny(network={"cell": cell, "keep": 1.0, "decoder_size": 48, "encoder_size": 24}).train()
    points, lengths = padded([s / 8 for s in sketches(6, longest=12)], 12)
    batch = {"sketch": points, "length": lengths, "label": lengths * 0, "n_max": 12}
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    first = model.losses(batch)["L_R"].item()
    for _ in range(150):
        loss = model.losses(batch)["L_R"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)
        optimizer.step()
    assert loss.item() < first - 1.5


@pytest.mark.parametrize("cell", ["lstm", "layer_norm", "hyper"])
def test_starting_as_an_unconditional_model(cell):
    alone, model = tiny(conditional=False, network={"cell": cell}), tiny(network={"cell": cell})
    model.begin_as(alone)
    points = torch.randn(2, 6, 5)
    y = alone.decoder(points, None)[0]
    torch.testing.assert_close(model.decoder(points, torch.zeros(2, 4))[0], y, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(model.decoder(points, torch.ones(2, 4))[0], y, atol=1e-5)
    small = tiny(conditional=False, network={"cell": cell, "decoder_size": 8})
    for other in (tiny(network={"cell": cell}), small, zoo.CanvasDrawer(image_size=16)):
        with pytest.raises(
            ValueError, match="expected an unconditional SketchRNN with the same cell, decoder_size, mixtures"
        ):
            model.begin_as(other)


OLD = {  # the constructor arguments of a training checkpoint from before the groups
    "conditional": True,
    "cell": "lstm",
    "encoder_cell": "lstm",
    "encoder_size": 12,
    "decoder_size": 16,
    "z_size": 4,
    "mixtures": 3,
    "keep": 0.8,
    "w_kl": 0.3,
    "kl_min": 0.05,
    "eta_min": 0.02,
    "eta_rate": 0.99,
    "eta_wait": 7,
    "lr": 0.002,
    "lr_min": 1e-6,
    "lr_decay": 0.998,
    "compiled": False,
    "start_from": None,
    "n_max": 31,
    "extent": 9.5,
}


def test_old_arguments_load(tmp_path):
    """Flat ones of a published entry; and a training checkpoint that holds them is exported."""
    network = Network(encoder_size=12, decoder_size=16, z_size=4, mixtures=3, keep=0.8)
    ckpt = {
        "hyper_parameters": OLD | {"_class_path": "zoo.SketchRNN"},
        "state_dict": zoo.SketchRNN(network=network).state_dict(),
        "global_step": 5,
    }
    torch.save(ckpt, tmp_path / "old.ckpt")
    assert main(["export", str(tmp_path / "old.ckpt"), "--name", "old", "--out", str(tmp_path / "old")]) == 0
    for model in (zoo.SketchRNN(**arguments(zoo.SketchRNN, OLD)), zoo.load(tmp_path / "old")):
        assert model.network == network
        assert model.kl == KL(0.3, 0.05, 0.02, 0.99, 7)
        assert model.decay == Decay(0.998, 1e-6)
        assert model.measured == Measured(31, 9.5)
        assert model.hparams["kl"]["weight"] == 0.3  # plain values
    for key, value in zoo.load(tmp_path / "old").state_dict().items():
        torch.testing.assert_close(value, ckpt["state_dict"][key], atol=1e-3, rtol=1e-2)


def fit(tmp_path, name, *options):
    """One run of the command line; returns its training losses by step, and the folder."""
    args = [
        "fit",
        "--model",
        "SketchRNN",
        *(f"--model.network.{k}={v}" for k, v in SIZES.items()),
        "--model.network.keep=0.8",
    ]
    args += [
        "--data",
        "Sketches",
        f"--data.sources=[{tmp_path}/set.npz]",
        "--data.batch_size=8",
        "--data.scale_by=0.1",
        "--data.drop=0.2",
    ]
    args += ["--trainer.accelerator=cpu", "--trainer.log_every_n_steps=1", "--trainer.enable_progress_bar=false"]
    args += [
        "--trainer.enable_model_summary=false",
        "--trainer.logger=CSVLogger",
        f"--trainer.logger.save_dir={tmp_path}",
    ]
    args += [
        f"--trainer.logger.name={name}",
        "--trainer.callbacks=ModelCheckpoint",
        "--trainer.callbacks.save_last=true",
    ]
    args += ["--trainer.callbacks.every_n_train_steps=1", *options]
    assert main(args) == 0
    versions = sorted((tmp_path / name).glob("version_*"), key=lambda p: int(p.name.split("_")[1]))
    with (versions[-1] / "metrics.csv").open() as f:
        rows = [r for r in csv.DictReader(f) if r.get("train/L_R")]
    return {int(r["step"]): (r["train/L_R"], r["train/L_KL"]) for r in rows}, versions[-1]


def test_resuming_is_exact(tmp_path):
    """Stopped in mid-epoch and resumed, losses and weights are those of an uninterrupted run, digit by digit."""
    write_sketches(tmp_path / "set.npz")
    whole, folder = fit(tmp_path, "whole", "--trainer.max_steps=12")
    first, stopped = fit(tmp_path, "part", "--trainer.max_steps=7")
    second, resumed = fit(tmp_path, "part", "--trainer.max_steps=12", f"--ckpt_path={stopped}/checkpoints/last.ckpt")
    assert len(whole) == 12
    assert first | second == whole
    a, b = (torch.load(f / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for f in (folder, resumed))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_trained_by_the_command_exported_and_used(tmp_path):
    write_sketches(tmp_path / "set.npz")
    _, folder = fit(tmp_path, "run", "--trainer.max_steps=2")
    assert (
        main(["export", str(folder / "checkpoints" / "last.ckpt"), "--name", "mine", "--out", str(tmp_path / "mine")])
        == 0
    )
    model = zoo.load(tmp_path / "mine")
    data = datamodules.Sketches([str(tmp_path / "set.npz")])
    data.setup()
    assert model.measured.n_max == data.n_max
    assert model.measured.extent == pytest.approx(data.extent)
    assert len(model.sample(3)) == 3


def test_the_papers_figure_is_named(data_root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    args = ["test", "--config", "sketchrnn", "--model.kl.weight=0.25"]
    args += ["--model.network.decoder_size=8", "--model.network.encoder_size=8"]
    args += ["--trainer.accelerator=cpu", "--trainer.logger=false", "--trainer.enable_progress_bar=false"]
    assert main([*args, f"--data.root={data_root}"]) == 0
    assert "paper, Table 1: L_R -1.46, L_KL 1.01" in capsys.readouterr().out


# --- telling the class ---


def told(**options):
    """A model that knows three classes; of each batch nothing is withheld."""
    labels = {"size": 5, "untold": 0.0}
    return tiny(classes=["cat", "cart", "yoga"], **{"labels": labels, **options})


@pytest.fixture
def batch():
    points, lengths = padded([s / 8 for s in sketches(6)], 24)
    return {"sketch": points, "length": lengths, "label": torch.tensor([0, 0, 2, 2, 2, 0]), "n_max": 24}


@pytest.mark.parametrize("conditional", [True, False])
def test_the_label_changes_the_loss_and_learns(batch, conditional):
    model = told(conditional=conditional)
    loss = model.losses(batch, seeded())["L_R"]
    loss.backward()
    reached = model.label_vectors.weight.grad.abs().sum(1) > 0
    assert reached.tolist() == [True, False, True, False]  # neither cart, nor "not told"
    other = model.losses(batch | {"label": torch.ones(6, dtype=torch.long)}, seeded())["L_R"]
    assert other.item() != pytest.approx(loss.item(), abs=1e-6)


def test_some_classes_are_withheld_while_training(batch):
    model = told(labels={"size": 5, "untold": 0.5})
    torch.manual_seed(0)
    many = batch | {"label": torch.full((1000,), 2)}
    assert 400 < (model.train().labels_of(many) == -1).sum() < 600
    assert (model.eval().labels_of(many) == 2).all()
    with pytest.raises(ValueError, match=r"size -1 and untold 1\.0"):
        told(labels={"size": -1, "untold": 1.0})


def test_a_label_by_name(ends):
    model = told()
    cat = model.sample(3, label="cat", greedy=True, generator=seeded())
    assert cat != model.sample(3, label="yoga", greedy=True, generator=seeded())
    assert cat == model.sample(3, label=torch.zeros(3, dtype=torch.long), greedy=True, generator=seeded())
    assert len(model.sample(2)) == len(model.complete(ends[0][:4], 2, label="cart")) == 2
    assert model.reconstruct(ends[0], label="cat", greedy=True) != model.reconstruct(ends[0], label="cart", greedy=True)
    message = r"no class 'carts' \(did you mean 'cart'\?\); the model knows 3: cat, cart, yoga"
    with pytest.raises(ValueError, match=message):
        model.sample(1, label="carts")
    with pytest.raises(ValueError, match="label 'cat': this model is not told what to draw"):
        tiny().sample(1, label="cat")


def test_a_class_has_a_place_among_latent_vectors():
    """What is asked for is drawn from where its training sketches lie; what is not, from anywhere."""
    places = Places(3, 4)
    for i in range(2 * KEPT):  # of class 0 the first KEPT are forgotten; class 1 is drawn in two ways, class 2 in one
        way = 5.0 * (-1) ** i
        z = torch.tensor([[i, 0, 0, 0], [0, way, 0, 0], [0, -way, 0, 0], [0, 0, 7.0, 7.0]])
        places.update(z, torch.tensor([0, 1, 1, 2]), torch.tensor([float(i % 10), 1, 1, 1]))
    assert sorted(places.last[0, :, 0].tolist()) == list(range(KEPT, 2 * KEPT))
    labels = torch.arange(3).repeat(100)
    moved = places.move(torch.zeros(300, 4), labels, seeded())
    likely = sorted(range(KEPT, 2 * KEPT), key=lambda i: i % 10)[:DRAWN]
    assert set(moved[labels == 0, 0].tolist()) == set(likely)
    assert set(moved[labels == 1, 1].tolist()) == {-5.0, 5.0}
    assert (moved[labels == 2] == torch.tensor([0, 0, 7.0, 7.0])).all()
    z = torch.randn(300, 4, generator=seeded())
    around = places.move(z, labels, seeded()) - moved
    torch.testing.assert_close(around, SPREAD * places.last.std(1)[labels] * z)


def test_without_a_label_a_model_of_classes_draws_of_any():
    model = told()
    model.places.update(torch.tensor([[9.0] * 4, [-9.0] * 4, [5.0] * 4]), torch.arange(3), torch.zeros(3))
    model.places.last[:] = model.places.last[:, :1]
    z = model.prior(60, seeded())
    assert set(z[:, 0].tolist()) == {9.0, -9.0, 5.0}
    assert (model.prior(60, seeded(), "cart") == -9).all()
    assert 0.5 < tiny().prior(60, seeded()).std() < 1.5


def test_a_class_with_few_sketches_keeps_to_those():
    places = Places(2, 4)
    places.update(torch.ones(3, 4), torch.ones(3, dtype=torch.long), torch.ones(3))
    around = places.move(torch.zeros(50, 4), torch.ones(50, dtype=torch.long), seeded())
    assert (around == 1).all()
    assert torch.isfinite(places.move(torch.randn(9, 4), torch.zeros(9, dtype=torch.long))).all()


def test_training_finds_the_places_of_classes(batch):
    model = told().train()
    model.losses(batch)
    assert (model.places.seen > 0).tolist() == [True, False, True]
    before = model.places.last.clone()
    model.eval().losses(batch)
    assert torch.equal(model.places.last, before)
    assert told(conditional=False).places is None
    assert tiny().places is None


def test_starting_as_a_model_that_is_told(batch):
    alone, model = told(conditional=False), told()
    model.begin_as(alone)
    labels, z = torch.tensor([0, 1]), torch.zeros(2, 4)
    points = torch.randn(2, 6, 5)
    y = alone.decoder(points, alone.told(labels, None))[0]
    torch.testing.assert_close(model.decoder(points, model.told(labels, z))[0], y, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="is told one of 3 classes by 5 numbers"):
        tiny().begin_as(alone)
    told(conditional=False).begin_as(tiny(conditional=False))  # which knew of no classes


def test_classes_come_from_the_data_and_stay(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog", "cow"):
        write_sketches(tmp_path / f"{name}.npz")
    both = f"--data.sources=[{tmp_path}/dog.npz,{tmp_path}/cat.npz]"
    _, folder = fit(tmp_path, "run", both, "--trainer.max_steps=2", "--model.labels.size=3")
    last = str(folder / "checkpoints" / "last.ckpt")
    assert main(["export", last, "--name", "mine", "--out", str(tmp_path / "mine")]) == 0
    model = zoo.load(tmp_path / "mine")
    assert model.measured.class_names == ["dog", "cat"]
    assert len(model.label_vectors.weight) == 3
    sample = ["sample", "--model", str(tmp_path / "mine"), "--n", "2", "--out", str(tmp_path / "o.svg"), "--label"]
    assert main([*sample, "cat"]) == 0
    assert main([*sample, "cats"]) == 1
    assert "no class 'cats' (did you mean 'cat'?)" in capsys.readouterr().err

    again = ["fit", "--init_from", str(tmp_path / "mine"), "--data=Sketches", "--data.batch_size=8"]
    again += ["--trainer.max_steps=1", "--trainer.accelerator=cpu", "--trainer.logger=false"]
    again += ["--trainer.enable_checkpointing=false", "--trainer.enable_progress_bar=false"]
    assert main([*again, f"--data.sources=[{tmp_path}/cat.npz]"]) == 0
    assert main([*again, f"--data.sources=[{tmp_path}/cow.npz]"]) == 1
    assert "no class 'cow'; the model knows 2: dog, cat" in capsys.readouterr().err


def test_a_data_sets_classes_are_numbered_as_the_models():
    model = told()
    model.trainer = Mock(datamodule=Mock(classes=("yoga", "cat")))
    model.setup("test")
    assert model.labels_of({"label": torch.tensor([0, 1, 0])}).tolist() == [2, 0, 2]


def test_quickdraws_classes_are_one_word():
    model = tiny(labels={"size": 2})
    model.measure(Mock(n_max=30, extent=9.0, classes=CLASSES))
    assert model.hparams["measured"] == {"n_max": 30, "extent": 9.0, "classes": "quickdraw"}
    assert model.label_vectors.weight.shape == (346, 2)
    assert model.label_index("cat") == CLASSES.index("cat")
    with pytest.raises(ValueError, match=r"'bicycel' \(did you mean 'bicycle'\?\); the model knows 345: .*, …"):
        model.label_index("bicycel")


# --- drawing ---


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def ends():
    return [to_drawing(s) for s in sketches(4)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_sample(model):
    drawings = model.sample(5, temperature=0.8, generator=seeded())
    assert len(drawings) == 5
    assert all(isinstance(d, Drawing) and d.renderer == "pen" for d in drawings)
    assert drawings == model.sample(5, temperature=0.8, generator=seeded())
    assert drawings != model.sample(5, temperature=0.8, generator=seeded(1))
    assert tiny(conditional=False).sample(2, greedy=True)[0] == tiny(conditional=False).sample(1, greedy=True)[0]


def test_sketches_end_and_never_exceed_n_max(model):
    made = model.generate(200, model.prior(200, seeded()), temperature=1.0, generator=seeded())
    lengths = [len(s) for s in made]
    assert max(lengths) <= 24
    assert min(lengths) < 24
    assert all(np.isfinite(s).all() for s in made)
    never = tiny()
    never.decoder.out.bias.data[-1] = -100  # no end
    assert {len(s) for s in never.generate(3, never.prior(3, seeded()), generator=seeded())} == {24}
    at_once = tiny()
    at_once.decoder.out.bias.data[-1] = 100
    assert [len(d) for d in at_once.sample(2)] == [0, 0]


def test_a_batch_gives_what_its_members_give_alone(model):
    z = torch.randn(6, 4, generator=seeded())
    together = model.generate(6, z, greedy=True)
    for i in range(6):
        (alone,) = model.generate(1, z[i : i + 1], greedy=True)
        np.testing.assert_allclose(alone, together[i], atol=1e-4)


def test_encode_decode_reconstruct(model, ends):
    z = model.encode(ends)
    assert z.shape == (4, 4)
    torch.testing.assert_close(model.encode(ends[2:3])[0], z[2], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model.encode([z[0], ends[2], z[3]]), z[[0, 2, 3]], atol=1e-5, rtol=1e-4)
    assert model.reconstruct(ends[1], greedy=True) == model.decode(z[1:2], greedy=True)[0]


def test_size_and_place_of_a_sketch_do_not_matter(model):
    sketch = sketches(1)[0].astype(np.float32)
    z = model.encode([sketch, sketch * [7, 7, 1]])
    torch.testing.assert_close(z[0], z[1], atol=1e-4, rtol=1e-3)


def test_interpolate_and_corners(model, ends):
    way = model.interpolate(ends[0], ends[1], steps=5, greedy=True)
    assert len(way) == 5
    for drawing, end in ((way[0], ends[0]), (way[-1], ends[1])):
        torch.testing.assert_close(drawing.strokes, model.reconstruct(end, greedy=True).strokes, atol=1e-3, rtol=0)
    square = model.corners(ends, steps=3, greedy=True)
    assert len(square) == 9
    for i, k in ((0, 0), (2, 1), (6, 2), (8, 3)):
        assert len(square[i]) == len(model.reconstruct(ends[k], greedy=True))
    with pytest.raises(ValueError, match="steps is 1"):
        model.interpolate(ends[0], ends[1], steps=1)
    with pytest.raises(ValueError, match="3 sketches"):
        model.corners(ends[:3])


def test_between():
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    t = torch.tensor([0.0, 0.5, 1.0])
    round_way = between(a, b, t, True)
    torch.testing.assert_close(round_way.norm(dim=1), torch.full((3,), 2.0))
    torch.testing.assert_close(between(a, b, t, False)[1], torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(between(a, a, t, True), a.expand(3, 2))


def test_analogy(model, ends):
    za, zb, zc = model.encode(ends[:3])
    assert model.analogy(*ends[:3], greedy=True) == model.decode((zc + zb - za)[None], greedy=True)[0]


@pytest.mark.parametrize("conditional", [True, False])
def test_complete_begins_with_the_sketch(conditional):
    model = tiny(conditional=conditional)
    prefix = model.points(sketches(1, longest=8)[0])[:6]
    made = model.generate(3, model.prior(3, seeded()), prefix, generator=seeded())
    for sketch in made:
        np.testing.assert_allclose(sketch[:6], prefix[:, [0, 1, 3]], atol=1e-6)
    assert len({len(s) for s in made}) > 1
    drawings = model.complete(sketches(1, longest=8)[0], 3, generator=seeded())
    assert len(drawings) == 3


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("aspect", [1.0, 1.6])
def test_what_continues_a_drawing_stays_in_its_frame(conditional, aspect):
    """Laid over the drawing, the new strokes are the completion of :meth:`complete`, moved and scaled."""
    model = tiny(conditional=conditional)
    lines = [[0.4, 0.4, 0.5, 0.4], [0.5, 0.4, 0.5, 0.5], [0.4, 0.52, 0.45, 0.52]]
    drawing = Drawing(torch.tensor(lines), "pen", aspect)
    ways = model.continue_(drawing, 12, 0.5, size=0.8, generator=seeded())
    whole = model.complete(drawing, 12, 0.5, size=0.8, generator=seeded())
    assert len(ways) == 12
    page = torch.tensor([aspect**0.5, aspect**-0.5]).repeat(2)
    for new, completed in zip(ways, whole, strict=True):
        assert (new.renderer, new.aspect) == ("pen", aspect)
        both = torch.cat([drawing.strokes, new.strokes]) * page
        if len(both) != len(completed):  # something left the page
            continue
        scale = (completed.strokes[1, 3] - completed.strokes[0, 1]) / (both[1, 3] - both[0, 1])
        shifted = (both - both[0, :2].repeat(2)) * scale + completed.strokes[0, :2].repeat(2)
        torch.testing.assert_close(shifted, completed.strokes, atol=2e-3, rtol=0)
    assert any(len(n) > 0 and len(n) + 3 == len(c) for n, c in zip(ways, whole, strict=True))


def test_a_drawing_is_continued_by_its_own_size(model, monkeypatch):
    """In several: the largest that stays on the page is taken."""
    sizes, parts = [], [np.zeros((0, 3))]
    monkeypatch.setattr(model, "new_parts", lambda prefix, given, temperature: sizes.append(given) or parts)
    for width in (0.9, 0.45, 0.01):
        model.continue_(Drawing(torch.tensor([[0.05, 0.5, 0.05 + width, 0.5]]), "pen"))
    model.continue_(Drawing(torch.tensor([[0.5, 0.5, 0.5, 0.5]]), "pen"))
    assert [given[0] for given in sizes] == pytest.approx([1.0, 0.5, 0.1, 0.1])
    assert sizes[0] == [1.0]
    assert sizes[1] == pytest.approx([0.5, 0.5**0.75, 0.5**0.5, 0.5**0.25])
    line = Drawing(torch.tensor([[0.4, 0.5, 0.6, 0.5]]), "pen")  # a unit is 0.2 of the page
    parts[:] = [np.array([[right, 0.0, 0.0]]) for right in (4.0, 2.2, 1.5, 1.0)]
    assert model.continue_(line)[0].strokes[0, 2] == pytest.approx(0.9)
    parts[:] = [np.array([[1.0, 0.0, 0.0], [1.0, down, 0.0]]) for down in (9.0, 5.0)]
    assert model.continue_(line)[0].strokes[0, 2] == pytest.approx(0.9)  # half of its way is on the page
    parts[:] = [np.zeros((0, 3)), np.array([[1.0, 0.0, 0.0]])]
    assert len(model.continue_(line)[0]) == 1
    with pytest.raises(ValueError, match="the drawing is empty"):
        model.continue_(Drawing(torch.zeros(0, 4), "pen"))


def test_only_what_lies_on_the_page_is_kept():
    inside, across, beside, upright = (
        [0.1, 0.2, 0.3, 0.4],
        [0.5, 0.5, 1.5, 0.5],
        [1.2, 0.1, 1.4, 0.2],
        [0.5, -1, 0.5, 2],
    )
    kept = on_page(np.array([inside, across, beside, upright, [0.5, 0.5, 0.5, 0.5], [2.0, 2.0, 2.0, 2.0]]))
    expected = [inside, [0.5, 0.5, 1, 0.5], [0.5, 0, 0.5, 1], [0.5, 0.5, 0.5, 0.5]]
    np.testing.assert_allclose(kept, expected, atol=1e-6)


def test_a_cold_pen_is_still_lifted(model):
    """A pen that is lifted at one point in five: at its own τ of 0.1 never, by default as often as learned."""
    model = tiny()
    with torch.no_grad():
        model.decoder.out.weight[-3:] = 0
        model.decoder.out.bias[-3:] = torch.tensor([0.8, 0.2, 1e-6]).log()

    def lifted(**options):
        drawn = model.generate(50, model.prior(50, seeded()), temperature=0.1, generator=seeded(), **options)
        return np.concatenate(drawn)[:, 2].mean()

    assert lifted(pen_temperature=0.1) < 0.01
    assert lifted(pen_temperature=1.0) == pytest.approx(0.2, abs=0.03)
    assert 0.05 < lifted(pen_temperature=0.55) < 0.12
    assert lifted() == lifted(pen_temperature=1.0)


def test_sketches_come_from_files_and_pictures(model, tmp_path, ends):
    for name in ("a.json", "a.svg", "a.png"):
        ends[0].save(tmp_path / name)
        assert len(stroke3(tmp_path / name)) >= 4
    z = model.encode([str(tmp_path / "a.json"), tmp_path / "a.svg"])
    torch.testing.assert_close(z[0], z[1], atol=0.02, rtol=0)
    drawing = model.draw(tmp_path / "a.png")
    assert isinstance(drawing, Drawing)
    assert len(drawing) > 0
    with pytest.raises(ValueError, match="no ink"):
        model.draw(np.ones((64, 64), np.uint8) * 255)


def test_a_traced_picture_is_the_sketch_again(tmp_path):
    square = Drawing(torch.tensor([[0.1, 0.1, 0.9, 0.1], [0.9, 0.1, 0.9, 0.9], [0.9, 0.9, 0.1, 0.9]]), "pen")
    square.save(tmp_path / "a.png", size=200)
    sketch = stroke3(tmp_path / "a.png")
    assert len(sketch) < 10
    assert sketch[:, 2].sum() == 1
    again = to_drawing(sketch, margin=0.1)
    assert ((again.render(100) - square.render(100)) ** 2).mean() < 0.25 * ((1 - square.render(100)) ** 2).mean()


def test_drawings_can_be_painted_by_others(model, ends):
    drawing = model.reconstruct(ends[0], generator=seeded())
    assert drawing.to("bezier").renderer == "bezier"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.sample(1, temperature=0), "temperature is 0; expected more than 0"),
        (lambda m: m.sample(1, temperature=-1), "temperature is -1"),
        (lambda m: m.sample(1, temperature=float("nan")), "temperature is nan"),
        (lambda m: m.sample(1, pen_temperature=0), "pen_temperature is 0; expected more than 0"),
        (lambda m: m.sample(0), "n is 0; expected at least 1"),
        (lambda m: m.reconstruct(np.zeros((0, 3))), r"shape \(0, 3\); expected \(N, 3\) with at least one point"),
        (lambda m: m.reconstruct(np.zeros((5, 2))), r"shape \(5, 2\)"),
        (lambda m: m.reconstruct(np.array([[0, 0, 0], [np.nan, 0, 1]])), "point 1 of the sketch is not finite"),
        (lambda m: m.reconstruct(np.ones((10_000, 3))), "has 10000 points; at most 1000"),
        (lambda m: m.complete(np.ones((30, 3))), "has 30 points; this model draws at most 24"),
        (lambda m: m.complete(np.ones((3, 3)), size=0), "size 0"),
        (lambda m: m.complete(torch.ones(4)), "not a latent vector"),
        (lambda m: m.reconstruct(Drawing(torch.zeros(0, 4), "pen")), "the drawing is empty"),
    ],
)
def test_bad_input(model, call, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        call(model)


@pytest.mark.parametrize(
    "sketch", [[[5, 5, 1]], [[0, 0, 0]], [[0, 0, 0], [1e9, -1e9, 0]], [[0, 0, 0], [1, 1, 0], [2, 2, 0]]]
)
def test_odd_but_good_input(model, sketch):
    """One point; huge offsets; a pen that is never lifted."""
    assert isinstance(model.reconstruct(np.array(sketch, np.float64), generator=seeded()), Drawing)


def test_an_unconditional_model_has_no_encoder(ends):
    with pytest.raises(ValueError, match="this model is unconditional"):
        tiny(conditional=False).reconstruct(ends[0])
    with pytest.raises(ValueError, match="this model is unconditional"):
        tiny(conditional=False).decode(torch.zeros(1, 4))


# --- the commands ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from zoo.checkpoints import loading

    return str(loading.save(tiny(), tmp_path_factory.mktemp("models") / "tiny"))


@pytest.mark.parametrize("ending", ["svg", "json", "png", "gif", "gcode"])
def test_sample_command(folder, tmp_path, ending, capsys):
    out = tmp_path / f"grid.{ending}"
    assert main(["sample", "--model", folder, "--n", "4", "--temperature", "0.5", "--out", str(out)]) == 0
    assert out.stat().st_size > 100
    assert "4 drawings" in capsys.readouterr().out
    if ending == "json":
        assert Drawing.load(out).renderer == "pen-width"


def test_a_file_each(folder, tmp_path):
    assert main(["sample", "--model", folder, "--n", "3", "--out", str(tmp_path / "s{i}.json")]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s0.json", "s1.json", "s2.json"]
    assert Drawing.load(tmp_path / "s1.json").renderer == "pen"


def test_complete_and_interpolate_commands(folder, tmp_path, ends):
    from PIL import Image

    for i, drawing in enumerate(ends):
        drawing[:5].save(tmp_path / f"{i}.json")
    files = [str(tmp_path / f"{i}.json") for i in range(4)]
    assert main(["complete", files[0], "--model", folder, "--n", "4", "--out", str(tmp_path / "c.svg")]) == 0
    assert main(["interpolate", *files[:2], "--model", folder, "--steps", "4", "--out", str(tmp_path / "i.svg")]) == 0
    assert main(["interpolate", *files, "--model", folder, "--steps", "3", "--out", str(tmp_path / "q.json")]) == 0
    assert main(["interpolate", "--model", folder, "--steps", "4", "--linear", "--out", str(tmp_path / "m.gif")]) == 0
    with Image.open(tmp_path / "m.gif") as image:
        assert 1 <= image.n_frames <= 6  # there and back; equal ones are joined


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["sample", "--temperature", "0"], "temperature is 0"),
        (["interpolate", "a.json"], "1 sketches; expected two, four, or none"),
        (["complete", "missing.json"], "missing.json"),
        (["complete", "missing.svg"], "missing.svg"),
    ],
)
def test_commands_say_what_is_wrong(folder, tmp_path, args, message, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*args, "--model", folder, "--out", str(tmp_path / "o.svg")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o.svg").exists()


def test_commands_need_a_sketch_rnn(zoo_list, tmp_path, capsys):
    assert main(["sample", "--model", "tiny-drawer", "--out", str(tmp_path / "o.svg")]) == 1
    assert "needs a SketchRNN" in capsys.readouterr().err


def test_from_drawing_keeps_the_order_of_strokes(ends):
    sketch = from_drawing(ends[0])
    assert sketch[0, :2].tolist() == [0, 0]


def test_the_figures_of_the_paper_by_one_command(tmp_path, monkeypatch):
    """Figures 4 and 6: trained, drawn, written; a second call trains nothing."""
    write_sketches(tmp_path / "set.npz", n=110)
    save(tiny(n_max=24), tmp_path / "start", "start")
    readme = tmp_path / "README.md"
    begin, end = "<!-- weights: written by `python benchmarks/sketch_figures.py` -->", "<!-- end of weights -->"
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    options = {"weights": ["1", "0.25"], "steps": ["2"], "start": [f"{tmp_path}/start"]}
    options |= {"runs": [f"{tmp_path}/runs"], "docs": [f"{tmp_path}"], "readme": [f"{readme}"]}
    options |= {"source": [f"{tmp_path}/set.npz"]}
    monkeypatch.setattr("sys.argv", ["sketch_figures.py", *(a for k, v in options.items() for a in [f"--{k}", *v])])
    monkeypatch.setattr(sketch_figures.subprocess, "run", lambda args, check: main(list(map(str, args[3:]))))
    sketch_figures.main()
    text = readme.read_text()
    assert text.startswith(f"before\n{begin}")
    assert text.endswith(f"{end}\nafter\n")
    assert "| 0.25 |" in text
    assert "old" not in text
    for name in ("sketch_tradeoff", "sketch_figures"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert np.asarray(picture.convert("L")).min() < 128
    monkeypatch.setattr(sketch_figures.subprocess, "run", lambda args, check: pytest.fail("trained again"))
    sketch_figures.main()
    assert readme.read_text() == text


def test_two_starts_are_refused(tmp_path, capsys):
    """A recipe's start_from would replace the decoder of the weights that --init_from names."""
    write_sketches(tmp_path / "set.npz")
    save(tiny(), tmp_path / "start", "start")
    args = ["fit", "--config", "sketchrnn-kanji", f"--init_from={tmp_path}/start", "--trainer.fast_dev_run=true"]
    assert main([*args, f"--data.sources=[{tmp_path}/set.npz]", "--trainer.logger=false"]) == 1
    assert "--model.start_from null" in capsys.readouterr().err
