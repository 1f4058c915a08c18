# SPDX-License-Identifier: MIT
"""duotale models: downloads from a server on loopback that behaves, breaks off, lies and misleads.

usage: test_models.py PROGRAM SOURCE
"""
import hashlib
import http.server
import json
import os
import pathlib
import pty
import re
import select
import signal
import socketserver
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "cli"))
import common  # noqa: E402

MODEL = (common.DATA / "bedtime-2m-q80-g32.bin").read_bytes()
TOKENIZER = (common.DATA / "bedtime-2m.tok.bin").read_bytes()
HASH = hashlib.sha256(MODEL).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Range")))
        self.server.behaviour(self)

    def send(self, data, status=200, length=None, kind="application/octet-stream", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length != -1:
            self.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(data)

    def ranged(self, data, most=None):
        """The rest that was asked for; at most so many bytes, then the connection breaks."""
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(wanted.group(1)) if wanted else 0
        if begin >= len(data):
            self.send(b"", 416, Content_Range=f"bytes */{len(data)}")
            return
        rest = data[begin:]
        extra = {"Content_Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"} if begin else {}
        self.send(rest[:most], 206 if begin else 200, len(rest), **extra)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


class Serving:
    def __init__(self, behaviour):
        self.behaviour = behaviour

    def __enter__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.behaviour, self.server.seen = self.behaviour, []
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def environment(home, **more):
    return {"HOME": home, "XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config",
            "no_proxy": "127.0.0.1", **more}


def models(*arguments, home, **more):
    return common.run("models", *arguments, env=environment(home, **more))


def place(home, name):
    return pathlib.Path(home) / "data/duotale/models" / name


def good(handler):
    handler.ranged(TOKENIZER if "tok" in handler.path else MODEL)


def downloads(home):
    with Serving(good) as s:
        r = models("get", s.address + "/x/fox.bin?a=b", "--sha256", HASH, home=home)
        common.expect_run("get", r, 0, b"", b"its SHA-256 is right")
        common.expect("the file", place(home, "fox.bin").read_bytes() == MODEL)
        common.expect("no part is left", not place(home, "fox.bin.part").exists())
        r = models("get", s.address + "/x/fox.bin", home=home)
        common.expect("nothing is fetched twice", r.returncode == 0 and len(s.server.seen) == 1, r)
        r = models("get", s.address + "/fox2.bin", home=home)
        common.expect_run("without a hash", r, 0, b"", b"the connection alone is trusted")
        r = models("get", "hf:me/models/deep/fox3.bin", home=home, HF_ENDPOINT=s.address)
        common.expect("hf:", r.returncode == 0 and
                      s.server.seen[-1][0] == "/me/models/resolve/main/deep/fox3.bin", r)
    r = models("path", "fox.bin", home=home)
    common.expect("path", r.stdout.decode().strip() == str(place(home, "fox.bin")), r)
    r = models("list", home=home)
    common.expect_run("list", r, 0, b"stories15M")
    common.expect("list has the folder's files", b"* fox.bin" in r.stdout, r)
    rows = json.loads(models("list", "--json", home=home).stdout)
    common.expect("list --json", any(row["file"] == "fox2.bin" and row["there"] for row in rows) and
                  any(row.get("name") == "stories15M" and not row["there"] for row in rows), rows)
    common.expect_run("rm", models("rm", "fox.bin", home=home), 0)
    common.expect("it is gone", not place(home, "fox.bin").exists())
    for arguments in (("rm", "fox.bin"), ("path", "fox.bin"), ("rm", "../x"), ("path", "..")):
        r = models(*arguments, home=home)
        common.expect_run(f"{arguments}", r, 3, b"", b"no such model")
    for arguments in (("get",), ("got", "x"), ("get", "a", "--sha256", "12"), ("get", "nothing"),
                      ("get", "hf:a"), ("get", "http://127.0.0.1:1/"),
                      ("get", "file:///etc/passwd")):
        r = models(*arguments, home=home)
        common.expect(f"{arguments}: wrong usage", r.returncode == 2 and r.stderr, r)


def resumes(home):
    """A connection that breaks, a server without ranges, and a part of an earlier download."""
    for name, behaviour in (
            ("breaks off", lambda h: h.ranged(MODEL, 700000)),
            ("ignores ranges", lambda h: h.send(
                MODEL[:900000] if len(h.server.seen) == 1 else MODEL, length=len(MODEL))),
            ("says no length", lambda h: h.send(MODEL, length=-1))):
        with Serving(behaviour) as s:
            r = models("get", s.address + "/fox.bin", "--sha256", HASH, home=home)
            common.expect(f"{name}: the whole file", r.returncode == 0 and
                          place(home, "fox.bin").read_bytes() == MODEL, (r, s.server.seen))
            if name == "breaks off":
                ranges = [wanted for _, wanted in s.server.seen]
                common.expect("the rest is asked for", ranges[:2] == [None, "bytes=700000-"],
                              ranges)
        place(home, "fox.bin").unlink()
    part = place(home, "fox.bin.part")
    part.write_bytes(MODEL[:1000000])
    with Serving(good) as s:
        r = models("get", s.address + "/fox.bin", "--sha256", HASH, home=home)
        common.expect("a part is continued", r.returncode == 0 and
                      s.server.seen == [("/fox.bin", "bytes=1000000-")], (r, s.server.seen))
    place(home, "fox.bin").unlink()
    part.write_bytes(b"x" * 1000000)  # of another file
    with Serving(good) as s:
        r = models("get", s.address + "/fox.bin", "--sha256", HASH, home=home)
        common.expect_run("a wrong part is found", r, 3, b"", b"is not the file that was expected")
        common.expect("and removed", not part.exists() and not place(home, "fox.bin").exists())

    def never(handler):
        handler.ranged(MODEL, 500000 if len(handler.server.seen) == 1 else 0)
    with Serving(never) as s:
        r = models("get", s.address + "/fox.bin", home=home)
        common.expect_run("a server that gives no more", r, 1, b"", b"what has arrived is kept")
        common.expect("the part is kept", part.stat().st_size == 500000)
    part.unlink()


def misleads(home):
    html = b"<!DOCTYPE html><html>Please log in</html>"
    huge = 10 ** 15
    cases = [
        ("HTML", lambda h: h.send(html, kind="text/html; charset=utf-8"), 3, b"is a web page"),
        ("HTML as a file", lambda h: h.send(html), 3, b"is a web page"),
        ("more than the disk has", lambda h: h.send(b"x", length=huge), 1, b"MB on the disk"),
        ("404", lambda h: h.send(b"no", 404), 1, b"answered 404"),
        ("to a file", lambda h: h.send(b"", 302, Location="file:///etc/passwd"), 1, None),
        ("in a circle", lambda h: h.send(b"", 302, Location="/again"), 1, b"redirects"),
        ("another part", lambda h: h.send(MODEL[5:], 206, Content_Range=(
            f"bytes 5-{len(MODEL) - 1}/{len(MODEL)}")), 1, b"another part"),
        ("a part without a name", lambda h: h.send(MODEL, 206), 1, b"without saying which"),
        ("an empty file", lambda h: h.send(b""), 3, b"has 0 bytes"),
    ]
    for name, behaviour, code, message in cases:
        with Serving(behaviour) as s:
            r = models("get", s.address + "/fox.bin", home=home)
            common.expect_run(name, r, code, b"", message)
            common.expect(f"{name}: nothing is left", not place(home, "fox.bin").exists() and
                          not place(home, "fox.bin.part").exists(), r)
    with Serving(lambda h: h.send(b"\x1b]0;x\x07", 500)) as s:
        r = models("get", s.address + "/fox.bin", home=home)
        common.expect("500", r.returncode == 1 and b"answered 500" in r.stderr and
                      b"\x1b" not in r.stderr and len(s.server.seen) == 5, r)


def catalogue(home, address, size=len(MODEL), digest=HASH):
    path = pathlib.Path(home) / "catalogue.tsv"
    path.write_text("# mine\n" + "\t".join(
        ["fox", "fox-2m.bin", str(size), digest, "MIT", address + "/fox-2m.bin",
         address + "/tok.bin", "foxes"]) + "\n", encoding="utf-8")
    return {"DUOTALE_CATALOGUE": str(path)}


def names(home):
    """A model of the catalogue, by its name."""
    with Serving(good) as s:
        env = catalogue(home, s.address)
        story = ("run", "fox", "-i", "Once", "-n", "8", "-t", "0", "-q")
        r = common.run(*story, env=environment(home, **env))
        common.expect("it is not there", r.returncode != 0 and r.stdout == b"" and
                      b"duotale models get fox" in r.stderr, r)
        r = common.run("fox", text=b"Once", env=environment(home, **env))
        common.expect("a pipe is not asked", r.returncode == 3 and s.server.seen == [] and
                      b"duotale models get fox" in r.stderr, r)
        r = common.run("-n", "4", text=b"/model fox\n", env=environment(home, **env))
        common.expect("nor in a session", b"duotale models get fox" in r.stderr, r)
        r = models("get", "fox", home=home, **env)
        common.expect("with its tokenizer", r.returncode == 0 and
                      place(home, "fox-2m.tok.bin").read_bytes() == TOKENIZER, r)
        r = common.run(*story, env=environment(home, **env))
        common.expect("run opens it", r.returncode == 0 and r.stdout.startswith(b"Once"), r)
        r = common.run("fox", "-n", "4", text=b"Once", env=environment(home, **env))
        common.expect("a session opens it", r.returncode == 0 and b"Once" in r.stdout, r)
        r = common.run("-n", "4", text=b"/model fox\n/stats\n", env=environment(home, **env))
        common.expect("/model opens it", r.returncode == 0 and b"model = fox" in r.stderr, r)
        r = models("rm", "fox", home=home, **env)
        common.expect("rm takes the tokenizer too", r.returncode == 0 and
                      not list(place(home, "").iterdir()), r)
        asked(home, env, s)
        models("rm", "fox", home=home, **env)
        env = catalogue(home, s.address, size=5)
        r = models("get", "fox", home=home, **env)
        common.expect_run("another size than the catalogue's", r, 3, b"", b"5 were expected")
        pathlib.Path(env["DUOTALE_CATALOGUE"]).write_text("one\ttwo\n", encoding="utf-8")
        r = models("list", home=home, **env)
        common.expect_run("a broken catalogue", r, 3, b"", b"line 1 is no model")


def asked(home, env, serving):
    """At a terminal, the program asks."""
    for answer, there in ((b"\n", False), (b"y\n", True)):
        before = len(serving.server.seen)
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(environment(home, TERM="dumb", **env))
            os.execv(common.PROGRAM, [common.PROGRAM, "fox", "-n", "4", "--ui", "plain"])
        seen = b""
        end = time.monotonic() + 60
        typed = False
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    seen += os.read(terminal, 4096)
                except OSError:
                    break
            if not typed and b"[y/N] " in seen:
                os.write(terminal, answer)
                typed = True
            if there and b"SHA-256 is not known" in seen and b"/quit" not in seen:
                os.write(terminal, b"/quit\n")
                there = None
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        code = os.waitstatus_to_exitcode(status)
        if answer == b"\n":
            common.expect("no is no", code == 3 and len(serving.server.seen) == before, seen)
        else:
            common.expect("yes downloads and opens", code == 0 and
                          place(home, "fox-2m.bin").read_bytes() == MODEL, seen)


def interrupted(home):
    """Ctrl-C leaves a part, and the same command continues."""
    sent = threading.Event()

    def slow(handler):
        handler.send(MODEL[:800000], length=len(MODEL))
        sent.set()
        handler.connection.settimeout(60)
        try:
            handler.connection.recv(1)
        except OSError:
            pass
    with Serving(lambda h: slow(h) if not h.headers.get("Range") else good(h)) as s:
        child = subprocess.Popen([common.PROGRAM, "models", "get", s.address + "/fox.bin"],
                                 env={**os.environ, **environment(home)}, stderr=subprocess.PIPE)
        part = place(home, "fox.bin.part")
        sent.wait(60)
        while child.poll() is None and not (part.exists() and part.stat().st_size == 800000):
            time.sleep(0.01)
        r = models("get", s.address + "/fox.bin", home=home)
        common.expect_run("a second download of it", r, 1, b"", b"another download of this file")
        child.send_signal(signal.SIGINT)
        errors = child.communicate(timeout=60)[1]
        common.expect("Ctrl-C", child.returncode == 130 and b"which are kept" in errors, errors)
        common.expect("the part is kept", part.stat().st_size == 800000)
        r = models("get", s.address + "/fox.bin", "--sha256", HASH, home=home)
        common.expect("it goes on", r.returncode == 0 and
                      s.server.seen[-1] == ("/fox.bin", "bytes=800000-"), (r, s.server.seen))


def main():
    for test in (downloads, resumes, misleads, names, interrupted):
        with common.folder() as home:
            begun = time.monotonic()
            test(home)
            print(f"{test.__name__}: {time.monotonic() - begun:.1f} s")
    common.done()


main()
