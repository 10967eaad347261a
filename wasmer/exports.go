package wasmer

import (
	"context"
	"fmt"
	"sync/atomic"
)

// fillExports makes the go-ext-wasm way of calling. The functions behind it are looked up when first called.
func (i *Instance) fillExports() {
	i.Exports = make(map[string]func(...any) (Value, error))
	for _, export := range i.exports {
		if export.Type.Kind == ExternFunction {
			i.Exports[export.Name] = i.callable(export.Name)
		}
	}
}

// callable calls an export by its name and gives its only result.
func (i *Instance) callable(name string) func(...any) (Value, error) {
	var known atomic.Pointer[Function]
	return func(args ...any) (Value, error) {
		f := known.Load()
		if f == nil {
			var err error
			if f, err = i.Function(name); err != nil {
				return void(), err
			}
			if n := len(f.typ.Results); n > 1 {
				return void(), &CallError{
					Function: name, Position: -1,
					Message: fmt.Sprintf("it has %d results, which Function.Call returns: %s", n, f.typ),
				}
			}
			known.Store(f)
		}
		var space [1]Value
		results, err := f.call(context.Background(), args, space[:0])
		if err != nil || len(results) == 0 {
			return void(), err
		}
		return results[0], nil
	}
}

// Must returns v, or panics with err if it is not nil. It is for tests, examples and variables of packages.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
