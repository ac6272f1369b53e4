// SPDX-License-Identifier: Apache-2.0

// Command crash runs a datastore, kills it at random under load, starts it again, and checks all that clients were told: no acknowledged write is
// missing, no revision is used twice or skipped, watches have no gap and keep what progress notices promise, reads are linearizable.
package main

import (
	"flag"
	"fmt"
	"math/rand"
	"os"
	"time"
)

type options struct {
	program, directory, address string
	rounds, writers             int
	seed                        int64
	untilDiskFull               bool
}

func parse() options {
	var o options
	flag.StringVar(&o.program, "program", "", "kamaji")
	flag.StringVar(&o.directory, "data-dir", "", "an empty folder")
	flag.StringVar(&o.address, "address", "", "HOST:PORT to serve at")
	flag.IntVar(&o.rounds, "kills", 20, "how often")
	flag.IntVar(&o.writers, "writers", 16, "at the same time")
	flag.Int64Var(&o.seed, "seed", time.Now().UnixNano(), "of the kills; printed")
	flag.BoolVar(&o.untilDiskFull, "until-disk-full", false, "do not kill: write until the server ends by itself because its disk is full; one round")
	flag.Parse()
	if o.program == "" || o.directory == "" || o.address == "" {
		fmt.Fprintln(os.Stderr, "crash: --program, --data-dir and --address are needed")
		os.Exit(2)
	}
	return o
}

func main() {
	o := parse()
	fmt.Printf("seed %d\n", o.seed)
	h := newHistory()
	r := &runner{o: o, random: rand.New(rand.NewSource(o.seed)), history: h}
	err := r.run()
	if err == nil {
		err = h.check(r.final)
	}
	if err != nil {
		fmt.Printf("seed %d: %v\n", o.seed, err)
		os.Exit(1)
	}
	fmt.Printf("%d kills, %d writes acknowledged, %d of unknown outcome, %d reads, %d events watched, %d progress notices, longest start %.2f s: all well\n",
		r.kills, len(h.acknowledged), h.unknown, len(h.reads), len(h.events), h.progress, r.longestStart.Seconds())
}
