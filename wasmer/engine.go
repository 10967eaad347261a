package wasmer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// EngineConfig are the options of an engine. The zero value is a good choice.
type EngineConfig struct {
	// Compiler chooses the compiler; NewEngine fails with ErrUnsupported if the build lacks it.
	Compiler Compiler
	// Tiering are the options of the compiler Tiered.
	Tiering Tiering
	// OptLevel is how much the compiler does for the code; the zero value is its best.
	OptLevel OptLevel
	// Target is what code is made for: this machine, with all that its CPU has.
	Target CodeTarget
	// CompileThreads bounds the threads of one compilation; 0 means one a core. All compilers honour it.
	CompileThreads int
	// CanonicalizeNaNs has operations with floats give one NaN, the positive quiet one without payload, where the specification
	// leaves open which: then results are the same bit for bit on all compilers and CPUs. It costs code with floats some of its
	// speed. All compilers honour it; Singlepass does most of it in any case. See https://webassembly.github.io/spec/core/exec/numerics.html#nan-propagation
	CanonicalizeNaNs bool
	// VerifyIR has the compiler check its intermediate code, to find its own errors. Cranelift and LLVM honour it; with
	// Singlepass, which has none, NewEngine fails with ErrUnsupported.
	VerifyIR bool
	// DumpIR is a folder for what the compiler has in between, which is made where there is none; empty writes nothing. In a
	// folder for each module, named by its hash, Cranelift writes intermediate code before optimization (.preopt.clif), LLVM also
	// after it (.postopt.ll), and all write machine code (.o) and, LLVM always, the others by the program objdump if it is installed,
	// assembly (.s). Files are named by the functions' indexes and as much of their names as is harmless; a perf map has these
	// names too. Compile fails with ErrResource if it cannot write, NewEngine with an *fs.PathError;
	// but LLVM ends the process where a disk is full.
	DumpIR string
	// Features are what modules may use; the zero value means all that the compiler supports. NewEngine fails with
	// ErrUnsupported if the compiler lacks one of them.
	Features Features
	// MaxModuleSize bounds the size of modules in bytes; 0 means no bound.
	MaxModuleSize int
	// MaxFunctionSize bounds the bytes of each function's body; 0 means no bound but that of all engines, 7,654,321. A module with a
	// larger one is ErrResource, before anything is compiled. Compilers take more than twice the time for twice the size, and do
	// not look at the context within a function's optimization: this bounds how long that lasts. Code that need not be compiled,
	// since a cache, an artifact or the module itself has it, is bound neither by this nor by MaxCompileMemory.
	MaxFunctionSize int
	// MaxCompileMemory bounds the bytes of memory that one compilation may take at once; 0 means no bound. A module that takes
	// more is ErrResource. Since a compiler cannot be stopped within a function, each is set aside what it may take at most, by its
	// size, and waits if others need it: for large functions the bound must be some 1000 times their size. LLVM's memory is
	// known for the process alone: compilations at the same time share what that has grown by.
	MaxCompileMemory int
	// OnProgress is told how far a compilation is: at its beginning, then some times a second, and when it has succeeded. It is
	// called by Engine.Compile, on its goroutine and with its context, while others compile; once at a time for each
	// compilation, with numbers that do not fall. Compilations at the same time call it at the same time. If it panics, the
	// compilation ends and the panic goes on. With a cache, where several goroutines may wait for one compilation, it is called on
	// another goroutine, with a context that has the values of the first one's; what is found in the cache is not told of. Of a
	// Tiered engine it is told of the first code only, from the beginning again if another compiler has to make it.
	OnProgress func(context.Context, CompileProgress)
	// MaxCallDepth bounds how deep calls of one store may be nested through host functions; 0 means 1000.
	MaxCallDepth int
	// StackSize bounds the stack of guests in bytes, rounded up to a multiple of 64 KiB, up to 1 GiB; 0 means 1 MiB. A guest
	// that needs more ends with TrapStackOverflow. In a store with modules of several engines that of the first counts.
	StackSize int
	// MaxMemoryPages bounds each memory in pages of 64 KiB, up to 65536; 0 means 65536. A larger initial size is
	// ErrResource; growth beyond it fails as beyond the memory's own maximum.
	MaxMemoryPages int
	// Memories says how memories lie in the address space: ReservedMemories, unless BoundedMemories are wanted.
	Memories Memories
	// MaxTotalMemoryPages bounds all memories together that live: those of the engine's modules, and those made in its stores while
	// it is open; 0 means no bound. As for MaxMemoryPages.
	MaxTotalMemoryPages int
	// MaxTableElements bounds each table, up to 2^27 elements; 0 means 10,000,000. As for MaxMemoryPages.
	MaxTableElements int
	// MaxInstances bounds how many instances may be made in one store, closed ones included, which stay there until the
	// store is closed; 0 means no bound. One more is ErrResource.
	MaxInstances int
	// Metering makes code count what it executes, and stop at a limit; the zero value does not. See Meter.
	Metering Metering
	// DropDebugInfo leaves out the debug information (DWARF) of modules, which often is most of a binary. Then stack traces
	// have no lines, and artifacts are smaller.
	DropDebugInfo bool
	// ArtifactKey is a secret of at least 16 bytes, for artifacts that come from where others may write. Those that the engine
	// makes carry a message authentication code (HMAC-SHA256) by it, and it loads no others: of another key or none they are
	// ErrIncompatible, as are those with a key for an engine without one. The engine keeps a copy.
	ArtifactKey []byte
	// TrustEmbeddedCode has Compile use machine code that it finds inside of a module, see Module.Embed, without an ArtifactKey:
	// then whoever makes the module may do all that the process may. With an ArtifactKey, code by that is used in any case, and no
	// other. Code that is not trusted, is damaged, or was made from another module, by another version or with other options
	// than this engine's, is ignored, and the module compiled.
	TrustEmbeddedCode bool
	// MeasureTime has the times measured that guests and host functions take: see InstanceStats. It costs each call of either
	// 0.1 to 0.2 µs.
	MeasureTime bool
	// CacheDir is a folder in which Compile keeps compiled modules, and looks for them; empty for none. It is made if it is not
	// there, and opened as by OpenCache with the zero CacheConfig, which tells who may share it. With DumpIR, or a Target with
	// another triple, modules are compiled in any case.
	CacheDir string
	// Cache is another place to keep compiled modules; nil for none. It is not closed with the engine.
	Cache Cache
	// RequireCache makes Compile fail with an error of the cache: else it compiles, the error counts and is logged.
	RequireCache bool
	// Logger is told of events, nil is that of SetLogger: calls, instantiations and compilations that failed (error); limits
	// reached, artifacts rejected, failures of a cache, and what was collected without having been closed (warn); calls that were interrupted
	// (info); what is made and closed, and guests that exit (debug). Calls that succeed are no events. It is called on the goroutine
	// of the event, with nothing locked, so that it may use the engine and its instances; a panic of its handler is dropped. What
	// it refers to is not collected before the engine's instances.
	Logger *slog.Logger
}

// The ways to come by a module, as messages name them.
const (
	opCompile     = "compile"
	opDeserialize = "deserialize"
)

const (
	defaultCallDepth     = 1000
	defaultStackSize     = 1 << 20
	maxStackSize         = 1 << 30
	defaultTableElements = 10_000_000
	maxTableElements     = 1 << 27
)

func (c EngineConfig) withDefaults() EngineConfig {
	c.MaxCallDepth = cmp.Or(c.MaxCallDepth, defaultCallDepth)
	c.StackSize = cmp.Or(c.StackSize, defaultStackSize)
	c.MaxMemoryPages = cmp.Or(c.MaxMemoryPages, maxMemoryPages)
	c.Memories = cmp.Or(c.Memories, defaultMemories)
	c.MaxTableElements = cmp.Or(c.MaxTableElements, defaultTableElements)
	if c.Compiler == Tiered {
		c.Tiering = c.Tiering.withDefaults()
	}
	return c
}

// check reports a number that makes no sense.
func (c EngineConfig) check() error {
	for _, field := range []struct {
		name       string
		value, max int
	}{
		{"CompileThreads", c.CompileThreads, math.MaxInt32},
		{"MaxModuleSize", c.MaxModuleSize, math.MaxInt},
		{"MaxFunctionSize", c.MaxFunctionSize, math.MaxInt},
		{"MaxCompileMemory", c.MaxCompileMemory, math.MaxInt},
		{"MaxCallDepth", c.MaxCallDepth, math.MaxInt},
		{"StackSize", c.StackSize, maxStackSize},
		{"MaxMemoryPages", c.MaxMemoryPages, maxMemoryPages},
		{"MaxTotalMemoryPages", c.MaxTotalMemoryPages, math.MaxInt},
		{"MaxTableElements", c.MaxTableElements, maxTableElements},
		{"MaxInstances", c.MaxInstances, math.MaxInt},
		{"Memories", int(c.Memories), int(BoundedMemories)},
	} {
		if field.value < 0 || field.value > field.max {
			return fmt.Errorf("wasmer: engine: %s is %d, must lie between 0 and %d", field.name, field.value, field.max)
		}
	}
	return nil
}

// Engine compiles modules. Goroutines may share it.
type Engine struct {
	config   EngineConfig
	handle   handle[ffi.Engine]
	account  *engineAccount
	cache    *engineCache
	children children
	// tiering is nil unless the compiler is Tiered. Then handle is the optimizer's.
	tiering *tiering
	// shared says that it is the default engine, which nobody can close.
	shared bool
}

// NewEngine makes an engine. Close frees it with all that it has made.
func NewEngine(config EngineConfig) (*Engine, error) {
	if config.Compiler == DefaultCompiler {
		if compilers := Compilers(); len(compilers) > 0 {
			config.Compiler = compilers[0]
		} // else it loads artifacts
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	if n := len(config.ArtifactKey); n > 0 && n < minArtifactKey {
		return nil, fmt.Errorf("wasmer: engine: ArtifactKey has %d bytes, must have %d or more", n, minArtifactKey)
	}
	config.ArtifactKey = bytes.Clone(config.ArtifactKey)
	if err := config.checkTiering(); err != nil {
		return nil, err
	}
	metering, err := config.Metering.check()
	if err != nil {
		return nil, err
	}
	if config.generator() == LLVM && metering.Mode == MeteringExact {
		return nil, fmt.Errorf("%w: engine: LLVM moves what it counts past instructions that trap: take MeteringBlock, or another compiler",
			ErrUnsupported)
	}
	config.Metering = metering
	if err := config.openDump(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	if config.generator() == LLVM && config.Memories == BoundedMemories {
		config.MaxMemoryPages = min(config.MaxMemoryPages, maxMemoryPages-1)
	}
	if config, err = config.withCache(); err != nil {
		return nil, err
	}
	options := ffi.EngineConfig{
		Compiler: uint32(config.generator()), Code: config.code(),
		Features:    ffi.DefaultFeatures,
		MemoryPages: uint32(config.MaxMemoryPages), TableElements: uint32(config.MaxTableElements),
		StackSize: uint64(config.StackSize), BoundedMemories: config.Memories == BoundedMemories,
		TotalMemoryPages: uint64(config.MaxTotalMemoryPages),
		DropDebugInfo:    config.DropDebugInfo, Metering: metering.ffi(), ArtifactKey: config.ArtifactKey,
	}
	if config.Features.unknown() {
		return nil, fmt.Errorf("%w: engine: EngineConfig.Features holds a feature that is not known here", ErrUnsupported)
	}
	if config.Features.given {
		options.Features = config.Features.bits
	}
	ptr, err := ffi.NewEngine(options)
	if err != nil {
		return nil, translate("engine", err)
	}
	tiers, err := newTierEngines(ptr, config)
	if err != nil {
		ptr.Delete()
		return nil, translate("engine", err)
	}
	account := openEngineAccount(ptr, config.Logger)
	e := &Engine{config: config, account: account, cache: newEngineCache(config, account)}
	e.tiering = newTiering(e, tiers)
	free := func(ptr *ffi.Engine) {
		account.closed(countEngines)
		tiers.free()
		ptr.Delete()
	}
	e.handle.init(e, ptr, free, func(ptr *ffi.Engine) {
		free(ptr)
		account.tellCollected("engine", config.Compiler.String())
	})
	return e, nil
}

var defaultEngine = sync.OnceValues(func() (*Engine, error) {
	e, err := NewEngine(EngineConfig{})
	if err == nil {
		e.shared = true
	}
	return e, err
})

// Compiler is the compiler in use.
func (e *Engine) Compiler() Compiler { return e.config.Compiler }

// Features are what modules may use.
func (e *Engine) Features() Features {
	if !e.config.Features.given {
		return DefaultFeatures(e.config.generator())
	}
	return e.config.Features
}

// Validate checks a module in binary or text format without generating code. It fails with *CompileError, which is
// ErrUnsupported if the compiler lacks a feature, or with ErrUnsupported, ErrSignatureCollision or ErrResource.
//
// See https://webassembly.github.io/spec/core/valid/
func (e *Engine) Validate(wasm []byte) error {
	ptr, err := e.use()
	if err != nil {
		return err
	}
	defer e.handle.release()
	if err := e.checkSize(wasm); err != nil {
		return err
	}
	return translate("validate", ptr.Validate(wasm))
}

func (e *Engine) checkSize(wasm []byte) error {
	if limit := e.config.MaxModuleSize; limit > 0 && len(wasm) > limit {
		return fmt.Errorf("%w: module: it has %d bytes, the limit of EngineConfig.MaxModuleSize is %d",
			ErrResource, len(wasm), limit)
	}
	return nil
}

// Compile makes a module from the binary or the text format, or takes it from the engine's cache. It fails as Validate does.
// If ctx ends it is ErrInterrupted, as soon as the functions that are being compiled are read or done.
func (e *Engine) Compile(ctx context.Context, wasm []byte) (*Module, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	if e != nil {
		if err := e.checkSize(wasm); err != nil {
			e.account.tellModule(ctx, opCompile, len(wasm), 0, nil, err)
			return nil, err
		}
		if e.config.trustsEmbedded() {
			if module, err := e.loadEmbedded(ctx, wasm); module != nil || err != nil {
				return e.optimizeEmbedded(module, wasm), err
			}
		}
	}
	op, stats := opCompile, CompileStats{}
	var key CacheKey
	module, err := e.newModuleBy(ctx, &op, wasm, func(engine *ffi.Engine, wasm []byte) (*ffi.Module, error) {
		var module *ffi.Module
		compiled, err := true, error(nil)
		generate := func(ctx context.Context, wasm []byte) (*ffi.Module, error) {
			return e.compile(ctx, engine, wasm, &stats)
		}
		switch {
		case e.tiering != nil:
			module, key, compiled, err = e.tiering.compile(ctx, engine, wasm, &stats)
		case e.cache != nil:
			module, compiled, err = e.cache.module(ctx, engine, wasm, generate)
		default:
			module, err = generate(ctx, wasm)
		}
		if err == nil && !compiled {
			op = opDeserialize
		}
		return module, err
	})
	if module == nil {
		return nil, err
	}
	module.compilation = stats
	if e.tiering != nil {
		e.tiering.optimize(module, key, wasm)
	}
	return module, nil
}

func (e *Engine) newModule(ctx context.Context, op string, input []byte,
	load func(*ffi.Engine, []byte) (*ffi.Module, error),
) (*Module, error) {
	return e.newModuleBy(ctx, &op, input, e.eachTier(load))
}

// newModuleBy makes a module by an op that load may change.
func (e *Engine) newModuleBy(ctx context.Context, op *string, input []byte,
	load func(*ffi.Engine, []byte) (*ffi.Module, error),
) (*Module, error) {
	began := time.Now()
	module, err := e.loadModule(ctx, *op, input, load)
	if e != nil {
		e.account.tellModule(ctx, *op, len(input), time.Since(began), module, err)
	}
	return module, err
}

func (e *Engine) loadModule(ctx context.Context, op string, input []byte,
	load func(*ffi.Engine, []byte) (*ffi.Module, error),
) (*Module, error) {
	if err := interrupted(ctx); err != nil {
		return nil, err
	}
	ptr, err := e.use()
	if err != nil {
		return nil, err
	}
	defer e.handle.release()
	module, err := load(ptr, input)
	runtime.KeepAlive(input)
	if failure := (*ffi.Error)(nil); errors.As(err, &failure) && failure.Kind == ffi.KindInterrupted {
		return nil, interrupted(ctx)
	}
	if err != nil {
		return nil, translate(op, err)
	}
	m := newModule(e, module)
	if !e.shared {
		m.self = weakModule{weak.Make(m)}
		if err := e.children.add(m.self); err != nil {
			_ = m.Close()
			return nil, err
		}
	}
	return m, nil
}

func (e *Engine) use() (*ffi.Engine, error) {
	if e == nil {
		return nil, ErrClosed
	}
	return e.handle.use()
}

// Close frees the engine with all that it has made: its modules are closed, and the stores and instances whose first module
// was its own, as Store.Close does; calls under way end with *ExitError and code 0. Closing twice, or a nil engine, does
// nothing, nor does closing the default engine.
func (e *Engine) Close() error {
	if e != nil && !e.shared {
		e.handle.close()
		e.children.close()
	}
	return nil
}

// ReadBytes reads a module from a file.
func ReadBytes(filename string) ([]byte, error) { return os.ReadFile(filename) }

// Validate reports whether the default engine accepts the module. Engine.Validate tells why it does not.
func Validate(wasm []byte) bool {
	engine, err := defaultEngine()
	return err == nil && engine.Validate(wasm) == nil
}

// Compile compiles with the default engine.
func Compile(wasm []byte) (*Module, error) {
	engine, err := defaultEngine()
	if err != nil {
		return nil, err
	}
	return engine.Compile(context.Background(), wasm)
}

// Wat2Wasm translates the text format to the binary format. A binary is returned as it is.
//
// See https://webassembly.github.io/spec/core/text/
func Wat2Wasm(text string) ([]byte, error) {
	wasm, err := ffi.Wat2Wasm([]byte(text))
	return wasm, translate("wat2wasm", err)
}
