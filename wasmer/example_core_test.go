package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A Go function of a type that is only known at run time.
func ExampleStore_NewFunction() {
	ctx := context.Background()
	store := wasmer.Must(wasmer.NewStore(nil))
	defer store.Close()

	typ := wasmer.FunctionType{
		Params:  []wasmer.ValueType{wasmer.ValueTypeI32, wasmer.ValueTypeI64},
		Results: []wasmer.ValueType{wasmer.ValueTypeI64},
	}
	scale, err := store.NewFunction(typ, func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
		return []wasmer.Value{wasmer.I64(int64(args[0].ToI32()) * args[1].ToI64())}, nil
	}, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(scale.Type())
	fmt.Println(scale.Call(ctx, 6, 7))

	module := wasmer.Must(wasmer.Compile([]byte(`
		(module
		  (import "env" "scale" (func $scale (param i32 i64) (result i64)))
		  (func (export "run") (param i64) (result i64) (call $scale (i32.const 1000) (local.get 0))))`)))
	defer module.Close()
	instance, err := store.Instantiate(ctx, "", module, wasmer.NewImports().Extern("env", "scale", scale))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(wasmer.Must(instance.Function("run")).Call(ctx, 42))
	// Output:
	// (func (param i32 i64) (result i64))
	// [42] <nil>
	// [42000] <nil>
}

// A table of the host, through which a guest calls functions that the host chooses.
func ExampleStore_NewTable() {
	ctx := context.Background()
	store := wasmer.Must(wasmer.NewStore(nil))
	defer store.Close()

	table, err := store.NewTable(wasmer.TableType{Element: wasmer.ValueTypeFuncRef, Limits: wasmer.Limits{Min: 2}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	module := wasmer.Must(wasmer.Compile([]byte(`
		(module
		  (import "env" "operations" (table 2 funcref))
		  (type $operation (func (param i32 i32) (result i32)))
		  (func (export "add") (type $operation) (i32.add (local.get 0) (local.get 1)))
		  (func (export "mul") (type $operation) (i32.mul (local.get 0) (local.get 1)))
		  (func (export "run") (param i32) (result i32)
		    (call_indirect (type $operation) (i32.const 6) (i32.const 7) (local.get 0))))`)))
	defer module.Close()
	instance, err := store.Instantiate(ctx, "", module, wasmer.NewImports().Table("env", "operations", table))
	if err != nil {
		log.Fatal(err)
	}
	for index, name := range []string{"add", "mul"} {
		if err := table.Set(uint64(index), wasmer.Must(instance.Function(name))); err != nil {
			log.Fatal(err)
		}
	}
	run := wasmer.Must(wasmer.Func1[int32, int32](instance, "run"))
	fmt.Println(run(ctx, 0))
	fmt.Println(run(ctx, 1))
	_, err = run(ctx, 2)
	fmt.Println(errors.Is(err, wasmer.TrapTableOutOfBounds))
	fmt.Println(table.Get(2))
	// Output:
	// 13 <nil>
	// 42 <nil>
	// true
	// void wasmer: out of bounds: index 2 of a table of 2 elements
}

// Elements of an exported table can be called.
func ExampleTable() {
	instance, err := wasmer.NewInstance([]byte(`
		(module
		  (table (export "handlers") 2 10 funcref)
		  (elem (i32.const 0) $hello)
		  (func $hello (result i32) (i32.const 42)))`))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	handlers := wasmer.Must(instance.Table("handlers"))
	fmt.Println(handlers.Type(), handlers.Size())
	hello := wasmer.Must(handlers.Get(0)).ToFuncRef()
	fmt.Println(hello.Call(context.Background()))
	fmt.Println(wasmer.Must(handlers.Get(1)).IsNull())
	fmt.Println(handlers.Grow(3, hello))
	// Output:
	// (table 2 10 funcref) 2
	// [42] <nil>
	// true
	// 2 <nil>
}

// A global is shared by the host and guests.
func ExampleGlobal() {
	instance, err := wasmer.NewInstance([]byte(`
		(module
		  (global $n (export "n") (mut i32) (i32.const 40))
		  (global (export "limit") i32 (i32.const 100))
		  (func (export "next") (global.set $n (i32.add (global.get $n) (i32.const 1)))))`))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	n := wasmer.Must(instance.Global("n"))
	_, _ = instance.Exports["next"]()
	fmt.Println(n.Get())
	fmt.Println(n.Set(7))
	_, _ = instance.Exports["next"]()
	fmt.Println(n.Get())
	fmt.Println(wasmer.Must(instance.Global("limit")).Set(1))
	// Output:
	// 41 <nil>
	// <nil>
	// 8 <nil>
	// wasmer: immutable: global: it is constant: (global i32)
}

// A guest keeps a Go value, and hands it to a Go function later.
func ExampleExternRef() {
	type user struct{ Name string }
	imports := wasmer.NewImports().
		Function("greet", func(v any) { fmt.Println("hello,", v.(*user).Name) })
	instance, err := wasmer.NewInstanceWithImports([]byte(`
		(module
		  (import "env" "greet" (func $greet (param externref)))
		  (global $user (mut externref) (ref.null extern))
		  (func (export "login") (param externref) (global.set $user (local.get 0)))
		  (func (export "run") (call $greet (global.get $user)))
		  (func (export "current") (result externref) (global.get $user)))`), imports)
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	gopher := &user{"gopher"}
	_, _ = instance.Exports["login"](gopher) // or wasmer.ExternRef(gopher)
	_, _ = instance.Exports["run"]()
	current, err := instance.Exports["current"]()
	fmt.Println(current.ToExternRef() == gopher, err)
	// Output:
	// hello, gopher
	// true <nil>
}

// A function is passed to a guest, which calls it through a table.
func ExampleFuncRef() {
	ctx := context.Background()
	instance, err := wasmer.NewInstance([]byte(`
		(module
		  (type $f (func (param i32) (result i32)))
		  (table $t 1 funcref)
		  (func (export "double") (type $f) (i32.shl (local.get 0) (i32.const 1)))
		  (func (export "twice") (param funcref i32) (result i32)
		    (table.set $t (i32.const 0) (local.get 0))
		    (call_indirect $t (type $f) (call_indirect $t (type $f) (local.get 1) (i32.const 0)) (i32.const 0))))`))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	twice := wasmer.Must(instance.Function("twice"))
	fmt.Println(twice.Call(ctx, wasmer.FuncRef(wasmer.Must(instance.Function("double"))), 5))
	_, err = twice.Call(ctx, nil, 5)
	fmt.Println(errors.Is(err, wasmer.TrapNullIndirectCall))
	// Output:
	// [20] <nil>
	// true
}

// A module made by the host, from which guests import by its name.
func ExampleStore_NewInstance() {
	ctx := context.Background()
	store := wasmer.Must(wasmer.NewStore(nil))
	defer store.Close()

	now, err := store.NewFunction(wasmer.FunctionType{Results: []wasmer.ValueType{wasmer.ValueTypeI64}},
		func(context.Context, *wasmer.Caller, []wasmer.Value) ([]wasmer.Value, error) {
			return []wasmer.Value{wasmer.I64(1700000000)}, nil
		}, 0)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := store.NewInstance("clock", map[string]wasmer.Extern{
		"now":    now,
		"offset": store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI64}, 3600),
	}); err != nil {
		log.Fatal(err)
	}
	module := wasmer.Must(wasmer.Compile([]byte(`
		(module
		  (import "clock" "now" (func $now (result i64)))
		  (import "clock" "offset" (global $offset i64))
		  (func (export "local") (result i64) (i64.add (call $now) (global.get $offset))))`)))
	defer module.Close()
	instance, err := store.Instantiate(ctx, "", module, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(wasmer.Must(wasmer.Func0[int64](instance, "local"))(ctx))
	// Output: 1700003600 <nil>
}

// What a module needs and offers, without compiling it.
func ExampleInspect() {
	info, err := wasmer.Inspect([]byte(`
		(module $shop
		  (import "env" "log" (func (param i32 i32)))
		  (memory (export "memory") 1 4)
		  (func (export "total") (param i64) (result f64) (f64.const 0)))`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Name())
	for _, i := range info.Imports() {
		fmt.Println("import", i.Module, i.Name, i.Type)
	}
	for _, e := range info.Exports() {
		fmt.Println("export", e.Name, e.Type)
	}
	// Output:
	// shop
	// import env log (func (param i32 i32))
	// export memory (memory 1 4)
	// export total (func (param i64) (result f64))
}

// An engine that allows less than its compiler can do.
func ExampleFeatures() {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{
		Compiler: wasmer.Cranelift,
		Features: wasmer.SupportedFeatures(wasmer.Cranelift).Without(wasmer.FeatureSIMD, wasmer.FeatureRelaxedSIMD),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	err = engine.Validate([]byte(`(module (func $f (result v128) (v128.const i64x2 0 0)))`))
	var refused *wasmer.CompileError
	if errors.As(err, &refused) {
		fmt.Println(refused.Feature, refused.Message)
	}
	_, err = wasmer.NewEngine(wasmer.EngineConfig{
		Compiler: wasmer.Singlepass,
		Features: wasmer.NewFeatures(wasmer.FeatureSIMD),
	})
	fmt.Println(errors.Is(err, wasmer.ErrUnsupported))
	// Output:
	// simd needs the feature simd, which is turned off
	// true
}

// Vectors are made and read by their lanes.
func ExampleI32x4() {
	instance, err := wasmer.NewInstance([]byte(`
		(module (func (export "add") (param v128 v128) (result v128) (i32x4.add (local.get 0) (local.get 1))))`))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	sum, err := instance.Exports["add"](
		wasmer.I32x4([4]int32{1, 2, 3, 4}), wasmer.I32x4([4]int32{10, 20, 30, -40}))
	fmt.Println(sum.ToI32x4(), err)
	fmt.Println(sum)
	// Output:
	// [11 22 33 -36] <nil>
	// 0xffffffdc00000021000000160000000b
}

// A host function that prints, of numbers without a sign.
func ExampleImports_Function() {
	imports := wasmer.NewImports().
		Function("log_i32", func(v uint32) { fmt.Println("log_i32 >>", v) })
	instance, err := wasmer.NewInstanceWithImports([]byte(`
		(module
		  (import "env" "log_i32" (func $log (param i32)))
		  (func (export "run") (call $log (i32.const 12)) (call $log (i32.const -1))))`), imports)
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	_, err = instance.Exports["run"]()
	fmt.Println(err)
	// Output:
	// log_i32 >> 12
	// log_i32 >> 4294967295
	// <nil>
}
