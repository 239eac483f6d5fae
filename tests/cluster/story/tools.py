"""What the steps are told with: kubectl, helm, the hub as a back end has it, and waiting with a deadline."""

import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import time
import urllib.request

NAMESPACE = "hubtwin"
RELEASE = "hubtwin"
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
CHART = f"{ROOT}/charts/hubtwin"
EXAMPLES = f"{ROOT}/crds/examples"
# Images that tests/cluster/run has put on the node.
IMAGES = ["image.repository=localhost/hubtwin", "localHub.image.repository=localhost/hubtwin-full"]
VERSION = re.search('^version = "(.*)"', open(f"{ROOT}/Cargo.toml", encoding="utf-8").read(), re.MULTILINE)[1]
FULL_IMAGE = f"localhost/hubtwin-full:{VERSION}"


# How long the audit log was when something had happened.
MARKS = {}


def mark(name):
    """Remembers where the audit log of the API server is now."""
    MARKS[name] = os.path.getsize(f"{os.environ['CLUSTER_DIR']}/audit.log")


class Failed(Exception):
    """A command failed, or a state was not reached in time; the message has the last words."""


def run(*command, stdin=None, fails=False):
    """Runs a command and answers what it printed; with `fails`, it has to fail, and its error is the answer."""
    done = subprocess.run(command, input=stdin, text=True, capture_output=True)
    if (done.returncode != 0) != fails:
        raise Failed(f"$ {' '.join(command)}\nended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr if fails else done.stdout


def kubectl(*arguments, namespace=NAMESPACE, **more):
    return run("kubectl", "--namespace", namespace, *arguments, **more)


def helm(*arguments, namespace=NAMESPACE, **more):
    return run("helm", "--namespace", namespace, *arguments, **more)


def install(*arguments, chart=CHART, release=RELEASE, sets=(), verb="install", **more):
    """helm install, or upgrade, with the images of the test."""
    values = [part for setting in [*IMAGES, "replicas=2", *sets] for part in ("--set", setting)]
    return helm(verb, release, chart, "--wait", "--timeout", "120s", *values, *arguments, **more)


def apply(*manifests, namespace=NAMESPACE):
    """Applies manifests, each an object or a file."""
    for manifest in manifests:
        if isinstance(manifest, str):
            kubectl("apply", "-f", manifest, namespace=namespace)
        else:
            kubectl("apply", "-f", "-", stdin=json.dumps(manifest), namespace=namespace)


def get(kind, name=None, namespace=NAMESPACE, selector=None):
    """An object, or the list of all of a kind."""
    selected = ["--selector", selector] if selector else []
    answer = json.loads(kubectl("get", kind, *([name] if name else []), *selected, "-o", "json", namespace=namespace))
    return answer if name else answer["items"]


def condition(thing, type_):
    """TYPE=STATUS REASON of an object, or None."""
    for found in thing.get("status", {}).get("conditions", []):
        if found["type"] == type_:
            return f"{type_}={found['status']} {found.get('reason', '')}"
    return None


def eventually(what, look, seconds=60):
    """Waits until `look` answers something true, and answers it. Errors of kubectl count as not yet."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            last = look()
            if last:
                return last
        except Failed as error:
            last = error
        time.sleep(0.2)
    raise Failed(f"not within {seconds} s: {what}\nlast seen: {last}")


def sees(kind, name, expected, namespace=NAMESPACE, seconds=60):
    """Waits for a condition, written TYPE=STATUS REASON, at the object's generation."""
    def look():
        found = get(kind, name, namespace)
        current = found["status"].get("observedGeneration") == found["metadata"]["generation"]
        return found if current and condition(found, expected.split("=")[0]) == expected else None
    try:
        return eventually(f"{kind} {name} is {expected}", look, seconds)
    except Failed as error:
        raise Failed(f"{error}\n{kubectl('get', kind, name, '-o', 'yaml', namespace=namespace)}") from None


def twin(name, hub="plant-hub", **spec):
    """A DeviceTwin."""
    return {"apiVersion": "hubtwin.dev/v1alpha1", "kind": "DeviceTwin", "metadata": {"name": name},
            "spec": {"hubRef": {"name": hub}, **spec}}


def secure_pod(name, *arguments, image=FULL_IMAGE, env=(), secret=None):
    """A pod of ours as restricted Pod Security wants it; the Secret of a local hub is mounted at /identity."""
    container = {
        "name": name, "image": image, "args": list(arguments), "env": list(env),
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]}},
    }
    spec = {"containers": [container], "restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 2,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532,
                                "seccompProfile": {"type": "RuntimeDefault"}}}
    if secret:
        container["volumeMounts"] = [{"name": "identity", "mountPath": "/identity", "readOnly": True}]
        container["env"] += [
            {"name": "HUB_CA_FILE", "value": "/identity/ca.crt"},
            {"name": "HUB_SERVICE_CONNECTION_STRING",
             "valueFrom": {"secretKeyRef": {"name": secret, "key": "connectionString"}}}]
        spec["volumes"] = [{"name": "identity", "secret": {"secretName": secret}}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


class Hub:
    """The local hub of a release, as a back end has it, and its counters."""

    def __init__(self, release=RELEASE, namespace=NAMESPACE):
        self.name, self.namespace = f"{release}-local-hub", namespace

    def back_end(self, *arguments):
        """Runs `hubtwin`, by the hub's Service, with the key in its Secret."""
        data = get("secret", self.name, self.namespace)["data"]
        folder = os.environ["CLUSTER_DIR"]
        ca_file = f"{folder}/{self.name}.ca.crt"
        with open(ca_file, "wb") as file:
            file.write(base64.b64decode(data["ca.crt"]))
        environment = os.environ | {"HUB_SERVICE_CONNECTION_STRING": base64.b64decode(data["connectionString"]).decode(),
                                    "HUB_CA_FILE": ca_file}
        done = subprocess.run([os.environ["HUBTWIN"], *arguments], text=True, capture_output=True, env=environment)
        if done.returncode:
            raise Failed(f"hubtwin {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    @contextlib.contextmanager
    def admin(self):
        """Answers a function that asks the admin port, which listens inside the hub's pod only."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        forward = subprocess.Popen(
            ["kubectl", "--namespace", self.namespace, "port-forward", f"deployment/{self.name}", f"{port}:8444"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def ask(path, body=None):
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data)
            if data:
                request.add_header("content-type", "application/json")
                request.method = "PUT"
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return json.loads(answer.read() or b"null")
            except OSError as error:
                raise Failed(f"{path}: {error}") from None
        try:
            eventually("the admin port answers", lambda: ask("/counters") is not None, 20)
            yield ask
        finally:
            forward.terminate()
            forward.wait()
