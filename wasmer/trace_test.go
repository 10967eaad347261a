package wasmer_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// rustSource is where the library's sources were when rustc was built.
const rustSource = "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src"

const chainTrace = `wasmer: module[] function[run] failed: wasm error: unreachable
wasm stack trace:
	.leaf(i32) i32
		0x6b: /guests/chain.c:5:3 (inlined)
		      /guests/chain.c:9:71 (inlined)
		      /guests/chain.c:12:9
	.middle(i32) i32
		0x56: /guests/chain.c:16:9
	.run(i32) i32
		0x45: /guests/chain.c:20:9`

const shapesTrace = `wasmer: module[] function[run] failed: wasm error: integer divide by zero
wasm stack trace:
	.shapes::Box<int>::operator/(int) const(i32,i32) i32
		0x9c: /guests/shapes.cpp:11:14
	.shapes::area(shapes::Box<int> const&, int)(i32,i32) i32
		0x89: /guests/shapes.cpp:15:13
	.run(i32) i32
		0x6a: /guests/shapes.cpp:22:9`

const priceTrace = `wasmer: module[price.wasm] function[run] failed: wasm error: unreachable
wasm stack trace:
	price.wasm.core::panicking::panic_fmt()
		0x82: ` + rustSource + `/../../stdarch/crates/core_arch/src/wasm32/mod.rs:32:5 (inlined)
		      /guests/price.rs:7:5 (inlined)
		      ` + rustSource + `/panicking.rs:80:14
	price.wasm.core::panicking::panic_const::panic_const_div_by_zero()
		0x5c: ` + rustSource + `/panicking.rs:175:17
	price.wasm.<price::Apples as price::Price>::price(i32) i32
		0x48: /guests/price.rs:19:29 (inlined)
		      /guests/price.rs:25:5 (inlined)
		      /guests/price.rs:19:9
	price.wasm.price::total(i32) i32
		0x68: /guests/price.rs:30:11
	price.wasm.run(i32) i32
		0x76: /guests/price.rs:35:5`

func trapOf(t *testing.T, instance *wasmer.Instance, export string, args ...any) *wasmer.Trap {
	t.Helper()
	_, err := function(t, instance, export).Call(background, args...)
	var trap *wasmer.Trap
	require.ErrorAs(t, err, &trap)
	return trap
}

// requireTrace compares a trap's text. Of LLVM's code it has the functions, and where they begin.
func requireTrace(t *testing.T, engine *wasmer.Engine, want string, trap *wasmer.Trap) {
	t.Helper()
	if engine.Compiler() != wasmer.LLVM {
		require.EqualError(t, trap, want)
		return
	}
	require.Equal(t, withoutPositions(want), withoutPositions(trap.Error()))
	for _, frame := range trap.Frames {
		require.Zero(t, frame.FunctionOffset)
		require.NotZero(t, frame.ModuleOffset)
	}
}

// withoutPositions leaves out the lines that tell where in a function it was.
func withoutPositions(trace string) string {
	var b strings.Builder
	for line := range strings.Lines(trace) {
		if !strings.HasPrefix(line, "\t\t") {
			b.WriteString(line)
		}
	}
	return strings.TrimSpace(b.String())
}

func TestStackTracesTellFunctionsLinesAndInlinedCalls(t *testing.T) {
	v0 := strings.NewReplacer("price.wasm", "price_v0.wasm", "total(", "total::<price::Apples>(", "0x5c", "0x6a", "0x48", "0x56", "0x68", "0x44")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, guest := range []struct {
			name string
			arg  int
			want string
		}{
			{"chain", 5, chainTrace},
			{"chain5", 5, chainTrace},
			{"shapes", 0, shapesTrace},
			{"price", 0, priceTrace},
			{"price_v0", 0, v0.Replace(priceTrace)},
		} {
			t.Run(guest.name, func(t *testing.T) {
				if engine.Compiler() == wasmer.Singlepass { // it knows a division by where the next instruction begins
					guest.want = strings.Replace(guest.want, "0x9c: /guests/shapes.cpp:11:14", "0x9d: /guests/shapes.cpp:11:2", 1)
				}
				module, err := engine.Compile(background, wasmtest.Fixture(t, "debug/"+guest.name+".wasm"))
				require.NoError(t, err)
				defer module.Close()
				artifact, err := module.Serialize()
				require.NoError(t, err)
				loaded, err := engine.Deserialize(background, artifact)
				require.NoError(t, err)
				defer loaded.Close()
				for _, module := range []*wasmer.Module{module, loaded} {
					instance, err := module.Instantiate()
					require.NoError(t, err)
					trap := trapOf(t, instance, "run", guest.arg)
					require.NoError(t, instance.Close())
					require.NoError(t, module.Close())
					requireTrace(t, engine, guest.want, trap) // also after all is closed
				}
			})
		}
	})
}

func TestFramesHaveNamesTypesAndSources(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		i32 := []wasmer.ValueType{wasmer.ValueTypeI32}
		instance := instantiate(t, engine, wasmtest.Fixture(t, "debug/price_v0.wasm"), nil)
		price := trapOf(t, instance, "run", 0).Frames[2]
		require.Equal(t, "<price::Apples as price::Price>::price", price.Function)
		require.True(t, strings.HasPrefix(price.RawName, "_RNv"), price.RawName)
		require.Equal(t, wasmer.FunctionType{Params: i32, Results: i32}, price.Type)
		if engine.Compiler() == wasmer.LLVM {
			source := price.Source() // of where the function begins
			require.Equal(t, "<price::Apples as price::Price>::price", source[len(source)-1].Function)
			return
		}
		require.Equal(t, []wasmer.SourceLocation{
			{File: "/guests/price.rs", Line: 19, Column: 29, Function: "<price::Apples as price::Price>::price::{closure#0}", Inlined: true},
			{File: "/guests/price.rs", Line: 25, Column: 5, Function: "price::each::<<price::Apples as price::Price>::price::{closure#0}>", Inlined: true},
			{File: "/guests/price.rs", Line: 19, Column: 9, Function: "<price::Apples as price::Price>::price"},
		}, price.Source())
	})
}

func TestModulesWithoutDebugInformationHaveNoSources(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		dropping, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: engine.Compiler(), DropDebugInfo: true})
		require.NoError(t, err)
		defer dropping.Close()
		chain := wasmtest.Fixture(t, "debug/chain.wasm")
		with, err := engine.Compile(background, chain)
		require.NoError(t, err)
		defer with.Close()
		artifact, err := with.Serialize()
		require.NoError(t, err)
		without, err := dropping.Compile(background, chain)
		require.NoError(t, err)
		defer without.Close()
		loaded, err := dropping.Deserialize(background, artifact)
		require.NoError(t, err)
		defer loaded.Close()
		smaller, err := without.Serialize()
		require.NoError(t, err)
		require.Less(t, len(smaller)+300, len(artifact))
		for _, module := range []*wasmer.Module{without, loaded} {
			instance, err := module.Instantiate()
			require.NoError(t, err)
			trap := trapOf(t, instance, "run", 5)
			require.NoError(t, instance.Close())
			requireTrace(t, engine, "wasmer: module[] function[run] failed: wasm error: unreachable\n"+
				"wasm stack trace:\n\t.leaf(i32) i32\n\t\t0x6b\n\t.middle(i32) i32\n\t\t0x56\n\t.run(i32) i32\n\t\t0x45", trap)
			require.Empty(t, trap.Frames[0].Source())
		}
	})
}

// Go writes no DWARF into WebAssembly: there are names only.
func TestStackTracesOfGoGuestsHaveNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trap.wasm")
	build := exec.Command("go", "build", "-trimpath", "-o", file, wasmtest.Path(t, "debug/trap.go"))
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if output, err := build.CombinedOutput(); err != nil {
		t.Skipf("cannot build a Go guest: %v: %s", err, output)
	}
	wasm, err := os.ReadFile(file)
	require.NoError(t, err)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		config := wasmer.WASIConfig{}
		_, _ = config.Capture()
		err := wasiInstance(t, compile(t, engine, wasm), config).Start(background)
		require.ErrorIs(t, err, wasmer.TrapOutOfBounds)
		for _, line := range []string{"module[] function[_rt0_wasm_wasip1] failed: wasm error: out of bounds memory access",
			"\n\t.main.__box_.sum(i32) i32\n", "\n\t.main.main(i32) i32\n", "\n\t.runtime.main(i32) i32\n"} {
			require.ErrorContains(t, err, line)
		}
	})
}

func TestTracesAreReadByManyGoroutinesAtOnce(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "debug/chain.wasm"), nil)
		trap := trapOf(t, instance, "run", 5)
		requireTrace(t, engine, chainTrace, trap)
		want := trap.Error()
		trap = trapOf(t, instance, "run", 5)
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				for range 50 {
					if trap.Error() != want {
						t.Error(trap.Error())
						return
					}
				}
			})
		}
		wait.Wait()
	})
}

// withSection puts other contents into a custom section.
func withSection(wasm []byte, name string, contents []byte) []byte {
	out := bytes.Clone(wasm[:8])
	for rest := wasm[8:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:])
		section := rest[:1+n+int(size)]
		rest = rest[len(section):]
		body := section[1+n:]
		if section[0] == 0 && int(body[0]) == len(name) && string(body[1:1+len(name)]) == name {
			body = append(bytes.Clone(body[:1+len(name)]), contents...)
		}
		out = append(out, section[0])
		out = binary.AppendUvarint(out, uint64(len(body)))
		out = append(out, body...)
	}
	return out
}

// sectionOf is the contents of a custom section.
func sectionOf(t testing.TB, wasm []byte, name string) []byte {
	info, err := wasmer.Inspect(wasm)
	require.NoError(t, err)
	sections := info.CustomSections(name)
	require.Len(t, sections, 1, name)
	return sections[0]
}

func TestBrokenDebugInformationIsNoneAndHarmsNobody(t *testing.T) {
	chain := wasmtest.Fixture(t, "debug/chain.wasm")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, section := range []string{".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", ".debug_ranges"} {
			contents := sectionOf(t, chain, section)
			for _, broken := range [][]byte{nil, contents[:1], contents[:len(contents)/2], bytes.Repeat([]byte{0xff}, 5000), make([]byte, 5000)} {
				instance := instantiate(t, engine, withSection(chain, section, broken), nil)
				trap := trapOf(t, instance, "run", 5)
				place := "0x6b"
				if engine.Compiler() == wasmer.LLVM {
					place = fmt.Sprintf("%#x", trap.Frames[0].ModuleOffset) // where the function begins
				}
				require.ErrorContains(t, trap, "\n\t.leaf(i32) i32\n\t\t"+place)
				require.NoError(t, instance.Close())
			}
		}
	})
}

func FuzzDebugInformation(f *testing.F) {
	chain := wasmtest.Fixture(f, "debug/chain5.wasm")
	sections := []string{".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", ".debug_rnglists", ".debug_str_offsets", ".debug_addr", ".debug_line_str", "name"}
	for i, section := range sections {
		info, err := wasmer.Inspect(chain)
		require.NoError(f, err)
		for _, contents := range info.CustomSections(section) {
			f.Add(uint8(i), contents)
		}
	}
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Singlepass})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, which uint8, contents []byte) {
		module, err := engine.Compile(background, withSection(chain, sections[int(which)%len(sections)], contents))
		if err != nil {
			return
		}
		defer module.Close()
		instance, err := module.Instantiate()
		require.NoError(t, err)
		defer instance.Close()
		trap := trapOf(t, instance, "run", 5)
		require.Len(t, trap.Frames, 3)
		require.Less(t, len(trap.Error()), 10<<20)
	})
}
