package ffi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// eachEntry gives, for each compiler, an engine and the entry of a module with the entry of another one.
func eachEntry(t testing.TB, test func(compiler uint32, engine *Engine, key Key, entry, other []byte)) {
	for compiler := uint32(Cranelift); compiler <= LLVM; compiler++ {
		if !CompilerAvailable(compiler) {
			continue
		}
		engine, err := NewEngine(testConfig(compiler))
		require.NoError(t, err)
		var keys []Key
		var entries [][]byte
		for _, text := range []string{
			`(module $first (func (export "f") (result i32) (i32.const 42)))`,
			`(module $other (import "a" "b" (func)) (memory 1) (data (i32.const 0) "abc") (func (export "f") (param f64) (result f64) (local.get 0)))`,
		} {
			key, err := engine.Key([]byte(text))
			require.NoError(t, err)
			module, err := engine.Compile([]byte(text), nil)
			require.NoError(t, err)
			entry, err := module.ToCache(key)
			require.NoError(t, err)
			keys, entries = append(keys, key), append(entries, entry)
			module.Delete()
		}
		test(compiler, engine, keys[0], entries[0], entries[1])
		engine.Delete()
	}
}

// requireRefused demands that an entry is refused as damaged, unless it is the whole one.
func requireRefused(t testing.TB, engine *Engine, key Key, entry, whole []byte) {
	module, err := engine.FromCache(key, entry)
	if err == nil {
		module.Delete()
		if !bytes.Equal(entry, whole) {
			t.Fatalf("loaded: %x", entry)
		}
		return
	}
	var failure *Error
	if !errors.As(err, &failure) || failure.Kind != KindIncompatible {
		t.Fatalf("got %v", err)
	}
	if bytes.Equal(entry, whole) {
		t.Fatalf("the whole one is refused: %v", err)
	}
}

// mutate changes an entry as damage would, or as one would who wants to see what happens.
func mutate(r *rand.Rand, entry, other []byte) []byte {
	out := bytes.Clone(entry)
	for range 1 + r.IntN(3) {
		at := r.IntN(len(out) + 1)
		n := r.IntN(len(out) - at + 1)
		switch r.IntN(9) {
		case 0:
			out = out[:at]
		case 1:
			out = append(out, other[:r.IntN(len(other))]...)
		case 2: // a bit
			if at < len(out) {
				out[at] ^= 1 << r.IntN(8)
			}
		case 3: // a bit of the header
			if len(out) > 0 {
				out[r.IntN(min(len(out), 512))] ^= 1 << r.IntN(8)
			}
		case 4: // a number, often of the header
			at = min(at, r.IntN(1024))
			if at+4 <= len(out) {
				numbers := []uint32{0, 1, 0x7fffffff, 0x80000000, 0xffffffff, uint32(len(out)), r.Uint32()}
				binary.LittleEndian.PutUint32(out[at:], numbers[r.IntN(len(numbers))])
			}
		case 5:
			clear(out[at : at+n])
		case 6:
			out = slices.Delete(out, at, at+min(n, 64))
		case 7: // parts change places
			head := bytes.Clone(out[:at])
			out = append(bytes.Clone(out[at:]), head...)
		case 8: // the other's part
			copy(out[at:at+n], other[min(at, len(other)):])
		}
		if len(out) == 0 {
			break
		}
	}
	return out
}

func TestSoakMutatedCacheEntriesAreRefused(t *testing.T) {
	count := map[string]int{"": 5_000, "short": 50_000, "long": 400_000}[os.Getenv("WASMER_GO_SOAK")]
	eachEntry(t, func(compiler uint32, engine *Engine, key Key, entry, other []byte) {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, uint64(compiler)))
		for n := range count {
			if t.Failed() {
				t.Fatalf("seed %d, mutation %d", seed, n)
			}
			requireRefused(t, engine, key, mutate(r, entry, other), entry)
		}
		requireRefused(t, engine, key, entry, entry)
		requireRefused(t, engine, key, other, entry)
		for n := range entry {
			requireRefused(t, engine, key, entry[:n], entry)
			damaged := bytes.Clone(entry)
			damaged[n] ^= 1
			requireRefused(t, engine, key, damaged, entry)
		}
		t.Logf("compiler %d: %d mutations of %d bytes", compiler, count, len(entry))
	})
}

func FuzzCacheEntry(f *testing.F) {
	var whole []byte
	var key Key
	var engine *Engine
	eachEntry(f, func(compiler uint32, _ *Engine, k Key, entry, other []byte) {
		if whole == nil {
			whole, key = entry, k
			var err error
			engine, err = NewEngine(testConfig(compiler))
			require.NoError(f, err)
		}
		f.Add(entry)
		f.Add(other)
		f.Add(entry[:len(entry)/2])
	})
	f.Cleanup(engine.Delete)
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, entry []byte) {
		requireRefused(t, engine, key, entry, whole)
		file, err := os.Create(filepath.Join(t.TempDir(), "entry"))
		require.NoError(t, err)
		defer file.Close()
		_, err = file.Write(entry)
		require.NoError(t, err)
		for _, verify := range []bool{false, true} {
			if _, err := InspectEntry(file, verify); err != nil && bytes.Equal(entry, whole) {
				t.Fatal(err)
			}
		}
	})
}
