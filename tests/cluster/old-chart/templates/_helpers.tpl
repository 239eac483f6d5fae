{{/* The name of the chart, or what replaces it. */}}
{{- define "hubtwin.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name in front of every object: the release's, with the chart's where it is not in it already. */}}
{{- define "hubtwin.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "hubtwin.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of an object of the cluster: no other release may have the same. */}}
{{- define "hubtwin.clusterName" -}}
{{- $full := include "hubtwin.fullname" . -}}
{{- ternary $full (printf "%s-%s" .Release.Namespace $full) (eq .Release.Namespace $full) -}}
{{- end -}}

{{- define "hubtwin.selector" -}}
app.kubernetes.io/name: {{ include "hubtwin.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "hubtwin.localHub.selector" -}}
app.kubernetes.io/name: {{ include "hubtwin.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: local-hub
{{- end -}}

{{/* Labels that every object has. */}}
{{- define "hubtwin.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "hubtwin.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: hubtwin
{{- end -}}

{{- define "hubtwin.serviceAccount" -}}
{{- default (ternary (include "hubtwin.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* repository:tag, or repository@digest. Takes {image, tag}: the tag where the image has none. */}}
{{- define "hubtwin.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "hubtwin.lease" -}}
{{- default (include "hubtwin.fullname" .) .Values.leaderElection.leaseName -}}
{{- end -}}

{{/* What restricted Pod Security asks of a container, and a file system that is only read. */}}
{{- define "hubtwin.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "hubtwin.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "hubtwin.localHub.name" -}}
{{- printf "%s-local-hub" (include "hubtwin.fullname" .) -}}
{{- end -}}

{{/* The name by which everybody in the cluster reaches the local hub: in its certificate, too. */}}
{{- define "hubtwin.localHub.host" -}}
{{- printf "%s.%s.svc" (include "hubtwin.localHub.name" .) .Release.Namespace -}}
{{- end -}}

{{- define "hubtwin.localHub.secret" -}}
{{- default (include "hubtwin.localHub.name" .) .Values.localHub.existingSecret -}}
{{- end -}}

{{/* The hosts that connections may name beside the public ones, with the local hub's. */}}
{{- define "hubtwin.allowHosts" -}}
{{- $hosts := .Values.operator.allowHosts -}}
{{- if .Values.localHub.enabled -}}
{{- $hosts = append $hosts (printf "%s:8443" (include "hubtwin.localHub.host" .)) -}}
{{- end -}}
{{- join "," $hosts -}}
{{- end -}}

{{/* Namespaces whose Secrets may be had by name. */}}
{{- define "hubtwin.secretNamespaces" -}}
{{- $namespaces := .Values.rbac.secretNamespaces -}}
{{- if .Values.localHub.enabled -}}
{{- $namespaces = append $namespaces .Release.Namespace -}}
{{- end -}}
{{- $namespaces | uniq | toJson -}}
{{- end -}}
