// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
)

// bare hands messages over as they are.
type bare struct{}

func (bare) Marshal(message any) ([]byte, error)       { return message.([]byte), nil }
func (bare) Unmarshal(bytes []byte, message any) error { *message.(*[]byte) = bytes; return nil }
func (bare) Name() string                              { return "proto" }

var malformed = []struct{ method, message string }{
	{"KV/Range", "\x0a\x05a"}, // cut short
	{"KV/Range", "\xff"},
	{"KV/Range", "\x0a"},
	{"KV/Put", "\x0b"}, // a group that does not end
	{"KV/Put", "\x00\x01"},
	{"KV/DeleteRange", "\x0a\x01a\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"}, // a number of eleven bytes
	{"KV/Txn", "\x12\x04\x12\x09\x0a\x01"},                                          // cut short inside
	{"KV/Compact", "\x08"},
	{"Lease/LeaseGrant", "\x08\xff"},
	{"Maintenance/HashKV", "\x0a\x04"},
	{"Auth/UserAdd", "\x0a\x02\xff\xfe"}, // no UTF-8
	{"Auth/UserAdd", "\x0a\x01a\x12\x01\xff"},
	{"Auth/RoleAdd", "\x0a\x01\x80"},
	{"Nothing/Range", ""},
	{"KV/Nothing", ""},
}

// compareMalformed: what is no message is refused with the same words. (In its texts, Go's protobuf writes one kind of space or another.)
func compareMalformed(p *pair) error {
	for _, one := range malformed {
		var said [2]string
		for i, server := range []*server{p.expected, p.actual} {
			var answer []byte
			err := server.connection.Invoke(context.Background(), "/etcdserverpb."+one.method, []byte(one.message), &answer, grpc.ForceCodec(bare{}))
			if err == nil {
				return fmt.Errorf("%s: %s takes %q", server.name, one.method, one.message)
			}
			said[i] = strings.ReplaceAll(describe(nil, err), "\u00a0", " ")
		}
		if said[0] != said[1] {
			return fmt.Errorf("%s %q\n  expected %s\n  actual   %s", one.method, one.message, said[0], said[1])
		}
	}
	return nil
}
