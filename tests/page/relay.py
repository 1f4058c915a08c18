# SPDX-License-Identifier: MIT
"""A relay between the browser and a server, which can hold an answer in its middle."""
import contextlib
import socket
import threading
import time


class Relay:
    """Passes on at most `limit` bytes of each answer (None: all), until that is raised; `target` is
    the port of the server."""

    def __init__(self, target):
        self.target, self.limit = target, None
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listening.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        threading.Thread(target=self.up, args=(client, server), daemon=True).start()
        with contextlib.suppress(OSError):
            self.down(client, server)
        for s in client, server:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    @staticmethod
    def up(client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def down(self, client, server):
        passed = 0
        while data := server.recv(65536):
            if b"text/event-stream" in data:
                passed = 0
            while data:
                space = len(data) if self.limit is None else self.limit - passed
                if space > 0:
                    client.sendall(data[:space])
                    passed += len(data[:space])
                    data = data[space:]
                    continue
                time.sleep(0.02)
                server.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    more = server.recv(65536)
                    if not more:
                        return  # the server is gone, and so is what is held
                    data += more
                server.setblocking(True)
