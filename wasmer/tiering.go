package wasmer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// tiering makes the code of a Tiered engine's modules, one optimization at a time. The engine's own handle is the optimizer's,
// which says what is valid, and compiles what no faster compiler can.
type tiering struct {
	engine    *Engine
	options   Tiering
	optimizer Compiler
	*tierEngines

	mu sync.Mutex
	// jobs are those that modules wait for, or have the outcome of.
	jobs map[CacheKey]*tierJob
	// queue are those that have yet to begin, queued their bytes.
	queue  []*tierJob
	queued int
	// working says that there is a goroutine for them.
	working bool
}

// tierEngines are what a Tiered engine has besides its own handle, with which they are freed.
type tierEngines struct {
	// baselines are the compilers to try first, the fastest at the head; background is the optimizer on few threads.
	baselines  []*ffi.Engine
	background *ffi.Engine
}

func newTierEngines(engine *ffi.Engine, config EngineConfig) (_ *tierEngines, err error) {
	if config.Compiler != Tiered {
		return nil, nil
	}
	t := &tierEngines{}
	defer func() {
		if err != nil {
			t.free()
		}
	}()
	for _, compiler := range []Compiler{Singlepass, Cranelift} {
		if !Available(compiler) || compiler == config.Tiering.Optimizer {
			continue
		}
		baseline, err := engine.Tier(uint32(compiler), uint32(config.CompileThreads))
		if isKind(err, ffi.KindUnsupported) {
			continue // it has no code for the target
		}
		if err != nil {
			return nil, err
		}
		t.baselines = append(t.baselines, baseline)
	}
	t.background, err = engine.Tier(uint32(config.Tiering.Optimizer), uint32(config.Tiering.Threads))
	return t, err
}

func (t *tierEngines) free() {
	if t == nil {
		return
	}
	for _, engine := range t.baselines {
		engine.Delete()
	}
	if t.background != nil {
		t.background.Delete()
	}
}

func newTiering(e *Engine, engines *tierEngines) *tiering {
	if engines == nil {
		return nil
	}
	options := e.config.Tiering
	return &tiering{
		engine: e, options: options, optimizer: options.Optimizer, tierEngines: engines, jobs: map[CacheKey]*tierJob{},
	}
}

// tierJob is the optimization of a module that was compiled once or more often. Its fields belong to the tiering's lock.
type tierJob struct {
	key   CacheKey
	state tierState
	wasm  []byte
	// modules are those that it is for.
	modules map[*moduleTier]weak.Pointer[Module]
	// stop is called when there are none left.
	ctx  context.Context
	stop context.CancelFunc
	// result is kept for further modules.
	result *ffi.Module
	err    error
}

type tierState uint8

const (
	tierIdle tierState = iota // until there is demand
	tierQueued
	tierRunning
	tierDone
)

var (
	errTierQueue    = fmt.Errorf("%w: optimize: the modules that wait have more bytes than Tiering.MaxQueueSize", ErrResource)
	errTierEnded    = errors.New("wasmer: optimize: a function of the cache or the logger has ended its goroutine")
	errTierArtifact = fmt.Errorf("%w: optimize: the artifact holds baseline code only", ErrUnsupported)
)

// compile gives the first code of a module: that of the optimizer if somebody has it, else what the fastest compiler makes that
// can. The optimizer has the last word: what is valid, and which error tells that it is not, must not depend on the tier.
func (t *tiering) compile(ctx context.Context, optimizer *ffi.Engine, wasm []byte, stats *CompileStats) (
	code *ffi.Module, key CacheKey, compiled bool, err error,
) {
	digest, err := optimizer.Key(wasm)
	if err != nil {
		return nil, key, true, err
	}
	key = CacheKey(digest)
	if known := t.known(key); known != nil {
		return known, key, false, nil
	}
	cache := t.engine.cache
	if cache != nil {
		code, err := cache.load(ctx, optimizer, key)
		cache.account.cached(code != nil)
		if code != nil || err != nil {
			return code, key, false, err
		}
	}
	code, err = t.first(ctx, optimizer, wasm, stats)
	if err == nil && cache != nil && Compiler(code.Compiler()) == t.optimizer {
		if err = cache.keep(ctx, code, key); err != nil {
			return nil, key, true, err
		}
	}
	return code, key, true, err
}

// first compiles by the fastest compiler that can.
func (t *tiering) first(ctx context.Context, optimizer *ffi.Engine, wasm []byte, stats *CompileStats) (code *ffi.Module, err error) {
	began := time.Now()
	defer func() { t.engine.account.compiled(time.Since(began), err) }()
	for _, engine := range t.baselines {
		code, err = t.engine.generate(ctx, engine, wasm, stats)
		if err == nil || isKind(err, ffi.KindInterrupted) || isKind(err, ffi.KindResource) {
			return code, err
		}
	}
	return t.engine.generate(ctx, optimizer, wasm, stats)
}

func isKind(err error, kind ffi.Kind) bool {
	failure := (*ffi.Error)(nil)
	return errors.As(err, &failure) && failure.Kind == kind
}

// eachTier is how the engine loads artifacts: those of all its tiers.
func (e *Engine) eachTier(load func(*ffi.Engine, []byte) (*ffi.Module, error)) func(*ffi.Engine, []byte) (*ffi.Module, error) {
	if e == nil || e.tiering == nil {
		return load
	}
	return func(optimizer *ffi.Engine, artifact []byte) (*ffi.Module, error) {
		code, err := load(optimizer, artifact)
		for _, engine := range e.tiering.baselines {
			if !isKind(err, ffi.KindIncompatible) {
				break
			}
			if other, refused := load(engine, artifact); !isKind(refused, ffi.KindIncompatible) {
				code, err = other, refused
			}
		}
		return code, err
	}
}

// known is a handle on the optimized code of the module, if there is a module that has it.
func (t *tiering) known(key CacheKey) *ffi.Module {
	t.mu.Lock()
	defer t.mu.Unlock()
	if job := t.jobs[key]; job != nil && job.result != nil {
		return job.result.Share()
	}
	return nil
}

// optimize has the module optimized in the background, or joins the work that is under way or done for another one.
func (t *tiering) optimize(m *Module, key CacheKey, wasm []byte) {
	if !t.enqueue(m, key, wasm) {
		t.engine.account.tieredUp(0, errTierQueue)
		t.engine.account.tellOptimized(m, 0, errTierQueue)
	}
}

// enqueue reports whether there was room.
func (t *tiering) enqueue(m *Module, key CacheKey, wasm []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	job := t.jobs[key]
	switch {
	case m.tier.closed || job == nil && m.Tier() == TierOptimized:
		return true
	case job == nil && !t.options.Off && len(t.queue) > 0 && t.queued+len(wasm) > t.options.MaxQueueSize:
		m.tier.end(errTierQueue)
		return false
	case job == nil:
		job = &tierJob{key: key, wasm: bytes.Clone(wasm), modules: map[*moduleTier]weak.Pointer[Module]{}}
		job.ctx, job.stop = context.WithCancel(context.Background())
		t.jobs[key] = job
	}
	job.modules[m.tier] = weak.Make(m)
	m.tier.job = job
	if job.state == tierDone {
		t.hand(job, m)
	} else if !t.options.Off {
		t.start(job)
	}
	return true
}

// start queues the job, unless that has happened. The lock is held.
func (t *tiering) start(job *tierJob) {
	if job.state != tierIdle {
		return
	}
	job.state = tierQueued
	t.queue = append(t.queue, job)
	t.queued += len(job.wasm)
	t.engine.account.tierUpPending(1)
	if !t.working {
		t.working = true
		go t.work()
	}
}

// work does what is queued, and ends when nothing is. Its thread has less priority, and ends with it.
func (t *tiering) work() {
	runtime.LockOSThread()
	lowerPriority()
	defer func() { // also if a logger ends the goroutine
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.working = len(t.queue) > 0; t.working {
			go t.work()
		}
	}()
	for {
		t.mu.Lock()
		if len(t.queue) == 0 {
			t.mu.Unlock()
			return
		}
		job := t.queue[0]
		t.queue = slices.Delete(t.queue, 0, 1)
		t.queued -= len(job.wasm)
		job.state = tierRunning
		wasm := job.wasm
		t.mu.Unlock()
		t.run(job, wasm)
	}
}

// run optimizes, and hands the code to the modules that want it, also if a function of the user's panics.
func (t *tiering) run(job *tierJob, wasm []byte) {
	began := time.Now()
	code, err := (*ffi.Module)(nil), errTierEnded
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("wasmer: optimize: panic: %v", panicked)
		}
		t.finish(job, code, time.Since(began), err)
	}()
	code, err = t.generate(job, wasm)
	if job.ctx.Err() != nil && err != nil {
		err = ErrClosed // that is why nobody wants it
	}
}

// generate takes the code from the cache, or compiles it and puts it there, for as long as the engine is open.
func (t *tiering) generate(job *tierJob, wasm []byte) (*ffi.Module, error) {
	if _, err := t.engine.use(); err != nil {
		return nil, err
	}
	defer t.engine.handle.release()
	cache := t.engine.cache
	if cache != nil { // another process may have been faster
		if code, err := cache.load(job.ctx, t.background, job.key); code != nil || err != nil {
			return code, err
		}
	}
	code, err := stoppable(job.ctx, t.background, wasm, new(ffi.Compilation))
	if err != nil {
		return nil, translate("optimize", err)
	}
	if cache != nil {
		if err := cache.keep(job.ctx, code, job.key); err != nil {
			return nil, err
		}
	}
	return code, nil
}

func (t *tiering) finish(job *tierJob, code *ffi.Module, took time.Duration, err error) {
	t.mu.Lock()
	job.state, job.wasm, job.result, job.err = tierDone, nil, code, err
	job.stop()
	t.engine.account.tierUpPending(-1)
	if err != ErrClosed {
		t.engine.account.tieredUp(took, err)
	}
	var modules []*Module
	for _, pointer := range job.modules {
		if m := pointer.Value(); m != nil {
			modules = append(modules, m)
			t.hand(job, m)
		}
	}
	if len(job.modules) == 0 {
		t.forget(job)
	}
	t.mu.Unlock()

	if err == ErrClosed {
		return
	}
	for _, m := range modules {
		t.engine.account.tellOptimized(m, took, err)
	}
}

// hand gives a module what has become of its job. The lock is held.
func (t *tiering) hand(job *tierJob, m *Module) {
	err := job.err
	if job.result != nil && m.Tier() != TierOptimized {
		code := job.result.Share()
		m.tier.optimized.Store(code)
		if err = m.handle.replace(m, code, (*ffi.Module).Delete); err != nil {
			code.Delete()
		}
	}
	m.tier.end(err)
}

// forget ends a job that nobody wants. The lock is held.
func (t *tiering) forget(job *tierJob) {
	if t.jobs[job.key] == job {
		delete(t.jobs, job.key)
	}
	job.stop()
	switch job.state {
	case tierQueued:
		t.queue = slices.DeleteFunc(t.queue, func(other *tierJob) bool { return other == job })
		t.queued -= len(job.wasm)
		t.engine.account.tierUpPending(-1)
	case tierDone:
		if job.result != nil {
			job.result.Delete()
			job.result = nil
		}
	}
	job.wasm = nil
}
