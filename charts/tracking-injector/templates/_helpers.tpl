{{/*
The name of every object: the release's name, so that `helm install tracking-injector`
makes a Deployment `tracking-injector`. Parts append `-companion` and the like.
*/}}
{{- define "tracking-injector.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name -}}
{{- end }}

{{- define "tracking-injector.companionName" -}}
{{- printf "%s-companion" (include "tracking-injector.fullname" .) -}}
{{- end }}

{{/* What the API server calls the companion. */}}
{{- define "tracking-injector.companionUser" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "tracking-injector.companionName" .) -}}
{{- end }}

{{/* Of our labels and annotations, and of the webhook's entries. */}}
{{- define "tracking-injector.domain" -}}
tracking.michelangelo-ai.org
{{- end }}

{{/* The Secret in each compute namespace. */}}
{{- define "tracking-injector.mirror" -}}
michelangelo-tracking
{{- end }}

{{/* On every object that the companion makes. */}}
{{- define "tracking-injector.managedBy" -}}
tracking-injector
{{- end }}

{{/* What mirrors and egress policies say of their release; a label's value. */}}
{{- define "tracking-injector.release" -}}
{{- printf "%s.%s" .Release.Namespace .Release.Name | trunc 63 | regexFind ".*[^-.]" -}}
{{- end }}

{{/* CEL: whether `o`, an object of ours, is no other release's. */}}
{{- define "tracking-injector.ofRelease" -}}
(!has(o.metadata.labels) || !('{{ include "tracking-injector.domain" . }}/release' in o.metadata.labels) ||
o.metadata.labels['{{ include "tracking-injector.domain" . }}/release'] == '{{ include "tracking-injector.release" . }}')
{{- end }}

{{/* CEL: whether the request's namespace gets keys. */}}
{{- define "tracking-injector.isCompute" -}}
has(namespaceObject.metadata.labels) &&
'{{ include "tracking-injector.domain" . }}/inject' in namespaceObject.metadata.labels &&
namespaceObject.metadata.labels['{{ include "tracking-injector.domain" . }}/inject'] == 'enabled' &&
!(request.namespace in {{ include "tracking-injector.excluded" . | replace "\"" "'" }})
{{- with include "tracking-injector.allowedExpression" . }} &&
({{ . }})
{{- end }}
{{- end }}

{{/* What a selector may use: it never changes over the life of a release. */}}
{{- define "tracking-injector.selectorLabels" -}}
app.kubernetes.io/name: tracking-injector
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The pods that call the API server: those of the companion, the hook and the tests. */}}
{{- define "tracking-injector.clientSelector" -}}
matchLabels:
  app.kubernetes.io/name: tracking-injector
  app.kubernetes.io/instance: {{ .Release.Name | quote }}
matchExpressions:
  - key: app.kubernetes.io/component
    operator: In
    values: [companion, uninstall, test]
{{- end }}

{{/*
Labels of every object; takes `root`, `component` and, where an object has a value for more
labels of its own, `more`.
*/}}
{{- define "tracking-injector.labels" -}}
{{ include "tracking-injector.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: michelangelo
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- include "tracking-injector.moreLabels" . }}
{{- end }}

{{/* What an operator adds to labels: `commonLabels`, and `more`, which wins. */}}
{{- define "tracking-injector.moreLabels" -}}
{{- with merge (dict) (.more | default dict) (.root.Values.commonLabels | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* As in every reference, what comes before the first slash is a registry if it looks so. */}}
{{- define "tracking-injector.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.global.imageRegistry -}}
{{- $path := regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $repository "" -}}
{{- $repository = printf "%s/%s" . $path -}}
{{- end -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" $repository .digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Whether there are webhook processes; without, the API server's policy does it alone. */}}
{{- define "tracking-injector.webhook" -}}
{{- if gt (int .Values.webhook.replicas) 0 -}}true{{- end -}}
{{- end }}

{{/* Whether the decision is made by the API server too. */}}
{{- define "tracking-injector.inTree" -}}
{{- $served := .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
{{- /* A plain render takes for served whatever its Helm knows; so the version counts too. */ -}}
{{- $served = and $served (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version) -}}
{{- $wanted := toString .Values.injection.inTree -}}
{{- if or (eq $wanted "true") (and $served (eq $wanted "auto")) -}}true{{- end -}}
{{- end }}

{{/* Who issues the webhook's certificate; `none` without a webhook. */}}
{{- define "tracking-injector.issuer" -}}
{{- if include "tracking-injector.webhook" . -}}{{ .Values.certificates.mode }}{{- else -}}none{{- end -}}
{{- end }}

{{/*
The mounted pair: ours, cert-manager's or yours. Theirs has a name of its own: cert-manager
leaves its Secret behind, of a type that never changes, and Helm makes and deletes ours.
*/}}
{{- define "tracking-injector.tlsSecret" -}}
{{- if eq .Values.certificates.mode "provided" -}}
{{- .Values.certificates.provided.secretName -}}
{{- else if eq .Values.certificates.mode "certManager" -}}
{{- printf "%s-cert-manager-tls" (include "tracking-injector.fullname" .) -}}
{{- else -}}
{{- printf "%s-tls" (include "tracking-injector.fullname" .) -}}
{{- end -}}
{{- end }}

{{/* The least time that a rotation takes; `certs.policy.Policy.rotation`. */}}
{{- define "tracking-injector.rotationSeconds" -}}
{{- with .Values.certificates.companion -}}
{{- addf .bundleSeconds .serveSeconds (mulf 4 .skewSeconds) -}}
{{- end -}}
{{- end }}

{{/* The ConfigMap made of `tracking.uri`. */}}
{{- define "tracking-injector.uriConfigMap" -}}
{{- printf "%s-uri" (include "tracking-injector.fullname" .) -}}
{{- end }}

{{/*
Every profile with its sources as JSON: the short forms make `default`, in the order in
which later ones win.
*/}}
{{- define "tracking-injector.profiles" -}}
{{- $profiles := deepCopy (.Values.tracking.profiles | default dict) -}}
{{- $sources := list -}}
{{- if .Values.tracking.uri -}}
{{- $sources = append $sources (dict "configMap" (include "tracking-injector.uriConfigMap" .)) -}}
{{- end -}}
{{- with .Values.tracking.existingConfigMap -}}
{{- $sources = append $sources (dict "configMap" .) -}}
{{- end -}}
{{- with .Values.tracking.existingSecret -}}
{{- $sources = append $sources (dict "secret" .) -}}
{{- end -}}
{{- if $sources -}}
{{- if or .Values.tracking.preset .Values.tracking.aliases -}}
{{- $_ := set $profiles "default" (dict "sources" $sources "preset" .Values.tracking.preset "aliases" .Values.tracking.aliases) -}}
{{- else -}}
{{- $_ := set $profiles "default" $sources -}}
{{- end -}}
{{- end -}}
{{- if not (hasKey $profiles "default") -}}
{{- $_ := set $profiles "default" list -}}
{{- end -}}
{{- $profiles | toJson -}}
{{- end }}

{{/* The sources of a profile, which is their list or says more, as JSON. */}}
{{- define "tracking-injector.sources" -}}
{{- if kindIs "slice" . -}}
{{- . | toJson -}}
{{- else -}}
{{- .sources | toJson -}}
{{- end -}}
{{- end }}

{{/* The ConfigMap in each compute namespace, and its volume in task pods. */}}
{{- define "tracking-injector.caCopy" -}}
michelangelo-tracking-ca
{{- end }}

{{/* Where the tracking server's CA lies, as a source in JSON; `{}` for nowhere. */}}
{{- define "tracking-injector.caSource" -}}
{{- with .Values.tracking.caBundle -}}
{{- if .pem -}}
{{- dict "configMap" (printf "%s-ca" (include "tracking-injector.fullname" $)) "keys" (list "ca.crt") | toJson -}}
{{- else if .existingConfigMap -}}
{{- dict "configMap" .existingConfigMap "keys" (list .key) | toJson -}}
{{- else if .existingSecret -}}
{{- dict "secret" .existingSecret "keys" (list .key) | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Names of the sources of one `kind` (`secret` or `configMap`), sorted, as JSON. */}}
{{- define "tracking-injector.sourceNames" -}}
{{- $kind := .kind -}}
{{- $names := list -}}
{{- range $profile := include "tracking-injector.profiles" .root | fromJson -}}
{{- range include "tracking-injector.sources" $profile | fromJsonArray -}}
{{- with get . $kind -}}
{{- $names = append $names . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with get (include "tracking-injector.caSource" .root | fromJson) $kind -}}
{{- $names = append $names . -}}
{{- end -}}
{{- $names | uniq | sortAlpha | toJson -}}
{{- end }}

{{/* Namespaces that are never injected, as JSON. */}}
{{- define "tracking-injector.excluded" -}}
{{- prepend (.Values.namespaces.excluded | default list) .Release.Namespace | uniq | toJson -}}
{{- end }}

{{/*
CEL: whether the request's namespace is one of `namespaces.allowed`. The schema admits
letters, digits, `-` and `*` only, so a pattern is a regular expression but for its `*`.
*/}}
{{- define "tracking-injector.allowedExpression" -}}
{{- $terms := list -}}
{{- range .Values.namespaces.allowed -}}
{{- if contains "*" . -}}
{{- $terms = append $terms (printf "request.namespace.matches('^%s$')" (replace "*" ".*" .)) -}}
{{- else -}}
{{- $terms = append $terms (printf "request.namespace == '%s'" .) -}}
{{- end -}}
{{- end -}}
{{- join " || " $terms -}}
{{- end }}

{{/* Namespaces in the API server's terms: labeled, and not excluded. */}}
{{- define "tracking-injector.namespaceSelector" -}}
matchExpressions:
  - key: {{ include "tracking-injector.domain" . }}/inject
    operator: In
    values: [enabled]
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ include "tracking-injector.excluded" . }}
{{- end }}
