package wasmer

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A charge is written before it is known to be too much. Who is interrupted just then has not escaped its limit.
func TestInterruptionDuringAChargeKeepsTheLimit(t *testing.T) {
	for _, compiler := range Compilers() {
		t.Run(compiler.String(), func(t *testing.T) {
			mode := MeteringExact
			if compiler == LLVM { // which has none
				mode = MeteringBlock
			}
			engine, err := NewEngine(EngineConfig{Compiler: compiler, Metering: Metering{Mode: mode, Limit: 1000}})
			require.NoError(t, err)
			defer engine.Close()
			module, err := engine.Compile(t.Context(), []byte(`(module
				(import "env" "charge" (func $charge))
				(func (export "run") (call $charge) (loop (br 0))))`))
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			instance, err := Instantiate(ctx, module, NewImports().Function("charge", func(c *Caller) {
				remaining := &c.Store().meter.cells.Remaining
				remaining.Store(remaining.Load() - 2000) // as the guest's code does
				time.AfterFunc(time.Millisecond, cancel)
			}))
			require.NoError(t, err)
			defer instance.Close()
			run, err := instance.Function("run")
			require.NoError(t, err)

			_, err = run.Call(ctx)
			require.ErrorIs(t, err, ErrInterrupted)
			meter := instance.Meter()
			require.EqualValues(t, 1000, meter.Used())
			require.Zero(t, meter.Remaining())
			_, err = run.Call(t.Context())
			require.ErrorIs(t, err, ErrCostLimit)
			require.NoError(t, meter.Grant(100)) // there is a way out
			require.EqualValues(t, 100, meter.Remaining())
		})
	}
}
