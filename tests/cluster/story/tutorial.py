"""The tutorial of the README, in a cluster: hub, operator and device are pods that find each other by Services."""

from tools import EXAMPLES, FULL_IMAGE, Failed, Hub, apply, eventually, get, helm, install, kubectl, mark, secure_pod, sees

DEVICE = "myDeviceId"


def installed():
    """helm install with the local hub, into a namespace that enforces restricted Pod Security"""
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hubtwin", "labels": {
        "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}}})
    notes = install(sets=["localHub.enabled=true"])
    assert "A local hub runs at hubtwin-local-hub.hubtwin.svc:8443" in notes, notes
    sees("hubconnection", "plant-hub", "Ready=True Connected")
    mark("installed")
    deployment = get("deployment", "hubtwin")
    assert deployment["status"]["readyReplicas"] == 2, deployment["status"]


def helm_test():
    """helm test"""
    helm("test", "hubtwin", "--logs")


def described():
    """A device is registered, and its twin described; tags arrive"""
    Hub().back_end("twin", "create", DEVICE)
    apply(f"{EXAMPLES}/devicetwin.yaml", f"{EXAMPLES}/queries.yaml")
    sees("devicetwin", "my-device", "Ready=True Synced")
    sees("twinquery", "redmond", "Ready=True Fresh")
    eventually("the query finds it", lambda: get("twinquery", "redmond")["status"]["count"] == 1)
    assert '"plant": "Redmond43"' in Hub().back_end("twin", "get", DEVICE)


def reported():
    """A device pod connects and reports; the second query finds it"""
    apply(secure_pod("device", "device", DEVICE, "--report", '{"connectivity":{"type":"cellular"}}',
                     "--firmware-step", "2s", secret="hubtwin-local-hub"))
    eventually("what it reports is in status", lambda: get("devicetwin", "my-device")["status"].get(
        "properties", {}).get("reported") == {"connectivity": {"type": "cellular"}})
    eventually("the query finds it", lambda: get("twinquery", "redmond-cellular")["status"]["count"] == 1)


def followed():
    """A desired property is changed; the device follows"""
    apply(f"{EXAMPLES}/devicetwin-telemetry.yaml")
    sees("devicetwin", "my-device", "Converged=True Confirmed")


def updated():
    """A firmware update, to its end"""
    apply(f"{EXAMPLES}/devicetwin-firmware.yaml")
    sees("devicetwin", "my-device", "Converged=True Confirmed")
    firmware = get("devicetwin", "my-device")["status"]["properties"]["reported"]["firmware"]
    assert (firmware["status"], firmware["version"]) == ("done", "3.3.0"), firmware


def corrected():
    """Somebody else changes a tag; it is set back, and an Event says so"""
    Hub().back_end("twin", "patch", DEVICE, "--tags", '{"location":{"plant":"Elsewhere"},"owner":"maintenance"}')
    eventually("an Event", lambda: "/tags/location/plant" in kubectl(
        "get", "events", "--field-selector", "reason=DriftCorrected"))
    at_hub = Hub().back_end("twin", "get", DEVICE)
    assert "Redmond43" in at_hub and "maintenance" in at_hub, at_hub


def refused_pod():
    """Pod Security is in force: a pod without our settings is refused"""
    bare = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"},
            "spec": {"containers": [{"name": "bare", "image": FULL_IMAGE}]}}
    try:
        apply(bare)
    except Failed as error:
        assert "violates PodSecurity" in str(error), error
    else:
        raise Failed("the pod was taken")


STEPS = [installed, helm_test, described, reported, followed, updated, corrected, refused_pod]
