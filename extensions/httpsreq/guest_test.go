package httpsreq_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/httpsreq"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// TestMain has the process trust the certificate of httptest's servers, where the system lets it, and fails if goroutines are
// left.
func TestMain(m *testing.M) {
	s := httptest.NewTLSServer(nil)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	s.Close()
	trusted, err := os.CreateTemp("", "certificate")
	if err == nil {
		_, err = trusted.Write(certificate)
	}
	if err != nil {
		log.Fatal(err)
	}
	_, _ = trusted.Close(), os.Setenv("SSL_CERT_FILE", trusted.Name())
	before := runtime.NumGoroutine()
	code := m.Run()
	_ = os.Remove(trusted.Name())
	for range 500 {
		if runtime.NumGoroutine() <= before+4 { // Go's own, for cleanups and the collector
			os.Exit(code)
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "FAIL: after all tests:", runtime.NumGoroutine(), "goroutines,", before, "before")
	os.Exit(1)
}

// program is a guest that sends what it is given, makes room for the response, and gives the place of it; its length is at 0.
const program = `(module
	(import "wasmedge_httpsreq" "wasmedge_httpsreq_send_data" (func $send (param i32 i32 i32 i32 i32)))
	(import "wasmedge_httpsreq" "wasmedge_httpsreq_get_rcv_len" (func $length (result i32)))
	(import "wasmedge_httpsreq" "wasmedge_httpsreq_get_rcv" (func $get (param i32)))
	(memory (export "memory") 1)
	(func (export "send") (param i32 i32 i32 i32 i32)
		(call $send (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
	(func (export "received") (result i32) (local $place i32)
		(local.set $place (i32.mul (memory.size) (i32.const 65536)))
		(drop (memory.grow (i32.div_u (i32.add (call $length) (i32.const 65535)) (i32.const 65536))))
		(i32.store (i32.const 0) (call $length))
		(call $get (local.get $place))
		(local.get $place)))`

type guest struct {
	*wasmer.Instance
	t testing.TB
}

func newGuest(t testing.TB, module *httpsreq.Module) *guest {
	t.Helper()
	return &guest{hostile.Instantiate(t, program, wasmer.NewImports().Add(module)), t}
}

// sending prepares a call of send.
func (g *guest) sending(host string, port int, request string) (*wasmer.Function, []any) {
	g.t.Helper()
	require.NoError(g.t, g.Memory.WriteString(8, host))
	require.NoError(g.t, g.Memory.WriteString(1024, request))
	function, err := g.Function("send")
	require.NoError(g.t, err)
	return function, []any{8, len(host), port, 1024, len(request)}
}

func (g *guest) send(address, request string) error {
	g.t.Helper()
	host, port, err := net.SplitHostPort(address)
	require.NoError(g.t, err)
	number, err := strconv.Atoi(port)
	require.NoError(g.t, err)
	function, arguments := g.sending(host, number, request)
	_, err = function.Call(g.t.Context(), arguments...)
	return err
}

func (g *guest) received() string {
	g.t.Helper()
	function, err := g.Function("received")
	require.NoError(g.t, err)
	place, err := function.Call(context.Background())
	require.NoError(g.t, err)
	length, err := g.Memory.ReadUint32Le(0)
	require.NoError(g.t, err)
	text, err := g.Memory.ReadString(uint64(uint32(place[0].ToI32())), uint64(length))
	require.NoError(g.t, err)
	return text
}

// server serves on an address of its own.
type server struct {
	*httptest.Server
	address string
}

func serve(t testing.TB, handler http.HandlerFunc) server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return server{s, s.Listener.Addr().String()}
}
