// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const expiringLease = 1000

// expire lets a lease of the shortest time end on both servers while nothing else happens: its keys go, in one revision.
func expire(p *pair, g *generator) error {
	ctx := context.Background()
	if err := p.call(ctx, &pb.LeaseGrantRequest{ID: expiringLease, TTL: 1}, g); err != nil {
		return err
	}
	granted := time.Now()
	for i := 0; i < 1+g.random.Intn(3); i++ {
		put := &pb.PutRequest{Key: []byte(fmt.Sprintf("/%c/%02d", 'a'+g.random.Intn(3), g.random.Intn(12))), Value: g.value(), Lease: expiringLease}
		if err := p.call(ctx, put, g); err != nil {
			return err
		}
	}
	for _, server := range []*server{p.expected, p.actual} {
		for {
			left, err := server.lease.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: expiringLease})
			if err != nil {
				return err
			}
			if left.TTL < 0 {
				break
			}
			if time.Since(granted) > 30*time.Second {
				return fmt.Errorf("%s: the lease is still there", server.name)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if time.Since(granted) < 2*time.Second {
			return fmt.Errorf("%s: the lease ended after %s", server.name, time.Since(granted))
		}
	}
	p.expired++
	return p.call(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}, g)
}
