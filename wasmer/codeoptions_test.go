package wasmer_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

var optLevels = []wasmer.OptLevel{
	wasmer.OptDefault, wasmer.OptNone, wasmer.OptLess, wasmer.OptMore, wasmer.OptSpeed, wasmer.OptSpeedAndSize, wasmer.OptSize,
}

// levelsOf are the levels that a compiler has.
func levelsOf(compiler wasmer.Compiler) []wasmer.OptLevel {
	switch compiler {
	case wasmer.Cranelift:
		return []wasmer.OptLevel{wasmer.OptDefault, wasmer.OptNone, wasmer.OptSpeed, wasmer.OptSpeedAndSize}
	case wasmer.LLVM:
		return optLevels[:wasmer.OptSpeedAndSize]
	}
	return []wasmer.OptLevel{wasmer.OptDefault, wasmer.OptNone}
}

func TestLevelsOfOptimization(t *testing.T) {
	fib, err := wasmer.ReadBytes(wasmtest.Path(t, "fib.wasm"))
	require.NoError(t, err)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, level := range optLevels {
			made, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: engine.Compiler(), OptLevel: level})
			if !contains(levelsOf(engine.Compiler()), level) {
				require.ErrorIs(t, err, wasmer.ErrUnsupported)
				require.ErrorContains(t, err, "EngineConfig.OptLevel: the compiler "+engine.Compiler().String()+" does not have the level "+level.String()+", but ")
				continue
			}
			require.NoError(t, err)
			defer made.Close()
			require.EqualValues(t, 10946, call(t, instantiate(t, made, fib, nil), "fib", 20).ToI32())

			artifact, err := compile(t, made, fib).Serialize()
			require.NoError(t, err)
			for _, other := range levelsOf(engine.Compiler()) {
				_, err := engineOf(t, engine, wasmer.EngineConfig{OptLevel: other}).Deserialize(background, artifact)
				if other != level {
					require.ErrorIs(t, err, wasmer.ErrIncompatible, "%v and %v", level, other)
				} else {
					require.NoError(t, err)
				}
			}
		}
	})
	_, err = wasmer.NewEngine(wasmer.EngineConfig{OptLevel: 7})
	require.ErrorIs(t, err, wasmer.ErrUnsupported)
}

func contains[T comparable](list []T, wanted T) bool {
	for _, element := range list {
		if element == wanted {
			return true
		}
	}
	return false
}

func TestNamesOfLevels(t *testing.T) {
	for _, level := range optLevels {
		parsed, err := wasmer.ParseOptLevel(level.String())
		require.NoError(t, err)
		require.Equal(t, level, parsed)
	}
	for name, want := range map[string]wasmer.OptLevel{
		"0": wasmer.OptNone, "O1": wasmer.OptLess, "2": wasmer.OptMore, "O3": wasmer.OptSpeed,
		"s": wasmer.OptSpeedAndSize, "Oz": wasmer.OptSize,
	} {
		level, err := wasmer.ParseOptLevel(name)
		require.NoError(t, err)
		require.Equal(t, want, level)
	}
	for _, wrong := range []string{"", "O", "4", "O4", "o3", "-1", "fast"} {
		_, err := wasmer.ParseOptLevel(wrong)
		require.ErrorContains(t, err, "there is no optimization level")
	}
	require.Equal(t, "OptLevel(9)", wasmer.OptLevel(9).String())
}

func TestIntermediateCodeIsVerified(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		made, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: engine.Compiler(), VerifyIR: true})
		if engine.Compiler() == wasmer.Singlepass {
			require.ErrorIs(t, err, wasmer.ErrUnsupported)
			require.ErrorContains(t, err, "EngineConfig.VerifyIR: the compiler singlepass")
			return
		}
		require.NoError(t, err)
		defer made.Close()
		wasm, err := wasmer.ReadBytes(wasmtest.Path(t, "fib.wasm"))
		require.NoError(t, err)
		require.EqualValues(t, 10946, call(t, instantiate(t, made, wasm, nil), "fib", 20).ToI32())
	})
}

func TestCodeForOtherMachines(t *testing.T) {
	const text = `(module (func (export "f") (param f64) (result f64) (f64.floor (local.get 0))))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		of := func(target wasmer.CodeTarget) *wasmer.Engine {
			return engineOf(t, engine, wasmer.EngineConfig{Target: target})
		}
		artifacts := map[string]wasmer.CodeTarget{}
		for _, target := range []wasmer.CodeTarget{
			{}, {CPU: "avx"}, {CPU: "generic"}, {CPU: "sse4.2"}, {CPU: "sse2,sse3,ssse3,sse4.1,sse4.2,popcnt,lzcnt,bmi"},
			{Triple: "aarch64-unknown-linux-gnu"}, {Triple: "aarch64-apple-darwin"},
			{Triple: "x86_64-apple-darwin", CPU: "avx"}, {Triple: "riscv64gc-unknown-linux-gnu"},
		} {
			if native := target.Triple == ""; native && target.CPU != "" && runtime.GOARCH != "amd64" {
				continue
			}
			if engine.Compiler() == wasmer.Singlepass && (target.CPU == "generic" || strings.HasPrefix(target.CPU, "sse")) {
				_, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Singlepass, Target: target})
				require.ErrorIs(t, err, wasmer.ErrUnsupported)
				require.ErrorContains(t, err, "EngineConfig.Target: the compiler singlepass needs the CPU feature avx")
				continue
			}
			if strings.HasSuffix(target.Triple, "-darwin") && engine.Compiler() == wasmer.LLVM && runtime.GOOS != "darwin" {
				_, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.LLVM, Target: target})
				require.ErrorIs(t, err, wasmer.ErrUnsupported)
				require.ErrorContains(t, err, "EngineConfig.Target: the compiler llvm makes code for macOS only there")
				continue
			}
			if strings.HasPrefix(target.Triple, "riscv64") && engine.Compiler() == wasmer.LLVM {
				_, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.LLVM, Target: target})
				require.ErrorIs(t, err, wasmer.ErrUnsupported)
				require.ErrorContains(t, err, "EngineConfig.Target: the compiler llvm makes no code for riscv64gc-unknown-linux-gnu, but for x86_64 and aarch64")
				continue
			}
			module := compile(t, of(target), text)
			artifact, err := module.Serialize()
			require.NoError(t, err, target)
			require.NotContains(t, artifacts, string(artifact), target)
			artifacts[string(artifact)] = target
			loaded, err := of(target).Deserialize(background, artifact)
			require.NoError(t, err, target)
			for _, module := range []*wasmer.Module{module, loaded} {
				instance, err := module.Instantiate()
				if target.Triple != "" {
					require.ErrorIs(t, err, wasmer.ErrUnsupported)
					require.ErrorContains(t, err, strings.SplitN(target.Triple, "-", 2)[0])
					require.ErrorContains(t, err, "EngineConfig.Target")
					continue
				}
				require.NoError(t, err)
				require.Equal(t, -2.0, call(t, instance, "f", -1.5).ToF64())
				require.NoError(t, instance.Close())
			}
			require.NoError(t, loaded.Close())
		}
		for artifact, target := range artifacts {
			if target.Triple != "" {
				_, err := engine.Deserialize(background, []byte(artifact))
				require.ErrorIs(t, err, wasmer.ErrIncompatible, target)
			}
		}
	})
}

func TestTargetsThatThereAreNot(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for target, message := range map[wasmer.CodeTarget]string{
			{Triple: "pdp11"}:                                `there is no triple "pdp11"`,
			{Triple: "a-b-c-d-e-f\x00"}:                      "there is no triple",
			{Triple: "x86_64-pc-windows-msvc"}:               "neither Linux nor macOS",
			{Triple: "wasm32-unknown-unknown"}:               "neither Linux nor macOS",
			{Triple: "m68k-unknown-linux-gnu"}:               "makes no code for m68k-unknown-linux-gnu",
			{CPU: "386"}:                                     `there is no CPU feature "386"; there are native, generic, or sse2`,
			{CPU: ","}:                                       `there is no CPU feature ""`,
			{Triple: "aarch64-linux-gnu", CPU: "native"}:     "the CPU native is x86_64",
			{Triple: "x86_64-unknown-linux-gnu", CPU: "AVX"}: `there is no CPU feature "AVX"`,
		} {
			_, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: engine.Compiler(), Target: target})
			require.ErrorIs(t, err, wasmer.ErrUnsupported, target)
			require.ErrorContains(t, err, "EngineConfig.Target: ", target)
			require.ErrorContains(t, err, message, target)
		}
	})
}

// files gives the names of all files under a folder.
func files(t testing.TB, folder string) []string {
	var names []string
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, filepath.Base(path))
		}
		return err
	}))
	return names
}

func TestIntermediateCodeIsWritten(t *testing.T) {
	wasm := compileNames(t, []string{"plain", "../../escape", "same", "same/0", "/etc/passwd", strings.Repeat("é", 2000), "a\x00b", ""})
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		around := t.TempDir()
		folder := filepath.Join(around, "new", "dump")
		dumping := engineOf(t, engine, wasmer.EngineConfig{DumpIR: folder})
		compile(t, dumping, wasm)
		names := files(t, folder)
		require.ElementsMatch(t, names, files(t, around), "nothing is written elsewhere")
		suffixes := map[wasmer.Compiler][]string{
			wasmer.Cranelift: {".preopt.clif", ".o"}, wasmer.Singlepass: {".o"}, wasmer.LLVM: {".preopt.ll", ".postopt.ll", ".o", ".s"},
		}[engine.Compiler()]
		for _, suffix := range suffixes {
			for _, function := range []string{
				"function_0_plain", "function_1_______escape", "function_2_same", "function_3_same_0", "function_4__etc_passwd",
				"function_5_" + strings.Repeat("_", 80), "function_6_a_b", "function_7",
			} {
				require.Contains(t, names, function+suffix)
			}
		}
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Len(t, entries, 1, "a folder for each module")
		compile(t, dumping, "(module (func (export \"other\")))")
		entries, err = os.ReadDir(folder)
		require.NoError(t, err)
		require.Len(t, entries, 2)

		plain, err := compile(t, engine, wasm).Serialize()
		require.NoError(t, err)
		_, err = dumping.Deserialize(background, plain)
		require.NoError(t, err, "the code is the same")
	})
}

// compileNames makes a module of functions with these names in its name section.
func compileNames(t testing.TB, names []string) []byte {
	t.Helper()
	wasm, err := wasmer.Wat2Wasm("(module " + strings.Repeat(`(func (result i32) (i32.const 7))`, len(names)) + ")")
	require.NoError(t, err)
	leb := func(n int) []byte {
		var out []byte
		for ; n >= 0x80; n >>= 7 {
			out = append(out, byte(n)|0x80)
		}
		return append(out, byte(n))
	}
	functions := leb(len(names))
	for index, name := range names {
		functions = append(append(append(functions, leb(index)...), leb(len(name))...), name...)
	}
	section := append(append([]byte("\x04name\x01"), leb(len(functions))...), functions...)
	return append(append(append(wasm, 0), leb(len(section))...), section...)
}

func TestFoldersThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, folder := range []string{file, filepath.Join(file, "below"), "a\x00b", "/proc/nothing"} {
			_, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: engine.Compiler(), DumpIR: folder})
			require.ErrorContains(t, err, "EngineConfig.DumpIR")
			require.ErrorAs(t, err, new(*os.PathError))
		}
		folder := filepath.Join(t.TempDir(), "gone")
		dumping := engineOf(t, engine, wasmer.EngineConfig{DumpIR: folder})
		require.NoError(t, os.Remove(folder))
		require.NoError(t, os.WriteFile(folder, nil, 0o600))
		_, err := dumping.Compile(context.Background(), []byte("(module (func (export \"f\")))"))
		require.ErrorIs(t, err, wasmer.ErrResource)
		require.ErrorContains(t, err, "EngineConfig.DumpIR: cannot write into "+folder)
		require.NoError(t, os.Remove(folder))
		compile(t, dumping, "(module (func (export \"f\")))")
		require.NotEmpty(t, files(t, folder), "the engine goes on")

		// A file that cannot be written in a folder that can.
		full := t.TempDir()
		dumping = engineOf(t, engine, wasmer.EngineConfig{DumpIR: full})
		compile(t, dumping, "(module (func (export \"g\")))")
		hash := firstFolder(t, full)
		for _, name := range files(t, full) {
			require.NoError(t, os.Remove(filepath.Join(hash, name)))
			require.NoError(t, os.Mkdir(filepath.Join(hash, name), 0o700))
		}
		_, err = dumping.Compile(context.Background(), []byte("(module (func (export \"g\")))"))
		require.ErrorIs(t, err, wasmer.ErrResource)
	})
}

func firstFolder(t testing.TB, folder string) string {
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	return filepath.Join(folder, entries[0].Name())
}

// A panic of a compiler, on one of its threads: here over a file that it cannot write.
func TestACompilersPanicIsTheErrorOfOneModule(t *testing.T) {
	const fails, works = `(module (func (export "fails")))`, `(module (func (export "works") (result i32) (i32.const 7)))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		folder := t.TempDir()
		dumping := engineOf(t, engine, wasmer.EngineConfig{DumpIR: folder})
		compile(t, dumping, fails)
		hash := firstFolder(t, folder)
		for _, name := range files(t, folder) {
			require.NoError(t, os.Remove(filepath.Join(hash, name)))
			require.NoError(t, os.Mkdir(filepath.Join(hash, name), 0o700))
		}
		modules := dumping.Stats().Modules
		const times = 30
		fail := func() {
			_, err := dumping.Compile(background, []byte(fails))
			require.ErrorIs(t, err, wasmer.ErrResource)
			require.ErrorContains(t, err, "EngineConfig.DumpIR")
		}
		fail()
		resident, maps := memoryStatus("VmRSS"), mappings()
		for range times {
			fail()
			instance := instantiate(t, dumping, works, nil)
			require.EqualValues(t, 7, call(t, instance, "works").ToI32(), "the engine goes on")
			require.NoError(t, instance.Close())
		}
		require.Equal(t, modules+times, dumping.Stats().Modules, "those that worked")
		require.Less(t, memoryStatus("VmRSS"), resident+64<<20)
		require.Less(t, mappings(), maps+20*times)
	})
}
