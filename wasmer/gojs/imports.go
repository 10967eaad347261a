package gojs

import (
	"errors"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// functions are what Go programs import, with their Go declarations. Each finds its arguments and puts its results into
// the frame, which begins 8 bytes above the stack pointer.
var functions = map[string]func(f *frame) error{
	"runtime.wasmExit":              wasmExit,             // func wasmExit(code int32)
	"runtime.wasmWrite":             wasmWrite,            // func wasmWrite(fd uintptr, p unsafe.Pointer, n int32)
	"runtime.resetMemoryDataView":   resetMemoryDataView,  // func resetMemoryDataView()
	"runtime.nanotime1":             nanotime1,            // func nanotime1() int64
	"runtime.walltime":              walltime,             // func walltime() (sec int64, nsec int32)
	"runtime.scheduleTimeoutEvent":  scheduleTimeoutEvent, // func scheduleTimeoutEvent(ms int64) int32
	"runtime.clearTimeoutEvent":     clearTimeoutEvent,    // func clearTimeoutEvent(id int32)
	"runtime.getRandomData":         getRandomData,        // func getRandomData(r []byte)
	"syscall/js.finalizeRef":        finalizeRef,          // func finalizeRef(r ref)
	"syscall/js.stringVal":          stringVal,            // func stringVal(x string) ref
	"syscall/js.valueGet":           valueGet,             // func valueGet(v ref, p string) ref
	"syscall/js.valueSet":           valueSet,             // func valueSet(v ref, p string, x ref)
	"syscall/js.valueDelete":        valueDelete,          // func valueDelete(v ref, p string)
	"syscall/js.valueIndex":         valueIndex,           // func valueIndex(v ref, i int) ref
	"syscall/js.valueSetIndex":      valueSetIndex,        // func valueSetIndex(v ref, i int, x ref)
	"syscall/js.valueCall":          valueCall,            // func valueCall(v ref, m string, args []ref) (ref, bool)
	"syscall/js.valueInvoke":        valueInvoke,          // func valueInvoke(v ref, args []ref) (ref, bool)
	"syscall/js.valueNew":           valueNew,             // func valueNew(v ref, args []ref) (ref, bool)
	"syscall/js.valueLength":        valueLength,          // func valueLength(v ref) int
	"syscall/js.valuePrepareString": valuePrepareString,   // func valuePrepareString(v ref) (ref, int)
	"syscall/js.valueLoadString":    valueLoadString,      // func valueLoadString(v ref, b []byte)
	"syscall/js.valueInstanceOf":    valueInstanceOf,      // func valueInstanceOf(v ref, t ref) bool
	"syscall/js.copyBytesToGo":      copyBytesToGo,        // func copyBytesToGo(dst []byte, src ref) (int, bool)
	"syscall/js.copyBytesToJS":      copyBytesToJS,        // func copyBytesToJS(dst ref, src []byte) (int, bool)
}

// Imports makes a list of all that Go programs import by themselves: as Go 1.21 and later name it, and as earlier ones
// did. Other imports can be added; the current module name is "env".
func Imports() *wasmer.Imports {
	imports := wasmer.NewImports()
	for _, module := range []string{"gojs", "go"} {
		imports.Namespace(module)
		for name, function := range functions {
			imports.Function(name, imported(name, function))
		}
		imports.Function("debug", debug)
	}
	return imports.Namespace("env")
}

// guestKey is where the context of a call has its *guest.
type guestKey struct{}

// imported is a function as the guest imports it.
func imported(name string, function func(f *frame) error) func(*wasmer.Caller, int32) error {
	return func(c *wasmer.Caller, sp int32) error {
		g, ok := c.Context().Value(guestKey{}).(*guest)
		if !ok {
			return fmt.Errorf("gojs: %s: the guest was not started by Host.Start", name)
		}
		f := g.newFrame(sp)
		err := function(&f)
		if err == nil {
			err = f.err
		}
		if err == nil || g.failed || g.exit != nil {
			return err
		}
		var thrown *exception
		if errors.As(err, &thrown) {
			return fmt.Errorf("gojs: %s: uncaught JavaScript exception: %w", name, err)
		}
		return fmt.Errorf("gojs: %s: %w", name, err)
	}
}

// debug is for those who work on the Go compiler: it prints a number.
func debug(c *wasmer.Caller, v int32) error {
	if g, ok := c.Context().Value(guestKey{}).(*guest); ok {
		_, _ = fmt.Fprintln(&g.host.stderr, v)
	}
	return nil
}

func wasmExit(f *frame) error {
	code := f.int32(8)
	if f.err != nil {
		return f.err
	}
	f.g.exit = &wasmer.ExitError{Code: uint32(code)}
	return f.g.exit
}

// wasmWrite is for the runtime's own messages. They are not to fail.
func wasmWrite(f *frame) error {
	fd, p, n := f.uint64(8), f.uint64(16), f.int32(24)
	data := f.at(p, uint64(n)) // a negative length lies outside
	if f.err != nil {
		return f.err
	}
	if fd == 1 {
		return f.g.writeThrough(&f.g.host.stdout, data)
	}
	return f.g.writeThrough(&f.g.host.stderr, data)
}

// resetMemoryDataView tells that the memory has grown. Each frame looks at it anew.
func resetMemoryDataView(*frame) error { return nil }

func nanotime1(f *frame) error {
	f.putInt64(8, int64(f.g.clock.monotonic()))
	return nil
}

func walltime(f *frame) error {
	now := f.g.clock.now()
	f.putInt64(8, now.Unix())
	f.putInt32(16, int32(now.Nanosecond()))
	return nil
}

func scheduleTimeoutEvent(f *frame) error {
	id, err := f.g.addTimer(milliseconds(float64(f.int64(8))), nil, nil)
	f.putInt32(16, id)
	return err
}

func clearTimeoutEvent(f *frame) error {
	f.g.timers.clear(f.int32(8))
	return nil
}

func getRandomData(f *frame) error {
	data := f.bytes(8)
	if f.err != nil {
		return f.err
	}
	return f.g.random(data)
}

func finalizeRef(f *frame) error {
	ref := f.uint64(8)
	if f.err != nil {
		return f.err
	}
	return f.g.references.finalize(ref)
}

func stringVal(f *frame) error {
	s := f.string(8)
	if err := f.g.charge(valueSize + int64(len(s))); err != nil {
		return err
	}
	f.putValue(24, s)
	return nil
}

func valueGet(f *frame) error {
	o, key := f.object(8), f.string(16)
	if f.err != nil {
		return f.err
	}
	v, found := o.lookup(key)
	if found {
		f.g.missing = ""
	} else {
		f.g.miss(o, key)
	}
	f.putValue(32, v)
	return nil
}

func valueSet(f *frame) error {
	o, key, v := f.object(8), f.string(16), f.value(32)
	if f.err != nil {
		return f.err
	}
	return f.g.set(o, key, v)
}

func valueDelete(f *frame) error {
	o, key := f.object(8), f.string(16)
	if f.err != nil {
		return f.err
	}
	o.properties.delete(key)
	return nil
}

func valueIndex(f *frame) error {
	o, i := f.object(8), f.int64(16)
	if f.err != nil {
		return f.err
	}
	f.putValue(24, o.getIndex(i))
	return nil
}

func valueSetIndex(f *frame) error {
	o, i, v := f.object(8), f.int64(16), f.value(24)
	if f.err != nil {
		return f.err
	}
	return f.g.setIndex(o, i, v)
}

func valueCall(f *frame) error {
	this, name, args := f.value(8), f.string(16), f.values(32)
	if f.err != nil {
		return f.err
	}
	result, err := f.g.callMethod(this, name, args...)
	return f.finish(56, result, err)
}

func valueInvoke(f *frame) error {
	v, args := f.value(8), f.values(16)
	if f.err != nil {
		return f.err
	}
	called, ok := functionOf(v)
	if !ok {
		return f.finish(40, nil, f.g.typeError(typeOf(v)+" is not a function"))
	}
	result, err := f.g.call(called.call, nil, args)
	return f.finish(40, result, err)
}

func valueNew(f *frame) error {
	v, args := f.value(8), f.values(16)
	if f.err != nil {
		return f.err
	}
	called, ok := functionOf(v)
	if !ok || called.construct == nil {
		return f.finish(40, nil, f.g.typeError(typeOf(v)+" is not a constructor"))
	}
	result, err := f.g.call(called.construct, nil, args)
	return f.finish(40, result, err)
}

// finish gives the guest what a call returned, or threw, and whether it returned.
func (f *frame) finish(offset uint64, result value, err error) error {
	var thrown *exception
	if err != nil && !errors.As(err, &thrown) {
		return err
	}
	if err := f.reload(); err != nil {
		return err
	}
	if thrown != nil {
		result = thrown.thrown
	} else {
		f.g.missing = ""
	}
	f.putValue(offset, result)
	f.putBool(offset+8, thrown == nil)
	return nil
}

func valueLength(f *frame) error {
	o := f.object(8)
	if f.err != nil {
		return f.err
	}
	f.putInt64(16, toInteger(o.get("length")))
	return nil
}

// valuePrepareString makes bytes of String(v), which valueLoadString fetches.
func valuePrepareString(f *frame) error {
	v := f.value(8)
	if f.err != nil {
		return f.err
	}
	s, err := f.g.toString(v)
	if err != nil {
		return err
	}
	o, err := f.g.newBytes([]byte(s))
	if err != nil {
		return err
	}
	if err := f.reload(); err != nil {
		return err
	}
	f.putValue(16, o)
	f.putInt64(24, int64(len(s)))
	return nil
}

func valueLoadString(f *frame) error {
	o, target := f.object(8), f.bytes(16)
	if f.err != nil {
		return f.err
	}
	b, ok := o.slot.(*byteArray)
	if !ok {
		return errors.New("the value is no prepared string")
	}
	copy(target, b.data)
	return nil
}

func valueInstanceOf(f *frame) error {
	v, constructor := f.value(8), f.object(16)
	if f.err != nil {
		return f.err
	}
	f.putBool(24, instanceOf(v, constructor))
	return nil
}

func copyBytesToGo(f *frame) error {
	target, source := f.bytes(8), f.value(32)
	if f.err != nil {
		return f.err
	}
	b, ok := slotOf[*byteArray](source)
	if ok {
		f.putInt64(40, int64(copy(target, b.data)))
	}
	f.putBool(48, ok)
	return nil
}

func copyBytesToJS(f *frame) error {
	target, source := f.value(8), f.bytes(16)
	if f.err != nil {
		return f.err
	}
	b, ok := slotOf[*byteArray](target)
	if ok {
		b.spent = 0
		f.putInt64(40, int64(copy(b.data, source)))
	}
	f.putBool(48, ok)
	return nil
}
