{{/*
Combinations that cannot work, refused in words. The schema refuses single values; this
is for values that contradict each other.
*/}}
{{- define "tracking-injector.validate" -}}
{{- $v := .Values -}}
{{- if and (eq ($v.image.tag | default "") "latest") (not $v.image.digest) -}}
{{- fail "image.tag is latest, which names another image every day: give a version or a digest." -}}
{{- end -}}
{{- $labels := dict "commonLabels" $v.commonLabels "webhook.podLabels" $v.webhook.podLabels "companion.podLabels" $v.companion.podLabels "metrics.serviceMonitor.labels" $v.metrics.serviceMonitor.labels "metrics.prometheusRule.labels" $v.metrics.prometheusRule.labels "metrics.dashboard.labels" $v.metrics.dashboard.labels -}}
{{- range $value, $given := $labels -}}
{{- range $name := keys ($given | default dict) | sortAlpha -}}
{{- if or (hasPrefix "app.kubernetes.io/" $name) (has $name (list "helm.sh/chart" "tracking.michelangelo-ai.org/content")) -}}
{{- fail (printf "%s has %s, by which objects and pods of the chart are found: name yours differently." $value $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $component := list "webhook" "companion" -}}
{{- $seen := list -}}
{{- range (get $v $component).extraEnv -}}
{{- if hasPrefix "MTI_" .name -}}
{{- fail (printf "%s.extraEnv has %s, which the chart sets from a value of its own: use that one." $component .name) -}}
{{- end -}}
{{- if and .value .valueFrom -}}
{{- fail (printf "%s.extraEnv gives %s both a value and a valueFrom: keep one of them." $component .name) -}}
{{- end -}}
{{- if has .name $seen -}}
{{- fail (printf "%s.extraEnv has %s twice." $component .name) -}}
{{- end -}}
{{- $seen = append $seen .name -}}
{{- end -}}
{{- $volumes := ternary (list "scratch" "tls") (list "scratch") (eq $component "webhook") -}}
{{- range (get $v $component).extraVolumes -}}
{{- if has .name $volumes -}}
{{- fail (printf "%s.extraVolumes has %s twice, or the chart has a volume of that name: name yours differently." $component .name) -}}
{{- end -}}
{{- $volumes = append $volumes .name -}}
{{- end -}}
{{- $paths := ternary (list "/tmp" "/etc/tracking-injector/tls") (list "/tmp") (eq $component "webhook") -}}
{{- range (get $v $component).extraVolumeMounts -}}
{{- if not (has .name $volumes) -}}
{{- fail (printf "%s.extraVolumeMounts mounts %s, which %s.extraVolumes does not have." $component .name $component) -}}
{{- end -}}
{{- if has (clean .mountPath) $paths -}}
{{- fail (printf "%s.extraVolumeMounts has %s twice, or the chart mounts a volume there: take another path." $component .mountPath) -}}
{{- end -}}
{{- $paths = append $paths (clean .mountPath) -}}
{{- end -}}
{{- with (get $v $component).strategy -}}
{{- if and (eq (.type | default "") "Recreate") .rollingUpdate -}}
{{- fail (printf "%s.strategy is Recreate and has rollingUpdate, which belongs to the other type: keep one of them." $component) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "//[^/]*@" ($v.tracking.uri | default "") -}}
{{- fail "tracking.uri holds a credential, and a ConfigMap is no place for one: put the whole address into a Secret and name it in tracking.existingSecret." -}}
{{- end -}}
{{- $short := or $v.tracking.uri $v.tracking.existingConfigMap $v.tracking.existingSecret -}}
{{- if and $short (hasKey $v.tracking.profiles "default") -}}
{{- fail "tracking.profiles.default and tracking.uri, tracking.existingConfigMap or tracking.existingSecret both say what namespaces get by default: keep one of them." -}}
{{- end -}}
{{- if and (or $v.tracking.preset $v.tracking.aliases) (not $short) -}}
{{- fail "tracking.preset and tracking.aliases complete what tracking.uri, tracking.existingConfigMap and tracking.existingSecret give, but none of these is set: name one, or put preset and aliases into a profile of tracking.profiles." -}}
{{- end -}}
{{- range $name, $profile := $v.tracking.profiles -}}
{{- range include "tracking-injector.sources" $profile | fromJsonArray -}}
{{- if eq (hasKey . "secret") (hasKey . "configMap") -}}
{{- fail (printf "tracking.profiles.%s: a source names either a secret or a configMap." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $v.tracking.caBundle -}}
{{- if gt (len (compact (list .pem .existingConfigMap .existingSecret))) 1 -}}
{{- fail "tracking.caBundle.pem, tracking.caBundle.existingConfigMap and tracking.caBundle.existingSecret each say where the CA lies: keep one of them." -}}
{{- end -}}
{{- if and .pem (not (contains "-----BEGIN CERTIFICATE-----" .pem)) -}}
{{- fail "tracking.caBundle.pem holds no certificate: it begins with -----BEGIN CERTIFICATE-----." -}}
{{- end -}}
{{- if contains "PRIVATE KEY-----" (.pem | default "") -}}
{{- fail "tracking.caBundle.pem holds a private key, and a ConfigMap is no place for one: give the certificates alone." -}}
{{- end -}}
{{- end -}}
{{- if eq $v.rbac.mode "listedNamespaces" -}}
{{- if not $v.namespaces.allowed -}}
{{- fail "rbac.mode is listedNamespaces, which gives rights in the namespaces of namespaces.allowed, but that list is empty." -}}
{{- end -}}
{{- range $v.namespaces.allowed -}}
{{- if contains "*" . -}}
{{- fail (printf "rbac.mode is listedNamespaces, which needs names in full, but namespaces.allowed has the pattern %q." .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $v.namespaces.allowed -}}
{{- if or (has . ($v.namespaces.excluded | default list)) (eq . $.Release.Namespace) -}}
{{- fail (printf "namespaces.allowed has %q, which is never injected: it is the release's own namespace or in namespaces.excluded." .) -}}
{{- end -}}
{{- end -}}
{{- with $v.tests.namespace -}}
{{- if or (has . ($v.namespaces.excluded | default list)) (eq . $.Release.Namespace) -}}
{{- fail (printf "tests.namespace is %q, which is never injected: it is the release's own namespace or in namespaces.excluded." .) -}}
{{- end -}}
{{- end -}}
{{- with $v.certificates.companion -}}
{{- if ge (float64 .renewDays) (float64 .days) -}}
{{- fail (printf "certificates.companion.renewDays is %v and certificates.companion.days is %v: every new certificate would be due at once." .renewDays .days) -}}
{{- end -}}
{{- $takes := include "tracking-injector.rotationSeconds" $ | float64 -}}
{{- if gt $takes (mulf .renewDays 86400) -}}
{{- fail (printf "a rotation takes %v seconds by the other times of certificates.companion, and certificates.companion.renewDays is %v: the old certificate would end first." $takes .renewDays) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.certificates.mode "certManager") (not $v.certificates.certManager.issuerName) -}}
{{- fail "certificates.mode is certManager, but certificates.certManager.issuerName does not say which issuer signs." -}}
{{- end -}}
{{- if and (eq $v.certificates.mode "provided") (not (and $v.certificates.provided.secretName $v.certificates.provided.caBundle)) -}}
{{- fail "certificates.mode is provided, which needs both certificates.provided.secretName and certificates.provided.caBundle." -}}
{{- end -}}
{{- with $v.certificates.provided.caBundle -}}
{{- if not (contains "-----BEGIN CERTIFICATE-----" (b64dec .)) -}}
{{- fail "certificates.provided.caBundle is not base64 of a PEM file with certificates." -}}
{{- end -}}
{{- end -}}
{{- if eq $v.egress.mode "isolate" -}}
{{- range list "peers" "apiServer" "storage" "michelangelo" -}}
{{- if kindIs "invalid" (get $v.egress.baseline .) -}}
{{- fail (printf "egress.mode is isolate, which closes task pods to everything that is not declared, but egress.baseline does not say %s: an empty list says that there is none." .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (or (include "tracking-injector.webhook" .) (include "tracking-injector.inTree" .)) -}}
{{- fail "webhook.replicas is 0, and injection.inTree installs no policy here (MutatingAdmissionPolicy v1 is served from Kubernetes 1.36 on): nothing would give task pods their keys." -}}
{{- end -}}
{{- if eq (int $v.webhook.port) (int $v.webhook.healthPort) -}}
{{- fail (printf "webhook.port and webhook.healthPort are both %d." (int $v.webhook.port)) -}}
{{- end -}}
{{- range $v.webhook.extraNamespaceExpressions -}}
{{- if ne (has .operator (list "In" "NotIn")) (gt (len (.values | default list)) 0) -}}
{{- fail (printf "webhook.extraNamespaceExpressions has %s for %s, where In and NotIn need values and the others take none." .operator .key) -}}
{{- end -}}
{{- end -}}
{{- range list "port" "healthPort" -}}
{{- if and $v.webhook.hostNetwork (eq (int (get $v.webhook .)) 10250) -}}
{{- fail (printf "webhook.%s is 10250 and webhook.hostNetwork is true: on the node, that port is the kubelet's." .) -}}
{{- end -}}
{{- end -}}
{{- if and $v.webhook.hostNetwork $v.networkPolicy.enabled -}}
{{- fail "networkPolicy.enabled has no effect on the webhook while webhook.hostNetwork is true: NetworkPolicies do not select such pods. Switch one of them off." -}}
{{- end -}}
{{- /* Only a Helm that talks to a cluster sees others; elsewhere the labels keep them apart.
       A release without a webhook has the companion's roles too. */ -}}
{{- range (lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "").items -}}
{{- $of := .metadata.annotations | default dict -}}
{{- $same := and (eq (get $of "meta.helm.sh/release-name" | default $.Release.Name) $.Release.Name) (eq (get $of "meta.helm.sh/release-namespace" | default $.Release.Namespace) $.Release.Namespace) -}}
{{- if and (eq (get (.metadata.labels | default dict) "app.kubernetes.io/name") "tracking-injector") (not $same) -}}
{{- fail (printf "the release %s in namespace %s is here already: every namespace has one mirror, so a cluster has one release. Upgrade that one, or uninstall it first." (get $of "meta.helm.sh/release-name") (get $of "meta.helm.sh/release-namespace")) -}}
{{- end -}}
{{- end -}}
{{- $name := include "tracking-injector.fullname" . -}}
{{- if gt (len $name) 40 -}}
{{- fail (printf "the name %q has more than 40 characters, and names made from it must stay below 64: set fullnameOverride." $name) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" $name) -}}
{{- fail (printf "no Service can be named %q, which needs a letter and then letters, digits and hyphens: set fullnameOverride." $name) -}}
{{- end -}}
{{- end }}
