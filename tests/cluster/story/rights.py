"""What the operator may do is what it needs: nothing it asked for was forbidden, nothing that it may do was unused, and
without a rule something fails."""

import contextlib
import json
import os
import time

from tools import MARKS, Failed, Hub, apply, condition, eventually, get, kubectl, sees, twin

USER = "system:serviceaccount:hubtwin:hubtwin"
ROLES = [("clusterrole", "hubtwin"), ("role", "hubtwin-lease"), ("role", "hubtwin-secrets")]
# Granted, and not surely asked for in this story: certificates in ConfigMaps, what is read again after a write that came
# too late, and connections of the cluster.
UNTOLD = {("get", "configmaps"), ("get", "devicetwins"), ("get", "twinqueries"), ("list", "clusterhubconnections"),
          ("watch", "clusterhubconnections"), ("patch", "clusterhubconnections/status"), ("list", "namespaces"),
          ("watch", "namespaces"), ("create", "leases"), ("get", "leases"), ("patch", "leases")}


def audit(since=0, until=None):
    """Requests of the operator: (verb, resource with its subresource, namespace, code)."""
    with open(f"{os.environ['CLUSTER_DIR']}/audit.log", "rb") as log:
        log.seek(since)
        content = log.read() if until is None else log.read(until - since)
        for line in content.splitlines():
            event = json.loads(line)
            about = event.get("objectRef")
            if event["user"]["username"] == USER and about:
                resource = "/".join(filter(None, [about.get("resource"), about.get("subresource")]))
                yield event["verb"], resource, about.get("namespace"), event["responseStatus"]["code"]


def rules():
    for kind, name in ROLES:
        for rule in get(kind, name)["rules"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield verb, resource


def enough():
    """While it was installed, nothing that the operator asked for was forbidden, but a Secret before its namespace was named"""
    asked = audit(MARKS["installed"], MARKS["uninstalling"])
    forbidden = {(verb, resource, namespace) for verb, resource, namespace, code in asked if code == 403}
    assert forbidden <= {("get", "secrets", "plant"), ("get", "configmaps", "plant")}, forbidden


def needed():
    """Nothing that the operator may do was unused"""
    used = {(verb, resource) for verb, resource, _, code in audit() if code < 400 or code in (404, 409)}
    unused = set(rules()) - used
    assert unused <= UNTOLD, f"unused: {sorted(unused - UNTOLD)}"


@contextlib.contextmanager
def without(kind, name, resource):
    """A time in which the rule about a resource is taken from a role."""
    role = get(kind, name)
    kept = [rule for rule in role["rules"] if resource not in rule["resources"]]
    assert len(kept) < len(role["rules"]), f"no rule about {resource}"
    set_rules = lambda found: kubectl("patch", kind, name, "--type=json", "-p",
                                      json.dumps([{"op": "replace", "path": "/rules", "value": found}]))
    set_rules(kept)
    try:
        yield
    finally:
        set_rules(role["rules"])


def stays(what, look, seconds=8):
    """Watches that something does not come."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if look():
            raise Failed(f"it works without the rule: {what}")
        time.sleep(0.5)


def kinds_listed():
    """Without list and watch, no new replica is ready, and its log names what is forbidden"""
    with without("clusterrole", "hubtwin", "devicetwins"):
        pod = get("pods", selector="app.kubernetes.io/component=operator")[0]["metadata"]["name"]
        kubectl("delete", "pod", pod, "--wait=false")
        new = lambda: [one for one in get("pods", selector="app.kubernetes.io/component=operator")
                       if one["status"]["phase"] == "Running" and "deletionTimestamp" not in one["metadata"]
                       and condition(one, "Ready").startswith("Ready=False")]
        [found] = eventually("a new pod runs", new)
        name = found["metadata"]["name"]
        eventually("its log says why", lambda: "forbidden" in kubectl("logs", name))
        stays("a replica is ready", lambda: condition(get("pod", name), "Ready").startswith("Ready=True"))
    eventually("two are ready", lambda: get("deployment", "hubtwin")["status"].get("readyReplicas") == 2, 90)


def status_written():
    """Without patch on status, a twin stays unobserved"""
    Hub().back_end("twin", "create", "mute")
    with without("clusterrole", "hubtwin", "devicetwins/status"):
        apply(twin("mute", tags={"line": 1}))
        stays("a status", lambda: get("devicetwin", "mute")["status"]["observedGeneration"] > 0)
    sees("devicetwin", "mute", "Ready=True Synced", seconds=90)


def events_written():
    """Without create on events, a correction is told to nobody"""
    told = lambda: "devicetwin/mute" in kubectl("get", "events", "--field-selector", "reason=DriftCorrected")
    with without("clusterrole", "hubtwin", "events"):
        Hub().back_end("twin", "patch", "mute", "--tags", '{"line": 2}')
        kubectl("annotate", "devicetwin", "mute", "hubtwin.dev/reconcile-requested-at=1")
        eventually("it is corrected", lambda: '"line": 1' in Hub().back_end("twin", "get", "mute"))
        stays("an Event", told, 4)


def secrets_read():
    """Without get on Secrets, a connection says so"""
    with without("role", "hubtwin-secrets", "secrets"):
        kubectl("annotate", "hubconnection", "plant-hub", "hubtwin.dev/reconcile-requested-at=1")
        sees("hubconnection", "plant-hub", "Ready=False SecretMissing")
        said = kubectl("get", "hubconnection", "plant-hub", "-o", "yaml")
        assert "secrets" in said and "get" in said, said
    kubectl("annotate", "hubconnection", "plant-hub", "hubtwin.dev/reconcile-requested-at=2", "--overwrite")
    sees("hubconnection", "plant-hub", "Ready=True Connected", seconds=100)


STEPS = [enough, needed, kinds_listed, status_written, events_written, secrets_read]
