package wasmer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// script reads choices from the bytes of a fuzzer.
type script struct{ rest []byte }

func (s *script) more() bool { return len(s.rest) > 0 }

func (s *script) byte() byte {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

// below is a number less than n.
func (s *script) below(n int) int { return int(s.byte()) % n }

func (s *script) uint64() (n uint64) {
	for range 8 {
		n = n<<8 | uint64(s.byte())
	}
	return n
}

// seedScripts adds bytes of all sorts.
func seedScripts(f *testing.F) {
	f.Helper()
	f.Add([]byte{})
	for n := range 12 {
		bytes := make([]byte, 40*n+7)
		for i := range bytes {
			bytes[i] = byte(i*i*(n+3) + i*7 + n)
		}
		f.Add(bytes)
	}
	f.Add([]byte(strings.Repeat("\xff\x00\x01\x02", 64)))
}

var valueTypes = types(wasmer.ValueTypeI32, wasmer.ValueTypeI64, wasmer.ValueTypeF32, wasmer.ValueTypeF64, wasmer.ValueTypeFuncRef,
	wasmer.ValueTypeExternRef, wasmer.ValueTypeV128)

// externText is a random type of an import or export in the text format.
func (s *script) externText() string {
	list := func(keyword string, n int) string {
		text := ""
		for range n {
			text += " " + valueTypes[s.below(len(valueTypes))].String()
		}
		if text == "" {
			return ""
		}
		return " (" + keyword + text + ")"
	}
	limits := func(bound int) string {
		low := s.below(bound)
		if s.byte()&1 == 0 {
			return fmt.Sprint(low)
		}
		return fmt.Sprint(low, " ", low+s.below(bound))
	}
	switch s.below(4) {
	case 0:
		return "(func" + list("param", s.below(6)) + list("result", s.below(4)) + ")"
	case 1:
		return "(table " + limits(20) + " " + valueTypes[4+s.below(2)].String() + ")"
	case 2:
		text := "(memory " + limits(10)
		if strings.Count(text, " ") == 2 && s.byte()&1 == 1 {
			text += " shared"
		}
		return text + ")"
	}
	typ := valueTypes[s.below(len(valueTypes))].String()
	if s.byte()&1 == 1 {
		typ = "(mut " + typ + ")"
	}
	return "(global " + typ + ")"
}

// What Inspect says of a module without compiling it is what the compiled module says.
func FuzzTypes(f *testing.F) {
	seedScripts(f)
	engines := enginesForFuzz(f)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		s := &script{bytes}
		text := "(module"
		counts := map[string]int{}
		var wants []string
		for s.more() && len(wants) < 30 {
			want := s.externText()
			kind := strings.Trim(strings.Fields(want)[0], "()")
			text += fmt.Sprintf(` (import "m%d" "n%d" %s)`, s.below(3), len(wants), want)
			if s.byte()&1 == 1 {
				text += fmt.Sprintf(` (export "e%d" (%s %d))`, len(wants), kind, counts[kind])
			}
			counts[kind]++
			wants = append(wants, want)
		}
		// Imports come before all that is defined, exports may stand anywhere.
		wasm, err := wasmer.Wat2Wasm(text + ")")
		require.NoError(t, err, text)
		info, err := wasmer.Inspect(wasm)
		require.NoError(t, err, text)
		require.Len(t, info.Imports(), len(wants))
		for n, want := range wants {
			require.Equal(t, want, info.Imports()[n].Type.String(), text)
		}
		for _, engine := range engines {
			module, err := engine.Compile(background, wasm)
			if err != nil {
				if engine.Compiler() == wasmer.Singlepass {
					require.ErrorIs(t, err, wasmer.ErrUnsupported, text) // v128
				} else {
					require.ErrorIs(t, err, wasmer.ErrSignatureCollision, text)
				}
				continue
			}
			require.Equal(t, info.Imports(), module.Imports(), text)
			require.Equal(t, info.Exports(), module.Exports(), text)
			require.NoError(t, module.Close())
		}
	})
}

// Imports of random types are given externs of random types: errors that say what is wrong, or an instance.
func FuzzImports(f *testing.F) {
	seedScripts(f)
	engines := enginesForFuzz(f)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		for _, engine := range engines {
			s := &script{bytes}
			store, err := wasmer.NewStore(engine)
			require.NoError(t, err)
			other, err := wasmer.NewStore(engine)
			require.NoError(t, err)
			imports, text := wasmer.NewImports(), "(module"
			foreign, fits := false, true
			for n := 0; s.more() && n < 20; n++ {
				want, name := s.externText(), fmt.Sprint("n", n)
				text += fmt.Sprintf(` (import "env" "%s" %s)`, name, want)
				given := want
				if s.below(4) == 0 {
					given = s.externText()
					fits = fits && given == want
				}
				if s.below(20) == 0 {
					fits = false
					continue // missing
				}
				in := store
				if s.below(40) == 0 {
					in, foreign = other, true
				}
				if extern := makeExtern(t, in, given, s); extern != nil {
					imports.Extern("env", name, extern)
				}
			}
			module, err := engine.Compile(background, []byte(text+")"))
			if err != nil {
				requireRefusal(t, engine, err)
			} else {
				instance, err := store.Instantiate(background, "name", module, imports)
				var link *wasmer.LinkError
				switch {
				case errors.As(err, &link):
					require.NotEmpty(t, link.Imports)
					require.NotEmpty(t, err.Error())
					require.False(t, fits && !foreign, "%s: %v", text, err)
				case errors.Is(err, wasmer.ErrStoreMismatch):
					require.True(t, foreign)
				case errors.Is(err, wasmer.ErrUnsupported) && engine.Compiler() == wasmer.Singlepass, errors.Is(err, wasmer.ErrSignatureCollision):
				default:
					require.NoError(t, err, text)
					require.Same(t, instance, store.Instance("name"))
				}
				require.NoError(t, module.Close())
			}
			require.NoError(t, store.Close())
			require.NoError(t, other.Close())
		}
	})
}

// makeExtern makes an extern of the type in the text format, by way of the type of a module that imports it.
func makeExtern(t *testing.T, store *wasmer.Store, text string, s *script) wasmer.Extern {
	info, err := wasmer.Inspect([]byte(`(module (import "" "" ` + text + `))`))
	require.NoError(t, err, text)
	typ := info.Imports()[0].Type
	switch typ.Kind {
	case wasmer.ExternFunction:
		f, err := store.NewFunction(typ.Function, echo, 0)
		require.NoError(t, err)
		return f
	case wasmer.ExternTable:
		table, err := store.NewTable(typ.Table, nil)
		require.NoError(t, err)
		return table
	case wasmer.ExternMemory:
		memory, err := store.NewMemoryOf(typ.Memory)
		require.NoError(t, err)
		return memory
	}
	var v any
	switch {
	case typ.Global.Value == wasmer.ValueTypeV128:
		v = [2]uint64{s.uint64(), 1}
	case !typ.Global.Value.IsReference():
		v = s.below(100)
	}
	return store.NewGlobal(typ.Global, v)
}

// Random operations of host and guest on a table, against a slice.
func FuzzTables(f *testing.F) {
	seedScripts(f)
	engines := enginesForFuzz(f)
	modules := map[*wasmer.Engine]*wasmer.Module{}
	for _, engine := range engines {
		modules[engine] = compile(f, engine, `(module (import "env" "t" (table $t 0 40 funcref))
			(type $get (func (result i32))) (elem $e func $a $b $a) (func $a (result i32) (i32.const -1)) (func $b (result i32) (i32.const -2))
			(func (export "call") (param i32) (result i32) (call_indirect $t (type $get) (local.get 0)))
			(func (export "set") (param i32 funcref) (table.set $t (local.get 0) (local.get 1)))
			(func (export "get") (param i32) (result funcref) (table.get $t (local.get 0)))
			(func (export "size") (result i32) (table.size $t))
			(func (export "grow") (param funcref i32) (result i32) (table.grow $t (local.get 0) (local.get 1)))
			(func (export "fill") (param i32 funcref i32) (table.fill $t (local.get 0) (local.get 1) (local.get 2)))
			(func (export "copy") (param i32 i32 i32) (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
			(func (export "init") (param i32 i32 i32) (table.init $t $e (local.get 0) (local.get 1) (local.get 2))))`)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		for _, engine := range engines {
			s := &script{bytes}
			store, err := wasmer.NewStore(engine)
			require.NoError(t, err)
			table := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 4, Max: 40, HasMax: true}, nil)
			instance, err := store.Instantiate(background, "", modules[engine], wasmer.NewImports().Table("env", "t", table))
			require.NoError(t, err)
			functions := []*wasmer.Function{nil, hostConstant(t, store, 1), hostConstant(t, store, 2), hostConstant(t, store, 3)}
			const null = 0
			model := []int32{null, null, null, null} // what the functions give
			calls := func(name string, args ...any) ([]wasmer.Value, error) {
				return function(t, instance, name).Call(background, args...)
			}
			check := func(err error, fits bool, what string) bool {
				t.Helper()
				if fits {
					require.NoError(t, err, what)
				} else {
					require.True(t, errors.Is(err, wasmer.ErrOutOfBounds) || errors.Is(err, wasmer.ErrResource) || errors.Is(err, wasmer.TrapTableOutOfBounds), "%s: %v", what, err)
				}
				return fits
			}
			for s.more() {
				index, n, from := s.below(45), s.below(8), s.below(45)
				f := functions[s.below(len(functions))]
				given := int32(0)
				for i, known := range functions {
					if known == f {
						given = int32(i)
					}
				}
				inside := index < len(model)
				switch s.below(9) {
				case 0:
					if check(table.Set(uint64(index), f), inside, "Set") {
						model[index] = given
					}
				case 1:
					_, err := calls("set", index, f)
					if check(err, inside, "set") {
						model[index] = given
					}
				case 2:
					previous, err := table.Grow(uint64(n), f)
					if check(err, len(model)+n <= 40, "Grow") {
						require.EqualValues(t, len(model), previous)
						for range n {
							model = append(model, given)
						}
					}
				case 3:
					values, err := calls("grow", f, n)
					require.NoError(t, err)
					if len(model)+n > 40 {
						require.EqualValues(t, -1, values[0].ToI32())
						break
					}
					require.EqualValues(t, len(model), values[0].ToI32())
					for range n {
						model = append(model, given)
					}
				case 4:
					_, err := calls("fill", index, f, n)
					if check(err, index+n <= len(model), "fill") {
						for i := range n {
							model[index+i] = given
						}
					}
				case 5:
					_, err := calls("copy", index, from, n)
					if check(err, index+n <= len(model) && from+n <= len(model), "copy") {
						copy(model[index:index+n], model[from:from+n])
					}
				case 6:
					start := from % 5
					_, err := calls("init", index, start, n)
					if check(err, index+n <= len(model) && start+n <= 3, "init") {
						copy(model[index:], []int32{-1, -2, -1}[start:start+n])
					}
				case 7:
					value, err := table.Get(uint64(index))
					if check(err, inside, "Get") && given != 0 && value.ToFuncRef() != nil {
						values, err := value.ToFuncRef().Call(background)
						require.NoError(t, err)
						require.Equal(t, model[index], values[0].ToI32())
					}
				default:
					values, err := calls("get", index)
					if check(err, inside, "get") && model[index] > 0 {
						require.Same(t, functions[model[index]], values[0].ToFuncRef())
					}
				}
			}
			require.EqualValues(t, len(model), table.Size())
			for index, want := range model {
				value := element(t, table, uint64(index))
				require.Equal(t, want == null, value.IsNull())
				if want == null {
					_, err := calls("call", index)
					require.ErrorIs(t, err, wasmer.TrapNullIndirectCall)
					continue
				}
				require.Equal(t, want, call(t, instance, "call", index).ToI32())
			}
			require.NoError(t, store.Close())
		}
	})
}
