#!/usr/bin/env python3
"""Serves an OCI image layout to containerd: registry.py LAYOUT ADDRESS PORT.

The pull half of the OCI distribution specification (v1.1: end-1, end-2, end-3). Names are those of index.json;
containerd says in `ns` which registry it means. The layout is read anew for each manifest, so new images are seen.
"""
import http.server
import json
import pathlib
import re
import sys
import urllib.parse

LAYOUT = pathlib.Path(sys.argv[1])
MANIFEST = re.compile(r"/v2/([a-z0-9._/-]{1,200})/manifests/([A-Za-z0-9._:-]{1,128})")
BLOB = re.compile(r"/v2/[a-z0-9._/-]{1,200}/blobs/sha256:([0-9a-f]{64})")
DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def named(name):
    """The descriptor of the image called so in index.json."""
    index = json.loads((LAYOUT / "index.json").read_text())
    for manifest in index["manifests"]:
        if manifest["annotations"]["io.containerd.image.name"] == name:
            return manifest["digest"].removeprefix("sha256:")
    return None


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def find(self):
        """(digest, media type) of what is asked for; digest None: unknown."""
        url = urllib.parse.urlsplit(self.path)
        manifest, blob = MANIFEST.fullmatch(url.path), BLOB.fullmatch(url.path)
        if blob:
            return blob[1], "application/octet-stream"
        if not manifest:
            return None, ""
        by_digest = DIGEST.fullmatch(manifest[2])
        host = urllib.parse.parse_qs(url.query).get("ns", ["docker.io"])[0]
        digest = by_digest[1] if by_digest else named(f"{host}/{manifest[1]}:{manifest[2]}")
        return digest, "application/vnd.oci.image.manifest.v1+json"

    def answer(self, with_body):
        if self.path.rstrip("/") == "/v2":
            self.reply(200, "application/json", b"{}", with_body)
            return
        digest, media = self.find()
        path = LAYOUT / "blobs" / "sha256" / str(digest)
        if digest is None or not path.is_file():
            self.reply(404, "application/json", b'{"errors": [{"code": "NAME_UNKNOWN"}]}', with_body)
            return
        self.reply(200, media, path.read_bytes(), with_body, [("Docker-Content-Digest", f"sha256:{digest}")])

    def reply(self, status, media, body, with_body, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def do_GET(self):
        self.answer(True)

    def do_HEAD(self):
        self.answer(False)


http.server.ThreadingHTTPServer((sys.argv[2], int(sys.argv[3])), Registry).serve_forever()
