package wasmer

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasip1"
)

// The modules that guests import WASI from: the version of 2020, and the one before, which only old compilers use.
const (
	wasiSnapshot1 = "wasi_snapshot_preview1"
	wasiSnapshot0 = "wasi_unstable"
)

// arguments are what a guest passes to a function of WASI.
type arguments []ffi.Slot

func (a arguments) u32(i int) uint32 { return uint32(a[i].Lo) }
func (a arguments) u64(i int) uint64 { return a[i].Lo }

type wasiFunction func(c *wasip1.Call, a arguments) wasip1.Errno

// wasiSignatures are the parameters: i is i32, I is i64. The result is an error number always.
var wasiSignatures = map[string]struct {
	params string
	call   wasiFunction
}{
	"args_get":       {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.ArgsGet(a.u32(0), a.u32(1)) }},
	"args_sizes_get": {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.ArgsSizesGet(a.u32(0), a.u32(1)) }},
	"environ_get":    {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.EnvironGet(a.u32(0), a.u32(1)) }},
	"environ_sizes_get": {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.EnvironSizesGet(a.u32(0), a.u32(1))
	}},
	"clock_res_get": {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.ClockResGet(a.u32(0), a.u32(1)) }},
	"clock_time_get": {"iIi", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.ClockTimeGet(a.u32(0), a.u64(1), a.u32(2))
	}},
	"fd_advise": {"iIIi", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdAdvise(a.u32(0), a.u64(1), a.u64(2), a.u32(3))
	}},
	"fd_allocate": {"iII", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdAllocate(a.u32(0), a.u64(1), a.u64(2))
	}},
	"fd_close":      {"i", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.FdClose(a.u32(0)) }},
	"fd_datasync":   {"i", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.FdDatasync(a.u32(0)) }},
	"fd_sync":       {"i", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.FdSync(a.u32(0)) }},
	"fd_fdstat_get": {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.FdFdstatGet(a.u32(0), a.u32(1)) }},
	"fd_fdstat_set_flags": {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdFdstatSetFlags(a.u32(0), a.u32(1))
	}},
	"fd_fdstat_set_rights": {"iII", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdFdstatSetRights(a.u32(0), a.u64(1), a.u64(2))
	}},
	"fd_filestat_get": {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdFilestatGet(a.u32(0), a.u32(1))
	}},
	"fd_filestat_set_size": {"iI", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdFilestatSetSize(a.u32(0), a.u64(1))
	}},
	"fd_filestat_set_times": {"iIIi", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdFilestatSetTimes(a.u32(0), a.u64(1), a.u64(2), a.u32(3))
	}},
	"fd_pread": {"iiiIi", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdPread(a.u32(0), a.u32(1), a.u32(2), a.u64(3), a.u32(4))
	}},
	"fd_prestat_get": {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.FdPrestatGet(a.u32(0), a.u32(1)) }},
	"fd_prestat_dir_name": {"iii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdPrestatDirName(a.u32(0), a.u32(1), a.u32(2))
	}},
	"fd_pwrite": {"iiiIi", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdPwrite(a.u32(0), a.u32(1), a.u32(2), a.u64(3), a.u32(4))
	}},
	"fd_read": {"iiii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdRead(a.u32(0), a.u32(1), a.u32(2), a.u32(3))
	}},
	"fd_readdir": {"iiiIi", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdReaddir(a.u32(0), a.u32(1), a.u32(2), a.u64(3), a.u32(4))
	}},
	"fd_renumber": {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.FdRenumber(a.u32(0), a.u32(1)) }},
	"fd_seek": {"iIii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdSeek(a.u32(0), int64(a.u64(1)), a.u32(2), a.u32(3))
	}},
	"fd_tell": {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.FdTell(a.u32(0), a.u32(1)) }},
	"fd_write": {"iiii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.FdWrite(a.u32(0), a.u32(1), a.u32(2), a.u32(3))
	}},
	"path_create_directory": {"iii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.PathCreateDirectory(a.u32(0), a.u32(1), a.u32(2))
	}},
	"path_filestat_get": {"iiiii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.PathFilestatGet(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4))
	}},
	"path_filestat_set_times": {"iiiiIIi", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.PathFilestatSetTimes(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u64(4), a.u64(5), a.u32(6))
	}},
	"path_link": {"iiiiiii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.PathLink(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4), a.u32(5), a.u32(6))
	}},
	"path_open": {"iiiiiIIii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.PathOpen(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4), a.u64(5), a.u64(6), a.u32(7), a.u32(8))
	}},
	"path_readlink": {"iiiiii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.PathReadlink(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4), a.u32(5))
	}},
	"path_remove_directory": {"iii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.PathRemoveDirectory(a.u32(0), a.u32(1), a.u32(2))
	}},
	"path_rename": {"iiiiii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.PathRename(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4), a.u32(5))
	}},
	"path_symlink": {"iiiii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.PathSymlink(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4))
	}},
	"path_unlink_file": {"iii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.PathUnlinkFile(a.u32(0), a.u32(1), a.u32(2))
	}},
	"poll_oneoff": {"iiii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.PollOneoff(a.u32(0), a.u32(1), a.u32(2), a.u32(3))
	}},
	"random_get":  {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.RandomGet(a.u32(0), a.u32(1)) }},
	"sched_yield": {"", func(c *wasip1.Call, _ arguments) wasip1.Errno { return c.SchedYield() }},
	"sock_accept": {"iii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.SockAccept(a.u32(0), a.u32(1), a.u32(2))
	}},
	"sock_recv": {"iiiiii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.SockRecv(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4), a.u32(5))
	}},
	"sock_send": {"iiiii", func(c *wasip1.Call, a arguments) wasip1.Errno {
		return c.SockSend(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4))
	}},
	"sock_shutdown": {"ii", func(c *wasip1.Call, a arguments) wasip1.Errno { return c.SockShutdown(a.u32(0), a.u32(1)) }},
}

// wasiDefinitions are the functions by module and name. They know their guest by the caller.
var wasiDefinitions = sync.OnceValue(func() map[importKey]*hostDefinition {
	all := map[importKey]*hostDefinition{}
	for _, module := range []string{wasiSnapshot1, wasiSnapshot0} {
		for name, f := range wasiSignatures {
			all[importKey{module, name}] = &hostDefinition{
				typ:  FunctionType{Params: wasiParams(f.params), Results: []ValueType{ValueTypeI32}},
				call: wasiCall(f.call, module == wasiSnapshot0),
			}
		}
		all[importKey{module, "clock_time_get"}].native = ffi.NativeClockTimeGet
		all[importKey{module, "proc_exit"}] = &hostDefinition{
			typ:  FunctionType{Params: []ValueType{ValueTypeI32}},
			call: func(c *Caller, a []ffi.Slot) error { return c.Exit(uint32(a[0].Lo)) },
		}
		all[importKey{module, "proc_raise"}] = &hostDefinition{
			typ:  FunctionType{Params: []ValueType{ValueTypeI32}, Results: []ValueType{ValueTypeI32}},
			call: wasiRaise,
		}
	}
	return all
})

func wasiParams(signature string) (types []ValueType) {
	for _, letter := range signature {
		types = append(types, map[rune]ValueType{'i': ValueTypeI32, 'I': ValueTypeI64}[letter])
	}
	return types
}

func wasiCall(f wasiFunction, snapshot0 bool) hostCall {
	return func(caller *Caller, a []ffi.Slot) error {
		i := caller.instance
		c := &i.call
		if c.Context != nil { // one of the guest's streams has called it back
			c = &wasip1.Call{Process: i.process, Moved: i.call.Moved}
		}
		c.Memory, c.Context, c.Snapshot0, c.Outer = i.wasiMemory(), caller.store.ctx, snapshot0, nil
		if outer := caller.store.current; outer != nil && outer != i {
			c.Outer = outer.Done()
		}
		errno := f(c, a)
		c.Context = nil
		if errno.Stopped() {
			return i.stopped(caller)
		}
		a[0].Lo = uint64(errno)
		return nil
	}
}

// stopped is why a guest is ended that was waiting.
func (i *Instance) stopped(caller *Caller) error {
	if err := i.ending(); err != nil {
		return err
	}
	if err := caller.store.current.ending(); err != nil {
		return err
	}
	return interrupted(caller.Context())
}

// wasiRaise ends the guest as a shell would see it: with 128 and the signal's number. Some signals are ignored, as their
// default is.
func wasiRaise(c *Caller, a []ffi.Slot) error {
	const child, goOn, urgent, window, last = 16, 17, 22, 27, 30
	switch signal := uint32(a[0].Lo); {
	case signal > last:
		a[0].Lo = uint64(wasip1.EINVAL)
	case signal == 0 || signal == child || signal == goOn || signal == urgent || signal == window:
		a[0].Lo = uint64(wasip1.Success)
	default:
		return c.Exit(128 + signal)
	}
	return nil
}

// wasiMemory is the memory that pointers mean: the exported one, else the one that the module imports.
func (i *Instance) wasiMemory() []byte {
	if i.Memory != nil {
		return i.Memory.definition.Bytes()
	}
	if i.imported != nil {
		return i.imported.Bytes()
	}
	return nil
}

// startProcess gives the instance file descriptors of its own.
func (w *WASI) startProcess(i *Instance) error {
	if err := w.Err(); err != nil {
		return err
	}
	if i.process == nil {
		i.process = w.system.NewProcess(i.Done())
		i.call.Process = i.process
		if i.module.engine.config.Memories == BoundedMemories {
			i.call.Moved = i.wasiMemory
		}
		i.store.processes = append(i.store.processes, i.process)
	}
	return nil
}

// endProcess closes the guest's files as soon as it runs no more.
func (i *Instance) endProcess() {
	switch {
	case i.process == nil:
	case i.store.gate.tryEnter():
		i.abandonProcess()
		i.store.leaveGate()
	case !i.store.gate.closed(): // else it happens when the store is freed
		go func() {
			if i.store.gate.wait(context.Background()) == nil {
				i.abandonProcess()
				i.store.leaveGate()
			} else {
				i.store.freeIfUnused()
			}
		}()
	}
}

// abandonProcess closes the guest's files, with the store entered.
func (i *Instance) abandonProcess() {
	if i.process == nil {
		return
	}
	i.process.Close()
	s := i.store
	s.processes = slices.DeleteFunc(s.processes, func(p *wasip1.Process) bool { return p == i.process })
}

// WASI gives the guest the functions of WASI, under the names of its versions: wasi_snapshot_preview1 and wasi_unstable.
// Functions that are defined otherwise, before or after, take the place of single ones. Each instance gets file
// descriptors of its own.
func (i *Imports) WASI(wasi *WASI) *Imports {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := wasi.Err(); err != nil {
		i.keep(err)
	} else if i.closed {
		i.keep(ErrClosed)
	} else {
		i.wasi = wasi
	}
	return i
}

// WasiVersion is a version of WASI that a module needs.
type WasiVersion uint

// The versions, under the names of go-ext-wasm.
const (
	// Unknown is none of the others.
	Unknown WasiVersion = iota
	// Snapshot0 is wasi_unstable.
	Snapshot0
	// Snapshot1 is wasi_snapshot_preview1.
	Snapshot1
	// Latest is the newest version.
	Latest = Snapshot1
)

func (v WasiVersion) String() string {
	switch v {
	case Snapshot0:
		return wasiSnapshot0
	case Snapshot1:
		return wasiSnapshot1
	}
	return "unknown"
}

// WASIVersion is the newest version of WASI that the module imports functions of; Unknown if it imports none.
func WASIVersion(module *Module) WasiVersion {
	version := Unknown
	for _, want := range module.Imports() {
		switch {
		case want.Type.Kind != ExternFunction:
		case want.Module == wasiSnapshot0:
			version = max(version, Snapshot0)
		case want.Module == wasiSnapshot1:
			return Snapshot1
		}
	}
	return version
}

// WasiGetVersion is WASIVersion.
func WasiGetVersion(module *Module) WasiVersion { return WASIVersion(module) }

func isWASI(module string) bool { return module == wasiSnapshot1 || module == wasiSnapshot0 }

// foreignWASI says what a guest needs instead, if a module name is that of something else than WASI preview 1.
func foreignWASI(module string) string {
	switch {
	case strings.HasPrefix(module, "wasix_"):
		return "the guest needs WASIX, which is not WASI: build it for wasm32-wasip1"
	case strings.HasPrefix(module, "wasi:"):
		return "the guest needs WASI preview 2 or later, which is made of components: build it for wasm32-wasip1"
	case isWASI(module):
		return "the guest needs WASI: add it with Imports.WASI"
	case strings.HasPrefix(module, "wasi_"):
		return "the guest needs a version of WASI that never came to be: build it for wasm32-wasip1"
	case module == "go" || module == "gojs":
		return "a GOOS=js guest: build it with GOOS=wasip1, or run it with package gojs"
	}
	return ""
}
