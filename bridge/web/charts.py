"""Charts as SVG, rendered on the server: stacked bars, a line, a waterfall, a sparkline.

No chart library: those in JavaScript draw with inline styles or in a canvas, need an exception in the content security
policy, and show nothing without JavaScript or to a screen reader; those in Python (matplotlib, pygal) bring 10 MB or
inline styles. Here a chart is markup of the page: colours are classes of the stylesheet, so both colour schemes work,
every bar is a link, and the page shows the same numbers as a table beneath. Links in a chart are not tab stops; the
table has them for the keyboard.

Pure: values in, markup out. A chart is drawn twice, for wide and for narrow screens, and the stylesheet shows one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import chain, pairwise

from markupsafe import Markup, escape

from processors.values import Value, field

MAX_TICKS = 5
CHARACTER = 7.2  # width of a digit at the font size of the labels
GAP = 0.28  # of a column's width, between bars
MAX_BAR = 46.0
CUT = 0.6  # where no level is below this part of the highest, the axis begins above 0, so that changes are visible


class Segment(Value):
    """A part of a bar. `kind`: the class that gives its colour. `text`: its name and amount, shown on hover."""

    kind: str
    value: Decimal
    text: str
    href: str | None = None


class Column(Value):
    """The bars of one period: positive segments are stacked upwards from 0, negative ones downwards.

    `line`: the value of the line at this period.
    """

    label: str
    segments: Sequence[Segment] = ()
    line: Decimal | None = None


class Step(Value):
    """A bar of a waterfall: a change from where the last one ended, or a level (`is_total`) from 0.

    `brief`: the label on narrow screens.
    """

    label: str
    brief: str
    kind: str
    value: Decimal
    text: str
    is_total: bool = False
    href: str | None = None


class Size(Value):
    """The size of a chart in CSS pixels, and the class that shows it on the screens that it is for."""

    name: str
    width: int
    height: int


SIZES = (Size(name="wide", width=1100, height=300), Size(name="narrow", width=370, height=240))


class Plot(Value):
    """The drawing area of a chart: where a column and a value are."""

    size: Size
    low: float
    high: float
    step: float
    columns: int
    left: float = field(default=0.0)
    top: float = field(default=8.0)

    @property
    def bottom(self) -> float:
        """The y of the lower edge; the labels are below it."""
        return self.size.height - 26.0

    @property
    def column_width(self) -> float:
        """The width of a column, with the gap."""
        return (self.size.width - self.left) / max(self.columns, 1)

    def x(self, column: int) -> float:
        """The middle of a column."""
        return self.left + self.column_width * (column + 0.5)

    def y(self, value: float) -> float:
        """The height of a value."""
        return self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - self.top)

    def bar(self, column: int) -> tuple[float, float]:
        """Left edge and width of a column's bar."""
        width = min(self.column_width * (1 - GAP), MAX_BAR)
        return self.x(column) - width / 2, width


# ---- Charts ----------------------------------------------------------------------------------------------------


def stacked_bars(name: str, title: str, description: str, columns: Sequence[Column]) -> Markup:
    """Stacked bars by period, with a line through `Column.line`. `name`: an id that is unique in the page."""
    return _both(name, title, description, lambda size: _stacked(size, columns))


def line(name: str, title: str, description: str, columns: Sequence[Column]) -> Markup:
    """A line through `Column.line`, with the area down to the axis."""
    return _both(name, title, description, lambda size: _line_chart(size, columns))


def steps(name: str, title: str, description: str, columns: Sequence[Column]) -> Markup:
    """A level that stays until it changes: like `line`, with vertical changes at the column where each happens."""
    return _both(name, title, description, lambda size: _line_chart(size, columns, stays=True))


def waterfall(name: str, title: str, description: str, steps: Sequence[Step]) -> Markup:
    """Levels and the changes between them."""
    return _both(name, title, description, lambda size: _waterfall(size, steps))


def sparkline(values: Sequence[Decimal], title: str, width: int = 220, height: int = 44) -> Markup:
    """A small line without axes. Its lowest and highest values fill the height."""
    numbers = [float(value) for value in values]
    if len(numbers) < 2:
        return Markup("")
    low, high = min(numbers), max(numbers)
    spread = (high - low) or 1.0
    middle = 0.0 if high > low else 0.5
    points = [
        (2 + index * (width - 4) / (len(numbers) - 1), height - 4 - ((value - low) / spread + middle) * (height - 8))
        for index, value in enumerate(numbers)
    ]
    inner = _tag("title", escape(title)) + _tag("polyline", class_="net", points=_points(points))
    return _tag("svg", inner, class_="spark", viewBox=f"0 0 {width} {height}", role="img", aria_label=title)


# ---- Parts -----------------------------------------------------------------------------------------------------


def _both(name: str, title: str, description: str, draw: Callable[[Size], Markup]) -> Markup:
    return Markup("").join(_svg(f"{name}-{size.name}", title, description, size, draw(size)) for size in SIZES)


def _svg(name: str, title: str, description: str, size: Size, inner: Markup) -> Markup:
    described = _tag("title", escape(title), id=f"{name}-title") + _tag("desc", escape(description), id=f"{name}-desc")
    return _tag(
        "svg",
        described + inner,
        class_=f"chart {size.name}",
        viewBox=f"0 0 {size.width} {size.height}",
        role="group",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-desc",
    )


def _stacked(size: Size, columns: Sequence[Column]) -> Markup:
    plot = _plot(size, list(_extremes(columns)), len(columns))
    bars = Markup("").join(_column(plot, index, column) for index, column in enumerate(columns))
    return _grid(plot) + bars + _line(_line_points(plot, columns)) + _labels(plot, [column.label for column in columns])


def _line_chart(size: Size, columns: Sequence[Column], *, stays: bool = False) -> Markup:
    values = [float(column.line) for column in columns if column.line is not None]
    plot = _plot(size, values, len(columns), has_zero=bool(values) and min(values) < CUT * max(values))
    points = _line_points(plot, columns)
    if stays:
        corners = [(later[0], earlier[1]) for earlier, later in pairwise(points)]
        points = [*points[:1], *chain.from_iterable(zip(corners, points[1:], strict=True))]
    area = Markup("")
    if points:
        edge = [(points[-1][0], plot.bottom), (points[0][0], plot.bottom)]
        area = _tag("polygon", class_="area", points=_points([*points, *edge]))
    return _grid(plot) + area + _line(points) + _labels(plot, [column.label for column in columns])


def _waterfall(size: Size, steps: Sequence[Step]) -> Markup:
    edges = list(_edges(steps))
    values = [value for pair in edges for value in pair]
    levels = [end for _, end in edges]
    has_zero = min(levels) < CUT * max(levels)
    below = min(levels) - (max(levels) - min(levels)) / 3  # so that the lowest level has a bar, too
    plot = _plot(size, values if has_zero else [*levels, below], len(steps), has_zero=has_zero)
    shapes = []
    for index, (step, (begin, end)) in enumerate(zip(steps, edges, strict=True)):
        bottom = max(begin, plot.low) if step.is_total else begin
        shapes.append(_bar(plot, index, bottom, end, step.kind, step.text, step.href))
        if index + 1 < len(steps):
            left, width = plot.bar(index)
            y = f"{plot.y(end):.1f}"
            following = f"{plot.bar(index + 1)[0]:.1f}"
            shapes.append(_tag("line", class_="join", x1=f"{left + width:.1f}", x2=following, y1=y, y2=y))
    return (
        _grid(plot)
        + Markup("").join(shapes)
        + _labels(plot, [step.brief if size.name == "narrow" else step.label for step in steps], every=True)
    )


def _edges(steps: Iterable[Step]) -> Iterator[tuple[float, float]]:
    """The amounts at which each bar begins and ends."""
    level = 0.0
    for step in steps:
        begin = 0.0 if step.is_total else level
        level = float(step.value) if step.is_total else level + float(step.value)
        yield begin, level


def _extremes(columns: Iterable[Column]) -> Iterator[float]:
    """The amounts that the plot must contain."""
    for column in columns:
        values = [float(segment.value) for segment in column.segments]
        yield sum(value for value in values if value > 0)
        yield sum(value for value in values if value < 0)
        if column.line is not None:
            yield float(column.line)


def _column(plot: Plot, index: int, column: Column) -> Markup:
    up = down = 0.0
    shapes = []
    for segment in column.segments:
        value = float(segment.value)
        begin = up if value > 0 else down
        shapes.append(_bar(plot, index, begin, begin + value, segment.kind, segment.text, segment.href))
        up, down = (up + value, down) if value > 0 else (up, down + value)
    return Markup("").join(shapes)


def _bar(plot: Plot, index: int, begin: float, end: float, kind: str, text: str, href: str | None) -> Markup:
    if begin == end:
        return Markup("")
    left, width = plot.bar(index)
    top, bottom = sorted((plot.y(begin), plot.y(end)))
    shape = _tag(
        "rect",
        _tag("title", escape(text)),
        class_=f"bar {kind}",
        x=f"{left:.1f}",
        y=f"{top:.1f}",
        width=f"{width:.1f}",
        height=f"{max(bottom - top, 1):.1f}",
    )
    return shape if href is None else _tag("a", shape, href=href, tabindex="-1", aria_label=text)


def _line_points(plot: Plot, columns: Sequence[Column]) -> list[tuple[float, float]]:
    return [(plot.x(index), plot.y(float(one.line))) for index, one in enumerate(columns) if one.line is not None]


def _line(points: Sequence[tuple[float, float]]) -> Markup:
    if not points:
        return Markup("")
    if len(points) == 1:
        return _tag("circle", class_="dot", cx=f"{points[0][0]:.1f}", cy=f"{points[0][1]:.1f}", r="3")
    return _tag("polyline", class_="net", points=_points(points))


def _grid(plot: Plot) -> Markup:
    shapes = []
    for number in range(round((plot.high - plot.low) / plot.step) + 1):
        value = plot.low + number * plot.step
        y = f"{plot.y(value):.1f}"
        kind = "grid zero" if abs(value) < plot.step / 1000 else "grid"
        shapes.append(_tag("line", class_=kind, x1=f"{plot.left:.1f}", x2=str(plot.size.width), y1=y, y2=y))
        shapes.append(_tag("text", escape(short(value)), class_="tick", x=f"{plot.left - 8:.1f}", y=y, dy="4"))
    return Markup("").join(shapes)


def _labels(plot: Plot, labels: Sequence[str], *, every: bool = False) -> Markup:
    longest = max((len(label) for label in labels), default=1) * CHARACTER + 10
    stride = 1 if every else max(1, math.ceil(longest / plot.column_width))
    offset = (len(labels) - 1) % stride  # so that the last one has its label
    y = str(plot.size.height - 8)
    shown = [(plot.x(index), label) for index, label in enumerate(labels) if index % stride == offset]
    if len(shown) > 1 and _right_edge(*shown[-2]) > plot.size.width - len(shown[-1][1]) * CHARACTER - CHARACTER:
        del shown[-2]  # the last label ends at the right edge, where the one before it may still be
    return Markup("").join(_label(plot.size.width, x, y, label) for x, label in shown)


def _right_edge(x: float, label: str) -> float:
    return x + len(label) * CHARACTER / 2


def _label(width: int, x: float, y: str, label: str) -> Markup:
    """A label in the middle of its column; at the right edge it ends there instead of being cut off."""
    if _right_edge(x, label) > width:
        return _tag("text", escape(label), class_="label last", x=str(width), y=y)
    return _tag("text", escape(label), class_="label", x=f"{x:.1f}", y=y)


def _plot(size: Size, values: Sequence[float], columns: int, *, has_zero: bool = True) -> Plot:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if has_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        low, high = (low, low + 1) if low == 0 else (low - abs(low) / 10, high + abs(high) / 10)
    step = nice_step((high - low) / MAX_TICKS)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    widest = max(len(short(value)) for value in (low, high, low + step))
    return Plot(size=size, low=low, high=high, step=step, columns=columns, left=widest * CHARACTER + 12)


def nice_step(wanted: float) -> float:
    """The distance of grid lines: 1, 2 or 5 times a power of ten, at least `wanted`."""
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= wanted * 0.999)


def short(value: float) -> str:
    """A number for an axis: `950`, `1.5k`, `20k`, `3M`."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.2f}".rstrip("0").rstrip(".") + unit
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _tag(name: str, content: str = "", **attributes: str | None) -> Markup:
    """An element. `class_` becomes `class`; an underscore becomes a hyphen; None is left out. `content` is markup."""
    written = "".join(
        [f' {_attribute(key)}="{escape(value)}"' for key, value in attributes.items() if value is not None]
    )
    return Markup(f"<{name}{written}>{content}</{name}>")  # nosec B704: every value is escaped


@lru_cache(maxsize=100)
def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
