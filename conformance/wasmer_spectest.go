package conformance

import (
	"context"
	"errors"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// makeSpectest makes the host module of the suite's scripts from everything that a host can make.
func makeSpectest(store *wasmer.Store) error {
	externs := map[string]wasmer.Extern{}
	const i32, i64, f32, f64 = wasmer.ValueTypeI32, wasmer.ValueTypeI64, wasmer.ValueTypeF32, wasmer.ValueTypeF64
	for name, params := range map[string][]wasmer.ValueType{
		"print":         nil,
		"print_i32":     {i32},
		"print_i64":     {i64},
		"print_f32":     {f32},
		"print_f64":     {f64},
		"print_i32_f32": {i32, f32},
		"print_f64_f64": {f64, f64},
	} {
		f, err := store.NewFunction(wasmer.FunctionType{Params: params}, printNothing, 0)
		if err != nil {
			return err
		}
		externs[name] = f
	}
	for name, v := range map[string]wasmer.Value{
		"global_i32": wasmer.I32(666),
		"global_i64": wasmer.I64(666),
		"global_f32": wasmer.F32(666.6),
		"global_f64": wasmer.F64(666.6),
	} {
		externs[name] = store.NewGlobal(wasmer.GlobalType{Value: v.Type()}, v)
	}
	table, err := store.NewTable(wasmer.TableType{
		Element: wasmer.ValueTypeFuncRef,
		Limits:  wasmer.Limits{Min: 10, Max: 20, HasMax: true},
	}, nil)
	if err != nil {
		return err
	}
	externs["table"] = table
	for name, shared := range map[string]bool{"memory": false, "shared_memory": true} {
		limits := wasmer.Limits{Min: 1, Max: 2, HasMax: true, Shared: shared}
		memory, err := store.NewMemoryOf(wasmer.MemoryType{Limits: limits})
		if shared && errors.Is(err, wasmer.ErrUnsupported) {
			continue
		}
		if err != nil {
			return err
		}
		externs[name] = memory
	}
	_, err = store.NewInstance(hostModule, externs)
	return err
}

func printNothing(context.Context, *wasmer.Caller, []wasmer.Value) ([]wasmer.Value, error) {
	return nil, nil
}
