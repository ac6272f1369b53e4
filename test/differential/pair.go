// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// pair sends one request to both servers and compares.
type pair struct {
	expected, actual *server
	count            int
	kinds            map[string]int
	expired          int
}

func (s *server) call(ctx context.Context, request proto.Message) (proto.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	switch r := request.(type) {
	case *pb.RangeRequest:
		return s.kv.Range(ctx, r)
	case stream:
		return s.rangeStream(ctx, r.RangeRequest)
	case *pb.HashKVRequest:
		return s.maintenance.HashKV(ctx, r)
	case *pb.PutRequest:
		return s.kv.Put(ctx, r)
	case *pb.DeleteRangeRequest:
		return s.kv.DeleteRange(ctx, r)
	case *pb.TxnRequest:
		return s.kv.Txn(ctx, r)
	case *pb.CompactionRequest:
		return s.kv.Compact(ctx, r)
	case *pb.LeaseGrantRequest:
		return s.lease.LeaseGrant(ctx, r)
	case *pb.LeaseRevokeRequest:
		return s.lease.LeaseRevoke(ctx, r)
	case *pb.LeaseTimeToLiveRequest:
		return s.lease.LeaseTimeToLive(ctx, r)
	case *pb.LeaseLeasesRequest:
		return s.lease.LeaseLeases(ctx, r)
	case *pb.LeaseKeepAliveRequest:
		stream, err := s.lease.LeaseKeepAlive(ctx)
		if err != nil {
			return nil, err
		}
		if err := stream.Send(r); err != nil {
			return nil, err
		}
		return stream.Recv()
	}
	return nil, fmt.Errorf("no method for %T", request)
}

// rangeStream puts the chunks together, and holds what is promised of them: in order, disjoint, and nothing about the whole before the last.
func (s *server) rangeStream(ctx context.Context, request *pb.RangeRequest) (proto.Message, error) {
	client, err := s.kv.RangeStream(ctx, request)
	if err != nil {
		return nil, err
	}
	var kvs []*mvccpb.KeyValue
	var last *pb.RangeResponse
	for {
		chunk, err := client.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if last != nil && last.Header != nil {
			return nil, fmt.Errorf("%s: a chunk after the one with a header", s.name)
		}
		last = chunk.RangeResponse
		for _, kv := range last.Kvs {
			if len(kvs) > 0 && bytes.Compare(kvs[len(kvs)-1].Key, kv.Key) >= 0 {
				return nil, fmt.Errorf("%s: %q after %q", s.name, kv.Key, kvs[len(kvs)-1].Key)
			}
			kvs = append(kvs, kv)
		}
	}
	if last == nil || last.Header == nil {
		return nil, fmt.Errorf("%s: no chunk with a header", s.name)
	}
	return &pb.RangeResponse{Header: last.Header, Kvs: kvs, More: last.More, Count: last.Count}, nil
}

func normalizeHeader(header *pb.ResponseHeader) {
	if header != nil {
		header.ClusterId, header.MemberId, header.RaftTerm = 0, 0, 0
	}
}

// normalize takes out what two right servers may differ in.
func normalize(request, answer proto.Message) {
	switch a := answer.(type) {
	case *pb.RangeResponse:
		normalizeHeader(a.Header)
		if r, ok := request.(*pb.RangeRequest); ok {
			sortTies(r, a)
		}
	case *pb.HashKVResponse:
		normalizeHeader(a.Header)
	case *pb.PutResponse:
		normalizeHeader(a.Header)
	case *pb.DeleteRangeResponse:
		normalizeHeader(a.Header)
	case *pb.TxnResponse:
		normalizeHeader(a.Header)
		normalizeTxn(request.(*pb.TxnRequest), a)
	case *pb.CompactionResponse:
		normalizeHeader(a.Header)
	case *pb.LeaseGrantResponse:
		normalizeHeader(a.Header)
	case *pb.LeaseRevokeResponse:
		normalizeHeader(a.Header)
	case *pb.LeaseKeepAliveResponse:
		normalizeHeader(a.Header)
	case *pb.LeaseTimeToLiveResponse:
		normalizeHeader(a.Header)
		if a.TTL > 0 {
			a.TTL = 1
		}
		sort.Slice(a.Keys, func(i, j int) bool { return bytes.Compare(a.Keys[i], a.Keys[j]) < 0 })
	case *pb.LeaseLeasesResponse:
		normalizeHeader(a.Header)
		sort.Slice(a.Leases, func(i, j int) bool { return a.Leases[i].ID < a.Leases[j].ID })
	}
}

func normalizeTxn(request *pb.TxnRequest, answer *pb.TxnResponse) {
	operations := request.Failure
	if answer.Succeeded {
		operations = request.Success
	}
	for i, response := range answer.Responses {
		if i >= len(operations) {
			return
		}
		switch r := response.Response.(type) {
		case *pb.ResponseOp_ResponseRange:
			sortTies(operations[i].GetRequestRange(), r.ResponseRange)
		case *pb.ResponseOp_ResponseTxn:
			normalizeTxn(operations[i].GetRequestTxn(), r.ResponseTxn)
		}
	}
}

// sortTies orders items that the request's sort key leaves equal by their keys.
func sortTies(request *pb.RangeRequest, answer *pb.RangeResponse) {
	if request == nil || request.SortTarget == pb.RangeRequest_KEY {
		return
	}
	same := func(a, b *mvccpb.KeyValue) bool {
		switch request.SortTarget {
		case pb.RangeRequest_VERSION:
			return a.Version == b.Version
		case pb.RangeRequest_CREATE:
			return a.CreateRevision == b.CreateRevision
		case pb.RangeRequest_MOD:
			return a.ModRevision == b.ModRevision
		}
		return bytes.Equal(a.Value, b.Value) || request.KeysOnly
	}
	for start := 0; start < len(answer.Kvs); {
		end := start + 1
		for end < len(answer.Kvs) && same(answer.Kvs[start], answer.Kvs[end]) {
			end++
		}
		group := answer.Kvs[start:end]
		sort.Slice(group, func(i, j int) bool { return bytes.Compare(group[i].Key, group[j].Key) < 0 })
		start = end
	}
}

func describe(answer proto.Message, err error) string {
	if err != nil {
		s := status.Convert(err)
		return fmt.Sprintf("error %s: %s", s.Code(), s.Message())
	}
	text, _ := proto.MarshalOptions{Deterministic: true}.Marshal(answer)
	return fmt.Sprintf("%T %x", answer, text)
}

func show(answer proto.Message, err error) string {
	if err != nil {
		return describe(nil, err)
	}
	return padding.ReplaceAllString(prototext.MarshalOptions{Multiline: false}.Format(answer), "0...0")
}

var padding = regexp.MustCompile("0{20,}")

func (p *pair) call(ctx context.Context, request proto.Message, g *generator) error {
	wanted, wantedErr := p.expected.call(ctx, request)
	got, gotErr := p.actual.call(ctx, request)
	p.count++
	p.note(request, wantedErr)
	if wantedErr == nil {
		normalize(request, wanted)
		g.learn(request, wanted)
	}
	if gotErr == nil {
		normalize(request, got)
	}
	if describe(wanted, wantedErr) != describe(got, gotErr) {
		return fmt.Errorf("answers differ\n  request  %T %s\n  expected %s\n  actual   %s", request, show(request, nil), show(wanted, wantedErr),
			show(got, gotErr))
	}
	return nil
}

func (p *pair) note(request proto.Message, err error) {
	if p.kinds == nil {
		p.kinds = map[string]int{}
	}
	name := strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", request), "*etcdserverpb."), "main.")
	if err != nil {
		name += " refused: " + status.Convert(err).Message()
	}
	p.kinds[name]++
}

func (p *pair) summary() string {
	names := make([]string, 0, len(p.kinds))
	for name := range p.kinds {
		names = append(names, name)
	}
	sort.Strings(names)
	var out strings.Builder
	for _, name := range names {
		fmt.Fprintf(&out, "%8d %s\n", p.kinds[name], name)
	}
	return out.String()
}

// learn keeps the revisions that later requests are made around.
func (g *generator) learn(request, answer proto.Message) {
	if a, ok := answer.(interface{ GetHeader() *pb.ResponseHeader }); ok && a.GetHeader().GetRevision() > g.revision {
		g.revision = a.GetHeader().GetRevision()
	}
	if r, ok := request.(*pb.CompactionRequest); ok {
		g.compacted = r.Revision
		g.compactions = append(g.compactions, r.Revision)
		g.compactions = g.compactions[max(0, len(g.compactions)-15):]
	}
}
