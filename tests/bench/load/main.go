// Command load sends reviews as kube-apiserver does, over kept-alive TLS connections,
// checks every answer, and prints what it saw as JSON.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// placeholder stands in the bodies where each request gets a uid of its own.
const placeholder = "00000000-0000-0000-0000-000000000000"

type result struct {
	latencies []time.Duration
	errors    map[string]int
	dials     int
}

type report struct {
	Requests int            `json:"requests"`
	Errors   int            `json:"errors"`
	Kinds    map[string]int `json:"kinds,omitempty"`
	Dials    int            `json:"dials"`
	Seconds  float64        `json:"seconds"`
	Rate     float64        `json:"rate"`
	P50      float64        `json:"p50_ms"`
	P99      float64        `json:"p99_ms"`
	Max      float64        `json:"max_ms"`
}

type client struct {
	addr   string
	config *tls.Config
	conn   *tls.Conn
	reader *bufio.Reader
	result *result
}

func (c *client) dial() error {
	conn, err := tls.Dial("tcp", c.addr, c.config)
	if err != nil {
		return err
	}
	c.result.dials++
	c.conn, c.reader = conn, bufio.NewReaderSize(conn, 16<<10)
	return nil
}

func (c *client) drop() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// ask sends one request and checks its answer.
func (c *client) ask(request []byte, uid string) error {
	if _, err := c.conn.Write(request); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	length, status, closing := 0, "", false
	for {
		line, err := c.reader.ReadString('\n')
		if err != nil {
			return fmt.Errorf("head: %w", err)
		}
		line = strings.TrimRight(line, "\r\n")
		if status == "" {
			status = line
			continue
		}
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "content-length":
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		case "connection":
			closing = strings.EqualFold(strings.TrimSpace(value), "close")
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.reader, body); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if closing {
		c.drop()
	}
	if !strings.Contains(status, " 200 ") {
		return fmt.Errorf("status: %s", status)
	}
	if !bytes.Contains(body, []byte(uid)) || !bytes.Contains(body, []byte(`"allowed":true`)) ||
		!bytes.Contains(body, []byte(`"JSONPatch"`)) {
		return fmt.Errorf("answer of another request, or without a patch")
	}
	return nil
}

func (c *client) run(number int, heads [][2][]byte, fresh bool, until time.Time) {
	for n := 0; time.Now().Before(until); n++ {
		uid := fmt.Sprintf("%08x-0000-0000-0000-%012x", number, n)
		head := heads[n%len(heads)]
		request := append(append(append(make([]byte, 0, len(head[0])+len(head[1])+36),
			head[0]...), uid...), head[1]...)
		started := time.Now()
		err := error(nil)
		if c.conn == nil {
			err = c.dial()
		}
		if err == nil {
			err = c.ask(request, uid)
		}
		if err != nil {
			c.result.errors[err.Error()]++
			c.drop()
			time.Sleep(time.Millisecond)
			continue
		}
		c.result.latencies = append(c.result.latencies, time.Since(started))
		if fresh {
			c.drop()
		}
	}
	c.drop()
}

func prepare(path string) [2][]byte {
	body, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	head := "POST /mutate?timeout=3s HTTP/1.1\r\nHost: tracking-injector.test.svc:443\r\n" +
		"User-Agent: kube-apiserver-admission\r\nContent-Length: " + strconv.Itoa(len(body)) +
		"\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\n" +
		"Accept-Encoding: gzip\r\n\r\n"
	before, after, found := bytes.Cut(body, []byte(placeholder))
	if !found {
		panic(path + " has no placeholder for the uid")
	}
	return [2][]byte{append([]byte(head), before...), after}
}

func main() {
	addr := flag.String("addr", "", "host:port")
	ca := flag.String("ca", "", "PEM files to trust, comma separated; none: no check")
	conns := flag.Int("conns", 1, "connections")
	seconds := flag.Float64("seconds", 5, "duration")
	fresh := flag.Bool("fresh", false, "a new connection for each request")
	flag.Parse()

	config := &tls.Config{ServerName: "tracking-injector.test.svc", NextProtos: []string{"http/1.1"}}
	if *ca == "" {
		config.InsecureSkipVerify = true
	} else {
		config.RootCAs = x509.NewCertPool()
		for _, path := range strings.Split(*ca, ",") {
			pem, err := os.ReadFile(path)
			if err != nil {
				panic(err)
			}
			config.RootCAs.AppendCertsFromPEM(pem)
		}
	}
	var heads [][2][]byte
	for _, path := range flag.Args() {
		heads = append(heads, prepare(path))
	}

	results := make([]*result, *conns)
	started := time.Now()
	until := started.Add(time.Duration(*seconds * float64(time.Second)))
	var group sync.WaitGroup
	for number := range results {
		results[number] = &result{errors: map[string]int{}}
		group.Add(1)
		go func() {
			defer group.Done()
			c := &client{addr: *addr, config: config, result: results[number]}
			c.run(number, heads, *fresh, until)
		}()
	}
	group.Wait()
	show(results, time.Since(started).Seconds())
}

func show(results []*result, seconds float64) {
	var all []time.Duration
	out := report{Seconds: seconds, Kinds: map[string]int{}}
	for _, one := range results {
		all = append(all, one.latencies...)
		out.Dials += one.dials
		for kind, count := range one.errors {
			out.Kinds[kind] += count
			out.Errors += count
		}
	}
	out.Requests = len(all)
	out.Rate = float64(len(all)) / seconds
	if len(all) > 0 {
		sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
		at := func(q float64) float64 {
			return float64(all[int(q*float64(len(all)-1))].Microseconds()) / 1000
		}
		out.P50, out.P99, out.Max = at(0.5), at(0.99), at(1)
	}
	json.NewEncoder(os.Stdout).Encode(out)
}
