"""Pictures of many sizes and shapes, within what the image processor keeps."""

from __future__ import annotations

import random

from training.canvas import LONGEST, SHOWN, TOKEN, Canvas, draw_canvas
from training.views import View
from training.vision import NOTHING, labels
from vlmforge.calibrate.scenes import SIDE, draw_scene


def test_pictures_keep_within_the_bounds() -> None:
    rng = random.Random(0)
    canvases = [draw_canvas(rng) for _ in range(300)]
    least, greatest = SHOWN
    for canvas in canvases:
        height, width = canvas.shown
        assert least <= min(canvas.shown) and max(canvas.shown) <= greatest
        assert max(height / width, width / height) <= LONGEST * greatest / (greatest - 1)
        assert min(canvas.drawn) >= SIDE
        assert canvas.on_grid().shown == tuple(TOKEN * count for count in canvas.grid)
    assert {canvas.shown[0] > canvas.shown[1] for canvas in canvases} == {True, False}


def test_a_scaled_picture_shows_the_same_items() -> None:
    canvas = Canvas((224, 300), (196, 280))
    scene = canvas.draw(3)
    assert scene.image.size == (280, 196)
    assert scene.items == draw_scene(3, canvas=(224, 300)).items
    assert Canvas().draw(3).image.tobytes() == draw_scene(3).image.tobytes()


def test_labels_lie_under_their_items() -> None:
    canvas = Canvas((224, 448), (196, 392))
    scene = canvas.draw(3, 4, 4)
    found = {
        name: target.view(canvas.grid)
        for name, target in labels(scene.items, canvas.drawn, View(canvas.grid)).items()
    }
    rows, columns = canvas.grid
    assert int(found["middle"].sum()) == 4
    for item in scene.items:
        token = int(item.center[1] * rows / 224), int(item.center[0] * columns / 448)
        assert found["middle"][token] == 1
        assert (found["shape"] != NOTHING).sum() == found["covered"].sum()
    assert found["row"].unique().tolist() == found["column"].unique().tolist() == [0, 1, 2]
    assert (found["row"].diff(dim=0) >= 0).all() and (found["column"].diff(dim=1) >= 0).all()
