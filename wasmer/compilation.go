package wasmer

import (
	"context"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// CompilePhase is what a compilation does.
type CompilePhase uint8

// The phases, in their order.
const (
	// PhaseFunctions compiles functions.
	PhaseFunctions CompilePhase = iota
	// PhaseLinking puts their code together.
	PhaseLinking
	// PhaseDone is the end.
	PhaseDone
)

func (p CompilePhase) String() string {
	return [...]string{"compiling functions", "linking", "done"}[min(p, PhaseDone)]
}

// CompileProgress is how far a compilation is.
type CompileProgress struct {
	Phase CompilePhase
	// Done are the bytes of functions that have been compiled, of Total, which is 0 until it is known. For each function type and
	// imported function there are 1000 more.
	Done, Total uint64
}

// CompileStats are what a compilation took.
type CompileStats struct {
	// Duration is its time.
	Duration time.Duration
	// Functions are those that were compiled, CodeBytes their machine code.
	Functions, CodeBytes uint64
	// PeakMemory are the most bytes of memory that it had at once, its result included; see EngineConfig.MaxCompileMemory for how
	// LLVM's are known.
	PeakMemory uint64
}

// CompileStats tells what the module's compilation took; all is 0 for one that was loaded, from a cache too.
func (m *Module) CompileStats() CompileStats { return m.compilation }

// compile makes a module, ends early with the context, and tells of its progress. It is counted.
func (e *Engine) compile(ctx context.Context, engine *ffi.Engine, wasm []byte, stats *CompileStats) (module *ffi.Module, err error) {
	began := time.Now()
	defer func() { e.account.compiled(time.Since(began), err) }()
	return e.generate(ctx, engine, wasm, stats)
}

// generate is compile for one of the compilers that are tried.
func (e *Engine) generate(ctx context.Context, engine *ffi.Engine, wasm []byte, stats *CompileStats) (module *ffi.Module, err error) {
	numbers := new(ffi.Compilation)
	began := time.Now()
	if e.config.OnProgress == nil {
		module, err = stoppable(ctx, engine, wasm, numbers)
	} else {
		module, err = e.compileTelling(ctx, engine, wasm, numbers)
	}
	if err != nil {
		return nil, err
	}
	*stats = CompileStats{Duration: time.Since(began), PeakMemory: numbers.Peak.Load()}
	stats.Functions, stats.CodeBytes = module.Code()
	return roundTrip(engine, wasm, module, nil)
}

// stoppable has a compilation end with the context.
func stoppable(ctx context.Context, engine *ffi.Engine, wasm []byte, numbers *ffi.Compilation) (*ffi.Module, error) {
	if ctx != nil && ctx.Done() != nil {
		defer context.AfterFunc(ctx, func() { numbers.Stop.Store(1) })()
	}
	return engine.Compile(wasm, numbers)
}

// compileTelling compiles on a goroutine of its own, so that this one can call Go code.
func (e *Engine) compileTelling(ctx context.Context, engine *ffi.Engine, wasm []byte, numbers *ffi.Compilation) (module *ffi.Module, err error) {
	const often = 50 * time.Millisecond
	ended, told := make(chan struct{}), false
	go func() {
		defer close(ended)
		module, err = stoppable(ctx, engine, wasm, numbers)
	}()
	defer func() {
		if told {
			return
		}
		// The callback panicked, or ended its goroutine.
		numbers.Stop.Store(1)
		<-ended
		if err == nil {
			module.Delete()
		}
	}()
	last := CompileProgress{}
	e.config.OnProgress(ctx, last)
	ticker := time.NewTicker(often)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			if err == nil {
				total := numbers.Total.Load()
				e.config.OnProgress(ctx, CompileProgress{Phase: PhaseDone, Done: total, Total: total})
			}
			told = true
			return module, err
		case <-ticker.C:
			progress := CompileProgress{Done: numbers.Done.Load(), Total: numbers.Total.Load()}
			if progress.Total > 0 && progress.Done == progress.Total {
				progress.Phase = PhaseLinking
			}
			if progress != last {
				last = progress
				e.config.OnProgress(ctx, progress)
			}
		}
	}
}
