#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_layers.py LAYERS.py [CC]: breaks each layering rule in a small tree and, with a C compiler,
makes circles of objects; layers.py must name each."""
import pathlib
import subprocess
import sys
import tempfile

LAYERS = sys.argv[1]

# A tree without faults.
SOUND = {
    "src/base/text.h": "#include <stddef.h>\n",
    "src/base/many.c": "#include <stddef.h>\n" * 60,  # layers.py refuses a tree with few includes
    "src/core/model.h": '#include "base/text.h"\n#include "abi/backend.h"\n',
    "src/core/formats/gguf.h": '#include "core/model.h"\n#include "core/text/vocab.h"\n',
    "src/core/text/vocab.h": '#include "base/text.h"\n',
    "src/core/quant/forms.h": '#include "abi/backend.h"\n',
    "src/core/sampling/sampler.h": '#include "core/model.h"\n',
    "src/core/kv/kv.h": '#include "core/quant/forms.h"\n',
    "src/core/session.c": '#include "core/kv/kv.h"\n#include "core/sampling/sampler.h"\n',
    "src/abi/backend.h": "#include <stdint.h>\n",
    "src/abi/kit/simd.h": '#include "abi/backend.h"\n',
    "src/host/file.h": '#include "core/model.h"\n#include <stdio.h>\n',
    "src/host/engine.h": '#include "host/modules/registry.h"\n#include "core/formats/gguf.h"\n',
    "src/host/modules/registry.h": '#include "host/file.h"\n',
    "src/host/audio/wav.h": '#include "host/file.h"\n',
    "src/host/convert/convert.h": '#include "host/engine.h"\n',
    "src/host/stream/plan.h": '#include "host/file.h"\n',
    "src/app/app.h": '#include "host/file.h"\n',
    "src/verbs/verb.h": '#include "app/app.h"\n',
    "backends/probe.h": '#include "abi/backend.h"\n',
    "backends/common/module.h": '#include "probe.h"\n#include "abi/kit/simd.h"\n',
    "backends/int8/int8.c": '#include "common/module.h"\n#include "tile.h"\n',
    "backends/int8/tile.h": "",
    "backends/int4/int4.h": "",
    "plugins/voice/voice.h": '#include "abi/backend.h"\n',
    "plugins/ear/ear.c": '#include "generated.h"\n',
    "ui/common/figures.h": '#include "app/app.h"\n',
    "ui/line/line.h": '#include "../common/figures.h"\n#include "base/text.h"\n',
    "ui/tui/tui.h": '#include "common/figures.h"\n',
}

# a file, its text, what layers.py must print
BROKEN = [
    # layers
    ("src/core/model.c", '#include "host/file.h"\n', 'core may not include "host/file.h"'),
    ("src/core/model.c", "#include <stdlib.h>\n", "core may not include <stdlib.h>"),
    ("src/core/kv/kv.c", "#include <stdio.h>\n", "core may not include <stdio.h>"),
    ("src/base/text.c", "#include <pthread.h>\n", "base may not include <pthread.h>"),
    ("src/base/text.c", '#include "core/model.h"\n', 'base may not include "core/model.h"'),
    ("src/abi/voice.h", '#include "base/text.h"\n', 'abi may not include "base/text.h"'),
    ("backends/int8/x.c", '#include "core/model.h"\n', 'may not include "core/model.h"'),
    ("backends/int8/x.c", '#include "../../src/core/model.h"\n', "backends may not include"),
    ("src/host/file.c", '#include "app/app.h"\n', 'host may not include "app/app.h"'),
    ("src/app/app.c", '#include "verbs/verb.h"\n', 'app may not include "verbs/verb.h"'),
    ("ui/line/line.c", '#include "core/model.h"\n', 'ui may not include "core/model.h"'),
    ("plugins/ear/x.c", '#include "host/file.h"\n', 'plugins may not include "host/file.h"'),
    ("src/other/x.c", "#include <stddef.h>\n", "other is in no layering rule"),
    ("src/host/file.c", '#include "host/nothing.h"\n', '"host/nothing.h" is not in the tree'),
    # folders within a layer
    ("src/core/model.c", '#include "core/formats/gguf.h"\n', "core may not include from core/form"),
    ("src/core/text/x.c", '#include "core/formats/gguf.h"\n', "core/text may not include from"),
    ("src/core/text/x.c", '#include "core/model.h"\n', "core/text may not include from core"),
    ("src/core/quant/x.c", '#include "core/formats/gguf.h"\n', "core/quant may not include from"),
    ("src/core/quant/x.c", '#include "core/model.h"\n', "core/quant may not include from core"),
    ("src/core/kv/x.c", '#include "core/formats/gguf.h"\n', "core/kv may not include from"),
    ("src/core/kv/x.c", '#include "core/sampling/sampler.h"\n', "core/kv may not include from"),
    ("src/core/sampling/x.c", '#include "core/kv/kv.h"\n', "core/sampling may not include from"),
    ("src/core/formats/x.c", '#include "core/kv/kv.h"\n', "core/formats may not include from"),
    ("src/core/new/x.c", '#include "core/model.h"\n', "core/new is in no layering rule"),
    ("src/host/file.c", '#include "host/audio/wav.h"\n', "host may not include from host/audio"),
    ("src/host/file.c", '#include "host/convert/convert.h"\n', "host may not include from"),
    ("src/host/audio/x.c", '#include "host/convert/convert.h"\n', "host/audio may not include"),
    ("src/host/modules/x.c", '#include "host/audio/wav.h"\n', "host/modules may not include"),
    ("src/host/convert/x.c", '#include "host/audio/wav.h"\n', "host/convert may not include"),
    ("src/host/stream/x.c", '#include "host/modules/registry.h"\n', "host/stream may not include"),
    ("src/abi/x.h", '#include "abi/kit/simd.h"\n', "abi may not include from abi/kit"),
    ("backends/int4/x.c", '#include "../int8/tile.h"\n', "backends/int4 may not include from"),
    ("backends/common/x.c", '#include "int4/int4.h"\n', "backends/common may not include from"),
    ("plugins/ear/x.c", '#include "../voice/voice.h"\n', "plugins/ear may not include from"),
    ("plugins/ear/x.c", '#include "../../backends/common/module.h"\n', "plugins may not include"),
    ("ui/line/x.c", '#include "tui/tui.h"\n', "ui/line may not include from ui/tui"),
    ("ui/common/x.c", '#include "line/line.h"\n', "ui/common may not include from ui/line"),
]


def check(files):
    with tempfile.TemporaryDirectory(prefix="duotale-test-") as folder:
        for name, text in files.items():
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        command = [sys.executable, LAYERS, "includes", folder]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


# The functions that each object calls, and what layers.py must print; None: no circle.
CALLS = [
    ({"a": "b c", "b": "c", "c": ""}, None),
    ({"a": "b", "b": "c", "c": "a"}, "a.o -> b.o (b), b.o -> c.o (c), c.o -> a.o (a)"),
    ({"a": "b", "b": "c", "c": "b"}, "b.o -> c.o (c), c.o -> b.o (b)"),
    ({"a": "a", "b": ""}, "no object needs another"),
]


def compile_calls(cc, folder, calls):
    """One object file a name, with a function of that name."""
    for name, called in calls.items():
        others = "".join(f"void {other}(void);" for other in called.split())
        body = "".join(f"{other}();" for other in called.split())
        source = f"{others} void {name}(void); void {name}(void) {{ {body} }}"
        command = [cc, "-x", "c", "-c", "-o", f"{folder}/{name}.o", "-"]
        subprocess.run(command, input=source, text=True, check=True)
    return [f"{folder}/{name}.o" for name in calls]


def check_circles(cc, nm, as_archive):
    failures = 0
    for calls, expected in CALLS:
        with tempfile.TemporaryDirectory(prefix="duotale-test-") as folder:
            files = compile_calls(cc, folder, calls)
            if as_archive:
                subprocess.run(["ar", "rcs", f"{folder}/all.a", *files], check=True)
                files = [f"{folder}/all.a"]
            command = [sys.executable, LAYERS, "circles", nm, *files]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        output = result.stdout + result.stderr
        if expected is None:
            good = result.returncode == 0
        else:
            good = result.returncode == 1 and expected in output
        if not good:
            failures += 1
            print(f"{calls}: expected {expected!r}, got {result.returncode}: {output}")
    return failures


def main():
    failures = 0
    if len(sys.argv) > 2:  # a C compiler
        failures += check_circles(sys.argv[2], "nm", False) + check_circles(sys.argv[2], "nm", True)
    for name, text, expected in [("src/base/ok.c", '#include "base/text.h"\n', None), *BROKEN]:
        code, output = check({**SOUND, name: text})
        if expected is None:
            good = code == 0
        else:
            good = code == 1 and output.count("\n") == 1 and expected in output
        if not good:
            failures += 1
            print(f"{name} with {text!r}: expected {expected!r}, got {code}: {output}")
    print(f"{len(BROKEN) + 1 - failures} of {len(BROKEN) + 1} cases as expected")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
