{{- define "perfslo.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 53 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "perfslo.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "perfslo.labels" -}}
{{ include "perfslo.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "perfslo.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* Cluster-scoped names carry the namespace, so that two releases of one name do not meet. */}}
{{- define "perfslo.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace (include "perfslo.fullname" .) }}
{{- end }}

{{- /* The operator's settings file: the one place where chart values become its fields. */}}
{{- define "perfslo.settings" -}}
namespace: {{ .Release.Namespace | quote }}
watchNamespaces: {{ toJson .Values.watch.namespaces }}
cycleSeconds: {{ .Values.cycleSeconds }}
releaseGraceSeconds: {{ .Values.releaseGraceSeconds }}
logLevel: {{ .Values.logLevel }}
levers: {{ toJson .Values.levers }}
scaleKinds: {{ toJson .Values.scaleKinds }}
routeKinds: {{ toJson .Values.routeKinds }}
policyKinds: {{ toJson .Values.policyKinds }}
databases: {{ toJson .Values.databases }}
{{- with .Values.hooks }}
hooks:
{{- range $name, $hook := . }}
  {{ $name | quote }}: {{ toJson (merge (dict "secretFile" (printf "/etc/perfslo/hooks/%s" $name)) (omit $hook "secret")) }}
{{- end }}
{{- end }}
{{- if .Values.presets }}
presetsDir: /etc/perfslo/presets
{{- end }}
lease: {{ toJson (merge (dict "name" (include "perfslo.fullname" .)) .Values.lease) }}
signals: {{ toJson .Values.prometheus.signals }}
sources:
{{- range $name, $source := .Values.prometheus.sources }}
  {{ $name | quote }}:
    {{- range $field, $value := omit $source "bearerTokenSecret" "basicAuth" "headerSecrets" "caSecret" "clientCertificateSecret" }}
    {{ $field }}: {{ toJson $value }}
    {{- end }}
    {{- $files := printf "/etc/perfslo/credentials/%s" $name }}
    {{- if $source.bearerTokenSecret }}
    bearerTokenFile: {{ $files }}/token
    {{- end }}
    {{- with $source.basicAuth }}
    basicAuth:
      {{- if .usernameSecret }}
      usernameFile: {{ $files }}/username
      {{- else }}
      username: {{ .username | quote }}
      {{- end }}
      passwordFile: {{ $files }}/password
    {{- end }}
    {{- with $source.headerSecrets }}
    headerFiles:
      {{- range $header, $_ := . }}
      {{ $header | quote }}: {{ $files }}/headers/{{ $header }}
      {{- end }}
    {{- end }}
    {{- if $source.caSecret }}
    caFile: {{ $files }}/ca.crt
    {{- end }}
    {{- if $source.clientCertificateSecret }}
    clientCertFile: {{ $files }}/tls.crt
    clientKeyFile: {{ $files }}/tls.key
    {{- end }}
{{- else }} {}
{{- end }}
{{- end }}

{{- /* What a source's Secrets hold, as parts of one volume: they are exchanged together when one of them changes. */}}
{{- define "perfslo.credentials" -}}
{{- with .bearerTokenSecret }}
- secret: {name: {{ .name | quote }}, items: [{key: {{ .key | quote }}, path: token}]}
{{- end }}
{{- with (.basicAuth).usernameSecret }}
- secret: {name: {{ .name | quote }}, items: [{key: {{ .key | quote }}, path: username}]}
{{- end }}
{{- with (.basicAuth).passwordSecret }}
- secret: {name: {{ .name | quote }}, items: [{key: {{ .key | quote }}, path: password}]}
{{- end }}
{{- range $header, $secret := .headerSecrets }}
- secret: {name: {{ $secret.name | quote }}, items: [{key: {{ $secret.key | quote }}, path: {{ printf "headers/%s" $header | quote }}}]}
{{- end }}
{{- with .caSecret }}
- secret: {name: {{ .name | quote }}, items: [{key: {{ .key | quote }}, path: ca.crt}]}
{{- end }}
{{- with .clientCertificateSecret }}
- secret: {name: {{ .name | quote }}, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}
{{- end }}
{{- end }}

{{- define "perfslo.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "perfslo.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* The token is mounted by hand with a short life: nothing is mounted into pods that do not need it. */}}
{{- define "perfslo.volumes" -}}
- name: settings
  configMap: {name: {{ include "perfslo.fullname" . }}}
{{- if .Values.presets }}
- name: presets
  configMap: {name: {{ include "perfslo.fullname" . }}-presets}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 16Mi}
- name: token
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3600}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- range $name, $source := .Values.prometheus.sources }}
{{- with include "perfslo.credentials" $source | trim }}
- name: {{ $name }}-credentials
  projected:
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- end }}
{{- with .Values.hooks }}
- name: hooks
  projected:
    sources:
      {{- range $name, $hook := . }}
      - secret: {name: {{ $hook.secret.name | quote }}, items: [{key: {{ $hook.secret.key | quote }}, path: {{ $name | quote }}}]}
      {{- end }}
{{- end }}
{{- end }}

{{- define "perfslo.volumeMounts" -}}
- {name: settings, mountPath: /etc/perfslo/settings, readOnly: true}
{{- if .Values.presets }}
- {name: presets, mountPath: /etc/perfslo/presets, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
- {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- range $name, $source := .Values.prometheus.sources }}
{{- if include "perfslo.credentials" $source | trim }}
- {name: {{ $name }}-credentials, mountPath: /etc/perfslo/credentials/{{ $name }}, readOnly: true}
{{- end }}
{{- end }}
{{- if .Values.hooks }}
- {name: hooks, mountPath: /etc/perfslo/hooks, readOnly: true}
{{- end }}
{{- end }}

{{- /* Whether an enabled lever changes ConfigMaps: "" when none does. */}}
{{- define "perfslo.changesConfigMaps" -}}
{{- range list "cache" "cdn" "database" "offload" }}{{ if has . $.Values.levers }}true{{ end }}{{ end }}
{{- end }}
