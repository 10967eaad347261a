package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Config says what is attacked.
type Config struct {
	// Program imports the functions, in binary or text form.
	Program string
	// Imports defines them. Both of two guests that call at the same time are given the same one.
	Imports *wasmer.Imports
	// Data is what pointers may lead to that goes deeper than random bytes: names, files, keys.
	Data []string
	// Check looks at the results of a call that did not end its guest, one slot a value, if there are any; nil takes all.
	Check func(name string, results []uint64) error
	// Refused looks at the error of a call that did; nil takes any that is no panic.
	Refused func(name string, err error) error
	// Calls is how often functions are called for each of the seeds; 0 is 3000.
	Calls int
}

// seeds is how many times each guest begins anew.
const seeds = 3

// Fuzz calls the functions in random order, with random numbers, places inside of memory and beyond, lengths and whatever calls
// returned, while a second guest does the same and a third only looks on. Every call must return or end its guest with an
// error: none may panic, or write to the memory of another guest. What calls began must end when they do. Guests without a
// memory must stand too.
func Fuzz(t *testing.T, config Config) {
	functions := functionsOf(t, config.Program)
	t.Run("without memory", func(t *testing.T) { withoutMemory(t, functions, config) })
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			runtime.GC()
			goroutines := runtime.NumGoroutine()
			bystander := New(t, config.Program, config.Imports)
			require.NoError(t, random(t, bystander, config, seed))
			settle(t, goroutines)
		})
	}
}

// withoutMemory calls each function of guests that have none, or an empty one.
func withoutMemory(t *testing.T, functions []wasmer.ImportType, config Config) {
	for _, memory := range []string{"", `(memory (export "memory") 0)`} {
		guest := newGuest(t, functions, config.Imports, memory)
		for _, f := range guest.functions {
			for _, number := range []uint64{0, 1, math.MaxUint64} {
				stack := make([]uint64, slotsOf(f.typ))
				for slot := range stack {
					stack[slot] = number
				}
				attack := &attack{config: config, guest: guest}
				require.NoError(t, attack.call(f, stack))
			}
		}
	}
}

// random has two guests call at the same time, and says what they did that they must not.
func random(t *testing.T, bystander *Guest, config Config, seed uint64) error {
	require.NoError(t, bystander.Memory.Write(0, untouched()))
	var attacks sync.WaitGroup
	failures := make([]error, 2)
	for n := range failures {
		attack := &attack{
			config: config, guest: New(t, config.Program, config.Imports), random: rand.New(rand.NewPCG(seed, uint64(n))),
		}
		attacks.Go(func() { failures[n] = attack.run() })
	}
	attacks.Wait()
	memory, err := bystander.Memory.Read(0, bystander.Memory.Size())
	require.NoError(t, err)
	if !bytes.Equal(memory, untouched()) {
		failures = append(failures, errors.New("the memory of a guest that did nothing was written to"))
	}
	return errors.Join(failures...)
}

// untouched is what the memory of the guest that looks on holds.
func untouched() []byte {
	data := make([]byte, pages*wasmer.PageSize)
	for i := range data {
		data[i] = byte(i * 7)
	}
	return data
}

// settle waits until no more goroutines run than before.
func settle(t *testing.T, before int) {
	t.Helper()
	const allowed = 4 // Go's own, for cleanups and the collector
	for range 1_000_000 {
		if runtime.NumGoroutine() <= before+allowed {
			return
		}
		runtime.Gosched()
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	require.Fail(t, "goroutines are left", "%d, before %d:\n%s", runtime.NumGoroutine(), before, stacks)
}

// attack is one guest's.
type attack struct {
	config Config
	guest  *Guest
	random *rand.Rand
	// seen is what calls returned or wrote lately: handles, places, lengths.
	seen []uint64
}

func (a *attack) run() error {
	calls := a.config.Calls
	if calls == 0 {
		calls = 3000
	}
	for range calls {
		if err := a.prepare(); err != nil {
			return err
		}
		f := a.guest.functions[a.random.IntN(len(a.guest.functions))]
		stack := make([]uint64, slotsOf(f.typ))
		a.arguments(f.typ, stack)
		if err := a.call(f, stack); err != nil {
			return err
		}
	}
	return nil
}

func slotsOf(typ wasmer.FunctionType) int {
	count := func(types []wasmer.ValueType) (slots int) {
		for _, typ := range types {
			slots++
			if typ == wasmer.ValueTypeV128 {
				slots++
			}
		}
		return slots
	}
	return max(count(typ.Params), count(typ.Results))
}

// call calls the function, and says what it did that it must not.
func (a *attack) call(f function, stack []uint64) (err error) {
	arguments := fmt.Sprintf("%s(%x)", f.name, stack)
	defer func() {
		if value := recover(); value != nil {
			trace := make([]byte, 8<<10)
			err = fmt.Errorf("%s panicked: %v\n%s", arguments, value, trace[:runtime.Stack(trace, false)])
		}
	}()
	err = f.CallRaw(context.Background(), stack)
	switch {
	case err == nil:
		for slot := range f.typ.Results {
			a.see(stack[slot])
		}
		if a.config.Check != nil && len(f.typ.Results) > 0 {
			err = a.config.Check(f.name, stack[:len(f.typ.Results)])
		}
	case err.Error() == "" || errors.As(err, new(runtime.Error)):
		err = fmt.Errorf("no error of a host function: %w", err)
	case a.config.Refused != nil:
		err = a.config.Refused(f.name, err)
	default:
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", arguments, err)
	}
	return err
}

func (a *attack) see(number uint64) {
	const kept = 32
	if len(a.seen) == kept {
		a.seen[a.random.IntN(kept)] = number
	} else if a.random != nil {
		a.seen = append(a.seen, number)
	}
}
