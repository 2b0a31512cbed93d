package procfs

import (
	"io"
	"syscall"
)

// maxNetBytes bounds one table of /proc/net: about 200,000 connections of 160 bytes a line.
const maxNetBytes = 32 << 20

// readTable streams a table and calls use with each line after the heading.
func (fs FS) readTable(path string, use func(line []byte) error) error {
	fd, err := open(fs.Path(path))
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return scanTable(fdReader(fd), path, use)
}

// scanTable calls use with each line of a table after its heading.
func scanTable(r io.Reader, name string, use func(line []byte) error) error {
	first := true
	return scanLines(r, name, maxNetBytes, func(line []byte) error {
		if first {
			first = false
			return nil
		}
		return use(line)
	})
}
