package wasmer

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Tier says how good the code of a module or an instance is.
type Tier uint8

// The tiers.
const (
	// TierBaseline is code that was made fast.
	TierBaseline Tier = iota + 1
	// TierOptimized is code that is as fast as the engine's options let it be. All code is, unless the engine is Tiered.
	TierOptimized
)

func (t Tier) String() string {
	switch t {
	case TierBaseline:
		return "baseline"
	case TierOptimized:
		return "optimized"
	}
	return fmt.Sprintf("Tier(%d)", uint8(t))
}

// Tiering are the options of engines whose Compiler is Tiered. The zero value is a good choice.
type Tiering struct {
	// Optimizer makes the optimized code: Cranelift or LLVM; DefaultCompiler stands for the first of them that is built in. LLVM
	// takes several times as long, and is the first compiler of modules that share references to functions with others, which
	// call code of Cranelift in other ways.
	Optimizer Compiler
	// Threads bounds the threads that optimize, of an engine; 0 means half of the cores, and one at least. On Linux they have
	// less priority than those of the program.
	Threads int
	// MaxQueueSize bounds the bytes of modules that wait for optimization; 0 means 256 MiB. One for which there is no room keeps
	// the code that it has, of which WaitTier tells; where that is Singlepass's, an instance of it that imports functions of
	// another one is ErrUnsupported in a store with exceptions.
	MaxQueueSize int
	// Off leaves modules on the code that they are first given. Only where linking needs optimized code, it is made; for that
	// the bytes of a module are kept as long as it is.
	Off bool
}

const defaultQueueSize = 256 << 20

func (t Tiering) withDefaults() Tiering {
	if t.Optimizer == DefaultCompiler {
		t.Optimizer = defaultOptimizer()
	}
	if t.Threads == 0 {
		t.Threads = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if t.MaxQueueSize == 0 {
		t.MaxQueueSize = defaultQueueSize
	}
	return t
}

// defaultOptimizer is DefaultCompiler if there is none.
func defaultOptimizer() Compiler {
	for _, c := range []Compiler{Cranelift, LLVM} {
		if Available(c) {
			return c
		}
	}
	return DefaultCompiler
}

// checkTiering reports options that make no sense.
func (c EngineConfig) checkTiering() error {
	if c.Compiler != Tiered {
		if c.Tiering != (Tiering{}) {
			return fmt.Errorf("%w: engine: EngineConfig.Tiering is for the compiler tiered, not for %s", ErrUnsupported, c.Compiler)
		}
		return nil
	}
	if !Available(Tiered) {
		return fmt.Errorf("%w: engine: the compiler tiered is not part of this build, which lacks an optimizer", ErrUnsupported)
	}
	for name, value := range map[string]int{"Threads": c.Tiering.Threads, "MaxQueueSize": c.Tiering.MaxQueueSize} {
		if value < 0 {
			return fmt.Errorf("wasmer: engine: Tiering.%s is %d, must not be negative", name, value)
		}
	}
	switch c.Tiering.Optimizer {
	case DefaultCompiler, Cranelift, LLVM:
		return nil
	}
	return fmt.Errorf("%w: engine: Tiering.Optimizer is %s, must be cranelift or llvm", ErrUnsupported, c.Tiering.Optimizer)
}

// generator is the compiler whose features modules may use, and whose options count: of Tiered that which optimizes.
func (c EngineConfig) generator() Compiler {
	if c.Compiler == Tiered {
		return c.Tiering.withDefaults().Optimizer
	}
	return c.Compiler
}

// moduleTier is what a module of a Tiered engine knows about its code. It does not lead to the module, which may be forgotten.
type moduleTier struct {
	tiering *tiering
	// first is what compiled the code that there is until it is optimized.
	first Compiler
	// optimized is the handle that replaces the first one.
	optimized atomic.Pointer[ffi.Module]

	// The rest belongs to the tiering's lock.

	// job is nil if there is none.
	job    *tierJob
	closed bool
	// settled is closed when there is nothing to wait for any more; err is why the optimized code did not come.
	settled chan struct{}
	ended   bool
	err     error
}

func newModuleTier(t *tiering, code *ffi.Module) *moduleTier {
	if t == nil {
		return nil
	}
	return &moduleTier{tiering: t, first: Compiler(code.Compiler()), settled: make(chan struct{})}
}

// tierOf is the tier of code that the module has, or had.
func (m *Module) tierOf(code *ffi.Module) Tier {
	if m.tier == nil || m.tier.first == m.tier.tiering.optimizer || code == m.tier.optimized.Load() {
		return TierOptimized
	}
	return TierBaseline
}

// Tier is the tier of the code that instances made from now on have; it becomes TierOptimized once at most. Serialize gives
// this code.
func (m *Module) Tier() Tier { return m.tierOf(m.handle.ptr.Load()) }

// Compiler is the compiler that made the code of which Tier tells.
func (m *Module) Compiler() Compiler {
	switch {
	case m.tier == nil:
		return m.engine.Compiler()
	case m.Tier() == TierOptimized:
		return m.tier.tiering.optimizer
	}
	return m.tier.first
}

// WaitTier waits until the tier of the module will not change any more, and has the module optimized before others that wait. It
// returns nil if the code is optimized, or if it is not to be since Tiering is Off. Else the module goes on with the code that it has, for the reason
// that WaitTier returns: *CompileError or ErrUnsupported if the optimizer cannot compile it, or there is nothing but an artifact
// to make it from, ErrResource if the queue had no room. It fails with ErrInterrupted when ctx ends, which the optimization
// does not, and with ErrClosed when the module or the engine is closed.
func (m *Module) WaitTier(ctx context.Context) error {
	if err := interrupted(ctx); err != nil {
		return err
	}
	if _, err := m.use(); err != nil {
		return err
	}
	m.handle.release()
	if m.Tier() == TierOptimized || m.tier.isIdle() {
		return nil
	}
	return m.tier.wait(ctx)
}

// Tier is the tier of the instance's code, which does not change.
func (i *Instance) Tier() Tier { return i.tier }

// readyToLink waits for code that can be linked with that of other instances, if the module has none. Where there is none to
// come, what there is may do.
func (m *Module) readyToLink(ctx context.Context, s *Store, imports *Imports) error {
	if m.tier.first != Singlepass || m.Tier() == TierOptimized || !m.importsGuests(s, imports) {
		return nil
	}
	m.tier.demand()
	_ = m.tier.wait(ctx)
	return interrupted(ctx)
}

// importsGuests reports whether a function among the imports is that of another instance. Exceptions can come along with it, if
// not now then with an instance that is made later, and must not pass through code of Singlepass.
func (m *Module) importsGuests(s *Store, imports *Imports) bool {
	for _, want := range m.imports {
		if want.Type.Kind != ExternFunction {
			continue
		}
		item, ok := imports.find(want.Module, want.Name)
		if !ok {
			item, ok = s.find(want.Module, want.Name)
		}
		if ok && item.host == nil {
			return true
		}
	}
	return false
}

// end ends the waiting, once. The lock is held.
func (m *moduleTier) end(err error) {
	if !m.ended {
		m.ended, m.err = true, err
		close(m.settled)
	}
}

// close leaves the job, which ends with the last module.
func (m *moduleTier) close() {
	if m == nil {
		return
	}
	t := m.tiering
	t.mu.Lock()
	defer t.mu.Unlock()
	m.closed = true
	m.end(ErrClosed)
	if job := m.job; job != nil {
		m.job = nil
		if delete(job.modules, m); len(job.modules) == 0 {
			t.forget(job)
		}
	}
}

// isIdle reports whether nothing is done for the module until there is demand.
func (m *moduleTier) isIdle() bool {
	m.tiering.mu.Lock()
	defer m.tiering.mu.Unlock()
	return m.job != nil && m.job.state == tierIdle
}

// demand has the module optimized even if tiering is off.
func (m *moduleTier) demand() {
	m.tiering.mu.Lock()
	defer m.tiering.mu.Unlock()
	if m.job != nil {
		m.tiering.start(m.job)
	}
}

// wait waits for what becomes of the job, which comes before others.
func (m *moduleTier) wait(ctx context.Context) error {
	t := m.tiering
	t.mu.Lock()
	if at := slices.Index(t.queue, m.job); at > 0 {
		t.queue = slices.Insert(slices.Delete(t.queue, at, at+1), 0, m.job)
	}
	if m.job == nil && !m.ended {
		m.end(errTierArtifact)
	}
	t.mu.Unlock()
	if ctx == nil {
		ctx = context.Background()
	}
	select {
	case <-m.settled:
		return m.err
	case <-ctx.Done():
		return interrupted(ctx)
	}
}
