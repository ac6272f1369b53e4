// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
)

// abuse acts until the server has shown that it had enough, or for as long as it bears it; it returns what the server said.
type abuse struct {
	name string
	act  func(o options) (string, error)
}

var abuses = []abuse{
	{"a message above the limit", oversized},
	{"a request above the limit", tooLarge},
	{"more streams than allowed", streams},
	{"requests that are never finished", unfinished},
	{"a header block without end", endlessHeaders},
	{"a header block above the limit", largeHeaders},
	{"PINGs without pause", pings},
	{"SETTINGS without pause", settings},
	{"calls that are cancelled at once", resets},
	{"answers that nobody reads", unread},
	{"watches that nobody reads", unreadWatches},
	{"a hundred thousand watches", manyWatches},
	{"connections that say nothing", silent},
	{"bytes that are no HTTP", noise},
}

func oversized(o options) (string, error) {
	c, err := open(o.address)
	if err != nil {
		return "", err
	}
	defer c.connection.Close()
	stream, err := c.begin("/etcdserverpb.KV/Put")
	if err != nil {
		return "", err
	}
	if err := c.framer.WriteData(stream, false, framed(100<<20, make([]byte, 1000))); err != nil {
		return "", err
	}
	said, err := c.ending("grpc-status")
	if err == nil && (!strings.Contains(said, "grpc-status=8") || !strings.Contains(said, "larger than max (104857600 vs. 2097152)")) {
		err = fmt.Errorf("it said %q", said)
	}
	return said, err
}

func dial(o options) (*grpc.ClientConn, error) {
	limit := grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(64 << 20))
	return grpc.NewClient(o.address, grpc.WithTransportCredentials(insecure.NewCredentials()), limit)
}

func tooLarge(o options) (string, error) {
	connection, err := dial(o)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	_, err = pb.NewKVClient(connection).Put(context.Background(), &pb.PutRequest{Key: []byte("k"), Value: make([]byte, 1600<<10)})
	if err == nil || !strings.Contains(err.Error(), "etcdserver: request is too large") {
		return "", fmt.Errorf("it said %v", err)
	}
	return err.Error(), nil
}

func streams(o options) (string, error) {
	c, err := open(o.address)
	if err != nil {
		return "", err
	}
	defer c.connection.Close()
	go func() {
		for i := 0; i < 10050; i++ {
			if _, err := c.begin("/etcdserverpb.Watch/Watch"); err != nil {
				return
			}
		}
	}()
	return c.ending("REFUSED_STREAM", "GOAWAY")
}

// unfinished sends all but the end of many requests: those that do not fit are refused.
func unfinished(o options) (string, error) {
	c, err := open(o.address)
	if err != nil {
		return "", err
	}
	defer c.connection.Close()
	go func() {
		for i := 0; i < 200; i++ {
			stream, err := c.begin("/etcdserverpb.KV/Put")
			if err != nil {
				return
			}
			first := framed(1500<<10, nil)
			for sent := 0; sent < 400<<10; sent += 16 << 10 {
				if c.framer.WriteData(stream, false, append(first, make([]byte, 16<<10-len(first))...)) != nil {
					return
				}
				first = nil
			}
		}
	}()
	return c.ending("grpc-status=8", "FLOW_CONTROL_ERROR", "GOAWAY")
}

func endlessHeaders(o options) (string, error) {
	c, err := open(o.address)
	if err != nil {
		return "", err
	}
	defer c.connection.Close()
	field := headers("/etcdserverpb.KV/Put", hpack.HeaderField{Name: "x-filler", Value: strings.Repeat("x", 8000)})
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: field}); err != nil {
		return "", err
	}
	go func() {
		var more []byte
		for i := 0; i < 8; i++ {
			more = append(more, 0x40, 1, 'a', 0x7f, 0x81, 0x06)
			more = append(more, make([]byte, 127+769)...)
		}
		for i := 0; i < 100000; i++ {
			if c.framer.WriteContinuation(1, false, more) != nil {
				return
			}
		}
	}()
	return c.ending("GOAWAY", "RST_STREAM", "closed", "status")
}

// largeHeaders goes above the limit with its last field; a stream is reset then, with the code that clients take for ResourceExhausted.
func largeHeaders(o options) (string, error) {
	const value, overhead, frame = 8 << 10, 32, 16 << 10
	c, err := open(o.address)
	if err != nil {
		return "", err
	}
	defer c.connection.Close()
	fields := make([]hpack.HeaderField, o.metadata/(value+overhead+len("x-0"))+1)
	for i := range fields {
		fields[i] = hpack.HeaderField{Name: fmt.Sprintf("x-%d", i%10), Value: strings.Repeat("x", value)}
	}
	block := headers("/etcdserverpb.KV/Put", fields...)
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:frame], EndStream: true}); err != nil {
		return "", err
	}
	for at := frame; at < len(block); at += frame {
		end := min(at+frame, len(block))
		if err := c.framer.WriteContinuation(1, end == len(block), block[at:end]); err != nil {
			return "", err
		}
	}
	return c.ending("RST_STREAM FRAME_SIZE_ERROR")
}

func pings(o options) (string, error) {
	c, err := open(o.address)
	if err != nil {
		return "", err
	}
	defer c.connection.Close()
	go func() {
		for i := 0; i < 100000 && c.framer.WritePing(false, [8]byte{byte(i)}) == nil; i++ {
		}
	}()
	return c.ending("ENHANCE_YOUR_CALM too_many_pings")
}

// settings are all acknowledged or end the connection; who does not read the acknowledgements does not make the server keep them all.
func settings(o options) (string, error) {
	c, err := open(o.address)
	if err != nil {
		return "", err
	}
	defer c.connection.Close()
	for i := 0; i < 200000; i++ {
		if c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i)}) != nil {
			break
		}
	}
	return "200000 SETTINGS", nil
}

func resets(o options) (string, error) {
	c, err := open(o.address)
	if err != nil {
		return "", err
	}
	defer c.connection.Close()
	request, _ := proto.Marshal(&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	sent := 0
	go func() { _, _ = c.ending("GOAWAY") }()
	for ; sent < 150000; sent++ {
		stream := c.next
		if c.call("/etcdserverpb.KV/Range", request) != nil || c.framer.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
			break
		}
	}
	return fmt.Sprintf("%d calls cancelled", sent), nil
}

const largeKeys = 40

func fill(o options) (*grpc.ClientConn, error) {
	connection, err := dial(o)
	if err != nil {
		return nil, err
	}
	for i := 0; i < largeKeys; i++ {
		put := &pb.PutRequest{Key: []byte(fmt.Sprintf("large/%d", i)), Value: make([]byte, 1<<20)}
		if _, err := pb.NewKVClient(connection).Put(context.Background(), put); err != nil {
			return nil, err
		}
	}
	return connection, nil
}

// unread asks 200 times for 40 MiB and takes none of it.
func unread(o options) (string, error) {
	connection, err := fill(o)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	c, err := open(o.address)
	if err != nil {
		return "", err
	}
	defer c.connection.Close()
	request, _ := proto.Marshal(&pb.RangeRequest{Key: []byte("large/"), RangeEnd: []byte("large0")})
	for i := 0; i < 200; i++ {
		if err := c.call("/etcdserverpb.KV/Range", request); err != nil {
			return "", err
		}
	}
	time.Sleep(3 * time.Second)
	return "200 answers of 40 MiB not taken", nil
}

// unreadWatches watches with previous values what is written all the time, on 50 streams, and takes nothing.
func unreadWatches(o options) (string, error) {
	c, err := open(o.address)
	if err != nil {
		return "", err
	}
	defer c.connection.Close()
	create, _ := proto.Marshal(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: []byte("large/"), RangeEnd: []byte("large0"), PrevKv: true}}})
	for i := 0; i < 50; i++ {
		stream, err := c.begin("/etcdserverpb.Watch/Watch")
		if err != nil {
			return "", err
		}
		if err := c.framer.WriteData(stream, false, framed(len(create), create)); err != nil {
			return "", err
		}
	}
	connection, err := fill(o)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	return "50 watches of 80 MiB not taken", nil
}

// manyWatches opens them on one stream, each for another key, which etcd would let them too.
func manyWatches(o options) (string, error) {
	const wanted = 100000
	connection, err := dial(o)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := pb.NewWatchClient(connection).Watch(ctx)
	if err != nil {
		return "", err
	}
	go func() {
		for i := 0; i < wanted; i++ {
			create := &pb.WatchCreateRequest{Key: []byte(fmt.Sprintf("watched/%d", i))}
			if stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}) != nil {
				return
			}
		}
	}()
	began := time.Now()
	for i := 0; i < wanted; i++ {
		if _, err := stream.Recv(); err != nil {
			return "", err
		}
	}
	took := time.Since(began)
	time.Sleep(time.Second)
	return fmt.Sprintf("%d watches in %.1f s", wanted, took.Seconds()), nil
}

func silent(o options) (string, error) {
	for i := 0; i < 1000; i++ {
		connection, err := net.Dial("tcp", o.address)
		if err != nil {
			return "", err
		}
		defer connection.Close()
	}
	time.Sleep(time.Second)
	return "1000 connections", nil
}

func noise(o options) (string, error) {
	connection, err := net.Dial("tcp", o.address)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patience))
	for i := 0; i < 100000; i++ {
		if _, err := connection.Write([]byte("\x16\x03\x01\x02\x00 this is no HTTP ")); err != nil {
			return "closed", nil
		}
	}
	if _, err = io.ReadAll(connection); errors.Is(err, os.ErrDeadlineExceeded) {
		return "", fmt.Errorf("it listens for ever")
	}
	return "closed", nil
}
