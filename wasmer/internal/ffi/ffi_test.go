package ffi

import (
	"strings"
	"sync"
	"testing"
)

func TestPanicsBecomeErrors(t *testing.T) {
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				e := TestPanic()
				if e == nil || e.Kind != KindInternal {
					t.Errorf("got %v", e)
					return
				}
				if !strings.Contains(e.Message, "a panic made by a test") || !strings.Contains(e.Message, "guard.rs:") {
					t.Errorf("the message is %q", e.Message)
				}
				if e.TrapCode != NoTrapCode || e.Offset != NoOffset || len(e.Stack.Frames) != 0 {
					t.Errorf("got %+v", e)
				}
			}
		})
	}
	group.Wait()
}

func TestEmptySlicesAreNotLookedAt(t *testing.T) {
	for _, compiler := range []uint32{Cranelift, Singlepass, LLVM} {
		if !CompilerAvailable(compiler) {
			continue
		}
		engine, err := NewEngine(testConfig(compiler))
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Delete()
		full := [4]byte{}
		for _, empty := range [][]byte{nil, {}, full[:0], full[4:]} {
			if engine.Validate(empty) == nil {
				t.Error("nothing is valid")
			}
			if module, err := engine.Compile(empty, nil); module != nil || err == nil {
				t.Errorf("Compile: %v, %v", module, err)
			}
			if module, err := engine.Deserialize(empty, true); module != nil || err == nil {
				t.Errorf("Deserialize: %v, %v", module, err)
			}
			if wasm, err := Wat2Wasm(empty); err == nil && len(wasm) == 0 {
				t.Errorf("Wat2Wasm: %v, %v", wasm, err)
			}
		}
		module, err := engine.Compile([]byte("(module)"), nil)
		if err != nil {
			t.Fatal(err)
		}
		store, scratch, err := NewStore(0, 0)
		if err != nil || len(scratch.Slots) == 0 {
			t.Fatal(err, len(scratch.Slots))
		}
		instance, err := store.Link(module, nil)
		if err != nil {
			t.Fatal(err)
		}
		if status := instance.Start(); status != OK {
			t.Errorf("status %d: %v", status, store.Error())
		}
		if extern := instance.Export(0); extern != nil {
			t.Error("an export out of nothing")
		}
		if store.Error() != nil {
			t.Error("an error without a failure")
		}
		module.Delete()
		store.Delete()
	}
}

func TestDeletingNothing(t *testing.T) {
	(*Engine)(nil).Delete()
	(*Module)(nil).Delete()
	(*Store)(nil).Delete()
}

func TestAnUnknownCompilerIsUnsupported(t *testing.T) {
	for _, compiler := range []uint32{0, 4, ^uint32(0)} {
		engine, err := NewEngine(testConfig(compiler))
		e, ok := err.(*Error)
		if engine != nil || !ok || e.Kind != KindUnsupported {
			t.Errorf("%d: %v, %v", compiler, engine, err)
		}
	}
}

func TestThreadIDsDiffer(t *testing.T) {
	seen := map[uintptr]bool{}
	var mu sync.Mutex
	var group, all sync.WaitGroup
	const threads = 16
	all.Add(threads)
	for range threads {
		group.Go(func() {
			onThread(func(id uintptr) {
				mu.Lock()
				seen[id] = true
				mu.Unlock()
				all.Done()
				all.Wait() // so that all live at once
			})
		})
	}
	group.Wait()
	if len(seen) != threads {
		t.Errorf("%d ids of %d threads", len(seen), threads)
	}
}

func testConfig(compiler uint32) EngineConfig {
	return EngineConfig{
		Compiler: compiler, Features: DefaultFeatures,
		MemoryPages: 65536, TableElements: 1000, StackSize: 1 << 20,
	}
}
