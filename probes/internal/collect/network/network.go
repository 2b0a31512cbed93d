// Package network collects how the host stands in its networks: interfaces, routes, neighbours, name resolution and
// packet filters. It asks the kernel only; nothing is sent to any network.
package network

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/procfs"
	"sandfly/probes/internal/seq"
)

// Bounds of one file and of the records of one kind: a router can have a million routes.
const (
	maxFileBytes = 4 << 20
	maxRecords   = 20_000
)

// Collectors returns the collectors of this package.
func Collectors() []collect.Collector {
	return []collect.Collector{{Name: "network", Subjects: []*collect.Subject{subject}, Run: run}}
}

// entry is one fact; which of its members mean anything depends on kind. Numbers that are not known are nil.
type entry struct {
	kind, name, text         string
	address, gateway, device string
	mac, state               string
	options                  []string
	metric, mtu, rules       *int64
	priority                 *int64
	hook, policy             string
	up, promiscuous          *bool
	wireless, physical       *bool
	filters                  *bool
	path                     string
	fs                       procfs.FS // of an interface, whose counters are read when asked for
	err                      error     // why the facts beyond kind and name are unknown
}

func run(ctx context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
	v := &visit{env: env, fs: fact.Tree(env)}
	for _, read := range []func(*visit) ([]*entry, error){interfaces, routesIPv4, routesIPv6, neighbours, resolver, hosts, nameServices, packetFilters} {
		found, err := read(v)
		if err != nil {
			status.Partial("network", err)
		}
		if len(found) > maxRecords {
			status.Partial("network", fmt.Errorf("more than %d of kind %s: %w", maxRecords, found[0].kind, collect.ErrLimit))
			found = found[:maxRecords]
		}
		for _, e := range found {
			if err := errors.Join(ctx.Err(), env.Throttle.Pause()); err != nil {
				return err
			}
			if err := emit("network", e); err != nil {
				return err
			}
		}
	}
	return nil
}

type visit struct {
	env *collect.Env
	fs  procfs.FS
}

// rows are the words of each line of a file, comments left out; none when there is no such file.
func (v *visit) rows(path string) ([][]string, error) {
	data, err := content.ReadFile(v.env, path, maxFileBytes)
	if content.IsAbsent(err) || errors.Is(err, content.ErrNotRegular) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for line := range seq.Split(string(data), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 && words[0][0] != ';' && len(rows) <= maxRecords {
			rows = append(rows, words)
		}
	}
	return rows, nil
}

const classDirectory = "/sys/class/net"

// Flags of include/uapi/linux/if.h.
const (
	flagUp          = 0x1
	flagPromiscuous = 0x100
)

func interfaces(v *visit) ([]*entry, error) {
	names, err := v.fs.ReadNames(classDirectory)
	if procfs.IsAbsent(err) {
		return nil, nil
	}
	var found []*entry
	for _, name := range names {
		dir := classDirectory + "/" + name
		flags, err := v.fs.ReadText(dir + "/flags")
		if procfs.IsAbsent(err) {
			continue // bonding_masters is a file, and interfaces go
		}
		e := &entry{kind: "interface", name: name, device: name, path: dir, fs: v.fs, err: err}
		if number, err := parseHex(flags); err == nil {
			e.up, e.promiscuous = mark(number&flagUp != 0), mark(number&flagPromiscuous != 0)
		}
		e.mac = v.word(dir + "/address")
		e.state = v.word(dir + "/operstate")
		if mtu, err := v.fs.ReadInt(dir + "/mtu"); err == nil {
			e.mtu = &mtu
		}
		e.wireless, e.physical = mark(v.exists(dir+"/wireless") || v.exists(dir+"/phy80211")), mark(v.exists(dir+"/device"))
		found = append(found, e)
	}
	return found, err
}

// word is a short attribute, "" when it has none.
func (v *visit) word(path string) string {
	text, err := v.fs.ReadText(path)
	if err != nil {
		return ""
	}
	return text
}

func (v *visit) exists(path string) bool {
	_, err := content.StatPath(v.env, path)
	return err == nil
}

func mark(b bool) *bool { return &b }

// resolver is resolv.conf(5).
func resolver(v *visit) ([]*entry, error) {
	const file = "/etc/resolv.conf"
	rows, err := v.rows(file)
	var found []*entry
	for _, words := range rows {
		switch words[0] {
		case "nameserver":
			if len(words) > 1 {
				found = append(found, &entry{kind: "name_server", name: words[1], address: words[1], path: file})
			}
		case "search", "domain":
			for _, domain := range words[1:] {
				found = append(found, &entry{kind: "search_domain", name: domain, path: file})
			}
		case "options":
			found = append(found, &entry{kind: "resolver_options", name: "options", options: words[1:], path: file})
		}
	}
	return found, err
}

// hosts is hosts(5), one entry for each address and its names.
func hosts(v *visit) ([]*entry, error) {
	const file = "/etc/hosts"
	rows, err := v.rows(file)
	var found []*entry
	for _, words := range rows {
		if len(words) > 1 {
			found = append(found, &entry{kind: "hosts", name: words[1], address: words[0], options: words[1:],
				text: strings.Join(words, " "), path: file})
		}
	}
	return found, err
}

// nameServices is nsswitch.conf(5): where users, groups and hosts are looked up.
func nameServices(v *visit) ([]*entry, error) {
	const file = "/etc/nsswitch.conf"
	rows, err := v.rows(file)
	var found []*entry
	for _, words := range rows {
		name, isKey := strings.CutSuffix(words[0], ":")
		if isKey {
			found = append(found, &entry{kind: "name_service", name: name, options: words[1:], text: strings.Join(words[1:], " "), path: file})
		}
	}
	return found, err
}

const (
	fromKind = "see kind: /sys/class/net, /proc/net, /etc, nf_tables"
	fromNft  = "nf_tables over netlink(7), /proc/net/ip_tables_names"
)

func known(name string, k fact.Kind, doc, source string, get func(*entry) any) collect.Field[*entry] {
	return collect.Field[*entry]{Name: name, Type: k.Name, Unit: k.Unit, Cost: collect.Free, Doc: doc, Source: source,
		Get: func(e *entry) (any, error) {
			if e.err != nil {
				return nil, e.err
			}
			return get(e), nil
		}}
}

// counter is a field of an interface's traffic since it was made; none where the driver does not count.
func counter(name string, k fact.Kind, doc, file string) collect.Field[*entry] {
	return fact.Cheap(name, k, doc, classDirectory, func(e *entry) (any, error) {
		if e.kind != "interface" || e.err != nil {
			return nil, e.err
		}
		n, err := e.fs.ReadInt(e.path + "/" + file)
		// A link that is down has no speed: the driver says so by an error or by -1.
		if procfs.IsAbsent(err) || errors.Is(err, syscall.EINVAL) || err == nil && n < 0 {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return n, nil
	})
}

var subject = collect.NewSubject("network",
	"How the host stands in its networks: an interface, a route of the main table, a neighbour (IPv4), a name server, a search domain, "+
		"a line of hosts, a name service, a chain of a packet filter, and whether anything filters what comes in.",
	[]string{"kind", "name", "address", "gateway", "device"}, []string{"kind", "name", "address", "gateway", "device"},
	[]collect.Field[*entry]{
		fact.Free("kind", fact.Text, "interface, route, neighbour, name_server, search_domain, resolver_options, hosts, name_service, "+
			"filter_chain or input_filter", fromKind, func(e *entry) any { return e.kind }),
		fact.Free("name", fact.Text, "name of the interface, destination of the route, address of the neighbour or server, domain, "+
			"first name of hosts, family table chain of a filter, ipv4 or ipv6 of an input_filter", fromKind, func(e *entry) any { return fact.String(e.name) }),
		fact.Free("address", fact.Text, "address of neighbour, server or hosts entry", fromKind, func(e *entry) any { return fact.String(e.address) }),
		fact.Free("gateway", fact.Text, "router of a route; none where it is direct", "/proc/net/route, ipv6_route", func(e *entry) any { return fact.String(e.gateway) }),
		fact.Free("device", fact.Text, "interface of a route or neighbour, the interface itself", fromKind, func(e *entry) any { return fact.String(e.device) }),
		known("mac_address", fact.Text, "hardware address of the interface or neighbour", fromKind, func(e *entry) any { return fact.String(e.mac) }),
		known("state", fact.Text, "operstate of an interface; complete, incomplete or permanent of a neighbour", fromKind, func(e *entry) any { return fact.String(e.state) }),
		known("metric", fact.Int, "metric of a route", "/proc/net/route, ipv6_route", func(e *entry) any { return fact.Pointer(e.metric) }),
		known("mtu", fact.Bytes, "largest packet of an interface", "/sys/class/net", func(e *entry) any { return fact.Pointer(e.mtu) }),
		known("is_up", fact.Bool, "the interface is switched on", "/sys/class/net", func(e *entry) any { return fact.Pointer(e.up) }),
		known("is_promiscuous", fact.Bool, "the interface receives everybody's packets", "/sys/class/net", func(e *entry) any { return fact.Pointer(e.promiscuous) }),
		known("is_wireless", fact.Bool, "the interface is a radio", "/sys/class/net", func(e *entry) any { return fact.Pointer(e.wireless) }),
		known("is_physical", fact.Bool, "a device stands behind the interface", "/sys/class/net", func(e *entry) any { return fact.Pointer(e.physical) }),
		counter("speed", fact.Int, "megabits a second of an interface whose link is up", "speed"),
		counter("rx_bytes", fact.Bytes, "received by an interface since it was made", "statistics/rx_bytes"),
		counter("tx_bytes", fact.Bytes, "sent by it", "statistics/tx_bytes"),
		counter("rx_packets", fact.Int, "packets received by it", "statistics/rx_packets"),
		counter("tx_packets", fact.Int, "packets sent by it", "statistics/tx_packets"),
		counter("rx_errors", fact.Int, "packets that came broken", "statistics/rx_errors"),
		counter("tx_errors", fact.Int, "packets that could not be sent", "statistics/tx_errors"),
		counter("rx_dropped", fact.Int, "packets that came and were thrown away", "statistics/rx_dropped"),
		counter("tx_dropped", fact.Int, "packets that were thrown away before they were sent", "statistics/tx_dropped"),
		known("options", fact.Texts, "names of a hosts entry, sources of a name service, options of the resolver", "/etc", func(e *entry) any { return fact.Strings(e.options) }),
		known("text", fact.Text, "the line of hosts or nsswitch.conf", "/etc", func(e *entry) any { return fact.String(e.text) }),
		known("hook", fact.Text, "where a base chain sits: prerouting, input, forward, output, postrouting, ingress or egress", fromNft, func(e *entry) any { return fact.String(e.hook) }),
		known("policy", fact.Text, "accept or drop: what becomes of packets that no rule of a base chain took", fromNft, func(e *entry) any { return fact.String(e.policy) }),
		known("priority", fact.Int, "place of a base chain among others at its hook, lower first", fromNft, func(e *entry) any { return fact.Pointer(e.priority) }),
		known("rules", fact.Int, "rules of a chain, and jumps to it; of an input_filter of all chains at the hook input", fromNft, func(e *entry) any { return fact.Pointer(e.rules) }),
		known("is_filtering", fact.Bool, "of an input_filter: a chain at the hook input drops by default or has rules", fromNft, func(e *entry) any { return fact.Pointer(e.filters) }),
		fact.Free("path", fact.Text, "file it comes from", fromKind, func(e *entry) any { return fact.String(e.path) }),
	})

// sortEntries puts records in an order that does not change between visits.
func sortEntries(list []*entry) {
	seq.SortFunc(list, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
}
