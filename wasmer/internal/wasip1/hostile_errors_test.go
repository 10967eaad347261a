package wasip1

import (
	"encoding/binary"
	"math"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each function says of a number that stands for nothing that it is bad.
func TestUnknownDescriptors(t *testing.T) {
	for name, function := range functions {
		for i, kind := range expand(function.kinds) {
			if kind != 'd' {
				continue
			}
			for _, fd := range []uint64{firstMount + 2, 1000, maxDescriptors, math.MaxInt32, 1 << 31, math.MaxUint32} {
				g, file := hostileGuest(t)
				g.prepare()
				a := make(args, len(expand(function.kinds)))
				copy(a, valid(g, file)[name])
				a[i] = fd
				if name == "fd_renumber" {
					a[1-i] = uint64(file)
				}
				require.Equal(t, EBADF, function.call(g.Call, a), "%s%x", name, a)
			}
		}
	}
}

// The kinds of descriptors in a guest of TestWrongKinds.
const (
	stdin, stdout = 0, 1
	folderFD      = firstMount
	listenerFD    = firstMount + 1
	socketFD      = firstMount + 2
	fileFD        = firstMount + 3
)

func TestWrongKinds(t *testing.T) {
	for name, errnos := range map[string]map[uint64]Errno{
		"fd_advise":             {stdin: ENOTCAPABLE, listenerFD: ENOTCAPABLE, socketFD: ENOTCAPABLE, folderFD: EBADF},
		"fd_allocate":           {stdin: EINVAL, listenerFD: EINVAL, socketFD: EINVAL, folderFD: EBADF},
		"fd_filestat_set_size":  {stdin: EINVAL, listenerFD: EINVAL, socketFD: EINVAL, folderFD: EBADF},
		"fd_filestat_set_times": {stdin: ENOTCAPABLE, listenerFD: ENOTCAPABLE, socketFD: ENOTCAPABLE},
		"fd_read":               {stdout: EBADF, listenerFD: ENOTCONN, folderFD: EISDIR},
		"fd_write":              {stdin: EBADF, listenerFD: ENOTCONN, folderFD: EBADF},
		"fd_pread":              {stdin: ESPIPE, stdout: EBADF, socketFD: ESPIPE, listenerFD: ENOTCONN, folderFD: EISDIR},
		"fd_pwrite":             {stdin: EBADF, stdout: ESPIPE, socketFD: ESPIPE, listenerFD: ENOTCONN, folderFD: EBADF},
		"fd_seek":               {stdin: ESPIPE, listenerFD: ESPIPE, socketFD: ESPIPE, folderFD: EBADF},
		"fd_tell":               {stdin: ESPIPE, listenerFD: ESPIPE, socketFD: ESPIPE, folderFD: EBADF},
		"fd_readdir":            {stdin: ENOTDIR, listenerFD: ENOTDIR, socketFD: ENOTDIR, fileFD: ENOTDIR},
		"fd_prestat_get":        {stdin: EBADF, listenerFD: EBADF, socketFD: EBADF, fileFD: EBADF},
		"fd_prestat_dir_name":   {stdin: EBADF, listenerFD: EBADF, socketFD: EBADF, fileFD: EBADF},
		"path_open":             {stdin: ENOTDIR, listenerFD: ENOTDIR, socketFD: ENOTDIR, fileFD: ENOTDIR},
		"path_filestat_get":     {stdin: ENOTDIR, listenerFD: ENOTDIR, socketFD: ENOTDIR, fileFD: ENOTDIR},
		"path_create_directory": {stdin: ENOTDIR, listenerFD: ENOTDIR, socketFD: ENOTDIR, fileFD: ENOTDIR},
		"path_unlink_file":      {stdin: ENOTDIR, listenerFD: ENOTDIR, socketFD: ENOTDIR, fileFD: ENOTDIR},
		"path_rename":           {stdin: ENOTDIR, listenerFD: ENOTDIR, socketFD: ENOTDIR, fileFD: ENOTDIR},
		"path_link":             {stdin: ENOTDIR, listenerFD: ENOTDIR, socketFD: ENOTDIR, fileFD: ENOTDIR},
		"sock_accept":           {stdin: ENOTSOCK, folderFD: ENOTSOCK, socketFD: EINVAL, fileFD: ENOTSOCK},
		"sock_recv":             {stdin: ENOTSOCK, folderFD: ENOTSOCK, listenerFD: ENOTCONN, fileFD: ENOTSOCK},
		"sock_send":             {stdin: ENOTSOCK, folderFD: ENOTSOCK, listenerFD: ENOTCONN, fileFD: ENOTSOCK},
		"sock_shutdown":         {stdin: ENOTSOCK, folderFD: ENOTSOCK, listenerFD: ENOTCONN, fileFD: ENOTSOCK},
	} {
		for fd, want := range errnos {
			g := newGuestOf(t, t.Context(), Config{
				Preopens:  []Preopen{{Guest: "/", Dir: sampleMemory(t)}},
				Listeners: []net.Listener{listening(t)}, Conns: []net.Conn{connected(t)},
			})
			file, errno := g.open(folderFD, "file", 0, allRights)
			require.Equal(t, Success, errno)
			require.EqualValues(t, fileFD, file)
			g.prepare()
			a := make(args, len(expand(functions[name].kinds)))
			copy(a, valid(g, file)[name])
			a[0] = fd
			require.Equal(t, want.Error(), functions[name].call(g.Call, a).Error(), "%s of %d", name, fd)
		}
	}
}

func TestUnknownFlags(t *testing.T) {
	g, file := hostileGuest(t)
	for _, bad := range []uint32{1 << 6, 1 << 16, 1 << 31, math.MaxUint32} {
		g.prepare()
		for name, errno := range map[string]Errno{
			"advice": g.FdAdvise(file, 0, 0, bad), "clock": g.ClockTimeGet(bad, 0, resultAt), "resolution": g.ClockResGet(bad, resultAt),
			"fdflags": g.FdFdstatSetFlags(file, bad), "fstflags": g.FdFilestatSetTimes(file, 0, 0, bad),
			"path fstflags":  g.PathFilestatSetTimes(firstMount, 0, pathAt, 4, 0, 0, bad),
			"lookupflags":    g.PathFilestatGet(firstMount, bad, pathAt, 4, bufferAt),
			"lookup to open": g.PathOpen(firstMount, bad, pathAt, 4, 0, 0, 0, 0, resultAt),
			"lookup to link": g.PathLink(firstMount, bad, pathAt, 4, firstMount, newPathAt, 3),
			"oflags":         g.PathOpen(firstMount, 0, pathAt, 4, bad, 0, 0, 0, resultAt),
			"open fdflags":   g.PathOpen(firstMount, 0, pathAt, 4, 0, 0, 0, bad, resultAt),
			"whence":         g.FdSeek(file, 0, bad, resultAt),
		} {
			require.Equal(t, EINVAL.Error(), errno.Error(), "%s %x", name, bad)
		}
		old := g.Call
		old.Snapshot0 = true
		require.Equal(t, EINVAL, old.FdSeek(file, 0, bad, resultAt))
	}
	require.Equal(t, Success, g.FdFdstatGet(file, resultAt))
	require.Zero(t, binary.LittleEndian.Uint16(g.Memory[resultAt+2:]))
	require.Equal(t, ENOTCAPABLE, g.FdFdstatSetRights(file, math.MaxUint64, 0))
	require.Equal(t, ENOTCAPABLE, g.FdFdstatSetRights(file, 0, math.MaxUint64))
}

func TestOffsetsAndSizesAtTheLimits(t *testing.T) {
	for name, dir := range map[string]Dir{"host": openHost(t, t.TempDir()), "memory": NewMemFS().Root()} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, dir)
			file, errno := g.open(firstMount, "file", openCreate, allRights)
			require.Equal(t, Success, errno)
			g.vector(bufferAt, 4)
			for _, offset := range []uint64{1 << 63, 1<<63 + 1, math.MaxUint64 - 3, math.MaxUint64} {
				require.Equal(t, EINVAL, g.FdPread(file, vectorAt, 1, offset, resultAt))
				require.Equal(t, EINVAL, g.FdPwrite(file, vectorAt, 1, offset, resultAt))
				require.Equal(t, EINVAL, g.FdFilestatSetSize(file, offset))
				require.Equal(t, EINVAL, g.FdAllocate(file, offset, 1))
				require.Equal(t, EINVAL, g.FdAllocate(file, 0, offset))
				require.Equal(t, EINVAL, g.FdAdvise(file, offset, 1, 0))
				require.Equal(t, EINVAL, g.FdAdvise(file, 1, offset, 0))
				require.Equal(t, EINVAL, g.FdSeek(file, int64(offset), whenceSet, resultAt))
			}
			require.Equal(t, EINVAL, g.FdAllocate(file, 0, 0))
			require.Contains(t, []Errno{EFBIG, ENOSPC}, g.FdAllocate(file, 0, math.MaxInt64))
			require.Equal(t, EFBIG, g.FdAllocate(file, math.MaxInt64, 1))
			require.Equal(t, EFBIG, g.FdAllocate(file, 1, math.MaxInt64))
			require.Contains(t, []Errno{EFBIG, EINVAL}, g.FdFilestatSetSize(file, math.MaxInt64))
			require.Contains(t, []Errno{EFBIG, EINVAL}, g.FdPwrite(file, vectorAt, 1, math.MaxInt64, resultAt))
			require.Contains(t, []Errno{EFBIG, EINVAL}, g.FdPwrite(file, vectorAt, 1, math.MaxInt64-4, resultAt))
			require.Contains(t, []Errno{Success, EINVAL}, g.FdPread(file, vectorAt, 1, math.MaxInt64, resultAt))
			require.Equal(t, Success, g.FdSeek(file, math.MaxInt64, whenceSet, resultAt))
			require.Equal(t, EOVERFLOW, g.FdSeek(file, 1, whenceCur, resultAt))
			require.Equal(t, EOVERFLOW, g.FdSeek(file, math.MaxInt64, whenceCur, resultAt))
			require.Contains(t, []Errno{EFBIG, EINVAL}, g.FdWrite(file, vectorAt, 1, resultAt))
			require.Contains(t, []Errno{Success, EINVAL}, g.FdRead(file, vectorAt, 1, resultAt))
			require.Equal(t, EINVAL, g.FdSeek(file, math.MinInt64, whenceCur, resultAt))
			require.Equal(t, EINVAL, g.FdSeek(file, math.MinInt64, whenceEnd, resultAt))
			require.Equal(t, Success, g.FdTell(file, resultAt))
			require.EqualValues(t, math.MaxInt64, binary.LittleEndian.Uint64(g.Memory[resultAt:]))
			require.Equal(t, Success, g.FdFilestatGet(file, bufferAt))
			require.Zero(t, binary.LittleEndian.Uint64(g.Memory[bufferAt+32:]), "the file is empty still")
			for _, cookie := range []uint64{1, 3, 4, 1000, 1 << 31, 1 << 32, math.MaxInt64, 1 << 63, math.MaxUint64} {
				require.Equal(t, Success, g.FdReaddir(firstMount, bufferAt, 1024, cookie, resultAt))
				require.Equal(t, cookie < 3, g.result() > 0, "cookie %d", cookie)
			}
			require.Equal(t, []string{"file"}, g.entries(t, firstMount, 1024))
		})
	}
}

// The events may lie where the subscriptions lie, and the number of them there too.
func TestPollWritesWhereItReads(t *testing.T) {
	g, file := hostileGuest(t)
	for _, out := range []uint32{0, 1, 16, eventSize, subscriptionSize, 3 * subscriptionSize} {
		clear(g.Memory)
		for i := range uint32(3) {
			binary.LittleEndian.PutUint64(g.Memory[i*subscriptionSize:], uint64(i)+7)
			g.Memory[i*subscriptionSize+8] = eventRead
			binary.LittleEndian.PutUint32(g.Memory[i*subscriptionSize+16:], []uint32{file, 1000, firstMount}[i])
		}
		require.Equal(t, Success, g.PollOneoff(0, out, 3, 0x1000))
		require.EqualValues(t, 3, binary.LittleEndian.Uint32(g.Memory[0x1000:]))
		for i, errno := range []Errno{Success, EBADF, Success} {
			event := g.Memory[int(out)+i*eventSize:]
			require.EqualValues(t, i+7, binary.LittleEndian.Uint64(event))
			require.EqualValues(t, errno, binary.LittleEndian.Uint16(event[8:]))
			require.Equal(t, eventRead, event[10])
		}
	}
	require.Equal(t, EINVAL, g.PollOneoff(0, 0, 0, 0))
	g.Memory[8] = 3
	require.Equal(t, EINVAL, g.PollOneoff(0, 0x1000, 1, 0x2000), "an unknown kind")
}

// A guest has so many descriptors and no more, and what did not fit is closed.
func TestTheTableIsFull(t *testing.T) {
	g := newGuest(t, sampleMemory(t))
	for fd := range uint32(maxDescriptors - firstMount - 1) {
		number, errno := g.open(firstMount, "file", 0, toRead)
		require.Equal(t, Success, errno)
		require.Equal(t, firstMount+1+fd, number)
	}
	for range 3 {
		_, errno := g.open(firstMount, "new", openCreate, toRead)
		require.Equal(t, EMFILE, errno)
		_, errno = g.stat(firstMount, "new")
		require.Equal(t, ENOENT, errno)
	}
	require.Equal(t, Success, g.FdClose(2000))
	number, errno := g.open(firstMount, "file", 0, toRead)
	require.Equal(t, Success, errno)
	require.EqualValues(t, 2000, number)
}
