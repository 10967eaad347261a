package conformance

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"sync/atomic"

	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// SnapshotEngines lists this library with each of its compilers, and instances that are replaced, at random points of a script, by
// ones that are restored from their snapshots.
func SnapshotEngines() []suite.Engine {
	var engines []suite.Engine
	for _, compiler := range wasmer.Compilers() {
		engines = append(engines, wasmerEngine{compiler: compiler, snapshots: &snapshotCount{}})
	}
	return engines
}

// snapshotCount is what became of the attempts.
type snapshotCount struct {
	// restored instances took the place of others, after a way through bytes if so.
	restored, throughBytes atomic.Int64
	// shared are those that others may import from, refused those that cannot be captured.
	shared, refused atomic.Int64
}

// restorer replaces instances of a store, which is used by one goroutine. Those that were replaced stay in the store until its end, so
// there is a bound.
type restorer struct {
	store  *wasmer.Store
	random *rand.Rand
	count  *snapshotCount
	left   int
}

func newRestorer(store *wasmer.Store, script string, count *snapshotCount) *restorer {
	if count == nil {
		return nil
	}
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(script))
	return &restorer{store: store, random: rand.New(rand.NewPCG(seed.Sum64(), 0)), count: count, left: 200}
}

// restore replaces the instance between two actions, or not.
func (r *restorer) restore(i *wasmerInstance) error {
	if r == nil || r.left == 0 || r.random.IntN(4) != 0 {
		return nil
	}
	if i.shared {
		r.count.shared.Add(1)
		return nil
	}
	snapshot, err := i.instance.Snapshot(context.Background())
	if refused := (*wasmer.StateError)(nil); errors.As(err, &refused) {
		r.count.refused.Add(1)
		return nil
	} else if err != nil {
		return err
	}
	defer snapshot.Close()
	if r.random.IntN(2) == 0 {
		data, err := snapshot.MarshalBinary()
		if err != nil {
			return err
		}
		read, err := i.instance.Module().UnmarshalSnapshot(data)
		if err != nil {
			return err
		}
		defer read.Close()
		snapshot = read
		r.count.throughBytes.Add(1)
	}
	restored, err := r.store.InstantiateFrom(context.Background(), "", snapshot, nil)
	if err != nil {
		return err
	}
	r.count.restored.Add(1)
	r.left--
	replaced := i.instance
	i.instance = restored
	return replaced.Close()
}
