package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

func TestTypedHostFunctions(t *testing.T) {
	type named float32
	refuse := errors.New("no")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		called := 0
		for _, c := range []struct {
			host *wasmer.HostFunction
			typ  string
			args []any
			want []wasmer.Value
			err  error
		}{
			{wasmer.Host0(func(*wasmer.Caller) (wasmer.Void, error) { called++; return wasmer.Void{}, nil }), "", nil, nil, nil},
			{wasmer.Host0(func(*wasmer.Caller) (uint64, error) { return math.MaxUint64, nil }), "(result i64)", nil, []wasmer.Value{wasmer.I64(-1)}, nil},
			{wasmer.Host0(func(*wasmer.Caller) (int32, error) { return 1, refuse }), "(result i32)", nil, nil, refuse},
			{wasmer.Host1(func(_ *wasmer.Caller, a uint32) (uint64, error) { return uint64(a), nil }), "(param i32) (result i64)",
				[]any{-1}, []wasmer.Value{wasmer.I64(math.MaxUint32)}, nil},
			{wasmer.Host1(func(_ *wasmer.Caller, a named) (named, error) { return -a, nil }), "(param f32) (result f32)",
				[]any{1.5}, []wasmer.Value{wasmer.F32(-1.5)}, nil},
			{wasmer.Host2(func(_ *wasmer.Caller, a int32, b float64) (float64, error) { return float64(a) - b, nil }), "(param i32 f64) (result f64)",
				[]any{-1, 0.5}, []wasmer.Value{wasmer.F64(-1.5)}, nil},
			{wasmer.Host3(func(_ *wasmer.Caller, a int64, b float32, c uint64) (int32, error) {
				return int32(a) + int32(b) + int32(c), nil
			}),
				"(param i64 f32 i64) (result i32)", []any{1, 20, 300}, []wasmer.Value{wasmer.I32(321)}, nil},
			{wasmer.Host4(func(_ *wasmer.Caller, a int32, b int64, c float32, d float64) (int64, error) {
				return int64(a) + b*10 + int64(c)*100 + int64(d)*1000, nil
			}), "(param i32 i64 f32 f64) (result i64)", []any{-1, 2, 3, 4}, []wasmer.Value{wasmer.I64(4319)}, nil},
		} {
			arguments := ""
			for i := range c.args {
				arguments += fmt.Sprintf("(local.get %d)", i)
			}
			text := fmt.Sprintf(`(module (import "env" "f" (func $f %[1]s)) (export "direct" (func $f)) (func (export "run") %[1]s (call $f %[2]s)))`, c.typ, arguments)
			instance := instantiate(t, engine, text, wasmer.NewImports().Function("f", c.host))
			for _, way := range []string{"run", "direct"} {
				got, err := function(t, instance, way).Call(background, c.args...)
				require.Equal(t, c.err, err)
				require.Equal(t, c.want, got, "%s %s", way, c.host.Type())
			}
		}
		require.Equal(t, 2, called)
	})
}

func TestTypedHostFunctionsOfNothingAreRefused(t *testing.T) {
	for _, host := range []*wasmer.HostFunction{
		nil, wasmer.Host0[int32](nil), wasmer.Host1[int32, int32](nil), wasmer.Host2[int32, int32, int32](nil),
		wasmer.Host3[int32, int32, int32, int32](nil), wasmer.Host4[int32, int32, int32, int32, int32](nil),
	} {
		_, err := wasmer.NewInstanceWithImports([]byte("(module)"), wasmer.NewImports().Function("f", host))
		require.ErrorContains(t, err, `"f" is made of a nil function`)
	}
}

func TestTypedHostFunctionsLearnTheirCaller(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		host := wasmer.Host1(func(c *wasmer.Caller, n int32) (int32, error) {
			text, err := c.Memory().ReadString(0, uint64(n))
			return int32(len(text)), err
		})
		cost := wasmer.NewImports().FunctionWithCost("f", host, 7)
		instance := instantiate(t, engine, callers, cost)
		require.EqualValues(t, 5, call(t, instance, "run", 5).ToI32())
		require.ErrorIs(t, failing(t, instance, "run", -1), wasmer.ErrOutOfBounds)
		require.EqualValues(t, 5, call(t, instantiate(t, engine, callers, wasmer.NewImports().Function("f", host)), "run", 5).ToI32())
	})
}

func ExampleHost2() {
	imports := wasmer.NewImports().Function("add", wasmer.Host2(func(_ *wasmer.Caller, a int64, b float64) (float64, error) {
		return float64(a) + b, nil
	}))
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module (import "env" "add" (func $add (param i64 f64) (result f64)))
		(export "add" (func $add)))`), imports)
	if err != nil {
		panic(err)
	}
	defer instance.Close()
	sum, err := instance.Exports["add"](40, 2.5)
	fmt.Println(sum.ToF64(), err)
	// Output: 42.5 <nil>
}

func ExampleImports_Queued() {
	imports := wasmer.NewImports().Queued("log", func(level int32, message string) {
		fmt.Println(level, message)
	})
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module
		(import "env" "log" (func $log (param i32 i32 i32)))
		(memory (export "memory") 1) (data (i32.const 0) "beginend")
		(func (export "run")
			(call $log (i32.const 1) (i32.const 0) (i32.const 5))
			(call $log (i32.const 2) (i32.const 5) (i32.const 3))))`), imports)
	if err != nil {
		panic(err)
	}
	defer instance.Close()
	_, _ = instance.Exports["run"]()
	fmt.Println("after the call")
	// Output:
	// 1 begin
	// 2 end
	// after the call
}

func ExampleImports_Native() {
	// With cgo, after: int32_t increment(wasmer_native_call *call, int32_t x) { return x + 1; }
	// C.increment is the pointer.
	increment := wasmtest.Native()["increment"]
	imports := wasmer.NewImports().Native("increment", increment, wasmer.FunctionType{
		Params: []wasmer.ValueType{wasmer.ValueTypeI32}, Results: []wasmer.ValueType{wasmer.ValueTypeI32},
	})
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module (import "env" "increment" (func $increment (param i32) (result i32)))
		(func (export "run") (result i32) (call $increment (i32.const 41))))`), imports)
	if err != nil {
		panic(err)
	}
	defer instance.Close()
	fmt.Println(instance.Exports["run"]())
	// Output: 42 <nil>
}

func ExampleLogRing() {
	ring, err := wasmer.NewLogRing(64 << 10)
	if err != nil {
		panic(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			entry, err := ring.Next(context.Background())
			if err != nil {
				return // closed, and all was read
			}
			fmt.Println(entry.Level, entry.Text)
		}
	}()
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module (import "env" "log_write" (func $log (param i32 i32 i32)))
		(memory (export "memory") 1) (data (i32.const 0) "hello")
		(func (export "run") (call $log (i32.const 3) (i32.const 0) (i32.const 5))))`), wasmer.NewImports().Log(ring))
	if err != nil {
		panic(err)
	}
	defer instance.Close()
	_, _ = instance.Exports["run"]()
	_ = ring.Close()
	<-done
	// Output: 3 hello
}

func ExampleImports_Clock() {
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module (import "env" "clock_realtime" (func $now (result i64)))
		(func (export "year") (result i64) (i64.add (i64.const 1970) (i64.div_s (call $now) (i64.const 31556952000000000)))))`),
		wasmer.NewImports().Clock())
	if err != nil {
		panic(err)
	}
	defer instance.Close()
	year, _ := instance.Exports["year"]()
	fmt.Println(year.ToI64() >= 2026)
	// Output: true
}

func ExampleImports_Random() {
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module (import "env" "random_get" (func $get (result i64)))
		(func (export "unequal") (result i32) (i64.ne (call $get) (call $get))))`), wasmer.NewImports().Random())
	if err != nil {
		panic(err)
	}
	defer instance.Close()
	fmt.Println(instance.Exports["unequal"]())
	// Output: 1 <nil>
}

func ExampleImports_Peer() {
	store, err := wasmer.NewStore(nil)
	if err != nil {
		panic(err)
	}
	defer store.Close()
	memory, _ := store.NewMemory(1, 1)
	_ = memory.Write(100, []byte("from the host"))
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module (import "env" "peer_read" (func $read (param i32 i32 i32)))
		(memory (export "memory") 1)
		(func (export "run") (call $read (i32.const 0) (i32.const 100) (i32.const 13))))`), wasmer.NewImports().Peer(memory))
	if err != nil {
		panic(err)
	}
	_, _ = instance.Exports["run"]()
	fmt.Println(instance.Memory.ReadString(0, 13))
	// Output: from the host <nil>
}
