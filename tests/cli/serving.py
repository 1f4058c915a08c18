# SPDX-License-Identifier: MIT
"""A running `duotale serve` and its clients, for tests."""
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time

PATIENCE = 300  # seconds, for what must happen at some time


class Server:
    """Starts the program at a port that is free."""

    def __init__(self, program, *arguments, env=None):
        environment = dict(os.environ)
        environment.pop("DUOTALE_MODULES", None)
        environment.pop("DUOTALE_TOKEN", None)
        environment.update(env or {})
        command = [program, "serve", "--port", "0", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment,
        )
        self.line = self.process.stdout.readline().decode().strip()
        if not self.line:
            raise RuntimeError(self.process.communicate()[1].decode())
        host = self.line.split("/")[2]
        self.host, self.port = host.rsplit(":", 1)[0], int(host.rsplit(":", 1)[1])
        self.token = self.line.partition("#")[2]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()

    def stop(self, how=signal.SIGTERM):
        """Ends the server; its exit code and what it wrote to stderr."""
        self.process.send_signal(how)
        _, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, err.decode()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def raw(self, data, half=False):
        """Sends bytes and reads to the end. half: nothing more will be sent."""
        with self.connect() as s:
            out = b""
            with contextlib.suppress(OSError):
                s.sendall(data)
                if half:
                    s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while piece := s.recv(65536):
                    out += piece
            return out

    def request(self, method, path, body=None, headers=None):
        """The status, the headers and the bytes of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, data

    def post(self, path, body, headers=None):
        status, _, data = self.request("POST", path, body, headers)
        return status, json.loads(data)

    def stream(self, path, body):
        """The events of a streamed answer."""
        status, headers, data = self.request("POST", path, {**body, "stream": True})
        if status != 200 or not headers["Content-Type"].startswith("text/event-stream"):
            raise RuntimeError(f"{status} {data!r}")
        events = data.decode().split("\n\n")
        assert events.pop() == "", data[-200:]
        assert all(event.startswith("data: ") for event in events), events
        return [event[6:] for event in events]

    def metrics(self):
        rows = self.request("GET", "/metrics")[2].decode().splitlines()
        return {row.split()[0][8:]: float(row.split()[1]) for row in rows if row[0] != "#"}

    def wait_until(self, what):
        """Waits until the figures are as a function says."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            figures = self.metrics()
            if what(figures):
                return figures
            time.sleep(0.02)
        raise RuntimeError(f"it never came: {figures}")


def text_of(events):
    """The texts of a stream of /v1/completions, by index, and whether it ended as it has to."""
    texts, reasons = {}, {}
    for event in events[:-1]:
        for choice in json.loads(event)["choices"]:
            delta = choice.get("delta", choice)
            texts[choice["index"]] = texts.get(choice["index"], "") + (
                delta.get("content", delta.get("text")) or ""
            )
            if choice["finish_reason"]:
                reasons[choice["index"]] = choice["finish_reason"]
    assert events[-1] == "[DONE]", events[-1]
    assert reasons.keys() == texts.keys(), reasons
    return [texts[i] for i in sorted(texts)]
