// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/prototext"
)

// liveWatches are open on both servers while requests go on: compactions pass them, starts lie in the future, large revisions come in
// fragments. They are compared when they end.
type liveWatches struct {
	pair                                   *pair
	generator                              *generator
	open                                   []*liveWatch
	compared, events, fragments, compacted int
}

type liveWatch struct {
	create *pb.WatchCreateRequest
	sides  [2]*side
	left   int // turns
}

// side is what one server tells one watch.
type side struct {
	mutex     sync.Mutex
	name      string
	stream    *sender
	cancel    context.CancelFunc
	events    []*mvccpb.Event
	created   string
	progress  int64
	compacted int64
	fragments int
	inside    bool // of a response in fragments
	wrong     error
	over      chan struct{}
}

const liveTogether = 4

func newLiveWatches(p *pair, g *generator) *liveWatches { return &liveWatches{pair: p, generator: g} }

func (s *side) receive(fragment bool) {
	defer close(s.over)
	for {
		response, err := s.stream.stream.Recv()
		if err != nil {
			return
		}
		s.take(response, fragment)
	}
}

func (s *side) take(response *pb.WatchResponse, fragment bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch {
	case response.Created:
		s.created = fmt.Sprintf("canceled=%v reason=%q", response.Canceled, response.CancelReason)
	case response.CompactRevision != 0:
		s.compacted = response.CompactRevision
	case response.WatchId == -1:
		s.progress = response.Header.Revision
	}
	if response.Fragment && !fragment {
		s.wrong = fmt.Errorf("%s: a fragment nobody asked for", s.name)
	}
	if response.Fragment {
		s.fragments++
	}
	for _, event := range response.Events {
		if event.Kv.ModRevision <= s.progress {
			s.wrong = fmt.Errorf("%s: revision %d after progress %d", s.name, event.Kv.ModRevision, s.progress)
		}
		if last := len(s.events); last > 0 && !s.inside && event == response.Events[0] && event.Kv.ModRevision <= s.events[last-1].Kv.ModRevision {
			s.wrong = fmt.Errorf("%s: revision %d in two responses", s.name, event.Kv.ModRevision)
		}
		s.events = append(s.events, event)
	}
	s.inside = response.Fragment
}

func (w *liveWatches) begin() error {
	g := w.generator
	create := &pb.WatchCreateRequest{PrevKv: g.one(2), Fragment: g.one(2), StartRevision: g.revision + 1}
	create.Key, create.RangeEnd = g.rangeOf()
	switch g.random.Intn(5) {
	case 0:
		create.StartRevision = g.revision + int64(g.random.Intn(40)) // in the future
	case 1:
		create.StartRevision = g.past()
	case 2: // where large revisions are written
		create.Key, create.RangeEnd, create.PrevKv, create.Fragment = []byte("/a/"), []byte("/a0"), true, true
	}
	if create.StartRevision <= 0 {
		create.StartRevision = 0
	}
	if g.one(6) {
		create.Filters = append(create.Filters, pb.WatchCreateRequest_FilterType(g.random.Intn(2)))
	}
	watch := &liveWatch{create: create, left: 50 + g.random.Intn(3000)}
	for i, server := range []*server{w.pair.expected, w.pair.actual} {
		ctx, cancel := context.WithCancel(context.Background())
		stream, err := server.watch.Watch(ctx)
		if err != nil {
			cancel()
			return err
		}
		one := &side{name: server.name, stream: &sender{stream: stream}, cancel: cancel, over: make(chan struct{})}
		watch.sides[i] = one
		go one.receive(create.Fragment)
		if err := one.stream.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
			return err
		}
		// The next request must find the watch there.
		if err := one.until(func() bool { return one.created != "" }); err != nil {
			return err
		}
	}
	w.open = append(w.open, watch)
	return nil
}

func (s *side) until(done func() bool) error {
	for began := time.Now(); time.Since(began) < 60*time.Second; time.Sleep(time.Millisecond) {
		s.mutex.Lock()
		finished := done()
		s.mutex.Unlock()
		if finished {
			return nil
		}
	}
	return fmt.Errorf("%s: the watch does not get on", s.name)
}

// settle waits until the server says that everything up to the revision was told.
func (s *side) settle(revision int64) error {
	if strings.Contains(s.created, "canceled=true") {
		return nil
	}
	return s.until(func() bool {
		if s.progress >= revision || s.compacted != 0 {
			return true
		}
		_ = s.stream.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
		s.mutex.Unlock()
		time.Sleep(20 * time.Millisecond)
		s.mutex.Lock()
		return false
	})
}

func (w *liveWatches) turn() error {
	if len(w.open) < liveTogether && w.generator.one(20) {
		if err := w.begin(); err != nil {
			return err
		}
	}
	for i, watch := range w.open {
		watch.left--
		if watch.left > 0 || watch.create.StartRevision > w.generator.revision {
			continue
		}
		w.open = append(w.open[:i], w.open[i+1:]...)
		return w.end(watch)
	}
	return nil
}

func (w *liveWatches) end(watch *liveWatch) error {
	for _, one := range watch.sides {
		err := one.settle(w.generator.revision)
		one.cancel()
		<-one.over
		if err == nil {
			err = one.wrong
		}
		if err != nil {
			return fmt.Errorf("watch %s: %w", watch.create, err)
		}
	}
	expected, actual := watch.sides[0], watch.sides[1]
	w.compared++
	w.events += len(expected.events)
	w.fragments += expected.fragments
	if expected.compacted != 0 || actual.compacted != 0 {
		w.compacted++
	}
	if err := w.compare(expected, actual); err != nil {
		return fmt.Errorf("a watch was told different things\n  watch %s\n  %w", watch.create, err)
	}
	return nil
}

// compare: a watch that catches up may be overtaken by a compaction on one server and not on the other; what both told is the same.
func (w *liveWatches) compare(expected, actual *side) error {
	if expected.created != actual.created {
		return fmt.Errorf("expected %s\n  actual   %s", expected.created, actual.created)
	}
	ended := expected.compacted != 0 || actual.compacted != 0
	if !ended && len(expected.events) != len(actual.events) {
		return fmt.Errorf("expected %d events\n  actual   %d", len(expected.events), len(actual.events))
	}
	for i := 0; i < min(len(expected.events), len(actual.events)); i++ {
		wanted, got := expected.events[i], actual.events[i]
		// etcd reads the previous value when it sends the event; compaction may forbid that by then.
		if wanted.PrevKv == nil && wanted.Kv.ModRevision-1 <= w.generator.compacted {
			got.PrevKv = nil
		}
		left, right := normalizeSpaces(prototext.MarshalOptions{}.Format(wanted)), normalizeSpaces(prototext.MarshalOptions{}.Format(got))
		if left != right {
			return fmt.Errorf("event %d\n  expected %.300s\n  actual   %.300s", i, left, right)
		}
	}
	return nil
}

func (w *liveWatches) stop() {
	for _, watch := range w.open {
		for _, one := range watch.sides {
			one.cancel()
			<-one.over
		}
	}
}
