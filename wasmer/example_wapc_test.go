package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// wapcGuest speaks the waPC protocol: requests and responses of bytes, in both directions, over functions that only
// pass numbers. What belongs to one request travels in the context, so that any number of goroutines may each use a
// guest of their own with one list of imports.
type wapcGuest struct {
	instance *wasmer.Instance
	call     func(context.Context, uint32, uint32) (uint32, error)
}

// wapcRequest is the state of one invocation.
type wapcRequest struct {
	operation         string
	payload           []byte
	response, failure []byte
	hostResponse      []byte
	hostFailure       []byte
}

type wapcKey struct{}

func requestOf(c *wasmer.Caller) *wapcRequest { return c.Context().Value(wapcKey{}).(*wapcRequest) }

func wapcImports(host func(operation string, payload []byte) ([]byte, error)) *wasmer.Imports {
	read := func(c *wasmer.Caller, ptr, n uint32) ([]byte, error) { return c.Memory().Read(uint64(ptr), uint64(n)) }
	write := func(c *wasmer.Caller, ptr uint32, data []byte) error { return c.Memory().Write(uint64(ptr), data) }

	return wasmer.NewImports().Namespace("wapc").
		Function("__guest_request", func(c *wasmer.Caller, operation, payload uint32) error {
			r := requestOf(c)
			return errors.Join(write(c, operation, []byte(r.operation)), write(c, payload, r.payload))
		}).
		Function("__guest_response", func(c *wasmer.Caller, ptr, n uint32) (err error) {
			requestOf(c).response, err = read(c, ptr, n)
			return err
		}).
		Function("__guest_error", func(c *wasmer.Caller, ptr, n uint32) (err error) {
			requestOf(c).failure, err = read(c, ptr, n)
			return err
		}).
		Function("__host_call", func(c *wasmer.Caller, _, _, _, _, operation, operationLen, payload, payloadLen uint32) (uint32, error) {
			name, err := read(c, operation, operationLen)
			if err != nil {
				return 0, err
			}
			data, err := read(c, payload, payloadLen)
			if err != nil {
				return 0, err
			}
			r := requestOf(c)
			if r.hostResponse, err = host(string(name), data); err != nil {
				r.hostFailure = []byte(err.Error())
				return 0, nil
			}
			return 1, nil
		}).
		Function("__host_response_len", func(c *wasmer.Caller) uint32 { return uint32(len(requestOf(c).hostResponse)) }).
		Function("__host_response", func(c *wasmer.Caller, ptr uint32) error { return write(c, ptr, requestOf(c).hostResponse) }).
		Function("__host_error_len", func(c *wasmer.Caller) uint32 { return uint32(len(requestOf(c).hostFailure)) }).
		Function("__host_error", func(c *wasmer.Caller, ptr uint32) error { return write(c, ptr, requestOf(c).hostFailure) }).
		Function("__console_log", func(c *wasmer.Caller, ptr, n uint32) error {
			message, err := read(c, ptr, n)
			fmt.Printf("log: %s\n", message)
			return err
		})
}

func newWapcGuest(ctx context.Context, module *wasmer.Module, imports *wasmer.Imports) (*wapcGuest, error) {
	instance, err := wasmer.Instantiate(ctx, module, imports)
	if err != nil {
		return nil, err
	}
	call, err := wasmer.Func2[uint32, uint32, uint32](instance, "__guest_call")
	if err != nil {
		return nil, errors.Join(err, instance.Close())
	}
	return &wapcGuest{instance, call}, nil
}

// Invoke lets the guest answer one request.
func (g *wapcGuest) Invoke(ctx context.Context, operation string, payload []byte) ([]byte, error) {
	r := &wapcRequest{operation: operation, payload: payload}
	ok, err := g.call(context.WithValue(ctx, wapcKey{}, r), uint32(len(operation)), uint32(len(payload)))
	if err != nil {
		return nil, err
	}
	if ok == 0 {
		return nil, fmt.Errorf("guest: %s", r.failure)
	}
	return r.response, nil
}

// The waPC protocol: bytes in, bytes out, and calls from the guest back to the host.
func Example_waPC() {
	wasm, err := wasmer.ReadBytes("../testdata/wapc.wasm")
	if err != nil {
		log.Fatal(err)
	}
	module, err := wasmer.Compile(wasm)
	if err != nil {
		log.Fatal(err)
	}
	defer module.Close()

	imports := wapcImports(func(operation string, payload []byte) ([]byte, error) {
		if operation != "upper" {
			return nil, fmt.Errorf("unknown host operation %q", operation)
		}
		return bytes.ToUpper(payload), nil
	})
	ctx := context.Background()
	guest, err := newWapcGuest(ctx, module, imports)
	if err != nil {
		log.Fatal(err)
	}
	defer guest.instance.Close()

	for _, operation := range []string{"echo", "upper", "fail", "dance"} {
		response, err := guest.Invoke(ctx, operation, []byte("hello"))
		fmt.Printf("%s: %q %v\n", operation, response, err)
	}
	// Output:
	// echo: "hello" <nil>
	// upper: "HELLO" <nil>
	// fail: "" guest: guest says no
	// dance: "" guest: unknown operation: dance
}
