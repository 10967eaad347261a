package wasmer_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Random values of all types through globals of host and guest.
func FuzzGlobals(f *testing.F) {
	seedScripts(f)
	engines := enginesForFuzz(f)
	modules := map[*wasmer.Engine][]*wasmer.Module{}
	for _, engine := range engines {
		for _, typ := range valueTypes {
			if typ == wasmer.ValueTypeV128 && !hasSIMD(engine) {
				continue
			}
			zero := "(" + typ.String() + ".const 0)"
			switch typ {
			case wasmer.ValueTypeFuncRef, wasmer.ValueTypeExternRef:
				zero = "(ref.null " + strings.TrimSuffix(typ.String(), "ref") + ")"
			case wasmer.ValueTypeV128:
				zero = "(v128.const i64x2 0 0)"
			}
			modules[engine] = append(modules[engine], compile(f, engine, strings.NewReplacer("TYPE", typ.String(), "ZERO", zero).Replace(`(module (import "env" "g" (global $g (mut TYPE)))
				(global $own (mut TYPE) ZERO) (export "g" (global $g)) (export "own" (global $own))
				(func (export "get") (result TYPE) (global.get $g)) (func (export "set") (param TYPE) (global.set $g (local.get 0)))
				(func (export "swap") (local $x TYPE) (local.set $x (global.get $g)) (global.set $g (global.get $own)) (global.set $own (local.get $x))))`)))
		}
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		for _, engine := range engines {
			s := &script{bytes}
			for n, module := range modules[engine] {
				fuzzGlobal(t, s, engine, module, valueTypes[n])
			}
		}
	})
}

func fuzzGlobal(t *testing.T, s *script, engine *wasmer.Engine, module *wasmer.Module, typ wasmer.ValueType) {
	store, err := wasmer.NewStore(engine)
	require.NoError(t, err)
	defer store.Close()
	functions := []*wasmer.Function{nil, hostConstant(t, store, 1), hostConstant(t, store, 2)}
	random := func() wasmer.Value {
		switch typ {
		case wasmer.ValueTypeI32:
			return wasmer.I32(int32(s.uint64()))
		case wasmer.ValueTypeI64:
			return wasmer.I64(int64(s.uint64()))
		case wasmer.ValueTypeF32:
			return wasmer.F32(math.Float32frombits(uint32(s.uint64())))
		case wasmer.ValueTypeF64:
			return wasmer.F64(math.Float64frombits(s.uint64()))
		case wasmer.ValueTypeV128:
			return wasmer.V128(s.uint64(), s.uint64())
		case wasmer.ValueTypeFuncRef:
			return wasmer.FuncRef(functions[s.below(3)])
		}
		return wasmer.ExternRef([]any{nil, 1, "text", functions, wasmer.I32(5)}[s.below(5)])
	}
	g, own := random(), random()
	imported := store.NewGlobal(wasmer.GlobalType{Value: typ, Mutable: true}, g)
	instance, err := store.Instantiate(background, "", module, wasmer.NewImports().Global("env", "g", imported))
	require.NoError(t, err)
	again, second := exportedGlobal(t, instance, "g"), exportedGlobal(t, instance, "own")
	require.NoError(t, second.Set(own))
	for range 20 {
		v := random()
		switch s.below(6) {
		case 0:
			require.NoError(t, imported.Set(v))
			g = v
		case 1:
			require.NoError(t, again.Set(v))
			g = v
		case 2:
			run(t, instance, "set", v)
			g = v
		case 3:
			require.NoError(t, second.Set(v))
			own = v
		case 4:
			run(t, instance, "swap")
			g, own = own, g
		default:
			runtime.Gosched()
		}
		require.Equal(t, g, value(t, imported))
		require.Equal(t, g, value(t, again))
		require.Equal(t, own, value(t, second))
		require.Equal(t, g, run(t, instance, "get")[0])
	}
}

// Random values go random ways into and out of a guest; each comes out as what it went in. Collections happen meanwhile.
func FuzzExternrefs(f *testing.F) {
	seedScripts(f)
	engines := enginesForFuzz(f)
	modules := map[*wasmer.Engine]*wasmer.Module{}
	for _, engine := range engines {
		modules[engine] = compile(f, engine, keeper)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		for _, engine := range engines {
			s := &script{bytes}
			var instance *wasmer.Instance
			instance, err := modules[engine].InstantiateWithImports(wasmer.NewImports().Function("pass", func(c *wasmer.Caller, v any) (any, error) {
				if s.below(4) > 0 {
					return v, nil
				}
				if s.below(8) == 0 {
					collect()
				}
				values, err := nestedPass(c.Context(), instance, []int{s.below(9)})
				if err != nil || len(values) != 1 {
					return nil, fmt.Errorf("nested: %v, %w", values, err)
				}
				return v, nil
			}))
			require.NoError(t, err)
			table, global := exportedTable(t, instance, "t"), exportedGlobal(t, instance, "g")
			model, kept := make([]any, 4), any(nil)
			for count := 0; s.more(); count++ {
				var v any
				switch s.below(6) {
				case 0:
				case 1:
					v = count % 3 // of the same value
				case 2:
					v = []int{count}
				case 3:
					v = &point{count, 1}
				case 4:
					v = fmt.Sprint(count)
				default:
					v = model[s.below(len(model))]
				}
				index := s.below(len(model))
				switch s.below(9) {
				case 0:
					require.NoError(t, table.Set(uint64(index), v))
					model[index] = v
				case 1:
					run(t, instance, "set", index, v)
					model[index] = v
				case 2:
					run(t, instance, "keep", v)
					kept = v
				case 3:
					require.NoError(t, global.Set(v))
					kept = v
				case 4:
					n := s.below(5)
					if index+n <= len(model) {
						run(t, instance, "fill", index, v, n)
						for i := range n {
							model[index+i] = v
						}
					}
				case 5:
					if len(model) < 100 {
						run(t, instance, "grow", v, 1)
						model = append(model, v)
					}
				case 6:
					if s.below(8) == 0 {
						collect()
					}
				default:
					for _, name := range []string{"same", "host", "hold"} {
						require.Equal(t, v, run(t, instance, name, v)[0].ToExternRef())
					}
				}
				require.Equal(t, model[index], run(t, instance, "get", index)[0].ToExternRef())
				require.Equal(t, kept, run(t, instance, "kept")[0].ToExternRef())
			}
			for index, want := range model {
				require.Equal(t, want, element(t, table, uint64(index)).ToExternRef())
			}
			require.Equal(t, kept, value(t, global).ToExternRef())
			require.NoError(t, instance.Close())
		}
	})
}

func nestedPass(ctx context.Context, instance *wasmer.Instance, v any) ([]wasmer.Value, error) {
	f, err := instance.Function("same")
	if err != nil {
		return nil, err
	}
	return f.Call(ctx, v)
}
