"""Synthetic faces with the seven emotions: a dataset for trying out and testing ferlab without a download.

Each face is rendered from personal traits, a pose, lighting and an expression. An expression is a set of facial
actions, such as raised brows or an open mouth, around the prototype of its emotion. Faces are shifted, turned and
scaled so much that a linear model of the pixels recognizes few of them, which networks do. The prototypes follow the
action units of Ekman and Friesen for the basic emotions (Facial Action Coding System, 1978;
https://en.wikipedia.org/wiki/Facial_Action_Coding_System).
"""

from typing import NamedTuple

import cv2
import numpy as np

from ferlab.data.dataset import IMAGE_SIZE, Dataset, Split
from ferlab.emotions import EMOTIONS

# Images per class, in the order of EMOTIONS: imbalanced like FER2013, but less so.
CLASS_COUNTS = {
    Split.TRAIN: (200, 90, 200, 290, 220, 170, 230),
    Split.VALIDATION: (60, 27, 60, 87, 66, 51, 69),
    Split.TEST: (60, 27, 60, 87, 66, 51, 69),
}
OVERSAMPLING = 4  # faces are rendered at 192x192 and downsampled, which smooths their edges
CANVAS_SIZE = IMAGE_SIZE * OVERSAMPLING
HALF_FACE = 0.36 * CANVAS_SIZE  # pixels; the unit of face coordinates, with x to the right and y down
CHIN = 1.3  # half the height of a face, in units of half its width


class Expression(NamedTuple):
    """Intensity of each facial action: 0 is relaxed, 1 is strong."""

    brow_raise: float  # below 0: lowered
    brow_slant: float  # above 0: inner ends down, as in anger; below 0: inner ends up
    eye_open: float  # below 0: narrowed
    mouth_curve: float  # above 0: corners up; below 0: corners down
    mouth_open: float
    mouth_wide: float  # below 0: pursed
    nose_wrinkle: float


PROTOTYPES = {
    "angry": Expression(-0.8, 1.0, -0.1, -0.4, 0.1, -0.3, 0.2),
    "disgust": Expression(-0.6, 0.5, -0.7, -0.6, 0.3, -0.1, 1.0),
    "fear": Expression(0.6, -0.9, 0.9, -0.4, 0.4, 0.5, 0.0),
    "happy": Expression(0.1, 0.0, -0.4, 1.0, 0.4, 0.8, 0.0),
    "sad": Expression(-0.1, -1.0, -0.5, -0.9, 0.0, -0.2, 0.0),
    "surprise": Expression(1.0, 0.0, 1.0, 0.0, 1.1, -0.6, 0.0),
    "neutral": Expression(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
}


class Person(NamedTuple):
    """Traits of a person. Shades are gray values, 0..255; lengths are in face units."""

    skin: float
    hair: float
    brow_width: float
    brow_y: float
    eye_x: float
    eye_size: float
    nose_y: float
    mouth_y: float
    mouth_width: float
    hairline: float


class View(NamedTuple):
    """Pose, lighting and camera."""

    turn: float  # radians, around the vertical axis
    nod: float  # radians, around the axis through the ears
    roll: float  # radians, in the image plane
    scale: float
    shift_x: float  # pixels of the final image
    shift_y: float
    background: float  # gray value
    light_x: float  # difference in gray values between the center and the right edge
    light_y: float
    blur: float  # standard deviation in pixels
    noise: float  # standard deviation in gray values


PERSON_RANGES: dict[str, tuple[float, float]] = {
    "skin": (110, 225),
    "hair": (10, 95),
    "brow_width": (0.05, 0.13),
    "brow_y": (-0.55, -0.43),
    "eye_x": (0.36, 0.46),
    "eye_size": (0.17, 0.23),
    "nose_y": (0.18, 0.32),
    "mouth_y": (0.62, 0.76),
    "mouth_width": (0.28, 0.40),
    "hairline": (-1.05, -0.75),
}
VIEW_RANGES: dict[str, tuple[float, float]] = {
    "turn": (-0.2, 0.2),
    "nod": (-0.1, 0.1),
    "roll": (-0.2, 0.2),
    "scale": (0.85, 1.1),
    "shift_x": (-7, 7),
    "shift_y": (-7, 7),
    "background": (0, 255),
    "light_x": (-15, 15),
    "light_y": (-10, 10),
    "blur": (0.3, 0.9),
    "noise": (1, 3),
}
INTENSITY = (1.0, 1.4)  # of the emotion: 0 is the neutral face, 1 the prototype
ACTION_SPREAD = 0.05  # standard deviation of each action around the interpolated value


class Stroke(NamedTuple):
    """A line or filled shape: points `(N, 2)` in face coordinates, gray value, and line width (0: filled)."""

    points: np.ndarray
    shade: float
    width: float = 0


def load(seed: int = 0) -> Dataset:
    """Render the dataset: 1,400 training, 420 validation and 420 test images. The same seed gives the same images.

    Example:
        >>> len(load(seed=1)), str(load(seed=1).names[0])
        (2240, 'train/angry/0000')
    """
    generator = np.random.default_rng(seed)
    images, labels, splits, names = [], [], [], []
    for split, counts in CLASS_COUNTS.items():
        for label, count in enumerate(counts):
            images += [render_random_face(EMOTIONS[label], generator) for _ in range(count)]
            labels += [label] * count
            splits += [split] * count
            names += [f"{split.label}/{EMOTIONS[label]}/{number:04d}" for number in range(count)]
    return Dataset(
        images=np.stack(images),
        labels=np.array(labels, np.int64),
        splits=np.array(splits, np.uint8),
        names=np.array(names),
        class_names=EMOTIONS,
        source="demo",
    )


def render_random_face(emotion: str, generator: np.random.Generator) -> np.ndarray:
    """Render a random person with an emotion of random intensity: `(48, 48)` uint8."""
    prototype = generator.uniform(*INTENSITY) * np.array(PROTOTYPES[emotion])
    expression = Expression(*(prototype + generator.normal(0, ACTION_SPREAD, len(prototype))).tolist())
    person = Person(**_uniform(PERSON_RANGES, generator))
    view = View(**_uniform(VIEW_RANGES, generator))
    image = render(expression, person, view).astype(np.float32)
    return (image + generator.normal(0, view.noise, image.shape)).clip(0, 255).astype(np.uint8)


def _uniform(ranges: dict[str, tuple[float, float]], generator: np.random.Generator) -> dict[str, float]:
    return {name: generator.uniform(*limits) for name, limits in ranges.items()}


def render(expression: Expression, person: Person, view: View) -> np.ndarray:
    """Render one face without noise: `(48, 48)` uint8."""
    canvas = np.full((CANVAS_SIZE, CANVAS_SIZE), view.background, np.uint8)
    strokes = _strokes(expression, person)
    for stroke in _head(person):
        _paint(canvas, stroke, _to_canvas(stroke.points, view))
    ends = np.cumsum([len(stroke.points) for stroke in strokes])
    points = _to_canvas(_rotate(np.concatenate([stroke.points for stroke in strokes]), view), view)
    for stroke, end in zip(strokes, ends, strict=True):
        _paint(canvas, stroke, points[end - len(stroke.points) : end])
    image = cv2.resize(canvas, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), view.blur)
    slope = np.linspace(-1, 1, IMAGE_SIZE)
    light = view.light_x * slope + view.light_y * slope[:, None]  # (48, 48)
    return (image + light).clip(0, 255).astype(np.uint8)


def _paint(canvas: np.ndarray, stroke: Stroke, points: np.ndarray) -> None:
    if stroke.width:
        width = max(1, round(stroke.width * HALF_FACE))
        cv2.polylines(canvas, [points], isClosed=False, color=stroke.shade, thickness=width)
    else:
        cv2.fillPoly(canvas, [points], stroke.shade)


def _rotate(points: np.ndarray, view: View) -> np.ndarray:
    """Rotate points on the head, modeled as an ellipsoid, by turn and nod: `(N, 2)` to `(N, 2)`."""
    x, y = points.T
    depth = np.sqrt((1 - x**2 - (y / CHIN) ** 2).clip(0))
    turned_x = x * np.cos(view.turn) + depth * np.sin(view.turn)
    turned_y = y * np.cos(view.nod) + depth * np.sin(view.nod)
    return np.stack([turned_x, turned_y], axis=1)


def _to_canvas(points: np.ndarray, view: View) -> np.ndarray:
    """Convert face coordinates `(N, 2)` to canvas pixels `(N, 2)` int32."""
    cosine, sine = np.cos(view.roll), np.sin(view.roll)
    rotated = points @ np.array([[cosine, sine], [-sine, cosine]])
    center = CANVAS_SIZE / 2 + OVERSAMPLING * np.array([view.shift_x, view.shift_y])
    return np.rint(rotated * HALF_FACE * view.scale + center).astype(np.int32)


def _head(person: Person) -> list[Stroke]:
    """Return the hair behind the head, the neck and the face."""
    neck = np.array([(-0.5, 0.9), (0.5, 0.9), (0.6, 2.5), (-0.6, 2.5)])
    return [
        Stroke(_ellipse(0, -0.2, 1.18, 1.32), person.hair),
        Stroke(neck, 0.8 * person.skin),
        Stroke(_ellipse(0, 0, 1, CHIN), person.skin),
    ]


def _strokes(expression: Expression, person: Person) -> list[Stroke]:
    """Return everything on the surface of the head, from back to front."""
    strokes = [_fringe(person), *_nose(expression, person)]
    for side in (-1, 1):
        strokes += _eye(side, expression, person)
        strokes += _cheek(side, expression, person)
    return strokes + _mouth(expression, person)


def _fringe(person: Person) -> Stroke:
    across = np.linspace(-0.99, 0.99, 15)
    top = -CHIN * np.sqrt(1 - across**2)
    bottom = np.maximum(top, person.hairline + 0.5 * across**2)
    return Stroke(np.concatenate([_points(across, top), _points(across, bottom)[::-1]]), person.hair)


def _nose(expression: Expression, person: Person) -> list[Stroke]:
    shade = 0.72 * person.skin
    nose = np.array([(-0.16, person.nose_y - 0.04), (-0.08, person.nose_y + 0.05), (0.08, person.nose_y + 0.05)])
    strokes = [Stroke(np.concatenate([nose, [(0.16, person.nose_y - 0.04)]]), shade, 0.06)]
    wrinkle = max(0.0, expression.nose_wrinkle)
    for height in (-0.28, -0.14):
        ends = np.array([(-0.18, height - 0.08), (0, height), (0.18, height - 0.08)])
        strokes.append(Stroke(ends, person.skin * (1 - 0.5 * min(1, wrinkle)), 0.05))
    return strokes if wrinkle > 0.15 else strokes[:1]


def _eye(side: int, expression: Expression, person: Person) -> list[Stroke]:
    """Return the white, iris, upper lid and brow of one eye."""
    x, y, size = side * person.eye_x, -0.2, person.eye_size
    opening = size * max(0.08, 0.5 + 0.38 * expression.eye_open)
    across = np.linspace(-1, 1, 9)
    lid = opening * (1 - across**2)
    upper, lower = _points(x + size * across, y - lid), _points(x + size * across, y + 0.8 * lid)
    iris = _ellipse(x, y, 0.5 * size, 0.5 * size)
    iris[:, 1] = iris[:, 1].clip(y - 0.8 * opening, y + 0.65 * opening)
    return [
        Stroke(np.concatenate([upper, lower[::-1]]), min(255, person.skin + 60)),
        Stroke(iris, 25),
        Stroke(upper, 0.35 * person.skin, 0.05),
        Stroke(_brow(side, expression, person), 0.8 * person.hair, person.brow_width),
    ]


def _brow(side: int, expression: Expression, person: Person) -> np.ndarray:
    outwards = np.linspace(-1, 1, 7)  # from the inner to the outer end
    slant = -0.17 * expression.brow_slant * outwards
    arch = 0.06 * (1 - outwards**2)
    height = person.brow_y - 0.16 * expression.brow_raise + slant - arch
    return _points(side * (person.eye_x + 0.26 * outwards), height)


def _cheek(side: int, expression: Expression, person: Person) -> list[Stroke]:
    """Return the fold from nose to mouth corner, which deepens with a smile or a wrinkled nose."""
    depth = max(expression.mouth_curve, expression.nose_wrinkle) - 0.3
    if depth <= 0:
        return []
    fold = np.array([(0.24, person.nose_y), (0.45, person.nose_y + 0.16), (0.52, person.mouth_y - 0.1)])
    return [Stroke(fold * (side, 1), person.skin * (1 - 0.35 * min(1, depth)), 0.05)]


def _mouth(expression: Expression, person: Person) -> list[Stroke]:
    """Return the lips, the dark inside of an open mouth, and the teeth if it is wide."""
    half_width = person.mouth_width * (1 + 0.4 * expression.mouth_wide)
    across = np.linspace(-1, 1, 11)
    corners = person.mouth_y - 0.2 * expression.mouth_curve * (across**2 - 0.5)
    opening = 0.3 * max(0.0, expression.mouth_open) * np.sqrt(1 - across**2)
    lift = 0.12 * max(0.0, expression.nose_wrinkle) * (1 - across**2)  # a wrinkled nose pulls the upper lip up
    upper = _points(half_width * across, corners - 0.6 * opening - lift)
    lower = _points(half_width * across, corners + opening)
    teeth = _points(half_width * across, corners - 0.6 * opening - lift + np.minimum(0.1, 0.7 * opening + lift))
    strokes = [Stroke(np.concatenate([upper, lower[::-1]]), 20)]
    if expression.mouth_open > 0.15 and expression.mouth_wide > 0:
        strokes.append(Stroke(np.concatenate([upper, teeth[::-1]]), min(255, person.skin + 60)))
    lips = 0.5 * person.skin
    return [*strokes, Stroke(upper, lips, 0.07), Stroke(lower, lips, 0.08)]


def _ellipse(x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
    """Return the outline of an ellipse, `(24, 2)`."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return _points(x + radius_x * np.cos(angle), y + radius_y * np.sin(angle))


def _points(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack([x, y], axis=1)
