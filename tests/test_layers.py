#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A wall that cannot fall is no wall: breaks each of them in a small tree and expects to be told."""
import pathlib
import subprocess
import sys
import tempfile

WALLS = sys.argv[1]

# file, text, what must be said about it
BROKEN = [
    ("src/core/model.c", '#include "host/file.h"\n', 'core may not include "host/file.h"'),
    ("src/core/model.c", "#include <stdlib.h>\n", "core may not include <stdlib.h>"),
    ("src/base/text.c", "#include <pthread.h>\n", "base may not include <pthread.h>"),
    ("backends/int8/int8.c", '#include "core/model.h"\n', 'backends may not include "core/model.h"'),
    ("backends/int8/int8.c", '#include "../../src/core/model.h"\n', "lies outside of backends"),
    ("src/host/file.c", '#include "app/session.h"\n', 'host may not include "app/session.h"'),
    ("src/app/session.c", '#include "verbs/verb.h"\n', 'app may not include "verbs/verb.h"'),
    ("ui/line/line.c", '#include "core/model.h"\n', 'ui may not include "core/model.h"'),
    ("src/other/x.c", "#include <stddef.h>\n", "in a layer that is on no list"),
]
SOUND = {
    "src/base/text.h": "#include <stddef.h>\n",
    "src/core/model.h": '#include "base/text.h"\n#include "abi/backend.h"\n',
    "src/abi/backend.h": "#include <stdint.h>\n",
    "src/host/file.h": '#include "core/model.h"\n#include <stdio.h>\n',
    "src/app/session.h": '#include "host/file.h"\n',
    "src/verbs/verb.h": '#include "app/session.h"\n',
}


def check(root):
    result = subprocess.run([sys.executable, WALLS, "includes", str(root)], capture_output=True, text=True, check=False)
    return result.returncode, result.stdout


# What each object calls, and what must be said about them; None: no circle.
CALLS = [
    ({"a": "b c", "b": "c", "c": ""}, None),
    ({"a": "b", "b": "c", "c": "a"}, "a.o -> b.o (b), b.o -> c.o (c), c.o -> a.o (a)"),
    ({"a": "b", "b": "c", "c": "b"}, "b.o -> c.o (c), c.o -> b.o (b)"),
    ({"a": "a", "b": ""}, "no object needs another"),
]


def check_circles(cc, nm, as_archive):
    failures = 0
    for calls, expected in CALLS:
        with tempfile.TemporaryDirectory() as folder:
            for name, called in calls.items():
                others = "".join(f"void {other}(void);" for other in called.split())
                body = "".join(f"{other}();" for other in called.split())
                source = f"{others} void {name}(void); void {name}(void) {{ {body} }}"
                subprocess.run([cc, "-x", "c", "-c", "-o", f"{folder}/{name}.o", "-"], input=source, text=True, check=True)
            files = [f"{folder}/{name}.o" for name in calls]
            if as_archive:
                subprocess.run(["ar", "rcs", f"{folder}/all.a", *files], check=True)
                files = [f"{folder}/all.a"]
            result = subprocess.run([sys.executable, WALLS, "circles", nm, *files], capture_output=True, text=True, check=False)
            good = result.returncode == 0 if expected is None else result.returncode == 1 and expected in result.stdout
            if not good:
                failures += 1
                print(f"{calls}: expected {expected!r}, got {result.returncode}: {result.stdout}{result.stderr}")
    return failures


def main():
    failures = 0
    if len(sys.argv) > 2:  # a C compiler
        failures += check_circles(sys.argv[2], "nm", False) + check_circles(sys.argv[2], "nm", True)
    for name, text, expected in [("src/base/ok.c", '#include "base/text.h"\n', None), *BROKEN]:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            files = dict(SOUND)
            files["src/base/many.c"] = "#include <stddef.h>\n" * 60  # so that the tree looks like one
            files[name] = text
            for path, content in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(content, encoding="utf-8")
            code, output = check(root)
            good = code == 0 if expected is None else code == 1 and expected in output
            if not good:
                failures += 1
                print(f"{name} with {text!r}: expected {expected!r}, got {code}: {output}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
