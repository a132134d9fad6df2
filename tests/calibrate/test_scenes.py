"""Scenes are drawn from their seed alone and show what they say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vlmforge.calibrate.scenes import COLORS, GRID, SIDE, Item, draw_scene, scene_items


def test_a_seed_gives_one_scene() -> None:
    first, second = draw_scene(7), draw_scene(7)
    assert first.items == second.items == scene_items(7)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.image.tobytes() != draw_scene(8).image.tobytes()


def test_a_scene_is_a_square_rgb_image() -> None:
    image = draw_scene(0).image
    assert (image.mode, image.size) == ("RGB", (SIDE, SIDE))


@pytest.mark.parametrize(("least", "most"), [(1, 4), (9, 9)])
def test_items_lie_in_cells_of_their_own_in_reading_order(least: int, most: int) -> None:
    for seed in range(50):
        items = scene_items(seed, least, most)
        cells = [(item.row, item.column) for item in items]
        assert least <= len(items) <= most
        assert cells == sorted(set(cells))
        assert all(_inside_its_cell(item) for item in items)


@pytest.mark.parametrize("canvas", [(224, 448), (420, 252)])
def test_a_canvas_spreads_the_cells_and_keeps_the_items(canvas: tuple[int, int]) -> None:
    assert draw_scene(0, canvas=canvas).image.size == canvas[::-1]
    for seed in range(30):
        items, usual = scene_items(seed, canvas=canvas), scene_items(seed)
        assert all(_inside_its_cell(item, canvas) for item in items)
        assert [replace(i, center=(0, 0)) for i in items] == [
            replace(i, center=(0, 0)) for i in usual
        ]


def test_a_shaded_background_tells_where_its_parts_lie() -> None:
    for seed in range(10):
        plain, shaded = (draw_scene(seed, canvas=(300, 240), shaded=way) for way in (False, True))
        assert shaded.items == plain.items
        corners = [(2, 2), (237, 2), (2, 297)]
        origin, right, below = (shaded.image.getpixel(corner) for corner in corners)
        assert right[0] > origin[0] and below[1] > origin[1]


def test_the_center_of_an_item_has_its_color() -> None:
    for seed in range(20):
        scene = draw_scene(seed)
        for item in scene.items:
            x, y = (round(part) for part in item.center)
            pixel = scene.image.getpixel((x, y))
            wanted = COLORS[item.color]
            assert all(abs(seen - want) <= 12 for seen, want in zip(pixel, wanted, strict=True))


def _inside_its_cell(item: Item, canvas: tuple[int, int] = (SIDE, SIDE)) -> bool:
    height, width = (side / GRID for side in canvas)
    x, y = item.center
    return all(
        index * cell <= middle - item.radius and middle + item.radius <= (index + 1) * cell
        for index, middle, cell in ((item.column, x, width), (item.row, y, height))
    )
