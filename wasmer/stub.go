package wasmer

import (
	"errors"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// ErrStub: the guest called a function that it imports and that nobody defined; see Imports.StubUnknown.
var ErrStub = errors.New("wasmer: call of an undefined import")

// StubUnknown gives the guest, for each function that it imports and nobody defines, one that ends the guest with ErrStub
// and the import's name when it is called.
func (i *Imports) StubUnknown() *Imports {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stub = true
	return i
}

// stubOf makes the stub of an import; false if there is none to be made.
func (i *Imports) stubOf(want ImportType) (importItem, bool) {
	if i == nil || want.Type.Kind != ExternFunction {
		return importItem{}, false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	call := func(*Caller, []ffi.Slot) error { return fmt.Errorf("%w: %q.%q", ErrStub, want.Module, want.Name) }
	return importItem{host: &hostDefinition{typ: want.Type.Function, call: call}}, i.stub
}
