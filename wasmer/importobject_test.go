package wasmer_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestImportObject(t *testing.T) {
	dir := wasiFolder(t)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		object := wasmer.NewWasiImportObject([]string{"program", "-v"}, []string{"A=1", "B=x=y", "C="}, []string{dir}, []wasmer.MapDirEntry{{Alias: "/sub", HostPath: dir + "/sub"}})
		for range 2 {
			instance, err := module.InstantiateWithImportObject(object)
			require.NoError(t, err)
			defer instance.Close()
			_, err = instance.Exports["sched_yield"]()
			require.NoError(t, err)
			p := &probe{instance, t, background}
			require.Equal(t, []string{"program", "-v"}, p.strings("args"))
			require.Equal(t, []string{"A=1", "B=x=y", "C="}, p.strings("environ"))
			require.Zero(t, p.errno("fd_prestat_get", 3, 0))
			require.EqualValues(t, len(dir), p.u32(4))
			file, errno := p.open(4, "numbers", 0)
			require.Zero(t, errno)
			require.Equal(t, "1\n2\n", p.readAll(file, 10))
		}
		imports, err := object.Imports()
		require.NoError(t, err)
		_, err = wasmer.Instantiate(background, module, imports)
		require.NoError(t, err)
		object.Close()
		object.Close()
		_, err = module.InstantiateWithImportObject(object)
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

func TestImportObjectsAreExtended(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, composed)
		object := wasmer.NewDefaultWasiImportObjectForVersion(wasmer.Snapshot0)
		_, err := module.InstantiateWithImportObject(object)
		require.ErrorAs(t, err, new(*wasmer.LinkError))
		own := wasmer.NewImports().Function("twice", func(n int32) int32 { return 2 * n })
		require.NoError(t, object.Extend(own))
		require.NoError(t, object.Extend(wasmer.NewImports().Namespace("wasi_snapshot_preview1").Function("sched_yield", func() int32 { return 5 })))
		require.NoError(t, object.Extend(wasmer.NewImports().Function("twice", func(n int32) int32 { return 3 * n })))
		require.NoError(t, object.Extend(nil))
		imports, err := object.Imports()
		require.NoError(t, err)
		require.NoError(t, object.Extend(imports), "by itself")
		instance, err := module.InstantiateWithImportObject(object)
		require.NoError(t, err)
		defer instance.Close()
		thrice, err := instance.Exports["twice"](14)
		require.NoError(t, err)
		require.EqualValues(t, 42, thrice.ToI32())
		require.EqualValues(t, 5, call(t, instance, "yield").ToI32())

		empty := wasmer.NewImportObject()
		require.NoError(t, empty.Extend(wasmer.NewImports().WASI(newWASI(t, wasmer.WASIConfig{}))))
		require.NoError(t, empty.Extend(own))
		instantiated, err := module.InstantiateWithImportObject(empty)
		require.NoError(t, err)
		require.EqualValues(t, 4, call(t, instantiated, "twice", 2).ToI32())
		require.NoError(t, instantiated.Close())

		broken := wasmer.NewImports().Function("twice", 7)
		require.ErrorContains(t, empty.Extend(broken), "twice")
		closed := wasmer.NewImports()
		closed.Close()
		require.ErrorIs(t, empty.Extend(closed), wasmer.ErrClosed)
		empty.Close()
		require.ErrorIs(t, empty.Extend(own), wasmer.ErrClosed)
	})
}

func TestImportObjectErrors(t *testing.T) {
	module := compileEmpty(t)
	for want, object := range map[string]*wasmer.ImportObject{
		"version 0": wasmer.NewDefaultWasiImportObjectForVersion(wasmer.Unknown),
		"version 7": wasmer.NewWasiImportObjectForVersion(7, nil, nil, nil, nil),
		`"NOVALUE"`: wasmer.NewWasiImportObject(nil, []string{"A=B", "NOVALUE"}, nil, nil),
		"empty key": wasmer.NewWasiImportObject(nil, []string{"=x"}, nil, nil),
		"Args[0]":   wasmer.NewWasiImportObject([]string{"\x00"}, nil, nil, nil),
		"Mounts[0]": wasmer.NewWasiImportObject(nil, nil, []string{"/none/such"}, nil),
		"Mounts[1]": wasmer.NewWasiImportObject(nil, nil, []string{t.TempDir()}, []wasmer.MapDirEntry{{Alias: "/x", HostPath: "/none"}}),
	} {
		_, err := object.Imports()
		require.ErrorContains(t, err, want)
		_, err = module.InstantiateWithImportObject(object)
		require.ErrorContains(t, err, want)
	}
	var none *wasmer.ImportObject
	none.Close()
	require.ErrorIs(t, none.Extend(nil), wasmer.ErrClosed)
	_, err := none.Imports()
	require.ErrorIs(t, err, wasmer.ErrClosed)
	_, err = module.InstantiateWithImportObject(none)
	require.ErrorIs(t, err, wasmer.ErrClosed)
	var nowhere *wasmer.Module
	_, err = nowhere.InstantiateWithImportObject(wasmer.NewDefaultWasiImportObject())
	require.ErrorIs(t, err, wasmer.ErrClosed)
	var imports *wasmer.Imports
	require.Nil(t, imports.WASI(nil).Emscripten().AssemblyScript(wasmer.AssemblyScriptConfig{}).StubUnknown())
	gone := wasmer.NewImports()
	gone.Close()
	for _, chain := range []*wasmer.Imports{gone.WASI(newWASI(t, wasmer.WASIConfig{})), gone.Emscripten(), gone.AssemblyScript(wasmer.AssemblyScriptConfig{}), gone.StubUnknown()} {
		_, err := wasmer.Instantiate(background, module, chain)
		require.ErrorIs(t, err, wasmer.ErrClosed)
	}
}
