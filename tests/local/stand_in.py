# SPDX-License-Identifier: Apache-2.0
"""What the stand-ins share: an admin port that says ready, and SIGTERM obeyed.

STAND_IN_FAILS names a part that ends at once with exit code STAND_IN_CODE.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Ready(BaseHTTPRequestHandler):
    """Answers everything with 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"pid": os.getpid()}).encode())


def run() -> None:
    """Serve until SIGTERM."""
    name = os.environ["TAXI_NAME"]
    if os.environ.get("STAND_IN_FAILS") == name:
        sys.stderr.write(f"{name}: the stand-in fails as asked\n")
        sys.exit(int(os.environ.get("STAND_IN_CODE", "1")))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    HTTPServer(("127.0.0.1", int(os.environ["TAXI_ADMIN_PORT"])), Ready).serve_forever()
