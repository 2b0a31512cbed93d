package procfs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"syscall"

	"sandfly/probes/internal/collect"
)

// maxLine bounds one line of a streamed file; a mapped path has at most 4096 bytes, each escaped to four.
const maxLine = 32 << 10

// scanLines streams a file too large to hold: each line goes to use, which must not keep it.
func scanLines(r io.Reader, name string, limit int64, use func(line []byte) error) error {
	bounded := &io.LimitedReader{R: r, N: limit + 1}
	scanner := bufio.NewScanner(bounded)
	scanner.Buffer(make([]byte, 4096), maxLine)
	for scanner.Scan() {
		// The last line may be cut by the bound, so it is checked before the line is believed.
		if bounded.N <= 0 {
			return fmt.Errorf("%s: more than %d bytes: %w", name, limit, collect.ErrLimit)
		}
		if err := use(scanner.Bytes()); err != nil {
			return err
		}
	}
	if err := scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%s: line of more than %d bytes: %w", name, maxLine, collect.ErrLimit)
	} else if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func parseUint(word []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(word), 10, 64)
	return n, err == nil
}

// fdReader reads from a descriptor that stays its caller's.
type fdReader int

func (fd fdReader) Read(p []byte) (int, error) {
	n, err := retry(func() (int, error) { return syscall.Read(int(fd), p) })
	if err != nil {
		return 0, err
	}
	if n <= 0 {
		return 0, io.EOF
	}
	return n, nil
}
