package wasmer_test

import (
	"io"
	"testing"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// A trap with ten frames, and its text: the first time, which reads the debug information, and later.
func BenchmarkTrap(b *testing.B) {
	wasm := wasmtest.Fixture(b, "debug/hot.wasm")
	for _, dropped := range []bool{true, false} {
		name := map[bool]string{true: "WithoutDebugInfo", false: "WithDebugInfo"}[dropped]
		engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{DropDebugInfo: dropped}))
		defer engine.Close()
		module := wasmer.Must(engine.Compile(background, wasm))
		defer module.Close()
		artifact := wasmer.Must(module.Serialize())
		trap := func(module *wasmer.Module) error {
			instance := wasmer.Must(module.Instantiate())
			defer instance.Close()
			_, err := instance.Exports["down"](9)
			return err
		}
		b.Run(name+"/Call", func(b *testing.B) {
			instance := wasmer.Must(module.Instantiate())
			defer instance.Close()
			down := wasmer.Must(instance.Function("down"))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := down.Call(background, 9); err == nil {
					b.Fatal("no trap")
				}
			}
		})
		b.Run(name+"/Text", func(b *testing.B) {
			err := trap(module)
			b.ReportAllocs()
			for b.Loop() {
				_ = err.Error()
			}
		})
		b.Run(name+"/FirstText", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				fresh := wasmer.Must(engine.Deserialize(background, artifact))
				err := trap(fresh)
				b.StartTimer()
				_ = err.Error()
				b.StopTimer()
				_ = fresh.Close()
				b.StartTimer()
			}
		})
	}
}

// What a profile costs guests.
func BenchmarkProfile(b *testing.B) {
	instance := wasmer.Must(wasmer.NewInstance(wasmtest.Fixture(b, "debug/hot.wasm")))
	defer instance.Close()
	run := wasmer.Must(instance.Function("run"))
	for _, rate := range []int{0, 100, 1000} {
		b.Run(map[int]string{0: "Off", 100: "100Hz", 1000: "1kHz"}[rate], func(b *testing.B) {
			if rate > 0 {
				profile, err := wasmer.StartProfile(io.Discard, wasmer.ProfileConfig{Rate: rate})
				if err != nil {
					b.Skip(err)
				}
				defer profile.Stop()
			}
			for b.Loop() {
				if _, err := run.Call(background, 10); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
