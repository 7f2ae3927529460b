"""L*a*b* against scikit-image; prisms, and the file that shows them in space."""

import re

import numpy as np
import pytest
import torch

import renderers
from renderers import Drawing
from renderers.colour import REACH, colour_columns, colours, lab_to_rgb, rgb_to_lab

CORNERS = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)


def test_lab_is_that_of_scikit_image():
    from skimage import color

    rgb = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)).double()
    rgb[:100] *= 0.05  # where both curves are straight lines
    np.testing.assert_allclose(rgb_to_lab(rgb).numpy(), color.rgb2lab(rgb.numpy()), atol=1e-9)
    lab = rgb_to_lab(rgb)
    np.testing.assert_allclose(lab_to_rgb(lab).numpy(), color.lab2rgb(lab.numpy()), atol=1e-6)
    torch.testing.assert_close(lab_to_rgb(lab), rgb)
    beyond = torch.tensor([[50.0, 100, 100], [90, -100, 0], [0, 50, -100]], dtype=torch.float64)
    assert 0 <= lab_to_rgb(beyond).min() <= lab_to_rgb(beyond).max() <= 1
    assert rgb_to_lab(CORNERS)[:, 1:].abs().max() < REACH


def test_lab_has_gradients_both_ways():
    rgb = torch.rand(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 0.9 + 0.05
    assert torch.autograd.gradcheck(rgb_to_lab, rgb.requires_grad_())
    assert torch.autograd.gradcheck(lab_to_rgb, rgb_to_lab(rgb).detach().requires_grad_())
    for end in (torch.zeros(1, 3), torch.ones(1, 3)):
        for function in (rgb_to_lab, lab_to_rgb):
            (gradient,) = torch.autograd.grad(function(end.requires_grad_()).sum(), end)
            assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["bezier-width-lab", "rectangle-lab"])
def test_colours_of_columns_and_back(name):
    actions = renderers.get(name).actions
    rgb = torch.cat([CORNERS, torch.rand(20, 3, generator=torch.Generator().manual_seed(2))])
    columns = colour_columns(actions, rgb)
    assert 0 <= columns.min() <= columns.max() <= 1.0001
    strokes = torch.cat([torch.zeros(len(rgb), len(actions) - 3), columns], 1)
    torch.testing.assert_close(colours(actions, strokes), rgb, atol=1e-4, rtol=0)
    assert torch.equal(colour_columns(renderers.get("rectangle").actions, rgb), rgb)


def test_curves_keep_their_colour_in_lab():
    strokes = renderers.get("bezier-width-colour").actions.random(4, generator=torch.Generator().manual_seed(0))
    drawing = Drawing(strokes, "bezier-width-colour")
    torch.testing.assert_close(drawing.to("bezier-width-lab").render(48), drawing.render(48), atol=0.01, rtol=0)


# --- prisms ---

PRISM = [0.1, 0.2, 0.3, 0.5, 0.9, 0.4, 1, 0.5, 0]


def test_a_prism_is_seen_from_three_sides():
    r = renderers.get("prism")
    canvas = r.paint(r.blank(1, 400), torch.tensor([PRISM]))[0]
    for (top, left), (across, down) in {
        (0, 0): ((0.1, 0.5), (0.2, 0.9)),
        (0, 200): ((0.3, 0.4), (0.2, 0.9)),
        (200, 0): ((0.1, 0.5), (0.3, 0.4)),
    }.items():
        view = canvas[0, top : top + 200, left : left + 200]
        area = (across[1] - across[0]) * (down[1] - down[0]) * (0.46 * 400) ** 2
        assert view.sum().item() == pytest.approx(area, rel=0.02)
        y, x = torch.nonzero(view > 0.5, as_tuple=True)
        for at, (low, high) in ((x, across), (y, down)):
            assert at.min().item() == pytest.approx(8 + 184 * low, abs=1.5)
            assert at.max().item() == pytest.approx(8 + 184 * high, abs=1.5)
    assert canvas[:, 200:, 200:].max() == 0
    torch.testing.assert_close(canvas[1], canvas[0] / 2)


def test_a_placed_prism_is_three_rectangles():
    small = Drawing(torch.tensor([PRISM, PRISM]), "prism").place((0.5, 0, 1, 0.5))
    assert (small.renderer, len(small)) == ("rectangle", 6)


def solid(text):
    """Vertices (n, 3), their colours (n, 3) and faces (m, 4) of an OBJ file, as any program reads them."""
    vertices = np.array([[float(v) for v in m.split()] for m in re.findall(r"^v (.*)$", text, re.M)])
    faces = np.array([[int(v) - 1 for v in m.split()] for m in re.findall(r"^f (.*)$", text, re.M)])
    return vertices[:, :3], vertices[:, 3:], faces


def test_obj_holds_closed_boxes_of_the_right_volume(tmp_path):
    other = [0.9, 0.9, 0.9, 0.6, 0.7, 0.8, 0, 0, 1]  # the greater corner first
    path = Drawing(torch.tensor([PRISM, other]), "prism").save(tmp_path / "a.obj")
    vertices, colour, faces = solid(path.read_text())
    assert (len(vertices), len(faces)) == (16, 12)
    for part, rgb, volume in ((0, [1, 0.5, 0], 0.4 * 0.7 * 0.1), (1, [0, 0, 1], 0.3 * 0.2 * 0.1)):
        mine = faces[6 * part : 6 * part + 6]
        assert set(mine.ravel()) == set(range(8 * part, 8 * part + 8))
        np.testing.assert_allclose(colour[mine[0]], [rgb] * 4)
        edges = [tuple(e) for f in mine for e in zip(f, np.roll(f, -1), strict=True)]
        assert sorted(edges) == sorted((b, a) for a, b in edges)  # closed: each edge is run once each way
        six = sum(np.linalg.det(vertices[[f[0], f[k], f[k + 1]]]) for f in mine for k in (1, 2))
        assert six / 6 == pytest.approx(volume, rel=1e-4)  # positive: the faces look outwards
    assert vertices[:8, 1].max() == pytest.approx(1 - 0.2)  # y goes up


def test_obj_is_for_prisms(tmp_path):
    with pytest.raises(ValueError, match="a drawing of 'bezier' is flat"):
        Drawing(torch.rand(2, 6), "bezier").save(tmp_path / "a.obj")
    assert list(tmp_path.iterdir()) == []
