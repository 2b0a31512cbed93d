//go:build go1.26

package hidden

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sandfly/probes/internal/collect/fact/facttest"
)

// makeNoise starts what a busy host does until stop is called: processes, threads, directories and connections that
// live for some milliseconds.
func makeNoise(t *testing.T) (stop func()) {
	t.Helper()
	end := make(chan struct{})
	var all sync.WaitGroup
	dir := t.TempDir()
	for _, work := range []func(){
		func() { _ = exec.Command("/bin/sh", "-c", "sleep 0.01 & sleep 0.02 & wait").Run() },
		func() {
			path := filepath.Join(dir, "a", "b")
			_ = os.MkdirAll(path, 0o755)
			_ = os.RemoveAll(filepath.Dir(path))
		},
		connect,
	} {
		all.Go(func() {
			for {
				select {
				case <-end:
					return
				case <-time.After(2 * time.Millisecond):
					work()
				}
			}
		})
	}
	return func() { close(end); all.Wait() }
}

func connect() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return
	}
	defer client.Close()
	time.Sleep(time.Millisecond)
}

// BenchmarkWholeRange is the sweep over every number that kernel.pid_max can allow, as a rule on beyond_allocated asks
// for where the kernel's count does not settle it.
func BenchmarkWholeRange(b *testing.B) {
	for b.Loop() {
		s := &sweep{kernelView: liveView(visitOf(facttest.Env("/"))), v: visitOf(facttest.Env("/"))}
		s.isWhole = func([]int) bool { return false }
		if found, err := s.run(1, pidLimit); err != nil || len(found) > 0 {
			b.Fatal(found, err)
		}
	}
}
