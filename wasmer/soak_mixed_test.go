package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// mixedTime is how long TestSoakMixedWork works: WASMER_GO_SOAK_TIME, if it is set.
func mixedTime(t *testing.T) time.Duration {
	if text := os.Getenv("WASMER_GO_SOAK_TIME"); text != "" {
		d, err := time.ParseDuration(text)
		require.NoError(t, err, "WASMER_GO_SOAK_TIME")
		return d
	}
	return map[string]time.Duration{"": 4 * time.Second, "short": 30 * time.Second, "long": time.Hour}[soak]
}

const mixedGuest = `(module $mixed
	(import "env" "host" (func $host (param i32) (result i32)))
	(memory (export "memory") 1 8)
	(table 4 funcref)
	(type $nothing (func))
	(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
	(func (export "host") (param i32) (result i32) (call $host (local.get 0)))
	(func (export "forever") (loop $again (br $again)))
	(func (export "host forever") (loop $again (drop (call $host (i32.const 1))) (br $again)))
	(func (export "grow") (result i32) (memory.grow (i32.const 1)))
	(func (export "trap 0") unreachable)
	(func (export "trap 1") (drop (i32.load (i32.const 0x7fffffff))))
	(func (export "trap 2") (drop (i32.div_s (i32.const 1) (i32.const 0))))
	(func (export "trap 3") (call_indirect (type $nothing) (i32.const 1)))
	(func $deep (export "trap 4") (call $deep) (call $deep)))`

var mixedTraps = []wasmer.TrapCode{
	wasmer.TrapUnreachable, wasmer.TrapOutOfBounds, wasmer.TrapDivisionByZero, wasmer.TrapNullIndirectCall, wasmer.TrapStackOverflow,
}

// mixed is one engine's share of the work.
type mixed struct {
	engine                     *wasmer.Engine
	module, trapping, cat, lib *wasmer.Module
	imports                    *wasmer.Imports
	// shared is called by all workers, one after the other.
	shared *wasmer.Instance
	folder string
}

var errMixed = errors.New("host error")

func newMixed(t *testing.T, config wasmer.EngineConfig) *mixed {
	m := &mixed{folder: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(m.folder, "file"), []byte("contents"), 0o666))
	var err error
	m.engine, err = wasmer.NewEngine(config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.engine.Close() })
	cat, err := wasmer.ReadBytes("../testdata/wasi/cat.wasm")
	require.NoError(t, err)
	m.module, m.cat = compile(t, m.engine, mixedGuest), compile(t, m.engine, cat)
	m.trapping = compile(t, m.engine, `(module (memory 1) (func $start unreachable) (start $start))`)
	m.lib = compile(t, m.engine, `(module (import "mixed" "add" (func $add (param i32 i32) (result i32)))
		(func (export "add 3") (param i32) (result i32) (call $add (local.get 0) (i32.const 3))))`)
	m.imports = wasmer.NewImports().Function("host", func(n int32) (int32, error) {
		switch n {
		case 666:
			return 0, errMixed
		case 667:
			panic(errMixed)
		}
		return n + 1, nil
	})
	m.shared, err = wasmer.Instantiate(background, m.module, m.imports)
	require.NoError(t, err)
	return m
}

// mixedWork is what there is to do, each with an instance of its own that is closed afterwards.
var mixedWork = map[string]func(m *mixed, i *wasmer.Instance, r *rand.Rand) error{
	"call": func(m *mixed, i *wasmer.Instance, r *rand.Rand) error {
		a, b := r.Int32N(1000), r.Int32N(1000)
		return m.gives(i, a+b, "add", a, b)
	},
	"host call": func(m *mixed, i *wasmer.Instance, r *rand.Rand) error {
		n := r.Int32N(500)
		return m.gives(i, n+1, "host", n)
	},
	"trap": func(_ *mixed, i *wasmer.Instance, r *rand.Rand) error {
		n := r.IntN(len(mixedTraps))
		_, err := mixedCall(background, i, fmt.Sprint("trap ", n))
		return mixedIs(err, mixedTraps[n])
	},
	"host error": func(_ *mixed, i *wasmer.Instance, _ *rand.Rand) error {
		_, err := mixedCall(background, i, "host", 666)
		return mixedIs(err, errMixed)
	},
	"host panic": func(_ *mixed, i *wasmer.Instance, _ *rand.Rand) (err error) {
		defer func() { err = mixedIs(recover().(error), errMixed) }()
		_, err = mixedCall(background, i, "host", 667)
		return err
	},
	"cancel": func(_ *mixed, i *wasmer.Instance, r *rand.Rand) error {
		ctx, cancel := context.WithTimeout(background, time.Duration(r.IntN(3000))*time.Microsecond)
		defer cancel()
		_, err := mixedCall(ctx, i, []string{"forever", "host forever"}[r.IntN(2)])
		return errors.Join(mixedIs(err, wasmer.ErrInterrupted), mixedIs(err, context.DeadlineExceeded))
	},
	"cancel async": func(_ *mixed, i *wasmer.Instance, r *rand.Rand) error {
		f, err := i.Function("forever")
		if err != nil {
			return err
		}
		async := f.CallAsync(background)
		async.WaitFor(time.Duration(r.IntN(1000)) * time.Microsecond)
		async.Cancel()
		_, err = async.Result()
		return mixedIs(err, wasmer.ErrInterrupted)
	},
	"close while running": func(_ *mixed, i *wasmer.Instance, r *rand.Rand) error {
		time.AfterFunc(time.Duration(r.IntN(1000))*time.Microsecond, func() { _ = i.CloseWithExitCode(7) })
		_, err := mixedCall(background, i, "forever")
		return mixedIs(err, wasmer.ErrClosed)
	},
	"grow": func(m *mixed, i *wasmer.Instance, _ *rand.Rand) error {
		for pages := range int32(7) {
			if err := m.gives(i, pages+1, "grow"); err != nil {
				return err
			}
		}
		return errors.Join(m.gives(i, -1, "grow"), mixedIs(i.Memory.Grow(1), wasmer.ErrResource),
			i.Memory.WriteByteAt(8*wasmer.PageSize-1, 1))
	},
	"shared": func(m *mixed, _ *wasmer.Instance, r *rand.Rand) error {
		if r.IntN(2) == 0 {
			return m.gives(m.shared, 5, "add", 2, 3)
		}
		ctx, cancel := context.WithTimeout(background, time.Duration(r.IntN(1000))*time.Microsecond)
		defer cancel()
		_, err := mixedCall(ctx, m.shared, "forever")
		return mixedIs(err, wasmer.ErrInterrupted)
	},
	"compile": func(m *mixed, _ *wasmer.Instance, r *rand.Rand) error {
		n := r.Int32()
		module, err := m.engine.Compile(background, []byte(fmt.Sprintf(`(module (memory 1) (func (export "n") (result i32) (i32.const %d)))`, n)))
		if err != nil {
			return err
		}
		defer module.Close()
		artifact, err := module.Serialize()
		if err != nil {
			return err
		}
		loaded, err := m.engine.Deserialize(background, artifact)
		if err != nil {
			return err
		}
		defer loaded.Close()
		instance, err := wasmer.Instantiate(background, loaded, nil)
		if err != nil {
			return err
		}
		defer instance.Close()
		return m.gives(instance, n, "n")
	},
	"what fails": func(m *mixed, _ *wasmer.Instance, _ *rand.Rand) error {
		_, invalid := m.engine.Compile(background, []byte("(module (func (result i32)))"))
		_, link := m.module.Instantiate()
		_, trap := m.trapping.Instantiate()
		if !errors.As(invalid, new(*wasmer.CompileError)) || !errors.As(link, new(*wasmer.LinkError)) {
			return fmt.Errorf("got %w and %w", invalid, link)
		}
		return mixedIs(trap, wasmer.TrapUnreachable)
	},
	"link": func(m *mixed, _ *wasmer.Instance, _ *rand.Rand) error {
		store, err := wasmer.NewStore(m.engine)
		if err != nil {
			return err
		}
		defer store.Close()
		if _, err = store.Instantiate(background, "mixed", m.module, m.imports); err != nil {
			return err
		}
		lib, err := store.Instantiate(background, "", m.lib, nil)
		if err != nil {
			return err
		}
		return m.gives(lib, 10, "add 3", 7)
	},
	"command": func(m *mixed, _ *wasmer.Instance, _ *rand.Rand) error {
		var output bytes.Buffer
		wasi := wasmer.NewWASI(wasmer.WASIConfig{
			Args: []string{"cat", "file"}, Stdout: &output, Mounts: []wasmer.Mount{{Guest: ".", Host: m.folder, ReadOnly: true}},
		})
		defer wasi.Close()
		guest, err := wasmer.Instantiate(background, m.cat, wasmer.NewImports().WASI(wasi))
		if err != nil {
			return err
		}
		defer guest.Close()
		if err := guest.Start(background); err != nil || output.String() != "contents" {
			return fmt.Errorf("read %q: %w", output.String(), err)
		}
		return nil
	},
	"forget": func(m *mixed, _ *wasmer.Instance, _ *rand.Rand) error {
		instance, err := wasmer.Instantiate(background, m.module, m.imports)
		if err != nil {
			return err
		}
		return m.gives(instance, 3, "add", 1, 2)
	},
	"statistics": func(m *mixed, i *wasmer.Instance, _ *rand.Rand) error {
		if calls := i.Stats().Calls; calls != 0 {
			return fmt.Errorf("%d calls of a new instance", calls)
		}
		if m.engine.Stats().Instances == 0 || wasmer.Stats().Stores == 0 {
			return errors.New("there is no instance")
		}
		return nil
	},
}

// mixedIs is nil if the error is the one that is wanted.
func mixedIs(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("want %v, got: %w", want, err)
}

func mixedCall(ctx context.Context, i *wasmer.Instance, name string, args ...any) ([]wasmer.Value, error) {
	f, err := i.Function(name)
	if err != nil {
		return nil, err
	}
	return f.Call(ctx, args...)
}

func (m *mixed) gives(i *wasmer.Instance, want int32, name string, args ...any) error {
	values, err := mixedCall(background, i, name, args...)
	if err != nil {
		return err
	}
	if got := values[0].ToI32(); got != want {
		return fmt.Errorf("%s%v is %d, want %d", name, args, got, want)
	}
	return nil
}

func (m *mixed) do(work string, r *rand.Rand) error {
	instance, err := wasmer.Instantiate(background, m.module, m.imports)
	if err != nil {
		return err
	}
	defer instance.Close()
	return mixedWork[work](m, instance, r)
}

// mixedUsage is what the process has, when nobody works.
type mixedUsage struct {
	usage
	descriptors, threads, goroutines int
	handles                          map[string]int64
}

func mixedUsed() mixedUsage {
	u := mixedUsage{usage: used(), goroutines: runtime.NumGoroutine(), handles: handles(wasmer.Stats())}
	descriptors, _ := os.ReadDir("/proc/self/fd")
	u.descriptors = len(descriptors)
	threads, _ := os.ReadDir("/proc/self/task")
	u.threads = len(threads)
	return u
}

// growth says what there is more of than before, apart from noise; empty if nothing is.
func (u mixedUsage) growth(before mixedUsage) string {
	var more []string
	check := func(name string, before, now, noise int64) {
		if now > before+noise {
			more = append(more, fmt.Sprintf("%s: %d -> %d", name, before, now))
		}
	}
	check("descriptors", int64(before.descriptors), int64(u.descriptors), 1)
	check("goroutines", int64(before.goroutines), int64(u.goroutines), 2)
	check("threads", int64(before.threads), int64(u.threads), 8)
	check("mappings", int64(before.mappings), int64(u.mappings), 200)
	for name, n := range u.handles {
		check(name, before.handles[name], n, 0)
	}
	if !raceDetector {
		check("resident memory", int64(before.resident), int64(u.resident), 32<<20)
		check("address space", int64(before.virtual), int64(u.virtual), 64*9<<30) // reservations are kept for later
	}
	return strings.Join(more, ", ")
}

// All kinds of work at once leave nothing behind: memory, descriptors, mappings and threads stay flat.
func TestSoakMixedWork(t *testing.T) {
	const workers = 6
	duration := mixedTime(t)
	seed := rand.Uint64()
	t.Logf("%v, seed %d", duration, seed)
	var all []*mixed
	for _, compiler := range wasmer.Compilers() {
		for _, memories := range []wasmer.Memories{wasmer.ReservedMemories, wasmer.BoundedMemories} {
			all = append(all, newMixed(t, wasmer.EngineConfig{
				Compiler: compiler, Memories: memories, MeasureTime: memories == wasmer.BoundedMemories,
			}))
		}
	}
	var names []string
	for name := range mixedWork {
		names = append(names, name)
	}
	done := map[string]int{}
	var mu sync.Mutex
	// work has all workers at it for a time.
	work := func(round uint64, d time.Duration) {
		end := time.Now().Add(d)
		var group sync.WaitGroup
		for worker := range uint64(workers) {
			group.Go(func() {
				r := rand.New(rand.NewPCG(seed, round*workers+worker))
				mine := map[string]int{}
				for time.Now().Before(end) && !t.Failed() {
					name := names[r.IntN(len(names))]
					if err := all[r.IntN(len(all))].do(name, r); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					mine[name]++
				}
				mu.Lock()
				defer mu.Unlock()
				for name, n := range mine {
					done[name] += n
				}
			})
		}
		group.Wait()
	}

	// What is kept for later use (stacks, reservations, threads) is there after the first part.
	work(0, duration/4)
	before := mixedUsed()
	const parts = 6
	for part := range uint64(parts) {
		work(1+part, duration*3/4/parts)
		if t.Failed() {
			return
		}
		after := mixedUsed()
		t.Logf("resident %d -> %d KiB, virtual %d -> %d MiB, mappings %d -> %d, threads %d -> %d, descriptors %d -> %d",
			before.resident>>10, after.resident>>10, before.virtual>>20, after.virtual>>20, before.mappings, after.mappings,
			before.threads, after.threads, before.descriptors, after.descriptors)
	}
	var growth string
	for range 100 { // what was forgotten is collected in time
		if growth = mixedUsed().growth(before); growth == "" {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("done: %v", done)
	require.Empty(t, growth)
	for name := range mixedWork {
		require.Positive(t, done[name], name)
	}
}
