package logs

import "runtime"

// wideTimes tells machines where glibc writes accounting records with times of 64 bits: those 64-bit ones that never
// had a 32-bit system beside them.
var wideTimes = map[string]bool{"arm64": true, "loong64": true}[runtime.GOARCH]
