// SPDX-License-Identifier: Apache-2.0

// Command load measures one etcd v3 server: the work of kube-apiserver (its transaction shapes, lists in pages, watches with prev_kv) done by the
// ordinary Go client, many clients at once, and idle TLS connections. Prints one JSON object.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

type options struct {
	mode, address, certificate, key, authority string
	pid, objects, bytes, writers, connections  int
	watchers, clients, idle                    int
}

func parse() options {
	var o options
	flag.StringVar(&o.mode, "mode", "ordinary", "ordinary, clients or idle")
	flag.StringVar(&o.address, "address", "", "HOST:PORT of the server")
	flag.IntVar(&o.pid, "pid", 0, "of the server: its memory and CPU time are read from /proc")
	flag.IntVar(&o.objects, "objects", 10000, "how many")
	flag.IntVar(&o.bytes, "bytes", 1024, "of each object")
	flag.IntVar(&o.writers, "writers", 32, "requests at the same time")
	flag.IntVar(&o.connections, "connections", 4, "that they share")
	flag.IntVar(&o.watchers, "watchers", 4, "of all objects, with prev_kv")
	flag.IntVar(&o.clients, "clients", 1000, "in mode clients: each with a connection of its own")
	flag.IntVar(&o.idle, "idle", 10000, "in mode idle: TLS connections")
	flag.StringVar(&o.certificate, "cert", "", "client certificate for mode idle")
	flag.StringVar(&o.key, "key", "", "its key")
	flag.StringVar(&o.authority, "cacert", "", "authority of the server's certificate")
	flag.Parse()
	if o.address == "" || o.pid == 0 {
		fmt.Fprintln(os.Stderr, "load: --address and --pid are needed")
		os.Exit(2)
	}
	return o
}

// residentKiB reads the memory that a process holds.
func residentKiB(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			value, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return value
		}
	}
	return 0
}

const ticksPerSecond = 100 // USER_HZ of Linux

// cpuSeconds reads the time that a process and its ended children have used.
func cpuSeconds(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticksPerSecond
}

func rate(count int, since time.Time) float64 { return float64(count) / time.Since(since).Seconds() }

func main() {
	o := parse()
	result := map[string]any{"mode": o.mode, "idle_kib": residentKiB(o.pid)}
	modes := map[string]func(options, map[string]any) error{"ordinary": ordinary, "clients": clients, "idle": idle}
	run, found := modes[o.mode]
	if !found {
		fmt.Fprintf(os.Stderr, "load: --mode %q is none of ordinary, clients, idle\n", o.mode)
		os.Exit(2)
	}
	cpu := cpuSeconds(o.pid)
	if err := run(o, result); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	result["cpu_seconds"] = cpuSeconds(o.pid) - cpu
	result["after_kib"] = residentKiB(o.pid)
	text, _ := json.Marshal(result)
	fmt.Println(string(text))
}
