package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// stormGuest ends in all ways, and sometimes not.
const stormGuest = `(module (import "env" "host" (func $host (param i32))) (memory (export "memory") 1 4)
	(func (export "host") (param i32) (result i32) (call $host (local.get 0)) (i32.const 42))
	(func (export "forever") (loop $l (i32.store (i32.const 0) (i32.const 1)) (br $l)))
	(func (export "host forever") (loop $l (call $host (i32.const 0)) (br $l)))
	(func (export "fill forever") (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $l)))
	(func $deep (export "deep") (call $deep) (call $deep))
	(func (export "grow") (result i32) (memory.grow (i32.const 1)))
	(func (export "unreachable") (unreachable))
	(func (export "divide") (result i32) (i32.div_u (i32.const 1) (i32.const 0)))
	(func (export "far") (result i32) (i32.load (i32.const -8)))
	(func (export "ok") (result i32) (i32.const 42)))`

// What host functions do in the storm.
const (
	hostReturns = iota
	hostFails
	hostPanics
	hostCallsBack
	hostCollects
	hostExits // the goroutine
)

type storm struct {
	module *wasmer.Module
	err    error
	counts [8]atomic.Int64
}

// host is the guest's host function.
func (s *storm) host(c *wasmer.Caller, what int32) error {
	switch what {
	case hostFails:
		return s.err
	case hostPanics:
		panic(s.err)
	case hostCallsBack:
		ctx, cancel := context.WithTimeout(c.Context(), rand.N(time.Millisecond))
		defer cancel()
		forever, err := c.Instance().Function("forever")
		if err != nil {
			return err
		}
		if _, err = forever.Call(ctx); !errors.Is(err, wasmer.ErrInterrupted) && !errors.Is(err, wasmer.ErrClosed) {
			return fmt.Errorf("inside: got %w", err)
		}
		if c.Context().Err() != nil {
			return err
		}
	case hostCollects:
		runtime.GC()
	case hostExits:
		runtime.Goexit()
	}
	return nil
}

func (s *storm) instantiate() (*wasmer.Instance, error) {
	return wasmer.Instantiate(background, s.module, wasmer.NewImports().Function("host", s.host))
}

// turn makes one call of some kind and checks what came of it.
func (s *storm) turn(instance *wasmer.Instance) error {
	invoke := func(ctx context.Context, name string, args ...any) (values []wasmer.Value, err error) {
		f, err := instance.Function(name)
		if err != nil {
			return nil, err
		}
		return f.Call(ctx, args...)
	}
	is := func(err, want error) error {
		if !errors.Is(err, want) {
			return fmt.Errorf("got %w, want %w", err, want)
		}
		return nil
	}
	kind := rand.IntN(len(s.counts))
	s.counts[kind].Add(1)
	switch kind {
	case 0, 1:
		ctx, cancel := context.WithTimeout(background, rand.N(3*time.Millisecond))
		defer cancel()
		_, err := invoke(ctx, []string{"forever", "host forever", "fill forever"}[rand.IntN(3)])
		return errors.Join(is(err, wasmer.ErrInterrupted), is(err, context.DeadlineExceeded))
	case 2:
		ctx, cancel := context.WithCancel(background)
		time.AfterFunc(rand.N(time.Millisecond), cancel)
		_, err := invoke(ctx, []string{"forever", "host forever", "fill forever"}[rand.IntN(3)])
		return errors.Join(is(err, wasmer.ErrInterrupted), is(err, context.Canceled))
	case 3:
		_, err := invoke(background, "host", hostFails)
		return is(err, s.err)
	case 4:
		traps := map[string]error{"unreachable": wasmer.TrapUnreachable, "divide": wasmer.TrapDivisionByZero,
			"far": wasmer.TrapOutOfBounds, "deep": wasmer.TrapStackOverflow}
		for name, want := range traps {
			if _, err := invoke(background, name); !errors.Is(err, want) {
				return fmt.Errorf("got %w, want %w", err, want)
			}
		}
	case 5:
		var panicked error
		func() {
			defer func() { panicked, _ = recover().(error) }()
			_, _ = invoke(background, "host", hostPanics)
		}()
		return is(panicked, s.err)
	case 6:
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		for _, what := range []int{hostCallsBack, hostCollects, hostReturns} {
			if values, err := invoke(ctx, "host", what); err != nil || values[0].ToI32() != 42 {
				return fmt.Errorf("host function %d: got %v, %w", what, values, err)
			}
		}
	case 7: // with somebody who closes it meanwhile, or with the end of the goroutine
		other, err := s.instantiate()
		if err != nil {
			return err
		}
		defer other.Close()
		if rand.IntN(2) == 0 {
			inGoroutine(func() { _, _ = callOf(other, "host", hostExits) })
			_, err = callOf(other, "ok")
			return is(err, wasmer.ErrClosed)
		}
		time.AfterFunc(rand.N(time.Millisecond), func() { _ = other.CloseWithExitCode(9) })
		_, err = callOf(other, "forever")
		return is(err, &wasmer.ExitError{Code: 9})
	}
	values, err := invoke(background, "ok")
	if err != nil || values[0].ToI32() != 42 {
		return fmt.Errorf("afterwards: got %v, %w", values, err)
	}
	return nil
}

func callOf(instance *wasmer.Instance, name string, args ...any) ([]wasmer.Value, error) {
	f, err := instance.Function(name)
	if err != nil {
		return nil, err
	}
	return f.Call(background, args...)
}

// profileAt1kHz writes a CPU profile with 1,000 samples a second. The runtime complains that the rate was set before.
func profileAt1kHz(t testing.TB) (stop func()) {
	runtime.SetCPUProfileRate(1000)
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		return func() {} // go test itself profiles
	}
	return func() {
		pprof.StopCPUProfile()
		require.NotZero(t, profile.Len())
	}
}

// 64 goroutines call, cancel, trap, fail, panic, exit and close at random, under garbage collection and a profile.
func TestInterruptionStorm(t *testing.T) {
	duration := time.Second
	switch soak {
	case "short":
		duration = 10 * time.Second
	case "long":
		duration = time.Minute
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		s := &storm{module: compile(t, engine, stormGuest), err: errors.New("the host's error")}
		defer debug.SetGCPercent(debug.SetGCPercent(20))
		goroutines := runtime.NumGoroutine()
		stopProfile := profileAt1kHz(t)
		var stop atomic.Bool
		var collector, group sync.WaitGroup
		collectForced(&collector, &stop)
		until := time.Now().Add(duration)
		shared, err := s.instantiate()
		require.NoError(t, err)
		defer shared.Close()
		for n := range 64 {
			group.Go(func() {
				instance, err := s.instantiate()
				if err != nil {
					t.Error(err)
					return
				}
				defer instance.Close()
				if n%8 == 0 {
					instance = shared // these wait for each other
				}
				for time.Now().Before(until) && !t.Failed() {
					if err := s.turn(instance); err != nil && !(instance == shared && errors.Is(err, wasmer.ErrInterrupted)) {
						t.Error(err)
					}
					if rand.IntN(16) == 0 {
						nilDereference(t)
					}
				}
			})
		}
		ended := make(chan struct{})
		go func() { group.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(duration + 2*tooLate):
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
			t.Fatal("a call goes on")
		}
		stop.Store(true)
		collector.Wait()
		stopProfile()
		total := int64(0)
		for kind := range s.counts {
			total += s.counts[kind].Load()
		}
		require.Positive(t, total)
		t.Logf("%d turns in %v", total, duration)
		require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+2 }, 10*time.Second, 10*time.Millisecond,
			"all who watched have left")
	})
}

// An instance is not bound to a thread: each thread that calls it ends afterwards.
func TestAnInstanceHopsOverThreads(t *testing.T) {
	threads := 100
	if soak != "" {
		threads = 1000
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		s := &storm{module: compile(t, engine, stormGuest), err: errors.New("the host's error")}
		instance, err := s.instantiate()
		require.NoError(t, err)
		defer instance.Close()
		before, mapped := threadsOf(t), mappings()
		pages := int32(1)
		for n := range threads {
			done := make(chan error, 1)
			go func() {
				runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
				for range 3 {
					if err := s.turn(instance); err != nil {
						done <- err
						return
					}
				}
				if n%(threads/3+1) == threads/3 {
					values, err := callOf(instance, "grow")
					if err != nil || values[0].ToI32() != pages {
						err = fmt.Errorf("grown from %v, want %d: %w", values, pages, err)
					}
					pages++
					done <- err
					return
				}
				done <- nil
			}()
			require.NoError(t, <-done)
		}
		require.EqualValues(t, pages, instance.Memory.Size()/wasmer.PageSize)
		require.Eventually(t, func() bool { return threadsOf(t) <= before+20 }, 10*time.Second, 10*time.Millisecond)
		require.Less(t, mappings(), mapped+300)
	})
}

// threadsOf is how many threads the process has; 0 where that cannot be told.
func threadsOf(t testing.TB) int {
	t.Helper()
	entries, _ := os.ReadDir("/proc/self/task")
	return len(entries)
}
