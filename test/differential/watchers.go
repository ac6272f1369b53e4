// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/prototext"
)

// watchers opens the same random watches on both servers after a stretch of requests and compares what each is told up to a last write.
type watchers struct {
	pair             *pair
	generator        *generator
	compared, events int
}

func newWatchers(p *pair, g *generator) *watchers { return &watchers{pair: p, generator: g} }

const perRound = 6

func (w *watchers) create(id int64) *pb.WatchCreateRequest {
	g := w.generator
	r := &pb.WatchCreateRequest{WatchId: id, PrevKv: g.one(2), StartRevision: g.past(), Fragment: g.one(4)}
	r.Key, r.RangeEnd = g.rangeOf()
	if g.one(6) {
		r.Filters = append(r.Filters, pb.WatchCreateRequest_FilterType(g.random.Intn(2)))
	}
	if r.StartRevision == 0 {
		r.StartRevision = g.revision
	}
	return r
}

// observe reads everything a server tells a stream with these watches until each is cancelled or has seen the last write.
func observe(s *server, creates []*pb.WatchCreateRequest, mark, compacted int64) ([]string, int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	stream, err := s.watch.Watch(ctx)
	if err != nil {
		return nil, 0, err
	}
	sender := &sender{stream: stream}
	told := map[int64]*strings.Builder{}
	open := map[int64]bool{}
	events := 0
	for _, create := range creates {
		if err := sender.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
			return nil, 0, err
		}
		told[create.WatchId] = &strings.Builder{}
	}
	created := 0
	asked := false
	for created < len(creates) || len(open) > 0 {
		if created == len(creates) && !asked {
			asked = true
			go keepAsking(ctx, sender)
		}
		response, err := stream.Recv()
		if err != nil {
			return nil, 0, fmt.Errorf("%s: watch stream: %w", s.name, err)
		}
		if response.Created {
			id := creates[created].WatchId
			created++
			fmt.Fprintf(told[id], "created canceled=%v reason=%q\n", response.Canceled, response.CancelReason)
			if !response.Canceled {
				open[id] = true
			}
			continue
		}
		if response.WatchId == -1 {
			// Progress: everything up to this revision has been told.
			if response.Header.Revision >= mark {
				for id := range open {
					if starts(creates, id) <= mark {
						delete(open, id)
					}
				}
				if len(open) == 0 {
					break
				}
			}
			continue
		}
		out := told[response.WatchId]
		for _, event := range response.Events {
			// etcd reads the previous value when it sends the event, which compaction may forbid by then; a server may know it still.
			if event.Kv.ModRevision <= compacted {
				event.PrevKv = nil
			}
			fmt.Fprintf(out, "%s\n", prototext.MarshalOptions{}.Format(event))
			events++
		}
		if response.Canceled && open[response.WatchId] {
			// etcd answers no progress request while a watch that compaction ended has not been cancelled by its client as well.
			if err := sender.send(cancelOf(response.WatchId)); err != nil {
				return nil, 0, err
			}
			fmt.Fprintf(out, "canceled compact_revision=%d\n", response.CompactRevision)
			delete(open, response.WatchId)
		}
	}
	var all []string
	for _, create := range creates {
		all = append(all, told[create.WatchId].String())
	}
	return all, events, nil
}

func starts(creates []*pb.WatchCreateRequest, id int64) int64 {
	for _, create := range creates {
		if create.WatchId == id {
			return create.StartRevision
		}
	}
	return 0
}

// sender lets two goroutines send on one stream.
type sender struct {
	mutex  sync.Mutex
	stream pb.Watch_WatchClient
}

func (s *sender) send(request *pb.WatchRequest) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.stream.Send(request)
}

func cancelOf(id int64) *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}}
}

func keepAsking(ctx context.Context, sender *sender) {
	for ctx.Err() == nil {
		if sender.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}) != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *watchers) round() error {
	creates := make([]*pb.WatchCreateRequest, 0, perRound)
	for i := 0; i < perRound; i++ {
		create := w.create(int64(i + 1))
		// A start in the future keeps the whole stream from progress; that is tested by itself.
		if create.StartRevision > w.generator.revision {
			create.StartRevision = w.generator.revision
		}
		creates = append(creates, create)
	}
	wanted, count, err := observe(w.pair.expected, creates, w.generator.revision, w.generator.compacted)
	if err != nil {
		return err
	}
	got, _, err := observe(w.pair.actual, creates, w.generator.revision, w.generator.compacted)
	if err != nil {
		return err
	}
	for i := range wanted {
		if normalizeSpaces(wanted[i]) != normalizeSpaces(got[i]) {
			return fmt.Errorf("a watch was told different things\n  watch %s\n%s", creates[i], difference(wanted[i], got[i]))
		}
	}
	w.compared += len(creates)
	w.events += count
	return nil
}

// prototext varies its spaces on purpose.
func normalizeSpaces(text string) string { return strings.Join(strings.Fields(text), " ") }

func difference(wanted, got string) string {
	a, b := strings.Split(wanted, "\n"), strings.Split(got, "\n")
	for i := 0; i < len(a) || i < len(b); i++ {
		left, right := "(nothing)", "(nothing)"
		if i < len(a) {
			left = a[i]
		}
		if i < len(b) {
			right = b[i]
		}
		if normalizeSpaces(left) != normalizeSpaces(right) {
			return fmt.Sprintf("  line %d\n  expected %s\n  actual   %s", i, left, right)
		}
	}
	return ""
}
