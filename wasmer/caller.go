package wasmer

import (
	"context"
	"fmt"
	"unsafe"
)

// Caller is what a host function learns about who called it. It is valid until the host function returns, on the
// goroutine that it was called on.
type Caller struct {
	// instance is nil if the host calls, or a guest through a reference to a function made by Store.NewFunction.
	instance *Instance
	store    *Store
}

// Context is the context of the call that led here. Pass it on when calling back into the guest.
func (c *Caller) Context() context.Context {
	if ctx := c.store.ctx; ctx != nil {
		return ctx
	}
	return context.Background()
}

// Store is the store that the call runs in.
func (c *Caller) Store() *Store { return c.store }

// Instance is the instance that imports the host function. Its start function may still be running. It is nil for a
// function made by Store.NewFunction that is called by the host, or by a guest through a reference.
func (c *Caller) Instance() *Instance {
	if c.instance != nil {
		c.instance.known.Store(true)
	}
	return c.instance
}

// Function is the instance's exported function of this name.
func (c *Caller) Function(name string) (*Function, error) {
	if c.instance == nil {
		return nil, fmt.Errorf("%w: the caller of function %q is no instance", ErrNotFound, name)
	}
	return c.Instance().Function(name)
}

// Memory is the instance's memory exported as "memory", else its first exported one; nil if there is none.
func (c *Caller) Memory() *Memory {
	if c.instance == nil {
		return nil
	}
	return c.Instance().Memory
}

// MemoryAt is the instance's exported memory with this index among its exported memories; nil if there is none.
func (c *Caller) MemoryAt(index int) *Memory {
	if c.instance == nil {
		return nil
	}
	for _, export := range c.instance.exports {
		if export.Type.Kind != ExternMemory {
			continue
		}
		if index == 0 {
			memory, _ := c.Instance().ExportedMemory(export.Name)
			return memory
		}
		index--
	}
	return nil
}

// Data is what Instance.SetContextData attached.
func (c *Caller) Data() any {
	if c.instance == nil {
		return nil
	}
	return c.instance.contextData()
}

// InstanceContext is the go-ext-wasm form of Caller, for host functions whose first parameter is an unsafe.Pointer.
type InstanceContext struct {
	caller *Caller
}

// IntoInstanceContext makes an InstanceContext from the first argument of a host function, and from nothing else.
func IntoInstanceContext(instanceContext unsafe.Pointer) InstanceContext {
	return InstanceContext{(*Caller)(instanceContext)}
}

// Memory is Caller.Memory.
func (c *InstanceContext) Memory() *Memory {
	if c.caller == nil {
		return nil
	}
	return c.caller.Memory()
}

// Data is Caller.Data.
func (c *InstanceContext) Data() any {
	if c.caller == nil {
		return nil
	}
	return c.caller.Data()
}
