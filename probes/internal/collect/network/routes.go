package network

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

var errMalformed = errors.New("malformed")

func parseHex(text string) (uint64, error) {
	return strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
}

// nativeIPv4 reads an address of /proc/net/route: the number as the processor keeps it.
func nativeIPv4(text string, order binary.ByteOrder) (netip.Addr, error) {
	number, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != 8 {
		return netip.Addr{}, fmt.Errorf("%w address %.20q", errMalformed, text)
	}
	var four [4]byte
	order.PutUint32(four[:], uint32(number))
	return netip.AddrFrom4(four), nil
}

func routesIPv4(v *visit) ([]*entry, error) {
	const file = "/proc/net/route"
	rows, err := v.rows(file)
	if len(rows) > 0 {
		rows = rows[1:] // the heading
	}
	var found []*entry
	for _, words := range rows {
		e, rowErr := parseRoute(words, binary.NativeEndian)
		if rowErr != nil {
			err = errors.Join(err, rowErr)
			continue
		}
		e.path = file
		found = append(found, e)
	}
	return found, err
}

// parseRoute reads a line of /proc/net/route: interface, destination, gateway, flags, …, metric, mask.
func parseRoute(words []string, order binary.ByteOrder) (*entry, error) {
	if len(words) < 8 {
		return nil, fmt.Errorf("%w route", errMalformed)
	}
	to, err := nativeIPv4(words[1], order)
	via, gatewayErr := nativeIPv4(words[2], order)
	mask, maskErr := strconv.ParseUint(words[7], 16, 32)
	if err = errors.Join(err, gatewayErr, maskErr); err != nil {
		return nil, err
	}
	e := &entry{kind: "route", name: netip.PrefixFrom(to, bits.OnesCount64(mask)).String(), device: words[0]}
	if via.IsValid() && !via.IsUnspecified() {
		e.gateway = via.String()
	}
	if metric, err := strconv.ParseInt(words[6], 10, 64); err == nil {
		e.metric = &metric
	}
	return e, nil
}

// flagReject and flagLocal are RTF_REJECT and RTF_LOCAL of include/uapi/linux/ipv6_route.h: the host's own addresses and
// the route that stands for none.
const (
	flagReject = 0x0200
	flagLocal  = 0x80000000
)

func routesIPv6(v *visit) ([]*entry, error) {
	const file = "/proc/net/ipv6_route"
	rows, err := v.rows(file)
	var found []*entry
	for _, words := range rows {
		e, rowErr := parseRouteIPv6(words)
		if rowErr != nil {
			err = errors.Join(err, rowErr)
		} else if e != nil {
			e.path = file
			found = append(found, e)
		}
	}
	return found, err
}

// parseRouteIPv6 reads a line of /proc/net/ipv6_route: destination, bits, source, bits, gateway, metric, uses, uses,
// flags, interface. Nil for what is no route to anywhere else.
func parseRouteIPv6(words []string) (*entry, error) {
	if len(words) < 10 {
		return nil, fmt.Errorf("%w IPv6 route", errMalformed)
	}
	to, err := hexIPv6(words[0])
	via, gatewayErr := hexIPv6(words[4])
	length, lengthErr := strconv.ParseUint(words[1], 16, 8)
	metric, metricErr := strconv.ParseUint(words[5], 16, 32)
	flags, flagsErr := strconv.ParseUint(words[8], 16, 32)
	if err = errors.Join(err, gatewayErr, lengthErr, metricErr, flagsErr); err != nil {
		return nil, err
	}
	if length > 128 {
		return nil, fmt.Errorf("%w IPv6 route: %d bits", errMalformed, length)
	}
	if flags&(flagReject|flagLocal) != 0 || words[9] == "lo" || to.IsMulticast() {
		return nil, nil
	}
	number := int64(metric)
	e := &entry{kind: "route", name: netip.PrefixFrom(to, int(length)).String(), device: words[9], metric: &number}
	if !via.IsUnspecified() {
		e.gateway = via.String()
	}
	return e, nil
}

func hexIPv6(text string) (netip.Addr, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 16 {
		return netip.Addr{}, fmt.Errorf("%w address %.40q", errMalformed, text)
	}
	return netip.AddrFrom16([16]byte(raw)), nil
}

// neighbours are the machines of the host's own networks whose hardware address the kernel knows.
func neighbours(v *visit) ([]*entry, error) {
	const file = "/proc/net/arp"
	rows, err := v.rows(file)
	if len(rows) > 0 {
		rows = rows[1:]
	}
	var found []*entry
	for _, words := range rows {
		if len(words) < 6 {
			continue
		}
		e := &entry{kind: "neighbour", name: words[0], address: words[0], mac: words[3], device: words[5], path: file}
		// ATF_COM and ATF_PERM of include/uapi/linux/if_arp.h.
		switch flags, _ := parseHex(words[2]); {
		case flags&0x4 != 0:
			e.state = "permanent"
		case flags&0x2 != 0:
			e.state = "complete"
		default:
			e.state, e.mac = "incomplete", ""
		}
		found = append(found, e)
	}
	sortEntries(found)
	return found, err
}
