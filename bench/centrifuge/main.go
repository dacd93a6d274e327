// SPDX-License-Identifier: Apache-2.0

// The peer that bench/fanout.py compares with: the library Centrifuge sends one message to all clients of a
// channel, so many times a second, and tells what CPU that took.
//
//	centrifuge PORT BYTES HZ SECONDS CLIENTS
package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/centrifugal/centrifuge"
)

const channel = "cuts"

func cpuSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return float64(used.Utime.Sec+used.Stime.Sec) + float64(used.Utime.Usec+used.Stime.Usec)/1e6
}

func number(argument int) int {
	value, err := strconv.Atoi(os.Args[argument])
	if err != nil {
		panic(err)
	}
	return value
}

// payload is a JSON string of so many bytes that does not compress.
func payload(size int) []byte {
	raw := make([]byte, size*3/4)
	if _, err := rand.Read(raw); err != nil {
		panic(err)
	}
	text, err := json.Marshal(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		panic(err)
	}
	return text
}

func serve(port int) *centrifuge.Node {
	node, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelError})
	if err != nil {
		panic(err)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{UserID: "viewer"},
			Subscriptions: map[string]centrifuge.SubscribeOptions{channel: {}},
		}, nil
	})
	node.OnConnect(func(*centrifuge.Client) {})
	if err := node.Run(); err != nil {
		panic(err)
	}
	anyOrigin := func(*http.Request) bool { return true }
	http.Handle("/ws", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{CheckOrigin: anyOrigin}))
	go func() { panic(http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", port), nil)) }()
	return node
}

func main() {
	port, size, hz, seconds, clients := number(1), number(2), number(3), number(4), number(5)
	node := serve(port)
	message := payload(size)
	for node.Hub().NumSubscribers(channel) < clients {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	began, cpu, sent := time.Now(), cpuSeconds(), 0
	for tick := 1; time.Since(began) < time.Duration(seconds)*time.Second; tick++ {
		if _, err := node.Publish(channel, message); err != nil {
			panic(err)
		}
		sent += clients
		time.Sleep(time.Until(began.Add(time.Duration(tick) * time.Second / time.Duration(hz))))
	}
	time.Sleep(200 * time.Millisecond)
	spent := cpuSeconds() - cpu
	fmt.Printf("{\"frames\": %d, \"cpu_s\": %.4f, \"us_per_frame\": %.3f}\n", sent, spent, spent/float64(sent)*1e6)
}
