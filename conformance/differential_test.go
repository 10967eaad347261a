package conformance

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/tools"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// TestDifferential runs random modules on each compiler and on wazero: results, traps, memories and globals must be the
// same. WASMER_GO_DIFFERENTIAL=N adds N seeds that no run had before, metered code, that of each tier, and that of artifacts.
func TestDifferential(t *testing.T) {
	seeds := knownSeeds(t)
	if more := os.Getenv("WASMER_GO_DIFFERENTIAL"); more != "" {
		n, err := strconv.Atoi(more)
		require.NoError(t, err)
		for range n {
			seeds = append(seeds, rand.Uint64())
		}
	}
	modules, err := tools.Smith(seeds)
	require.NoError(t, err)

	subjects := append(WasmerEngines(), wazeroEngine{})
	if os.Getenv("WASMER_GO_DIFFERENTIAL") != "" {
		subjects = slices.Concat(subjects, MeteredEngines(), TieredEngines(), ArtifactEngines())
	}
	var total coverage
	var workers sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				if err := compare(subjects, seeds[i], modules[i], &total); err != nil {
					t.Errorf("seed %d: %v\nmodule: %s", seeds[i], err, keep(t, seeds[i], modules[i]))
				}
			}
		})
	}
	for i := range seeds {
		next <- i
	}
	close(next)
	workers.Wait()
	t.Log(&total)
	require.Greater(t, total.returned, len(seeds), "the modules do too little to prove anything")
	require.Less(t, total.skipped, 1+len(seeds)/100, "too many modules overflow a stack")
}

// knownSeeds are those of every run.
func knownSeeds(t *testing.T) (seeds []uint64) {
	t.Helper()
	known, err := os.ReadFile(filepath.Join("testdata", "seeds.txt"))
	require.NoError(t, err)
	for _, line := range strings.Fields(string(known)) {
		seed, err := strconv.ParseUint(line, 10, 64)
		require.NoError(t, err)
		seeds = append(seeds, seed)
	}
	return seeds
}

// keep writes a module that makes a difference where it can be looked at.
func keep(t *testing.T, seed uint64, module []byte) string {
	folder, err := os.MkdirTemp("", "wasmer-go-differential")
	if err != nil {
		t.Error(err)
		return ""
	}
	path := filepath.Join(folder, fmt.Sprintf("%d.wasm", seed))
	if err := os.WriteFile(path, module, 0o644); err != nil {
		t.Error(err)
	}
	return path
}

// compare runs the module on all engines and reports the first difference to the first of them.
func compare(engines []suite.Engine, seed uint64, wasm []byte, total *coverage) error {
	exports, err := exportsOf(wasm)
	if err != nil {
		return err
	}
	var first []string
	for i, engine := range engines {
		steps, err := observe(engine, seed, wasm, exports)
		if errors.Is(err, errStackOverflow) {
			total.skip()
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", engine.Name(), err)
		}
		if i == 0 {
			first = steps
			total.add(steps)
			continue
		}
		if first[0] == segmentTrap && engine == (wazeroEngine{}) {
			continue // wazero makes an instance in spite of it; the official suite says who is right
		}
		for n := range max(len(first), len(steps)) {
			want, got := at(first, n), at(steps, n)
			if want != got {
				return fmt.Errorf("step %d:\n%s: %s\n%s: %s", n, engines[0].Name(), want, engine.Name(), got)
			}
		}
	}
	return nil
}

// segmentTrap is the first step of a module with an element segment that does not fit.
const segmentTrap = "instantiate: trap: " + string(suite.TableBounds)

func at(steps []string, n int) string {
	if n < len(steps) {
		return steps[n]
	}
	return "nothing"
}

func exportsOf(wasm []byte) ([]wasmer.ExportType, error) {
	module, err := wasmer.Compile(wasm)
	if err != nil {
		return nil, err
	}
	defer module.Close()
	return module.Exports(), nil
}

// observe runs all exported functions and writes down whatever a guest or host can see.
func observe(engine suite.Engine, seed uint64, wasm []byte, exports []wasmer.ExportType) (steps []string, err error) {
	store, err := engine.Open("")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	module, err := store.Compile(suite.Source{Binary: wasm})
	if err != nil {
		return nil, err
	}
	note := func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) }

	instance, err := store.Instantiate(module)
	if err != nil {
		class, err := trapClass(err)
		note("instantiate: %s", class)
		return steps, err
	}
	random := rand.New(rand.NewPCG(seed, 0))
	for range 2 { // the second time with what the first has left
		for _, export := range exports {
			if export.Type.Kind != wasmer.ExternFunction {
				continue
			}
			args := arguments(random, export.Type.Function.Params)
			results, err := instance.Invoke(export.Name, args)
			if err == nil {
				note("%q%v: returned %v", export.Name, args, results)
				continue
			}
			class, err := trapClass(err)
			if err != nil {
				return nil, fmt.Errorf("%q%v: %w", export.Name, args, err)
			}
			note("%q%v: %s", export.Name, args, class)
			if err := noteState(note, instance, exports); err != nil {
				return nil, err
			}
			// The fuel that bounds a guest may be used up; a new instance has its own.
			if instance, err = store.Instantiate(module); err != nil {
				return nil, err
			}
		}
	}
	return steps, noteState(note, instance, exports)
}

// noteState writes down the exported memories and globals.
func noteState(note func(string, ...any), instance suite.Instance, exports []wasmer.ExportType) error {
	for _, export := range exports {
		switch export.Type.Kind {
		case wasmer.ExternMemory:
			memory, err := instance.(interface {
				Memory(name string) ([]byte, error)
			}).Memory(export.Name)
			if err != nil {
				return err
			}
			note("%q: %d bytes %x", export.Name, len(memory), sha256.Sum256(memory))
		case wasmer.ExternGlobal:
			value, err := instance.Get(export.Name)
			if err != nil {
				return err
			}
			note("%q: %v", export.Name, value)
		}
	}
	return nil
}

// errStackOverflow makes a seed count for nothing: how deep a stack is, is each engine's own affair. The modules' fuel
// nearly always ends before that.
var errStackOverflow = errors.New("stack overflow")

// trapClass names the kind of a trap. An indirect call through a bad index and one through an empty element are one
// kind to wazero, so they are one class.
func trapClass(err error) (string, error) {
	var trap *suite.Trap
	if !errors.As(err, &trap) || len(trap.Kinds) == 0 {
		return "", err
	}
	if slices.Contains(trap.Kinds, suite.StackOverflow) {
		return "", errStackOverflow
	}
	if slices.Contains(trap.Kinds, suite.NullElement) {
		return "trap: " + string(suite.TableBounds), nil
	}
	return "trap: " + string(trap.Kinds[0]), nil
}

// arguments makes numbers of which many are those that programs go wrong with.
func arguments(random *rand.Rand, types []wasmer.ValueType) []suite.Value {
	edges := []uint64{
		0, 1, 2, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 63, 1<<63 - 1, 1<<64 - 1,
		0x3f80_0000, 0x7f80_0000, 0x7fc0_0000, 0x3ff0 << 48, 0x7ff0 << 48, 0x7ff8 << 48,
	}
	values := make([]suite.Value, len(types))
	for i, t := range types {
		bits := random.Uint64()
		if random.IntN(2) == 0 {
			bits = edges[random.IntN(len(edges))]
		}
		v := suite.Value{Type: t.String(), Lo: bits}
		switch t {
		case wasmer.ValueTypeI32, wasmer.ValueTypeF32:
			v.Lo = uint64(uint32(bits))
		case wasmer.ValueTypeFuncRef, wasmer.ValueTypeExternRef:
			v = suite.Value{Type: t.String(), Null: true}
		}
		values[i] = v
	}
	return values
}

// coverage counts what the modules did.
type coverage struct {
	mu sync.Mutex

	modules, returned, skipped int
	trapped                    map[string]int
}

func (c *coverage) skip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped++
}

func (c *coverage) add(steps []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.modules++
	for _, step := range steps {
		if strings.Contains(step, ": returned ") {
			c.returned++
		} else if _, kind, ok := strings.Cut(step, ": trap: "); ok {
			if c.trapped == nil {
				c.trapped = map[string]int{}
			}
			c.trapped[kind]++
		}
	}
}

func (c *coverage) String() string {
	return fmt.Sprintf("%d modules, %d of them skipped, %d calls returned, trapped: %v", c.modules, c.skipped, c.returned, c.trapped)
}
