package vm

import "github.com/wasmerio/go-ext-wasm/wasmer"

// Statistics is what was counted since the VM was made or cleaned up, of all instances of it; what Config.Statistics leaves off is
// zero. With Config.Store, instructions and costs are those of all instances of the store. To change the limit of costs:
// Store().Meter().
func (v *VM) Statistics() wasmer.InstanceStats {
	v.mu.Lock()
	defer v.mu.Unlock()
	sum := v.past
	if !v.closed && v.err == nil {
		addCounts(&sum, v.active)
		for _, instance := range v.made {
			addCounts(&sum, instance)
		}
		for _, instance := range v.hosts.instances {
			addCounts(&sum, instance)
		}
		v.addMetered(&sum)
	}
	if metered := v.config.Engine.Metering.Mode != wasmer.MeteringOff; !metered {
		if !v.config.Statistics.Instructions {
			sum.Instructions = 0
		}
		if !v.config.Statistics.Cost {
			sum.Cost = 0
		}
	}
	return sum
}

// retire closes an instance, and keeps what it has done.
func (v *VM) retire(instance *wasmer.Instance) {
	if instance != nil {
		_ = instance.Close()
		addCounts(&v.past, instance)
	}
}

// retireStore keeps what the store's meter tells, and closes the store if it is the VM's.
func (v *VM) retireStore() {
	for _, instance := range v.hosts.instances {
		v.retire(instance)
	}
	v.hosts.instances = nil
	if v.config.Store == nil {
		_ = v.store.Close()
	}
	v.addMetered(&v.past)
}

// metered is what a store's meter tells.
type metered struct{ instructions, cost uint64 }

func readMeter(store *wasmer.Store) metered {
	return metered{store.Meter().Instructions(), store.Meter().Used()}
}

// addMetered adds what was executed since the VM has the store, or since the meter was reset.
func (v *VM) addMetered(sum *wasmer.InstanceStats) {
	now, since := readMeter(v.store), v.since
	if now.cost < since.cost || now.instructions < since.instructions {
		since = metered{}
	}
	sum.Instructions += now.instructions - since.instructions
	sum.Cost += now.cost - since.cost
}

// addCounts adds what an instance has counted itself; the rest is the store's.
func addCounts(sum *wasmer.InstanceStats, instance *wasmer.Instance) {
	stats := instance.Stats()
	stats.Instructions, stats.Cost = 0, 0
	sum.Add(stats)
}
