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
lease: {{ toJson (merge (dict "name" (include "perfslo.fullname" .)) .Values.lease) }}
sources:
{{- range $name, $source := .Values.prometheus.sources }}
  {{ $name | quote }}:
    {{- omit $source "bearerTokenSecret" "caSecret" | toYaml | nindent 4 }}
    {{- with $source.bearerTokenSecret }}
    bearerTokenFile: /etc/perfslo/credentials/{{ $name }}/token/{{ .key }}
    {{- end }}
    {{- with $source.caSecret }}
    caFile: /etc/perfslo/credentials/{{ $name }}/ca/{{ .key }}
    {{- end }}
{{- else }} {}
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
- name: tmp
  emptyDir: {sizeLimit: 16Mi}
- name: token
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3600}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- range $name, $source := .Values.prometheus.sources }}
{{- with $source.bearerTokenSecret }}
- name: {{ $name }}-token
  secret: {secretName: {{ .name | quote }}, items: [{key: {{ .key | quote }}, path: {{ .key | quote }}}]}
{{- end }}
{{- with $source.caSecret }}
- name: {{ $name }}-ca
  secret: {secretName: {{ .name | quote }}, items: [{key: {{ .key | quote }}, path: {{ .key | quote }}}]}
{{- end }}
{{- end }}
{{- end }}

{{- define "perfslo.volumeMounts" -}}
- {name: settings, mountPath: /etc/perfslo/settings, readOnly: true}
- {name: tmp, mountPath: /tmp}
- {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- range $name, $source := .Values.prometheus.sources }}
{{- if $source.bearerTokenSecret }}
- {name: {{ $name }}-token, mountPath: /etc/perfslo/credentials/{{ $name }}/token, readOnly: true}
{{- end }}
{{- if $source.caSecret }}
- {name: {{ $name }}-ca, mountPath: /etc/perfslo/credentials/{{ $name }}/ca, readOnly: true}
{{- end }}
{{- end }}
{{- end }}
