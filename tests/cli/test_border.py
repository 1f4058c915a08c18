#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Foreign text on a terminal: a hostile model, library, script, settings file, file name, module
and voice, over every verb and the plain front end. No control character, bidi override or invalid
UTF-8 is printed, and JSON is valid."""
import json
import os
import pathlib
import re
import shutil
import sqlite3

from common import DATA, done, expect, fill_library, folder, run

MODEL = DATA / "bedtime-2m-q80-g32.bin"
PAYLOAD = (
    b"X\x1b[31mRED\x1b]0;OWNED\x07\x1b[2J\xc2\x9b31m\xc2\x9d0;T\xc2\x9c\x08\r\x7f"
    b"\xe2\x80\xae\xe2\x81\xa6\xff\xfe\xed\xa0\x80\xf0\x9f"
)
TEXT = PAYLOAD.replace(b"\r", b"")  # what a line of a file can hold
NAME = PAYLOAD.decode("utf-8", "surrogateescape")  # as an argument or a file name
BAD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def examine(what, result, json_wanted=False):
    for stream, data in (("stdout", result.stdout), ("stderr", result.stderr)):
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            expect(f"{what}: {stream} is UTF-8", False, f"{error}: {data[:300]!r}")
            continue
        expect(
            f"{what}: {stream} has no control characters", not BAD.search(text), f"{data[:900]!r}"
        )
    expect(f"{what}: no crash", 0 <= result.returncode < 126, result.returncode)
    if json_wanted and result.stdout:
        try:
            json.loads(result.stdout)
        except ValueError as error:
            expect(f"{what}: JSON", False, f"{error}: {result.stdout[-300:]!r}")


def hostile_model(here):
    """GGUF files whose name, key or architecture is hostile."""
    path = here / "plain.gguf"
    result = run("convert", MODEL, "-o", path, "--name", "N" * len(PAYLOAD), "-q")
    expect("convert", result.returncode == 0, result.stderr)
    data = path.read_bytes()
    expect("the name is in the file", data.count(b"N" * len(PAYLOAD)) == 1)
    data = data.replace(b"N" * len(PAYLOAD), PAYLOAD)
    good, bad, no_architecture = here / "name.gguf", here / "key.gguf", here / "arch.gguf"
    good.write_bytes(data)
    at = data.index(b"llama.feed_forward_length")
    hostile = PAYLOAD[: len(b"llama.feed_forward_length")]
    bad.write_bytes(data[:at] + hostile + b"\x63" + data[at + len(hostile) + 1 :])
    at = data.index(b"llama", data.index(b"general.architecture") + 20)
    no_architecture.write_bytes(data[:at] + b"\x1b[2J\xff" + data[at + 5 :])
    return good, bad, no_architecture


def models(here):
    for model in hostile_model(here):
        text = here / "text.txt"
        text.write_bytes(b"Once upon a time there was a bear.\n")
        examine(f"inspect {model.name}", run("inspect", model))
        examine(f"inspect --tensors {model.name}", run("inspect", model, "--tensors"))
        examine(f"inspect --json {model.name}", run("inspect", model, "--json"), True)
        examine(f"run {model.name}", run("run", model, "-n", "5"))
        examine(f"run --verbose {model.name}", run("run", model, "-n", "5", "--verbose"))
        examine(f"eval {model.name}", run("eval", model, text))
        examine(f"eval --json {model.name}", run("eval", model, text, "--json"), True)
        examine(f"convert {model.name}", run("convert", model, "-o", here / "out.bin"))
        examine(f"convert --json {model.name}", run("convert", model, "-o", here / "o.gguf",
                                                    "--json"), True)
        examine(f"bench {model.name}", run("bench", model, "--seconds", "0.05", "-b", "int8"))
        examine(f"profile {model.name}", run("profile", model, "-n", "4"))
        examine(f"a session with {model.name}", session(here, model, text=b"Once"))
        examine(f"/model of {model.name}", session(here, text=b"/model " + bytes(model) + b"\n"))


def session(here, *arguments, text=b"/quit\n", **options):
    env = {
        "HOME": str(here),
        "XDG_DATA_HOME": str(here / "data"),
        "XDG_CONFIG_HOME": str(here / "config"),
        **options.pop("env", {}),
    }
    return run(*arguments, "-n", "8", text=text, env=env, **options)


def names(here):
    """File names and arguments that hold the payload."""
    place = here / ("d" + NAME)
    place.mkdir()
    model = place / ("m" + NAME + ".bin")
    shutil.copy(MODEL, model)
    shutil.copy(DATA / "bedtime-2m.tok.bin", place / "tokenizer.bin")
    text = place / "t.txt"
    text.write_bytes(b"Once upon a time there was a bear.\n")
    missing = place / ("no" + NAME)
    examine("run: a name", run("run", model, "-n", "4"))
    examine("run --json: a name", run("run", model, "-n", "4", "--json"))
    for line in run("run", model, "-n", "4", "--json").stdout.splitlines():
        json.loads(line)
    examine("run -z: a name", run("run", model, "-z", missing))
    examine("inspect: a name", run("inspect", model))
    examine("inspect --json: a name", run("inspect", model, "--json"), True)
    examine("eval: a name", run("eval", model, text))
    examine("eval --json: a name", run("eval", model, text, "--json"), True)
    examine("eval --compare: a name", run("eval", "--compare", model, model, text))
    examine("convert: a name", run("convert", model, "-o", place / "o.gguf"))
    examine("convert --json: a name", run("convert", model, "-o", place / "o.gguf", "--json"), True)
    examine("bench: a name", run("bench", model, "--seconds", "0.05", "-b", "int8"))
    examine("bench --json: a name",
            run("bench", model, "--seconds", "0.05", "-b", "int8", "--json"), True)
    examine("profile: a name", run("profile", model, "-n", "4"))
    examine("profile --json: a name", run("profile", model, "-n", "4", "--json"), True)
    for verb in ("run", "inspect", "eval", "convert", "bench", "profile", "backends", "voices",
                 "stories"):
        examine(f"{verb}: an argument", run(verb, missing, missing))
        examine(f"{verb}: an option", run(verb, "--" + NAME))
        examine(f"{verb}: a letter", run(verb, "-\x1b"))
    for option in ("--backend", "--temperature", "--seed", "--chat-template", "--prompt-file",
                   "--voice", "--threads"):
        examine(f"run {option}", run("run", MODEL, "-n", "3", "-m", "chat", option, NAME))
        examine(f"a session {option}", session(here, MODEL, option, NAME))
    for option in ("--ui", "--library", "--config", "--script", "--open", "--charset", "--system"):
        examine(f"a session {option}", session(here, MODEL, option, NAME, text=b"/set\n/help\n"))
    examine("a session: a name", session(here, model, text=b"/model\n/memory\n"))
    examine("a session: no such name", session(here, missing))
    examine("stories --library", run("stories", "--library", missing))
    examine("TERM", session(here, MODEL, env={"TERM": NAME, "LANG": NAME, "DUOTALE_LENGTH": NAME}))


def modules(here):
    place = here / "modules"
    place.mkdir(mode=0o755)
    for kind in ("duotale-backend-", "duotale-ui-", "duotale-voice-", "voice-", ""):
        (place / (kind + "x" + NAME + ".so")).write_bytes(b"no module " + PAYLOAD)
    env = {"DUOTALE_MODULES": str(place)}
    examine("backends: file names", run("backends", env=env))
    examine("backends --json: file names", run("backends", "--json", env=env), True)
    examine("backends --verify", run("backends", "--verify", next(place.iterdir())))
    examine("voices: file names", run("voices", env=env))
    examine("voices --json: file names", run("voices", "--json", env=env))
    for line in run("voices", "--json", env=env).stdout.splitlines():
        json.loads(line)
    examine("a session: file names", session(here, MODEL, "--ui", "x", env=env))
    examine("a session: /backend",
            session(here, MODEL, env=env, text=b"/backend\n/voice\n/backend x\n"))


def library(here):
    stored = here / "data" / "duotale" / "library.db"
    result = session(here, MODEL, text=b"Once upon a time")
    expect("a story is in the library", stored.exists(), result.stderr)
    with sqlite3.connect(stored) as db:
        fill_library(db, PAYLOAD)
    db.close()
    lib = ("--library", stored)
    result = run("stories", *lib)
    expect("stories lists the story", b"RED" in result.stdout, result)
    examine("stories", result)
    examine("stories --json", run("stories", "--json", *lib), True)
    result = run("stories", "search", "RED", *lib)
    expect("the search finds the story", b"RED" in result.stdout, result)
    examine("stories search", result)
    examine("stories show", run("stories", "show", "1", *lib))
    examine("stories show --json", run("stories", "show", "1", "--json", *lib), True)
    examine("stories export -", run("stories", "export", "1", "-", *lib))
    for ending in ("txt", "md", "json"):
        out = here / ("out." + ending)
        examine(f"stories export {ending}", run("stories", "export", "1", out, *lib))
        data = out.read_bytes().decode(errors="backslashreplace")
        expect(f"the exported {ending} is UTF-8", "\\x" not in data, data)
        expect(f"the exported {ending} is clean", not BAD.search(data), data)
    for line in (b"/library", b"/library RED", b"/open 1", b"/open 1\n/memory\n/turns",
                 b"/open 1\n/title", b"/rename x\n/library", b"/open last"):
        examine(f"a session: {line}", session(here, MODEL, text=line + b"\n"))
    examine("a session --open", session(here, MODEL, "--open", "1"))


def texts(here):
    """Prompts, scripts, settings and history: nothing foreign is printed or stored."""
    script = here / "script"
    script.write_bytes(b"Once " + TEXT + b"\n/rename new " + TEXT + b"\n/premise " + TEXT
                       + b"\n/set opening " + TEXT + b"\n/set\n/" + TEXT + b"\n")
    config = here / "config.ini"
    config.write_bytes(b"[story]\nsystem = " + TEXT + b"\nopening = " + TEXT + b"\n")
    wrong = here / "wrong.ini"
    wrong.write_bytes(TEXT + b" = 1\n[" + TEXT + b"]\ntemperature = " + TEXT + b"\n")
    place = here / "stored"
    place.mkdir()
    examine("a session -i", session(place, MODEL, "-i", NAME))
    examine("a session --script", session(place, MODEL, "--script", script))
    examine("a session with text from a pipe", session(place, MODEL, text=PAYLOAD))
    examine("a session with commands from a pipe",
            session(place, MODEL, text=b"/rename " + TEXT + b"\n/" + TEXT + b"\n"))
    examine("a session with a settings file", session(place, MODEL, "--config", config))
    examine("a session with a wrong settings file", session(place, MODEL, "--config", wrong))
    examine("run -i", run("run", MODEL, "-n", "20", "-i", NAME))
    examine("run --system", run("run", MODEL, "-n", "20", "-m", "chat", "--system", NAME,
                                text=PAYLOAD))
    stored = place / "data" / "duotale" / "library.db"
    with sqlite3.connect(stored) as db:
        db.text_factory = bytes
        rows = [row for table in ("story", "turn") for row in db.execute(f"SELECT * FROM {table}")]
    db.close()
    expect("stories are stored", len(rows) > 4, rows)
    for row in rows:
        for value in row:
            if not isinstance(value, bytes):
                continue
            try:
                expect("nothing foreign is stored", not BAD.search(value.decode()), value)
            except UnicodeDecodeError as error:
                expect("valid UTF-8 is stored", False, f"{error}: {value!r}")


def voices(here):
    """Speech engines whose messages are the payload."""
    place = here / "bin"
    place.mkdir()
    (here / "message").write_bytes(PAYLOAD)
    for name in ("espeak-ng", "espeak", "flite", "aplay", "arecord"):
        program = place / name
        program.write_text(f"#!/bin/sh\ncat '{here}/message' >&2\ncat '{here}/message'\nexit 3\n")
        program.chmod(0o755)
    env = {"PATH": f"{place}:{os.environ['PATH']}"}
    examine("voices", run("voices", env=env))
    examine("voices --json", run("voices", "--json", env=env))
    for voice in ("espeak", "espeak:en-gb", "flite", "flite:rms", "auto", "tones"):
        examine(f"run --voice {voice}", run("run", MODEL, "-n", "20", "--speak", "--voice", voice,
                                            env=env))
        examine(f"run --json --voice {voice}", run("run", MODEL, "-n", "20", "--json", "--speak",
                                                   "--voice", voice, env=env))
        examine(f"a session --voice {voice}",
                session(here, MODEL, "--speak", "--voice", voice, env=env, text=b"Once"))
    examine("run --listen", run("run", MODEL, "-n", "20", "--listen", env=env, text=b""))


def main():
    for test in (models, names, modules, library, texts, voices):
        with folder() as name:
            test(pathlib.Path(name))
    done()


main()
