"""A release comes, is upgraded, goes, and comes again under another name; the objects stay."""

import json
import os

from tools import Hub, apply, condition, eventually, get, helm, install, kubectl, mark, sees, twin

OLD_CHART = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../old-chart")
FLEET = [f"fleet-{number:02}" for number in range(30)]
KINDS = ["devicetwins.hubtwin.dev", "hubconnections.hubtwin.dev", "twinqueries.hubtwin.dev"]


def left():
    """helm uninstall leaves the kinds and the objects"""
    mark("uninstalling")
    helm("uninstall", "hubtwin", "--wait")
    kinds = kubectl("get", "crd", "-o", "name")
    assert all(kind in kinds for kind in KINDS), kinds
    assert condition(get("devicetwin", "my-device"), "Ready") == "Ready=True Synced"
    assert get("hubconnection", "plant-hub")["spec"]["host"] == "hubtwin-local-hub.hubtwin.svc:8443"


def renamed():
    """A release of another name takes the kinds over with --take-ownership, and works"""
    told = install(release="twins", sets=["localHub.enabled=true", "localHub.connectionName=twins"], fails=True)
    assert "meta.helm.sh/release-name" in told and "hubtwin" in told, told
    install("--take-ownership", release="twins", sets=["localHub.enabled=true", "localHub.connectionName=twins"])
    owner = get("crd", KINDS[0])["metadata"]["annotations"]["meta.helm.sh/release-name"]
    assert owner == "twins", owner
    sees("hubconnection", "twins", "Ready=True Connected")
    Hub("twins-hubtwin").back_end("twin", "create", "again")
    apply(twin("again", hub="twins", tags={"line": 1}))
    sees("devicetwin", "again", "Ready=True Synced")


def gone():
    """Everything is removed by hand: objects, release, kinds, namespace"""
    kubectl("delete", "devicetwins,twinqueries,hubconnections", "--all")
    helm("uninstall", "twins", "--wait")
    kubectl("delete", "crd", *get_kinds())
    kubectl("delete", "namespace", "hubtwin", "--timeout=90s")


def get_kinds():
    return [one["metadata"]["name"] for one in get("crd") if one["spec"]["group"] == "hubtwin.dev"]


def older():
    """The older chart is installed, and a fleet of 30 twins synced"""
    kubectl("create", "namespace", "hubtwin")
    install(chart=OLD_CHART, sets=["localHub.enabled=true", "replicas=1"])
    hub = Hub()
    for name in FLEET:
        hub.back_end("twin", "create", name)
    apply({"apiVersion": "v1", "kind": "List", "items": [twin(name, tags={"line": 1}) for name in FLEET]})
    for name in FLEET:
        sees("devicetwin", name, "Ready=True Synced")


def upgraded():
    """helm upgrade brings the newer kinds; the fleet keeps its status, and the hub sees no write"""
    fleet = lambda: {one["metadata"]["name"]: one["status"] for one in get("devicetwin")}
    fields = lambda: get("crd", "hubconnections.hubtwin.dev")["spec"]["versions"][0]["schema"]["openAPIV3Schema"][
        "properties"]["spec"]["properties"]
    before, ours = fleet(), "budget"
    assert ours not in fields(), "the older kind has the field already"
    with Hub().admin() as admin:
        patches = admin("/counters")["twin.patch"]
        install(sets=["localHub.enabled=true"], verb="upgrade")
        assert ours in fields()
        apply(twin("after", tags={"line": 2}))
        Hub().back_end("twin", "create", "after")
        sees("devicetwin", "after", "Ready=True Synced")
        assert admin("/counters")["twin.patch"] == patches + 1, admin("/counters")
    after = fleet()
    for name in FLEET:
        assert condition({"status": after[name]}, "Ready") == "Ready=True Synced"
        for field in ("applied", "twin", "hub", "lastWriteTime"):
            assert after[name].get(field) == before[name].get(field), (name, field)
    # Made by a hook at the install, taken in by the upgrade.
    assert "HubConnection" in helm("get", "manifest", "hubtwin")


STEPS = [left, renamed, gone, older, upgraded]
