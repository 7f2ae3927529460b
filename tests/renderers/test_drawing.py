"""Drawing: values, algebra, JSON, and what it refuses."""

import json

import pytest
import torch
from hypothesis import given, settings, strategies as st

import renderers
from renderers import ActionSpace, Drawing
from renderers.drawing import DrawingError

NAMES = renderers.names()
unit = st.floats(0, 1, width=32)


@st.composite
def drawings(draw):
    name = draw(st.sampled_from(NAMES))
    columns = len(renderers.get(name).actions)
    rows = draw(st.lists(st.lists(unit, min_size=columns, max_size=columns), max_size=5))
    aspect = draw(st.floats(0.01, 100))
    background = tuple(draw(st.lists(unit, min_size=c, max_size=c))) if (c := renderers.get(name).channels) else ()
    return Drawing(torch.tensor(rows, dtype=torch.float32).view(-1, columns), name, aspect, background)


@st.composite
def boxes(draw):
    left, right = sorted(draw(st.lists(st.floats(0, 1), min_size=2, max_size=2)))
    top, bottom = sorted(draw(st.lists(st.floats(0, 1), min_size=2, max_size=2)))
    if right - left < 1e-3 or bottom - top < 1e-3:
        return (0.0, 0.0, 1.0, 1.0)
    return (left, top, right, bottom)


@given(drawings())
@settings(max_examples=60, deadline=None)
def test_json_round_trips_bit_for_bit(drawing):
    again = Drawing.from_json(drawing.to_json())
    assert again == drawing
    assert again.strokes.numpy().tobytes() == drawing.strokes.numpy().tobytes()


@given(drawings(), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_slices_add_up(drawing, k):
    assert drawing[:k] + drawing[k:] == drawing
    assert len(drawing[:k]) == min(k, len(drawing))


@given(drawings(), boxes())
@settings(max_examples=40, deadline=None)
def test_placed_strokes_stay_strokes(drawing, box):
    placed, actions = drawing.place(box), renderers.get(drawing.renderer).actions
    lifted = (
        actions.column(drawing.strokes, "lift") >= 0.5 if "lift" in actions else torch.zeros(0)
    )  # strokes that leave no paint
    assert len(placed) == (len(drawing) - int(lifted.sum())) * (
        3 if drawing.renderer == "prism" else 1
    )  # which becomes three rectangles
    renderers.get(placed.renderer).actions.check(placed.strokes)


@given(st.lists(st.text("abcxyz_", min_size=1, max_size=4), min_size=1, max_size=6, unique=True), st.integers(0, 2**31))
@settings(deadline=None)
def test_action_space_finds_its_columns(names, seed):
    space = ActionSpace(names)
    strokes = space.random(2, 3, generator=torch.Generator().manual_seed(seed))
    assert space.check(strokes) is strokes
    for i, name in enumerate(names):
        assert space[name] == i
        assert torch.equal(space.column(strokes, name), strokes[..., i])
    assert torch.equal(space.select(strokes, " ".join(reversed(names))), strokes.flip(-1))


@given(
    st.one_of(
        st.text(max_size=40),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda c: (
                st.lists(c, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["format", "version", "renderer", "strokes", "aspect", "background", "columns"]),
                    c,
                    max_size=7,
                )
            ),
            max_leaves=12,
        ).map(json.dumps),
    )
)
@settings(max_examples=200, deadline=None)
def test_any_text_is_refused_with_one_kind_of_error(text):
    with pytest.raises(DrawingError):
        Drawing.from_json(text)


def drawing(n=5, name="bezier"):
    return Drawing(renderers.get(name).actions.random(n, generator=torch.Generator().manual_seed(0)), name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "not a drawing"),
        ({"version": 2}, "version 2; this library reads version 1"),
        ({"renderer": "bezeir"}, "did you mean 'bezier'"),
        ({"columns": ["x"]}, "columns are"),
        ({"strokes": [[0.5] * 5]}, "every stroke must have 6|cannot reshape"),
        ({"strokes": [[0.5] * 7]}, "every stroke must have 6|cannot reshape"),
        ({"strokes": [[0.5] * 5 + [None]]}, "not a drawing|nan"),
        ({"strokes": [[2.0] * 6]}, "'x0' is 2.0"),
        ({"strokes": [[float("nan")] * 6]}, "'x0' is nan"),
        ({"aspect": 0}, "aspect"),
        ({"aspect": float("inf")}, "aspect"),
        ({"background": [0.0, 1.0]}, "needs 1 number"),
        ({"background": [7]}, "needs 1 number"),
    ],
)
def test_a_wrong_file_gets_one_clear_error(tmp_path, change, message):
    path = tmp_path / "d.json"
    path.write_text(json.dumps(json.loads(drawing().to_json()) | change))
    with pytest.raises(DrawingError, match=message) as e:
        Drawing.load(path)
    assert str(path) in str(e.value)


def test_missing_field_and_no_text(tmp_path):
    data = json.loads(drawing().to_json())
    del data["strokes"]
    with pytest.raises(DrawingError, match="lacks strokes"):
        Drawing.from_json(json.dumps(data))
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DrawingError, match=r"x\.json"):
        Drawing.load(tmp_path / "x.json")


def test_it_is_immutable():
    rows = torch.rand(3, 6)
    d = Drawing(rows, "bezier")
    rows.zero_()
    assert d.strokes.sum() > 0
    with pytest.raises(AttributeError):
        d.aspect = 2  # type: ignore[misc]


def test_algebra_refuses_what_does_not_fit():
    with pytest.raises(DrawingError, match="differ in renderer"):
        drawing() + drawing(name="pen")
    with pytest.raises(TypeError):
        drawing() + 3
    with pytest.raises(IndexError, match="stroke 9 of a drawing that has 5"):
        drawing()[9]
    with pytest.raises(DrawingError, match="expected 0 <= left < right"):
        drawing().place((0.5, 0, 0.4, 1))
    with pytest.raises(DrawingError, match="1 to 16384 pixels"):
        drawing().render(0)
    with pytest.raises(DrawingError, match="a drawing needs"):
        Drawing(torch.rand(2, 2, 6), "bezier")
    assert len(drawing()[-1]) == 1
    assert drawing() != drawing(4)


def test_size_is_the_longer_side():
    rows = torch.rand(1, 6)
    assert Drawing(rows, "bezier", 2.0).render(64).shape == (1, 32, 64)
    assert Drawing(rows, "bezier", 0.5).render(64).shape == (1, 64, 32)
    assert Drawing(rows, "bezier", 1000.0).render(64).shape == (1, 1, 64)


def test_background_is_kept():
    d = Drawing(torch.zeros(0, 4), "pen", background=(0.25,))
    assert (d.render(8) == 0.25).all()
    assert d.place((0, 0, 0.5, 0.5)).background == (0.25,)


@pytest.mark.parametrize("target", ["pen", "pen-width", "bezier-width", "line", "qbc", "qbc-opaque"])
@pytest.mark.parametrize("source", ["bezier-width", "line", "qbc", "pen"])
def test_to_another_renderer_keeps_the_geometry(source, target):
    strokes = renderers.get(source).actions.random(1, generator=torch.Generator().manual_seed(1))
    before, after = Drawing(strokes, source), Drawing(strokes, source).to(target)
    assert after.renderer == target
    ends = [o.flatten()[[0, -1]] for o in (before.outlines()[0], after.outlines()[0], after.outlines()[-1])]
    assert abs(ends[0][0] - ends[1][0]).max() < 1e-3
    assert abs(ends[0][1] - ends[2][1]).max() < 1e-3


@pytest.mark.parametrize("target", ["circle", "triangle", "rectangle"])
def test_to_a_shape_is_refused(target):
    with pytest.raises(ValueError, match="cannot be turned into"):
        drawing().to(target)


# --- grids ---


def test_grid_places_drawings_row_by_row():
    one = Drawing(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), "pen")
    made = renderers.grid([one] * 5, columns=3, gap=0.0)
    assert (made.renderer, made.aspect, len(made)) == ("pen-width", 1.5, 5)
    expected = [[x / 3, y / 2, (x + 1) / 3, (y + 1) / 2] for y, x in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1))]
    torch.testing.assert_close(made.strokes[:, :4], torch.tensor(expected))
    assert renderers.grid([one] * 7).aspect == 1.0  # three by three
    assert renderers.grid([one], columns=9).aspect == 1.0


def test_a_grid_looks_like_its_cells():
    parts = [
        Drawing(renderers.get("bezier").actions.random(3, generator=torch.Generator().manual_seed(i)), "bezier")
        for i in range(4)
    ]
    made = renderers.grid(parts, gap=0.0)
    picture = made.render(128)
    for i, part in enumerate(parts):
        y, x = divmod(i, 2)
        assert (picture[:, 64 * y : 64 * y + 64, 64 * x : 64 * x + 64] - part.render(64)).abs().mean() < 0.12


def test_grids_refuse_what_does_not_fit():
    one = Drawing(torch.zeros(1, 4), "pen")
    for drawings, columns in (([], None), ([one], 0), ([one, one.to("bezier")], None)):
        with pytest.raises(DrawingError):
            renderers.grid(drawings, columns)
