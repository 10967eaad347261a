package vm_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// The library is linked into the program: there is no other one whose version could differ.
func TestF001F002F003TheLibraryIsPartOfTheProgram(t *testing.T) {
	require.NotEmpty(t, wasmer.BuildID())
	require.Contains(t, wasmer.Target(), map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH])
	info, ok := debug.ReadBuildInfo()
	require.True(t, ok)
	require.Equal(t, "github.com/wasmerio/go-ext-wasm", info.Main.Path)
	for _, dependency := range info.Deps {
		require.NotContains(t, dependency.Path, "WasmEdge")
	}
}

// There is nothing to install: an extension is there if the program imports its package, and costs nothing if it does not.
func TestF002F003ExtensionsAreChosenByImportingThem(t *testing.T) {
	const extensions = "github.com/wasmerio/go-ext-wasm/extensions/"
	imports := func(packages ...string) []string {
		output, err := exec.Command("go", append([]string{"list", "-deps"}, packages...)...).Output()
		require.NoError(t, err)
		return strings.Fields(string(output))
	}
	core := imports("github.com/wasmerio/go-ext-wasm/wasmer", "github.com/wasmerio/go-ext-wasm/wasmer/vm")
	for _, name := range core {
		require.False(t, strings.HasPrefix(name, extensions) || strings.HasPrefix(name, "golang.org/x/image") ||
			strings.HasPrefix(name, "golang.org/x/crypto") || name == "net/http", "%s is imported", name)
	}
	image := imports(extensions + "image")
	require.Contains(t, image, "golang.org/x/image/draw")
	for _, name := range image {
		require.NotContains(t, name, extensions+"process")
	}
}

func TestF004F005Versions(t *testing.T) {
	for _, version := range []wasmer.VersionInfo{wasmer.Version(), wasmer.EngineVersion()} {
		text := fmt.Sprintf("%d.%d.%d", version.Major, version.Minor, version.Patch)
		require.True(t, strings.HasPrefix(version.String(), text), "%s %s", version, text)
	}
	require.Equal(t, 7, wasmer.EngineVersion().Major)
}

// What is added to an instance of the host lives as long as its store, whoever closes what.
func TestF023F108ExternsOfAHostModuleBelongToTheStore(t *testing.T) {
	v := newVM(t, vm.Config{})
	memory := wasmer.Must(v.Store().NewMemory(1, 2))
	env := wasmer.Must(v.Store().NewInstance("", map[string]wasmer.Extern{"memory": memory}))
	require.NoError(t, v.RegisterInstance("env", env))
	ready(t, v, `(module (import "env" "memory" (memory 1)) (func (export "load") (result i32) (i32.load (i32.const 8))))`)
	require.NoError(t, memory.WriteUint32Le(8, 42))
	gives(t, 42, v, "load")
	require.NoError(t, env.Close())
	gives(t, 42, v, "load")
	require.NoError(t, v.Cleanup())
	require.ErrorIs(t, second(memory.Read(8, 4)), wasmer.ErrClosed)
}

func TestF024AnInstanceThatIsClosedLosesItsName(t *testing.T) {
	v := newVM(t, vm.Config{})
	require.NoError(t, v.RegisterBytes(background, "mod", fibonacci))
	require.NoError(t, wasmer.Must(v.RegisteredInstance("mod")).Close())
	require.NotContains(t, v.Registered(), "mod")
	require.NoError(t, v.RegisterBytes(background, "mod", fibonacci))
}

func TestF060TheLogTellsStatisticsAfterEachExecution(t *testing.T) {
	var out bytes.Buffer
	v := newVM(t, vm.Config{
		Statistics: vm.StatisticsConfig{Instructions: true, Time: true, Cost: true, Costs: documented()},
		Engine:     wasmer.EngineConfig{Logger: slog.New(vm.NewLogHandler(&out, vm.LogDebug))},
	})
	require.NoError(t, second(v.RunBytes(background, fibonacci, "fib", 20)))
	require.Contains(t, out.String(), " Executed wasm instructions count: 229851\n Gas costs: 262692\n")
	require.Regexp(t, `Wasm instructions execution time: [1-9][0-9]* ns`, out.String())
	out.Reset()
	require.Error(t, second(v.Execute(background, "nothing")))
	require.NotContains(t, out.String(), "Statistics")
}

// What WasmEdge has a loader, a validator and an executor for, engines, stores and functions do.
func TestF033F034F035F091ModulesAreReadWithoutCompiling(t *testing.T) {
	ast, err := wasmer.Inspect(addTwo)
	require.NoError(t, err)
	require.Equal(t, "extern.func-add", ast.Imports()[0].Module+"."+ast.Imports()[0].Name)
	require.Equal(t, "(func (param i32 i32) (result i32))", ast.Imports()[0].Type.String())
	require.Equal(t, "addTwo", ast.Exports()[0].Name)
	inFile, err := wasmer.InspectFile(file(t, "add.wasm", addTwo))
	require.NoError(t, err)
	require.Equal(t, ast.Exports(), inFile.Exports())
	requireCode(t, 0x23, second(wasmer.Inspect([]byte("\x00asn\x01\x00\x00\x00"))))
	requireCode(t, 0x22, second(wasmer.Inspect([]byte("\x00asm"))))

	v := newVM(t, vm.Config{})
	require.NoError(t, v.LoadBytes(background, ast.Bytes()))
}

func TestF092ModulesAreValidatedWithoutCompiling(t *testing.T) {
	v := newVM(t, vm.Config{})
	require.NoError(t, v.Engine().Validate(fibonacci))
	requireCode(t, 0x41, v.Engine().Validate([]byte(`(module (func (result i32)))`)))
	require.Zero(t, v.Engine().Stats().Compilations)
}

func TestF093F094F095F096F097F098F099F100StoresLinkAndExecute(t *testing.T) {
	engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{}))
	defer engine.Close()
	store := wasmer.Must(wasmer.NewStore(engine))
	defer store.Close()
	module := wasmer.Must(engine.Compile(background, fibonacci))
	defer module.Close()

	mod := wasmer.Must(store.Instantiate(background, "mod", module, nil)) // register
	require.NoError(t, store.Register("again", mod))                      // an instance under another name
	require.Same(t, mod, store.Instance("again"))
	require.Len(t, store.Instances(), 2)
	require.Nil(t, store.Instance("nobody"))
	requireCode(t, 0x60, second(store.Instantiate(background, "mod", module, nil)))

	guest := wasmer.Must(engine.Compile(background, []byte(importer)))
	defer guest.Close()
	instance := wasmer.Must(store.Instantiate(background, "", guest, nil)) // anonymously
	require.Equal(t, "twice", instance.List(wasmer.ExternFunction)[0].Name)
	twice := wasmer.Must(instance.Function("twice"))
	require.Equal(t, int32(242786), wasmer.Must(twice.Call(background, 25))[0].ToI32())
	require.Equal(t, int32(242786), wasmer.Must(twice.CallAsync(background, 25).Result())[0].ToI32())
	require.ErrorIs(t, second(instance.Function("once")), wasmer.ErrNotFound)

	other := wasmer.Must(wasmer.NewStore(engine))
	defer other.Close()
	requireCode(t, 0x62, second(other.Instantiate(background, "", guest, nil)))
	require.NoError(t, mod.Close())
	require.Empty(t, store.Instances(), "what is closed is not there any more")
}

func TestF101F103HostFunctionsHaveDataAndConvertNumbers(t *testing.T) {
	var data float64
	v := newVM(t, vm.Config{HostModules: []wasmer.HostModule{
		wasmer.NewImports().Namespace("host").Function("mix", func(a int32, b int64, c float32, d float64) (float64, int64) {
			data = float64(a) + float64(b) + float64(c) + d
			return data, -b
		}),
	}})
	ready(t, v, `(module (import "host" "mix" (func $mix (param i32 i64 f32 f64) (result f64 i64))) (export "mix" (func $mix)))`)
	values, err := v.Execute(background, "mix", int32(-1), uint64(2), float32(0.5), 0.25)
	require.NoError(t, err)
	require.Equal(t, []wasmer.Value{wasmer.F64(1.75), wasmer.I64(-2)}, values)
	require.Equal(t, 1.75, data)
}
