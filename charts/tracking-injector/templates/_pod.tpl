{{/* What both Deployments, the hooks and the tests have in common. */}}

{{/* The part of a pod's spec that hardens and pulls; takes the root. */}}
{{- define "tracking-injector.podBase" -}}
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with .Values.pods.userId }}
  runAsUser: {{ int64 . }}
  runAsGroup: {{ int64 . }}
  fsGroup: {{ int64 . }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/* Where the pods of a component may run; takes `root`, `component` and its `values`. */}}
{{- define "tracking-injector.placement" -}}
{{- $selector := include "tracking-injector.selectorLabels" . -}}
{{- if kindIs "invalid" .values.topologySpreadConstraints -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    # Spread as well as it goes: a small cluster must not keep a replica from running.
    whenUnsatisfiable: ScheduleAnyway
    # Each version by itself, else the old one's pods push the new one's together.
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
  {{- end }}
{{- else if .values.topologySpreadConstraints -}}
topologySpreadConstraints:
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- end }}
{{- with .root.Values.pods.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where the pods of hooks and tests may run: on the companion's nodes; takes the root. */}}
{{- define "tracking-injector.hookPlacement" -}}
{{- with .Values.companion.nodeSelector -}}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.companion.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- /* No other affinity: it may keep companions apart, and so this pod from any node. */}}
{{- with (.Values.companion.affinity).nodeAffinity }}
affinity:
  nodeAffinity:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "tracking-injector.containerBase" -}}
image: {{ include "tracking-injector.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Of a test's container: a namespace may want every container to have limits. */}}
{{- define "tracking-injector.testResources" -}}
resources:
  requests: {cpu: 10m, memory: 64Mi}
  limits: {cpu: 500m, memory: 128Mi}
{{- end }}

{{/* Memory for what a library insists on writing. */}}
{{- define "tracking-injector.scratchVolume" -}}
- name: scratch
  emptyDir:
    medium: Memory
    sizeLimit: 16Mi
{{- end }}

{{/* Labels of a pod: what selectors use, and the operator's; takes what labels take. */}}
{{- define "tracking-injector.podLabels" -}}
{{ include "tracking-injector.selectorLabels" . }}
{{- include "tracking-injector.moreLabels" . }}
{{- end }}

{{/* How much both processes write, and for whom; takes the root. */}}
{{- define "tracking-injector.logEnv" -}}
- name: MTI_LOG_LEVEL
  value: {{ .Values.log.level | quote }}
- name: MTI_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
{{- end }}

{{/* Settings of the companion, for its Deployment and for the job that cleans up. */}}
{{- define "tracking-injector.companionEnv" -}}
{{ include "tracking-injector.logEnv" . }}
- name: MTI_HEALTH_BIND
  value: {{ printf "%s:%v" .Values.pods.bindAddress .Values.companion.healthPort | quote }}
- name: MTI_STATUS_PAGE
  value: {{ ternary "on" "off" .Values.companion.statusPage.enabled | quote }}
- name: MTI_RELEASE_NAMESPACE
  value: {{ .Release.Namespace | quote }}
- name: MTI_RELEASE
  value: {{ include "tracking-injector.release" . | quote }}
- name: MTI_LEASE_NAME
  value: {{ include "tracking-injector.companionName" . | quote }}
- name: MTI_STATUS_CONFIGMAP
  value: {{ printf "%s-status" (include "tracking-injector.fullname" .) | quote }}
- name: MTI_PROFILES
  value: {{ include "tracking-injector.profiles" . | quote }}
- name: MTI_TRACKING_CA_SOURCE
  value: {{ include "tracking-injector.caSource" . | quote }}
- name: MTI_ALLOWED_KEYS
  value: {{ join "," .Values.tracking.allowedKeys | quote }}
- name: MTI_ALLOWED_NAMESPACES
  value: {{ join "," .Values.namespaces.allowed | quote }}
- name: MTI_EXCLUDED_NAMESPACES
  value: {{ join "," .Values.namespaces.excluded | quote }}
- name: MTI_ENFORCED_KEYS
  value: {{ join "," .Values.injection.enforcedKeys | quote }}
- name: MTI_AUDIT
  value: {{ ternary "on" "off" .Values.audit.enabled | quote }}
- name: MTI_EGRESS_MODE
  value: {{ .Values.egress.mode | quote }}
- name: MTI_EGRESS_HOSTS
  value: {{ join "," .Values.egress.hosts | quote }}
- name: MTI_EGRESS_GRACE_HOURS
  value: {{ .Values.egress.graceHours | float64 | quote }}
- name: MTI_EGRESS_ADDRESSES_PER_NAME
  value: {{ .Values.egress.addressesPerName | int | quote }}
{{- $said := dict -}}
{{- range $name, $group := .Values.egress.baseline -}}
{{- if not (kindIs "invalid" $group) -}}{{- $_ := set $said $name $group -}}{{- end -}}
{{- end }}
- name: MTI_EGRESS_BASELINE
  value: {{ $said | toJson | quote }}
- name: MTI_DNS_CACHE_CONFIGMAP
  value: {{ printf "%s-addresses" (include "tracking-injector.fullname" .) | quote }}
- name: MTI_CLUSTER_DOMAIN
  value: {{ .Values.egress.clusterDomain | quote }}
- name: MTI_CERTIFICATES
  value: {{ include "tracking-injector.issuer" . | quote }}
{{- with .Values.certificates.companion }}
- name: MTI_CERTIFICATE_DAYS
  value: {{ .days | float64 | quote }}
- name: MTI_CERTIFICATE_RENEW_DAYS
  value: {{ .renewDays | float64 | quote }}
- name: MTI_CERTIFICATE_SKEW_SECONDS
  value: {{ .skewSeconds | float64 | quote }}
- name: MTI_CERTIFICATE_BUNDLE_SECONDS
  value: {{ .bundleSeconds | float64 | quote }}
- name: MTI_CERTIFICATE_SERVE_SECONDS
  value: {{ .serveSeconds | float64 | quote }}
{{- end }}
- name: MTI_WEBHOOK_NAME
  value: {{ include "tracking-injector.fullname" . | quote }}
- name: MTI_TLS_SECRET
  value: {{ include "tracking-injector.tlsSecret" . | quote }}
- name: MTI_SHADOWING_CONFIG_MAPS
  value: {{ join "," .Values.audit.shadowingConfigMaps | quote }}
{{- end }}
