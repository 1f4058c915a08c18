#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/architecture.svg: the layers, their folders, and which layer uses which (#include lines).

architecture.py            writes the picture
architecture.py --check    exit code 1 if the committed picture differs from the sources
"""
import html
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)

# name: x, y, width, height, what the layer is for. Which layers exist and what they use comes from
# the sources.
PLACES = {
    "main": (250, 20, 130, 52, "finds the verb"),
    "ui": (20, 110, 265, 72, "front ends: full screen, line, plain"),
    "verbs": (305, 110, 265, 72, "one file a verb: run, bench, convert ..."),
    "app": (20, 220, 550, 72, "an interactive session"),
    "host": (20, 330, 550, 72, "the operating system: files, modules, threads, sound"),
    "core": (20, 440, 550, 72, "the engine: no allocation, files, threads or clock"),
    "base": (20, 550, 250, 72, "errors, text, arena"),
    "abi": (310, 550, 590, 72, "the public headers"),
    "plugins": (620, 110, 260, 110, "voices, ears, server, other machines"),
    "backends": (620, 330, 220, 110, "kernels, loaded at run time"),
}
# Where the arrow between two boxes stands; else in the middle of what they share.
LANES = {("core", "abi"): 440, ("core", "base"): 145, ("plugins", "abi"): 860,
         ("host", "abi"): 595, ("main", "ui"): 267, ("main", "verbs"): 342}
WRAP = 6.1  # width of a letter of a folder's name, for breaking lines


def layer_of(path):
    parts = path.relative_to(ROOT).parts
    if parts[0] != "src":
        return parts[0]
    return "main" if parts[1] == "main.c" else parts[1]


def sources():
    for folder in ("src", "ui", "backends", "plugins"):
        yield from sorted(p for p in (ROOT / folder).rglob("*") if p.suffix in (".c", ".h", ".S"))


def graph():
    """({layer: folders in it}, {layer: layers it includes headers of})"""
    folders, uses = {}, {}
    for path in sources():
        layer = layer_of(path)
        folders.setdefault(layer, set())
        uses.setdefault(layer, set())
        inside = path.relative_to(ROOT).parts[(2 if path.is_relative_to(ROOT / "src") else 1):-1]
        if inside:
            folders[layer].add(inside[0])
        for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
            for found in (path.parent / name, ROOT / "src" / name, ROOT / name):
                if found.exists():
                    uses[layer].add(layer_of(found.resolve()))
                    break
    return folders, {layer: found - {layer} for layer, found in uses.items()}


def direct(uses):
    """The arrows to draw: those that do not follow from others"""
    def below(layer):
        found = set()
        for other in uses.get(layer, ()):
            found |= {other} | below(other)
        return found

    return sorted((a, b) for a, found in uses.items() for b in found
                  if not any(b in below(c) for c in found if c != b))


def text(x, y, words, size, colour="#222", weight="normal"):
    return (f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" font-weight="{weight}">'
            f"{html.escape(words)}</text>")


def lines_of(words, width):
    """Folder names in lines that fit into a box"""
    lines = [""]
    for word in words:
        if lines[-1] and (len(lines[-1]) + 2 + len(word)) * WRAP > width - 20:
            lines.append("")
        lines[-1] += ("  " if lines[-1] else "") + word
    return lines


def box(layer, folders):
    x, y, width, height, purpose = PLACES[layer]
    colour = {"abi": "#fdf3d8", "backends": "#e3f1e3", "plugins": "#e3f1e3"}.get(layer, "#e4edf8")
    out = [f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{colour}" '
           'stroke="#456"/>',
           text(x + 10, y + 21, layer, 16, weight="bold"), text(x + 10, y + 39, purpose, 11.5)]
    for i, line in enumerate(lines_of([name + "/" for name in sorted(folders)], width)):
        if line:
            out.append(text(x + 10, y + 58 + 16 * i, line, 11.5, "#456"))
    return out


def arrow(a, b):
    """Straight down from box a to box b, or out of the right side of a and down"""
    (ax, ay, aw, ah, _), (bx, by, bw, _, _) = PLACES[a], PLACES[b]
    x = LANES.get((a, b), (max(ax, bx) + min(ax + aw, bx + bw)) // 2)
    if ax <= x <= ax + aw:
        return f'<path d="M{x} {ay + ah}V{by - 2}" class="arrow"/>'
    return f'<path d="M{ax + aw} {ay + ah // 2}H{x}V{by - 2}" class="arrow"/>'


def draw():
    folders, uses = graph()
    unknown = set(folders) - set(PLACES)
    if unknown:
        sys.exit(f"architecture.py: no place for {', '.join(sorted(unknown))}: add it to PLACES")
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 640" width="920" height="640" '
           'font-family="sans-serif">',
           '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
           'markerHeight="8" orient="auto"><path d="M0 0L10 5L0 10z" fill="#456"/></marker></defs>',
           '<style>.arrow{fill:none;stroke:#456;stroke-width:1.5;marker-end:url(#tip)}</style>',
           '<rect width="920" height="640" fill="white"/>']
    for layer in PLACES:
        if layer in folders:
            out += box(layer, folders[layer])
    out += [arrow(a, b) for a, b in direct(uses) if a in PLACES and b in PLACES]
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    picture = draw()
    if sys.argv[1:] == ["--check"]:
        if not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != picture:
            sys.exit("docs/architecture.svg differs from the sources: run docs/architecture.py")
        return
    if sys.argv[1:]:
        sys.exit(__doc__)
    PICTURE.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
