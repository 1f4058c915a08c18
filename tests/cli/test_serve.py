#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""duotale serve: answers, limits, refusals, clients that leave, and hostile requests."""
import concurrent.futures
import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys

from common import DATA, PROGRAM, SLOW, done, expect, expect_run, folder, run
from serving import Server, text_of

MODEL = DATA / "storyteller-q8_0.gguf"
BEGIN = "Once upon a time"
OPENINGS = [BEGIN, "One day, a small boy found", "The dragon", "Tim and his sister were"]


def story(prompt, seed, tokens, *more):
    """The text that `run` generates behind a prompt of llama2.c's -n positions."""
    whole = run("run", MODEL, "-i", prompt, "-s", seed, "-n", tokens, "-q", *more).stdout
    text = whole.decode().removesuffix("\n")
    assert text.startswith(prompt), text
    return text[len(prompt):]


def count_tokens(server, text):
    return len(server.post("/tokenize", {"content": text, "add_special": True})[1]["tokens"])


def texts():
    """Each text is the one that its seed gives alone, whatever else is generated with it."""
    with Server(PROGRAM, MODEL, "--sequences", 3) as server:
        wanted = {}
        for i, prompt in enumerate(OPENINGS * 2):
            length = (16 if SLOW else 30) + 7 * i
            n = length - count_tokens(server, prompt) + 1
            wanted[(prompt, 40 + i, n)] = story(prompt, 40 + i, length)
        expect("they differ", len(set(wanted.values())) == 8, wanted)

        def ask(key):
            prompt, seed, n = key
            body = {"prompt": prompt, "seed": seed, "max_tokens": n}
            if seed % 2:
                return text_of(server.stream("/v1/completions", body))[0]
            status, answer = server.post("/v1/completions", body)
            return answer["choices"][0]["text"] if status == 200 else answer

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for key, text in zip(wanted, pool.map(ask, wanted)):
                expect(f"text of {key}", text == wanted[key], (text, wanted[key]))
        texts_of_one_request(server)
        prefixes(server)
        fields(server)
        chats(server)
        llama(server)
        figures = server.metrics()
        expect("several texts in a pass", figures["pass_texts_total"] > figures["passes_total"])
        expect("all is free", figures["texts_running"] == figures["texts_waiting"] == 0, figures)
        code, err = server.stop()
        expect("SIGTERM", code == 0 and "serving storyteller" in err, (code, err))


def texts_of_one_request(server):
    n = 60 - count_tokens(server, BEGIN) + 1
    body = {"prompt": BEGIN, "seed": 7, "max_tokens": n, "n": 5}
    alone = [story(BEGIN, 7 + i, 60) for i in range(5)]
    status, answer = server.post("/v1/completions", body)
    expect("n texts", status == 200 and [c["text"] for c in answer["choices"]] == alone, answer)
    expect("streamed", text_of(server.stream("/v1/completions", body)) == alone)
    body = {"prompt": BEGIN, "seed": 7, "stop": [".", "nothing"], "stream": False}
    text = server.post("/v1/completions", body)[1]["choices"][0]
    stopped = story(BEGIN, 7, 0, "--stop-text", ".")
    expect("a stop text", text["text"] == stopped and text["finish_reason"] == "stop", text)
    if SLOW:
        return
    body = {"prompt": BEGIN, "seed": 3, "temperature": 0}
    answer = server.post("/v1/completions", body)[1]
    expect("to its end", answer["choices"][0]["text"] == story(BEGIN, 3, 0, "-t", 0), answer)
    text = story(BEGIN, 3, 0, "-t", 1.4, "-p", 1, "--min-p", 0.02, "-k", 50)
    body = {"prompt": BEGIN, "seed": 3, "temperature": 1.4, "top_p": 1, "min_p": 0.02, "top_k": 50}
    answer = server.post("/v1/completions", body)[1]["choices"][0]
    expect("sampling", answer["text"] == text, answer)


def prefixes(server):
    """A prompt that goes on from an earlier one is evaluated from there on."""
    prompt = "There was once a very small dragon who lived in a forest far away from the others."
    tokens = count_tokens(server, prompt)
    server.post("/v1/completions", {"prompt": prompt, "max_tokens": 1})
    answer = server.post("/v1/completions", {"prompt": prompt, "max_tokens": 2, "seed": 2})[1]
    usage = answer["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    good = cached == tokens - 1 and usage["prompt_tokens"] == tokens
    expect("the same prompt again", good, usage)
    length = 90
    n = length - tokens + 1
    body = {"prompt": prompt, "max_tokens": n, "seed": 50, "n": 3}
    alone = [story(prompt, 50 + i, length) for i in range(3)]
    answer = server.post("/v1/completions", body)[1]
    expect("its texts", [c["text"] for c in answer["choices"]] == alone, answer)


def fields(server):
    status, headers, data = server.request("GET", "/v1/models")
    models = json.loads(data)["data"]
    expect(
        "the model",
        status == 200 and models[0]["id"] == "storyteller-q8_0"
        and models[0]["max_model_len"] == models[0]["meta"]["n_ctx"] == 512,
        data,
    )
    expect("its type", headers["Content-Type"] == "application/json", headers)
    expect("health", json.loads(server.request("GET", "/health")[2])["status"] == "ok")
    expect("props", json.loads(server.request("GET", "/props")[2])["total_slots"] == 3)
    events = server.stream(
        "/v1/completions",
        {"prompt": BEGIN, "max_tokens": 3, "stream_options": {"include_usage": True}},
    )
    last = json.loads(events[-2])
    expect("usage", last["choices"] == [] and last["usage"]["completion_tokens"] == 3, last)
    expect("timings", json.loads(events[-3])["timings"]["predicted_n"] == 3, events[-3])
    status, headers, data = server.request("HEAD", "/health")
    expect("HEAD", status == 200 and data == b"", data)


def chats(server):
    for request in "Tell me a story about a frog.", "Tell me a story about a dog.":
        alone = run("run", MODEL, "-m", "chat", "-i", request, "-s", 5, "-q").stdout.decode()
        body = {"messages": [{"role": "user", "content": request}], "seed": 5}
        status, answer = server.post("/v1/chat/completions", body)
        message = answer["choices"][0]["message"] if status == 200 else answer
        expect(
            "a chat",
            message == {"role": "assistant", "content": alone.removesuffix("\n")},
            (message, alone),
        )
        events = server.stream("/v1/chat/completions", body)
        first = json.loads(events[0])["choices"][0]["delta"]
        expect("its role first", first == {"role": "assistant", "content": ""}, first)
        expect("streamed", text_of(events)[0] == alone.removesuffix("\n"), events)
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Tell me a story about a frog."}]},
        {"role": "assistant", "content": "A frog sat."},
        {"role": "user", "content": "And then?"},
    ]
    status, answer = server.post("/v1/chat/completions", {"messages": turns, "max_tokens": 5})
    expect("several turns", status == 200 and answer["usage"]["completion_tokens"] == 5, answer)
    status, answer = server.post("/v1/chat/completions", {"messages": turns[:3]})
    expect("the last is the user's", status == 400, answer)


def llama(server):
    n = 40 - count_tokens(server, BEGIN) + 1
    alone = story(BEGIN, 9, 40)
    body = {"prompt": BEGIN, "seed": 9, "n_predict": n}
    status, answer = server.post("/completion", body)
    expect(
        "/completion",
        status == 200 and answer["content"] == alone and answer["stop"]
        and answer["stop_type"] == "limit" and answer["timings"]["predicted_n"] == n,
        answer,
    )
    events = [json.loads(event) for event in server.stream("/completion", body)]
    expect("streamed", "".join(e["content"] for e in events) == alone and events[-1]["stop"])
    status, answer = server.post("/tokenize", {"content": BEGIN})
    ids = json.loads(run("tokenize", MODEL, BEGIN, "--json").stdout)["ids"]
    expect("/tokenize", answer == {"tokens": ids}, answer)


def remote():
    """The same program as its client."""
    plugins = os.path.join(os.path.dirname(PROGRAM), "plugins")
    if not os.path.exists(os.path.join(plugins, "engine-openai.so")):
        print("skipped: the remote engine is not built (libcurl is missing)")
        return
    with Server(PROGRAM, MODEL) as server:
        options = ["-i", BEGIN, "-s", 5, "-n", 40, "-q"]
        result = run("run", f"http://127.0.0.1:{server.port}", *options)
        expect("run http://...", result.stdout == run("run", MODEL, *options).stdout, result)


def refusals():
    with Server(PROGRAM, MODEL, "--sequences", 1) as server:
        good = {"prompt": BEGIN, "max_tokens": 2}
        for field, value in [
            ("logprobs", 1), ("echo", True), ("suffix", "x"), ("best_of", 2),
            ("presence_penalty", 0.5), ("frequency_penalty", -1), ("logit_bias", {"1": 2}),
            ("n", 9), ("n", 0), ("n", 1.5), ("n", "2"), ("max_tokens", 0), ("max_tokens", -2),
            ("temperature", -1), ("temperature", 101), ("top_p", 2), ("min_p", "x"), ("stop", 3),
            ("stop", [""]), ("stop", ["x"] * 9), ("stop", "x" * 257), ("seed", 1.5), ("seed", {}),
            ("stream", "yes"), ("prompt", 1), ("prompt", [1, 2]), ("prompt", ["a", "b"]),
            ("prompt", None), ("tools", [{}]), ("response_format", {"type": "json_object"}),
        ]:
            status, answer = server.post("/v1/completions", {**good, field: value})
            error = answer.get("error", {})
            expect(
                f"{field} {value}",
                status == 400 and error["param"] == field and field in error["message"]
                and error["type"] == "invalid_request_error",
                answer,
            )
        for field, value in [
            ("logprobs", None), ("logprobs", False), ("best_of", 1), ("tools", []), ("user", "x"),
            ("presence_penalty", 0), ("response_format", {"type": "text"}), ("prompt", [BEGIN]),
            ("seed", -3), ("max_tokens", None), ("stop", None), ("model", "another"),
        ]:
            status, answer = server.post("/v1/completions", {**good, "n": 1, field: value})
            expect(f"harmless {field} {value}", status == 200, answer)
        for what, body in [
            ("no JSON", "{"), ("a list", "[]"), ("deep", "[" * 100), ("empty", ""),
            ("no UTF-8", b'{"prompt": "\xff"}'), ("lone", b'{"prompt": "a"} x'),
        ]:
            status, answer = server.post("/v1/completions", body)
            expect(what, status == 400 and answer["error"]["message"], answer)
        long = {"prompt": "word " * 600}
        status, answer = server.post("/v1/completions", long)
        expect(
            "a long prompt",
            status == 400 and answer["error"]["code"] == "context_length_exceeded"
            and "512" in answer["error"]["message"],
            answer,
        )
        for role in {"role": "tool", "content": "x"}, {"role": "user"}, {"content": "x"}, 3:
            status, answer = server.post("/v1/chat/completions", {"messages": [role]})
            expect(f"message {role}", status == 400, answer)
        wire(server)


def wire(server):
    """What the module refuses: paths, methods, origins, sizes, times."""
    for path in ("/nothing", "/../../etc/passwd", "/page.js", "/%2e%2e/x", "/v1/completions/",
                 "//", "/index.html"):
        status, _, data = server.request("GET", path)
        expect(f"GET {path}", status == 404 and b"root:" not in data, data)
    for method, path, allow in [
        ("GET", "/v1/completions", "POST"), ("POST", "/health", "GET, HEAD"),
        ("PUT", "/v1/models", "GET, HEAD, POST"), ("OPTIONS", "/", "GET, HEAD, POST"),
    ]:
        status, headers, data = server.request(method, path)
        expect(f"{method} {path}", status == 405 and headers["Allow"] == allow, (status, data))
    local = f"127.0.0.1:{server.port}"
    for host, origin, code in [
        (local, None, 200), (local, f"http://{local}", 200), ("localhost", None, 200),
        ("[::1]:80", None, 200), ("example.org", None, 403), ("127.0.0.1.example.org", None, 403),
        (local, "http://example.org", 403), (local, "null", 403), ("localhost.example", None, 403),
    ]:
        headers = {"Host": host, **({"Origin": origin} if origin else {})}
        status, _, data = server.request("GET", "/v1/models", headers=headers)
        expect(f"Host {host}, Origin {origin}", status == code, data)
    big = b'{"prompt": "' + b"x" * 200_000 + b'"}'
    status, answer = server.post("/v1/completions", big)
    expect("a long body", status == 413 and "error" in answer, answer)
    chunks = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
    chunks += b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b'{"prompt": "The", "max_tokens": 1}'
    answer = server.raw(chunks + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
    expect("a body in chunks", answer.startswith(b"HTTP/1.1 200"), answer)
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: "
    answer = server.raw(head + b"x" * 40000 + b"\r\n\r\n")
    expect("long headers", answer.startswith(b"HTTP/1.1 4"), answer[:100])
    answer = server.raw(b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\n", half=True)
    expect("half of a request", answer == b"", answer)
    answer = server.raw(b"GET / HTTP/1.0\r\n\r\n")
    expect("the page, by HTTP/1.0", b"text/html" in answer and b"</html>" in answer, answer[:300])
    policy = b"Content-Security-Policy: default-src 'none'; script-src 'sha256-"
    expect("its policy", policy in answer, answer[:600])


def late():
    """A connection whose request does not arrive is closed."""
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
    with Server(PROGRAM, MODEL, "--timeout", 1) as server:
        for part in head, head[:30], head + b"{":
            with server.connect() as s:
                s.sendall(part)
                rest = b""
                with contextlib.suppress(ConnectionError):
                    rest = s.recv(100)
                expect("a late request", rest == b"" or b"408" in rest, rest)


def leaving():
    """Clients that leave are noticed, and their sessions are free for others."""
    arguments = ["--sequences", 1, "-b", "reference", *(["-c", 128] if SLOW else [])]
    body = json.dumps({"prompt": BEGIN, "n": 8, "temperature": 1.5, "top_p": 1}).encode()
    with Server(PROGRAM, MODEL, *arguments) as server:
        for left, stream in enumerate((b"true", b"false"), 1):
            text = body[:-1] + b', "stream": ' + stream + b"}"
            head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
            with server.connect() as first, server.connect() as second:
                first.sendall(head % len(text) + text)
                server.wait_until(lambda f: f["texts_running"] == 1)
                second.sendall(head % len(text) + text)
                server.wait_until(lambda f: f["texts_waiting"] > 8)
                if stream == b"true":
                    first.recv(100)
                else:  # a reset
                    first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            figures = server.wait_until(lambda f: f["texts_running"] + f["texts_waiting"] == 0)
            expect("both have left", figures["left_total"] == 2 * left, figures)
        with server.connect() as client:  # requests take turns, one text each
            client.sendall(head % len(body) + body)
            server.wait_until(lambda f: f["texts_waiting"] == 7)
            server.post("/v1/completions", {"prompt": BEGIN, "max_tokens": 1})
            figures = server.metrics()
            expect("a short request between", figures["texts_waiting"] > 3, figures)
        text = story(BEGIN, 4, 12, "-b", "reference")
        n = 12 - count_tokens(server, BEGIN) + 1
        answer = server.post("/v1/completions", {"prompt": BEGIN, "seed": 4, "max_tokens": n})[1]
        expect("then another's text", answer["choices"][0]["text"] == text, answer)
        ended(server, head, body)


def ended(server, head, body):
    """SIGTERM while a text is streamed: the stream ends with an error, the program with 0."""
    text = body[:-1] + b', "stream": true}'
    with server.connect() as client:
        client.sendall(head % len(text) + text)
        out = client.recv(100)
        server.process.send_signal(signal.SIGINT)
        while piece := client.recv(65536):
            out += piece
        _, err = server.process.communicate(timeout=300)
    expect("an error at the end", b'"the server is being stopped"' in out, out[-300:])
    expect("Ctrl-C", server.process.returncode == 0, (server.process.returncode, err))


def tokens():
    with folder() as here:
        path = f"{here}/token"
        with open(path, "w", encoding="ascii") as f:
            f.write("correct-horse\n")
        os.chmod(path, 0o644)
        result = run("serve", MODEL, "--port", 0, "--token-file", path)
        expect_run("a token that others can read", result, 2, stderr=b"chmod 600")
        os.chmod(path, 0o600)
        with Server(PROGRAM, MODEL, "--token-file", path) as server:
            expect("in the address", server.token == "correct-horse", server.line)
            authorised(server)
    with Server(PROGRAM, MODEL, "--listen", "0.0.0.0") as server:
        expect("a token is made", len(server.token) == 32, server.line)
        authorised(server)
    with Server(PROGRAM, MODEL, "--listen", "0.0.0.0", "--open") as server:
        status, _, data = server.request("GET", "/v1/models", headers={"Host": "example.org"})
        expect("--open", status == 200 and not server.token, data)
    with Server(PROGRAM, MODEL, env={"DUOTALE_TOKEN": "from-the-environment"}) as server:
        code, err = server.stop()
        expect("no token is printed", code == 0 and "from-the" not in err, err)
    result = run("serve", MODEL, "--port", 0, env={"DUOTALE_TOKEN": "a b c d e f"})
    expect_run("a wrong token", result, 2, stderr=b"without spaces")


def authorised(server):
    key = {"Authorization": f"Bearer {server.token}"}
    for headers in {}, {"Authorization": "Bearer wrong"}, {"Authorization": server.token}:
        status, answer_headers, data = server.request("GET", "/v1/models", headers=headers)
        expect(
            f"{headers}",
            status == 401 and json.loads(data)["error"]["code"] == "invalid_api_key"
            and answer_headers["WWW-Authenticate"] == "Bearer",
            data,
        )
    expect("with it", server.request("GET", "/v1/models", headers=key)[0] == 200)
    expect("the page", server.request("GET", "/")[0] == 200)
    body = {"prompt": BEGIN, "max_tokens": 1}
    expect("a text", server.post("/v1/completions", body, key)[0] == 200)
    expect("none without", server.post("/v1/completions", body)[0] == 401)


def arguments():
    with Server(PROGRAM, MODEL) as server:
        result = run("serve", MODEL, "--port", server.port)
        expect_run("a port in use", result, 1, stderr=b"cannot listen at port")
    expect_run("a name", run("serve", MODEL, "--listen", "x.y"), 1, stderr=b"numeric address")
    expect_run("no such file", run("serve", "nothing.gguf"), 3, stderr=b"nothing.gguf")
    expect_run("two models", run("serve", MODEL, MODEL), 2, stderr=b"only one model")
    expect_run("a port", run("serve", MODEL, "--port", 70000), 2, stderr=b"--port")
    with folder() as here:
        os.makedirs(f"{here}/bin")
        os.link(PROGRAM, f"{here}/bin/duotale") if os.stat(here).st_dev == os.stat(
            PROGRAM).st_dev else subprocess.run(["cp", PROGRAM, f"{here}/bin/duotale"], check=True)
        result = run("serve", MODEL, program=f"{here}/bin/duotale")
        expect_run("no module", result, 3, stderr=b"serve.so, is not installed")


# ---- hostile requests ----

PIECES = [
    b"POST", b"GET", b"HEAD", b" /v1/completions ", b" /v1/chat/completions ", b" / ",
    b" /tokenize ", b" /completion ", b"HTTP/1.1\r\n", b"HTTP/9.9\r\n", b"Content-Length: ",
    b"-1", b"99999999999", b"5\r\n", b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffff\r\n",
    b"0\r\n\r\n", b"\r\n\r\n", b"Host: localhost\r\n", b"Expect: 100-continue\r\n",
    b"Connection: close\r\n", b"\x00", b"\xff\xfe", b"%00%ff", b"Authorization: Bearer \r\n",
    b"Cookie: a=b\r\n", b"\r\n", b"\n", b":", b"?a=b&",
]
VALUES = [
    "null", "true", "[]", "{}", '""', "0", "-1", "1e308", "1e999", "3", "0.5", '"x"', '"\\u0000"',
    '"\\ud800"', '["a"]', '[[1]]', '{"type": "text"}', '"\\"', "[" * 70, '"\x7f\u202e"', "1.5e-400",
    '[{"role": "user", "content": "x"}]', '[{"role": "user"}]', '[{"role": "x", "content": []}]',
    '[{"role": "user", "content": [{"type": "text", "text": "<|im_end|>"}]}]',
    '"' + "z" * 3000 + '"',
]
NAMES = [
    "prompt", "messages", "max_tokens", "n", "stream", "stop", "temperature", "top_p", "min_p",
    "seed", "top_k", "repeat_penalty", "stream_options", "chat_template_kwargs", "content", "model",
    "repeat_last_n", "n_predict", "logprobs", "add_special", "parse_special", "", "\\u0070rompt",
]
PATHS = ["/v1/completions", "/v1/chat/completions", "/completion", "/tokenize", "/health", "/x"]


def hostile_bytes(chance):
    """A request, and whether it is complete, so that it must be answered."""
    kind = chance.randrange(3)
    if kind == 0:
        return b"".join(chance.choices(PIECES, k=chance.randrange(1, 12))), False
    members = [f'"{chance.choice(NAMES)}": {chance.choice(VALUES)}'
               for _ in range(chance.choice([0, 0, 1, 2, 3, 5]))]
    body = "{" + ", ".join(['"max_tokens": 2', chance.choice(['"prompt": "The"', '"content": "x"']),
                            *members]) + "}"
    data = bytearray(body.encode("utf-8", "surrogatepass"))
    for _ in range(chance.choice([0, 0, 1, 3])):
        if data:
            data[chance.randrange(len(data))] = chance.randrange(256)
    more = chance.choice([0, 0, 0, -1, 1])
    head = (f"POST {chance.choice(PATHS)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Length: {len(data) + more}\r\n\r\n").encode()
    whole = head + bytes(data)
    if kind == 1:
        return whole[:chance.randrange(len(whole))], False
    return whole, more <= 0


def hostile(count):
    """Hostile clients beside good ones, whose texts must be theirs."""
    with Server(PROGRAM, MODEL, "--sequences", 4) as server:
        n = 30 - count_tokens(server, BEGIN) + 1
        wanted = {seed: story(BEGIN, seed, 30) for seed in range(1, 4)}
        statuses = {}

        def attack(number):
            chance = random.Random(number)
            try:
                with server.connect() as s:
                    data, complete = hostile_bytes(chance)
                    s.sendall(data)
                    if chance.random() < 0.2:
                        return True  # leaves
                    if not complete:
                        s.shutdown(socket.SHUT_WR)
                    out = b""
                    while piece := s.recv(65536):
                        out += piece
                    statuses[out[9:12]] = statuses.get(out[9:12], 0) + 1
                    if complete and not out.startswith(b"HTTP/1.1 ") or b"\0" in out:
                        return data, out
            except OSError:
                pass
            return True

        def good(seed):
            body = {"prompt": BEGIN, "seed": seed, "max_tokens": n}
            answer = server.post("/v1/completions", body)[1]
            return answer.get("choices", [{}])[0].get("text") == wanted[seed] or answer

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            results = pool.map(lambda i: attack(i) if i % 25 else good(i % 3 + 1), range(count))
            wrong = [result for result in results if result is not True]
        expect(f"{count} hostile requests: the others' texts", not wrong, wrong[:2])
        expect("no error of the server", not statuses.keys() & {b"500", b"503"}, statuses)
        expect("some are answered", statuses.get(b"200") and statuses.get(b"400"), statuses)
        if count > 1000:
            print(f"{count} hostile requests:", statuses)
        figures = server.wait_until(lambda f: f["texts_running"] + f["texts_waiting"] == 0)
        expect("all is free", server.process.poll() is None, figures)
        code, err = server.stop()
        expect("it ends, without leaks", code == 0 and "ERROR" not in err, (code, err[-2000:]))


if not (os.path.dirname(PROGRAM) and os.path.exists(
        os.path.join(os.path.dirname(PROGRAM), "plugins", "serve.so"))):
    print("skipped: the server is not built (libmicrohttpd is missing)")
    sys.exit(77)
if "DT_HOSTILE" in os.environ:  # the long form: DT_HOSTILE=10000
    hostile(int(os.environ["DT_HOSTILE"]))
    done()
texts()
remote()
refusals()
late()
leaving()
tokens()
arguments()
hostile(60 if SLOW else 400)
done()
