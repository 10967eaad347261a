package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func newPool(t testing.TB, module *wasmer.Module, imports *wasmer.Imports, config wasmer.PoolConfig) *wasmer.Pool {
	t.Helper()
	pool, err := wasmer.NewPool(background, module, imports, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

func get(t testing.TB, pool *wasmer.Pool) *wasmer.Instance {
	t.Helper()
	i, err := pool.Get(background)
	require.NoError(t, err)
	return i
}

func TestPool(t *testing.T) {
	for _, memories := range []wasmer.Memories{wasmer.ReservedMemories, wasmer.BoundedMemories} {
		t.Run(memories.String(), func(t *testing.T) {
			eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
				module := compile(t, engineOf(t, engine, wasmer.EngineConfig{Memories: memories}), stateful)
				fresh, err := wasmer.Instantiate(background, module, doubling())
				require.NoError(t, err)
				defer fresh.Close()
				first, want := marshal(t, snapshotOf(t, fresh)), state(t, fresh)
				pool := newPool(t, module, doubling(), wasmer.PoolConfig{})
				for range 5 {
					i := get(t, pool)
					require.Equal(t, first, marshal(t, snapshotOf(t, i)))
					require.Equal(t, want, state(t, i))
					run(t, i, "change")
					run(t, i, "keep", wasmer.ExternRef("a secret"))
					require.NoError(t, i.Memory.Write(0x1fff0, []byte("a secret")))
					i.SetContextData("a secret")
					require.NoError(t, i.Store().Register("a secret", i))
					require.NoError(t, pool.Put(i))
					next := get(t, pool)
					require.Equal(t, first, marshal(t, snapshotOf(t, next)))
					require.Nil(t, next.Store().Instance("a secret"))
					require.NoError(t, pool.Put(next))
				}
				require.Equal(t, wasmer.PoolStats{Idle: 1, Made: 1, Reset: 10}, pool.Stats())
			})
		})
	}
}

// What a user keeps of an instance that was put is dead, whoever has the instance now.
func TestWhatIsKeptOfAPooledInstance(t *testing.T) {
	for _, memories := range []wasmer.Memories{wasmer.ReservedMemories, wasmer.BoundedMemories} {
		t.Run(memories.String(), func(t *testing.T) {
			eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
				engine = engineOf(t, engine, wasmer.EngineConfig{Memories: memories})
				module := compile(t, engine, `(module (import "env" "host" (func $host))
					(memory (export "memory") 1) (table (export "table") 2 funcref) (global (export "global") (mut i32) (i32.const 1))
					(func (export "get") (result i32) (i32.load (i32.const 0)))
					(func (export "run") call $host))`)
				var caller *wasmer.Caller
				pool := newPool(t, module, wasmer.NewImports().Function("host", func(c *wasmer.Caller) { caller = c }), wasmer.PoolConfig{})
				i := get(t, pool)
				run(t, i, "run")
				kept, memory, data := function(t, i, "get"), i.Memory, i.Memory.Data()
				typed, err := wasmer.Func0[int32](i, "get")
				require.NoError(t, err)
				table, global := exportedTable(t, i, "table"), exportedGlobal(t, i, "global")
				b := i.NewProgram()
				b.Output(b.Call(kept)...)
				program, err := b.Build()
				require.NoError(t, err)
				require.NoError(t, program.Run(background, nil, nil))
				store, meter, keptCaller := i.Store(), i.Meter(), caller
				require.NoError(t, pool.Put(i))

				next := get(t, pool)
				require.NotSame(t, i, next)
				require.EqualValues(t, 1, pool.Stats().Made)
				require.NoError(t, next.Memory.WriteUint32Le(0, 12345))
				for _, b := range data {
					require.Zero(t, b)
				}
				data[1] = 9
				require.EqualValues(t, 12345, run(t, next, "get")[0].ToI32())
				_, err = kept.Call(background)
				require.ErrorIs(t, err, wasmer.ErrClosed)
				_, err = typed(background)
				require.ErrorIs(t, err, wasmer.ErrClosed)
				require.ErrorIs(t, kept.CallRaw(background, make([]uint64, 1)), wasmer.ErrClosed)
				_, err = wasmer.CallBatch(background, kept, nil, make([]int32, 2))
				require.ErrorIs(t, err, wasmer.ErrClosed)
				require.ErrorIs(t, program.Run(background, nil, nil), wasmer.ErrClosed)
				_, err = memory.ReadUint32Le(0)
				require.ErrorIs(t, err, wasmer.ErrClosed)
				require.ErrorIs(t, memory.View(func([]byte) error { return nil }), wasmer.ErrClosed)
				require.Nil(t, memory.Data())
				require.ErrorIs(t, memory.Grow(1), wasmer.ErrClosed)
				_, err = table.Get(0)
				require.ErrorIs(t, err, wasmer.ErrClosed)
				_, err = global.Get()
				require.ErrorIs(t, err, wasmer.ErrClosed)
				_, err = i.Function("get")
				require.ErrorIs(t, err, wasmer.ErrClosed)
				_, err = i.Snapshot(background)
				require.ErrorIs(t, err, wasmer.ErrClosed)
				require.ErrorIs(t, i.Reset(background), wasmer.ErrClosed)
				require.ErrorIs(t, meter.SetLimit(1), wasmer.ErrClosed)
				_, err = store.NewMemory(1, 1)
				require.ErrorIs(t, err, wasmer.ErrClosed)
				require.NoError(t, store.Close())
				require.NoError(t, i.Close())
				require.Same(t, i, keptCaller.Instance())
				_, err = keptCaller.Function("get")
				require.ErrorIs(t, err, wasmer.ErrClosed)
				require.ErrorIs(t, pool.Put(i), wasmer.ErrClosed, "twice")
				<-i.Done()

				run(t, next, "run")
				require.Same(t, next, caller.Instance(), "host functions are told of the present user")
				require.NotSame(t, keptCaller, caller)
				require.EqualValues(t, 12345, run(t, next, "get")[0].ToI32(), "who has it now is not disturbed")
				require.NoError(t, pool.Put(next))
			})
		})
	}
}

func TestPutOfWhatCannotBePut(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "env" "host" (func $host)) (memory (export "memory") 1)
			(func (export "run") call $host))`)
		var host func()
		pool := newPool(t, module, wasmer.NewImports().Function("host", func() { host() }), wasmer.PoolConfig{MaxLive: 1})
		other := newPool(t, module, wasmer.NewImports().Function("host", func() {}), wasmer.PoolConfig{})
		plain, err := wasmer.Instantiate(background, module, wasmer.NewImports().Function("host", func() {}))
		require.NoError(t, err)
		defer plain.Close()
		i, foreign := get(t, pool), get(t, other)
		require.ErrorIs(t, pool.Put(plain), wasmer.ErrNotPooled)
		require.ErrorIs(t, pool.Put(foreign), wasmer.ErrNotPooled)
		require.ErrorIs(t, pool.Put(nil), wasmer.ErrClosed)
		var none *wasmer.Pool
		require.ErrorIs(t, none.Put(i), wasmer.ErrClosed)
		_, err = none.Get(background)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		require.NoError(t, none.Close())
		run(t, plain, "run")
		run(t, foreign, "run")

		var put, elsewhere error
		host = func() {
			put = pool.Put(i)
			done := make(chan struct{})
			go func() {
				elsewhere = pool.Put(i)
				close(done)
			}()
			<-done
		}
		run(t, i, "run")
		require.ErrorIs(t, put, wasmer.ErrRunning)
		require.ErrorIs(t, elsewhere, wasmer.ErrRunning)
		host = func() {}
		run(t, i, "run")
		require.NoError(t, pool.Put(i), "it is the user's still")

		i = get(t, pool)
		require.NoError(t, i.Close())
		require.ErrorIs(t, pool.Put(i), wasmer.ErrClosed)
		i = get(t, pool) // its place is free
		require.NoError(t, i.CloseWithExitCode(3))
		var exit *wasmer.ExitError
		require.ErrorAs(t, pool.Put(i), &exit)
		require.EqualValues(t, 3, exit.Code)
		i = get(t, pool)
		memory, err := i.Store().NewMemory(1, 1)
		require.NoError(t, err)
		require.NoError(t, pool.Put(i))
		require.Equal(t, wasmer.PoolStats{Made: 3, Reset: 1, Replaced: 1}, pool.Stats())
		require.ErrorIs(t, memory.Grow(0), wasmer.ErrClosed)

		i = get(t, pool)
		require.NoError(t, i.Store().NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI32, Mutable: true}, 5).Set(6))
		require.NoError(t, pool.Put(i))
		i = get(t, pool)
		_, err = i.Store().Instantiate(background, "guest", compile(t, engine, `(module (memory 1))`), nil)
		require.NoError(t, err)
		require.NoError(t, pool.Put(i))
		require.EqualValues(t, 3, pool.Stats().Replaced)
		require.Zero(t, pool.Stats().Out)
	})
}

func TestPoolBounds(t *testing.T) {
	engine := newEngine(t, wasmer.EngineConfig{})
	module := compile(t, engine, `(module (memory (export "memory") 1))`)
	t.Run("Get waits, first come, first served", func(t *testing.T) {
		pool := newPool(t, module, nil, wasmer.PoolConfig{MaxLive: 2, Prewarm: 5})
		require.Equal(t, wasmer.PoolStats{Idle: 2, Made: 2}, pool.Stats())
		a, b := get(t, pool), get(t, pool)
		ctx, cancel := context.WithCancelCause(background)
		why := errors.New("no patience")
		type result struct {
			i   *wasmer.Instance
			err error
		}
		wait := func(ctx context.Context) <-chan result {
			waiting, got := pool.Stats().Waiting, make(chan result, 1)
			go func() {
				i, err := pool.Get(ctx)
				got <- result{i, err}
			}()
			require.Eventually(t, func() bool { return pool.Stats().Waiting == waiting+1 }, 10*time.Second, time.Millisecond)
			return got
		}
		first, second, third, fourth := wait(ctx), wait(background), wait(background), wait(background)
		cancel(why)
		r := <-first
		require.ErrorIs(t, r.err, wasmer.ErrInterrupted)
		require.ErrorIs(t, r.err, why)
		require.NoError(t, pool.Put(a))
		r = <-second
		require.NoError(t, r.err)
		require.NoError(t, b.Close(), "a place is free too when an instance is closed")
		closed := <-third
		require.NoError(t, closed.err)
		require.Equal(t, wasmer.PoolStats{Out: 2, Waiting: 1, Waits: 4, Made: 3, Reset: 1}, pool.Stats())
		require.NoError(t, pool.Close())
		require.ErrorIs(t, (<-fourth).err, wasmer.ErrClosed)
		_, err := pool.Get(background)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		require.NoError(t, pool.Put(r.i))
		_, err = r.i.Memory.Read(0, 1)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		require.NoError(t, pool.Put(closed.i))
		require.Zero(t, pool.Stats().Out)
		require.NoError(t, pool.Close())
	})
	t.Run("what is put beyond MaxIdle is closed", func(t *testing.T) {
		pool := newPool(t, module, nil, wasmer.PoolConfig{MaxIdle: 2})
		var all []*wasmer.Instance
		for range 5 {
			all = append(all, get(t, pool))
		}
		for _, i := range all {
			require.NoError(t, pool.Put(i))
		}
		require.Equal(t, wasmer.PoolStats{Idle: 2, Made: 5, Reset: 5}, pool.Stats())
	})
	t.Run("bad bounds and imports", func(t *testing.T) {
		_, err := wasmer.NewPool(background, module, nil, wasmer.PoolConfig{MaxLive: -1})
		require.ErrorContains(t, err, "negative")
		_, err = wasmer.NewPool(background, nil, nil, wasmer.PoolConfig{})
		require.ErrorIs(t, err, wasmer.ErrClosed)
		global := newStore(t, engine).NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI32}, 5)
		_, err = wasmer.NewPool(background, module, wasmer.NewImports().Global("env", "g", global), wasmer.PoolConfig{Prewarm: 1})
		require.ErrorIs(t, err, wasmer.ErrStoreMismatch)
		why := errors.New("no imports")
		pool := newPool(t, module, nil, wasmer.PoolConfig{MaxLive: 1, Imports: func() (*wasmer.Imports, error) { return nil, why }})
		for range 3 {
			_, err = pool.Get(background)
			require.ErrorIs(t, err, why)
		}
		trapping := newPool(t, compile(t, engine, `(module (func $f unreachable) (start $f))`), nil, wasmer.PoolConfig{MaxLive: 1})
		for range 3 {
			_, err = trapping.Get(background)
			require.ErrorIs(t, err, wasmer.TrapUnreachable)
		}
	})
	t.Run("an instance that was forgotten leaves its place", func(t *testing.T) {
		pool := newPool(t, module, nil, wasmer.PoolConfig{MaxLive: 1})
		for range 3 {
			func() { run := get(t, pool); _ = run.Memory.Data() }()
			require.Eventually(t, func() bool {
				runtime.GC()
				return pool.Stats().Out == 0
			}, 10*time.Second, time.Millisecond)
		}
		require.NoError(t, pool.Put(get(t, pool)))
	})
	t.Run("a closed engine closes what is in and out", func(t *testing.T) {
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
		require.NoError(t, err)
		module, err := engine.Compile(background, []byte(`(module (memory (export "memory") 1))`))
		require.NoError(t, err)
		pool := newPool(t, module, nil, wasmer.PoolConfig{Prewarm: 2})
		i := get(t, pool)
		require.NoError(t, pool.Put(i))
		i = get(t, pool)
		require.NoError(t, engine.Close())
		require.ErrorIs(t, i.Memory.Grow(1), wasmer.ErrClosed)
		require.ErrorIs(t, pool.Put(i), wasmer.ErrClosed)
		_, err = pool.Get(background)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		require.Zero(t, pool.Stats().Out)
	})
}

// Many users at once: each finds an instance as it begins, and nobody the bytes of another one, also where guests trap, are interrupted,
// or are used by goroutines that come too late.
func TestPoolStorm(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "env" "host" (func $host (param i32)))
			(memory (export "memory") 1 4) (global $mine (mut i32) (i32.const 0)) (data (i32.const 4096) "begin")
			(func (export "use") (param i32) (result i32)
				(local.set 0 (i32.or (local.get 0) (i32.const 0)))
				(if (i32.or (global.get $mine) (i32.load (i32.const 0))) (then (return (i32.const -1))))
				(global.set $mine (local.get 0)) (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 60000) (local.get 0))
				(call $host (local.get 0))
				(i32.eq (i32.load (i32.const 0)) (local.get 0)))
			(func (export "trap") unreachable)
			(func (export "forever") (loop (br 0)))
			(func (export "grow") (drop (memory.grow (i32.const 1)))))`)
		pool := newPool(t, module, wasmer.NewImports().Function("host", func(int32) { runtime.Gosched() }), wasmer.PoolConfig{MaxLive: 3})
		var group, late sync.WaitGroup
		for user := range 8 {
			group.Go(func() {
				for turn := range 60 {
					i, err := pool.Get(background)
					if err != nil {
						t.Error(err)
						return
					}
					use := function(t, i, "use")
					values, err := use.Call(background, 1+user<<8+turn)
					if err != nil || values[0].ToI32() != 1 {
						t.Error("not as it begins", values, err)
						return
					}
					switch turn % 4 {
					case 0:
						_, _ = function(t, i, "trap").Call(background)
					case 1:
						run(t, i, "grow")
						_ = i.Memory.Data()
					case 2:
						ctx, cancel := context.WithCancel(background)
						go cancel()
						_, err = function(t, i, "forever").Call(ctx)
						if !errors.Is(err, wasmer.ErrInterrupted) {
							t.Error(err)
						}
					}
					forever := function(t, i, "use")
					memory := i.Memory
					late.Go(func() { // comes before or after Put
						_, _ = memory.ReadUint32Le(0)
						_ = memory.WriteUint32Le(8, 8)
						_, _ = forever.Call(background, 7)
					})
					for {
						err := pool.Put(i)
						if err == nil {
							break
						}
						if !errors.Is(err, wasmer.ErrRunning) {
							t.Error(err)
							return
						}
						runtime.Gosched()
					}
				}
			})
		}
		group.Wait()
		late.Wait()
		require.Zero(t, pool.Stats().Out)
		i := get(t, pool)
		data, err := i.Memory.Read(0, i.Memory.Size())
		require.NoError(t, err)
		require.Equal(t, "begin", string(bytes.Trim(data, "\x00")))
	})
}

// Of a module whose memory is another's there is nothing to reset: each user gets an instance that was made for it.
