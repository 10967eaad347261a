package vm_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// section4 has a way to each error that the engine can come to: a module, whose export f is executed if that comes so far. Of
// modules as hexadecimal digits the magic number and the version are left out.
var section4 = map[uint32]string{
	0x22: "0105",
	0x25: "ff00",
	0x26: "01050160000000",
	0x28: "030100010100",
	0x29: "010401600000030201000a0100",
	0x2a: "0c01010b0100",
	0x2b: "0104016000000302010005030100010a0a0108004100fc0800000b",
	0x2c: "0206010161016209",
	0x2e: "010401600000030201000503010001" + "0a070105003f011a0b",
	0x2f: "0606017f0441000b",
	0x30: "010401600000030201000a0a010801ffffffff0f7f0b",
	0x31: "01050160016000",
	0x32: "0904010101" + "00",
	0x33: "040401400000",
	0x34: "02070101ff01620000",
	0x35: "01ffffffff7f",
	0x36: "018880808080800100",
	0x37: "010401600000030201000a05010300ff0b",
	0x38: "010401600000030201000a0401020001",
	0x39: "(module (func",
	0x3a: "(module (memory 1 shared))",
	0x40: "(module (memory 1) (func (drop (i32.load align=8 (i32.const 0)))))",
	0x41: "(module (func (result i32)))",
	0x42: "(module (func br 3))",
	0x43: "(module (func local.get 3 drop))",
	0x44: "(module (func (type 3)))",
	0x45: "(module (func call 3))",
	0x46: "(module (func (call_indirect (i32.const 0))))",
	0x47: "(module (func (drop (i32.load (i32.const 0)))))",
	0x48: "(module (func global.get 3 drop))",
	0x49: "(module (table 1 funcref) (func (elem.drop 3)))",
	0x4a: `(module (memory 1) (func (data.drop 3)) (data "a"))`,
	0x4b: "(module (func $f) (func (drop (ref.func $f))))",
	0x4c: "(module (global i32 (i32.clz (i32.const 0))))",
	0x4d: `(module (func (export "type mismatch")) (func (export "type mismatch")))`,
	0x4e: "(module (global i32 (i32.const 0)) (func (global.set 0 (i32.const 0))))",
	0x4f: "(module (func (result i32) (select (result i32 i32) (i32.const 0) (i32.const 0) (i32.const 0))))",
	0x51: "(module (memory 1) (memory 1))",
	0x52: "(module (memory 2 1))",
	0x53: "(module (memory 65537))",
	0x54: "(module (func $f (param i32)) (start $f))",
	0x55: "(module (func (result i32) (i8x16.extract_lane_s 16 (v128.const i64x2 0 0))))",
	0x61: `(module (import "extern" "func-add" (func)))`,
	0x62: `(module (import "extern" "missing" (func)))`,
	0x84: `(module (func (export "f") (drop (i32.div_s (i32.const 1) (i32.const 0)))))`,
	0x85: `(module (func (export "f") (drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))))`,
	0x86: `(module (func (export "f") (drop (i32.trunc_f32_s (f32.const nan)))))`,
	0x87: `(module (table 1 funcref) (func (export "f") (drop (table.get (i32.const 1)))))`,
	0x88: `(module (memory 1) (func (export "f") (drop (i32.load (i32.const 65536)))))`,
	0x89: `(module (func (export "f") unreachable))`,
	0x8a: `(module (table 1 funcref) (func (export "f") (call_indirect (i32.const 0))))`,
	0x8c: `(module (table 1 funcref) (elem (i32.const 0) 0) (func (export "f") (drop (call_indirect (result i32) (i32.const 0)))))`,
	0x8f: `(module (memory 1 1 shared) (func (export "f") (drop (i32.atomic.load (i32.const 1)))))`,
	0x90: `(module (memory 1) (func (export "f") (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 0)))))`,
}

// section4Calls are the ways that take more than a module.
var section4Calls = map[uint32]func(t *testing.T, v *vm.VM) error{
	0x00: func(*testing.T, *vm.VM) error { return nil },
	0x01: func(t *testing.T, v *vm.VM) error { return second(v.RunBytes(background, []byte(exiting), "_start")) },
	0x02: func(t *testing.T, v *vm.VM) error { return failing(t, v, wasmer.ErrFail) },
	0x03: func(t *testing.T, v *vm.VM) error {
		limited := newVM(t, vm.Config{Statistics: vm.StatisticsConfig{Cost: true, CostLimit: 1000}})
		return second(limited.RunBytes(background, fibonacci, "fib", 30))
	},
	0x04: func(t *testing.T, v *vm.VM) error { return v.Validate() },
	0x05: func(t *testing.T, v *vm.VM) error { return second(v.RunBytes(background, fibonacci, "nothing")) },
	0x07: func(t *testing.T, v *vm.VM) error {
		ctx, cancel := context.WithCancel(background)
		cancel()
		return second(v.RunBytes(ctx, fibonacci, "fib", 30))
	},
	0x20: func(t *testing.T, v *vm.VM) error { return v.LoadFile(background, "no such file") },
	0x21: func(t *testing.T, v *vm.VM) error { return v.LoadFile(background, t.TempDir()) },
	0x23: func(t *testing.T, v *vm.VM) error { return v.LoadBytes(background, wasm("0061736e01000000")) },
	0x24: func(t *testing.T, v *vm.VM) error { return v.LoadBytes(background, wasm("0061736d02000000")) },
	0x60: func(t *testing.T, v *vm.VM) error { return v.RegisterHost(adder()) },
	0x80: func(t *testing.T, v *vm.VM) error { return second(v.Execute(background, "f")) },
	0x83: func(t *testing.T, v *vm.VM) error { return second(v.RunBytes(background, fibonacci, "fib", "a word")) },
	0x8e: func(t *testing.T, v *vm.VM) error {
		table := wasmer.Must(v.Store().NewTable(wasmer.TableType{Element: wasmer.ValueTypeFuncRef, Limits: wasmer.Limits{Min: 1}}, nil))
		return table.Set(0, 5)
	},
}

// section4Never are the errors that do not come to be here.
var section4Never = map[uint32]string{
	0x06: "a build without compilers has wasmer.ErrUnsupported",
	0x08: "what was not validated is not compiled",
	0x09: "the text of all codes of users",
	0x27: "lengths beyond the end are 0x22",
	0x2d: "the kind of an export is reported as that of an import, 0x2c",
	0x3b: "there is no such table",
	0x50: "several tables are part of reference types: without these they are 0x37",
	0x63: "since bulk memory this is a trap, 0x88",
	0x64: "since bulk memory this is a trap, 0x87",
	0x81: "instances are not indexes",
	0x82: "validation finds it",
	0x8b: "reported as 0x87",
	0x8d: "the error of the host function comes out",
}

const exiting = `(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
	(func (export "_start") (call $exit (i32.const 3))))`

// failing executes a function that the host ends with an error.
func failing(t *testing.T, v *vm.VM, err error) error {
	t.Helper()
	require.NoError(t, v.RegisterHost(wasmer.NewImports().Namespace("env").Function("f", func() error { return err })))
	return second(v.RunBytes(background, []byte(`(module (import "env" "f" (func $f)) (export "g" (func $f)))`), "g"))
}

func TestF016F017F018F021ErrorsHaveTheirCodes(t *testing.T) {
	for _, compiler := range wasmer.Compilers() {
		features := vm.DefaultFeatures().With(wasmer.FeatureThreads)
		if !wasmer.SupportedFeatures(compiler).Has(wasmer.FeatureSIMD) {
			features = features.Without(wasmer.FeatureSIMD)
		}
		t.Run(compiler.String(), func(t *testing.T) {
			errorsHaveTheirCodes(t, wasmer.EngineConfig{Compiler: compiler, Features: features})
		})
	}
}

func errorsHaveTheirCodes(t *testing.T, all wasmer.EngineConfig) {
	t.Helper()
	for number := range uint32(0x91) {
		code := wasmer.ErrorCode(number)
		text := code.Error()
		source, isSource := section4[number]
		call, isCall := section4Calls[number]
		reason, never := section4Never[number]
		if strings.HasPrefix(text, "error code") { // between the groups
			require.False(t, isSource || isCall || never, "%#x", number)
			continue
		}
		ways := 0
		for _, there := range []bool{isSource, isCall, never} {
			if there {
				ways++
			}
		}
		require.Equal(t, 1, ways, "%#x %s %s", number, text, reason)
		if never || number == 0x55 && !all.Features.Has(wasmer.FeatureSIMD) {
			continue
		}
		t.Run(strings.ReplaceAll(text, "/", " "), func(t *testing.T) {
			v := newVM(t, vm.Config{WASI: true, HostModules: []wasmer.HostModule{adder()}, Engine: all, NoMocks: true})
			if isSource {
				data := []byte(source)
				if !strings.HasPrefix(source, "(") {
					data = wasm("0061736d01000000" + source)
				}
				call = func(*testing.T, *vm.VM) error { return second(v.RunBytes(background, data, "f")) }
			}
			err := call(t, v)
			require.Equal(t, code, wasmer.CodeOf(err), "%#x: %v", uint32(wasmer.CodeOf(err)), err)
			if number == 0 {
				return
			}
			requireCode(t, number, err)
			require.NotEmpty(t, err.Error())
			if number > 1 {
				require.ErrorIs(t, err, code)
				require.NotErrorIs(t, err, wasmer.ErrTerminate)
			}
		})
	}
}

func TestF018UserCodesComeOutOfTheVM(t *testing.T) {
	v := newVM(t, vm.Config{})
	err := failing(t, v, wasmer.UserError(5566))
	var code wasmer.ErrorCode
	require.ErrorAs(t, err, &code)
	require.Equal(t, wasmer.CategoryUser, code.Category())
	require.Equal(t, uint32(5566), code.Code())
}

func TestF016PhasesOfErrors(t *testing.T) {
	for number, phase := range map[uint32]string{
		0x03: "wasmedge runtime", 0x20: "loading", 0x3b: "loading", 0x40: "validation", 0x55: "validation", 0x60: "instantiation",
		0x64: "instantiation", 0x80: "execution", 0x90: "execution",
	} {
		require.Equal(t, phase, wasmer.ErrorCode(number).Phase())
	}
}
