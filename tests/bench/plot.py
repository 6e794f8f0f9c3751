"""Lines over a common axis, as SVG: for a few hundred points nothing more is needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 860, 360, 60, 40, 30
_COLOURS = ("#1f6f8b", "#c8553d", "#588157", "#7b2cbf", "#b08900")

Points = Sequence[tuple[float, float]]


def write(path: Path, title: str, x_name: str, y_name: str, lines: Mapping[str, Points]) -> None:
    """From zero up on both axes."""
    most_x = max((x for points in lines.values() for x, _ in points), default=1) or 1
    most_y = max((y for points in lines.values() for _, y in points), default=1) * 1.1 or 1

    def place(x: float, y: float) -> tuple[float, float]:
        right = _LEFT + x / most_x * (_WIDTH - _LEFT - 20)
        return right, _HEIGHT - _BOTTOM - y / most_y * (_HEIGHT - _BOTTOM - _TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_LEFT, 18, title, "font-weight='bold'"),
        _text(_WIDTH - 20, _HEIGHT - 8, x_name, "text-anchor='end'"),
        _text(_LEFT, _TOP - 2, y_name, "fill='#555'"),
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        _, y = place(0, share * most_y)
        x, bottom = place(share * most_x, 0)
        parts += [
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - 20}" y2="{y:.1f}" stroke="#ddd"/>',
            _text(_LEFT - 6, y + 4, f"{share * most_y:.0f}", "text-anchor='end'"),
            _text(x, bottom + 16, f"{share * most_x:.0f}", "text-anchor='middle'"),
        ]
    for number, (name, points) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        parts += [
            f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>',
            _text(_LEFT + 10 + number * 150, _TOP + 16, name, f"fill='{colour}'"),
        ]
    path.write_text("\n".join([*parts, "</svg>\n"]))


def _text(x: float, y: float, text: str, attributes: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'
