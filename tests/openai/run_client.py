#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run_client.py PROGRAM SOURCE CLIENT: starts a server with a token, and the client."""
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(sys.argv[2])
sys.path.insert(0, str(SOURCE / "tests" / "cli"))
from common import PROGRAM, run  # noqa: E402  # reads the first two arguments
from serving import Server  # noqa: E402

MODEL = SOURCE / "data" / "models" / "storyteller-q8_0.gguf"
BEGIN = "Once upon a time"

whole = run("run", MODEL, "-i", BEGIN, "-s", 5, "-n", 24, "-q").stdout.decode()
story = whole.removesuffix("\n")[len(BEGIN):]
with Server(PROGRAM, MODEL, env={"DUOTALE_TOKEN": "open-sesame"}) as server:
    address = f"http://127.0.0.1:{server.port}/"
    sys.exit(subprocess.run(["node", sys.argv[3], address, server.token, story],
                            check=False).returncode)
