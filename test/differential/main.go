// SPDX-License-Identifier: Apache-2.0

// Command differential sends the same random requests to two etcd v3 servers and compares every answer, every error and every watched
// event. Identities (cluster, member, term) are not compared; nor is the order of items that a request's sort leaves undecided.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// server is one side: the same requests go to both.
type server struct {
	name       string
	connection *grpc.ClientConn
	kv         pb.KVClient
	lease      pb.LeaseClient
	watch      pb.WatchClient

	maintenance pb.MaintenanceClient
	auth        pb.AuthClient
}

func dial(name, address string) (*server, error) {
	return dialWith(name, address, insecure.NewCredentials())
}

type options struct {
	expected, actual string
	seed             int64
	operations       int
	duration         time.Duration
	certificates     string
}

func parse() options {
	var o options
	flag.StringVar(&o.expected, "expected", "", "address of the server that is right (etcd)")
	flag.StringVar(&o.actual, "actual", "", "address of the server under test")
	flag.Int64Var(&o.seed, "seed", time.Now().UnixNano(), "of the random requests; printed")
	flag.IntVar(&o.operations, "operations", 0, "stop after so many; 0: no bound")
	flag.DurationVar(&o.duration, "duration", 0, "stop after so long; 0: no bound")
	flag.StringVar(&o.certificates, "certificates", "", "compare users, roles and permissions, on servers with TLS, with the certificates of this folder")
	flag.Parse()
	if o.expected == "" || o.actual == "" || (o.operations == 0 && o.duration == 0) {
		fmt.Fprintln(os.Stderr, "usage: differential --expected HOST:PORT --actual HOST:PORT (--operations N | --duration D) [--seed N]")
		os.Exit(2)
	}
	return o
}

func run(o options) error {
	expected, err := dial("expected", o.expected)
	if err != nil {
		return err
	}
	actual, err := dial("actual", o.actual)
	if err != nil {
		return err
	}
	pair := &pair{expected: expected, actual: actual}
	if err := compareMalformed(pair); err != nil {
		return err
	}
	generator := newGenerator(rand.New(rand.NewSource(o.seed)))
	watchers := newWatchers(pair, generator)
	live := newLiveWatches(pair, generator)
	defer live.stop()
	end := time.Now().Add(o.duration)
	started := time.Now()
	for n := 1; ; n++ {
		if o.operations > 0 && n > o.operations {
			break
		}
		if o.duration > 0 && n%64 == 0 && time.Now().After(end) {
			break
		}
		request := generator.next()
		if err := pair.call(context.Background(), request, generator); err != nil {
			return fmt.Errorf("operation %d: %w", n, err)
		}
		if n%2000 == 0 { // twice: the second time there are large values before it
			for range 2 {
				if err := pair.call(context.Background(), generator.large(), generator); err != nil {
					return fmt.Errorf("after operation %d: %w", n, err)
				}
			}
		}
		if err := live.turn(); err != nil {
			return fmt.Errorf("live watches after operation %d: %w", n, err)
		}
		if n%10000 == 0 {
			if err := expire(pair, generator); err != nil {
				return fmt.Errorf("leases after operation %d: %w", n, err)
			}
		}
		if n%500 == 0 {
			if err := watchers.round(); err != nil {
				return fmt.Errorf("watches after operation %d: %w", n, err)
			}
		}
	}
	if err := watchers.round(); err != nil {
		return fmt.Errorf("watches at the end: %w", err)
	}
	fmt.Printf("%d operations, %d watches with %d events and %d live ones with %d events (%d in fragments, %d ended by compaction), "+
		"%d leases expired, compared in %.1f s: equal\n", pair.count, watchers.compared, watchers.events, live.compared, live.events, live.fragments,
		live.compacted, pair.expired, time.Since(started).Seconds())
	fmt.Print(pair.summary())
	return nil
}

func main() {
	o := parse()
	fmt.Printf("seed %d\n", o.seed)
	compare := run
	if o.certificates != "" {
		compare = runAuthentication
	}
	if err := compare(o); err != nil {
		fmt.Printf("seed %d: %v\n", o.seed, err)
		os.Exit(1)
	}
}
