package wasmer_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A host function that finds its instance closed under it has not failed: the call was ended.
func TestHostFunctionWhoseInstanceIsClosedMeanwhile(t *testing.T) {
	const wat = `(module
		(import "env" "read" (func $read))
		(memory (export "memory") 1)
		(func (export "run") (call $read)))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, code := range []uint32{0, 7} {
			store := newStore(t, engine)
			instance := instantiateIn(t, store, engine, wat, wasmer.NewImports().Function("read", func(c *wasmer.Caller) error {
				closed := make(chan struct{})
				go func() {
					defer close(closed)
					if code == 0 {
						_ = c.Instance().Close()
					} else {
						_ = c.Instance().CloseWithExitCode(code)
					}
				}()
				<-closed
				_, err := c.Memory().Read(0, 1)
				return fmt.Errorf("reading the request: %w", err)
			}))
			run, err := instance.Function("run")
			require.NoError(t, err)
			_, err = run.Call(background)
			var exit *wasmer.ExitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, code, exit.Code)
			<-instance.Done()
		}
	})
}

func TestDoneTellsOfTheEnd(t *testing.T) {
	store := newStore(t, nil)
	instance, err := store.NewInstance("env", nil)
	require.NoError(t, err)
	select {
	case <-instance.Done():
		t.Fatal("it is open")
	default:
	}
	require.NoError(t, store.Close())
	<-instance.Done()
}

func TestDoneIsClosedWhenTheInstanceEnds(t *testing.T) {
	module, err := wasmer.Compile([]byte(`(module (memory (export "memory") 1))`))
	require.NoError(t, err)
	defer module.Close()
	for range 200 {
		instance, err := wasmer.Instantiate(t.Context(), module, nil)
		require.NoError(t, err)
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { <-instance.Done() })
			group.Go(func() { _ = instance.Close() })
		}
		group.Wait()
		<-instance.Done()
		require.Equal(t, instance.Done(), instance.Done())
	}
}
