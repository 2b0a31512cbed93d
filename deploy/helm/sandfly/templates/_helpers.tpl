{{- define "sandfly.labels" -}}
app.kubernetes.io/name: sandfly
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sandfly.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What every pod is kept to. */}}
{{- define "sandfly.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "sandfly.container" -}}
image: {{ include "sandfly.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Files of the web side's secrets, and the variables that name them. */}}
{{- define "sandfly.web.env" -}}
- {name: DATABASE_URL_FILE, value: /secrets/database/{{ .Values.secrets.database.key }}}
- {name: REDIS_URL_FILE, value: /secrets/broker/{{ .Values.secrets.broker.key }}}
- {name: SANDFLY_SECRET_KEY_FILE, value: /secrets/key/{{ .Values.secrets.secretKey.key }}}
- {name: SANDFLY_ALLOWED_HOSTS, value: {{ join "," .Values.allowedHosts | quote }}}
- {name: SANDFLY_TRUSTED_ORIGINS, value: {{ join "," .Values.trustedOrigins | quote }}}
- {name: SANDFLY_TLS, value: {{ ternary "True" "False" .Values.tls | quote }}}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "sandfly.web.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: database, mountPath: /secrets/database, readOnly: true}
- {name: broker, mountPath: /secrets/broker, readOnly: true}
- {name: key, mountPath: /secrets/key, readOnly: true}
{{- end }}

{{- define "sandfly.web.volumes" -}}
- {name: tmp, emptyDir: {medium: Memory, sizeLimit: 256Mi}}
- {name: database, secret: {secretName: {{ .Values.secrets.database.name }}, defaultMode: 0440}}
- {name: broker, secret: {secretName: {{ .Values.secrets.broker.name }}, defaultMode: 0440}}
- {name: key, secret: {secretName: {{ .Values.secrets.secretKey.name }}, defaultMode: 0440}}
{{- end }}
