module sandfly/probes

// For the builds that run on Linux before 3.2: Go 1.23 is the last one that supports 2.6.32.
go 1.23
