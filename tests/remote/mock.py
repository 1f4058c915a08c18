# SPDX-License-Identifier: MIT
"""A server with OpenAI's protocol on loopback, as tests need it: friendly, broken or hostile.

Mock() answers the addresses of a llama-server. Its text is the list `pieces`, a token each.
"""
import http.server
import json
import socketserver
import threading
import time

WORDS = [" The", " little", " fox", " ran", " to", " the", " river", "."]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="application/json", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        mock = self.server.mock
        mock.seen.append((self.path, dict(self.headers), None))
        if mock.on_get and mock.on_get(self):
            return
        if self.path == "/v1/models":
            self.reply(200, {"data": [{"id": name} for name in mock.models]})
        elif self.path == "/props" and mock.context:
            self.reply(200, {"default_generation_settings": {"n_ctx": mock.context}})
        else:
            self.reply(404, {"error": {"message": "no such page"}})

    def do_POST(self):
        mock = self.server.mock
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = json.loads(body)
        mock.seen.append((self.path, dict(self.headers), request))
        if mock.on_post and mock.on_post(self, request):
            return
        if self.path == "/tokenize" and mock.context:
            self.reply(200, {"tokens": list(range(len(request["content"].split())))})
        elif self.path == "/apply-template" and mock.context:
            text = " ".join(m["content"] for m in request["messages"])
            self.reply(200, {"prompt": text})
        elif self.path in ("/v1/completions", "/v1/chat/completions"):
            self.stream(request)
        else:
            self.reply(404, {"error": {"message": "no such page"}})

    # ---- streams ----

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def write(self, data):
        self.wfile.write(data)
        self.wfile.flush()

    def event(self, value, end=b"\n\n"):
        self.write(b"data: " + json.dumps(value, ensure_ascii=False).encode() + end)

    def choice(self, text, finish=None):
        if "chat" in self.path:
            return {"choices": [{"delta": {"content": text}, "finish_reason": finish}]}
        return {"choices": [{"text": text, "finish_reason": finish}]}

    def stream(self, request, done=True):
        mock = self.server.mock
        pieces = mock.pieces[:request.get("max_tokens", 1000)]
        self.begin()
        for piece in pieces:
            self.event(self.choice(piece))
            time.sleep(mock.delay)
        length = len(pieces) < len(mock.pieces)
        self.event(self.choice("", "length" if length else "stop"))
        if mock.usage:
            self.event({"choices": [], "usage": {"prompt_tokens": 7,
                                                 "completion_tokens": len(pieces)}})
        if done:
            self.write(b"data: [DONE]\n\n")


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # the client went away
        pass


class Mock:
    """with Mock() as mock: mock.address, mock.seen = [(path, headers, request)]"""

    def __init__(self, pieces=None, context=0, on_get=None, on_post=None, usage=True, delay=0.0):
        self.pieces = WORDS if pieces is None else pieces
        self.models = ["fox-1m", "fox-9m-instruct"]
        self.context, self.usage, self.delay = context, usage, delay
        self.on_get, self.on_post = on_get, on_post
        self.seen = []

    def __enter__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.mock = self
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def requests(self, path):
        return [r for p, _, r in self.seen if p == path]
