"""Drawn whale flukes: an individual is told by its trailing edge and its pigmentation, everything else is the view.

The photographs of the sample competition are made here, from numbers alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SIZE = (140, 240)  # (height, width) of a photograph in pixels
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


def photograph(whale: Individual, rng: np.random.Generator) -> np.ndarray:
    """One sighting, BGR uint8 (140, 240, 3): where the boat lay, the light, the swell and the spray are `rng`'s."""
    height, width = SIZE
    tint = np.array([rng.uniform(0.95, 1.2), 1.0, rng.uniform(0.72, 0.95)], np.float32)
    picture = _sea(rng)[..., None] * tint
    to_view, waterline = _view(rng)
    outline = _placed(whale.outline, to_view)
    swell = waterline + 2.5 * _smooth_noise(rng, (1, 9), (1, width))[0]
    depth = np.arange(height, dtype=np.float32)[:, None] - swell
    above = np.clip(0.5 - depth / 1.5, 0, 1)
    slope = np.linspace(-1, 1, width, dtype=np.float32) * rng.normal(0, 0.12)
    light = rng.uniform(0.75, 1.2) * (1 + slope)[None, :] + 0.08 * _smooth_noise(rng, (3, 5), SIZE)
    haze = rng.uniform(0.0, 0.1)
    lit = _placed(whale.colour * whale.outline[..., None], to_view) * light[..., None] * (1 - haze)
    lit += haze * tint * outline[..., None]
    picture = picture * (1 - outline * above)[..., None] + lit * above[..., None]
    picture = _spray(rng, picture, outline, depth)
    if rng.random() < 0.3:  # out of focus
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 0.9))
    if rng.random() < 0.15:  # an old black-and-white film
        picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    picture = picture + rng.uniform(0.005, 0.025) * rng.standard_normal(picture.shape, np.float32)
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


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


def _view(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """The homography from canvas to photograph, and the height of the waterline below the fluke's middle."""
    height, width = SIZE
    scale = rng.uniform(0.62, 0.92) * width / (2 * _UNIT)
    flat = rng.uniform(0.8, 1.1)  # leaning towards the boat or away
    angle = np.deg2rad(rng.normal(0, 6))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([width * rng.uniform(0.44, 0.56), height * rng.uniform(0.38, 0.5)])
    corners = np.array([[0, 0], [_CANVAS[1], 0], [_CANVAS[1], _CANVAS[0]], [0, _CANVAS[0]]], np.float32)
    placed = ((corners - [_CANVAS[1] / 2, _MIDDLE]) * [scale, scale * flat]) @ turn.T + middle
    placed += rng.normal(0, 0.02, (4, 2)) * [width, height]  # perspective
    waterline = middle[1] + scale * flat * _UNIT * rng.uniform(0.3, 0.42)
    return cv2.getPerspectiveTransform(corners, placed.astype(np.float32)), float(waterline)


def _placed(canvas: np.ndarray, to_view: np.ndarray) -> np.ndarray:
    """`canvas` as the photograph shows it; drawn at twice the size and shrunk, so that edges are smooth."""
    height, width = SIZE
    twice = np.diag([2.0, 2.0, 1.0]) @ to_view
    return cv2.resize(
        cv2.warpPerspective(canvas, twice, (2 * width, 2 * height)), (width, height), interpolation=cv2.INTER_AREA
    )


def _sea(rng: np.random.Generator) -> np.ndarray:
    """Brightness (height, width): waves that grow towards the viewer, sometimes a strip of sky."""
    height = SIZE[0]
    near = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    waves = 0.06 * _smooth_noise(rng, (14, 7), SIZE) + 0.04 * _smooth_noise(rng, (60, 34), SIZE)
    glitter = np.clip(_smooth_noise(rng, (90, 70), SIZE) - 1.4, 0, None) * rng.uniform(0, 0.25)
    sea = rng.uniform(0.3, 0.55) - 0.12 * near + waves * (0.5 + near) + glitter
    horizon = rng.uniform(-0.2, 0.22) * height
    sky = rng.uniform(0.65, 0.85) + 0.03 * _smooth_noise(rng, (3, 5), SIZE)
    blend = np.clip((np.arange(height, dtype=np.float32)[:, None] - horizon) / 1.5, 0, 1)
    return np.clip(sky * (1 - blend) + sea * blend, 0.05, 1).astype(np.float32)


def _spray(rng: np.random.Generator, picture: np.ndarray, outline: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """White water where the stock breaks the surface, and drops falling off the trailing edge."""
    height, width = outline.shape
    stock = cv2.GaussianBlur(outline, (0, 0), 7) * np.exp(-((depth / rng.uniform(2.5, 5.5)) ** 2))
    foam = np.clip(stock * (1.1 + 0.5 * _smooth_noise(rng, (40, 60), SIZE)), 0, 0.9)[..., None]
    picture = picture * (1 - foam) + 0.93 * foam
    drops = np.zeros(SIZE, np.float32)
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
