package logs

import (
	"encoding/binary"
	"errors"
	"testing"

	"sandfly/probes/internal/collect"
)

// journalText builds an archived journal whose entries have the fields given, one second apart, the last one now.
func journalText(entries ...[]string) string {
	le := binary.LittleEndian
	data := make([]byte, 272)
	copy(data, "LPKSHHRH")
	data[16] = 2
	object := func(typ, flags byte, body []byte) uint64 {
		for len(data)%8 != 0 {
			data = append(data, 0)
		}
		at := uint64(len(data))
		data = append(data, typ, flags, 0, 0, 0, 0, 0, 0)
		data = append(le.AppendUint64(data, uint64(16+len(body))), body...)
		return at
	}
	array := make([]byte, 8)
	for i, fields := range entries {
		body := le.AppendUint64(nil, uint64(i+1))
		body = le.AppendUint64(body, uint64(now.Unix()-int64(len(entries)-1-i))*1e6)
		body = append(body, make([]byte, 32)...)
		for _, f := range fields {
			flags := byte(0)
			if f[0] == '!' { // stands for data in a compression that is not read
				flags = 1
			}
			body = le.AppendUint64(le.AppendUint64(body, object(1, flags, append(make([]byte, 48), f...))), 0)
		}
		array = le.AppendUint64(array, object(3, 0, body))
	}
	at := object(6, 0, array)
	le.PutUint64(data[176:], at)
	le.PutUint64(data[192:], uint64(now.Unix())*1e6)
	return string(data)
}

func TestEntriesOfTheJournalAreLines(t *testing.T) {
	records, status := logLines(t, map[string]string{"var/log/journal/0123/system.journal": journalText(
		[]string{"PRIORITY=6", "_TRANSPORT=syslog", "SYSLOG_IDENTIFIER=sshd", "_COMM=sshd", "_PID=7", "_UID=0", "_HOSTNAME=web",
			"_SYSTEMD_UNIT=ssh.service", "MESSAGE=Accepted publickey for ann from 203.0.113.9 port 5 ssh2: ED25519 SHA256:k"},
		[]string{"_TRANSPORT=kernel", "MESSAGE=device eth0 entered promiscuous mode", "SYSLOG_IDENTIFIER=kernel"},
		[]string{"_TRANSPORT=audit", "_AUDIT_TYPE_NAME=SYSCALL", "MESSAGE=SYSCALL arch=c000003e syscall=59 success=yes exe=\"/tmp/x\" auid=1000"},
	)})

	if len(records) != 3 || len(status.Parts) > 0 {
		t.Fatal(records, status.Parts)
	}
	expect(t, records[0], map[string]any{
		"log": "journal", "program": "sshd", "pid": int64(7), "uid": int64(0), "hostname": "web", "unit": "ssh.service",
		"priority": int64(6), "transport": "syslog", "ssh.event": "accepted", "ssh.key_fingerprint": "SHA256:k", "ssh.key_type": "ED25519", "time": now.Unix() - 2,
	})
	expect(t, records[1], map[string]any{"program": "kernel", "message": "device eth0 entered promiscuous mode", "uid": nil})
	expect(t, records[2], map[string]any{"audit.type": "SYSCALL", "audit.syscall": "execve", "audit.exe": "/tmp/x", "audit.auid": int64(1000), "time": now.Unix()})
}

func TestAMessageThatCannotBeUnpackedIsUnknownAndNotEmpty(t *testing.T) {
	records, _ := logLines(t, map[string]string{"run/log/journal/0123/system.journal": journalText([]string{"PRIORITY=6", "!packed"})})

	if len(records) != 1 || !errors.Is(records[0].errs["message"], collect.ErrLimit) || !errors.Is(records[0].errs["text"], collect.ErrLimit) {
		t.Errorf("%v", records)
	}
}

func TestAJournalThatIsNoneIsSaid(t *testing.T) {
	_, status := logLines(t, map[string]string{"var/log/journal/0123/system.journal": "nothing of the kind"})

	if parts := status.Parts["log_line"]; len(parts) != 1 {
		t.Errorf("%v", parts)
	}
}
