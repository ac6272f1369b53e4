// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/net/http2"
)

const requestsPerClient = 20

// clients lets many clients, each with its own connection, write and read at once; one error is a failure.
func clients(o options, result map[string]any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var failures atomic.Int64
	start := time.Now()
	_, err := share(o.clients, o.clients, patience, func(_, i int) error {
		client, err := dial(o)
		if err != nil {
			return err
		}
		defer client.Close()
		key := fmt.Sprintf("%sclient-%05d", prefix, i)
		for n := 0; n < requestsPerClient; n++ {
			if _, err := client.Put(ctx, key, string(valueOf(o.bytes))); err != nil {
				failures.Add(1)
				return err
			}
			if _, err := client.Get(ctx, key); err != nil {
				failures.Add(1)
				return err
			}
		}
		return nil
	})
	result["requests"] = rate(2*requestsPerClient*o.clients, start)
	result["failures"] = failures.Load()
	if err == nil {
		_, err = (&ordinaryRun{o: o}).sweep(ctx)
	}
	return err
}

func (r *ordinaryRun) sweep(ctx context.Context) (int64, error) {
	client, err := dial(r.o)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	response, err := client.Delete(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return 0, err
	}
	return response.Deleted, nil
}

// idle opens TLS connections that have made their HTTP/2 settings known and does nothing with them.
func idle(o options, result map[string]any) error {
	authority, err := os.ReadFile(o.authority)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(o.certificate, o.key)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return errors.New("--cacert holds no certificate")
	}
	config := &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}, ServerName: "localhost"}
	before := residentKiB(o.pid)
	connections := make([]*tls.Conn, o.idle)
	start := time.Now()
	_, err = share(o.writers, o.idle, patience, func(_, i int) error {
		connection, err := tls.Dial("tcp", o.address, config)
		if err != nil {
			return err
		}
		connections[i] = connection
		if _, err := connection.Write([]byte(http2.ClientPreface)); err != nil {
			return err
		}
		framer := http2.NewFramer(connection, connection)
		if err := framer.WriteSettings(); err != nil {
			return err
		}
		for settled := false; !settled; {
			frame, err := framer.ReadFrame()
			if err != nil {
				return err
			}
			settings, is := frame.(*http2.SettingsFrame)
			if is && !settings.IsAck() {
				if err := framer.WriteSettingsAck(); err != nil {
					return err
				}
			}
			settled = is && settings.IsAck()
		}
		return nil
	})
	if err != nil {
		return err
	}
	result["handshakes"] = rate(o.idle, start)
	time.Sleep(2 * time.Second)
	result["bytes_per_connection"] = float64(residentKiB(o.pid)-before) * 1024 / float64(o.idle)
	for _, connection := range connections {
		connection.Close()
	}
	return nil
}
