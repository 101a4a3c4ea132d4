"""Drawn whale flukes: an individual is told by its trailing edge and its pigmentation, everything else is the view.

The photographs of the sample competition are made here, from numbers alone, with what makes real ones hard: the fluke
turned, leaning, partly under water and seldom in the middle, pictures of any shape, blur, black-and-white film, burnt-in
text, and several frames of one sighting.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SHAKE = 1  # pixels by which a frame of a sighting may lie off on each side
_CANVAS = (320, 560)  # (height, width) of the individual before it is placed in a view
_MIDDLE = 130  # row of the canvas on which the fluke's middle lies
_UNIT = 250  # pixels of the canvas from the middle to a tip


@dataclass(frozen=True)
class Individual:
    """One whale's fluke on a canvas: BGR colours (320, 560, 3) float32 in 0…1 and its outline (320, 560) in 0…1."""

    colour: np.ndarray
    outline: np.ndarray


def individual(rng: np.random.Generator) -> Individual:
    """A whale as `rng` has it: shape of the lobes, notches of the trailing edge, pigmentation, scars."""
    outline = _outline(rng)
    height, width = _CANVAS
    # Two smooth fields make the white patches of the underside; the grid is coarse enough to survive a small picture.
    field = _smooth_noise(rng, (4, 7), _CANVAS) + 0.35 * _smooth_noise(rng, (9, 16), _CANVAS)
    white = 1 / (1 + np.exp(-(field - rng.uniform(-0.5, 0.7)) * 7))
    dark, light = rng.uniform(0.10, 0.26), rng.uniform(0.62, 0.92)
    grey = (dark + (light - dark) * white).astype(np.float32)
    for _ in range(rng.integers(2, 7)):  # scars: pale scratches and round marks of barnacles
        x, y = int(rng.uniform(0.12, 0.88) * width), int(rng.uniform(0.2, 0.6) * height)
        angle, length = rng.uniform(0, np.pi), rng.uniform(20, 75)
        end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
        cv2.line(grey, (x, y), end, float(rng.uniform(0.6, 0.95)), int(rng.integers(2, 5)), cv2.LINE_AA)
    for _ in range(rng.integers(3, 12)):
        centre = (int(rng.uniform(0.1, 0.9) * width), int(rng.uniform(0.2, 0.6) * height))
        shade = float(rng.choice((rng.uniform(0.05, 0.2), rng.uniform(0.75, 1.0))))
        cv2.circle(grey, centre, int(rng.integers(4, 12)), shade, -1, cv2.LINE_AA)
    # The rim is dark on nearly every whale and sets the fluke off against the sea.
    inside = cv2.distanceTransform((outline > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    rim = np.clip(inside / 14, 0.35, 1)
    colour = cv2.GaussianBlur(grey * rim, (0, 0), 1.2)[..., None] * np.array([1.04, 1.0, 0.97], np.float32)
    return Individual(colour.astype(np.float32), outline)


@dataclass(frozen=True)
class Photograph:
    """BGR uint8 (height, width, 3), and the box of what is seen of the fluke: x0, y0, x1, y1, far edges excluded."""

    picture: np.ndarray
    box: tuple[int, int, int, int]


def sighting(whale: Individual, rng: np.random.Generator, frames: int) -> list[Photograph]:
    """`frames` photographs taken within a second: where the boat lay, the light, the swell and the spray are `rng`'s.

    Frames are of one size and differ by a few pixels and their noise.
    """
    width = int(rng.uniform(200, 320))
    height = int(np.clip(width / rng.choice((1.33, 1.5, 1.5, 1.78, 2.1, 2.6)) * rng.uniform(0.95, 1.05), 90, 220))
    scene, seen = _scene(whale, rng, (height + 2 * SHAKE, width + 2 * SHAKE))
    blur = rng.uniform(0.4, 1.4) if rng.random() < 0.3 else 0.0  # out of focus, or the boat moved
    if blur:
        scene = cv2.GaussianBlur(scene, (0, 0), sigmaX=blur * rng.choice((1.0, 1.0, 2.0)), sigmaY=blur)
    if rng.random() < 0.2:  # an old black-and-white film
        scene = np.repeat(scene.mean(axis=2, keepdims=True), 3, axis=2)
    grain = rng.uniform(0.005, 0.025)
    writing = _writing(rng, (height, width)) if rng.random() < 0.12 else None
    taken = []
    for _ in range(frames):
        top, left = rng.integers(0, 2 * SHAKE + 1, 2)
        window = (slice(top, top + height), slice(left, left + width))
        picture = scene[window] * rng.normal(1, 0.02)
        picture = picture + grain * rng.standard_normal(picture.shape, np.float32)
        if writing is not None:
            picture = np.where(writing[0][..., None] > 0, writing[1], picture)
        taken.append(Photograph((np.clip(picture, 0, 1) * 255).astype(np.uint8), _box(seen[window])))
    return taken


def _scene(whale: Individual, rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """What lies before the camera, BGR float32 (height, width, 3) in 0…1, and how much of the fluke is seen, (height, width)."""
    height, width = size
    tint = np.array([rng.uniform(0.95, 1.2), 1.0, rng.uniform(0.72, 0.95)], np.float32)
    level = np.linspace(-0.5, 0.5, width, dtype=np.float32) * width * np.tan(np.deg2rad(rng.normal(0, 2)))
    picture = _sea(rng, size, level)[..., None] * tint
    to_view, waterline = _view(rng, size)
    outline = _placed(whale.outline, to_view, size)
    swell = waterline + level + 2.5 * _smooth_noise(rng, (1, 9), (1, width))[0]
    depth = np.arange(height, dtype=np.float32)[:, None] - swell
    above = np.clip(0.5 - depth / 1.5, 0, 1)
    slope = np.linspace(-1, 1, width, dtype=np.float32) * rng.normal(0, 0.12)
    light = rng.uniform(0.75, 1.2) * (1 + slope)[None, :] + 0.08 * _smooth_noise(rng, (3, 5), size)
    haze = rng.uniform(0.0, 0.1)
    lit = _placed(whale.colour * whale.outline[..., None], to_view, size) * light[..., None] * (1 - haze)
    lit += haze * tint * outline[..., None]
    picture = picture * (1 - outline * above)[..., None] + lit * above[..., None]
    return _spray(rng, picture, outline, depth), outline * above


def _box(seen: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero((seen > 0.5).any(axis=1)), np.flatnonzero((seen > 0.5).any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _writing(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A catalogue's note near a corner, the same to every whale: where it stands (height, width), and its BGR colour."""
    height, width = size
    text = f"{rng.choice(('HW', 'NA', 'MN'))}-{rng.integers(1000):03d} {rng.integers(1978, 2004)}"
    mask = np.zeros(size, np.uint8)
    scale = width * rng.uniform(0.0014, 0.002)
    corner = (int(width * rng.choice((0.03, 0.45))), int(height * rng.choice((0.12, 0.95))))
    cv2.putText(mask, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1)
    return mask, np.array(((1, 1, 1), (0.1, 0.9, 0.95), (0.05, 0.05, 0.05))[rng.integers(3)], np.float32)


def _outline(rng: np.random.Generator) -> np.ndarray:
    x = np.linspace(-1, 1, 301)
    side = np.abs(x)
    tip, hump = rng.uniform(0.05, 0.34), rng.uniform(0.02, 0.16)
    lobes = 0.22 + (tip - 0.22) * side ** rng.uniform(1.2, 2.4) + hump * np.sin(np.pi * side)
    notch = rng.uniform(0.06, 0.2) * np.exp(-((x / rng.uniform(0.03, 0.08)) ** 2))
    jags = np.interp(x, np.linspace(-1, 1, 27), rng.normal(0, rng.uniform(0.008, 0.028), 27)) * (1 - side**6)
    trailing = lobes - notch + jags
    for _ in range(rng.integers(0, 4)):  # bites
        trailing -= rng.uniform(0.04, 0.11) * np.exp(-(((x - rng.uniform(-0.85, 0.85)) / rng.uniform(0.02, 0.05)) ** 2))
    leading = tip - (tip + rng.uniform(0.22, 0.36)) * (1 - side ** rng.uniform(1.7, 2.6))
    trailing = np.maximum(trailing, leading + 0.02 * (1 - side))
    mask = np.zeros(_CANVAS, np.uint8)
    edge = np.concatenate([np.stack([x, trailing], 1), np.stack([x, leading], 1)[::-1]])
    stock = np.array([[-0.2, -0.1], [0.2, -0.1], [0.13, -0.3], [0.2, -0.9], [-0.2, -0.9], [-0.13, -0.3]])
    for polygon in (edge, stock):
        points = np.stack([_CANVAS[1] / 2 + polygon[:, 0] * _UNIT, _MIDDLE - polygon[:, 1] * _UNIT], 1)
        cv2.fillPoly(mask, [np.round(points * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)
    return cv2.GaussianBlur(mask, (0, 0), 1).astype(np.float32) / 255


def _view(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """The homography from canvas to picture, and the row of the waterline."""
    height, width = size
    yaw, pitch, roll = np.deg2rad([rng.uniform(-32, 32), rng.uniform(-38, 38), rng.normal(0, 7)])
    # Seen from three and a half half-spans away, the half of the fluke that is turned to the boat is the larger one.
    corners = np.array([[0, 0], [_CANVAS[1], 0], [_CANVAS[1], _CANVAS[0]], [0, _CANVAS[0]]], np.float32)
    x, y = ((corners - [_CANVAS[1] / 2, _MIDDLE]) / _UNIT).T
    far = x * np.sin(yaw) + y * np.sin(pitch) * np.cos(yaw)
    flat = np.stack([x * np.cos(yaw), y * np.cos(pitch)], 1) / (1 + far / 3.5)[:, None]
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    scale = rng.uniform(0.64, 0.95) * min(width, 2.3 * height) / 2
    half = scale * np.cos(yaw)
    middle = np.array([rng.uniform(0.95 * half, width - 0.95 * half), height * rng.uniform(0.36, 0.52)])
    to_view = cv2.getPerspectiveTransform(corners, (scale * flat @ turn.T + middle).astype(np.float32))
    sunk = rng.uniform(0.05, 0.2) if rng.random() < 0.15 else rng.uniform(0.3, 0.42)  # partly under water
    return to_view, float(middle[1] + scale * np.cos(pitch) * sunk)


def _placed(canvas: np.ndarray, to_view: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`canvas` as a picture of `size` shows it; drawn at twice the size and shrunk, so that edges are smooth."""
    height, width = size
    twice = np.diag([2.0, 2.0, 1.0]) @ to_view
    return cv2.resize(
        cv2.warpPerspective(canvas, twice, (2 * width, 2 * height)), (width, height), interpolation=cv2.INTER_AREA
    )


def _sea(rng: np.random.Generator, size: tuple[int, int], level: np.ndarray) -> np.ndarray:
    """Brightness (height, width): waves that grow towards the viewer, often the sky, sometimes a coast before it.

    `level` (width,): how many rows the horizon lies lower in each column.
    """
    height, width = size
    near = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    waves = 0.06 * _smooth_noise(rng, (14, 7), size) + 0.04 * _smooth_noise(rng, (60, 34), size)
    glitter = np.clip(_smooth_noise(rng, (90, 70), size) - 1.4, 0, None) * rng.uniform(0, 0.25)
    sea = rng.uniform(0.3, 0.55) - 0.12 * near + waves * (0.5 + near) + glitter
    horizon = rng.uniform(-0.2, 0.25) * height + level
    rows = np.arange(height, dtype=np.float32)[:, None]
    sky = rng.uniform(0.65, 0.85) + 0.03 * _smooth_noise(rng, (3, 5), size)
    if rng.random() < 0.25:
        hills = horizon - height * np.abs(_smooth_noise(rng, (1, 6), (1, width))[0]) * rng.uniform(0.02, 0.07)
        sky = np.where(rows > hills, rng.uniform(0.3, 0.5), sky)
    blend = np.clip((rows - horizon) / 1.5, 0, 1)
    return np.clip(sky * (1 - blend) + sea * blend, 0.05, 1).astype(np.float32)


def _spray(rng: np.random.Generator, picture: np.ndarray, outline: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """White water where the stock breaks the surface, and drops falling off the trailing edge."""
    height, width = outline.shape
    stock = cv2.GaussianBlur(outline, (0, 0), 7) * np.exp(-((depth / rng.uniform(2.5, 5.5)) ** 2))
    foam = np.clip(stock * (1.1 + 0.5 * _smooth_noise(rng, (40, 60), outline.shape)), 0, 0.9)[..., None]
    picture = picture * (1 - foam) + 0.93 * foam
    drops = np.zeros(outline.shape, np.float32)
    for _ in range(rng.integers(0, 60)):
        x, y = rng.normal(width / 2, width / 5), rng.normal(height * 0.62, height / 8)
        cv2.circle(
            drops, (int(x * 8), int(y * 8)), int(rng.integers(4, 9)), float(rng.uniform(0.3, 0.8)), -1, cv2.LINE_AA, 3
        )
    cover = cv2.GaussianBlur(drops, (0, 0), 0.5)[..., None]
    return picture * (1 - cover) + 0.95 * cover


def _smooth_noise(rng: np.random.Generator, grid: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Normal noise on a coarse grid, blown up to `size` (height, width), float32."""
    noise = rng.standard_normal(grid, np.float32)
    return cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)
