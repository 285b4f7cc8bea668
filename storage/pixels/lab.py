"""CIELab colours of data sets as RGB (PS3.3 C.10.7.1.1): recommended colours of layers, shutters and segments."""

from collections.abc import Sequence
from typing import Final

_WHITE: Final = (0.9642, 1.0, 0.8249)
"""X, Y and Z of the illuminant D50, against which the values are given."""
_TO_SRGB: Final = (
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
)
"""From XYZ of D50 to linear sRGB, chromatic adaptation (Bradford) included."""


def to_rgb(stored: Sequence[float]) -> tuple[int, int, int]:
    """Three words (0 to 65535 for L* of 0 to 100, a* and b* of -128 to 127) -> 8-bit sRGB."""
    bounded = [max(0.0, min(float(word), 65535.0)) / 65535.0 for word in stored]
    lightness, a, b = bounded[0] * 100.0, bounded[1] * 255.0 - 128.0, bounded[2] * 255.0 - 128.0
    y = (lightness + 16.0) / 116.0
    xyz = [white * _inverse(value) for white, value in zip(_WHITE, (y + a / 500.0, y, y - b / 200.0), strict=True)]
    red, green, blue = (_encoded(sum(m * v for m, v in zip(row, xyz, strict=True))) for row in _TO_SRGB)
    return red, green, blue


def _inverse(value: float) -> float:
    return value**3 if value > 6.0 / 29.0 else 3.0 * (6.0 / 29.0) ** 2 * (value - 4.0 / 29.0)


def _encoded(linear: float) -> int:
    linear = max(0.0, min(linear, 1.0))
    share = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return round(share * 255.0)
