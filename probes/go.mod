module sandfly/probes

go 1.27
