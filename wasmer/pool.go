package wasmer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"weak"
)

// ErrNotPooled: an instance was put into a pool that it is not from.
var ErrNotPooled = errors.New("wasmer: the instance is not from this pool")

// PoolConfig bounds a pool. The zero value bounds nothing but what is kept for later.
type PoolConfig struct {
	// MaxLive is how many instances there are at most, in the pool and out of it; 0 for any number. Get waits for one.
	MaxLive int
	// MaxIdle is how many of them are kept in the pool; 0 stands for MaxLive, or for 64 where that is 0 too. What is put beyond it is
	// closed.
	MaxIdle int
	// Prewarm is how many NewPool makes, MaxIdle at most.
	Prewarm int
	// Imports makes the imports of each new instance, in place of those given to NewPool. It may be called by several goroutines
	// at once.
	Imports func() (*Imports, error)
	// Snapshot is what instances begin with, in place of instantiation. It may be closed as soon as the pool is.
	Snapshot *Snapshot
}

// Pool hands out instances of one module, each as if it had just been made, at a fraction of the cost: what was put back is reset
// first. Goroutines may share it.
//
// No data passes from one use of an instance to the next. Put resets memories, globals and tables, before anybody else can have the
// instance, gives a guest of WASI new file descriptors, and forgets context data; externs that were come by before (Function, Memory,
// Caller and so on), the *Instance and its Store are dead from then on, as after Close, and slices of Memory.Data show zeros. What goes
// on are counts: statistics are those of all uses; the Meter begins anew, with the limit of its engine.
//
// An instance is used and put back also if its guest has trapped or was interrupted. One that has exited, or was closed, is replaced, and
// so is one whose store was used to make other things, one that cannot be reset, see Instance.Reset, and one of code that was
// optimized since, see Tiering. The start code of a module runs once for each instance that is made, and what it did is what resets go
// back to: random numbers that it has drawn are the same in each use. Bytes that were shown by Memory.Data use up address space, as
// they do elsewhere: prefer Read and Write.
type Pool struct {
	module  *Module
	imports *Imports
	config  PoolConfig
	self    weak.Pointer[Pool]

	mu     sync.Mutex
	closed bool
	// idle are ready to be handed out, the last one first: its memory is warm.
	idle []*Instance
	// live counts the instances that there are, those in the making included.
	live int
	// waiting are those who wait, the first one first: each gets an instance, or nil and the right to make one.
	waiting []chan *Instance
	stats   PoolStats
}

// PoolStats are what a pool has done.
type PoolStats struct {
	// Idle instances are in the pool, Out are with users.
	Idle int `json:"idle"`
	Out  int `json:"out"`
	// Waiting are the calls of Get that wait now; Waits are those that had to, in all.
	Waiting int    `json:"waiting"`
	Waits   uint64 `json:"waits"`
	// Made counts the instances that were made, Reset those that were put and used again, Replaced those that were put and could
	// not be.
	Made     uint64 `json:"made"`
	Reset    uint64 `json:"reset"`
	Replaced uint64 `json:"replaced"`
}

// NewPool makes a pool of instances of the module, each in a store of its own; the imports may be nil. The module must stay open as
// long as instances are made. It fails as Instantiate does, and with ErrStoreMismatch for imports that belong to a store: no two
// instances can have those. The context is for what Prewarm makes.
func NewPool(ctx context.Context, module *Module, imports *Imports, config PoolConfig) (*Pool, error) {
	if module == nil || config.Snapshot != nil && config.Snapshot.module == nil {
		return nil, ErrClosed
	}
	if config.MaxLive < 0 || config.MaxIdle < 0 || config.Prewarm < 0 {
		return nil, fmt.Errorf("wasmer: pool: negative bounds: %d live, %d idle, %d made ahead", config.MaxLive, config.MaxIdle, config.Prewarm)
	}
	if s := config.Snapshot; s != nil && s.module != module {
		if s.module.digest != module.digest {
			return nil, fmt.Errorf("%w: pool: it is of another module", ErrSnapshot)
		}
		var err error
		if config.Snapshot, err = s.For(module); err != nil {
			return nil, err
		}
	}
	const idle = 64
	if config.MaxIdle == 0 {
		config.MaxIdle = config.MaxLive
	}
	if config.MaxIdle == 0 {
		config.MaxIdle = idle
	}
	if config.MaxLive != 0 {
		config.MaxIdle = min(config.MaxIdle, config.MaxLive)
	}
	p := &Pool{module: module, imports: imports, config: config}
	p.self = weak.Make(p)
	var made []*Instance
	for range min(config.Prewarm, config.MaxIdle) {
		i, err := p.Get(ctx)
		if err != nil {
			for _, i := range made {
				_ = i.Close()
			}
			_ = p.Close()
			return nil, err
		}
		made = append(made, i)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, made...)
	return p, nil
}

// Get hands out an instance that is as Instantiate makes it. The caller gives it back with Put, whatever has become of it, or closes it.
// If there are MaxLive already it waits for one, first come, first served: ErrInterrupted if the context ends before. ErrClosed after
// Close; else it fails as Instantiate does.
func (p *Pool) Get(ctx context.Context) (*Instance, error) {
	if p == nil {
		return nil, ErrClosed
	}
	if err := interrupted(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	for last := len(p.idle) - 1; last >= 0 && !p.closed; last-- {
		i := p.idle[last]
		p.idle[last] = nil
		p.idle = p.idle[:last]
		if !i.closed.Load() { // with its engine
			p.mu.Unlock()
			return i, nil
		}
	}
	switch {
	case p.closed:
		p.mu.Unlock()
		return nil, ErrClosed
	case p.config.MaxLive != 0 && p.live >= p.config.MaxLive:
		return p.wait(ctx)
	}
	p.live++
	p.mu.Unlock()
	return p.make(ctx)
}

// wait queues for an instance, with the lock held.
func (p *Pool) wait(ctx context.Context) (*Instance, error) {
	turn := make(chan *Instance, 1)
	p.waiting = append(p.waiting, turn)
	p.stats.Waits++
	p.mu.Unlock()
	var done <-chan struct{}
	if ctx != nil {
		done = ctx.Done()
	}
	var i *Instance
	var ok bool
	select {
	case i, ok = <-turn:
	case <-done:
		p.mu.Lock()
		at := slices.Index(p.waiting, turn)
		if at >= 0 {
			p.waiting = slices.Delete(p.waiting, at, at+1)
		}
		p.mu.Unlock()
		if at < 0 { // it was our turn at the same moment
			if i, ok = <-turn; i != nil {
				p.rest(i, 0)
			} else if ok {
				p.freed()
			}
		}
		return nil, fmt.Errorf("%w while waiting for an instance of the pool: %w", ErrInterrupted, endOf(ctx))
	}
	switch {
	case !ok:
		return nil, ErrClosed
	case i == nil:
		return p.make(ctx)
	}
	return i, nil
}

// make makes an instance, which is counted already.
func (p *Pool) make(ctx context.Context) (i *Instance, err error) {
	defer func() {
		if i == nil { // failed, or a host function has panicked
			p.freed()
		}
	}()
	imports := p.imports
	if p.config.Imports != nil {
		if imports, err = p.config.Imports(); err != nil {
			return nil, err
		}
	}
	if s, err := imports.store(); err != nil {
		return nil, err
	} else if s != nil {
		return nil, fmt.Errorf("%w: the imports of a pool are for many instances, and these belong to a store", ErrStoreMismatch)
	}
	made, err := instantiateAlone(ctx, p.module, imports, p.config.Snapshot)
	if err != nil {
		return nil, err
	}
	if err := made.pool(p); err != nil {
		_ = made.Close()
		return nil, err
	}
	p.mu.Lock()
	p.stats.Made++
	p.mu.Unlock()
	return made, nil
}

// Put gives an instance back, which is dead from then on. It is an error, and changes nothing, for one that is not from this pool
// (ErrNotPooled), that was put or closed before (ErrClosed), that has exited (*ExitError), and while it is in use, by a call of
// another goroutine or by the host function that puts it (ErrRunning); the latter stays with the caller. After Close of the pool the
// instance is closed.
func (p *Pool) Put(i *Instance) error {
	if p == nil || i == nil {
		return ErrClosed
	}
	if i.shell == nil || i.shell.pool != p.self {
		return ErrNotPooled
	}
	next, err := i.recycle()
	if err != nil {
		return err
	}
	if next == nil {
		p.mu.Lock()
		p.stats.Replaced++
		p.mu.Unlock()
		return nil
	}
	p.rest(next, 1)
	return nil
}

// rest hands an instance that is ready to who waits, or keeps it, or closes it. Resets counts the one that it comes from.
func (p *Pool) rest(i *Instance, resets uint64) {
	p.mu.Lock()
	p.stats.Reset += resets
	switch {
	case p.closed:
	case len(p.waiting) > 0:
		turn := p.waiting[0]
		p.waiting = slices.Delete(p.waiting, 0, 1)
		turn <- i
		p.mu.Unlock()
		return
	case len(p.idle) < p.config.MaxIdle:
		p.idle = append(p.idle, i)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	_ = i.Close()
}

// freed notes that there is one less.
func (p *Pool) freed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) > 0 && !p.closed {
		turn := p.waiting[0]
		p.waiting = slices.Delete(p.waiting, 0, 1)
		turn <- nil
		return
	}
	p.live--
}

// Stats tells about the pool at the moment.
func (p *Pool) Stats() PoolStats {
	if p == nil {
		return PoolStats{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	stats := p.stats
	for _, i := range p.idle {
		if !i.closed.Load() {
			stats.Idle++
		}
	}
	stats.Waiting, stats.Out = len(p.waiting), p.live-stats.Idle
	return stats
}

// Close closes the instances that are in the pool; those that are out are closed when they are put. Who waits, and who asks from now on,
// gets ErrClosed. Closing twice, or a nil pool, does nothing.
func (p *Pool) Close() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	idle, waiting := p.idle, p.waiting
	p.closed, p.idle, p.waiting = true, nil, nil
	p.mu.Unlock()
	for _, turn := range waiting {
		close(turn)
	}
	for _, i := range idle {
		_ = i.Close()
	}
	return nil
}
