# SPDX-License-Identifier: MIT
"""Models on a server: stories and chats by a mock of one, friendly, broken and hostile.

usage: test_remote.py PROGRAM SOURCE
"""
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), HERE]
import common  # noqa: E402
from mock import Mock, WORDS  # noqa: E402

KEY = "sk-very-secret-1234"
STORY = "Once" + "".join(WORDS)
LOCAL = common.DATA / "storyteller-q8_0.gguf"


def environment(home, **more):
    env = {"HOME": home, "XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config",
           "DUOTALE_SEED": "5", "LC_ALL": "C.UTF-8", "no_proxy": "127.0.0.1"}
    env.update(more)
    return env


def run(address, *arguments, home, text=None, **more):
    return common.run("run", address, *arguments, env=environment(home, **more), text=text)


def session(address, lines, *arguments, home, **more):
    """Commands of a script, in an interactive session without a terminal."""
    script = pathlib.Path(home) / "script"
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return common.run(address, "--script", script, *arguments, text=b"",
                      env=environment(home, **more))


def stored(home):
    with sqlite3.connect(home + "/data/duotale/library.db") as db:
        return db.execute("SELECT prompt, told, finished FROM turn ORDER BY id").fetchall()


# ---- friendly servers ----

def stories(home):
    with Mock(context=512) as mock:
        r = run(mock.address, "-i", "Once", "-n", "20", "-t", "0.5", "-k", "7", "-s", "9",
                home=home)
        common.expect("a story", r.stdout.decode() == STORY + "\n", r)
        common.expect("its figures", b"8 tokens after a prompt of 7" in r.stderr, r)
        request = mock.requests("/v1/completions")[0]
        sent = {name: request.get(name) for name in
                ("prompt", "temperature", "seed", "top_k", "min_p", "max_tokens", "stream")}
        common.expect("settings are passed on", sent == {
            "prompt": "Once", "temperature": 0.5, "seed": 9, "top_k": 7, "min_p": 0,
            "max_tokens": 20, "stream": True}, sent)
        r = run(mock.address, "-i", "Once", "-n", "3", home=home)
        common.expect("-n is the length", r.stdout.decode() == "Once" + "".join(WORDS[:3]) + "\n",
                      r)
        r = run(mock.address + "/v1/#fox-9m-instruct", "-i", "Once", "--json", home=home)
        rows = [json.loads(line) for line in r.stdout.splitlines()]
        common.expect("JSON", "".join(row.get("text", "") for row in rows) == STORY and
                      rows[-1]["model"] == "fox-9m-instruct" and rows[-1]["tokens"] == 8, r)
        r = run(mock.address, "-i", "Once", "--stop-text", " ran", home=home)
        common.expect("a stop text", r.stdout == b"Once The little fox\n", r)
        for option in ("--ids", "--special"):
            r = run(mock.address, "-i", "Once", option, home=home)
            common.expect_run(f"{option} needs a local model", r, 2, b"", b"needs a local model")
        wav = home + "/story.wav"
        r = run(mock.address, "-i", "Once", "--voice", "tones", "--speak-to", wav, home=home)
        common.expect("speech", r.returncode == 0 and os.path.getsize(wav) > 1000, r)


def chats(home):
    with Mock(context=512) as mock:
        r = run(mock.address, "-m", "chat", "-y", "Be kind.", "-q", home=home,
                text=b"Hello\nAnd now?\n")
        common.expect("two answers", r.stdout.decode() == ("".join(WORDS) + "\n") * 2, r)
        messages = mock.requests("/v1/chat/completions")[1]["messages"]
        common.expect("the dialogue", messages == [
            {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "".join(WORDS)},
            {"role": "user", "content": "And now?"}], messages)

    def thoughts(handler, request):
        handler.begin()
        handler.event({"choices": [{"delta": {"role": "assistant", "content": None}}]})
        handler.event({"choices": [{"delta": {"reasoning_content": "Hm, a fox."}}]})
        handler.event({"choices": [{"delta": {"content": "A fox."}, "finish_reason": "stop"}]})
        return "chat" in handler.path
    with Mock(on_post=thoughts) as mock:
        r = run(mock.address, "-m", "chat", "-i", "Hi", "--thinking", "hide", "-q", home=home)
        common.expect("thoughts are hidden", r.stdout == b"A fox.\n", r)
        r = run(mock.address, "-m", "chat", "-i", "Hi", "--thinking", "show", "-q", home=home)
        common.expect("thoughts are shown", b"Hm, a fox." in r.stdout and b"A fox." in r.stdout, r)


def streams(home):
    """Every way in which a stream may be divided and ended."""
    text = "Ärger für Zoë 🦊."

    def byte_by_byte(handler, _):
        handler.begin()
        data = b": a comment\r\n\r\nevent: x\r\ndata: " + json.dumps(
            handler.choice(text, "stop"), ensure_ascii=False).encode() + b"\r\n\r\n"
        for i in range(len(data)):
            handler.write(data[i:i + 1])
        return True

    def half_characters(handler, _):
        handler.begin()
        for byte in text.encode():
            handler.write(b'data:{"choices":[{"text":"' + bytes([byte]) + b'"}]}\n')
        handler.event(handler.choice("", "stop"), b"")  # no end of the line
        return True

    def whole(handler, _):
        handler.reply(200, json.dumps(handler.choice(text, "stop"), indent=2).encode())
        return True

    for name, behaviour in (("byte by byte", byte_by_byte), ("half characters", half_characters),
                            ("not streamed", whole)):
        with Mock(on_post=lambda h, r, b=behaviour: "completions" in h.path and b(h, r)) as mock:
            r = run(mock.address, "-i", "", "-q", home=home)
            common.expect(name, r.returncode == 0 and r.stdout.decode() == text + "\n", r)
    with Mock(usage=False) as mock:
        r = run(mock.address, "-i", "Once", home=home)
        common.expect("without usage, pieces are counted", b"8 pieces after" in r.stderr, r)


# ---- keys and addresses ----

def keys(home):
    with Mock() as mock:
        def sent():
            return mock.seen[-1][1].get("Authorization")
        r = run(mock.address, "-i", "Once", "--verbose", home=home, DUOTALE_API_KEY=KEY)
        common.expect("the key is sent", sent() == "Bearer " + KEY, mock.seen[-1])
        common.expect("and not printed", KEY.encode() not in r.stdout + r.stderr, r)
        r = run(mock.address, "-i", "Once", home=home, DUOTALE_API_KEY="a\nX-Evil: 1")
        common.expect("a key with a line break is refused",
                      r.returncode == 3 and b"no key has" in r.stderr, r)
        file = pathlib.Path(home) / "config/duotale/api-keys"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# mine\nhttp://127.0.0.1:1 other\n{mock.address} {KEY}\n",
                        encoding="utf-8")
        file.chmod(0o644)
        r = run(mock.address, "-i", "Once", home=home)
        common.expect("a file that others can read is refused",
                      r.returncode == 3 and b"chmod 600" in r.stderr and
                      KEY.encode() not in r.stderr, r)
        file.chmod(0o600)
        r = run(mock.address, "-i", "Once", home=home)
        common.expect("the file's key", r.returncode == 0 and sent() == "Bearer " + KEY, r)
        file.write_text(f"{mock.address[:-1]} {KEY}\n", encoding="utf-8")
        run(mock.address, "-i", "Once", home=home)
        common.expect("another address gets no key", sent() is None, mock.seen[-1])
        file.unlink()
        r = run(mock.address.replace("//", "//me:word@"), "-i", "Once", home=home)
        common.expect_run("a name in the address is refused", r, 1, b"", b"DUOTALE_API_KEY")
        r = run(mock.address + "#fox-2m", "-i", "Once", home=home)
        common.expect_run("an unknown model", r, 1, b"", b"it has: fox-1m, fox-9m-instruct")
    r = run("ftp://127.0.0.1/x", "-i", "Once", home=home)
    common.expect_run("another scheme", r, 3, b"", b"no plug-in for such an address")
    r = common.run("http://127.0.0.1:1", text=b"Once\n", env=environment(home))
    common.expect_run("a session without a server", r, 1, b"", b"http://127.0.0.1:1")


# ---- hostile servers ----

def refuse(status, body=b"{}", **headers):
    def behaviour(handler, _):
        handler.reply(status, body, **headers)
        return True
    return behaviour


def raw(*parts, finish=True):
    def behaviour(handler, _):
        handler.begin()
        for part in parts:
            handler.write(part)
        if finish:
            handler.event(handler.choice("", "stop"))
        return True
    return behaviour


def event(text):
    return b"data: " + json.dumps({"choices": [{"text": text}]}).encode() + b"\n\n"


HOSTILE = [
    ("bad JSON", raw(event(" A"), b"data: {nonsense\n\n"), 1, b"A", b"no JSON"),
    ("deep JSON", raw(b"data: " + b"[" * 100000 + b"\n\n"), 1, b"", b"no JSON"),
    ("wrong JSON", raw(b'data: {"choices": 7}\n\ndata: [1]\n\ndata: "x"\n\n'), 0, b"", None),
    ("odd values", raw(b'data: {"choices":[{"text":{"a":[]}}],"usage":{"completion_tokens":-1e300,'
                       b'"prompt_tokens":"x"},"timings":{"prompt_ms":1e999}}\n\n'), 0, b"", None),
    ("an endless line", raw(*[b"data: " + b"x" * 65536] * 40), 1, b"", b"more than 1048576 bytes"),
    ("an error in the stream",
     raw(event(" A"), b'data: {"error":{"message":"no \\u001b[31m"}}\n\n'), 1, b"A",
     b"the server failed: no ?[31m"),
    ("no end", raw(event(" A"), finish=False), 1, b"A", b"closed the connection in mid-text"),
    ("nothing", raw(finish=False), 1, b"", b"sent no text"),
    ("HTML", refuse(200, b"<html>hello</html>", X="y"), 1, b"", b"sent no text"),
    ("401", refuse(401, b'{"error":{"message":"bad key"}}'), 1, b"", b"DUOTALE_API_KEY"),
    ("429", refuse(429, Retry_After="60"), 1, b"", b"asks to wait 60 s"),
    ("500", refuse(500, b"\x1b]0;evil\x07 oops"), 1, b"", b"the server failed (500"),
    ("long error", refuse(500, b"x" * 10000000), 1, b"", b"the server failed (500"),
    ("404", refuse(404), 1, b"", b"the server has no /v1/completions"),
    ("a redirect", refuse(302, Location="file:///etc/passwd"), 1, b"", b"file:///etc/passwd"),
]


def hostile(home):
    for name, behaviour, code, out, err in HOSTILE:
        with Mock(on_post=lambda h, r, b=behaviour: "completions" in h.path and b(h, r)) as mock:
            r = run(mock.address, "-i", "Once", home=home)
            common.expect_run(name, r, code, b"Once " + out if out else None, err)
            controls = [b for b in r.stdout + r.stderr if b < 32 and b != 10]
            common.expect(f"{name}: no control bytes", not controls, r)
    evil = [" a\x1b[2J", "\x00\x07b\u009bc", "\u202ed", "\r\n\x7fe"]
    with Mock(pieces=evil) as mock:
        r = run(mock.address, "-i", "Once", "-q", home=home)
        common.expect("control characters are removed", r.stdout == b"Once a[2Jbcd\ne\n", r)
    with Mock(on_get=refuse_get(200, b"[" * 1000)) as mock:
        r = run(mock.address, "-i", "Once", home=home)
        common.expect_run("the list of models is no JSON", r, 1, b"", b"no JSON")
    with Mock(on_get=refuse_get(401, b"{}")) as mock:
        r = run(mock.address, "-i", "Once", home=home)
        common.expect_run("no key", r, 1, b"", b"DUOTALE_API_KEY")


def refuse_get(status, body):
    def behaviour(handler):
        handler.reply(status, body)
        return True
    return behaviour


def patience(home):
    """Servers that are busy, that refuse settings, or that are slow."""
    tries = []

    def busy(handler, _):
        if "completions" not in handler.path:
            return False
        tries.append(handler.path)
        if len(tries) == 1:
            handler.reply(429, {}, Retry_After="0")
            return True
        return False
    with Mock(on_post=busy) as mock:
        r = run(mock.address, "-i", "Once", home=home)
        common.expect_run("a busy server is asked again", r, 0, STORY.encode(), b"asks to wait 0 s")

    def strict(handler, request):
        if "top_k" in request:
            handler.reply(400, {"error": {"message": "Unrecognized argument: top_k"}})
            return True
        return False
    with Mock(on_post=strict) as mock:
        r = run(mock.address, "-m", "chat", "-k", "3", home=home, text=b"Hi\nAgain\n")
        common.expect("refused settings are said once",
                      r.returncode == 0 and r.stderr.count(b"refuses settings") == 1, r)

    def trickle(handler, _):
        handler.begin()
        handler.write(event(" A"))
        for _ in range(600):
            handler.write(b":")
            time.sleep(3)
        return True
    with Mock(on_post=lambda h, r: "completions" in h.path and trickle(h, r)) as mock:
        r = run(mock.address, "-i", "Once", "--remote-timeout", "2", home=home)
        common.expect_run("a trickle", r, 1, b"Once A", b"silent for 2 s")
    with socket.socket() as listener:  # answers nothing at all
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        r = run(address, "-i", "Once", "--remote-timeout", "1", home=home)
        common.expect_run("a server that is silent", r, 1, b"", b"no answer from the server")


def interrupts(home):
    """Ctrl-C ends a run although the server would go on for ever."""
    for place in ("/v1/models", "/props", "before", "between"):
        reached, gone = threading.Event(), threading.Event()

        def wait(handler, reached=reached, gone=gone):
            reached.set()
            handler.connection.settimeout(60)
            try:
                handler.connection.recv(1)  # until the client is gone
            except OSError:
                pass
            gone.set()
            return True

        def on_get(handler, place=place, wait=wait):
            return handler.path == place and wait(handler)

        def on_post(handler, _, place=place, wait=wait):
            if "completions" not in handler.path:
                return False
            if place == "between":
                handler.begin()
                handler.write(event(" A"))
            return wait(handler)

        with Mock(on_get=on_get, on_post=on_post) as mock:
            child = subprocess.Popen([common.PROGRAM, "run", mock.address, "-i", "Once"],
                                     env={**os.environ, **environment(home)},
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            common.expect(f"{place}: reached", reached.wait(60))
            if place == "between":
                while b"A" not in os.read(child.stdout.fileno(), 100):
                    pass
            child.send_signal(signal.SIGINT)
            try:
                code = child.wait(40)
            except subprocess.TimeoutExpired:
                child.kill()
                code = None
            child.communicate()
            common.expect(f"{place}: Ctrl-C", code == 130, code)
            common.expect(f"{place}: the connection is closed", gone.wait(40))


# ---- sessions ----

def sessions(home):
    with Mock(context=512) as mock:
        r = session(mock.address, ["/new", "Once", "/stats", "/memory", "/backend", "/threads 1",
                                   "/retry", "And then", "/undo", "/export " + home + "/out.md"],
                    home=home)
        common.expect_run("a session", r, 0)
        for part in (b"Connected to http://127.0.0.1", b"a context of 512 tokens", b"ctx 15/512",
                     b"is that of local models"):
            common.expect(f"it says {part}", part in r.stderr, r)
        for part in (b"computed by          http://127.0.0.1", b"on the server", b"none of them"):
            common.expect(f"it prints {part}", part in r.stdout, r)
        common.expect("retry and undo", stored(home) == [("Once", "".join(WORDS), 1)],
                      stored(home))
        exported = pathlib.Path(home, "out.md").read_text(encoding="utf-8")
        common.expect("export", "little fox ran" in exported and mock.address in exported, exported)
        prompts = [q["prompt"] for q in mock.requests("/v1/completions")]
        common.expect("the story so far is sent",
                      prompts == ["Once", "Once", STORY + " And then"], prompts)
        mock.seen.clear()
        r = session(LOCAL, ["/open last", "and on"], "-n", "4", home=home)
        prompts = [q["prompt"] for q in mock.requests("/v1/completions")]
        common.expect("an opened story goes on at its server", prompts == [STORY + " and on"],
                      (prompts, r))
        r = session(mock.address, [f"/model {LOCAL}", "Once", "/stats"], "-n", "4", home=home)
        common.expect("from a server to a local model", b"computed by          int" in r.stdout or
                      b"computed by          ref" in r.stdout, r)
        r = session(LOCAL, ["Once", f"/model {mock.address}#fox-9m-instruct", "/continue"], "-n",
                    "4", home=home)
        sent = mock.requests("/v1/completions")[-1]["prompt"]
        common.expect("from a local model to a server", sent.startswith("Once") and len(sent) > 8,
                      (sent, r))
        r = session(mock.address + "#fox-9m-instruct", ["Hello"], home=home)
        common.expect("a model for dialogues chats",
                      mock.requests("/v1/chat/completions") and b"Chat mode" in r.stderr, r)
        r = session(LOCAL, [f"/compare int8 {mock.address}", f"/model {mock.address}",
                            f"/compare reference {mock.address}"], home=home)
        common.expect("a comparison", b"the texts differ from token" in r.stdout and
                      b"8 tokens" in r.stdout and b"no backends" in r.stdout, r)


def lost(home):
    """The connection breaks: the text is kept, and the story goes on."""
    tries = []

    def broken(handler, _):
        if "completions" not in handler.path:
            return False
        tries.append(1)
        if len(tries) > 1:
            return False
        handler.begin()
        handler.write(event(" A half"))
        handler.connection.shutdown(socket.SHUT_RDWR)
        return True
    with Mock(on_post=broken) as mock:
        r = session(mock.address, ["/new", "Once", "/continue"], home=home)
        common.expect("what has arrived is kept", b"What has arrived is kept" in r.stderr, r)
        common.expect("it goes on behind it", stored(home)[-1] ==
                      ("Once", " A half" + "".join(WORDS), 1), stored(home))


def contexts(home):
    """A context that is too short: the mock counts words."""
    def full(handler, request):
        words = len(request["prompt"].split()) if "prompt" in request else 0
        if "completions" in handler.path and words + 8 > 40:
            handler.reply(400, {"error": {"type": "exceed_context_size_error", "n_ctx": 40,
                                          "n_prompt_tokens": words, "message": "too long"}})
            return True
        return False
    long = " ".join(["word"] * 50)
    for policy, part in (("stop", b"do not fit into the context"),
                         ("shift", b"The oldest"), ("new", b"do not fit into the context")):
        with Mock(context=40, on_post=full) as mock:
            r = session(mock.address, ["/new", long], "--overflow", policy, home=home)
            common.expect(f"overflow {policy}", part in r.stderr, r)
            prompts = [len(q["prompt"].split()) for q in mock.requests("/v1/completions")]
            common.expect(f"overflow {policy}: prompts",
                          prompts == ([] if policy != "shift" else [25]), prompts)
    with Mock(on_post=full) as mock:  # which does not say how long its context is
        r = run(mock.address, "-i", long, home=home)
        common.expect_run("the server refuses a long prompt", r, 1, b"", b"too long")


def memory(home):
    """The plug-in and libcurl are not in the memory of a session that needs neither."""
    child = subprocess.Popen([common.PROGRAM, LOCAL, "-n", "2", "--ui", "plain"],
                             env={**os.environ, **environment(home)}, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    child.stdin.write(b"/stats\n")
    child.stdin.flush()
    os.read(child.stdout.fileno(), 100)
    maps = pathlib.Path(f"/proc/{child.pid}/maps").read_text(encoding="utf-8")
    child.communicate()
    common.expect("not loaded", "curl" not in maps and "openai" not in maps and LOCAL.name in maps,
                  maps)


def main():
    for test in (stories, chats, streams, keys, hostile, patience, interrupts, sessions, lost,
                 contexts, memory):
        with common.folder() as home:
            begun = time.monotonic()
            test(home)
            print(f"{test.__name__}: {time.monotonic() - begun:.1f} s")
    common.done()


main()
