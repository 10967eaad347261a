package wasmer_test

import (
	"context"
	"testing"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// What measuring time costs calls, in both directions.
func BenchmarkMeasureTime(b *testing.B) {
	for _, measure := range []bool{false, true} {
		name := map[bool]string{false: "off", true: "on"}[measure]
		engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{MeasureTime: measure}))
		defer engine.Close()
		ctx := context.Background()
		module := wasmer.Must(engine.Compile(ctx, []byte(benchWat)))
		defer module.Close()
		instance := wasmer.Must(wasmer.Instantiate(ctx, module, wasmer.NewImports().Function("host", func(x int32) int32 { return x + 1 })))
		defer instance.Close()
		sum, run := wasmer.Must(instance.Function("sum")), wasmer.Must(instance.Function("run"))
		stack := make([]uint64, 2)
		b.Run("call/"+name, func(b *testing.B) {
			for b.Loop() {
				stack[0], stack[1] = 5, 37
				if err := sum.CallRaw(ctx, stack); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("1000 host calls/"+name, func(b *testing.B) {
			for b.Loop() {
				stack[0] = 1000
				if err := run.CallRaw(ctx, stack); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStats(b *testing.B) {
	instance := benchInstance(b)
	for _, bm := range []struct {
		name string
		read func()
	}{
		{"Instance", func() { instance.Stats() }},
		{"Engine", func() { instance.Module().Engine().Stats() }},
		{"Process", func() { wasmer.Stats() }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			for b.Loop() {
				bm.read()
			}
		})
	}
}
