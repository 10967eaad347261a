package benchmarks

import (
	"errors"
	"testing"
)

// instantiations are what instances are made of.
var instantiations = []struct {
	name  string
	hosts hosts
	wasm  func(testing.TB) []byte
}{
	{"plain", nil, text(sumGuest)},
	{"one_page", nil, text(memoryGuest)},
	{"data_20MiB", nil, func(tb testing.TB) []byte { return dataGuest(tb, 20<<20) }},
	{"two_hosts", hosts{"f": addOne, "g": addOne}, text(twoHostsGuest)},
	{"functions_1000_exports_1", nil, func(tb testing.TB) []byte { return binary(tb, functionsGuest(1000, 1)) }},
	{"functions_1000_exports_1000", nil, func(tb testing.TB) []byte { return binary(tb, functionsGuest(1000, 1000)) }},
	{pollard.name, nil, func(tb testing.TB) []byte { return readProgram(tb, pollard) }},
}

func text(wat string) func(testing.TB) []byte {
	return func(tb testing.TB) []byte { return binary(tb, wat) }
}

// BenchmarkInstantiate makes and closes instances of one module.
func BenchmarkInstantiate(b *testing.B) {
	for _, row := range instantiations {
		against(b, compilers(), row.name, func(b *testing.B, r rival) {
			m := compile(b, open(b, r, row.hosts), row.wasm(b))
			for b.Loop() {
				if err := makeAndClose(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	eachTouched(b, func(b *testing.B, cycle func() error) {
		b.ReportAllocs()
		for b.Loop() {
			if err := cycle(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestTouchedInstances(t *testing.T) {
	eachTouched(t, func(t *testing.T, cycle func() error) {
		for range 10 {
			if err := cycle(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// eachTouched makes instances that are written to, and closes them; or gets them from a pool, and puts them back.
func eachTouched[T runner[T]](t T, f func(t T, cycle func() error)) {
	wasm := binary(t, memoryGuest)
	eachRival(t, compilers(), "touched", func(t T, r rival) {
		m := compile(t, open(t, r, nil), wasm)
		f(t, func() error {
			i, err := m.instantiate()
			if err != nil {
				return err
			}
			return errors.Join(i.poke(), i.close())
		})
	})
	eachRival(t, compilers(), "touched_pooled", func(t T, r rival) {
		p := poolOf(t, compile(t, open(t, r, nil), wasm))
		f(t, func() error {
			i, err := p.get()
			if err != nil {
				return err
			}
			return errors.Join(i.poke(), p.put(i))
		})
	})
}

// poolOf skips rivals without.
func poolOf(tb testing.TB, m module) pool {
	tb.Helper()
	from, ok := m.(pooler)
	if !ok {
		tb.Skip("has no pools")
	}
	p, err := from.pool()
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, p)
	return p
}

func makeAndClose(m module) error {
	i, err := m.instantiate()
	if err != nil {
		return err
	}
	return i.close()
}

// TestGuestsOfInstantiate proves that the guests that are made here are what their rows say.
func TestGuestsOfInstantiate(t *testing.T) {
	data, functions := dataGuest(t, 1<<20), binary(t, functionsGuest(20, 20))
	eachRival(t, compilers(), "guests", func(t *testing.T, r rival) {
		first, err := export(t, load(t, r, nil, data), "sum")(1 << 20)
		if want := sumOf(noise(1 << 20)); err != nil || first != want {
			t.Error(first, want, err)
		}
		i := load(t, r, nil, functions)
		for _, name := range []string{"f0", "f7", "f19"} {
			if _, err := export(t, i, name)(3); err != nil {
				t.Error(name, err)
			}
		}
		if _, err := i.function("f20"); err == nil {
			t.Error("has more functions than were asked for")
		}
		if _, err := load(t, r, nil, binary(t, functionsGuest(20, 1))).function("f1"); err == nil {
			t.Error("has more exports than were asked for")
		}
		if err := makeAndClose(compile(t, open(t, r, nil), data)); err != nil {
			t.Error(err)
		}
	})
}
