package wasmer_test

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const signalingNaN32, signalingNaN64 = 0x7fa00001, 0x7ff4000000000001

// globalValues are two values of each type, the numbers as bits.
func globalValues(t *testing.T, engine *wasmer.Engine, store *wasmer.Store) map[wasmer.ValueType][2]any {
	all := map[wasmer.ValueType][2]any{
		wasmer.ValueTypeI32:       {int32(math.MinInt32), wasmer.I32(-1)},
		wasmer.ValueTypeI64:       {int64(math.MinInt64), wasmer.I64(math.MaxInt64)},
		wasmer.ValueTypeF32:       {math.Float32frombits(signalingNaN32), wasmer.F32(float32(math.Copysign(0, -1)))},
		wasmer.ValueTypeF64:       {math.Float64frombits(signalingNaN64), wasmer.F64(math.Inf(-1))},
		wasmer.ValueTypeFuncRef:   {hostConstant(t, store, 1), wasmer.NullRef(wasmer.ValueTypeFuncRef)},
		wasmer.ValueTypeExternRef: {"text", wasmer.ExternRef(&struct{ n int }{7})},
	}
	if hasSIMD(engine) {
		all[wasmer.ValueTypeV128] = [2]any{[2]uint64{math.MaxUint64, 1}, wasmer.I32x4([4]int32{1, -2, 3, -4})}
	}
	return all
}

// same compares numbers by their bits.
func same(t *testing.T, want any, got wasmer.Value, name string) {
	t.Helper()
	switch want := want.(type) {
	case wasmer.Value:
		require.Equal(t, want, got, name)
	case float32:
		require.Equal(t, math.Float32bits(want), math.Float32bits(got.ToF32()), name)
	case float64:
		require.Equal(t, math.Float64bits(want), math.Float64bits(got.ToF64()), name)
	default:
		require.Equal(t, want, got.Go(), name)
	}
}

func TestGlobalsOfAllTypes(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		for typ, values := range globalValues(t, engine, store) {
			name := typ.String()
			global := store.NewGlobal(wasmer.GlobalType{Value: typ, Mutable: true}, values[0])
			same(t, values[0], value(t, global), name)
			require.Equal(t, "(global (mut "+name+"))", global.Type().String())
			require.Equal(t, "(global (mut "+name+"))", global.ExternType().String())
			guest := `(module (import "env" "g" (global $g (mut ` + name + `))) (export "again" (global $g))
				(import "env" "c" (global $c ` + name + `)) (export "c" (global $c))
				(func (export "get") (result ` + name + `) (global.get $g))
				(func (export "constant") (result ` + name + `) (global.get $c))
				(func (export "set") (param ` + name + `) (global.set $g (local.get 0))))`
			constant := store.NewGlobal(wasmer.GlobalType{Value: typ}, values[1])
			imports := wasmer.NewImports().Global("env", "g", global).Global("env", "c", constant)
			first, second := instantiateIn(t, store, engine, guest, imports), instantiateIn(t, store, engine, guest, imports)

			same(t, values[0], run(t, first, "get")[0], name)
			same(t, values[1], run(t, second, "constant")[0], name)
			run(t, second, "set", values[1])
			same(t, values[1], value(t, global), name)
			same(t, values[1], run(t, first, "get")[0], name)
			again := exportedGlobal(t, first, "again")
			require.NoError(t, again.Set(values[0]), name)
			same(t, values[0], value(t, global), name)
			same(t, values[0], run(t, second, "get")[0], name)
			require.NoError(t, global.Set(values[1]), name)
			same(t, values[1], value(t, again), name)

			for _, c := range []*wasmer.Global{constant, exportedGlobal(t, first, "c")} {
				require.ErrorIs(t, c.Set(values[0]), wasmer.ErrImmutable, name)
				same(t, values[1], value(t, c), name)
				require.False(t, c.Type().Mutable)
			}
		}
	})
}

func TestGlobalsOfGuestsOfAllTypes(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module
			(global (export "i32") (mut i32) (i32.const -5)) (global (export "i64") (mut i64) (i64.const -6))
			(global (export "f32") (mut f32) (f32.const nan:0x200001)) (global (export "f64") (mut f64) (f64.const nan:0x4000000000001))
			(global (export "func") (mut funcref) (ref.func $f)) (global (export "extern") (mut externref) (ref.null extern))
			(global (export "null") funcref (ref.null func)) (global (export "constant") i32 (i32.const 9))
			(func $f (export "f")))`, nil)
		require.Len(t, instance.List(wasmer.ExternGlobal), 8)
		require.EqualValues(t, -5, value(t, exportedGlobal(t, instance, "i32")).Go())
		require.EqualValues(t, -6, value(t, exportedGlobal(t, instance, "i64")).Go())
		require.EqualValues(t, signalingNaN32, math.Float32bits(value(t, exportedGlobal(t, instance, "f32")).ToF32()))
		require.EqualValues(t, uint64(signalingNaN64), math.Float64bits(value(t, exportedGlobal(t, instance, "f64")).ToF64()))
		require.Same(t, function(t, instance, "f"), value(t, exportedGlobal(t, instance, "func")).ToFuncRef())
		require.True(t, value(t, exportedGlobal(t, instance, "extern")).IsNull())
		require.True(t, value(t, exportedGlobal(t, instance, "null")).IsNull())
		require.ErrorIs(t, exportedGlobal(t, instance, "constant").Set(9), wasmer.ErrImmutable)
		require.Same(t, exportedGlobal(t, instance, "i32"), exportedGlobal(t, instance, "i32"))
		_, err := instance.Global("f")
		require.ErrorIs(t, err, wasmer.ErrNotFound)
		require.ErrorContains(t, err, "a function, not a global")
		_, err = instance.Global("i23")
		require.ErrorIs(t, err, wasmer.ErrNotFound)
		require.ErrorContains(t, err, `is it "`)
		if hasSIMD(engine) {
			instance := instantiate(t, engine, `(module (global (export "g") (mut v128) (v128.const i32x4 1 2 3 4)))`, nil)
			require.Equal(t, [4]int32{1, 2, 3, 4}, value(t, exportedGlobal(t, instance, "g")).ToI32x4())
		}
	})
}

func TestGlobalsRefuseOtherTypes(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		for typ, bad := range map[wasmer.ValueType][]any{
			wasmer.ValueTypeI32:       {nil, "x", 1 << 32, int64(math.MinInt32) - 1, uint64(1) << 32, 1.5, wasmer.I64(1), wasmer.Value{}},
			wasmer.ValueTypeI64:       {nil, 1.0, wasmer.I32(1), [2]uint64{}},
			wasmer.ValueTypeF32:       {nil, 1<<24 + 1, 0.1, wasmer.F64(1)},
			wasmer.ValueTypeF64:       {nil, 1<<53 + 1, wasmer.F32(1), true},
			wasmer.ValueTypeFuncRef:   {1, "f", func() {}, wasmer.ExternRef(nil)},
			wasmer.ValueTypeExternRef: {wasmer.I32(1), wasmer.NullRef(wasmer.ValueTypeFuncRef)},
		} {
			var good any
			if !typ.IsReference() {
				good = 1
			}
			global := store.NewGlobal(wasmer.GlobalType{Value: typ, Mutable: true}, good)
			before := value(t, global)
			for _, v := range bad {
				require.ErrorContains(t, global.Set(v), "wasmer: global: the value is", "%s %T", typ, v)
				require.Equal(t, before, value(t, global))
				_, err := store.NewGlobal(wasmer.GlobalType{Value: typ}, v).Get()
				require.ErrorContains(t, err, "wasmer: global: the value is", "%s %T", typ, v)
			}
		}
	})
}

func TestTheErrorOfNewGlobalComesOutOfEachUse(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		foreign := hostConstant(t, newStore(t, engine), 1)
		module := compile(t, engine, `(module (import "env" "g" (global (mut i32))))`)
		mutable := wasmer.GlobalType{Value: wasmer.ValueTypeI32, Mutable: true}
		for name, broken := range map[string]struct {
			global *wasmer.Global
			is     error
			says   string
		}{
			"value":    {store.NewGlobal(mutable, "x"), nil, "the value is x of Go type string, want i32"},
			"constant": {store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI32}, 1.5), nil, "the value is 1.5"},
			"type":     {store.NewGlobal(wasmer.GlobalType{Value: 3}, 1), wasmer.ErrUnsupported, "no type"},
			"nothing":  {store.NewGlobal(wasmer.GlobalType{}, 1), wasmer.ErrUnsupported, "no type"},
			"void":     {store.NewGlobal(wasmer.GlobalType{Value: wasmer.TypeVoid}, nil), wasmer.ErrUnsupported, "no type"},
			"store":    {store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeFuncRef}, foreign), wasmer.ErrStoreMismatch, ""},
			"nil":      {(*wasmer.Store)(nil).NewGlobal(mutable, 1), wasmer.ErrClosed, ""},
		} {
			_, err := broken.global.Get()
			errs := map[string]error{
				"Get": err, "Set": broken.global.Set(1),
			}
			_, errs["Instantiate"] = wasmer.Instantiate(background, module, wasmer.NewImports().Global("env", "g", broken.global))
			_, errs["Store.Instantiate"] = store.Instantiate(background, "", module, wasmer.NewImports().Extern("env", "g", broken.global))
			_, errs["NewInstance"] = store.NewInstance("", map[string]wasmer.Extern{"g": broken.global})
			_, errs["InstantiateWithImports"] = module.InstantiateWithImports(wasmer.NewImports().Global("env", "g", broken.global).Function("f", 5))
			for use, err := range errs {
				require.ErrorContains(t, err, broken.says, "%s: %s", name, use)
				if broken.is != nil {
					require.ErrorIs(t, err, broken.is, "%s: %s", name, use)
				}
			}
		}
		_, err := module.InstantiateWithImports(wasmer.NewImports().Global("env", "g", nil))
		require.ErrorContains(t, err, `"env"."g" is nil`)
		require.Empty(t, store.Instances())
	})
}

func TestAClosedGlobal(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (global (export "g") (mut i32) (i32.const 1)))`, nil)
		store := newStore(t, engine)
		made := store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI32, Mutable: true}, 1)
		exported := exportedGlobal(t, instance, "g")
		require.NoError(t, instance.Close())
		require.NoError(t, store.Close())
		module := compile(t, engine, `(module (import "env" "g" (global (mut i32))))`)
		for _, global := range []*wasmer.Global{exported, made, nil} {
			_, err := global.Get()
			require.ErrorIs(t, err, wasmer.ErrClosed)
			require.ErrorIs(t, global.Set(1), wasmer.ErrClosed)
			if global != nil {
				_, err = module.InstantiateWithImports(wasmer.NewImports().Global("env", "g", global))
				require.ErrorIs(t, err, wasmer.ErrClosed)
			}
		}
		_, err := store.NewGlobal(made.Type(), 1).Get()
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

// The example of the design: functions of a library and a global, in one list.
func TestAListOfALibraryAndAGlobal(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		lib := instantiateIn(t, store, engine, `(module (func (export "double") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1))))`, nil)
		g := store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI32, Mutable: true}, 21)
		instance := instantiateIn(t, store, engine, `(module (import "math" "double" (func $double (param i32) (result i32)))
			(import "env" "g" (global $g (mut i32)))
			(func (export "run") (result i32) (global.set $g (call $double (global.get $g))) (global.get $g)))`,
			wasmer.NewImports().Instance("math", lib).Global("env", "g", g))
		require.EqualValues(t, 42, call(t, instance, "run").ToI32())
		require.EqualValues(t, 42, value(t, g).ToI32())
		require.NoError(t, g.Set(5))
		require.EqualValues(t, 10, call(t, instance, "run").ToI32())
	})
}

// Constants initialize what a module has: globals, offsets of segments.
func TestImportedConstantsInitialize(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		host := hostConstant(t, store, 7)
		imports := wasmer.NewImports().
			Global("env", "n", store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI32}, 3)).
			Global("env", "f", store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeFuncRef}, host)).
			Global("env", "x", store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeExternRef}, "kept"))
		instance := instantiateIn(t, store, engine, `(module (import "env" "n" (global $n i32)) (import "env" "f" (global $f funcref))
			(import "env" "x" (global $x externref))
			(global (export "n") i32 (i32.add (global.get $n) (i32.const 1))) (global (export "f") funcref (global.get $f))
			(global (export "x") externref (global.get $x))
			(memory (export "memory") 1) (data (global.get $n) "abc")
			(table (export "t") 5 funcref) (elem (global.get $n) $own) (func $own (export "own")))`, imports)
		require.EqualValues(t, 4, value(t, exportedGlobal(t, instance, "n")).ToI32())
		require.Same(t, host, value(t, exportedGlobal(t, instance, "f")).ToFuncRef())
		require.Equal(t, "kept", value(t, exportedGlobal(t, instance, "x")).ToExternRef())
		text, err := instance.Memory.ReadString(3, 3)
		require.NoError(t, err)
		require.Equal(t, "abc", text)
		require.Same(t, function(t, instance, "own"), element(t, exportedTable(t, instance, "t"), 3).ToFuncRef())
	})
}

func TestGlobalsMustHaveTheTypeThatIsImported(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		g := store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI32, Mutable: true}, 1)
		for _, want := range []string{"i32", "(mut i64)", "(mut f32)", "(mut funcref)"} {
			_, err := store.Instantiate(background, "", compile(t, engine, `(module (import "env" "g" (global `+want+`)))`),
				wasmer.NewImports().Global("env", "g", g))
			var link *wasmer.LinkError
			require.ErrorAs(t, err, &link)
			require.Equal(t, "(global (mut i32))", link.Imports[0].Given.String())
			require.Equal(t, "(global "+want+")", link.Imports[0].Want.String())
		}
	})
}

func TestGlobalsInsideAHostCall(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		g := store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI64, Mutable: true}, 1)
		instance := instantiateIn(t, store, engine, `(module (import "env" "f" (func $f)) (import "env" "g" (global $g (mut i64)))
			(func (export "run") (result i64) (global.set $g (i64.const 5)) (call $f) (global.get $g)))`,
			wasmer.NewImports().Global("env", "g", g).Function("f", func() error {
				v, err := g.Get()
				return errors.Join(err, g.Set(v.ToI64()*2))
			}))
		require.EqualValues(t, 10, call(t, instance, "run").ToI64())
	})
}
