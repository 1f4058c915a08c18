#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The layering rules of src/, backends/, ui/ and plugins/.

layers.py includes ROOT              the include graph: which layer includes which
layers.py symbols CC LIB...          links core and base without libraries: the missing symbols
                                     must be on a short list
layers.py imports NM MODULE...       a backend module imports allowed symbols only, and exports one
layers.py circles NM OBJECT...       no two of these objects (or members of archives) need each
                                     other, directly or through others
"""
import pathlib
import re
import subprocess
import sys
import tempfile

# The layers whose headers each layer may include.
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

# Within a layer: the other folders of the layer that a folder may include. Below: for folders that
# have no row here.
SUB_LAYERS = {
    "core": {"core/text", "core/quant", "core/sampling", "core/kv"},
    "core/formats": {"core", "core/text", "core/quant"},
    "core/text": {"core/text/jinja"},
    "core/text/jinja": {"core/text"},
    "core/quant": set(),
    "core/sampling": {"core", "core/text", "core/quant"},
    "core/kv": {"core", "core/quant"},
    "host": {"host/modules", "host/stream"},
    "host/modules": {"host"},
    "host/audio": {"host", "host/modules"},
    "host/convert": {"host"},
    "host/remote": {"host", "host/modules"},
    "host/stream": {"host"},
    "abi": set(),
    "abi/kit": {"abi"},
    "backends/common": {"backends"},
    "backends/rvv10": {"backends/rvv07"},
    "ui/common": set(),
}
SUB_LAYERS_OF = {
    "backends": {"backends", "backends/common"},
    "plugins": set(),
    "ui": {"ui/common"},
}

# System headers for core and base: they use no allocation, files, threads, clocks or exit.
CORE_HEADERS = {
    "assert.h", "float.h", "limits.h", "math.h", "stdarg.h", "stdatomic.h", "stdbool.h",
    "stddef.h", "stdint.h", "string.h",
}

# Symbols of a C library for core and base: what a bare-metal image can bring.
CORE_SYMBOLS = {
    "memcpy", "memmove", "memset", "memcmp", "memchr", "strlen", "strcmp", "strncmp", "strchr",
    "strstr", "strspn", "strcspn", "cosf", "sinf", "sqrtf", "powf", "roundf", "rintf", "lrintf",
    "floorf", "ceilf", "fabsf", "ldexpf", "logf", "expf", "sqrt", "log", "exp", "floor", "ceil",
    "round", "rint", "pow", "exp2", "sincosf", "ldexp", "nearbyintf", "fmaxf", "fminf",
}
# Symbols that the compiler adds for -fstack-protector; a bare-metal build omits that option.
COMPILER_SYMBOLS = {"__stack_chk_fail", "__stack_chk_guard"}

# A backend module may import symbols of libc and libm, but none of these: its memory, threads and
# messages go through the host's services.
MODULE_NEVER = re.compile(
    r"^(malloc|calloc|realloc|free|aligned_alloc|posix_memalign|mmap|pthread_|fork|exec|"
    r"dl(open|sym)|open|fopen|printf|fprintf|puts|write|exit|abort|signal|sigaction|getenv|"
    r"system|dt_)"
)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.M)


def layer_of(root, path):
    parts = path.relative_to(root).parts
    if parts[0] != "src":
        return parts[0]
    return parts[1]


def folder_of(root, path):
    """The folder of a file as an include line names it: without src/."""
    parts = path.relative_to(root).parts
    return "/".join(parts[1:-1] if parts[0] == "src" else parts[:-1])


def sub_layer_fault(folder, target):
    """What is wrong with a file of one folder including from another of the same layer."""
    layer = folder.split("/")[0]
    if folder == target or layer != target.split("/")[0]:
        return None
    allowed = SUB_LAYERS.get(folder, SUB_LAYERS_OF.get(layer))
    if allowed is None:
        known = layer in ("app", "verbs", "base")
        return None if known else f"{folder} is in no layering rule"
    return None if target in allowed else f"{folder} may not include from {target}"


def find_include(root, path, target):
    """The file that an include line means, or None: looks in the folder of the including file
    first and then in the folders of -I."""
    for folder in (path.parent, root / "src", root / "backends", root / "ui"):
        if (folder / target).exists():
            return (folder / target).resolve()
    return None


def includes(root):
    root = pathlib.Path(root).resolve()
    wrong, seen = [], 0
    folders = [root / "src", root / "backends", root / "ui", root / "plugins"]
    files = [path for folder in folders for path in folder.rglob("*.[chS]")]
    for path in sorted(files):
        layer = layer_of(root, path)
        allowed = MAY_INCLUDE.get(layer)
        where = path.relative_to(root)
        if allowed is None:
            wrong.append(f"{where}: {layer} is in no layering rule")
            continue
        for kind, target in INCLUDE.findall(path.read_text(encoding="utf-8")):
            seen += 1
            if kind == "<":
                if layer in ("core", "base") and target not in CORE_HEADERS:
                    wrong.append(f"{where}: {layer} may not include <{target}>")
                continue
            found = find_include(root, path, target)
            if not found or not found.is_relative_to(root):
                # a generated header has no path; anything else must be in the tree
                if "/" in target:
                    wrong.append(f"{where}: \"{target}\" is not in the tree")
                continue
            other = layer_of(root, found)
            if other != layer and other not in allowed:
                wrong.append(f"{where}: {layer} may not include \"{target}\"")
                continue
            fault = sub_layer_fault(folder_of(root, path), folder_of(root, found))
            if fault:
                wrong.append(f"{where}: \"{target}\": {fault}")
    if seen < 50:
        wrong.append(f"only {seen} includes found under {root}: is this the source tree?")
    return wrong


def symbols(cc, libraries):
    """Links core and base -nostdlib; every symbol the linker misses must be on the list."""
    with tempfile.TemporaryDirectory() as folder:
        command = [cc, "-nostdlib", "-nostartfiles", "-shared", "-Wl,--no-undefined",
                   "-Wl,--whole-archive", *libraries, "-Wl,--no-whole-archive",
                   "-o", f"{folder}/core.so"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    missing = re.findall(r"undefined (?:reference to|symbol:?) [`']?([A-Za-z_0-9@.]+)",
                         result.stderr)
    wrong = [f"core or base uses {name}, which is not on the list"
             for name in sorted(set(missing) - CORE_SYMBOLS - COMPILER_SYMBOLS)]
    if not set(missing) & CORE_SYMBOLS:
        wrong.append("the linker reports no missing symbol, not even memcpy: "
                     + result.stderr[-500:])
    return wrong


def imports(nm, modules):
    wrong = []
    for module in modules:
        table = subprocess.run([nm, "-D", module], capture_output=True, text=True, check=True)
        rows = table.stdout.split("\n")
        exported = [r.split()[-1] for r in rows if re.match(r"^[0-9a-f]+ [TDRBVW] ", r)]
        exported = [name for name in exported if not name.startswith(("_init", "_fini"))]
        imported = [r.split()[-1].split("@")[0] for r in rows if re.match(r"^\s+[Uw] ", r)]
        if exported != ["dt_backend_module"]:
            wrong.append(f"{module}: exports {exported}; only dt_backend_module is allowed")
        wrong += [f"{module}: imports {name}" for name in imported if MODULE_NEVER.match(name)]
    if not modules:
        wrong.append("no modules given")
    return wrong


def needs(nm, files):
    """Object -> {object: symbol}: which object takes which symbol from which other."""
    defined, taken, name = {}, [], None
    for file in files:
        table = subprocess.run([nm, "-g", file], capture_output=True, text=True, check=True)
        rows = table.stdout.split("\n")
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
    """The shortest path in the graph from one object to another, as a list, or None."""
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
