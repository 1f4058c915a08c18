#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The walls between the rooms of src/, backends/, ui/ and plugins/.

layers.py includes ROOT              the include graph: who may know whom
layers.py symbols CC LIB...          core and base, linked with nothing: only the allowed symbols may be missing
layers.py circles NM OBJECT...       no two of these objects (or members of archives) need each other, directly or through others
layers.py imports NM MODULE...       what a backend module takes from outside, and the one symbol it exports
"""
import pathlib
import re
import subprocess
import sys
import tempfile

# Rooms, and which rooms' headers each may include. Nobody includes anything that is not listed.
MAY_INCLUDE = {
    "abi": {"abi"},
    "base": {"base"},
    "core": {"core", "base", "abi"},
    "host": {"host", "core", "base", "abi"},
    "app": {"app", "host", "core", "base", "abi"},
    "verbs": {"verbs", "app", "host", "core", "base", "abi"},
    "main.c": {"verbs", "app", "host", "core", "base", "abi", "ui"},
    "ui": {"ui", "app", "base"},
    "backends": {"abi"},
    "plugins": {"abi"},
}

# System headers that core and base may not see: no memory, files, threads, clocks or exit there.
CORE_HEADERS = {
    "assert.h", "float.h", "limits.h", "math.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "string.h",
}

# What core and base may take from a C library. A bare-metal image can bring all of it.
CORE_SYMBOLS = {
    "memcpy", "memmove", "memset", "memcmp", "memchr", "strlen", "strcmp", "strncmp", "strchr", "strstr", "strspn", "strcspn",
    "cosf", "sinf", "sqrtf", "powf", "roundf", "rintf", "lrintf", "floorf", "ceilf", "fabsf", "ldexpf", "logf", "expf", "sqrt",
    "log", "exp", "floor", "ceil", "round", "rint", "pow", "exp2", "sincosf", "ldexp", "nearbyintf", "fmaxf", "fminf",
}

# What a backend module may import besides: libc and libm are allowed by the interface, but none of these.
MODULE_NEVER = re.compile(
    r"^(malloc|calloc|realloc|free|aligned_alloc|posix_memalign|mmap|pthread_|fork|exec|dl(open|sym)|open|fopen|printf|fprintf|puts|"
    r"write|exit|abort|signal|sigaction|getenv|system|dt_)"
)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.M)


def layer_of(root, path):
    parts = path.relative_to(root).parts
    if parts[0] != "src":
        return parts[0]
    return parts[1]


def includes(root):
    root = pathlib.Path(root)
    wrong, seen = [], 0
    folders = [root / "src", root / "backends", root / "ui", root / "plugins"]
    files = [p for f in folders if f.is_dir() for p in f.rglob("*") if p.suffix in (".c", ".h", ".S")]
    for path in sorted(files):
        capacity = layer_of(root, path)
        allowed = MAY_INCLUDE.get(capacity)
        where = path.relative_to(root)
        if allowed is None:
            wrong.append(f"{where}: in a layer that is on no list: {capacity}")
            continue
        for kind, target in INCLUDE.findall(path.read_text(encoding="utf-8")):
            seen += 1
            if kind == "<":
                if capacity in ("core", "base") and target not in CORE_HEADERS:
                    wrong.append(f"{where}: {capacity} may not include <{target}>")
                continue
            first = target.split("/")[0]
            if "/" not in target or first == ".." or not ((root / "src" / target).exists() or (root / target).exists()):
                # a header beside its source, in its own folder only; backends may share one in their own subtree
                beside = (path.parent / target).resolve()
                own = root / "src" / capacity if capacity in MAY_INCLUDE and path.is_relative_to(root / "src") else root / capacity
                known = beside.is_relative_to(root.resolve()) and layer_of(root.resolve(), beside) in allowed - {capacity}
                if not beside.is_relative_to(own.resolve()) and not known:
                    wrong.append(f"{where}: \"{target}\" lies outside of {capacity}")
                continue
            if first not in allowed:
                wrong.append(f"{where}: {capacity} may not include \"{target}\"")
    if seen < 50:
        wrong.append(f"only {seen} includes were found under {root}: is this the source tree?")
    return wrong


def symbols(cc, libraries):
    """Links core and base -nostdlib; every symbol the linker misses must be on the list."""
    with tempfile.TemporaryDirectory() as folder:
        command = [cc, "-nostdlib", "-nostartfiles", "-shared", "-Wl,--no-undefined", "-Wl,--whole-archive", *libraries,
                   "-Wl,--no-whole-archive", "-o", f"{folder}/walls.so"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    missing = set(re.findall(r"undefined (?:reference to|symbol:?) [`']?([A-Za-z_0-9@.]+)", result.stderr))
    wrong = [f"core and base take {name} from outside; it is not on the list" for name in sorted(missing - CORE_SYMBOLS)]
    if not missing:
        wrong.append("the link told of no missing symbol at all, which cannot be: " + result.stderr[-500:])
    return wrong


def imports(nm, modules):
    wrong = []
    for module in modules:
        rows = subprocess.run([nm, "-D", module], capture_output=True, text=True, check=True).stdout.split("\n")
        exported = [r.split()[-1] for r in rows if re.match(r"^[0-9a-f]+ [TDRBVW] ", r)]
        exported = [name for name in exported if not name.startswith(("_init", "_fini"))]
        imported = [r.split()[-1].split("@")[0] for r in rows if re.match(r"^\s+[Uw] ", r)]
        if exported != ["dt_backend_module"]:
            wrong.append(f"{module}: exports {exported}, and should dt_backend_module alone")
        wrong += [f"{module}: imports {name}" for name in imported if MODULE_NEVER.match(name)]
    if not modules:
        wrong.append("no module was given")
    return wrong


def needs(nm, files):
    """Object -> {object: symbol}: which object takes which symbol from which other."""
    defined, taken, name = {}, [], None
    for file in files:
        rows = subprocess.run([nm, "-g", file], capture_output=True, text=True, check=True).stdout.split("\n")
        name = pathlib.Path(file).name
        for row in rows:
            if row.endswith(":"):  # a member of an archive
                name = pathlib.Path(row[:-1]).name
            elif re.match(r"^[0-9a-f]+ [TDRBC] ", row):
                defined[row.split()[-1]] = name
            elif re.match(r"^\s+U ", row):
                taken.append((name, row.split()[-1]))
    graph = {}
    for name, symbol in taken:
        if symbol in defined and defined[symbol] != name:
            graph.setdefault(name, {})[defined[symbol]] = symbol
    return graph


def path_between(graph, start, end):
    """The shortest path along the graph from one object to another, as a list; None if there is none."""
    paths, seen = [[start]], {start}
    while paths:
        path = paths.pop(0)
        for other in graph.get(path[-1], {}):
            if other == end:
                return [*path, other]
            if other not in seen:
                seen.add(other)
                paths.append([*path, other])
    return None


def circles(nm, files):
    graph = needs(nm, files)
    wrong, reported = [], set()
    if not graph:
        wrong.append(f"no object needs another among {len(files)} files: are these objects?")
    for name in sorted(graph):
        path = path_between(graph, name, name)
        if path and not reported & set(path):
            reported |= set(path)
            steps = [f"{a} -> {b} ({graph[a][b]})" for a, b in zip(path, path[1:])]
            wrong.append("objects need each other: " + ", ".join(steps))
    return wrong


def main():
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "includes":
        wrong = includes(arguments[0])
    elif what == "symbols":
        wrong = symbols(arguments[0], arguments[1:])
    elif what == "circles":
        wrong = circles(arguments[0], arguments[1:])
    elif what == "imports":
        wrong = imports(arguments[0], arguments[1:])
    else:
        sys.exit(__doc__)
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
