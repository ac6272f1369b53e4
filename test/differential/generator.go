// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// generator makes random requests that are likely to meet each other: few keys, few leases, revisions around the present.
type generator struct {
	random    *rand.Rand
	revision  int64 // newest seen in an answer
	compacted int64
	// The last that were compacted at, more than a server remembers.
	compactions []int64
	values      int
}

func newGenerator(random *rand.Rand) *generator {
	return &generator{random: random, revision: 1}
}

func (g *generator) one(n int) bool { return g.random.Intn(n) == 0 }

func (g *generator) key() []byte {
	if g.one(100) {
		return nil
	}
	if g.one(50) {
		return []byte{0, byte(g.random.Intn(3)), 0xff}
	}
	return []byte(fmt.Sprintf("/%c/%02d", 'a'+g.random.Intn(3), g.random.Intn(12)))
}

// rangeOf gives a key and range_end: one key, a prefix, from a key on, everything, something empty.
func (g *generator) rangeOf() ([]byte, []byte) {
	key := g.key()
	switch g.random.Intn(8) {
	case 0, 1, 2:
		return key, nil
	case 3, 4:
		prefix := fmt.Sprintf("/%c/", 'a'+g.random.Intn(3))
		return []byte(prefix), []byte(prefix[:2] + "0")
	case 5:
		return key, []byte{0}
	case 6:
		return []byte{0}, []byte{0}
	default:
		return key, g.key()
	}
}

func (g *generator) value() []byte {
	g.values++
	if g.one(40) {
		return nil
	}
	if g.one(60) {
		return []byte(fmt.Sprintf("%0*d", 1+g.random.Intn(20000), g.values))
	}
	return []byte(fmt.Sprintf("v%d", g.values))
}

func (g *generator) leaseID() int64 { return int64(1 + g.random.Intn(12)) }

// past is mostly a revision that can be read, sometimes one that is compacted, in the future, or nonsense.
func (g *generator) past() int64 {
	switch g.random.Intn(20) {
	case 0:
		return g.revision + int64(g.random.Intn(3))
	case 1:
		return g.compacted + int64(g.random.Intn(3)) - 1
	case 2:
		return -int64(g.random.Intn(3))
	}
	span := g.revision - g.compacted
	if span < 1 {
		return 0
	}
	return g.compacted + 1 + g.random.Int63n(span)
}

func (g *generator) rangeRequest() *pb.RangeRequest {
	r := &pb.RangeRequest{}
	r.Key, r.RangeEnd = g.rangeOf()
	if g.one(3) {
		r.Limit = int64(g.random.Intn(6))
	}
	if g.one(3) {
		r.Revision = g.past()
	}
	r.KeysOnly = g.one(8)
	r.CountOnly = g.one(10)
	r.Serializable = g.one(6)
	if g.one(6) {
		r.SortTarget = pb.RangeRequest_SortTarget(g.random.Intn(5))
		r.SortOrder = pb.RangeRequest_SortOrder(g.random.Intn(3))
	}
	if g.one(200) {
		r.SortOrder = 7
	}
	if g.one(10) {
		r.MinModRevision = g.past()
	}
	if g.one(10) {
		r.MaxModRevision = g.past()
	}
	if g.one(15) {
		r.MinCreateRevision = g.past()
	}
	if g.one(15) {
		r.MaxCreateRevision = g.past()
	}
	// Which of several equal items a limit keeps is not decided by the API; without an order it applies before the sort.
	filtered := r.MinModRevision != 0 || r.MaxModRevision != 0 || r.MinCreateRevision != 0 || r.MaxCreateRevision != 0
	if r.SortTarget != pb.RangeRequest_KEY && (r.SortOrder != pb.RangeRequest_NONE || filtered) {
		r.Limit = 0
	}
	return r
}

// stream is a range that is asked for in chunks.
type stream struct{ *pb.RangeRequest }

func (g *generator) stream() stream {
	r := g.rangeRequest()
	if !g.one(5) {
		r = &pb.RangeRequest{Key: r.Key, RangeEnd: r.RangeEnd, Limit: r.Limit, Revision: r.Revision, KeysOnly: r.KeysOnly, CountOnly: r.CountOnly}
	}
	// etcd sorts every chunk by the target then, and goes on after the key that happens to be last.
	if r.SortOrder == pb.RangeRequest_NONE {
		r.SortTarget = pb.RangeRequest_KEY
	}
	return stream{r}
}

// hashKV is asked at revisions that were compacted at too: both servers tell what they remember of them, or that they do not any more.
func (g *generator) hashKV() *pb.HashKVRequest {
	if g.one(3) && len(g.compactions) > 0 {
		return &pb.HashKVRequest{Revision: g.compactions[g.random.Intn(len(g.compactions))]}
	}
	return &pb.HashKVRequest{Revision: g.past()}
}

// large writes the same keys again in one revision, with as much in them as a request may hold: their events go out in fragments to those who asked.
func (g *generator) large() *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for i := 0; i < 12; i++ {
		g.values++
		put := &pb.PutRequest{Key: []byte(fmt.Sprintf("/a/%02d", i)), Value: []byte(fmt.Sprintf("%0*d", 110000+g.random.Intn(10000), g.values))}
		r.Success = append(r.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
	}
	return r
}

func (g *generator) put() *pb.PutRequest {
	r := &pb.PutRequest{Key: g.key(), Value: g.value(), PrevKv: g.one(3)}
	if g.one(5) {
		r.Lease = g.leaseID()
	}
	if g.one(15) {
		r.IgnoreValue = true
		if !g.one(4) {
			r.Value = nil
		}
	}
	if g.one(15) {
		r.IgnoreLease = true
		if !g.one(4) {
			r.Lease = 0
		}
	}
	return r
}

func (g *generator) delete() *pb.DeleteRangeRequest {
	r := &pb.DeleteRangeRequest{PrevKv: g.one(3)}
	r.Key, r.RangeEnd = g.rangeOf()
	if len(r.RangeEnd) > 0 && !g.one(6) {
		r.RangeEnd = nil
	}
	return r
}

func (g *generator) compare() *pb.Compare {
	c := &pb.Compare{Key: g.key(), Result: pb.Compare_CompareResult(g.random.Intn(4)), Target: pb.Compare_CompareTarget(g.random.Intn(5))}
	if g.one(6) {
		c.Key, c.RangeEnd = g.rangeOf()
	}
	switch c.Target {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: int64(g.random.Intn(4))}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: g.past()}
	case pb.Compare_MOD:
		revision := g.past()
		if g.one(2) {
			revision = 0
		}
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: revision}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: []byte(fmt.Sprintf("v%d", g.random.Intn(g.values+1)))}
	default:
		c.TargetUnion = &pb.Compare_Lease{Lease: g.leaseID() - 1}
	}
	if g.one(20) { // with an operand that is not of this target, or a target or comparison that there is not
		c.Target = pb.Compare_CompareTarget(g.random.Intn(6))
	}
	if g.one(60) {
		c.Result = 4
	}
	return c
}

func (g *generator) operation(depth int) *pb.RequestOp {
	switch g.random.Intn(10) {
	case 0, 1, 2, 3:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: g.put()}}
	case 4, 5:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: g.delete()}}
	case 6:
		if depth < 2 {
			return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: g.txn(depth + 1)}}
		}
	}
	if g.one(100) {
		return &pb.RequestOp{}
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: g.rangeRequest()}}
}

func (g *generator) txn(depth int) *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for i := g.random.Intn(3); i > 0; i-- {
		r.Compare = append(r.Compare, g.compare())
	}
	for i := g.random.Intn(4); i > 0; i-- {
		r.Success = append(r.Success, g.operation(depth))
	}
	for i := g.random.Intn(3); i > 0; i-- {
		r.Failure = append(r.Failure, g.operation(depth))
	}
	if g.one(300) {
		for i := 0; i < 130; i++ {
			r.Success = append(r.Success, g.operation(2))
		}
	}
	return r
}

// deletesToEnd tells whether the transaction deletes up to the end of the keys; etcd does not count that as overlapping its puts.
func deletesToEnd(r *pb.TxnRequest) bool {
	for _, operation := range append(append([]*pb.RequestOp{}, r.Success...), r.Failure...) {
		if d := operation.GetRequestDeleteRange(); d != nil && string(d.RangeEnd) == "\x00" {
			return true
		}
		if t := operation.GetRequestTxn(); t != nil && deletesToEnd(t) {
			return true
		}
	}
	return false
}

// withoutEnd: etcd 3.7.3 lets such a transaction put a key that it deletes. It ends with a panic when that put has ignore_value or ignore_lease, and
// after a compaction it may end with one when the key is read ("failed to find revision pair"), so nothing can be compared there.
func withoutEnd(r *pb.TxnRequest) {
	for _, operation := range append(append([]*pb.RequestOp{}, r.Success...), r.Failure...) {
		if d := operation.GetRequestDeleteRange(); d != nil && string(d.RangeEnd) == "\x00" {
			d.RangeEnd = nil
		}
		if t := operation.GetRequestTxn(); t != nil {
			withoutEnd(t)
		}
	}
}

func (g *generator) topTxn() *pb.TxnRequest {
	r := g.txn(0)
	if deletesToEnd(r) {
		withoutEnd(r)
	}
	return r
}

func (g *generator) next() proto.Message {
	switch n := g.random.Intn(100); {
	case n < 1:
		return g.hashKV()
	case n < 3:
		return g.stream()
	case n < 32:
		return g.put()
	case n < 54:
		return g.rangeRequest()
	case n < 62:
		return g.delete()
	case n < 90:
		return g.topTxn()
	case n < 91:
		// Waited for: what etcd remembers of one that runs beside the next request depends on which is faster.
		return &pb.CompactionRequest{Revision: g.past(), Physical: true}
	case n < 94:
		return &pb.LeaseGrantRequest{ID: g.leaseID(), TTL: int64(3600 + g.random.Intn(1000))}
	case n < 96:
		return &pb.LeaseRevokeRequest{ID: g.leaseID()}
	case n < 97:
		return &pb.LeaseTimeToLiveRequest{ID: g.leaseID(), Keys: g.one(2)}
	case n < 98:
		return &pb.LeaseLeasesRequest{}
	case n < 99:
		return &pb.LeaseGrantRequest{ID: g.leaseID(), TTL: 9000000001}
	}
	return &pb.LeaseKeepAliveRequest{ID: g.leaseID()}
}
