package wasmer_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Numbers of WASI that tests look for.
const (
	errnoSuccess, errnoAgain, errnoBadf, errnoFault, errnoInval, errnoIO = 0, 6, 8, 21, 28, 29
	errnoNoent, errnoNospc, errnoNotconn, errnoNotsock, errnoNotsup      = 44, 51, 53, 57, 58
	errnoPerm, errnoPipe, errnoRofs, errnoSpipe, errnoNotcapable         = 63, 64, 69, 70, 76

	clockRealtime, clockMonotonic = 0, 1
	flagNonblock                  = 4
	allRights                     = 1<<30 - 1
	// pastMemory is an address that the probe does not have.
	pastMemory = 64 << 16
)

// wasiSignatures are the functions of WASI with their parameters: i is i32, I is i64.
var wasiSignatures = map[string]string{
	"args_get": "ii", "args_sizes_get": "ii", "environ_get": "ii", "environ_sizes_get": "ii", "clock_res_get": "ii",
	"clock_time_get": "iIi", "fd_close": "i", "fd_fdstat_get": "ii", "fd_fdstat_set_flags": "ii", "fd_filestat_get": "ii",
	"fd_prestat_get": "ii", "fd_prestat_dir_name": "iii", "fd_read": "iiii", "fd_seek": "iIii", "fd_tell": "ii",
	"fd_write": "iiii", "path_filestat_get": "iiiii", "path_open": "iiiiiIIii", "poll_oneoff": "iiii", "random_get": "ii",
	"sched_yield": "", "sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii", "sock_shutdown": "ii",
}

// probeText is a module whose exports call the functions of WASI, so that a test can make the calls of a guest.
func probeText(version string) string {
	var imports, exports strings.Builder
	for name, letters := range wasiSignatures {
		var arguments strings.Builder
		for n := range letters {
			fmt.Fprintf(&arguments, "(local.get %d)", n)
		}
		params := strings.NewReplacer("i", " i32", "I", " i64").Replace(letters)
		fmt.Fprintf(&imports, "(import %q %q (func $%s (param%s) (result i32)))", version, name, name, params)
		fmt.Fprintf(&exports, "(func (export %q) (param%s) (result i32) (call $%s %s))", name, params, name, arguments.String())
	}
	return "(module $probe " + imports.String() + `(memory (export "memory") 64)` + exports.String() + ")"
}

// probe is an instance of probeText. Its addresses below 4096 are for the parts of calls, data lies above.
type probe struct {
	*wasmer.Instance
	t   testing.TB
	ctx context.Context
}

const probeData = 4096

func newProbe(t testing.TB, module *wasmer.Module, wasi *wasmer.WASI) *probe {
	t.Helper()
	return &probe{instantiateFrom(t, module, wasmer.NewImports().WASI(wasi)), t, background}
}

// probeOf is a probe with a configuration of its own.
func probeOf(t testing.TB, engine *wasmer.Engine, config wasmer.WASIConfig) *probe {
	t.Helper()
	return newProbe(t, compile(t, engine, probeText("wasi_snapshot_preview1")), newWASI(t, config))
}

// newWASI checks a configuration, and closes it with the test.
func newWASI(t testing.TB, config wasmer.WASIConfig) *wasmer.WASI {
	t.Helper()
	wasi := wasmer.NewWASI(config)
	require.NoError(t, wasi.Err())
	t.Cleanup(func() { require.NoError(t, wasi.Close()) })
	return wasi
}

// try calls a function of WASI.
func (p *probe) try(name string, args ...any) (errno int, err error) {
	f, err := p.Function(name)
	if err != nil {
		return 0, err
	}
	values, err := f.Call(p.ctx, args...)
	if err != nil {
		return 0, err
	}
	return int(values[0].ToI32()), nil
}

// errno calls a function of WASI, which must not end the guest.
func (p *probe) errno(name string, args ...any) int {
	p.t.Helper()
	errno, err := p.try(name, args...)
	require.NoError(p.t, err)
	return errno
}

func (p *probe) put(address uint32, data []byte) {
	p.t.Helper()
	require.NoError(p.t, p.Memory.Write(uint64(address), data))
}

func (p *probe) get(address uint32, n int) []byte {
	p.t.Helper()
	data, err := p.Memory.Read(uint64(address), uint64(n))
	require.NoError(p.t, err)
	return data
}

func (p *probe) u32(address uint32) uint32 { return binary.LittleEndian.Uint32(p.get(address, 4)) }

func (p *probe) u64(address uint32) uint64 { return binary.LittleEndian.Uint64(p.get(address, 8)) }

// vectors puts a list of buffers of these sizes, one after the other from probeData on, to address 0.
func (p *probe) vectors(sizes ...int) {
	p.t.Helper()
	var list []byte
	at := uint32(probeData)
	for _, size := range sizes {
		list = binary.LittleEndian.AppendUint32(list, at)
		list = binary.LittleEndian.AppendUint32(list, uint32(size))
		at += uint32(size)
	}
	p.put(0, list)
}

const resultAddress = 2048

// write is fd_write, with a buffer for each part.
func (p *probe) write(fd int, parts ...string) (n, errno int) {
	p.t.Helper()
	p.data(parts)
	errno = p.errno("fd_write", fd, 0, len(parts), resultAddress)
	return int(p.u32(resultAddress)), errno
}

func (p *probe) data(parts []string) {
	p.t.Helper()
	var sizes []int
	for _, part := range parts {
		sizes = append(sizes, len(part))
	}
	p.vectors(sizes...)
	p.put(probeData, []byte(strings.Join(parts, "")))
}

// read is fd_read into one buffer.
func (p *probe) read(fd, size int) (data string, errno int) {
	p.t.Helper()
	p.vectors(size)
	errno = p.errno("fd_read", fd, 0, 1, resultAddress)
	if errno != errnoSuccess {
		return "", errno
	}
	return string(p.get(probeData, int(p.u32(resultAddress)))), errno
}

// readAll reads to the end.
func (p *probe) readAll(fd, size int) string {
	p.t.Helper()
	var all strings.Builder
	for {
		data, errno := p.read(fd, size)
		require.Zero(p.t, errno)
		if data == "" {
			return all.String()
		}
		all.WriteString(data)
	}
}

// open is path_open with all rights.
func (p *probe) open(fd int, path string, how int) (opened, errno int) {
	p.t.Helper()
	p.put(probeData, []byte(path))
	errno = p.errno("path_open", fd, 1, probeData, len(path), how, allRights, allRights, 0, resultAddress)
	return int(p.u32(resultAddress)), errno
}

func (p *probe) clock(id int) uint64 {
	p.t.Helper()
	require.Zero(p.t, p.errno("clock_time_get", id, 1, resultAddress))
	return p.u64(resultAddress)
}

func (p *probe) random(n int) []byte {
	p.t.Helper()
	require.Zero(p.t, p.errno("random_get", probeData, n))
	return p.get(probeData, n)
}

// strings reads the arguments or the environment.
func (p *probe) strings(kind string) []string {
	p.t.Helper()
	require.Zero(p.t, p.errno(kind+"_sizes_get", 0, 4))
	count, size := p.u32(0), p.u32(4)
	require.Zero(p.t, p.errno(kind+"_get", 0, probeData))
	list := []string{}
	for n := range count {
		s, err := p.Memory.ReadCString(uint64(p.u32(4 * n)))
		require.NoError(p.t, err)
		size -= uint32(len(s)) + 1
		list = append(list, s)
	}
	require.Zero(p.t, size, "the size is that of the strings with their NULs")
	return list
}
