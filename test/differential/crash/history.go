// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sort"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

type write struct {
	key, value string // value "" is a delete
	start, end time.Time
	revision   int64
}

type read struct {
	key, value string
	start, end time.Time
	revision   int64
}

type event struct {
	revision           int64
	key, value, before string
	known              bool // before was told
}

// history is what clients were told, from any goroutine.
type history struct {
	mutex        sync.Mutex
	acknowledged []write
	reads        []read
	events       []event
	unknown      int
	progress     int
	promised     int64
	wrong        error
}

func newHistory() *history { return &history{} }

func (h *history) fail(format string, arguments ...any) {
	if h.wrong == nil {
		h.wrong = fmt.Errorf(format, arguments...)
	}
}

func (h *history) wrote(w write) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.acknowledged = append(h.acknowledged, w)
}

func (h *history) doubt() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.unknown++
}

func (h *history) saw(r read) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.reads = append(h.reads, r)
}

func (h *history) lastEvent() int64 {
	if len(h.events) == 0 {
		return 1
	}
	return h.events[len(h.events)-1].revision
}

// watched takes one response; a revision comes whole, once, in order, and never after a promise that all of it had been told.
func (h *history) watched(events []*mvccpb.Event, header int64) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	last := h.lastEvent()
	for _, e := range events {
		revision := e.Kv.ModRevision
		switch {
		case revision != last+1:
			h.fail("the watch told revision %d after %d", revision, last)
		case revision <= h.promised:
			h.fail("revision %d was told after progress %d", revision, h.promised)
		case revision > header:
			h.fail("an event of revision %d came with header %d", revision, header)
		}
		last = revision
		told := event{revision: revision, key: string(e.Kv.Key), value: string(e.Kv.Value), known: e.PrevKv != nil}
		if e.PrevKv != nil {
			told.before = string(e.PrevKv.Value)
		}
		h.events = append(h.events, told)
	}
}

func (h *history) promise(revision int64) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.progress++
	if revision < h.promised {
		h.fail("progress went back from %d to %d", h.promised, revision)
	}
	if last := h.lastEvent(); revision > last {
		h.fail("progress %d before the event of revision %d", revision, last+1)
	}
	h.promised = revision
}

// check replays the events, which are one for every revision, and holds everything else against them.
func (h *history) check(final map[string]string) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.wrong != nil {
		return h.wrong
	}
	state := map[string]string{}
	versions := map[string][]event{}
	at := map[int64]event{}
	for _, e := range h.events {
		if before := state[e.key]; e.before != before {
			return fmt.Errorf("revision %d: the previous value of %s was told as %q and is %q", e.revision, e.key, e.before, before)
		}
		state[e.key] = e.value
		if e.value == "" {
			delete(state, e.key)
		}
		versions[e.key] = append(versions[e.key], e)
		at[e.revision] = e
	}
	if err := same(state, final); err != nil {
		return err
	}
	for _, w := range h.acknowledged {
		if e, found := at[w.revision]; !found || e.key != w.key || e.value != w.value {
			return fmt.Errorf("%s=%q was acknowledged as revision %d, where the watch told %s=%q", w.key, w.value, w.revision, e.key, e.value)
		}
	}
	for _, r := range h.reads {
		if value := valueAt(versions[r.key], r.revision); value != r.value {
			return fmt.Errorf("%s was read as %q at revision %d and was %q", r.key, r.value, r.revision, value)
		}
	}
	return h.checkOrder()
}

func same(expected, found map[string]string) error {
	for key, value := range expected {
		if found[key] != value {
			return fmt.Errorf("%s is %q at the end; the events say %q", key, found[key], value)
		}
	}
	if len(found) != len(expected) {
		return fmt.Errorf("%d keys at the end; the events say %d", len(found), len(expected))
	}
	return nil
}

func valueAt(versions []event, revision int64) string {
	n := sort.Search(len(versions), func(i int) bool { return versions[i].revision > revision })
	if n == 0 {
		return ""
	}
	return versions[n-1].value
}

// checkOrder: revisions are the order in which everything happened, so an operation that ended before another began must not be after it.
func (h *history) checkOrder() error {
	type point struct {
		time     time.Time
		revision int64
		begins   bool
		strict   bool // a write's own revision must be new
	}
	var points []point
	for _, w := range h.acknowledged {
		points = append(points, point{w.start, w.revision, true, true}, point{w.end, w.revision, false, true})
	}
	for _, r := range h.reads {
		points = append(points, point{r.start, r.revision, true, false}, point{r.end, r.revision, false, false})
	}
	sort.Slice(points, func(i, j int) bool { return points[i].time.Before(points[j].time) })
	ended := int64(0)
	for _, p := range points {
		switch {
		case !p.begins:
			ended = max(ended, p.revision)
		case p.revision < ended || (p.strict && p.revision == ended):
			return fmt.Errorf("revision %d was given to an operation that began after revision %d had been told", p.revision, ended)
		}
	}
	return nil
}
