package wasmer

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// InstanceStats is what was counted of one or more instances. It is data: it does not change later.
type InstanceStats struct {
	// Calls are the calls of functions by the host; HostCalls those of host functions by guests.
	Calls     uint64 `json:"calls"`
	HostCalls uint64 `json:"host_calls"`
	// Failures are the calls, instantiation included, that ended with an error other than *ExitError. Traps and Interrupted
	// are those of them that ended with *Trap and with ErrInterrupted.
	Failures    uint64 `json:"failures"`
	Traps       uint64 `json:"traps"`
	Interrupted uint64 `json:"interrupted"`
	// RefusedGrowths counts the instructions memory.grow and table.grow that failed.
	RefusedGrowths uint64 `json:"refused_growths"`
	// WasmTime and HostTime are the times that calls spent in the guest and in host functions, the call under way
	// included; zero without EngineConfig.MeasureTime. When a host function calls a guest, that time is the called
	// guest's and not the host function's, so that times of several instances can be added up.
	WasmTime time.Duration `json:"wasm_time_ns"`
	HostTime time.Duration `json:"host_time_ns"`
	// Instructions and Cost are what Meter tells of the instance's store: they are of all instances of it, since the last
	// Reset, and zero without metering.
	Instructions uint64 `json:"instructions"`
	Cost         uint64 `json:"cost"`
}

// TotalTime is WasmTime and HostTime together.
func (s InstanceStats) TotalTime() time.Duration { return s.WasmTime + s.HostTime }

// InstructionsPerSecond is Instructions divided by WasmTime; 0 if one of them was not measured.
func (s InstanceStats) InstructionsPerSecond() float64 {
	if s.WasmTime <= 0 {
		return 0
	}
	return float64(s.Instructions) / s.WasmTime.Seconds()
}

// Report is a text of several lines for people, each led by a space: times in nanoseconds, instructions and cost.
func (s InstanceStats) Report() string {
	return fmt.Sprintf(` ====================  Statistics  ====================
 Total execution time: %d ns
 Wasm instructions execution time: %d ns
 Host functions execution time: %d ns
 Executed wasm instructions count: %d
 Gas costs: %d
 Instructions per second: %d
`, s.TotalTime().Nanoseconds(), s.WasmTime.Nanoseconds(), s.HostTime.Nanoseconds(),
		s.Instructions, s.Cost, uint64(s.InstructionsPerSecond()))
}

// Add adds what was counted elsewhere.
func (s *InstanceStats) Add(other InstanceStats) {
	s.Calls += other.Calls
	s.HostCalls += other.HostCalls
	s.Failures += other.Failures
	s.Traps += other.Traps
	s.Interrupted += other.Interrupted
	s.RefusedGrowths += other.RefusedGrowths
	s.WasmTime += other.WasmTime
	s.HostTime += other.HostTime
	s.Instructions += other.Instructions
	s.Cost += other.Cost
}

func (s *InstanceStats) addCounted(counted ffi.Statistics) {
	s.Add(InstanceStats{
		Calls: counted.Calls, HostCalls: counted.HostCalls, RefusedGrowths: counted.RefusedGrowths,
		WasmTime: time.Duration(counted.WasmTime), HostTime: time.Duration(counted.HostTime),
	})
}

func (s *InstanceStats) addMetered(m *meterState) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s.Instructions += m.readInstructions()
	s.Cost += m.readUsed()
}

// EngineStats is what there is of an engine, and what it has done. Sums include what is gone.
type EngineStats struct {
	// InstanceStats is the sum of all instances. In a store with modules of several engines that of the first counts.
	InstanceStats
	// Engines, Modules, Stores and Instances are those that were neither closed nor collected. An instance counts as long as
	// its store holds its memory: see Instance.Close.
	Engines   int64 `json:"engines"`
	Modules   int64 `json:"modules"`
	Stores    int64 `json:"stores"`
	Instances int64 `json:"instances"`
	// CodeModules are the modules of which there is machine code, CodeBytes its size: of modules that instances hold, and of
	// those that the engine makes for host functions, too.
	CodeModules int64 `json:"code_modules"`
	CodeBytes   int64 `json:"code_bytes"`
	// Compilations succeeded, FailedCompilations failed; CompileTime is the time of both. Loading artifacts is neither.
	Compilations       uint64        `json:"compilations"`
	FailedCompilations uint64        `json:"failed_compilations"`
	CompileTime        time.Duration `json:"compile_time_ns"`
	// Instantiations are the instances that were linked, those whose start function failed included.
	Instantiations uint64 `json:"instantiations"`
	// CacheHits are the modules that a cache had, or that another goroutine was about to put there; CacheMisses those that it
	// had not, of which CacheCorrupt had an entry that was damaged, or was none.
	CacheHits    uint64 `json:"cache_hits"`
	CacheMisses  uint64 `json:"cache_misses"`
	CacheCorrupt uint64 `json:"cache_corrupt"`
	// CacheErrors are the failures of a cache to read or keep an entry, CacheEvictions the entries that had to go for others.
	CacheErrors    uint64 `json:"cache_errors"`
	CacheEvictions uint64 `json:"cache_evictions"`
	// CacheBytesRead and CacheBytesWritten are the sizes of the entries that were used, and that were put.
	CacheBytesRead    uint64 `json:"cache_bytes_read"`
	CacheBytesWritten uint64 `json:"cache_bytes_written"`
	// TierUps are the optimizations of a Tiered engine that succeeded, each for all modules that have the same bytes, FailedTierUps
	// those that failed, or that found no room in the queue; PendingTierUps wait or are under way. TierUpTime is the time of those
	// that ended. They are not among Compilations.
	TierUps        uint64        `json:"tier_ups"`
	FailedTierUps  uint64        `json:"failed_tier_ups"`
	PendingTierUps int64         `json:"pending_tier_ups"`
	TierUpTime     time.Duration `json:"tier_up_time_ns"`
}

// ProcessStats is what there is in the process, and what all engines have done.
type ProcessStats struct {
	EngineStats
	// Memories are the linear memories, MemoryBytes the bytes of them that guests can reach. ReservedBytes is the address space
	// that is held for them and for later ones.
	Memories      int64 `json:"memories"`
	MemoryBytes   int64 `json:"memory_bytes"`
	ReservedBytes int64 `json:"reserved_bytes"`
	// Images are the initial contents that memories share until they write them: of modules with much data, as soon as they have
	// a second instance. ImageBytes are their bytes, which MemoryBytes has too, for each memory.
	Images     int64 `json:"images"`
	ImageBytes int64 `json:"image_bytes"`
	// Externs are the functions, memories, tables, globals and tags that the host has come by and that their stores keep.
	Externs int64 `json:"externs"`
	// ResidentBytes is the physical memory of the whole process; 0 where the system does not tell, which is all but Linux.
	ResidentBytes int64 `json:"resident_bytes"`
}

// Stats is what was counted of the instance until now, or until it was freed. Any goroutine may ask at any time, also while
// a call is under way, for which nobody waits. Calls of exports that the host made count for it; what these call in other
// instances does too. An instance that the host made of externs has none.
func (i *Instance) Stats() InstanceStats {
	if i == nil || i.tally == nil {
		return InstanceStats{}
	}
	return i.tally.read()
}

// Stats is what was counted of the engine until now, or until it was closed, and of what it made, which may live longer. Any
// goroutine may ask at any time. It takes time for each store of the process.
func (e *Engine) Stats() EngineStats {
	if e == nil {
		return EngineStats{}
	}
	stats := e.account.stats()
	code := e.account.code.Read()
	runtime.KeepAlive(e)
	stats.CodeModules, stats.CodeBytes = int64(code.Modules), int64(code.Bytes)
	return stats
}

// Stats is what was counted of all engines of the process. Any goroutine may ask at any time. It takes time for each store
// of the process. It is ready for package expvar.
func Stats() ProcessStats {
	live, memories := ffi.ReadLive(), ffi.ReadMemoryStats(false)
	stats := ProcessStats{
		EngineStats: process.stats(),
		Memories:    int64(memories.Memories), MemoryBytes: int64(memories.Accessible), ReservedBytes: int64(memories.Reserved),
		Images: int64(memories.Images), ImageBytes: int64(memories.ImageBytes),
		Externs: int64(live.Externs), ResidentBytes: residentBytes(),
	}
	stats.CodeModules, stats.CodeBytes = int64(live.Code.Modules), int64(live.Code.Bytes)
	return stats
}

func residentBytes() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(data)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}
