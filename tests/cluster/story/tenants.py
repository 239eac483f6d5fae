"""Namespaces of tenants: what admission refuses, and how a namespace goes with all that is in it."""

import copy

from tools import Failed, Hub, apply, condition, eventually, get, install, kubectl, run, sees, twin

PLANT = "plant"


def connected():
    """helm upgrade lets the operator read Secrets of a tenant; the tenant's connection works"""
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLANT}})
    secret = get("secret", "hubtwin-local-hub")
    apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub"},
           "data": {key: secret["data"][key] for key in ("connectionString", "ca.crt")}}, namespace=PLANT)
    connection = get("hubconnection", "plant-hub")
    spec = copy.deepcopy(connection["spec"])
    spec["auth"]["connectionString"]["secretKeyRef"]["name"] = "hub"
    spec["caBundle"]["secretKeyRef"]["name"] = "hub"
    apply({"apiVersion": "hubtwin.dev/v1alpha1", "kind": "HubConnection", "metadata": {"name": "plant-hub"},
           "spec": spec}, namespace=PLANT)
    sees("hubconnection", "plant-hub", "Ready=False SecretMissing", namespace=PLANT)
    install(sets=["localHub.enabled=true", "rbac.secretNamespaces={plant}"], verb="upgrade")
    sees("hubconnection", "plant-hub", "Ready=True Connected", namespace=PLANT, seconds=100)


def admitted():
    """A key that no hub takes is refused at once; an array is warned of"""
    try:
        apply(twin("bad", tags={"plant.name": "x"}), namespace=PLANT)
    except Failed as error:
        assert "spec.tags: the key plant.name holds a dot" in str(error), error
    else:
        raise Failed("the key was taken")
    manifest = '{"apiVersion":"hubtwin.dev/v1alpha1","kind":"DeviceTwin","metadata":{"name":"list"},' \
               '"spec":{"hubRef":{"name":"plant-hub"},"tags":{"lines":[1]}}}'
    done = run("sh", "-c", f"kubectl -n {PLANT} apply -f - 2>&1", stdin=manifest)
    assert "Warning" in done and "allowArrays" in done, done
    kubectl("delete", "devicetwin", "list", namespace=PLANT)


def tenants_edit():
    """Who may edit a namespace may write twins there, and no connection of the cluster"""
    kubectl("create", "rolebinding", "editors", "--clusterrole=edit", "--user=eve", namespace=PLANT)
    may = lambda verb, kind: run("sh", "-c", f"kubectl auth can-i {verb} {kind} -n {PLANT} --as=eve || true").strip()
    eventually("the role is aggregated", lambda: may("create", "devicetwins.hubtwin.dev") == "yes")
    for verb, kind, answer in [("list", "twinqueries.hubtwin.dev", "yes"), ("patch", "hubconnections.hubtwin.dev", "yes"),
                               ("patch", "devicetwins.hubtwin.dev --subresource=status", "no"),
                               ("create", "clusterhubconnections.hubtwin.dev", "no")]:
        assert may(verb, kind).endswith(answer), f"{verb} {kind}"


def removed():
    """The namespace is deleted with everything in it; keys that were to be removed are removed"""
    hub = Hub()
    for number in range(5):
        hub.back_end("twin", "create", f"plant-{number}")
        apply(twin(f"plant-{number}", tags={"line": number}, deletionPolicy="RemoveKeys"), namespace=PLANT)
    for number in range(5):
        sees("devicetwin", f"plant-{number}", "Ready=True Synced", namespace=PLANT)
    kubectl("delete", "namespace", PLANT, "--timeout=60s")
    for number in range(5):
        assert '"line"' not in hub.back_end("twin", "get", f"plant-{number}"), number


STEPS = [connected, admitted, tenants_edit, removed]
