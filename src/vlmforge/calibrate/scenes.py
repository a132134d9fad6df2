"""Synthetic scenes: colored shapes on a textured background, drawn with Pillow from a seed.

A scene is known exactly, so questions about it have exact answers. The sample model was
trained on such scenes; `--images synthetic` draws them.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

SIDE = 224
"""Height and width in pixels of a scene's canvas, where no other is named."""

SQUARE = (SIDE, SIDE)

GRID = 3
"""Rows and columns of the layout; each of its cells holds one item at most."""

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (214, 32, 36),
    "green": (30, 150, 56),
    "blue": (32, 70, 214),
    "yellow": (244, 220, 40),
    "purple": (136, 36, 160),
    "orange": (246, 132, 20),
    "white": (248, 248, 248),
    "black": (18, 18, 18),
}

RADII: dict[str, tuple[float, float]] = {"small": (20.0, 23.0), "large": (31.0, 35.0)}
"""Least and greatest radius in pixels of each size."""

MUTED = (95, 190)
"""Least and greatest value of a background's channels, before its texture."""

Point = tuple[float, float]


def _regular(corners: int, inner: float = 1.0) -> tuple[Point, ...]:
    """Return a regular polygon of unit radius, every second corner at radius `inner`."""
    radii = (1.0 if corner % 2 == 0 else inner for corner in range(corners))
    angles = (2 * math.pi * corner / corners - math.pi / 2 for corner in range(corners))
    return tuple((r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles, strict=True))


_BAR = 0.34
OUTLINES: dict[str, tuple[Point, ...]] = {
    "circle": _regular(48),
    "square": ((-0.84, -0.84), (0.84, -0.84), (0.84, 0.84), (-0.84, 0.84)),
    "triangle": _regular(3),
    "star": _regular(10, inner=0.42),
    "cross": (
        *((-_BAR, -1.0), (_BAR, -1.0), (_BAR, -_BAR), (1.0, -_BAR), (1.0, _BAR), (_BAR, _BAR)),
        *((_BAR, 1.0), (-_BAR, 1.0), (-_BAR, _BAR), (-1.0, _BAR), (-1.0, -_BAR), (-_BAR, -_BAR)),
    ),
}
"""Corners of each shape inside the unit circle, y downwards."""


@dataclass(frozen=True)
class Item:
    """One shape of a scene: what it is and where it lies."""

    shape: str
    color: str
    size: str
    row: int
    column: int
    center: Point
    radius: float


@dataclass(frozen=True)
class Scene:
    """A picture and the items on it, in reading order (top to bottom, left to right)."""

    image: Image.Image
    items: tuple[Item, ...]


def draw_scene(
    seed: int,
    least: int = 1,
    most: int = 4,
    canvas: tuple[int, int] = SQUARE,
    shaded: bool = False,
) -> Scene:
    """Draw the scene of `seed` with `least` to `most` items (at most 9): an RGB image.

    `canvas` is its height and width in pixels, each at least 210: it spreads the cells of the
    layout, while the items keep their sizes. The background of a `shaded` one grows greener
    downwards and redder to the right, which tells where a part of it lies.
    """
    rng = random.Random(seed)
    items = _items(rng, least, most, canvas)
    image = _background(rng, canvas, shaded)
    for item in items:
        _paint(image, item, rng)
    return Scene(image, items)


def scene_items(
    seed: int, least: int = 1, most: int = 4, canvas: tuple[int, int] = SQUARE
) -> tuple[Item, ...]:
    """Return the items `draw_scene` would draw, without drawing them."""
    return _items(random.Random(seed), least, most, canvas)


def _items(rng: random.Random, least: int, most: int, canvas: tuple[int, int]) -> tuple[Item, ...]:
    cells = sorted(rng.sample(range(GRID * GRID), rng.randint(least, most)))
    return tuple(_item(rng, *divmod(cell, GRID), canvas) for cell in cells)


def _item(rng: random.Random, row: int, column: int, canvas: tuple[int, int]) -> Item:
    shape, color, size = (rng.choice(list(words)) for words in (OUTLINES, COLORS, RADII))
    radius = rng.uniform(*RADII[size])
    height, width = (side / GRID for side in canvas)
    x, y = (
        cell * (index + 0.5) + rng.uniform(radius - cell / 2, cell / 2 - radius)
        for index, cell in ((column, width), (row, height))
    )
    return Item(shape, color, size, row, column, (x, y), radius)


def _background(rng: random.Random, canvas: tuple[int, int], shaded: bool) -> Image.Image:
    """Return a muted background: one base color, blended with noise of a random coarseness."""
    size = canvas[::-1]
    color = tuple(rng.randint(*MUTED) for _ in range(3))
    base = _shades(color, size) if shaded else Image.new("RGB", size, color)
    grain = rng.choice((2, 4, 8, 16, 56))
    noise = Image.frombytes("RGB", (grain, grain), rng.randbytes(3 * grain * grain))
    texture = noise.resize(size, Image.Resampling.BICUBIC)
    strength = rng.uniform(0.05, 0.25)
    return Image.blend(base, texture, strength / 2 if shaded else strength)


def _shades(color: tuple[int, ...], size: tuple[int, int]) -> Image.Image:
    """Return shades from left to right and from top to bottom, tinted a little by `color`."""
    least, greatest = MUTED
    down = Image.linear_gradient("L").resize(size)
    right = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize(size)
    left = right.point(lambda shade: 255 - shade)
    channels = Image.merge("RGB", (right, down, left))
    muted = channels.point(lambda shade: least + shade * (greatest - least) // 255)
    return Image.blend(muted, Image.new("RGB", size, color), 0.15)


def _paint(image: Image.Image, item: Item, rng: random.Random) -> None:
    """Paint `item` with smooth edges, a slight tilt and a slight change of its color."""
    tilt = math.radians(rng.uniform(-12, 12))
    fill = tuple(min(255, max(0, c + rng.randint(-12, 12))) for c in COLORS[item.color])
    left, top = (round(middle - item.radius) - 1 for middle in item.center)
    side = math.ceil(2 * item.radius) + 4
    mask = Image.new("L", (2 * side, 2 * side))
    corners = _corners(item, tilt)
    ImageDraw.Draw(mask).polygon([(2 * (x - left), 2 * (y - top)) for x, y in corners], fill=255)
    image.paste(fill, (left, top), mask.reduce(2))


def _corners(item: Item, tilt: float) -> list[Point]:
    (x, y), r, sin, cos = item.center, item.radius, math.sin(tilt), math.cos(tilt)
    outline = OUTLINES[item.shape]
    return [(x + r * (u * cos - v * sin), y + r * (u * sin + v * cos)) for u, v in outline]
