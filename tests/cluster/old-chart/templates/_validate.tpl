{{/* Values that contradict each other, which a schema cannot tell. Each message names the values. */}}
{{- define "hubtwin.validate" -}}
{{- $values := .Values -}}
{{- with $values.podDisruptionBudget -}}
{{- if and .enabled (not (kindIs "invalid" .minAvailable)) (ne (toString .minAvailable) "") (ne (toString .maxUnavailable) "") -}}
{{- fail "podDisruptionBudget.minAvailable and podDisruptionBudget.maxUnavailable are both set; empty one of them" -}}
{{- end -}}
{{- if and .enabled (eq (toString .minAvailable) "") (eq (toString .maxUnavailable) "") -}}
{{- fail "podDisruptionBudget.minAvailable and podDisruptionBudget.maxUnavailable are both empty; set one of them, or podDisruptionBudget.enabled to false" -}}
{{- end -}}
{{- end -}}
{{- if and (not $values.serviceAccount.create) (not $values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty; name a service account that is there" -}}
{{- end -}}
{{- if and $values.workloadIdentity.enabled $values.serviceAccount.create (not $values.workloadIdentity.clientId) -}}
{{- fail "workloadIdentity.enabled is true and workloadIdentity.clientId is empty; set the client id of the application" -}}
{{- end -}}
{{- if and $values.metrics.serviceMonitor.enabled (not $values.metrics.service.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled needs metrics.service.enabled; set that, or metrics.podMonitor.enabled" -}}
{{- end -}}
{{- if and $values.metrics.serviceMonitor.enabled $values.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled are both true; everything would be counted twice" -}}
{{- end -}}
{{- if and $values.watchNamespaces $values.rbac.secretsInAllNamespaces -}}
{{- fail "rbac.secretsInAllNamespaces is true and watchNamespaces is not empty; name the namespaces in rbac.secretNamespaces" -}}
{{- end -}}
{{- if and $values.rbac.secretsInAllNamespaces $values.rbac.secretNamespaces -}}
{{- fail "rbac.secretsInAllNamespaces and rbac.secretNamespaces are both set; empty one of them" -}}
{{- end -}}
{{- if $values.watchNamespaces -}}
{{- range $values.rbac.configMapNamespaces -}}
{{- if not (has . $values.watchNamespaces) -}}
{{- fail (printf "rbac.configMapNamespaces names %s, which is not in watchNamespaces" .) -}}
{{- end -}}
{{- end -}}
{{- range $values.rbac.secretNamespaces -}}
{{- if not (has . $values.watchNamespaces) -}}
{{- fail (printf "rbac.secretNamespaces names %s, which is not in watchNamespaces" .) -}}
{{- end -}}
{{- end -}}
{{- range $values.rbac.serviceAccountTokens -}}
{{- if not (has .namespace $values.watchNamespaces) -}}
{{- fail (printf "rbac.serviceAccountTokens names the namespace %s, which is not in watchNamespaces" .namespace) -}}
{{- end -}}
{{- end -}}
{{- if and $values.localHub.enabled (not (has .Release.Namespace $values.watchNamespaces)) -}}
{{- fail (printf "localHub.enabled makes a connection in the release's namespace %s, which is not in watchNamespaces" .Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- range $env := $values.extraEnv -}}
{{- if or (hasPrefix "HUBTWIN_" $env.name) (eq "POD_NAME" $env.name) (eq "POD_NAMESPACE" $env.name) -}}
{{- fail (printf "extraEnv sets %s, which the chart sets itself; see operator, watchNamespaces and leaderElection" $env.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
