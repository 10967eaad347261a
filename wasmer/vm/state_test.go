package vm_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

const answer = `(module (func (export "answer") (result i32) (i32.const 42)))`

func TestF067StatesAndTransitions(t *testing.T) {
	register := func(v *vm.VM) error { return v.RegisterBytes(background, "other", fibonacci) }
	load := func(v *vm.VM) error { return v.LoadBytes(background, fibonacci) }
	validate := func(v *vm.VM) error { return v.Validate() }
	instantiate := func(v *vm.VM) error { return v.Instantiate(background) }
	execute := func(v *vm.VM) error {
		_, err := v.Execute(background, "fib", 3)
		return err
	}
	registered := func(v *vm.VM) error {
		_, err := v.ExecuteRegistered(background, "lib", "answer")
		return err
	}
	host := func(v *vm.VM) error { return v.RegisterHost(adder()) }
	cleanup := func(v *vm.VM) error { return v.Cleanup() }
	const refused = vm.State(99)
	for _, row := range []struct {
		name string
		do   func(*vm.VM) error
		// next is the state after it, from each state in their order.
		next [4]vm.State
		code uint32
	}{
		{"load", load, [4]vm.State{vm.Loaded, vm.Loaded, vm.Loaded, vm.Loaded}, 0},
		{"validate", validate, [4]vm.State{refused, vm.Validated, vm.Validated, vm.Validated}, 0x04},
		{"instantiate", instantiate, [4]vm.State{refused, refused, vm.Instantiated, vm.Instantiated}, 0x04},
		{"execute", execute, [4]vm.State{refused, refused, refused, vm.Instantiated}, 0x80},
		{"execute registered", registered, [4]vm.State{vm.Initiated, vm.Loaded, vm.Validated, vm.Instantiated}, 0},
		{"register", register, [4]vm.State{vm.Initiated, vm.Loaded, vm.Validated, vm.Validated}, 0},
		{"register host", host, [4]vm.State{vm.Initiated, vm.Loaded, vm.Validated, vm.Validated}, 0},
		{"cleanup", cleanup, [4]vm.State{vm.Initiated, vm.Initiated, vm.Initiated, vm.Initiated}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			for from, next := range row.next {
				v := newVM(t, vm.Config{})
				require.Equal(t, vm.Initiated, v.State())
				require.NoError(t, v.RegisterBytes(background, "lib", []byte(answer)))
				for _, step := range []func(*vm.VM) error{load, validate, instantiate}[:from] {
					require.NoError(t, step(v))
				}
				require.Equal(t, vm.State(from), v.State())
				err := row.do(v)
				if next != refused {
					require.NoError(t, err, "from %v", vm.State(from))
					require.Equal(t, next, v.State(), "from %v", vm.State(from))
					continue
				}
				var wrong *vm.StateError
				require.ErrorAs(t, err, &wrong)
				require.Equal(t, vm.State(from), wrong.State)
				requireCode(t, row.code, err)
				require.Equal(t, vm.State(from), v.State(), "nothing has changed")
			}
		})
	}
}

func TestF067AStateErrorSaysWhatToDo(t *testing.T) {
	v := newVM(t, vm.Config{})
	require.EqualError(t, v.Validate(), "vm: Validate: wrong VM workflow: the VM is Initiated, and must be Loaded: call Load first")
	require.NoError(t, v.LoadBytes(background, fibonacci))
	err := v.Instantiate(background)
	require.EqualError(t, err, "vm: Instantiate: wrong VM workflow: the VM is Loaded, and must be Validated: call Validate first")
	require.ErrorIs(t, err, wasmer.ErrorCode(0x04))
	_, err = v.Execute(background, "fib", 1)
	require.EqualError(t, err, "vm: Execute: wrong instance address: the VM is Loaded, and must be Instantiated: call Validate first")
	require.Equal(t, []string{"Initiated", "Loaded", "Validated", "Instantiated", "State(9)"}, []string{
		vm.Initiated.String(), vm.Loaded.String(), vm.Validated.String(), vm.Instantiated.String(), vm.State(9).String(),
	})
}

func TestF063AFailedLoadLeavesTheStateAlone(t *testing.T) {
	v := newVM(t, vm.Config{})
	ready(t, v, string(fibonacci))
	requireCode(t, 0x22, v.LoadBytes(background, nil))
	requireCode(t, 0x20, v.LoadFile(background, "no such file.wasm"))
	require.Error(t, v.LoadModule(nil))
	require.Equal(t, vm.Instantiated, v.State())
	gives(t, 3, v, "fib", 3)
}

func TestF064ValidateRefusesWhatIsInvalid(t *testing.T) {
	v := newVM(t, vm.Config{})
	require.NoError(t, v.LoadBytes(background, []byte(`(module (func (result i32)))`)))
	err := v.Validate()
	require.ErrorAs(t, err, new(*wasmer.CompileError))
	requireCode(t, 0x41, err)
	require.Equal(t, vm.Loaded, v.State())
}

const counter = `(module (global $n (mut i32) (i32.const 0)) (memory (export "memory") 1)
	(func (export "next") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))`

func TestF065InstantiateAgainBeginsAnew(t *testing.T) {
	v := newVM(t, vm.Config{})
	ready(t, v, counter)
	gives(t, 1, v, "next")
	gives(t, 2, v, "next")
	old := wasmer.Must(v.ActiveInstance().Function("next"))
	require.NoError(t, v.Instantiate(background))
	gives(t, 1, v, "next")
	require.ErrorIs(t, second(old.Call(background)), wasmer.ErrClosed)

	require.NoError(t, v.RegisterBytes(background, "lib", []byte(answer)))
	ready(t, v, string(fibonacci)) // takes the place; what is registered stays
	gives(t, 3, v, "fib", 3)
	require.Contains(t, v.Registered(), "lib")
}

func TestF065AFailedInstantiationLeavesTheVMAsItWas(t *testing.T) {
	v := newVM(t, vm.Config{})
	ready(t, v, counter)
	gives(t, 1, v, "next")
	active := v.ActiveInstance()
	require.NoError(t, v.LoadBytes(background, addTwo))
	require.NoError(t, v.Validate())
	err := v.Instantiate(background)
	require.ErrorAs(t, err, new(*wasmer.LinkError))
	requireCode(t, 0x62, err)
	require.Equal(t, vm.Validated, v.State())
	require.Same(t, active, v.ActiveInstance())
	require.NoError(t, v.RegisterHost(adder()))
	require.NoError(t, v.Instantiate(background))
	gives(t, 6912, v, "addTwo", 1234, 5678)
}

// An instance that is replaced is freed at once: else 20,000 would not find room.
func TestF065InstancesThatAreReplacedDoNotPileUp(t *testing.T) {
	v := newVM(t, vm.Config{})
	ready(t, v, counter)
	before := wasmer.Stats().Memories
	for range 300 {
		require.NoError(t, v.Instantiate(background))
		gives(t, 1, v, "next")
	}
	require.Equal(t, before, wasmer.Stats().Memories)
}

func TestF068CleanupBringsBackTheBeginning(t *testing.T) {
	v := newVM(t, vm.Config{
		WASI: true, HostModules: []wasmer.HostModule{adder()}, Statistics: vm.StatisticsConfig{Instructions: true, Cost: true},
	})
	beginning := v.Registered()
	require.NoError(t, v.RegisterBytes(background, "lib", []byte(answer)))
	require.NoError(t, v.RegisterHost(wasmer.NewImports().Namespace("more").Function("f", func() {})))
	require.NoError(t, v.WASI().Configure(wasmer.WASIConfig{Args: []string{"app"}}))
	ready(t, v, string(addTwo))
	active, store := wasmer.Must(v.ActiveInstance().Function("addTwo")), v.Store()
	gives(t, 3, v, "addTwo", 1, 2)
	require.NotZero(t, v.Statistics().Instructions)

	require.NoError(t, v.Cleanup())
	require.Equal(t, vm.Initiated, v.State())
	require.Equal(t, beginning, v.Registered())
	require.Nil(t, v.ActiveInstance())
	require.Empty(t, v.Functions())
	require.Equal(t, wasmer.InstanceStats{}, v.Statistics())
	require.NotSame(t, store, v.Store())
	require.ErrorIs(t, second(active.Call(background, 1, 2)), wasmer.ErrClosed)
	ready(t, v, string(addTwo)) // the host module of the configuration is there
	gives(t, 3, v, "addTwo", 1, 2)
}

func TestF022CloseFreesAndMayComeTwice(t *testing.T) {
	v := vm.New(vm.Config{WASI: true})
	require.NoError(t, v.Err())
	require.NoError(t, v.RegisterBytes(background, "lib", []byte(answer)))
	ready(t, v, counter)
	active := v.ActiveInstance()
	require.NoError(t, v.Close())
	require.NoError(t, v.Close())
	require.NoError(t, (*vm.VM)(nil).Close())
	<-active.Done()
	for name, err := range map[string]error{
		"load": v.LoadBytes(background, fibonacci), "validate": v.Validate(), "instantiate": v.Instantiate(background),
		"register": v.RegisterBytes(background, "x", fibonacci), "host": v.RegisterHost(adder()), "cleanup": v.Cleanup(),
		"instance": v.RegisterInstance("x", active), "compile": second(v.Compile(background, fibonacci)),
		"execute": second(v.Execute(background, "next")), "registered": second(v.ExecuteRegistered(background, "lib", "answer")),
		"run": second(v.RunBytes(background, fibonacci, "fib", 1)), "async": second(v.AsyncExecute(background, "next").Result()),
	} {
		require.ErrorIs(t, err, wasmer.ErrClosed, name)
	}
	require.Empty(t, v.Registered())
}

func second[T any](_ T, err error) error { return err }

func TestF069AVMThatCannotBeMadeSaysWhy(t *testing.T) {
	for name, config := range map[string]vm.Config{
		"a limit without cost":  {Statistics: vm.StatisticsConfig{CostLimit: 1}},
		"a table without cost":  {Statistics: vm.StatisticsConfig{Costs: wasmer.CostTable{}}},
		"metering twice":        {Statistics: vm.StatisticsConfig{Cost: true}, Engine: wasmer.EngineConfig{Metering: wasmer.Metering{Mode: wasmer.MeteringBlock}}},
		"an unknown output":     {Output: 7},
		"two compilers":         {ForceBaseline: true, Engine: wasmer.EngineConfig{Compiler: wasmer.Cranelift}},
		"a nil host module":     {HostModules: []wasmer.HostModule{nil}},
		"one host module twice": {HostModules: []wasmer.HostModule{adder(), adder()}},
		"wasi twice": {WASI: true, HostModules: []wasmer.HostModule{
			wasmer.NewImports().Namespace("wasi_snapshot_preview1").Function("proc_exit", func(int32) {}),
		}},
	} {
		v := vm.New(config)
		require.Error(t, v.Err(), name)
		require.Equal(t, v.Err(), v.LoadBytes(background, fibonacci), name)
		require.Equal(t, v.Err(), second(v.RunBytes(background, fibonacci, "fib", 1)), name)
		require.NoError(t, v.Close())
	}
	v := vm.New(vm.Config{HostModules: []wasmer.HostModule{adder(), adder()}})
	require.ErrorIs(t, v.Err(), wasmer.ErrNameTaken)
	require.False(t, errors.Is(v.Err(), wasmer.ErrClosed))
}
