package benchmarks

import (
	"fmt"
	"testing"

	"github.com/wasmerio/go-ext-wasm/benchmarks/internal/cgo"
)

// BenchmarkCall calls sum(5, 37) in each form that a runtime's API has. EmptyCgoCall is the yardstick: no runtime
// whose code runs behind cgo can be faster.
func BenchmarkCall(b *testing.B) {
	b.Run("EmptyCgoCall", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			cgo.Empty()
		}
	})
	eachSumForm(b, func(b *testing.B, form callForm) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := form.call(); err != nil {
				b.Fatal(err)
			}
		}
		if form.batch > 0 {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(form.batch), "ns/call")
		}
	})
}

// BenchmarkHostCall has a guest call a Go function 1000 times, and reports the time of one such call.
func BenchmarkHostCall(b *testing.B) {
	eachHostForm(b, func(b *testing.B, run function) {
		b.ReportAllocs()
		calls := []int32{1000} // made here, for a list of arguments made in the loop would count as an allocation
		for b.Loop() {
			if _, err := run(calls...); err != nil {
				b.Fatal(err)
			}
		}
		reportCall(b, int(calls[0]))
	})
}

// TestCallForms proves what the benchmarks of calls then take for granted.
func TestCallForms(t *testing.T) {
	eachSumForm(t, func(t *testing.T, form callForm) {
		if sum, err := form.call(); sum != 42 || err != nil {
			t.Fatal(sum, err)
		}
	})
	eachHostForm(t, func(t *testing.T, run function) {
		if n, err := run(1000); n != 1000 || err != nil {
			t.Fatal(n, err)
		}
	})
}

// TestTraps proves that the rivals' signal handlers live together in the one process that they are compared in.
func TestTraps(t *testing.T) {
	wasm := binary(t, trapGuest)
	for range 3 { // the rivals take turns, so that each traps after each other one
		for _, r := range compilers() {
			i := load(t, r, nil, wasm)
			for _, name := range []string{"unreachable", "bounds", "recurse"} {
				if _, err := export(t, i, name)(); err == nil {
					t.Errorf("%s: %s did not trap", r.name, name)
				}
			}
			if _, err := export(t, i, "divide")(0); err == nil {
				t.Errorf("%s: division by zero did not trap", r.name)
			}
		}
	}
}

func eachSumForm[T runner[T]](t T, f func(t T, form callForm)) {
	wasm := binary(t, sumGuest)
	for _, r := range compilers() {
		t.Run(r.name, func(t T) {
			forms, err := load(t, r, nil, wasm).sumForms()
			if err != nil {
				t.Fatal(err)
			}
			for _, form := range forms {
				t.Run(form.name, func(t T) { f(t, form) })
			}
		})
	}
}

func eachHostForm[T runner[T]](t T, f func(t T, run function)) {
	for _, r := range compilers() {
		for _, form := range r.hostForms {
			wasm := binary(t, form.guest())
			t.Run(r.name+"/"+form.name, func(t T) {
				f(t, form.checked(export(t, load(t, r, hosts{"f": form.fn}, wasm), "run")))
			})
		}
	}
}

// guest calls the form of a host function.
func (f hostForm) guest() string {
	if f.emits {
		return emitGuest
	}
	return hostCallGuest
}

// checked is the guest's run that also fails unless all calls have arrived when it returns.
func (f hostForm) checked(run function) function {
	if !f.emits {
		return run
	}
	return func(args ...int32) (uint64, error) {
		before := emitted
		n, err := run(args...)
		if arrived := emitted - before; err == nil && uint64(arrived) != n {
			err = fmt.Errorf("%d of %d calls arrived", arrived, n)
		}
		return n, err
	}
}
