// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/grpclog"
)

func init() { grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) }

const patience = 5 * time.Minute

func dial(o options) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{o.address}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
}

// ordinaryRun is the work through go.etcd.io/etcd/client/v3, as kube-apiserver does it.
type ordinaryRun struct {
	o         options
	ctx       context.Context
	clients   []*clientv3.Client
	revisions []int64
	lags      lags
}

func (r *ordinaryRun) client(worker int) *clientv3.Client { return r.clients[worker%len(r.clients)] }

func (r *ordinaryRun) watch() error {
	started := make(chan error, r.o.watchers)
	for i := 0; i < r.o.watchers; i++ {
		channel := r.client(i).Watch(clientv3.WithRequireLeader(r.ctx), prefix, clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
		go func() {
			first := true
			for response := range channel {
				if first {
					started <- response.Err()
					first = false
				}
				values := make([][]byte, 0, len(response.Events))
				for _, event := range response.Events {
					values = append(values, event.Kv.Value)
				}
				r.lags.note(values)
			}
		}()
	}
	for i := 0; i < r.o.watchers; i++ {
		if err := <-started; err != nil {
			return err
		}
	}
	return nil
}

func (r *ordinaryRun) put(worker, i int) error {
	key := keyOf(i)
	then := clientv3.OpPut(key, string(valueOf(r.o.bytes)))
	response, err := r.client(worker).Txn(r.ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", r.revisions[i])).Then(then).
		Else(clientv3.OpGet(key)).Commit()
	if err == nil && !response.Succeeded {
		err = fmt.Errorf("the revision of %s was not %d", key, r.revisions[i])
	}
	if err == nil {
		r.revisions[i] = response.Header.Revision
	}
	return err
}

func (r *ordinaryRun) get(worker, i int) error {
	response, err := r.client(worker).Get(r.ctx, keyOf(i), clientv3.WithLimit(1))
	if err == nil && len(response.Kvs) != 1 {
		err = fmt.Errorf("%s is missing", keyOf(i))
	}
	return err
}

const pageSize = 500

// page reads one page; pages of one list share their revision.
func (r *ordinaryRun) page(worker, i int) error {
	pages := (r.o.objects + pageSize - 1) / pageSize
	response, err := r.client(worker).Get(r.ctx, keyOf(i%pages*pageSize), clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)),
		clientv3.WithLimit(pageSize))
	if err == nil && len(response.Kvs) == 0 {
		err = fmt.Errorf("page %d is empty", i)
	}
	return err
}

func (r *ordinaryRun) remove(worker, i int) error {
	key := keyOf(i)
	response, err := r.client(worker).Txn(r.ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", r.revisions[i])).
		Then(clientv3.OpDelete(key)).Else(clientv3.OpGet(key)).Commit()
	if err == nil && !response.Succeeded {
		err = fmt.Errorf("the revision of %s was not %d", key, r.revisions[i])
	}
	return err
}

const (
	pagesRead = 600
	readLimit = 5 * time.Second // for a step of reads: a slow server answers fewer of them
)

// begin connects and watches; cancel ends both.
func (r *ordinaryRun) begin() (context.Context, func(), error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.ctx = ctx
	end := func() {
		cancel()
		for _, client := range r.clients {
			client.Close()
		}
	}
	for i := 0; i < r.o.connections; i++ {
		client, err := dial(r.o)
		if err != nil {
			return ctx, end, err
		}
		r.clients = append(r.clients, client)
	}
	return ctx, end, r.watch()
}

func ordinary(o options, result map[string]any) error {
	run := &ordinaryRun{o: o, revisions: make([]int64, o.objects)}
	ctx, end, err := run.begin()
	defer end()
	if err != nil {
		return err
	}
	steps := []struct {
		name     string
		count    int
		reads    bool
		function func(worker, i int) error
	}{
		{"create", o.objects, false, run.put},
		{"update", o.objects, false, run.put},
		{"get", o.objects * 2, true, func(worker, i int) error { return run.get(worker, i%o.objects) }},
		{"page", pagesRead, true, run.page},
		{"delete", o.objects, false, run.remove},
	}
	events := 0
	for _, step := range steps {
		start := time.Now()
		limit := patience
		if step.reads {
			limit = readLimit
		}
		done, err := share(o.writers, step.count, limit, step.function)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		result[step.name] = rate(done, start)
		if !step.reads {
			events += step.count * o.watchers
			if err := run.lags.wait(ctx, events); err != nil {
				return err
			}
		}
	}
	result["lag_p50_ms"], result["lag_p99_ms"] = run.lags.percentile(0.5), run.lags.percentile(0.99)
	return nil
}
