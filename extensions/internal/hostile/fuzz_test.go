package hostile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/perinstance"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const program = `(module
	(import "box" "put" (func (param i32 i32) (result i32)))
	(import "box" "get" (func (param i32 i32 i64) (result i32)))
	(memory 1))`

// box keeps copies of what guests put, under numbers.
type box struct{ perinstance.State[[]string] }

func newBox() *wasmer.Imports {
	b := &box{perinstance.State[[]string]{New: func() *[]string { return new([]string) }}}
	return wasmer.NewImports().Namespace("box").Function("put", b.put).Function("get", b.get)
}

func (b *box) put(c *wasmer.Caller, ptr, length uint32) (int32, error) {
	if c.Memory() == nil || length > 100 {
		return -1, nil
	}
	text, err := c.Memory().ReadString(uint64(ptr), uint64(length))
	if err != nil {
		return 0, err
	}
	kept := b.Of(c.Instance())
	*kept = append(*kept, text)
	return int32(len(*kept) - 1), nil
}

func (b *box) get(c *wasmer.Caller, number, out uint32, _ int64) (int32, error) {
	kept := *b.Of(c.Instance())
	if uint64(number) >= uint64(len(kept)) {
		return -1, nil
	}
	return int32(len(kept[number])), c.Memory().WriteString(uint64(out), kept[number])
}

func newRandom() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func TestFunctionsThatCheckStand(t *testing.T) {
	var refused, stored, fetched int
	Fuzz(t, Config{
		Program: program, Imports: newBox(), Data: []string{"one", "two"}, Calls: 1000,
	})
	// The same by one guest, which can be counted: what is fuzzed is reached.
	a := &attack{guest: New(t, program, newBox()), random: newRandom(), config: Config{Calls: 5000, Data: []string{"one", "two"}}}
	a.config.Check = func(name string, results []uint64) error {
		switch {
		case int32(results[0]) < 0:
		case name == "put":
			stored++
		default:
			fetched++
		}
		return nil
	}
	a.config.Refused = func(_ string, err error) error {
		refused++
		if !errors.Is(err, wasmer.ErrOutOfBounds) {
			return err
		}
		return nil
	}
	require.NoError(t, a.run())
	require.Greater(t, refused, 100)
	require.Greater(t, stored, 100)
	require.Greater(t, fetched, 100)
}

func TestFunctionsThatDoNotCheckAreFound(t *testing.T) {
	for name, function := range map[string]any{
		"length":  func(_ *wasmer.Caller, ptr, length uint32) int32 { return int32(len(make([]byte, 64)[:length%128])) },
		"pointer": func(c *wasmer.Caller, ptr, length uint32) int32 { return int32(c.Memory().Data()[ptr]) },
		"error":   func(c *wasmer.Caller, ptr, length uint32) (int32, error) { return 0, errors.New("") },
	} {
		t.Run(name, func(t *testing.T) {
			imports := newBox().Namespace("box").Function("put", function)
			for _, memory := range []string{"", `(memory (export "memory") 2 2)`} {
				a := &attack{guest: newGuest(t, functionsOf(t, program), imports, memory), random: newRandom(), config: Config{Calls: 500}}
				if memory == "" {
					if err := a.call(a.guest.functions[0], make([]uint64, 2)); err != nil {
						return
					}
					continue
				}
				require.Error(t, a.run())
			}
		})
	}
}

func TestWritesToOtherGuestsAreFound(t *testing.T) {
	bystander := New(t, program, newBox())
	imports := newBox().Function("put", func(ptr, length uint32) int32 {
		_ = bystander.Memory.WriteByteAt(uint64(ptr), 1)
		return 0
	})
	err := random(t, bystander, Config{Program: program, Imports: imports, Calls: 500}, 1)
	require.ErrorContains(t, err, "the memory of a guest that did nothing")
}

func TestResultsThatMustNotBeAreFound(t *testing.T) {
	a := &attack{guest: New(t, program, newBox()), random: newRandom(), config: Config{Calls: 500}}
	a.config.Check = func(name string, results []uint64) error {
		if results[0] != 0 {
			return fmt.Errorf("returned %d", results[0])
		}
		return nil
	}
	require.ErrorContains(t, a.run(), "returned")
}

func TestHandlesOfOneGuestAreUselessInAnother(t *testing.T) {
	imports := newBox()
	one, other := New(t, program, imports), New(t, program, imports)
	ptr, length := one.Put(t, 100, "secret")
	handle := one.I32(t, "put", ptr, length)
	require.EqualValues(t, 6, one.I32(t, "get", handle, 200, int64(0)))
	require.EqualValues(t, -1, other.I32(t, "get", handle, 200, int64(0)))
}
