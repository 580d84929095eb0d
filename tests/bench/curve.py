"""Draws throughput over clients as an SVG: a line for each target."""
import math

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 420, 70, 40, 130, 50
COLOURS = {
    "direct": "#7a7a7a", "pgbouncer": "#c77b30", "sluice": "#3b7dd8", "lookups": "#1f9d55",
    "multiplex": "#8e5bc0",
}
TEXTS = {
    "direct": "direct", "pgbouncer": "PgBouncer", "sluice": "Sluice", "lookups": "Sluice, lookups",
    "multiplex": "Sluice, multiplex",
}


def step(most):
    """A round distance between lines of the grid, about five of them."""
    rough = most / 5
    base = 10 ** math.floor(math.log10(rough))
    return next(base * one for one in (1, 2, 5, 10) if base * one >= rough)


def draw(clients, lines, pool, mode):
    """lines: {name: rates, None where there is none}."""
    most = max(rate for rates in lines.values() for rate in rates if rate)
    distance = step(most)
    top = distance * math.ceil(most / distance)
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(count):
        return LEFT + width * math.log(count / clients[0]) / math.log(clients[-1] / clients[0])

    def y(rate):
        return TOP + height * (1 - rate / top)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="14">Lookups per second over clients '
        f"(pgbench -S -M {mode}, pool {pool}, one worker)</text>",
    ]
    for i in range(round(top / distance) + 1):
        at = y(i * distance)
        out.append(
            f'<line x1="{LEFT}" x2="{LEFT + width}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e0e0e0"/>'
            f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{i * distance:,.0f}</text>'
        )
    for count in clients:
        out.append(
            f'<text x="{x(count):.1f}" y="{TOP + height + 20}" text-anchor="middle">{count}</text>'
        )
    out.append(
        f'<text x="{LEFT + width / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">clients</text>'
    )
    for name, rates in lines.items():
        points = [(x(c), y(rate)) for c, rate in zip(clients, rates) if rate]
        if not points:
            continue
        colour = COLOURS[name]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        out.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            + "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>'
                      for a, b in points)
            + f'<text x="{points[-1][0] + 8:.1f}" y="{points[-1][1] + 4:.1f}" '
            f'fill="{colour}">{TEXTS[name]}</text>'
        )
    out.append("</svg>")
    return "\n".join(out) + "\n"
