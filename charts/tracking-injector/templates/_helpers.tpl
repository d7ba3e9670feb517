{{/*
The name of every object: the release's name, so that `helm install tracking-injector`
makes a Deployment `tracking-injector`. Components append `-companion` and the like.
*/}}
{{- define "tracking-injector.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name -}}
{{- end }}

{{/* The companion's objects. */}}
{{- define "tracking-injector.companionName" -}}
{{- printf "%s-companion" (include "tracking-injector.fullname" .) -}}
{{- end }}

{{/* The namespace label that switches injection on, and its siblings. */}}
{{- define "tracking-injector.domain" -}}
tracking.michelangelo-ai.org
{{- end }}

{{/* What a selector may use: it never changes over the life of a release. */}}
{{- define "tracking-injector.selectorLabels" -}}
app.kubernetes.io/name: tracking-injector
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of every object; takes `root` and `component`. */}}
{{- define "tracking-injector.labels" -}}
{{ include "tracking-injector.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: michelangelo
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}
