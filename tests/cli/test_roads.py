#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A prompt is read the same on every road: an argument, a file, standard input, a chat, a session
in a pipe, its first prompt and its script. A byte order mark is dropped, CRLF is a newline, the
newline that ends a file is dropped, and UTF-16 is refused with a hint. tokenize and eval take bytes
as they are."""
import json
import pathlib

import odd
from common import DATA, done, expect, folder, run

MODEL = DATA / (DATA / "default").read_text().split()[0]
FIXED = ("-t", "0", "-n", "12", "-b", "reference", "-j", "1")
BOM = b"\xef\xbb\xbf"
PLAIN, LINES = "Once upon a time", "Once upon\na time"
HINT = b"iconv -f UTF-16"


def story(result):
    """What was printed, without the newline that ends a story."""
    return result.stdout.rstrip(b"\n") if result.returncode == 0 else result


class Roads:
    """Ways to give a prompt of some bytes."""

    def __init__(self, here):
        self.here = here

    def file(self, content):
        path = self.here / "prompt.txt"
        path.write_bytes(content)
        return path

    def run_file(self, content):
        return run("run", MODEL, *FIXED, "-q", "--prompt-file", self.file(content))

    def run_stdin(self, content):
        return run("run", MODEL, *FIXED, "-q", "--prompt-file", "-", text=content)

    def run_argument(self, content):
        return run("run", MODEL, *FIXED, "-q", "-i", content.decode())

    def session(self, *more, text=b""):
        return run(MODEL, "--library", self.here / "l.db", "-t", "0", "-n", "12", "-b",
                   "reference", "--stats", "off", *more, text=text)

    def session_pipe(self, content):
        return self.session(text=content)

    def session_first(self, content):
        return self.session("-i", content.decode())

    def session_script(self, content):
        # an entry of a script that goes on in the next line ends with a backslash
        end = content[len(content.rstrip(b"\r\n")):]
        inner = content[:len(content) - len(end)].replace(b"\r\n", b"\n").replace(b"\n", b"\\\n")
        return self.session("--script", self.file(inner + end))

    def chat(self, content):
        return run("run", MODEL, *FIXED, "-q", "-m", "chat", "--chat-template", "plain",
                   text=content)


def variants(roads):
    """Each road: the variants of a prompt are the prompt."""
    plain, lines = PLAIN.encode(), LINES.encode()
    for name in ("run_file", "run_stdin", "run_argument", "session_pipe", "session_first",
                 "session_script", "chat"):
        road = getattr(roads, name)
        wanted, two = story(road(plain)), None
        expect(f"{name}: a story", isinstance(wanted, bytes) and len(wanted) > 16, wanted)
        rows = [("a byte order mark", BOM + plain, wanted)]
        if name != "chat":  # where a line is a message
            two = story(road(lines))
            expect(f"{name}: two lines are another prompt", two != wanted, two)
            rows += [("CRLF", lines.replace(b"\n", b"\r\n"), two),
                     ("both", BOM + lines.replace(b"\n", b"\r\n"), two)]
        if "argument" not in name and "first" not in name:
            rows += [("a last newline", plain + b"\n", wanted),
                     ("a last CRLF", BOM + plain + b"\r\n", wanted)]
        for what, content, expected in rows:
            found = story(road(content))
            expect(f"{name}: {what}", found == expected, (found, expected))


def same_on_all(roads):
    """All roads to a story give the model the same tokens, so that the texts are the same."""
    plain = (BOM + LINES.replace("\n", "\r\n").encode() + b"\r\n")
    wanted = story(roads.run_file(LINES.encode()))
    for name in ("run_file", "run_stdin", "session_pipe", "session_script"):
        found = story(getattr(roads, name)(plain))
        expect(f"{name}: as the other roads", isinstance(found, bytes)
               and found[:40] == wanted[:40], (found, wanted))


def utf16(roads):
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        content = "Once upon a time\nthere\n".encode(encoding)
        for name in ("run_file", "run_stdin", "session_pipe", "chat"):
            result = getattr(roads, name)(content)
            expect(f"{name}: {encoding}", result.returncode == 3 and HINT in result.stderr
                   and not result.stdout and result.stderr.count(b"\n") == 1, result)
        result = roads.session("--script", roads.file(content))
        expect(f"session_script: {encoding}", result.returncode == 3
               and result.stderr.count(HINT) == 1 and not result.stdout, result)


def scripts(roads):
    """A comment behind a byte order mark is a comment."""
    path = roads.file(BOM + b"# a comment\r\nOnce upon a time\r\n")
    expect("a comment of a script", story(roads.session("--script", path))
           == story(roads.session_script(PLAIN.encode())))
    result = roads.session(text=BOM + b"/help\r\n")
    expect("a command behind a byte order mark", result.returncode == 0
           and b"/help" in result.stdout + result.stderr and b"not accepted" not in result.stderr,
           result)


def bytes_as_they_are(here):
    model = odd.Gguf().write(here / "m.gguf")
    for content in (BOM + b"On", b"a\r\nb", b"a\n", "On".encode("utf-16")):
        result = run("tokenize", model, "-", "--json", text=content)
        pieces = json.loads(result.stdout)
        expect(f"tokenize {content!r}", pieces["offsets"][-1][1] == len(content), pieces)
    sizes = []
    for content in (b"Once\nin", BOM + b"Once\nin", b"Once\r\nin"):
        (here / "text").write_bytes(content)
        result = run("eval", model, here / "text", "-b", "reference", "-j", "1", "--json")
        sizes.append(json.loads(result.stdout)["tokens"])
    expect("eval", sizes == [sizes[0], sizes[0] + 5, sizes[0] + 1], sizes)


def main():
    with folder() as spot:
        roads = Roads(pathlib.Path(spot))
        variants(roads)
        same_on_all(roads)
        utf16(roads)
        scripts(roads)
        bytes_as_they_are(roads.here)
    done()


if __name__ == "__main__":
    main()
