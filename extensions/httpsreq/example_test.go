package httpsreq_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/wasmerio/go-ext-wasm/extensions/httpsreq"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A guest sends a request to the only host that it may reach.
func Example() {
	const fetch = `(module
		(import "wasmedge_httpsreq" "wasmedge_httpsreq_send_data" (func $send (param i32 i32 i32 i32 i32)))
		(import "wasmedge_httpsreq" "wasmedge_httpsreq_get_rcv_len" (func $length (result i32)))
		(import "wasmedge_httpsreq" "wasmedge_httpsreq_get_rcv" (func $get (param i32)))
		(memory (export "memory") 1)
		(data (i32.const 0) "127.0.0.1")
		(data (i32.const 16) "GET / HTTP/1.0\r\n\r\n")
		(func (export "fetch") (param $port i32) (result i32)
			(call $send (i32.const 0) (i32.const 9) (local.get $port) (i32.const 16) (i32.const 18))
			(call $get (i32.const 1024))
			(call $length)))`
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "hello from a server")
	}))
	defer server.Close()

	ctx := context.Background()
	module := wasmer.Must(wasmer.Compile([]byte(fetch)))
	defer module.Close()
	requests := httpsreq.New(httpsreq.Config{
		Hosts:     []string{server.Listener.Addr().String()},
		Transport: server.Client().Transport, // trusts the server's certificate
	})
	instance := wasmer.Must(wasmer.Instantiate(ctx, module, wasmer.NewImports().Add(requests)))
	defer instance.Close()
	call := wasmer.Must(wasmer.Func1[int32, uint32](instance, "fetch"))
	length := wasmer.Must(call(ctx, int32(server.Listener.Addr().(*net.TCPAddr).Port)))
	response := wasmer.Must(instance.Memory.ReadString(1024, uint64(length)))
	status, _, _ := strings.Cut(response, "\r\n")
	_, body, _ := strings.Cut(response, "\r\n\r\n")
	fmt.Println(status)
	fmt.Println(body)
	// Output:
	// HTTP/1.1 200 OK
	// hello from a server
}
