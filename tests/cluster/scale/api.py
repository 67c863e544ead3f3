"""A small client of the API server for many requests at once: kubectl starts a process for each, which is too slow here."""
import base64
import concurrent.futures
import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.parse

WORKERS = 16
MERGE = "application/merge-patch+json"


def kubectl(*words, check=True):
    done = subprocess.run([os.environ["WEFT_KUBECTL"], *words], capture_output=True, text=True, timeout=300)
    if check and done.returncode != 0:
        sys.exit(f"scale: kubectl {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


class Refused(Exception):
    def __init__(self, what, status, body):
        super().__init__(f"{what}: {status} {body[:300]}")
        self.status = status


class Api:
    """One kept connection a thread, with the certificate of the kubeconfig. close() ends the workers."""

    def __init__(self):
        config = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.place = urllib.parse.urlsplit(cluster["server"])
        self.tls = ssl.create_default_context(cadata=material(cluster, "certificate-authority").decode())
        with tempfile.NamedTemporaryFile() as cert, tempfile.NamedTemporaryFile() as key:
            cert.write(material(user, "client-certificate"))
            key.write(material(user, "client-key"))
            cert.flush()
            key.flush()
            self.tls.load_cert_chain(cert.name, key.name)
        self.own = threading.local()
        self.workers = concurrent.futures.ThreadPoolExecutor(WORKERS)

    def connection(self):
        if not hasattr(self.own, "connection"):
            self.own.connection = http.client.HTTPSConnection(self.place.hostname, self.place.port, context=self.tls, timeout=60)
        return self.own.connection

    def call(self, method, path, body=None, media="application/json", absent_ok=False):
        headers = {"Content-Type": media, "Accept": "application/json"}
        text = json.dumps(body) if body is not None else None
        for last in (False, True):
            connection = self.connection()
            try:
                connection.request(method, path, text, headers)
                answer = connection.getresponse()
                content = answer.read()
                break
            except (http.client.HTTPException, OSError):
                connection.close()  # the next request opens it anew; one that was kept may have ended meanwhile
                if last:
                    raise
        if answer.status == 409 and method == "POST" or answer.status == 404 and absent_ok:
            return None
        if answer.status >= 300:
            raise Refused(f"{method} {path}", answer.status, content.decode(errors="replace"))
        return json.loads(content)

    def all(self, jobs):
        """Runs functions without arguments, WORKERS at a time; the first failure is raised."""
        for done in concurrent.futures.as_completed([self.workers.submit(job) for job in jobs]):
            done.result()

    def close(self):
        self.workers.shutdown(cancel_futures=True)


def material(part, name):
    if f"{name}-data" in part:
        return base64.b64decode(part[f"{name}-data"])
    with open(part[name], "rb") as file:
        return file.read()
