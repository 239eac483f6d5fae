"""What the chart makes of many values. Run by tests/chart/run, which puts helm into the PATH."""

import json
import os
import subprocess
import unittest

import yaml

CHART = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../charts/hubtwin")
PLAIN = ["crds.enabled=false", "admissionPolicy.enabled=false", "aggregatedRoles.enabled=false"]
# Every switch that adds objects.
ALL = ["localHub.enabled=true", "localHub.persistence.enabled=true", "networkPolicy.enabled=true",
       "metrics.serviceMonitor.enabled=true", "metrics.prometheusRule.enabled=true", "metrics.dashboard.enabled=true",
       "argocd.healthChecks.enabled=true", "workloadIdentity.enabled=true", "workloadIdentity.clientId=id",
       "rbac.serviceAccountTokens[0].namespace=plant", "rbac.serviceAccountTokens[0].name=twins",
       "rbac.configMapNamespaces={plant}", "rbac.secretNamespaces={plant}"]
# Kinds without a namespace.
CLUSTER = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "ValidatingAdmissionPolicy",
           "ValidatingAdmissionPolicyBinding"}


def helm(*arguments, values=None):
    return subprocess.run(["helm", *arguments], input=values, text=True, capture_output=True)


def objects(*sets, release="twins", namespace="plant", values=None, upgrade=False):
    """The objects of a release with these values, as helm prints them."""
    settings = [part for setting in sets for part in ("--set", setting)]
    more = ["--is-upgrade"] if upgrade else []
    done = helm("template", release, CHART, "--namespace", namespace, *settings, *more,
                *(["--values", "-"] if values else []), values=values)
    if done.returncode:
        raise AssertionError(done.stderr)
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def refused(*sets, values=None):
    settings = [part for setting in sets for part in ("--set", setting)]
    done = helm("template", "twins", CHART, *settings, *(["--values", "-"] if values else []), values=values)
    assert done.returncode, f"{sets} {values} were taken"
    return done.stderr


def of(found, kind, name=None):
    return [one for one in found if one["kind"] == kind and name in (None, one["metadata"]["name"])]


def rules(found):
    return [(one["kind"], one["metadata"].get("namespace"), rule)
            for one in found if one["kind"] in ("Role", "ClusterRole") for rule in one["rules"]]


class Values(unittest.TestCase):
    def test_lint_is_silent_for_many_values(self):
        for sets in [[], ALL, PLAIN, ["watchNamespaces={plant}"], ["replicas=1"], ["podDisruptionBudget.enabled=false"]]:
            done = helm("lint", "--strict", CHART, "--namespace", "plant", *[p for s in sets for p in ("--set", s)])
            self.assertEqual(done.returncode, 0, f"{sets}: {done.stdout}{done.stderr}")

    def test_wrong_types_are_refused_by_the_name_of_the_value(self):
        for setting, told in [
            ("replicas=many", "/replicas"), ("replicas=-1", "/replicas"), ("unknown=1", "unknown"),
            ("image.unknown=1", "/image"), ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
            ("image.digest=sha256:1", "/image/digest"), ("watchNamespaces=plant", "/watchNamespaces"),
            ("watchNamespaces={Plant}", "/watchNamespaces/0"), ("operator.logFormat=xml", "/operator/logFormat"),
            ("operator.allowHosts={https://hub}", "/operator/allowHosts/0"), ("crds.keep=maybe", "/crds/keep"),
            ("podDisruptionBudget.minAvailable=some", "/podDisruptionBudget/minAvailable"),
            ("networkPolicy.hubPorts={0}", "/networkPolicy/hubPorts/0"), ("extraEnv[0].value=x", "/extraEnv/0"),
            ("admissionPolicy.action=Shout", "/admissionPolicy/action"), ("podAnnotations.a=1", "/podAnnotations/a"),
            ("metrics.podMonitor.interval=often", "/metrics/podMonitor/interval"),
            ("rbac.serviceAccountTokens[0].name=x", "/rbac/serviceAccountTokens/0"),
        ]:
            self.assertIn(told, refused(setting), setting)

    def test_contradictions_are_refused_by_the_names_of_the_values(self):
        for sets, names in [
            (["podDisruptionBudget.maxUnavailable=1"], ["podDisruptionBudget.minAvailable", "podDisruptionBudget.maxUnavailable"]),
            (["podDisruptionBudget.minAvailable="], ["podDisruptionBudget.minAvailable", "podDisruptionBudget.maxUnavailable"]),
            (["serviceAccount.create=false"], ["serviceAccount.create", "serviceAccount.name"]),
            (["workloadIdentity.enabled=true"], ["workloadIdentity.clientId"]),
            (["metrics.serviceMonitor.enabled=true", "metrics.service.enabled=false"], ["metrics.serviceMonitor.enabled", "metrics.service.enabled"]),
            (["metrics.serviceMonitor.enabled=true", "metrics.podMonitor.enabled=true"], ["metrics.serviceMonitor.enabled", "metrics.podMonitor.enabled"]),
            (["watchNamespaces={a}", "rbac.secretsInAllNamespaces=true"], ["watchNamespaces", "rbac.secretsInAllNamespaces"]),
            (["rbac.secretNamespaces={a}", "rbac.secretsInAllNamespaces=true"], ["rbac.secretNamespaces", "rbac.secretsInAllNamespaces"]),
            (["watchNamespaces={a}", "rbac.secretNamespaces={b}"], ["rbac.secretNamespaces", "watchNamespaces"]),
            (["watchNamespaces={a}", "rbac.configMapNamespaces={b}"], ["rbac.configMapNamespaces", "watchNamespaces"]),
            (["watchNamespaces={a}", "rbac.serviceAccountTokens[0].namespace=b", "rbac.serviceAccountTokens[0].name=c"], ["rbac.serviceAccountTokens", "watchNamespaces"]),
            (["watchNamespaces={a}", "localHub.enabled=true"], ["localHub.enabled", "watchNamespaces"]),
            (["extraEnv[0].name=HUBTWIN_LISTEN", "extraEnv[0].value=x"], ["extraEnv", "HUBTWIN_LISTEN"]),
        ]:
            told = refused(*sets)
            for name in names:
                self.assertIn(name, told, sets)


class Objects(unittest.TestCase):
    def test_everything_at_once_is_whole_and_named_for_the_release(self):
        found = objects(*ALL)
        names = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in found]
        self.assertEqual(len(names), len(set(names)), "two objects have one name")
        for one in found:
            meta = one["metadata"]
            self.assertEqual(one["kind"] in CLUSTER, "namespace" not in meta, names)
            self.assertEqual(meta["labels"]["app.kubernetes.io/instance"], "twins", meta)
            if one["kind"] != "CustomResourceDefinition" and one["kind"] != "HubConnection":
                self.assertIn("twins-hubtwin", meta["name"])

    def test_two_releases_share_no_object_of_the_cluster(self):
        cluster = lambda found: {(one["kind"], one["metadata"]["name"]) for one in found if one["kind"] in CLUSTER}
        first, second = objects(*ALL, "crds.enabled=false"), objects(*ALL, "crds.enabled=false", namespace="other")
        self.assertFalse(cluster(first) & cluster(second))

    def test_kinds_are_kept_unless_told_otherwise(self):
        for keep in (True, False):
            kinds = of(objects(f"crds.keep={str(keep).lower()}"), "CustomResourceDefinition")
            self.assertGreaterEqual(len(kinds), 3)
            for kind in kinds:
                kept = kind["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
                self.assertEqual(kept, keep, kind["metadata"])

    def test_the_connection_of_the_local_hub_is_a_hook_at_an_install_and_an_object_later(self):
        [hook] = of(objects("localHub.enabled=true"), "HubConnection")
        self.assertEqual(hook["metadata"]["annotations"]["helm.sh/hook"], "post-install")
        [later] = of(objects("localHub.enabled=true", upgrade=True), "HubConnection")
        self.assertEqual(later["metadata"]["annotations"], {"helm.sh/resource-policy": "keep"})
        self.assertEqual(hook["spec"], later["spec"])

    def test_pods_are_what_restricted_pod_security_asks_for(self):
        for one in objects(*ALL):
            pod = one["spec"] if one["kind"] == "Pod" else one.get("spec", {}).get("template", {}).get("spec")
            if not isinstance(pod, dict) or "containers" not in pod:
                continue
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault")
            for container in pod["containers"]:
                security = container["securityContext"]
                self.assertFalse(security["allowPrivilegeEscalation"])
                self.assertTrue(security["readOnlyRootFilesystem"])
                self.assertEqual(security["capabilities"], {"drop": ["ALL"]})

    def test_pods_get_what_the_values_say(self):
        values = json.dumps({
            "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"}, "imagePullSecrets": [{"name": "registry"}],
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}], "priorityClassName": "high",
            "nodeSelector": {"e": "f"}, "tolerations": [{"operator": "Exists"}], "operator": {"extraArgs": ["--x"]},
            "serviceAccount": {"create": False, "name": "mine"}, "image": {"digest": "sha256:" + "0" * 64}})
        found = objects("workloadIdentity.enabled=true", values=values)
        self.assertFalse(of(found, "ServiceAccount"))
        [deployment] = of(found, "Deployment")
        template = deployment["spec"]["template"]
        pod, [container] = template["spec"], template["spec"]["containers"]
        self.assertEqual(template["metadata"]["annotations"], {"a": "b"})
        self.assertEqual(template["metadata"]["labels"]["c"], "d")
        self.assertEqual(template["metadata"]["labels"]["azure.workload.identity/use"], "true")
        self.assertEqual((pod["imagePullSecrets"], pod["priorityClassName"]), ([{"name": "registry"}], "high"))
        self.assertEqual((pod["nodeSelector"], pod["tolerations"]), ({"e": "f"}, [{"operator": "Exists"}]))
        self.assertEqual((pod["serviceAccountName"], container["args"]), ("mine", ["operator", "--x"]))
        self.assertEqual(container["image"], "hubtwin@sha256:" + "0" * 64)
        self.assertIn({"name": "HTTPS_PROXY", "value": "http://proxy:3128"}, container["env"])


class Rights(unittest.TestCase):
    def test_no_rule_has_a_wildcard_and_secrets_are_only_got(self):
        for sets in (ALL, ["rbac.secretsInAllNamespaces=true"], ["watchNamespaces={a,b}"]):
            for kind, namespace, rule in rules(objects(*sets)):
                self.assertNotIn("*", rule["apiGroups"] + rule["resources"] + rule["verbs"], rule)
                if "secrets" in rule["resources"]:
                    self.assertEqual(rule["verbs"], ["get"])
                    self.assertEqual(kind == "ClusterRole", "rbac.secretsInAllNamespaces=true" in sets)
                if "serviceaccounts/token" in rule["resources"]:
                    self.assertEqual((namespace, rule["resourceNames"], rule["verbs"]), ("plant", ["twins"], ["create"]))

    def test_by_default_no_secret_token_or_config_map(self):
        for _, _, rule in rules(objects()):
            self.assertFalse({"secrets", "configmaps", "serviceaccounts/token"} & set(rule["resources"]), rule)

    def test_with_a_list_of_namespaces_the_operator_has_roles_only(self):
        found = objects("watchNamespaces={plant,store}", "rbac.secretNamespaces={plant}", *PLAIN)
        self.assertEqual([one for one in found if one["kind"] in CLUSTER], [])
        self.assertEqual({one["metadata"]["namespace"] for one in of(found, "Role")}, {"plant", "store"})

    def test_leases_are_written_in_the_own_namespace_by_name(self):
        for sets in ([], ["watchNamespaces={a}"], ["leaderElection.leaseName=x"]):
            leases = [found for found in rules(objects(*sets)) if "leases" in found[2]["resources"]]
            self.assertEqual({(kind, namespace) for kind, namespace, _ in leases}, {("Role", "plant")})
            named = [rule for *_, rule in leases if "create" not in rule["verbs"]]
            self.assertEqual([rule["resourceNames"] for rule in named], [["x" if sets == ["leaderElection.leaseName=x"] else "twins-hubtwin"]])

    def test_connections_of_the_cluster_are_for_administrators(self):
        found = of(objects(), "ClusterRole")
        for role in found:
            labels = role["metadata"]["labels"]
            for rule in role["rules"]:
                if "clusterhubconnections" in rule["resources"] and "aggregate" in str(labels):
                    self.assertNotIn("rbac.authorization.k8s.io/aggregate-to-edit", labels)
                    self.assertNotIn("rbac.authorization.k8s.io/aggregate-to-view", labels)


if __name__ == "__main__":
    unittest.main()
