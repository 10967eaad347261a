package wasip1

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// poll subscribes to the same many times.
func (g *guest) poll(count uint32, kind uint8, fd uint32) Errno {
	memory := make([]byte, count*(subscriptionSize+eventSize)+8)
	for i := range count {
		memory[i*subscriptionSize+8] = kind
		binary.LittleEndian.PutUint32(memory[i*subscriptionSize+16:], fd)
	}
	call := g.Call
	call.Memory = memory
	return call.PollOneoff(0, count*subscriptionSize, count, uint32(len(memory)-8))
}

// A guest may subscribe to more than there are descriptors.
func TestPollTakesManySubscriptions(t *testing.T) {
	for _, count := range []uint32{1, 65_533, 65_534, 70_000, 1_000_000} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		g := newGuestOf(t, ctx, Config{Stdin: silent(t)})
		require.NotPanics(t, func() { require.True(t, g.poll(count, eventRead, 0).Stopped()) })
		cancel()
		require.Equal(t, Success, g.poll(count, eventWrite, 1))
	}
}

// hostileGuest has a descriptor of each kind, and a small file with the number file.
func hostileGuest(t *testing.T) (g *guest, file uint32) {
	t.Helper()
	g = newGuestOf(t, t.Context(), Config{
		Args: []string{"one", "two"}, Env: []string{"three=four"}, Preopens: []Preopen{{Guest: "/", Dir: sampleMemory(t)}},
	})
	file, errno := g.open(firstMount, "file", 0, allRights)
	require.Equal(t, Success, errno)
	return g, file
}

// valid are arguments with which a function succeeds.
func valid(g *guest, file uint32) map[string]args {
	const dir, path, other = firstMount, pathAt, newPathAt
	one, two := uint64(4), uint64(3) // the lengths of "file" and "new"
	return map[string]args{
		"args_get": {resultAt, bufferAt}, "args_sizes_get": {resultAt, bufferAt}, "environ_get": {resultAt, bufferAt},
		"environ_sizes_get": {resultAt, bufferAt}, "clock_res_get": {0, resultAt}, "clock_time_get": {1, 0, resultAt},
		"random_get": {bufferAt, 16}, "poll_oneoff": {bufferAt, bufferAt + 0x1000, 1, resultAt},
		"fd_fdstat_get": {uint64(file), resultAt}, "fd_filestat_get": {uint64(file), bufferAt}, "fd_prestat_get": {dir, resultAt},
		"fd_prestat_dir_name": {dir, bufferAt, 1}, "fd_read": {uint64(file), vectorAt, 1, resultAt},
		"fd_write": {uint64(file), vectorAt, 1, resultAt}, "fd_pread": {uint64(file), vectorAt, 1, 0, resultAt},
		"fd_pwrite": {uint64(file), vectorAt, 1, 0, resultAt}, "fd_readdir": {dir, bufferAt, 256, 0, resultAt},
		"fd_seek": {uint64(file), 0, 0, resultAt}, "fd_tell": {uint64(file), resultAt},
		"path_create_directory": {dir, other, two}, "path_filestat_get": {dir, 0, path, one, bufferAt},
		"path_filestat_set_times": {dir, 0, path, one, 0, 0, 0}, "path_link": {dir, 0, path, one, dir, other, two},
		"path_open": {dir, 0, path, one, 0, uint64(RightRead), 0, 0, resultAt}, "path_rename": {dir, path, one, dir, other, two},
		"path_symlink": {path, one, dir, other, two}, "path_unlink_file": {dir, path, one},
	}
}

// prepare puts into the memory what the valid arguments point to.
func (g *guest) prepare() {
	clear(g.Memory)
	g.text(pathAt, "file")
	g.text(newPathAt, "new")
	g.vector(bufferAt, 4)
}

// What is wrong with a pointer is found before anything is done, wherever the memory ends.
func TestPointersBeyondTheMemory(t *testing.T) {
	for name := range valid(hostileGuest(t)) {
		g, file := hostileGuest(t)
		g.prepare()
		require.Equal(t, Success, functions[name].call(g.Call, valid(g, file)[name]), name)
		for i, kind := range expand(functions[name].kinds) {
			if kind != 'p' {
				continue
			}
			for _, pointer := range []uint64{guestSize + 1, math.MaxUint32, math.MaxUint32 - 3, 1 << 31, guestSize - 1} {
				g, file := hostileGuest(t)
				a := append(args{}, valid(g, file)[name]...)
				if pointer == guestSize-1 && name == "fd_prestat_dir_name" {
					continue // its text has one byte
				}
				before := g.entries(t, firstMount, 1024)
				g.prepare()
				a[i] = pointer
				require.Equal(t, EFAULT.Error(), functions[name].call(g.Call, a).Error(), "%s%x", name, a)
				require.Equal(t, before, g.entries(t, firstMount, 1024), name)
				require.Zero(t, g.table.list[file].offset, name)
				require.Len(t, g.table.list, int(file)+1, name)
			}
		}
	}
}

// expand gives each parameter its kind.
func expand(kinds string) (expanded []rune) {
	for _, kind := range kinds {
		switch kind {
		case 's', 'v':
			expanded = append(expanded, 'p', 'n')
		default:
			expanded = append(expanded, kind)
		}
	}
	return expanded
}

// A guest that has no memory, or next to none, gets errors only.
func TestGuestsWithoutMemory(t *testing.T) {
	for _, memory := range [][]byte{nil, {}, make([]byte, 1), make([]byte, 3)} {
		for name := range valid(hostileGuest(t)) {
			g, file := hostileGuest(t)
			call := g.Call
			call.Memory = memory
			errno := functions[name].call(call, valid(g, file)[name])
			require.Equal(t, EFAULT, errno, name)
			require.NotPanics(t, func() { functions[name].call(call, make(args, len(expand(functions[name].kinds)))) }, name)
		}
	}
}

func TestWhatEndsWithTheMemoryIsFine(t *testing.T) {
	g, file := hostileGuest(t)
	for name, test := range map[string]struct {
		errno Errno
	}{
		"result":     {g.FdTell(file, guestSize-8)},
		"stat":       {g.FdFilestatGet(file, guestSize-64)},
		"fdstat":     {g.FdFdstatGet(file, guestSize-24)},
		"bytes":      {g.RandomGet(guestSize-5, 5)},
		"no bytes":   {g.RandomGet(guestSize, 0)},
		"no vectors": {g.FdRead(file, guestSize, 0, resultAt)},
		"sizes":      {g.ArgsSizesGet(guestSize-4, guestSize-8)},
		"readdir":    {g.FdReaddir(firstMount, guestSize-10, 10, 0, resultAt)},
	} {
		require.Equal(t, Success, test.errno, name)
	}
	g.text(guestSize-4, "file")
	require.Equal(t, Success, g.PathFilestatGet(firstMount, 0, guestSize-4, 4, bufferAt))
	require.Equal(t, EFAULT, g.PathFilestatGet(firstMount, 0, guestSize-4, 5, bufferAt))
	binary.LittleEndian.PutUint32(g.Memory[guestSize-8:], guestSize-8)
	binary.LittleEndian.PutUint32(g.Memory[guestSize-4:], 8)
	require.Equal(t, Success, g.FdPwrite(file, guestSize-8, 1, 0, resultAt))
	require.Equal(t, EFAULT, g.FdPwrite(file, guestSize-8, 2, 0, resultAt))
	require.Equal(t, Success, g.FdPread(file, guestSize-8, 1, 0, resultAt), "into the list itself")
}

// Lists whose lengths overflow 32 bits are refused, in a memory of 4 GiB as well.
func TestListsThatOverflow(t *testing.T) {
	g, file := hostileGuest(t)
	const count = guestSize / vectorSize / 2
	for i := range uint32(count) {
		binary.LittleEndian.PutUint32(g.Memory[i*8:], 0)
		binary.LittleEndian.PutUint32(g.Memory[i*8+4:], guestSize)
	}
	// 4096 vectors of 64 KiB are 256 MiB, which is allowed; what a write takes of it is the file system's matter.
	require.Equal(t, Success, g.FdRead(file, 0, count, guestSize-4))
	for _, count := range []uint32{1 << 29, 1<<29 + 1, 1 << 30, 1 << 31, math.MaxUint32, guestSize/vectorSize + 1} {
		for name, errno := range map[string]Errno{
			"read": g.FdRead(file, 0, count, 0), "write": g.FdWrite(file, 0, count, 0), "pread": g.FdPread(file, 0, count, 0, 0),
			"pwrite": g.FdPwrite(file, 0, count, 0, 0),
		} {
			require.Equal(t, EFAULT, errno, "%s of %d vectors", name, count)
		}
	}
	for _, count := range []uint32{1 << 26, 1 << 27, 1 << 28, 1 << 31, math.MaxUint32} {
		require.NotEqual(t, Success, g.PollOneoff(0, 0, count, 0))
	}
	all, err := unix.Mmap(-1, 0, 1<<32, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		t.Skip("there are no 4 GiB of addresses")
	}
	defer func() { require.NoError(t, unix.Munmap(all)) }()
	g.Memory = all
	require.Equal(t, EFAULT, g.FdRead(file, 8, 1<<29, 64))
	require.Equal(t, EFAULT, g.FdWrite(file, 1<<31, 1<<29, 64))
	require.Equal(t, EFAULT, g.RandomGet(2, math.MaxUint32))
	require.NotEqual(t, Success, g.PollOneoff(0, 0, 1<<27, 64))
	g.vector(0, math.MaxUint32)
	require.Equal(t, EINVAL, g.FdRead(file, vectorAt, 1, 64))
	g.vector(1<<31, 1<<31-1)
	require.Equal(t, Success, g.FdRead(file, vectorAt, 1, 64))
}

// A folder that was closed says so.
func TestClosedFoldersAreBadDescriptors(t *testing.T) {
	for name, dir := range map[string]Dir{"host": openHost(t, t.TempDir()), "memory": NewMemFS().Root()} {
		require.NoError(t, dir.Close())
		for _, path := range []string{".", "x", "x/y"} {
			require.Equal(t, EBADF, errnoOf(stating(path, false)(dir)), "%s: stat %s", name, path)
			require.Equal(t, EBADF, errnoOf(opening(path, OpenOptions{Read: true})(dir)), "%s: open %s", name, path)
			require.Equal(t, EBADF, errnoOf(dir.MakeDir(path)), "%s: mkdir %s", name, path)
		}
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Some writers cannot be compared, which only shows when they are.
func TestWritersThatCannotBeCompared(t *testing.T) {
	writer := struct{ io.Writer }{writerFunc(func(p []byte) (int, error) { return len(p), nil })}
	require.NotPanics(t, func() { NewSystem(Config{Stdout: writer, Stderr: writer}) })
}

// However much a guest wants to see of what comes, the host keeps little of it.
func TestPeeksAreBounded(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	g := newGuestOf(t, t.Context(), Config{Conns: []net.Conn{near}})
	g.Memory = make([]byte, 8<<20)
	go func() {
		for {
			if _, err := far.Write(make([]byte, streamBuffer)); err != nil {
				return
			}
		}
	}()
	list, count := g.vector(bufferAt, 7<<20)
	for range 100 {
		require.Equal(t, Success, g.SockRecv(firstMount, list, count, recvPeek, resultAt, resultAt+4))
		require.LessOrEqual(t, g.result(), uint32(2*streamBuffer))
	}
}
