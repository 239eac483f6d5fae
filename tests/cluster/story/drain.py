"""The node is drained: the last replica is held back, as its budget asks."""

from tools import eventually, get, kubectl

OPERATOR = "app.kubernetes.io/component=operator"


def drained():
    """kubectl drain takes one replica and is held back by the last"""
    told = kubectl("drain", "node", f"--pod-selector={OPERATOR}", "--timeout=8s", fails=True)
    assert "disruption budget" in told, told
    running = [pod for pod in get("pods", selector=OPERATOR) if pod["status"]["phase"] == "Running"
               and "deletionTimestamp" not in pod["metadata"]]
    assert len(running) == 1, [pod["metadata"]["name"] for pod in running]


def uncordoned():
    """kubectl uncordon; two replicas again"""
    kubectl("uncordon", "node")
    eventually("two are ready", lambda: get("deployment", "hubtwin")["status"].get("readyReplicas") == 2)


STEPS = [drained, uncordoned]
