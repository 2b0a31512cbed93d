module sandfly/probes

// Builds for old kernels are made by an older Go, see legacy.mod; what runs is still as the newest Go has it.
go 1.23

godebug default=go1.27
