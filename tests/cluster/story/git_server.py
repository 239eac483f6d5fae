"""A Git repository over smart HTTP, by `git http-backend`, and what Flux calls a source: an ExternalArtifact whose archive
is of a commit that was cloned from there. (source-controller itself cannot be built from what the Go proxy serves.)"""

import hashlib
import http.server
import json
import os
import shutil
import subprocess
import threading
import time

from tools import NAMESPACE, apply, kubectl

ADDRESS = "127.0.0.1", 8099
URL = f"http://{ADDRESS[0]}:{ADDRESS[1]}"


def git(*arguments, folder=None):
    environment = os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "plant", "GIT_AUTHOR_EMAIL": "plant@example.com",
                                "GIT_COMMITTER_NAME": "plant", "GIT_COMMITTER_EMAIL": "plant@example.com"}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, text=True, capture_output=True, check=True)
    return done.stdout.strip()


class Handler(http.server.BaseHTTPRequestHandler):
    """/git/… is git's own program; /archives/… are files."""

    root = None

    def do_GET(self):
        if self.path.startswith("/archives/"):
            with open(f"{self.root}/archives/{os.path.basename(self.path)}", "rb") as file:
                content = file.read()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        else:
            self.backend()

    def do_POST(self):
        self.backend()

    def backend(self):
        path, _, query = self.path.removeprefix("/git").partition("?")
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        environment = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": self.root, "GIT_HTTP_EXPORT_ALL": "1",
                       "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
                       "CONTENT_TYPE": self.headers.get("content-type", ""), "CONTENT_LENGTH": str(len(body)),
                       "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                       "GIT_PROTOCOL": self.headers.get("git-protocol", "")}
        answer = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, content = answer.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Repository:
    def __init__(self):
        self.root = f"{os.environ['CLUSTER_DIR']}/git"
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(f"{self.root}/archives")
        git("init", "--quiet", "--bare", "--initial-branch=main", f"{self.root}/plant.git")
        git("clone", "--quiet", f"{self.root}/plant.git", f"{self.root}/work")
        Handler.root = self.root
        self.server = http.server.ThreadingHTTPServer(ADDRESS, Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def commit(self, message, files):
        """Makes the repository hold these files, and the source tell of the commit; answers its revision."""
        work = f"{self.root}/work"
        for name in os.listdir(work):
            if name != ".git":
                os.remove(f"{work}/{name}")
        for name, manifest in files.items():
            with open(f"{work}/{name}", "w", encoding="utf-8") as file:
                json.dump(manifest, file)
        git("add", "--all", folder=work)
        git("commit", "--quiet", "--allow-empty", "-m", message, folder=work)
        git("push", "--quiet", "origin", "HEAD:main", folder=work)
        return self.fetch()

    def fetch(self):
        """What a source does: clones over HTTP, packs the files, and says where."""
        clone = f"{self.root}/clone"
        shutil.rmtree(clone, ignore_errors=True)
        git("clone", "--quiet", f"{URL}/git/plant.git", clone)
        commit = git("rev-parse", "HEAD", folder=clone)
        archive = f"{self.root}/archives/{commit}.tar.gz"
        git("archive", "--format=tar.gz", f"--output={archive}", "HEAD", folder=clone)
        with open(archive, "rb") as file:
            content = file.read()
        revision, now = f"main@sha1:{commit}", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        source = {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "ExternalArtifact", "metadata": {"name": "plant"}, "spec": {}}
        apply(source)
        status = {"artifact": {"url": f"{URL}/archives/{commit}.tar.gz", "path": f"plant/{commit}.tar.gz", "revision": revision,
                               "digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content), "lastUpdateTime": now},
                  "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": revision,
                                  "lastTransitionTime": now, "observedGeneration": 1}]}
        kubectl("patch", "externalartifact", "plant", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
        return revision

    def close(self):
        self.server.shutdown()
        self.server.server_close()
