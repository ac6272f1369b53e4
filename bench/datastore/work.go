// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sort"
	"strconv"
	"sync"
	"time"

	"context"
)

// Every run has a prefix of its own, so that runs after one another on one server do not meet.
var prefix = fmt.Sprintf("/registry/bench/%d/", time.Now().UnixNano())

func keyOf(i int) string { return fmt.Sprintf("%sdefault/object-%06d", prefix, i) }

const stampDigits = 19

// valueOf begins with the time it was made, by which watchers know how late they are.
func valueOf(bytes int) []byte {
	value := make([]byte, 0, bytes)
	value = strconv.AppendInt(value, time.Now().UnixNano(), 10)
	for len(value) < bytes {
		value = append(value, byte('a'+len(value)%26))
	}
	return value
}

// lags collects how late watchers learned of values.
type lags struct {
	mutex sync.Mutex
	all   []time.Duration
	seen  int
}

func (l *lags) note(values [][]byte) {
	now := time.Now().UnixNano()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, value := range values {
		l.seen++
		if len(value) >= stampDigits {
			if stamp, err := strconv.ParseInt(string(value[:stampDigits]), 10, 64); err == nil {
				l.all = append(l.all, time.Duration(now-stamp))
			}
		}
	}
}

func (l *lags) percentile(p float64) float64 {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	sort.Slice(l.all, func(i, j int) bool { return l.all[i] < l.all[j] })
	return float64(l.all[int(float64(len(l.all)-1)*p)].Microseconds()) / 1000
}

// wait returns when so many events have been seen.
func (l *lags) wait(ctx context.Context, count int) error {
	for {
		l.mutex.Lock()
		seen := l.seen
		l.mutex.Unlock()
		if seen >= count {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("watchers saw %d of %d events", seen, count)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// share runs function for 0..count-1 on so many workers until the limit; returns how many it ran. The first error ends all.
func share(workers, count int, limit time.Duration, function func(worker, i int) error) (int, error) {
	var group sync.WaitGroup
	var mutex sync.Mutex
	var first error
	next := 0
	end := time.Now().Add(limit)
	take := func() (int, bool) {
		mutex.Lock()
		defer mutex.Unlock()
		if next >= count || first != nil || time.Now().After(end) {
			return 0, false
		}
		next++
		return next - 1, true
	}
	for worker := 0; worker < workers; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				i, more := take()
				if !more {
					return
				}
				if err := function(worker, i); err != nil {
					mutex.Lock()
					if first == nil {
						first = err
					}
					mutex.Unlock()
					return
				}
			}
		}()
	}
	group.Wait()
	return next, first
}
