// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// client speaks HTTP/2 frame by frame, so that it can break every rule.
type client struct {
	connection net.Conn
	framer     *http2.Framer
	next       uint32
}

const patience = 30 * time.Second

func open(address string) (*client, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	_ = connection.SetDeadline(time.Now().Add(patience))
	c := &client{connection: connection, framer: http2.NewFramer(connection, connection), next: 1}
	c.framer.SetMaxReadFrameSize(1 << 20)
	if _, err := connection.Write([]byte(http2.ClientPreface)); err != nil {
		return nil, err
	}
	// Large windows: what is not taken shall be the client's doing alone.
	if err := c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}); err != nil {
		return nil, err
	}
	return c, c.framer.WriteWindowUpdate(0, 1<<30)
}

func headers(path string, more ...hpack.HeaderField) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSize(0)
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path}, {Name: ":authority", Value: "localhost"},
		{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
	}
	for _, field := range append(fields, more...) {
		_ = encoder.WriteField(field)
	}
	return block.Bytes()
}

// begin sends a call's headers.
func (c *client) begin(path string) (uint32, error) {
	stream := c.next
	c.next += 2
	return stream, c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: headers(path), EndHeaders: true})
}

func framed(declared int, message []byte) []byte {
	head := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(head[1:], uint32(declared))
	return append(head, message...)
}

func (c *client) call(path string, message []byte) error {
	stream, err := c.begin(path)
	if err != nil {
		return err
	}
	return c.framer.WriteData(stream, true, framed(len(message), message))
}

// ending is how the server let a client know that it had enough: the end of a stream or of the connection.
func (c *client) ending(wanted ...string) (string, error) {
	decoder := hpack.NewDecoder(4096, nil)
	var seen []string
	for {
		frame, err := c.framer.ReadFrame()
		said := ""
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			fields, err := decoder.DecodeFull(f.HeaderBlockFragment())
			if err != nil {
				return "", err
			}
			for _, field := range fields {
				if strings.HasPrefix(field.Name, "grpc-") || field.Name == ":status" {
					said += field.Name + "=" + field.Value + " "
				}
			}
		case *http2.RSTStreamFrame:
			said = "RST_STREAM " + f.ErrCode.String()
		case *http2.GoAwayFrame:
			said = "GOAWAY " + f.ErrCode.String() + " " + string(f.DebugData())
		}
		if err != nil {
			said = "closed"
		}
		if said != "" {
			seen = append(seen, said)
		}
		for _, text := range wanted {
			if said != "" && strings.Contains(said, text) {
				return said, nil
			}
		}
		if err != nil {
			if len(seen) > 6 {
				seen = seen[len(seen)-6:]
			}
			return "", fmt.Errorf("it ended with %q and %w instead of %q", seen, err, wanted)
		}
	}
}
