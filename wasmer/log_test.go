package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// record is a handler that keeps what it is told: "LEVEL message key=value...".
type record struct {
	level slog.Level
	// then runs at each event.
	then func(slog.Record)

	mu    sync.Mutex
	lines []string
	asked int
}

func (r *record) Enabled(_ context.Context, level slog.Level) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return level >= r.level
}

func (r *record) Handle(_ context.Context, event slog.Record) error {
	var line strings.Builder
	fmt.Fprintf(&line, "%s %s", event.Level, event.Message)
	event.Attrs(func(attribute slog.Attr) bool {
		fmt.Fprintf(&line, " %s=%v", attribute.Key, attribute.Value)
		return true
	})
	r.mu.Lock()
	r.lines = append(r.lines, line.String())
	r.mu.Unlock()
	if r.then != nil {
		r.then(event)
	}
	return nil
}

func (r *record) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r *record) WithGroup(string) slog.Handler      { return r }

// take gives what was told since the last time.
func (r *record) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

// logged is an engine with a logger that records.
func logged(t testing.TB, shared *wasmer.Engine, level slog.Level) (*wasmer.Engine, *record) {
	t.Helper()
	r := &record{level: level}
	return engineOf(t, shared, wasmer.EngineConfig{
		Logger: slog.New(r), MaxMemoryPages: 4, StackSize: 1 << 18, Metering: wasmer.Metering{Mode: wasmer.MeteringBlock},
	}), r
}

const talkative = `(module $guest
	(import "env" "host" (func $host (param i32) (result i32)))
	(memory (export "memory") 1)
	(func (export "call") (param i32) (result i32) (call $host (local.get 0)))
	(func (export "id") (param i32) (result i32) (local.get 0))
	(func (export "repeat") (loop $again (drop (call $host (i32.const 0))) (br $again)))
	(func (export "trap") unreachable)
	(func $deep (export "deep") (call $deep) (call $deep))
	(func (export "grow") (result i32) (memory.grow (i32.const 9)))
	(func (export "grow and trap") (drop (memory.grow (i32.const 9))) unreachable))`

func talk(t testing.TB, engine *wasmer.Engine, host any) *wasmer.Instance {
	t.Helper()
	instance, err := wasmer.Instantiate(background, compile(t, engine, talkative), wasmer.NewImports().Function("host", host))
	require.NoError(t, err)
	t.Cleanup(func() { instance.Close() })
	return instance
}

func TestEventsAreLogged(t *testing.T) {
	errHost := errors.New("user defined")
	same := func(n int32) int32 { return n }
	for _, test := range []struct {
		name  string
		level slog.Level
		do    func(t *testing.T, engine *wasmer.Engine)
		want  []string
	}{
		{"trap", slog.LevelError, func(t *testing.T, engine *wasmer.Engine) {
			failing(t, talk(t, engine, same), "trap")
		}, []string{`ERROR execution failed module=guest function=trap error=wasmer: module[guest] function[$4] failed: wasm error: unreachable`}},
		{"stack", slog.LevelError, func(t *testing.T, engine *wasmer.Engine) {
			failing(t, talk(t, engine, same), "deep")
		}, []string{`ERROR execution failed module=guest function=deep error=wasmer: wasm error: call stack exhausted limit=stack`}},
		{"host error", slog.LevelError, func(t *testing.T, engine *wasmer.Engine) {
			failing(t, talk(t, engine, func(int32) (int32, error) { return 0, errHost }), "call", 1)
		}, []string{`ERROR execution failed module=guest function=call error=user defined`}},
		{"panic", slog.LevelError, func(t *testing.T, engine *wasmer.Engine) {
			instance := talk(t, engine, func(int32) int32 { panic("now") })
			require.PanicsWithValue(t, "now", func() { _, _ = function(t, instance, "call").Call(background, 1) })
		}, []string{`ERROR execution failed module=guest function=call error=panic: now`}},
		{"cost limit", slog.LevelError, func(t *testing.T, engine *wasmer.Engine) {
			instance := talk(t, engine, same)
			require.NoError(t, instance.Meter().SetLimit(100))
			require.ErrorIs(t, failing(t, instance, "repeat"), wasmer.ErrCostLimit)
		}, []string{`ERROR Cost exceeded limit. Force terminate the execution. module=guest function=repeat error=wasmer: `}},
		{"start function", slog.LevelError, func(t *testing.T, engine *wasmer.Engine) {
			_, err := compile(t, engine, `(module $m (func $start unreachable) (start $start))`).Instantiate()
			require.Error(t, err)
		}, []string{`ERROR instantiation failed module=m error=wasmer: module[m] function[start] failed: wasm error: unreachable`}},
		{"missing import", slog.LevelError, func(t *testing.T, engine *wasmer.Engine) {
			_, err := compile(t, engine, talkative).Instantiate()
			require.ErrorAs(t, err, new(*wasmer.LinkError))
		}, []string{`ERROR instantiation failed module=guest error=wasmer: link: import "env"."host": missing`}},
		{"invalid module", slog.LevelError, func(t *testing.T, engine *wasmer.Engine) {
			_, err := engine.Compile(background, []byte(`(module (func (result i32)))`))
			require.Error(t, err)
		}, []string{`ERROR compilation failed error=wasmer: compile: `}},
		{"limit of the engine", slog.LevelError, func(t *testing.T, engine *wasmer.Engine) {
			_, err := compile(t, engine, `(module (memory 5))`).Instantiate()
			require.ErrorIs(t, err, wasmer.ErrResource)
		}, []string{`ERROR instantiation failed error=wasmer: out of resources: `}},
		{"artifact", slog.LevelWarn, func(t *testing.T, engine *wasmer.Engine) {
			_, err := engine.Deserialize(background, []byte("anything"))
			require.ErrorIs(t, err, wasmer.ErrIncompatible)
		}, []string{`WARN artifact rejected error=wasmer: incompatible artifact: `}},
		{"growth by the host", slog.LevelWarn, func(t *testing.T, engine *wasmer.Engine) {
			require.ErrorIs(t, talk(t, engine, same).Memory.Grow(9), wasmer.ErrResource)
			_, err := newStore(t, engine).NewMemory(5, 5)
			require.ErrorIs(t, err, wasmer.ErrResource)
			_, err = tableOf(t, newStore(t, engine), wasmer.ValueTypeFuncRef, wasmer.Limits{Max: 1, HasMax: true}, nil).Grow(2, nil)
			require.ErrorIs(t, err, wasmer.ErrResource)
		}, []string{
			`WARN limit reached error=wasmer: out of resources: memory: cannot grow by 9 pages`,
			`WARN limit reached error=wasmer: out of resources: memory: `,
			`WARN limit reached error=wasmer: out of resources: table: cannot grow by 2 elements`,
		}},
		{"growth by the guest", slog.LevelWarn, func(t *testing.T, engine *wasmer.Engine) {
			instance := talk(t, engine, same)
			run(t, instance, "grow")
			failing(t, instance, "grow and trap")
			run(t, instance, "grow")
			require.NoError(t, instance.Close())
		}, []string{
			`ERROR execution failed module=guest function=grow and trap error=wasmer: module[guest] function[$7] failed: wasm error: unreachable`,
			`WARN growth refused module=guest limit=memory or table times=2`,
			`WARN growth refused module=guest limit=memory or table times=1`,
		}},
		{"interruption", slog.LevelInfo, func(t *testing.T, engine *wasmer.Engine) {
			ctx, cancel := context.WithCancel(background)
			instance := talk(t, engine, func(n int32) int32 { cancel(); return n })
			_, err := function(t, instance, "repeat").Call(ctx)
			require.ErrorIs(t, err, wasmer.ErrInterrupted)
			_, err = engine.Compile(ctx, []byte("(module)"))
			require.ErrorIs(t, err, wasmer.ErrInterrupted)
		}, []string{
			`INFO interrupted module=guest function=repeat error=wasmer: execution interrupted: context canceled`,
			`INFO interrupted error=wasmer: execution interrupted: context canceled`,
		}},
		{"exit", slog.LevelDebug, func(t *testing.T, engine *wasmer.Engine) {
			instance := talk(t, engine, func(c *wasmer.Caller, _ int32) (int32, error) { return 0, c.Exit(3) })
			failing(t, instance, "call", 1)
		}, []string{
			`DEBUG module compiled module=guest size=`,
			`DEBUG instance made module=guest`,
			`DEBUG instance closed module=guest code=3`,
			`DEBUG guest ended module=guest function=call error=wasmer: the guest "guest" exited with code 3`,
		}},
		{"success", slog.LevelInfo, func(t *testing.T, engine *wasmer.Engine) {
			instance := talk(t, engine, same)
			run(t, instance, "call", 1)
			require.NoError(t, instance.Close())
		}, nil},
		{"off", slog.LevelError + 1, func(t *testing.T, engine *wasmer.Engine) {
			failing(t, talk(t, engine, same), "trap")
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
				engine, r := logged(t, shared, test.level)
				test.do(t, engine)
				lines := r.take()
				require.Len(t, lines, len(test.want), "%s", strings.Join(lines, "\n"))
				for i, want := range test.want {
					require.Contains(t, lines[i], want)
				}
			})
		})
	}
}

func TestCallsThatSucceedAskNoLogger(t *testing.T) {
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		engine, r := logged(t, shared, slog.LevelDebug)
		instance := talk(t, engine, func(n int32) int32 { return n })
		asked := r.asked
		run(t, instance, "call", 1)
		run(t, instance, "id", 1)
		require.Equal(t, asked, r.asked)
	})
}

func TestTheHandlerMayUseTheInstance(t *testing.T) {
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		engine, r := logged(t, shared, slog.LevelDebug)
		var instance *wasmer.Instance
		var results []int32
		within := false
		r.then = func(event slog.Record) {
			if event.Level != slog.LevelError || within {
				return
			}
			within = true
			defer func() { within = false }()
			value, err := function(t, instance, "id").Call(background, 7)
			if err == nil {
				results = append(results, value[0].ToI32())
			}
			_, _ = instance.Memory.GrowBy(100)
			_, _ = function(t, instance, "trap").Call(background)
			_ = instance.Stats()
			_ = wasmer.Stats()
			_, _ = engine.Compile(background, []byte("broken"))
		}
		instance = talk(t, engine, func(c *wasmer.Caller, n int32) (int32, error) {
			trap, err := c.Function("trap")
			if err != nil {
				return 0, err
			}
			_, err = trap.Call(c.Context()) // told of within a call
			if !errors.Is(err, wasmer.TrapUnreachable) {
				return 0, err
			}
			return n, nil
		})
		failing(t, instance, "trap")
		require.Equal(t, []int32{7}, results)
		require.EqualValues(t, 5, run(t, instance, "call", 5)[0].ToI32())
		require.Equal(t, []int32{7, 7}, results)

		r.then = func(slog.Record) { instance.Close() }
		failing(t, instance, "trap")
		_, err := instance.Function("id")
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

func TestAPanicOfTheHandlerIsDropped(t *testing.T) {
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		engine, r := logged(t, shared, slog.LevelDebug)
		told := 0
		r.then = func(slog.Record) { told++; panic("handler") }
		instance := talk(t, engine, func(c *wasmer.Caller, n int32) (int32, error) {
			_, err := function(t, c.Instance(), "trap").Call(c.Context())
			if !errors.Is(err, wasmer.TrapUnreachable) {
				return 0, err
			}
			return n, nil
		})
		require.ErrorIs(t, failing(t, instance, "trap"), wasmer.TrapUnreachable)
		require.EqualValues(t, 5, run(t, instance, "call", 5)[0].ToI32())
		require.Error(t, instance.Memory.Grow(100))
		require.EqualValues(t, 6, run(t, instance, "call", 6)[0].ToI32())
		require.NoError(t, instance.Close())
		require.Greater(t, told, 5)
	})
}

func TestWhatIsForgottenIsLogged(t *testing.T) {
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		r := &record{level: slog.LevelWarn}
		func() {
			engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: shared.Compiler(), Logger: slog.New(r)})
			require.NoError(t, err)
			module, err := engine.Compile(background, []byte(`(module $lost)`))
			require.NoError(t, err)
			_, err = module.Instantiate()
			require.NoError(t, err)
		}()
		var lines []string
		require.Eventually(t, func() bool {
			runtime.GC()
			lines = append(lines, r.take()...)
			return len(lines) >= 3
		}, 10*time.Second, 10*time.Millisecond)
		const freed = "WARN freed by the garbage collector: Close was not called kind="
		require.ElementsMatch(t, []string{
			freed + "engine name=" + shared.Compiler().String(), freed + "module name=lost", freed + "store name=lost",
		}, lines)
	})
}

func TestTheLoggerOfTheProcess(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		r := &record{level: slog.LevelError}
		own, mine := logged(t, engine, slog.LevelError)
		wasmer.SetLogger(slog.New(r))
		defer wasmer.SetLogger(nil)
		host := func(n int32) int32 { return n }
		failing(t, talk(t, engine, host), "trap")
		require.Len(t, r.take(), 1)
		failing(t, talk(t, own, host), "trap")
		require.Empty(t, r.take())
		require.Len(t, mine.take(), 1)
		require.False(t, wasmer.Validate([]byte("broken")))
		wasmer.SetLogger(nil)
		failing(t, talk(t, engine, host), "trap")
		require.Empty(t, r.take())
	})
}

func TestSilenceAllocatesNothing(t *testing.T) {
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		engine, _ := logged(t, shared, slog.LevelError+1)
		silent := engineOf(t, shared, wasmer.EngineConfig{MaxMemoryPages: 4, Metering: wasmer.Metering{Mode: wasmer.MeteringBlock}})
		failures := func(engine *wasmer.Engine) float64 {
			trap := function(t, talk(t, engine, func(n int32) int32 { return n }), "trap")
			return testing.AllocsPerRun(200, func() { _ = trap.CallRaw(background, nil) })
		}
		require.Equal(t, failures(silent), failures(engine))
	})
}
