package benchmarks

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// against runs f once for each rival before the next row comes, so that what is compared is measured close together.
func against(b *testing.B, rivals []rival, row string, f func(b *testing.B, r rival)) {
	eachRival(b, rivals, row, func(b *testing.B, r rival) {
		b.ReportAllocs()
		f(b, r)
	})
}

func eachRival[T runner[T]](t T, rivals []rival, row string, f func(t T, r rival)) {
	for _, r := range rivals {
		t.Run(r.name+"/"+row, func(t T) { f(t, r) })
	}
}

// runner is what *testing.T and *testing.B have in common beside testing.TB.
type runner[T any] interface {
	testing.TB
	Run(name string, f func(T)) bool
}

// reportCall reports the time of one of the calls that an operation consists of.
func reportCall(b *testing.B, calls int) {
	perOp := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(perOp/float64(calls), "ns/hostcall")
}

func open(tb testing.TB, r rival, h hosts) engine {
	tb.Helper()
	return openFor(tb, r, setup{hosts: h})
}

func openFor(tb testing.TB, r rival, s setup) engine {
	tb.Helper()
	e, err := r.open(s)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, e)
	return e
}

func compile(tb testing.TB, e engine, wasm []byte) module {
	tb.Helper()
	m, err := e.compile(wasm)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, m)
	return m
}

func instantiate(tb testing.TB, m module) instance {
	tb.Helper()
	i, err := m.instantiate()
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, i)
	return i
}

// load makes an instance in an engine of its own.
func load(tb testing.TB, r rival, h hosts, wasm []byte) instance {
	tb.Helper()
	return instantiate(tb, compile(tb, open(tb, r, h), wasm))
}

func export(tb testing.TB, i instance, name string) function {
	tb.Helper()
	fn, err := i.function(name)
	if err != nil {
		tb.Fatal(err)
	}
	return fn
}

func closeAfter(tb testing.TB, c interface{ close() error }) {
	tb.Cleanup(func() {
		if err := c.close(); err != nil {
			tb.Error(err)
		}
	})
}

// binary encodes a guest's text once for all rivals.
func binary(tb testing.TB, wat string) []byte {
	tb.Helper()
	wasm, err := wasmer.Wat2Wasm(wat)
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

func readProgram(tb testing.TB, p program) []byte {
	tb.Helper()
	wasm, err := p.read()
	if errors.Is(err, fs.ErrNotExist) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

func rivalOf(tb testing.TB, name string) rival {
	tb.Helper()
	for _, r := range runtimes() {
		if r.name == name {
			return r
		}
	}
	tb.Fatalf("no runtime %q", name)
	return rival{}
}

// answers are what the first rival to run a program computed.
var answers sync.Map

// check compares the first result of a fresh instance (n-body goes on from where it stopped) with the other rivals'.
func check(tb testing.TB, p program, result uint64) {
	tb.Helper()
	name := strings.TrimSuffix(p.name, "_simd")
	if want, seen := answers.LoadOrStore(name, result); seen && want != result {
		tb.Fatalf("%s computed %#x, another runtime %#x", p.name, result, want)
	}
}
