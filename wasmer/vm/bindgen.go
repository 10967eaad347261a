package vm

import "context"

// ExecuteBindgen calls a function of the active instance that was built with wasm-bindgen or wasmedge-bindgen, with strings and
// slices in and out; see wasmer.Instance.CallBindgen. What such guests import is defined by wasmer.Imports.Bindgen:
//
//	v := vm.New(vm.Config{HostModules: []wasmer.HostModule{wasmer.NewImports().Bindgen()}})
//	...
//	var greeting string
//	err := v.ExecuteBindgen(ctx, "say", []any{"you"}, &greeting)
//
// The VM must be Instantiated.
func (v *VM) ExecuteBindgen(ctx context.Context, name string, args []any, results ...any) error {
	v.mu.Lock()
	instance, err := v.active, v.check("ExecuteBindgen", Instantiated)
	v.mu.Unlock()
	if err != nil {
		return err
	}
	return v.ended(ctx, name, instance.CallBindgen(ctx, name, args, results...))
}

// ExecuteBindgenRegistered is ExecuteBindgen for a function of what is registered under a name, in any state.
func (v *VM) ExecuteBindgenRegistered(ctx context.Context, module, name string, args []any, results ...any) error {
	instance, err := v.registeredToCall(module)
	if err != nil {
		return err
	}
	return v.ended(ctx, name, instance.CallBindgen(ctx, name, args, results...))
}
