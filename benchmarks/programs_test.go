package benchmarks

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// BenchmarkPrograms measures programs that live at the border: strings, many small host calls, and an instance a request.
func BenchmarkPrograms(b *testing.B) {
	chats, served := int32(1_000_000), 100_000
	if testing.Short() {
		chats, served = 100_000, 10_000
	}
	eachProgram(b, chats, served, func(b *testing.B, run func() error) {
		b.ReportAllocs()
		for b.Loop() {
			if err := run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestPrograms(t *testing.T) {
	eachProgram(t, 1000, 100, func(t *testing.T, run func() error) {
		for range 2 {
			if err := run(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func eachProgram[T runner[T]](t T, chats int32, served int, f func(t T, run func() error)) {
	greeter, err := os.ReadFile(filepath.Join("..", "testdata", "greet.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	eachRival(t, compilers(), "greet", func(t T, r rival) {
		greet, err := load(t, r, nil, greeter).greeter()
		if err != nil {
			t.Fatal(err)
		}
		f(t, func() error {
			if said, err := greet("Wasmer"); said != "Hello, Wasmer!" || err != nil {
				return fmt.Errorf("said %q: %w", said, err)
			}
			return nil
		})
	})
	for _, row := range []struct{ name, form string }{
		{"chatty", ""}, {"chatty_native", "Native"}, {"chatty_emit", "Emit"}, {"chatty_queued", "Queued"},
	} {
		eachRival(t, having(row.form), row.name, func(t T, r rival) {
			form := r.hostForm(row.form)
			m := compile(t, open(t, r, hosts{"f": form.fn}), binary(t, form.guest()))
			f(t, func() error { return chat(m, form, chats) })
		})
	}
	counter := binary(t, requestGuest)
	eachRival(t, compilers(), "requests", func(t T, r rival) {
		m := compile(t, open(t, r, nil), counter)
		f(t, func() error { return serve(m.instantiate, instance.close, served) })
	})
	eachRival(t, compilers(), "requests_pooled", func(t T, r rival) {
		p := poolOf(t, compile(t, open(t, r, nil), counter))
		f(t, func() error { return serve(p.get, p.put, served) })
	})
}

// hostForm is the one with the name, or the first if that is empty; nil if there is none.
func (r rival) hostForm(name string) *hostForm {
	for i, form := range r.hostForms {
		if form.name == name || name == "" {
			return &r.hostForms[i]
		}
	}
	return nil
}

// having are the compilers whose host functions can be written in the form.
func having(form string) []rival {
	return slices.DeleteFunc(compilers(), func(r rival) bool { return r.hostForm(form) == nil })
}

// chat makes an instance, lets it call the host, and closes it.
func chat(m module, form *hostForm, calls int32) error {
	i, err := m.instantiate()
	if err != nil {
		return err
	}
	run, err := i.function("run")
	if err != nil {
		return err
	}
	n, err := form.checked(run)(calls)
	if err != nil {
		return err
	}
	if n != uint64(calls) {
		return fmt.Errorf("the host was called %d times, not %d", n, calls)
	}
	return i.close()
}

// serve answers requests, each by an instance of its own: one that has served before would answer more.
func serve(get func() (instance, error), put func(instance) error, requests int) error {
	for n := range requests {
		i, err := get()
		if err != nil {
			return err
		}
		handle, err := i.function("handle")
		if err != nil {
			return err
		}
		answer, err := handle(int32(n))
		if err != nil {
			return err
		}
		if answer != uint64(n) {
			return fmt.Errorf("the answer to %d was %d", n, answer)
		}
		if err := put(i); err != nil {
			return err
		}
	}
	return nil
}
