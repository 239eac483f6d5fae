"""GitOps: Flux's own kustomize-controller applies what a Git repository holds, and waits for twins."""

import json
import os
import shutil
import subprocess

from git_server import Repository
from tools import NAMESPACE, Hub, apply, condition, eventually, get, kubectl, secure_pod, sees, twin

CONTROLLER = "kustomize-controller"
# The health check of docs/gitops.md: a twin is current once its device has confirmed.
CONVERGED = {
    "apiVersion": "hubtwin.dev/v1alpha1", "kind": "DeviceTwin",
    "current": "status.conditions.exists(c, c.type == 'Converged' && c.status == 'True' && c.observedGeneration == metadata.generation)",
    "failed": "status.conditions.exists(c, c.type == 'Stalled' && c.status == 'True')"}
state = {}


def kustomization(**spec):
    return {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": "plant"},
            "spec": {"interval": "10m", "retryInterval": "3s", "timeout": "60s", "prune": True, "wait": True, "path": "./",
                     "targetNamespace": NAMESPACE, "sourceRef": {"kind": "ExternalArtifact", "name": "plant"}, **spec}}


def is_applied(revision, seconds=60):
    def look():
        found = get("kustomization", "plant")
        ready = (condition(found, "Ready") or "").startswith("Ready=True")
        return ready and found["status"].get("lastAppliedRevision") == revision or found.get("status")
    return eventually(f"{revision} is applied and healthy", lambda: look() is True, seconds)


def waits_on(revision, words):
    """Flux has seen the revision and is not content; what it waits on stands in its message."""
    def look():
        status = get("kustomization", "plant").get("status", {})
        ready = [one for one in status.get("conditions", []) if one["type"] == "Ready"]
        said = ready[0]["message"] if ready else ""
        return status.get("lastAttemptedRevision") == revision and ready[0]["status"] != "True" and words in said
    return eventually(f"{revision} is attempted, and Ready says {words!r}", look, 60)


def started():
    """kustomize-controller runs, and a repository over smart HTTP"""
    kinds = os.path.join(os.path.dirname(os.path.realpath(shutil.which(CONTROLLER))), "kinds.yaml")
    kubectl("apply", "--server-side", "-f", kinds)
    kubectl("wait", "--for=condition=Established", "crd/kustomizations.kustomize.toolkit.fluxcd.io")
    state["log"] = open(f"{os.environ['CLUSTER_DIR']}/{CONTROLLER}.log", "w", encoding="utf-8")
    state["controller"] = subprocess.Popen(
        [CONTROLLER, "--watch-all-namespaces", "--feature-gates=ExternalArtifact=true", "--metrics-addr=:18080",
         "--health-addr=:19440", "--requeue-dependency=2s", "--interval-jitter-percentage=0"],
        env=os.environ | {"RUNTIME_NAMESPACE": NAMESPACE}, stdout=state["log"], stderr=subprocess.STDOUT)
    state["git"] = Repository()


def waits_until_ready():
    """A commit with a DeviceTwin is applied, and wait holds until it is Ready"""
    revision = state["git"].commit("a pump", {"pump.yaml": twin("pump", tags={"line": 1}, deletionPolicy="RemoveKeys")})
    apply(kustomization())
    sees("devicetwin", "pump", "Ready=False DeviceNotFound")
    assert not (condition(get("kustomization", "plant"), "Ready") or "").startswith("Ready=True")
    Hub().back_end("twin", "create", "pump")
    kubectl("annotate", "devicetwin", "pump", "hubtwin.dev/reconcile-requested-at=1")
    is_applied(revision)


def waits_until_converged():
    """A health check on Converged holds until the device has acknowledged"""
    apply(kustomization(healthCheckExprs=[CONVERGED]))
    pump = twin("pump", tags={"line": 1}, properties={"desired": {"rate": 5}}, deletionPolicy="RemoveKeys")
    revision = state["git"].commit("faster", {"pump.yaml": pump})
    sees("devicetwin", "pump", "Converged=Unknown WaitingForDevice")
    sees("devicetwin", "pump", "Ready=True Synced")
    found = get("kustomization", "plant")
    assert found["status"].get("lastAppliedRevision") != revision or not condition(found, "Ready").startswith("Ready=True")
    apply(secure_pod("pump", "device", "pump", secret="hubtwin-local-hub"))
    is_applied(revision)
    assert condition(get("devicetwin", "pump"), "Converged") == "Converged=True Confirmed"


def sees_no_difference():
    """Drift at the hub is put right by hubtwin; Flux sees nothing to change"""
    fields = lambda: json.loads(kubectl("get", "devicetwin", "pump", "-o", "json", "--show-managed-fields"))["metadata"]
    before = fields()
    Hub().back_end("twin", "patch", "pump", "--tags", '{"line": 99}')
    eventually("the tag is back", lambda: '"line": 1' in Hub().back_end("twin", "get", "pump"))
    kubectl("annotate", "kustomization", "plant", "reconcile.fluxcd.io/requestedAt=again", "--overwrite")
    eventually("Flux looked again", lambda: get("kustomization", "plant")["status"].get("lastHandledReconcileAt") == "again")
    after = fields()
    assert after["generation"] == before["generation"]
    ours = lambda meta: [one for one in meta["managedFields"] if one["manager"] == CONTROLLER]
    assert ours(after) == ours(before), "Flux wrote"


def shows_what_is_wrong():
    """A broken commit shows Ready=False in the Kustomization, with our message"""
    broken = twin("pump", tags={"line": {"a.b": 1}}, deletionPolicy="RemoveKeys")
    revision = state["git"].commit("broken", {"pump.yaml": broken})
    sees("devicetwin", "pump", "Ready=False InvalidTwin")
    waits_on(revision, "failed")
    found = get("kustomization", "plant")
    state["message"] = [one for one in found["status"]["conditions"] if one["type"] == "Ready"][0]["message"]
    assert "DeviceTwin/hubtwin/pump" in state["message"], state["message"]


def prunes():
    """A twin that leaves the repository is pruned, and its keys by its policy"""
    fine = twin("pump", tags={"line": 1}, deletionPolicy="RemoveKeys")
    is_applied(state["git"].commit("mended", {"pump.yaml": fine}))
    is_applied(state["git"].commit("no pump", {"hub.yaml": {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plant"}, "data": {}}}))
    eventually("it is gone", lambda: kubectl("get", "devicetwin", "pump", "--ignore-not-found") == "")
    assert '"line"' not in Hub().back_end("twin", "get", "pump")


def stopped():
    """kustomize-controller ends"""
    kubectl("delete", "kustomization", "plant")
    kubectl("delete", "pod", "pump")
    state["controller"].terminate()
    state["controller"].wait(15)
    state["git"].close()


STEPS = [started, waits_until_ready, waits_until_converged, sees_no_difference, shows_what_is_wrong, prunes, stopped]
