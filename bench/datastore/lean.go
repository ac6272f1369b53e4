// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// lean is the same work by a client that costs little, so that the server is what is measured: it writes HTTP/2 frames and gRPC messages itself,
// one goroutine writes and one reads for each connection, requests are encoded beforehand. Watchers stay the ordinary client's.
type leanConnection struct {
	connection net.Conn
	framer     *http2.Framer
	out        *bufio.Writer
	mutex      sync.Mutex
	encoder    *hpack.Encoder
	block      bytes.Buffer
	stream     uint32
	slots      chan struct{}
	pending    map[uint32]*leanCall
	failed     error
	done       sync.WaitGroup
	owed       int
}

type leanCall struct {
	body   []byte
	answer func(message []byte) error
}

func dialLean(address string, inFlight int) (*leanConnection, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &leanConnection{connection: connection, out: bufio.NewWriterSize(connection, 64<<10), stream: 1, slots: make(chan struct{}, inFlight),
		pending: map[uint32]*leanCall{}}
	if _, err := connection.Write([]byte(http2.ClientPreface)); err != nil {
		return nil, err
	}
	c.framer = http2.NewFramer(c.out, bufio.NewReaderSize(connection, 256<<10))
	c.framer.SetReuseFrames()
	c.encoder = hpack.NewEncoder(&c.block)
	const window = 16 << 20
	_ = c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	_ = c.framer.WriteWindowUpdate(0, window)
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	go c.read()
	return c, nil
}

func (c *leanConnection) fail(err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.failed == nil && err != nil {
		c.failed = err
	}
}

// abandon ends all calls of a connection that has ended.
func (c *leanConnection) abandon(err error) {
	c.fail(err)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for stream := range c.pending {
		delete(c.pending, stream)
		<-c.slots
		c.done.Done()
	}
}

// send starts a call; it waits for one of the connection's slots.
func (c *leanConnection) send(method string, message []byte, answer func([]byte) error) error {
	select {
	case c.slots <- struct{}{}:
	default:
		// Nothing is written while slots are free and there is more to say.
		c.mutex.Lock()
		err := c.out.Flush()
		c.mutex.Unlock()
		if err != nil {
			return err
		}
		c.slots <- struct{}{}
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.failed != nil {
		return c.failed
	}
	c.block.Reset()
	for _, field := range []hpack.HeaderField{{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: method},
		{Name: ":authority", Value: "localhost"}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"}} {
		_ = c.encoder.WriteField(field)
	}
	frame := make([]byte, 5+len(message))
	binary.BigEndian.PutUint32(frame[1:], uint32(len(message)))
	copy(frame[5:], message)
	c.pending[c.stream] = &leanCall{answer: answer}
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.stream, BlockFragment: c.block.Bytes(), EndHeaders: true})
	_ = c.framer.WriteData(c.stream, true, frame)
	c.stream += 2
	c.done.Add(1)
	return nil
}

func (c *leanConnection) flush() {
	c.mutex.Lock()
	_ = c.out.Flush()
	c.mutex.Unlock()
}

func (c *leanConnection) read() {
	status := ""
	decoder := hpack.NewDecoder(4096, func(field hpack.HeaderField) {
		if field.Name == "grpc-status" {
			status = field.Value
		}
	})
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			c.abandon(err)
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.control(func() {
					if size, given := f.Value(http2.SettingHeaderTableSize); given {
						c.encoder.SetMaxDynamicTableSizeLimit(size)
					}
					_ = c.framer.WriteSettingsAck()
				})
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				data := f.Data
				c.control(func() { _ = c.framer.WritePing(true, data) })
			}
		case *http2.DataFrame:
			c.data(f)
		case *http2.HeadersFrame:
			status = ""
			if _, err := decoder.Write(f.HeaderBlockFragment()); err != nil {
				c.fail(err)
			}
			if f.StreamEnded() {
				c.finish(f.StreamID, status)
			}
		case *http2.GoAwayFrame:
			c.fail(fmt.Errorf("the server says %s %q", f.ErrCode, f.DebugData()))
		case *http2.RSTStreamFrame:
			c.finish(f.StreamID, "reset")
		}
	}
}

func (c *leanConnection) control(write func()) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	write()
	_ = c.out.Flush()
}

const windowStep = 4 << 20

func (c *leanConnection) data(f *http2.DataFrame) {
	c.mutex.Lock()
	call := c.pending[f.StreamID]
	c.mutex.Unlock()
	if call != nil {
		call.body = append(call.body, f.Data()...)
	}
	if c.owed += int(f.Length); c.owed > windowStep {
		owed := uint32(c.owed)
		c.owed = 0
		c.control(func() { _ = c.framer.WriteWindowUpdate(0, owed) })
	}
}

func (c *leanConnection) finish(stream uint32, status string) {
	c.mutex.Lock()
	call := c.pending[stream]
	delete(c.pending, stream)
	c.mutex.Unlock()
	if call == nil {
		return
	}
	if status != "0" {
		c.fail(fmt.Errorf("grpc-status %q", status))
	} else if len(call.body) < 5 {
		c.fail(fmt.Errorf("an answer of %d bytes", len(call.body)))
	} else if err := call.answer(call.body[5:]); err != nil {
		c.fail(err)
	}
	<-c.slots
	c.done.Done()
}

type leanStep struct {
	name, method string
	count        int
	request      func(i int) proto.Message
	answer       func(i int, message []byte) error
}

// run does a step on all connections; requests are encoded before the clock starts, their time stamps in the last moment.
func (s *leanStep) run(connections []*leanConnection) (float64, error) {
	messages := make([][]byte, s.count)
	for i := range messages {
		messages[i], _ = proto.Marshal(s.request(i))
	}
	start := time.Now()
	var group sync.WaitGroup
	for n, c := range connections {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := n; i < s.count; i += len(connections) {
				restamp(messages[i])
				if err := c.send(s.method, messages[i], func(message []byte) error { return s.answer(i, message) }); err != nil {
					c.fail(err)
					return
				}
			}
			c.flush()
			c.done.Wait()
		}()
	}
	group.Wait()
	for _, c := range connections {
		if c.failed != nil {
			return 0, c.failed
		}
	}
	return rate(s.count, start), nil
}

// restamp writes the present time over the stamp at which valueOf() made the value.
func restamp(message []byte) {
	at := bytes.Index(message, stampTail)
	if at >= stampDigits {
		copy(message[at-stampDigits:at], fmt.Sprint(time.Now().UnixNano()))
	}
}

var stampTail = valueOf(stampDigits + 40)[stampDigits:]

func txn(key string, revision int64, then *pb.RequestOp) *pb.TxnRequest {
	return &pb.TxnRequest{
		Compare: []*pb.Compare{{Target: pb.Compare_MOD, Key: []byte(key), TargetUnion: &pb.Compare_ModRevision{ModRevision: revision}}},
		Success: []*pb.RequestOp{then},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(key)}}}},
	}
}

func lean(o options, result map[string]any) error {
	watching := &ordinaryRun{o: o, revisions: make([]int64, o.objects)}
	ctx, cancel, err := watching.begin()
	defer cancel()
	if err != nil {
		return err
	}
	var connections []*leanConnection
	for i := 0; i < o.connections; i++ {
		c, err := dialLean(o.address, o.writers/o.connections)
		if err != nil {
			return err
		}
		defer c.connection.Close()
		connections = append(connections, c)
	}
	events := 0
	for _, step := range leanSteps(o, watching.revisions) {
		if result[step.name], err = step.run(connections); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		if step.method == "/etcdserverpb.KV/Txn" {
			events += step.count * o.watchers
			if err := watching.lags.wait(ctx, events); err != nil {
				return err
			}
		}
	}
	result["lag_p50_ms"], result["lag_p99_ms"] = watching.lags.percentile(0.5), watching.lags.percentile(0.99)
	return nil
}

func leanSteps(o options, revisions []int64) []*leanStep {
	put := func(i int) proto.Message {
		return txn(keyOf(i), revisions[i], &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{
			Key: []byte(keyOf(i)), Value: valueOf(o.bytes)}}})
	}
	remove := func(i int) proto.Message {
		return txn(keyOf(i), revisions[i], &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{
			Key: []byte(keyOf(i))}}})
	}
	changed := func(i int, message []byte) error {
		var answer pb.TxnResponse
		if err := proto.Unmarshal(message, &answer); err != nil {
			return err
		}
		if !answer.Succeeded {
			return fmt.Errorf("the revision of %s was not %d", keyOf(i), revisions[i])
		}
		revisions[i] = answer.Header.Revision
		return nil
	}
	get := func(i int) proto.Message { return &pb.RangeRequest{Key: []byte(keyOf(i % o.objects)), Limit: 1} }
	pages := (o.objects + pageSize - 1) / pageSize
	page := func(i int) proto.Message {
		end := []byte(prefix)
		end[len(end)-1]++
		return &pb.RangeRequest{Key: []byte(keyOf(i % pages * pageSize)), RangeEnd: end, Limit: pageSize}
	}
	// What a read answers is judged by its size: decoding would cost the client more than the server.
	sized := func(minimum int) func(int, []byte) error {
		return func(i int, message []byte) error {
			if len(message) < minimum {
				return fmt.Errorf("answer %d has %d bytes", i, len(message))
			}
			return nil
		}
	}
	return []*leanStep{
		{"create", "/etcdserverpb.KV/Txn", o.objects, put, changed},
		{"update", "/etcdserverpb.KV/Txn", o.objects, put, changed},
		{"get", "/etcdserverpb.KV/Range", 4 * o.objects, get, sized(o.bytes)},
		{"page", "/etcdserverpb.KV/Range", 2 * pagesRead, page, sized(o.bytes * min(pageSize, o.objects))},
		{"delete", "/etcdserverpb.KV/Txn", o.objects, remove, changed},
	}
}
