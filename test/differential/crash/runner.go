// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

type runner struct {
	o            options
	random       *rand.Rand
	history      *history
	process      *exec.Cmd
	connection   *grpc.ClientConn
	values       atomic.Int64
	kills        int
	longestStart time.Duration
	final        map[string]string
}

const startPatience = 60 * time.Second

func (r *runner) start() error {
	began := time.Now()
	r.process = exec.Command(r.o.program, "datastore", "--data-dir", r.o.directory, "--listen-client-urls", "http://"+r.o.address, "--log-level", "warn")
	r.process.Stderr = os.Stderr
	if err := r.process.Start(); err != nil {
		return err
	}
	connection, err := grpc.NewClient(r.o.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	r.connection = connection
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := pb.NewKVClient(connection).Range(ctx, &pb.RangeRequest{Key: []byte("k")}, grpc.WaitForReady(true))
		cancel()
		if err == nil {
			break
		}
		if time.Since(began) > startPatience {
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
	r.longestStart = max(r.longestStart, time.Since(began))
	return nil
}

// write does one put or delete of a key that several writers share.
func (r *runner) write(kv pb.KVClient, random *rand.Rand) error {
	w := write{key: fmt.Sprintf("key-%03d", random.Intn(200)), start: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if random.Intn(8) == 0 {
		response, err := kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte(w.key)})
		if err != nil {
			r.history.doubt()
			return err
		}
		w.end, w.revision = time.Now(), response.Header.Revision
		if response.Deleted > 0 {
			r.history.wrote(w)
		}
		return nil
	}
	w.value = fmt.Sprintf("%d-%0*d", r.values.Add(1), 1+random.Intn(2000), 0)
	response, err := kv.Put(ctx, &pb.PutRequest{Key: []byte(w.key), Value: []byte(w.value)})
	if err != nil {
		r.history.doubt()
		return err
	}
	w.end, w.revision = time.Now(), response.Header.Revision
	r.history.wrote(w)
	return nil
}

func (r *runner) read(kv pb.KVClient, random *rand.Rand) error {
	one := read{key: fmt.Sprintf("key-%03d", random.Intn(200)), start: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	response, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte(one.key)})
	if err != nil {
		return err
	}
	one.end, one.revision = time.Now(), response.Header.Revision
	if len(response.Kvs) > 0 {
		one.value = string(response.Kvs[0].Value)
	}
	r.history.saw(one)
	return nil
}

// watch tells the history everything from the last event on, until the connection ends.
func (r *runner) watch(ctx context.Context) error {
	stream, err := pb.NewWatchClient(r.connection).Watch(ctx)
	if err != nil {
		return err
	}
	r.history.mutex.Lock()
	from := r.history.lastEvent() + 1
	r.history.mutex.Unlock()
	create := &pb.WatchCreateRequest{Key: []byte("key-"), RangeEnd: []byte("key."), StartRevision: from, PrevKv: true}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
		return err
	}
	go func() {
		for ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond)
			if stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}) != nil {
				return
			}
		}
	}()
	for {
		response, err := stream.Recv()
		switch {
		case err != nil:
			return err
		case response.Canceled:
			return fmt.Errorf("the watch from revision %d was cancelled: compacted %d, %s", from, response.CompactRevision, response.CancelReason)
		case response.WatchId == -1:
			r.history.promise(response.Header.Revision)
		default:
			r.history.watched(response.Events, response.Header.Revision)
		}
	}
}

// load writes, reads and watches until the server is gone.
func (r *runner) load(stop func()) {
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	over := &atomic.Bool{}
	for i := 0; i < r.o.writers; i++ {
		random := rand.New(rand.NewSource(r.random.Int63()))
		group.Add(1)
		go func() {
			defer group.Done()
			kv := pb.NewKVClient(r.connection)
			for !over.Load() {
				if random.Intn(4) == 0 {
					_ = r.read(kv, random)
				} else if r.write(kv, random) != nil {
					return
				}
			}
		}()
	}
	group.Add(1)
	go func() {
		defer group.Done()
		_ = r.watch(ctx)
	}()
	stop()
	over.Store(true)
	cancel()
	group.Wait()
}

func (r *runner) round() error {
	if err := r.start(); err != nil {
		return err
	}
	defer r.connection.Close()
	var ended error
	r.load(func() {
		if r.o.untilDiskFull {
			ended = r.process.Wait()
			return
		}
		time.Sleep(time.Duration(30+r.random.Intn(700)) * time.Millisecond)
		_ = r.process.Process.Kill()
		_ = r.process.Wait()
		r.kills++
	})
	if r.o.untilDiskFull && ended == nil {
		return errors.New("the server ended as if nothing had happened")
	}
	return nil
}

// finish reads what is there at the end, after the watch has told everything.
func (r *runner) finish() error {
	if err := r.start(); err != nil {
		return err
	}
	defer func() {
		r.connection.Close()
		_ = r.process.Process.Kill()
		_ = r.process.Wait()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	response, err := pb.NewKVClient(r.connection).Range(ctx, &pb.RangeRequest{Key: []byte("key-"), RangeEnd: []byte("key.")})
	if err != nil {
		return err
	}
	r.final = map[string]string{}
	for _, kv := range response.Kvs {
		r.final[string(kv.Key)] = string(kv.Value)
	}
	over := make(chan error, 1)
	watching, end := context.WithCancel(ctx)
	go func() { over <- r.watch(watching) }()
	for {
		r.history.mutex.Lock()
		seen, wrong := r.history.lastEvent(), r.history.wrong
		r.history.mutex.Unlock()
		if seen >= response.Header.Revision || wrong != nil {
			break
		}
		select {
		case err := <-over:
			end()
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
	end()
	<-over
	return nil
}

func (r *runner) run() error {
	rounds := r.o.rounds
	if r.o.untilDiskFull {
		rounds = 1
	}
	for i := 0; i < rounds; i++ {
		if err := r.round(); err != nil {
			return err
		}
	}
	if r.o.untilDiskFull {
		fmt.Println("the disk is full; make room and press return")
		_, _ = fmt.Scanln()
	}
	return r.finish()
}
