# SPDX-License-Identifier: MIT
"""What peers.py writes: a table of text, JSON, Markdown and a bar picture (SVG).

A report is a dictionary:
    machine   names and values, in the order of output
    settings  the same for how it was measured
    command   the command line
    rows      list of {title, kind, programs: [{name, figures, best, median}], limit}

`figures`, `best` and `median` are in tokens per second. The first program is duotale; `limit` is
None where there is none.
"""
import html
import json
import statistics

BEGIN, END = "<!-- peers.py: begin -->", "<!-- peers.py: end -->"
COLOURS = {"duotale": "#2f6fa7", "llama.cpp": "#e39a3b", "run": "#8a8a8a", "runq": "#8a8a8a"}
LEGEND = {"duotale": "duotale", "llama.cpp": "llama.cpp", "run": "llama2.c (run, runq)"}


EXPLANATION = """\
Figures are tokens per second (tok/s) of the best round, in parentheses the median of all rounds.
The ratio compares duotale with the fastest peer of the row: above 1, duotale is faster.
`limit` is the memory bandwidth measured in the same run, expressed in tok/s ([below](#the-limit)).
"""


def program(name, figures):
    return {"name": name, "figures": figures, "best": max(figures),
            "median": statistics.median(figures)}


def ratio(row, what):
    """duotale's figure by that of the fastest peer; None without a peer."""
    peers = [p[what] for p in row["programs"][1:]]
    return row["programs"][0][what] / max(peers) if peers else None


def share(row):
    """duotale's best figure as a share of the limit; None without one."""
    return row["programs"][0]["best"] / row["limit"] if row["limit"] else None


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def figures(entry):
    return f"{number(entry['best'])} ({number(entry['median'])})"


def cells(row):
    """Title, ratio, share of the limit, and the figures of duotale, the peers and the limit."""
    best, median, part = ratio(row, "best"), ratio(row, "median"), share(row)
    return [
        row["title"],
        f"{best:.2f} ({median:.2f})" if best else "",
        f"{part:.2f}" if part else "",
        figures(row["programs"][0]),
        ", ".join(f"{p['name']} {figures(p)}" for p in row["programs"][1:]),
        number(row["limit"]) if row["limit"] else "",
    ]


HEADS = ["tok/s, best (median)", "ratio to the fastest peer", "share of the limit", "duotale",
         "peers", "limit"]


def text_line(row):
    title, by, part, ours, peers, limit = cells(row)
    line = f"{title:38} {by:>13} {part:>6}  {ours:17} {peers}"
    return line + (f"; limit {limit}" if limit else "")


def to_json(report):
    rows = [dict(row, ratio_best=ratio(row, "best"), ratio_median=ratio(row, "median"),
                 share_of_limit=share(row)) for row in report["rows"]]
    return json.dumps(dict(report, rows=rows), indent=2) + "\n"


def markdown_table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n"
                   for line in lines)


def to_markdown(report, picture):
    """The part of docs/performance.md between the markers; picture: its address, or None."""
    facts = list(report["machine"].items()) + list(report["settings"].items())
    text = markdown_table(["", ""], [[name, value] for name, value in facts])
    text += f"\n```sh not-run: network\n{report['command']}\n```\n\n"
    text += EXPLANATION + "\n"
    text += markdown_table(HEADS, [cells(row) for row in report["rows"]])
    if picture:
        text += f"\n![Bars: duotale and its peers, in tokens per second]({picture})\n"
    return text


def write_markdown(path, text):
    """Replaces what is between the markers of an existing file; otherwise writes a new one."""
    try:
        with open(path, encoding="utf-8") as f:
            old = f.read()
    except FileNotFoundError:
        old = ""
    if old and (BEGIN not in old or END not in old):
        raise SystemExit(f"{path}: has no lines {BEGIN} and {END}; add them around the section "
                         "to be replaced, or name a new file")
    before, rest = old.split(BEGIN, 1) if old else ("", END + "\n")
    after = rest.split(END, 1)[1]
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def element(name, text=None, **attributes):
    inside = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in attributes.items())
    return f"<{name}{inside}/>" if text is None else f"<{name}{inside}>{html.escape(text)}</{name}>"


def legend(y):
    out, x = [], 16
    for name, what in LEGEND.items():
        out += [element("rect", x=x, y=y - 10, width=12, height=12, fill=COLOURS[name]),
                element("text", what, x=x + 17, y=y)]
        x += 37 + 7 * len(what)
    return out + [element("path", d=f"M{x} {y - 11}v14", stroke="#b03030", stroke_width=2),
                  element("text", "limit of memory bandwidth", x=x + 8, y=y)]


def to_svg(report):
    """One group of bars a row. Bars are as long as the speed by that of the fastest peer, so that
    rows of different speed can be read in one picture; the figures are in tokens per second. Only
    rows that compare the programs of the legend are drawn, and limits within the picture."""
    rows = [row for row in report["rows"]
            if any(p["name"] in COLOURS for p in row["programs"][1:])
            and all(p["name"] in COLOURS for p in row["programs"])]
    left, width, bar, gap, top, right = 250, 420, 17, 16, 92, 110
    scale = width / max([ratio(row, "best") for row in rows] + [1.0])
    bars, lines, labels, y = [], [], [], top
    for row in rows:
        peer, begin = max(p["best"] for p in row["programs"][1:]), y
        labels.append(element("text", row["title"], x=left - 10, text_anchor="end",
                              y=y + bar * len(row["programs"]) / 2 + 3))
        for p in row["programs"]:
            length = round(p["best"] / peer * scale, 1)
            bars.append(element("rect", x=left, y=y, width=length, height=bar - 2,
                                fill=COLOURS[p["name"]]))
            by = f" ({ratio(row, 'best'):.2f}x)" if p is row["programs"][0] else ""
            labels.append(element("text", number(p["best"]) + by, x=left + length + 6,
                                  y=y + bar - 5, stroke="#fff", stroke_width=4,
                                  paint_order="stroke"))
            y += bar
        limit = row["limit"] / peer * scale if row["limit"] else 0
        if 0 < limit <= width + right - 20:
            lines.append(element("path", d=f"M{left + limit:.1f} {begin - 3}V{y + 1}",
                                 stroke="#b03030", stroke_width=2))
        y += gap
    lines.append(element("path", d=f"M{left + scale:.1f} {top - 6}V{y - gap + 4}", stroke="#444",
                         stroke_dasharray="3 3"))
    about = (f"{report['machine'].get('CPU', '')}; best of {report['settings'].get('rounds', '')}; "
             "tokens per second, and the ratio to the fastest peer")
    heads = [element("text", "Speed of duotale and its peers", x=16, y=26, font_size=16,
                     font_weight="bold"),
             element("text", about, x=16, y=46, fill="#555"),
             element("text", "fastest peer = 1", x=left + scale, y=y + 6, text_anchor="middle",
                     fill="#555")]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + right}" '
            f'height="{y + 20}" font-family="sans-serif" font-size="12">\n'
            '<rect width="100%" height="100%" fill="#fff"/>\n'
            + "\n".join(heads + legend(70) + bars + lines + labels) + "\n</svg>\n")
