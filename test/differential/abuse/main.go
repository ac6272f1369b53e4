// SPDX-License-Identifier: Apache-2.0

// Command abuse treats a datastore as no client should, one way after the other, while an ordinary client goes on beside it: the server says what
// it refuses by name and number, its memory stays within bounds, and the neighbour is answered all the time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

type options struct {
	address  string
	pid      int
	memory   int           // MiB that the server may hold at most
	metadata int           // bytes of a header block that it takes
	slowest  time.Duration // that a neighbour may wait
	only     string
}

// resident is the server's memory in MiB.
func resident(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return -1
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "VmRSS:") {
			kib, _ := strconv.Atoi(strings.Fields(line)[1])
			return kib / 1024
		}
	}
	return -1
}

// neighbour puts and watches, and remembers how long the slowest of its calls took.
type neighbour struct {
	mutex   sync.Mutex
	slowest time.Duration
	calls   int
	events  int
	err     error
	stop    context.CancelFunc
	over    sync.WaitGroup
}

func begin(o options) (*neighbour, error) {
	connection, err := grpc.NewClient(o.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &neighbour{stop: stop}
	stream, err := pb.NewWatchClient(connection).Watch(ctx)
	if err != nil {
		return nil, err
	}
	create := &pb.WatchCreateRequest{Key: []byte("neighbour")}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
		return nil, err
	}
	if _, err := stream.Recv(); err != nil {
		return nil, err
	}
	n.over.Add(2)
	go func() {
		defer n.over.Done()
		for {
			response, err := stream.Recv()
			if err != nil {
				return
			}
			n.mutex.Lock()
			n.events += len(response.Events)
			n.mutex.Unlock()
		}
	}()
	go func() {
		defer n.over.Done()
		kv := pb.NewKVClient(connection)
		for ctx.Err() == nil {
			began := time.Now()
			call, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			_, err := kv.Put(call, &pb.PutRequest{Key: []byte("neighbour"), Value: []byte("v")})
			cancel()
			n.mutex.Lock()
			n.calls++
			n.slowest = max(n.slowest, time.Since(began))
			if err != nil && n.err == nil {
				n.err = err
			}
			n.mutex.Unlock()
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return n, nil
}

func run(o options) error {
	beside, err := begin(o)
	if err != nil {
		return err
	}
	most := 0
	for _, one := range abuses {
		if !strings.Contains(one.name, o.only) {
			continue
		}
		before := resident(o.pid)
		beside.mutex.Lock()
		beside.slowest = 0
		beside.mutex.Unlock()
		said, err := one.act(o)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		beside.mutex.Lock()
		slowest, wrong := beside.slowest, beside.err
		beside.mutex.Unlock()
		after := resident(o.pid)
		most = max(most, after)
		fmt.Printf("%-40s %4d -> %4d MiB, the neighbour's slowest call %4d ms: %s\n", one.name, before, after, slowest.Milliseconds(), said)
		switch {
		case wrong != nil:
			return fmt.Errorf("%s: the neighbour was told %w", one.name, wrong)
		case slowest > o.slowest:
			return fmt.Errorf("%s: the neighbour waited %s", one.name, slowest)
		case after < 0 || after > o.memory:
			return fmt.Errorf("%s: the server holds %d MiB", one.name, after)
		}
	}
	time.Sleep(100 * time.Millisecond)
	beside.stop()
	beside.over.Wait()
	if beside.events < beside.calls-1 {
		return fmt.Errorf("the neighbour put %d times and its watch told %d", beside.calls, beside.events)
	}
	fmt.Printf("%d calls of the neighbour, %d events, at most %d MiB: refused and unharmed\n", beside.calls, beside.events, most)
	return nil
}

func main() {
	var o options
	flag.StringVar(&o.address, "address", "", "HOST:PORT of the datastore")
	flag.IntVar(&o.pid, "pid", 0, "its process")
	flag.IntVar(&o.memory, "memory", 400, "MiB that it may hold")
	flag.IntVar(&o.metadata, "metadata", 16<<10, "bytes of a header block that it takes; etcd takes 16 MiB")
	flag.DurationVar(&o.slowest, "slowest", 3*time.Second, "how long a neighbour may wait")
	flag.StringVar(&o.only, "only", "", "those with this in their names")
	flag.Parse()
	if o.address == "" || o.pid == 0 {
		fmt.Fprintln(os.Stderr, "usage: abuse --address HOST:PORT --pid PID [--memory MIB] [--slowest DURATION]")
		os.Exit(2)
	}
	if err := run(o); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
