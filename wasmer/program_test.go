package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// programmed is a guest for programs. "at" is where it puts things.
const programmed = `(module
	(import "env" "host" (func $host (param i32) (result i32)))
	(memory (export "memory") 1 2)
	(global $calls (mut i32) (i32.const 0))
	(func (export "calls") (result i32) (global.get $calls))
	(func (export "reset") (global.set $calls (i32.const 0)))
	(func $count (global.set $calls (i32.add (global.get $calls) (i32.const 1))))
	(func (export "add") (param i32 i32) (result i32) (call $count) (i32.add (local.get 0) (local.get 1)))
	(func (export "swap") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
		(call $count) (local.get 3) (local.get 2) (local.get 1) (local.get 0))
	(func (export "host") (param i32) (result i32) (call $count) (call $host (local.get 0)))
	(func (export "fail") (param i32) (result i32) (call $count) (if (i32.eqz (local.get 0)) (then unreachable)) (local.get 0))
	(func (export "grow") (result i32) (memory.grow (i32.const 1)))
	(func (export "double") (param $at i32) (param $n i32) (result i64) ;; copies n bytes behind themselves
		(memory.copy (i32.add (local.get $at) (local.get $n)) (local.get $at) (local.get $n))
		(i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
			(i64.extend_i32_u (i32.mul (local.get $n) (i32.const 2)))))
	(func (export "forever") (param i32) (result i32) (loop $again (drop (i32.load (i32.const 0))) (br $again)) (i32.const 0)))`

func programmedInstance(t testing.TB, engine *wasmer.Engine, host any) *wasmer.Instance {
	t.Helper()
	return instantiate(t, engine, programmed, wasmer.NewImports().Function("host", host))
}

func built(t testing.TB, b *wasmer.ProgramBuilder) *wasmer.Program {
	t.Helper()
	program, err := b.Build()
	require.NoError(t, err)
	return program
}

func TestProgramPipesNumbers(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := programmedInstance(t, engine, plainHost)
		b := instance.NewProgram()
		x, y := b.Number(wasmer.ValueTypeI32), b.Number(wasmer.ValueTypeI64)
		single, double := b.Constant(wasmer.F32(-1.5)), b.Number(wasmer.ValueTypeF64)
		add, swap := function(t, instance, "add"), function(t, instance, "swap")
		sum := b.Call(add, x, b.Constant(wasmer.I32(-2)))
		swapped := b.Call(swap, sum[0], y, single, double)
		twice := b.Call(swap, b.Add(swapped[3], 10), b.Add(swapped[2], -3), swapped[1], swapped[0])
		b.Output(swapped...)
		b.Output(twice[3], twice[2], x, b.Low(y), b.High(y))
		program := built(t, b)
		for range 2 {
			var out wasmer.ProgramValues
			in := wasmer.ProgramValues{Numbers: []uint64{1<<40 | 1, 7<<32 | 9, math.Float64bits(0.1)}}
			require.NoError(t, program.Run(background, &in, &out))
			require.Equal(t, []uint64{
				math.Float64bits(0.1), uint64(math.Float32bits(-1.5)), 7<<32 | 9, math.MaxUint32,
				9, 7<<32 | 6, 1, 9, 7,
			}, out.Numbers)
			require.Empty(t, out.Bytes)
		}
		require.EqualValues(t, 6, call(t, instance, "calls").ToI32())
		require.EqualValues(t, 7, instance.Stats().Calls)
		b.Call(add, x, x)
		require.NoError(t, program.Run(background, &wasmer.ProgramValues{Numbers: make([]uint64, 3)}, nil))
		require.EqualValues(t, 9, call(t, instance, "calls").ToI32(), "a program does not change with its builder")
	})
}

func TestProgramPassesVectors(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		if !hasSIMD(engine) {
			t.Skip("no SIMD")
		}
		instance := instantiate(t, engine, `(module
			(func (export "f") (param v128 i32) (result i32 v128) (local.get 1) (i8x16.add (local.get 0) (i8x16.splat (local.get 1)))))`, nil)
		b := instance.NewProgram()
		f := function(t, instance, "f")
		first := b.Call(f, b.Number(wasmer.ValueTypeV128), b.Constant(wasmer.I32(1)))
		second := b.Call(f, first[1], first[0])
		third := b.Call(f, b.Constant(wasmer.V128(5, 6)), second[0])
		b.Output(second[1], third[1])
		var out wasmer.ProgramValues
		require.NoError(t, built(t, b).Run(background, &wasmer.ProgramValues{Numbers: []uint64{3, 4}}, &out))
		const ones = 0x0101010101010101
		require.Equal(t, []uint64{3 + 2*ones, 4 + 2*ones, 5 + ones, 6 + ones}, out.Numbers)
	})
}

func TestProgramCopiesBytes(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := programmedInstance(t, engine, plainHost)
		memory := instance.Memory
		b := instance.NewProgram()
		at, head, tail := b.Number(wasmer.ValueTypeI32), b.Bytes(), b.Bytes()
		b.Write(memory, at, tail)
		packed := b.Call(function(t, instance, "double"), at, b.Length(tail))[0]
		b.Call(function(t, instance, "grow")) // a memory that can move does
		twice := b.Read(memory, b.High(packed), b.Low(packed))
		end := b.Call(function(t, instance, "add"), at, b.Length(twice))[0]
		b.WriteCString(memory, end, head)
		all := b.ReadCString(memory, at)
		b.Output(all, b.Length(all), twice)
		program := built(t, b)
		var out wasmer.ProgramValues
		for _, c := range []struct{ head, tail string }{{"head", "tail"}, {"", "x"}, {"", ""}, {strings.Repeat("long ", 3000), "t"}} {
			in := wasmer.ProgramValues{Numbers: []uint64{1000}, Bytes: [][]byte{[]byte(c.head), []byte(c.tail)}}
			require.NoError(t, program.Run(background, &in, &out))
			want := c.tail + c.tail + c.head
			require.Equal(t, want, string(out.Bytes[0]))
			require.Equal(t, c.tail+c.tail, string(out.Bytes[1]))
			require.Equal(t, []uint64{uint64(len(want))}, out.Numbers)
		}
		require.EqualValues(t, 2*wasmer.PageSize, memory.Size())
		kept := out.Bytes[0]
		in := wasmer.ProgramValues{Numbers: []uint64{0}, Bytes: [][]byte{[]byte("abc"), nil}}
		require.NoError(t, program.Run(background, &in, &out))
		require.Equal(t, "abc", string(kept[:3]), "what is large enough is used again")
	})
}

// Long copies are done in pieces.
func TestProgramCopiesManyBytes(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (memory (export "memory") 100) (func (export "f")))`, nil)
		b := instance.NewProgram()
		at, data := b.Number(wasmer.ValueTypeI32), b.Bytes()
		b.WriteCString(instance.Memory, at, data)
		b.Call(function(t, instance, "f"))
		b.Output(b.ReadCString(instance.Memory, at), b.Read(instance.Memory, at, b.Length(data)))
		program := built(t, b)
		data5 := make([]byte, 5<<20+3)
		for i := range data5 {
			data5[i] = byte(1 + i%255)
		}
		var out wasmer.ProgramValues
		for _, n := range []int{len(data5), 1 << 20, 1<<20 - 1, 1<<20 + 1, 10} {
			in := wasmer.ProgramValues{Numbers: []uint64{4321}, Bytes: [][]byte{data5[:n]}}
			require.NoError(t, program.Run(background, &in, &out))
			require.True(t, bytes.Equal(data5[:n], out.Bytes[0]), n)
			require.True(t, bytes.Equal(data5[:n], out.Bytes[1]), n)
		}
	})
}

func TestProgramSaysWhichStepFailed(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		errHost := errors.New("host")
		instance := programmedInstance(t, engine, func(n int32) (int32, error) {
			if n == 13 {
				return 0, errHost
			}
			return n, nil
		})
		b := instance.NewProgram()
		f, at, h, required := b.Number(wasmer.ValueTypeI32), b.Number(wasmer.ValueTypeI32), b.Number(wasmer.ValueTypeI32),
			b.Number(wasmer.ValueTypeI32)
		text, size := b.Bytes(), b.Number(wasmer.ValueTypeI32)
		b.Call(function(t, instance, "fail"), f)               // 0
		b.WriteCString(instance.Memory, at, text)              // 1
		b.Call(function(t, instance, "host"), h)               // 2
		b.Require(required)                                    // 3
		b.Output(b.Read(instance.Memory, at, size))            // 4
		b.Output(b.ReadCString(instance.Memory, b.Add(at, 5))) // 5, 6
		b.Call(function(t, instance, "fail"), b.Constant(wasmer.I32(1)))
		program := built(t, b)
		const end = wasmer.PageSize
		for _, c := range []struct {
			f, at, h, required, size uint64
			step                     int
			operation                string
			err                      error
			calls                    int32
		}{
			{0, 0, 0, 1, 0, 0, `call "fail"`, wasmer.TrapUnreachable, 1},
			{1, end - 4, 0, 1, 0, 1, "write string", wasmer.ErrOutOfBounds, 1},
			{1, math.MaxUint32, 0, 1, 0, 1, "write string", wasmer.ErrOutOfBounds, 1},
			{1, 0, 13, 1, 0, 2, `call "host"`, errHost, 2},
			{1, 0, 0, 0, 0, 3, "require", wasmer.ErrResource, 2},
			{1, 0, 0, 1 << 32, 0, 3, "require", wasmer.ErrResource, 2},
			{1, 8, 0, 1, end - 7, 4, "read", wasmer.ErrOutOfBounds, 2},
			{1, 8, 0, 1, math.MaxUint32, 4, "read", wasmer.ErrOutOfBounds, 2},
			{1, end - 5, 0, 1, 0, 6, "read string", wasmer.ErrOutOfBounds, 2},
			{1, 0, 0, 1, end, -1, "", nil, 3},
		} {
			require.NoError(t, call0(instance, "reset"))
			in := wasmer.ProgramValues{Numbers: []uint64{c.f, c.at, c.h, c.required, c.size}, Bytes: [][]byte{[]byte("four")}}
			err := program.Run(background, &in, nil)
			require.Equal(t, c.calls, call(t, instance, "calls").ToI32(), "%+v: %v", c, err)
			if c.err == nil {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, c.err)
			var failed *wasmer.ProgramError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, c.step, failed.Step, "%v", err)
			require.Equal(t, c.operation, failed.Operation)
			require.ErrorContains(t, err, fmt.Sprintf("wasmer: program: step %d, %s: ", c.step, c.operation))
		}
		require.NoError(t, instance.Memory.Write(0, []byte(strings.Repeat("x", end))))
		err := program.Run(background, &wasmer.ProgramValues{Numbers: []uint64{1, end - 100, 0, 1, 0}, Bytes: [][]byte{nil}}, nil)
		require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
		require.ErrorContains(t, err, "no NUL after offset 65441")
	})
}

func call0(instance *wasmer.Instance, name string) error {
	_, err := instance.Exports[name]()
	return err
}

func TestProgramRefusesWhatDoesNotFit(t *testing.T) {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
	require.NoError(t, err)
	defer engine.Close()
	instance, other := programmedInstance(t, engine, plainHost), programmedInstance(t, engine, plainHost)
	memory, add := instance.Memory, function(t, instance, "add")
	references := instantiate(t, engine, `(module (func (export "f") (param externref)))`, nil)
	i32, i64 := wasmer.ValueTypeI32, wasmer.ValueTypeI64
	for message, build := range map[string]func(b *wasmer.ProgramBuilder){
		"it calls no function": func(*wasmer.ProgramBuilder) {},
		"no instance of its store exports": func(b *wasmer.ProgramBuilder) {
			b.Call(function(t, other, "calls"))
		},
		"that no instance of its store": func(b *wasmer.ProgramBuilder) { b.Call(nil) },
		`calls "add" with 1 arguments, want 2: (func (param i32 i32) (result i32))`: func(b *wasmer.ProgramBuilder) {
			b.Call(add, b.Number(i32))
		},
		`argument 1 of "add" is i64, want i32`: func(b *wasmer.ProgramBuilder) { b.Call(add, b.Number(i32), b.Number(i64)) },
		`argument 0 of "add" is bytes, want i32`: func(b *wasmer.ProgramBuilder) {
			b.Call(add, b.Bytes(), b.Number(i32))
		},
		`argument 0 of "add" is not of this program`: func(b *wasmer.ProgramBuilder) {
			b.Call(add, instance.NewProgram().Number(i32), b.Number(i32))
		},
		`argument 1 of "add" is not of this program`: func(b *wasmer.ProgramBuilder) {
			b.Call(add, b.Number(i32), wasmer.Operand{})
		},
		"an input cannot be of type externref": func(b *wasmer.ProgramBuilder) { b.Number(wasmer.ValueTypeExternRef) },
		"a constant cannot be of type":         func(b *wasmer.ProgramBuilder) { b.Constant(wasmer.Value{}) },
		"more than 4 inputs of bytes": func(b *wasmer.ProgramBuilder) {
			for range 5 {
				b.Bytes()
			}
		},
		"Length is given no bytes":              func(b *wasmer.ProgramBuilder) { b.Length(b.Number(i32)) },
		"a memory that is not of":               func(b *wasmer.ProgramBuilder) { b.Write(other.Memory, b.Number(i32), b.Bytes()) },
		"it uses a memory that is not":          func(b *wasmer.ProgramBuilder) { b.ReadCString(nil, b.Number(i32)) },
		"an address or length is i64, want i32": func(b *wasmer.ProgramBuilder) { b.Read(memory, b.Number(i32), b.Number(i64)) },
		"is no input of bytes": func(b *wasmer.ProgramBuilder) {
			b.Write(memory, b.Number(i32), b.ReadCString(memory, b.Number(i32)))
		},
		"what is added to is f64, want i32":     func(b *wasmer.ProgramBuilder) { b.Add(b.Constant(wasmer.F64(1)), 1) },
		"what is halved is i32, want i64":       func(b *wasmer.ProgramBuilder) { b.High(b.Number(i32)) },
		"what is halved is bytes, want i64":     func(b *wasmer.ProgramBuilder) { b.Low(b.Bytes()) },
		"what is required is bytes, want i32":   func(b *wasmer.ProgramBuilder) { b.Require(b.Bytes()) },
		"an output is neither a number nor":     func(b *wasmer.ProgramBuilder) { b.Output(b.Bytes()) },
		"bytes that were read, of this program": func(b *wasmer.ProgramBuilder) { b.Output(wasmer.Operand{}) },
		"it has more than 256 steps": func(b *wasmer.ProgramBuilder) {
			for range 257 {
				b.Call(function(t, instance, "calls"))
			}
		},
		"it has more than 1024 numbers": func(b *wasmer.ProgramBuilder) {
			for range 1025 {
				b.Number(i32)
			}
		},
	} {
		b := instance.NewProgram()
		build(b)
		program, err := b.Build()
		require.Nil(t, program, message)
		require.ErrorContains(t, err, message)
	}
	b := references.NewProgram()
	b.Call(function(t, references, "f"), b.Number(i32))
	_, err = b.Build()
	require.ErrorIs(t, err, wasmer.ErrUnsupported)

	var nothing *wasmer.Instance
	_, err = nothing.NewProgram().Build()
	require.ErrorIs(t, err, wasmer.ErrClosed)
	var none *wasmer.Program
	require.ErrorIs(t, none.Run(background, nil, nil), wasmer.ErrClosed)

	b = instance.NewProgram()
	b.Call(add, b.Number(i32), b.Length(b.Bytes()))
	program := built(t, b)
	for message, in := range map[string]*wasmer.ProgramValues{
		"given 0 inputs of bytes, want 1":   nil,
		"given 2 inputs of bytes, want 1":   {Numbers: []uint64{1}, Bytes: make([][]byte, 2)},
		"given 9 inputs of bytes, want 1":   {Numbers: []uint64{1}, Bytes: make([][]byte, 9)},
		"given 0 words of numbers, want 1":  {Bytes: make([][]byte, 1)},
		"given 12 words of numbers, want 1": {Numbers: make([]uint64, 12), Bytes: make([][]byte, 1)},
	} {
		err := program.Run(background, in, nil)
		require.ErrorAs(t, err, new(*wasmer.CallError))
		require.ErrorContains(t, err, message)
	}
	require.Zero(t, instance.Stats().Calls)
	ended, cancel := context.WithCancel(background)
	cancel()
	in := &wasmer.ProgramValues{Numbers: []uint64{1}, Bytes: make([][]byte, 1)}
	require.ErrorIs(t, program.Run(ended, in, nil), wasmer.ErrInterrupted)
	require.NoError(t, instance.Close())
	require.ErrorIs(t, program.Run(background, in, nil), wasmer.ErrClosed)
}

func TestProgramIsStopped(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var end func() // by the program's first step, so that it is under way
		instance := programmedInstance(t, engine, func(n int32) int32 {
			time.AfterFunc(2*time.Millisecond, end)
			return n
		})
		b := instance.NewProgram()
		one := b.Constant(wasmer.I32(1))
		b.Call(function(t, instance, "host"), one)
		b.Call(function(t, instance, "add"), one, one)
		b.Call(function(t, instance, "forever"), one)
		b.Call(function(t, instance, "add"), one, one)
		program := built(t, b)
		ctx, cancel := context.WithCancel(background)
		end = cancel
		err := program.Run(ctx, nil, nil)
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
		require.ErrorIs(t, err, context.Canceled)
		var failed *wasmer.ProgramError
		require.ErrorAs(t, err, &failed)
		require.LessOrEqual(t, failed.Step, 2)
		require.LessOrEqual(t, call(t, instance, "calls").ToI32(), int32(2))
		end = func() { _ = instance.Close() }
		err = program.Run(background, nil, nil)
		require.ErrorAs(t, err, new(*wasmer.ExitError))
		require.ErrorAs(t, err, &failed)
	})
}

// The bytes that a program has read stay its own while its host functions run others.
func TestProgramsRunInsideOfPrograms(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var program *wasmer.Program
		run := func(ctx context.Context, n int) (string, string, error) {
			in := wasmer.ProgramValues{Numbers: []uint64{uint64(n)}, Bytes: [][]byte{[]byte(fmt.Sprint("before ", n)), []byte(fmt.Sprint("after ", n))}}
			var out wasmer.ProgramValues
			if err := program.Run(ctx, &in, &out); err != nil {
				return "", "", err
			}
			return string(out.Bytes[0]), string(out.Bytes[1]), nil
		}
		instance := programmedInstance(t, engine, func(ctx context.Context, n int32) (int32, error) {
			if n == 0 {
				return 0, nil
			}
			for range 2 {
				before, after, err := run(ctx, int(n-1))
				if err != nil {
					return 0, err
				}
				if before != fmt.Sprint("before ", n-1) || after != fmt.Sprint("after ", n-1) {
					return 0, fmt.Errorf("read %q, %q at %d", before, after, n-1)
				}
			}
			return n, nil
		})
		b := instance.NewProgram()
		n, before, after := b.Number(wasmer.ValueTypeI32), b.Bytes(), b.Bytes()
		at := b.Constant(wasmer.I32(100))
		b.WriteCString(instance.Memory, at, before)
		b.Output(b.ReadCString(instance.Memory, at))
		b.Call(function(t, instance, "host"), n)
		b.WriteCString(instance.Memory, at, after)
		b.Output(b.ReadCString(instance.Memory, at))
		program = built(t, b)
		for _, n := range []int{0, 1, 5} {
			before, after, err := run(background, n)
			require.NoError(t, err)
			require.Equal(t, []string{fmt.Sprint("before ", n), fmt.Sprint("after ", n)}, []string{before, after})
		}
		_, _, err := run(background, 1_000_000)
		require.ErrorIs(t, err, wasmer.ErrDepth)
	})
}

func TestProgramsAreShared(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := programmedInstance(t, engine, plainHost)
		b := instance.NewProgram()
		text, at, fails := b.Bytes(), b.Constant(wasmer.I32(64)), b.Number(wasmer.ValueTypeI32)
		b.WriteCString(instance.Memory, at, text)
		b.Call(function(t, instance, "fail"), fails)
		b.Output(b.ReadCString(instance.Memory, at))
		program := built(t, b)
		var group sync.WaitGroup
		for g := range 4 {
			group.Go(func() {
				random := rand.New(rand.NewPCG(uint64(g), 3))
				var out wasmer.ProgramValues
				for k := range 300 {
					text := fmt.Sprintf("%d of %d %s", k, g, strings.Repeat("x", random.IntN(100)))
					in := wasmer.ProgramValues{Numbers: []uint64{uint64(random.IntN(10))}, Bytes: [][]byte{[]byte(text)}}
					switch err := program.Run(background, &in, &out); {
					case in.Numbers[0] == 0:
						if !errors.Is(err, wasmer.TrapUnreachable) {
							t.Error(err)
						}
					case err != nil:
						t.Error(err)
					case string(out.Bytes[0]) != text:
						t.Errorf("read %q, want %q", out.Bytes[0], text)
					}
				}
			})
		}
		group.Wait()
	})
}

func TestProgramEndsAtTheCostLimit(t *testing.T) {
	eachMetered(t, wasmer.Metering{}, func(t *testing.T, engine *wasmer.Engine) {
		instance := programmedInstance(t, engine, plainHost)
		b := instance.NewProgram()
		one := b.Constant(wasmer.I32(1))
		for range 10 {
			one = b.Call(function(t, instance, "fail"), one)[0]
		}
		program := built(t, b)
		require.NoError(t, program.Run(background, nil, nil))
		each := instance.Meter().Used() / 10
		require.NoError(t, instance.Meter().Reset())
		require.NoError(t, instance.Meter().SetLimit(4*each+each/2))
		err := program.Run(background, nil, nil)
		require.ErrorIs(t, err, wasmer.ErrCostLimit)
		var failed *wasmer.ProgramError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, 4, failed.Step)
	})
}

func TestProgramRunsWithoutAllocations(t *testing.T) {
	instance, err := wasmer.NewInstance(wasmtest.Fixture(t, "greet.wasm"))
	require.NoError(t, err)
	defer instance.Close()
	b := instance.NewProgram()
	name := b.Bytes()
	size := b.Add(b.Length(name), 1)
	ptr := b.Call(function(t, instance, "allocate"), size)[0]
	b.WriteCString(instance.Memory, ptr, name)
	b.Output(b.ReadCString(instance.Memory, b.Call(function(t, instance, "greet"), ptr)[0]))
	b.Call(function(t, instance, "deallocate"), ptr, size)
	program := built(t, b)
	in, out := wasmer.ProgramValues{Bytes: [][]byte{[]byte("Wasmer")}}, wasmer.ProgramValues{}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := program.Run(background, &in, &out); err != nil {
			t.Fatal(err)
		}
	}))
	require.Equal(t, "Hello, Wasmer!", string(out.Bytes[0]))
}
