//go:build unix

package wasmer_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// spinUntil keeps goroutines busy with guests, and traps, until it is stopped.
func spinUntil(t *testing.T, engine *wasmer.Engine, group *sync.WaitGroup, goroutines int, stop *atomic.Bool) {
	loop := compile(t, engine, wasmtest.Fixture(t, "loop.wasm"))
	traps := compile(t, engine, wasmtest.Fixture(t, "traps.wasm"))
	for range goroutines {
		instance, err := loop.Instantiate()
		require.NoError(t, err)
		trapping, err := traps.Instantiate()
		require.NoError(t, err)
		group.Go(func() {
			defer instance.Close()
			defer trapping.Close()
			for !stop.Load() {
				if n, err := instance.Exports["spin"](100_000); err != nil || n.ToI64() != 100_000 {
					t.Errorf("got %v, %v", n, err)
				}
				for _, name := range []string{"out_of_bounds", "unreachable", "stack_overflow"} {
					if _, err := trapping.Exports[name](); err == nil {
						t.Error("no trap")
					}
				}
			}
		})
	}
}

func TestSIGUSR1ArrivesWhileGuestsRun(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		arrived := make(chan os.Signal, 1)
		signal.Notify(arrived, syscall.SIGUSR1)
		defer signal.Stop(arrived)
		var stop atomic.Bool
		var group sync.WaitGroup
		spinUntil(t, engine, &group, 4, &stop)
		defer group.Wait()
		defer stop.Store(true)
		for n := range 1000 {
			require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
			select {
			case <-arrived:
			case <-time.After(10 * time.Second):
				t.Fatalf("signal %d did not arrive", n)
			}
		}
	})
}

func TestPreemptionAndProfilesWhileGuestsRun(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var profile bytes.Buffer
		if err := pprof.StartCPUProfile(&profile); err != nil {
			t.Skip(err)
		}
		var stop atomic.Bool
		var group sync.WaitGroup
		spinUntil(t, engine, &group, 2, &stop)
		// A loop without calls can be stopped by SIGURG only: the collector must not wait for it.
		var turns atomic.Int64
		group.Go(func() {
			for !stop.Load() {
				x := uint32(1)
				for range 50_000_000 {
					x ^= x << 13
					x ^= x >> 17
				}
				turns.Add(int64(x&1) + 1)
			}
		})
		began := time.Now()
		for range 20 {
			runtime.GC()
		}
		took := time.Since(began)
		time.Sleep(300 * time.Millisecond)
		stop.Store(true)
		group.Wait()
		pprof.StopCPUProfile()
		require.Positive(t, turns.Load())
		require.Less(t, took, 20*time.Second)
		require.Greater(t, profile.Len(), 500, "the profile has samples")
	})
}

// A guest that never ends keeps neither the collector nor other goroutines from their work.
func TestAnEndlessGuestStopsNobodyElse(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		inChild(t, func(t *testing.T) {
			endless := compile(t, engine, wasmtest.Fixture(t, "loop.wasm"))
			for range 2 * runtime.GOMAXPROCS(0) {
				instance, err := endless.Instantiate()
				require.NoError(t, err)
				go func() { _, _ = instance.Exports["forever"]() }()
			}
			time.Sleep(20 * time.Millisecond)
			ctx, cancel := context.WithTimeout(background, 20*time.Second)
			defer cancel()
			other := instantiate(t, engine, wasmtest.Fixture(t, "simple.wasm"), nil)
			for range 20 {
				runtime.GC()
				require.EqualValues(t, 42, call(t, other, "sum", 5, 37).ToI32())
			}
			require.NoError(t, ctx.Err())
			os.Exit(0) // the guests go on
		})
	})
}

func TestSIGINTEndsAProgramWithAnEndlessGuest(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		if os.Getenv(childEnv) == t.Name() {
			instance := instantiate(t, engine, wasmtest.Fixture(t, "loop.wasm"), nil)
			_, _ = os.Stdout.WriteString("running\n")
			_, _ = instance.Exports["forever"]()
			return
		}
		child := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.timeout=60s")
		child.Env = append(os.Environ(), childEnv+"="+t.Name())
		output, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		_, err = output.Read(make([]byte, 8))
		require.NoError(t, err)
		time.Sleep(50 * time.Millisecond)
		require.NoError(t, child.Process.Signal(os.Interrupt))
		done := make(chan error, 1)
		go func() { done <- child.Wait() }()
		select {
		case err := <-done:
			require.Error(t, err)
			status := child.ProcessState.Sys().(syscall.WaitStatus)
			require.True(t, status.Signaled() && status.Signal() == syscall.SIGINT || status.ExitStatus() == 2, "%v", err)
		case <-time.After(20 * time.Second):
			_ = child.Process.Kill()
			t.Fatal("the program goes on")
		}
	})
}
