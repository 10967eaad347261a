package wasmer_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// contexts are those that calls are measured with: one that never ends, one that could for all calls, and one for each.
func contexts() (background context.Context, shared context.Context, fresh []context.Context, cancel func()) {
	shared, cancelShared := context.WithCancel(context.Background())
	cancels := []func(){cancelShared}
	for range 1024 {
		ctx, cancelOne := context.WithCancel(context.Background())
		ctx.Done() // which makes its channel
		fresh, cancels = append(fresh, ctx), append(cancels, cancelOne)
	}
	return context.Background(), shared, fresh, func() {
		for _, cancel := range cancels {
			cancel()
		}
	}
}

// waysToCall are calls of a function that does next to nothing.
func waysToCall(t testing.TB, instance *wasmer.Instance) map[string]func(ctx context.Context) error {
	f, back := function(t, instance, "sum"), function(t, instance, "back")
	typed, err := wasmer.Func2[int32, int32, int32](instance, "sum")
	require.NoError(t, err)
	stack, nested := make([]uint64, 2), make([]uint64, 1)
	return map[string]func(ctx context.Context) error{
		"Raw":    func(ctx context.Context) error { stack[0], stack[1] = 5, 37; return f.CallRaw(ctx, stack) },
		"Typed":  func(ctx context.Context) error { _, err := typed(ctx, 5, 37); return err },
		"Call":   func(ctx context.Context) error { _, err := f.Call(ctx, 5, 37); return err },
		"Nested": func(ctx context.Context) error { return back.CallRaw(ctx, nested) },
	}
}

const interruptibleWat = `(module (import "env" "back" (func $back (result i32)))
	(func (export "sum") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
	(func (export "back") (result i32) (call $back)))`

func interruptible(t testing.TB) *wasmer.Instance {
	var add func(context.Context, int32, int32) (int32, error)
	imports := wasmer.NewImports().Function("back", func(ctx context.Context) (int32, error) { return add(ctx, 5, 37) })
	instance, err := wasmer.NewInstanceWithImports([]byte(interruptibleWat), imports)
	require.NoError(t, err)
	t.Cleanup(func() { instance.Close() })
	add, err = wasmer.Func2[int32, int32, int32](instance, "sum")
	require.NoError(t, err)
	return instance
}

func BenchmarkCallWithContext(b *testing.B) {
	instance := interruptible(b)
	never, shared, fresh, cancel := contexts()
	defer cancel()
	for name, call := range waysToCall(b, instance) {
		n := 0
		for _, kind := range []struct {
			name string
			next func() context.Context
		}{
			{"Background", func() context.Context { return never }},
			{"Shared", func() context.Context { return shared }},
			{"Fresh", func() context.Context { n++; return fresh[n%len(fresh)] }},
		} {
			b.Run(name+"/"+kind.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := call(kind.next()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// A context that can end costs a call no allocation, and little time.
func TestContextsCostCallsLittle(t *testing.T) {
	instance := interruptible(t)
	never, shared, fresh, cancel := contexts()
	defer cancel()
	for name, call := range waysToCall(t, instance) {
		n := 0
		plain := testing.AllocsPerRun(1000, func() { _ = call(never) })
		require.Equal(t, plain, testing.AllocsPerRun(1000, func() { _ = call(shared) }), name)
		require.Equal(t, plain, testing.AllocsPerRun(1000, func() { n++; _ = call(fresh[n%len(fresh)]) }), name)
		if raceDetector {
			continue
		}
		times := interleaved(31, 1000, func() { _ = call(never) }, func() { _ = call(shared) }, func() { n++; _ = call(fresh[n%len(fresh)]) })
		t.Logf("%s: %v, shared %.2fx, fresh %.2fx", name, times[0]/1000, ratio(times[1], times[0]), ratio(times[2], times[0]))
		if soak != "" { // other tests and programs leave no machine to measure on
			require.Less(t, ratio(times[1], times[0]), 1.3, name)
			require.Less(t, ratio(times[2], times[0]), 1.3, name)
		}
	}
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// interleaved runs each of some functions in turn, and gives the medians of how long so many calls take.
func interleaved(rounds, calls int, functions ...func()) []time.Duration {
	all := make([][]time.Duration, len(functions))
	for range rounds {
		for i, f := range functions {
			began := time.Now()
			for range calls {
				f()
			}
			all[i] = append(all[i], time.Since(began))
		}
	}
	medians := make([]time.Duration, len(functions))
	for i, times := range all {
		slices.Sort(times)
		medians[i] = times[len(times)/2]
	}
	return medians
}

// Code runs as fast with a context that can end as with none.
func TestContextsCostCodeNothing(t *testing.T) {
	if soak == "" {
		t.Skip("takes a machine that does nothing else: WASMER_GO_SOAK")
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		for _, program := range []struct {
			file, function string
			args           []any
			rounds         int
		}{
			{"fib_recursive", "fib", []any{30}, 101},
			{"nbody", "main", []any{100_000}, 101},
			{"pollard_rho_128", "app_main", nil, 101},
			{"snappy_compress", "app_main", nil, 3},
		} {
			t.Run(program.file, func(t *testing.T) {
				instance := instantiate(t, engine, wasmtest.Fixture(t, "bench/"+program.file+".wasm"), nil)
				run := function(t, instance, program.function)
				call := func(ctx context.Context) func() {
					return func() {
						_, err := run.Call(ctx, program.args...)
						require.NoError(t, err)
					}
				}
				times := interleaved(program.rounds, 1, call(background), call(ctx))
				t.Logf("%v without, %v with: %+.2f%%", times[0], times[1], 100*(ratio(times[1], times[0])-1))
				require.Less(t, ratio(times[1], times[0]), 1.01)
			})
		}
	})
}
