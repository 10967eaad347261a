package wasmer

import (
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// account is what is counted of a store. It outlives the store and does not lead to it. Calls are counted on the Rust side,
// where nothing but who holds the store writes; it is read there when somebody asks.
type account struct {
	// engine is that of the store; nil until there is one.
	engine atomic.Pointer[engineAccount]

	mu sync.Mutex
	// store is nil once it was freed.
	store *ffi.Store
	// gone is what was counted of that which was freed.
	gone           InstanceStats
	instantiations uint64
	tallies        []*tally
	// first is the tally of the first instance, and alone the list of it: most stores have but one.
	first tally
	alone [1]*tally
	// meter is that of all instances.
	meter meterState

	// previous and next are its neighbours in the ledger.
	previous, next *account
}

// tally is what is counted of an instance. It belongs to its account's lock.
type tally struct {
	account *account
	// title is the module's name.
	title string
	// instance is nil once it was freed.
	instance *ffi.Instance
	// counted is what the Go side counts, and all of it when the instance was freed.
	counted InstanceStats
	// told is how many refused growths the logger was told of.
	told uint64
}

// engineAccount is what is counted of an engine, or of all of them.
type engineAccount struct {
	// logger is that of the configuration, nil for the process's.
	logger *slog.Logger
	// code is nil for the whole process.
	code *ffi.CodeCount

	engines, modules                 atomic.Int64
	compilations, failedCompilations atomic.Uint64
	compileTime                      atomic.Int64
	cacheHits, cacheMisses           atomic.Uint64
	cacheCorrupt, cacheErrors        atomic.Uint64
	cacheBytesRead                   atomic.Uint64
	cacheBytesWritten                atomic.Uint64
	cacheEvictions                   atomic.Uint64
	tierUps, failedTierUps           atomic.Uint64
	pendingTierUps, tierUpTime       atomic.Int64

	// The rest belongs to the ledger's lock: what was counted of stores that are gone.
	gone           InstanceStats
	instantiations uint64
}

// process sums up all engines.
var process engineAccount

// ledger lists the accounts of the stores that were not freed.
var ledger struct {
	mu    sync.Mutex
	first *account
}

func openEngineAccount(engine *ffi.Engine, logger *slog.Logger) *engineAccount {
	a := &engineAccount{code: engine.CodeCount(), logger: logger}
	runtime.AddCleanup(a, (*ffi.CodeCount).Delete, a.code)
	a.opened(countEngines)
	return a
}

func countEngines(a *engineAccount) *atomic.Int64 { return &a.engines }
func countModules(a *engineAccount) *atomic.Int64 { return &a.modules }

// opened counts a handle, closed its end.
func (a *engineAccount) opened(kind func(*engineAccount) *atomic.Int64) {
	kind(a).Add(1)
	kind(&process).Add(1)
}

func (a *engineAccount) closed(kind func(*engineAccount) *atomic.Int64) {
	kind(a).Add(-1)
	kind(&process).Add(-1)
}

// compiled counts a compilation.
func (a *engineAccount) compiled(took time.Duration, err error) {
	for _, a := range []*engineAccount{a, &process} {
		a.compileTime.Add(int64(took))
		if err == nil {
			a.compilations.Add(1)
		} else {
			a.failedCompilations.Add(1)
		}
	}
}

// cached counts a look into a cache.
func (a *engineAccount) cached(hit bool) {
	for _, a := range []*engineAccount{a, &process} {
		if hit {
			a.cacheHits.Add(1)
		} else {
			a.cacheMisses.Add(1)
		}
	}
}

func (a *engineAccount) tierUpPending(n int64) {
	a.pendingTierUps.Add(n)
	process.pendingTierUps.Add(n)
}

// tieredUp counts an optimization that was not given up.
func (a *engineAccount) tieredUp(took time.Duration, err error) {
	for _, a := range []*engineAccount{a, &process} {
		a.tierUpTime.Add(int64(took))
		if err == nil {
			a.tierUps.Add(1)
		} else {
			a.failedTierUps.Add(1)
		}
	}
}

func (a *engineAccount) stats() EngineStats {
	stats := EngineStats{
		Engines: a.engines.Load(), Modules: a.modules.Load(),
		Compilations: a.compilations.Load(), FailedCompilations: a.failedCompilations.Load(),
		CompileTime: time.Duration(a.compileTime.Load()),
		CacheHits:   a.cacheHits.Load(), CacheMisses: a.cacheMisses.Load(),
		CacheCorrupt: a.cacheCorrupt.Load(), CacheErrors: a.cacheErrors.Load(), CacheEvictions: a.cacheEvictions.Load(),
		CacheBytesRead: a.cacheBytesRead.Load(), CacheBytesWritten: a.cacheBytesWritten.Load(),
		TierUps: a.tierUps.Load(), FailedTierUps: a.failedTierUps.Load(), PendingTierUps: a.pendingTierUps.Load(),
		TierUpTime: time.Duration(a.tierUpTime.Load()),
	}
	ledger.mu.Lock()
	defer ledger.mu.Unlock()
	stats.InstanceStats, stats.Instantiations = a.gone, a.instantiations
	for store := ledger.first; store != nil; store = store.next {
		if a != &process && store.engine.Load() != a {
			continue
		}
		sum, instances, instantiations := store.sum()
		stats.InstanceStats.Add(sum)
		stats.Stores++
		stats.Instances += int64(instances)
		stats.Instantiations += instantiations
	}
	return stats
}

func openAccount(store *ffi.Store, meter *ffi.Meter) *account {
	a := &account{store: store}
	a.meter.init(meter)
	ledger.mu.Lock()
	defer ledger.mu.Unlock()
	a.next = ledger.first
	if a.next != nil {
		a.next.previous = a
	}
	ledger.first = a
	return a
}

// sum is what was counted, and the number of instances that there are.
func (a *account) sum() (stats InstanceStats, instances int, instantiations uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	stats = a.gone
	if a.store != nil {
		stats.addCounted(a.store.Statistics())
	}
	for _, t := range a.tallies {
		stats.Add(t.stats())
	}
	stats.addMetered(&a.meter)
	return stats, len(a.tallies), a.instantiations
}

// close ends the account, before the store is freed.
func (a *account) close() {
	a.mu.Lock()
	a.gone.addCounted(a.store.Statistics())
	a.store = nil
	for _, t := range a.tallies {
		a.gone.Add(t.settle())
	}
	a.tallies = nil
	a.meter.settle()
	gone, instantiations := a.gone, a.instantiations
	gone.Instructions += a.meter.instructions
	gone.Cost += a.meter.used
	a.mu.Unlock()

	ledger.mu.Lock()
	defer ledger.mu.Unlock()
	if a.previous != nil {
		a.previous.next = a.next
	} else {
		ledger.first = a.next
	}
	if a.next != nil {
		a.next.previous = a.previous
	}
	for _, engine := range []*engineAccount{a.engine.Load(), &process} {
		if engine != nil {
			if gone != (InstanceStats{}) {
				engine.gone.Add(gone)
			}
			engine.instantiations += instantiations
		}
	}
}

// add begins to count an instance.
func (a *account) add(instance *ffi.Instance, title string) *tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := &a.first
	if t.account == nil {
		a.tallies = a.alone[:0]
	} else {
		t = new(tally)
	}
	*t = tally{account: a, instance: instance, title: title}
	a.tallies = append(a.tallies, t)
	a.instantiations++
	return t
}

// stats is what was counted, with the lock held.
func (t *tally) stats() InstanceStats {
	stats := t.counted
	if t.instance == nil {
		return stats
	}
	stats.addCounted(t.instance.Statistics())
	return stats
}

func (t *tally) read() InstanceStats {
	t.account.mu.Lock()
	defer t.account.mu.Unlock()
	stats := t.stats()
	stats.addMetered(&t.account.meter)
	return stats
}

// settle counts no more: the instance is about to be freed.
func (t *tally) settle() InstanceStats {
	t.counted = t.stats()
	t.instance = nil
	return t.counted
}

// title is the name of the first module, for messages.
func (a *account) title() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.tallies {
		if t.title != "" {
			return t.title
		}
	}
	return ""
}

// discard frees an instance that failed to start, if nothing can hold on to it, and reports whether it did.
func (t *tally) discard() bool {
	a := t.account
	a.mu.Lock()
	defer a.mu.Unlock()
	before := t.stats()
	if !t.instance.Discard() {
		return false
	}
	t.counted, t.instance = before, nil
	a.gone.Add(before)
	a.tallies = slices.DeleteFunc(a.tallies, func(other *tally) bool { return other == t })
	return true
}

// failed counts a call that failed with an error, or with a panic, which has none. The tally is nil for a function of no
// instance.
func (a *account) failed(t *tally, err error) {
	var exit *ExitError
	if errors.As(err, &exit) {
		return
	}
	counted := InstanceStats{Failures: 1}
	if errors.As(err, new(*Trap)) {
		counted.Traps = 1
	}
	if errors.Is(err, ErrInterrupted) {
		counted.Interrupted = 1
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if t != nil {
		t.counted.Add(counted)
	}
	if t == nil || t.instance == nil { // it was discarded: its sum has been made
		a.gone.Add(counted)
	}
}

// refusals is how many growths were refused that were not told of yet.
func (t *tally) refusals() uint64 {
	t.account.mu.Lock()
	defer t.account.mu.Unlock()
	now := t.stats().RefusedGrowths
	refused := now - t.told
	t.told = now
	return refused
}
