package wasip1

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// atOnce fails if something takes long, after having told how to end it.
func atOnce(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s takes too long", what)
	}
}

// pipeGuest is a guest that has a folder with a named pipe, and is to end when the returned function is called.
func pipeGuest(t *testing.T) (g *guest, pipe string, end func()) {
	t.Helper()
	folder := t.TempDir()
	pipe = filepath.Join(folder, "pipe")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	ctx, end := context.WithCancel(t.Context())
	t.Cleanup(end)
	g = newGuestOf(t, ctx, Config{Preopens: []Preopen{{Guest: "/", Dir: openHost(t, folder)}}})
	return g, pipe, end
}

func openPeer(t *testing.T, pipe string, flags int) *os.File {
	t.Helper()
	peer, err := os.OpenFile(pipe, flags|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = peer.Close() })
	return peer
}

const (
	readPipe  = RightRead | RightPoll | RightFilestat | RightSetFlags
	writePipe = RightWrite | RightPoll | RightFilestat | RightSetFlags
)

func TestPipesAreOpenedWithoutAPeer(t *testing.T) {
	g, pipe, _ := pipeGuest(t)
	atOnce(t, "opening a pipe", func() {
		for how, want := range map[uint32]Errno{
			0: Success, openCreate: Success, openTruncate: Success, openDirectory: ENOTDIR, openCreate | openExclusive: EEXIST,
		} {
			fd, errno := g.open(firstMount, "pipe", how, readPipe)
			require.Equal(t, want.Error(), errno.Error())
			if errno == Success {
				text, errno := g.read(fd)
				require.Equal(t, Success, errno)
				require.Empty(t, text)
				require.Equal(t, Success, g.FdClose(fd))
			}
		}
		_, errno := g.open(firstMount, "pipe", 0, writePipe)
		require.Equal(t, ENXIO, errno)
		for _, path := range []string{"pipe/", "pipe/x", "pipe/.", "pipe/.."} {
			_, errno := g.open(firstMount, path, 0, readPipe)
			require.Equal(t, ENOTDIR, errno, path)
		}
		_, errno = g.stat(firstMount, "pipe")
		require.Equal(t, Success, errno)
		require.Equal(t, byte(TypeUnknown), g.Memory[bufferAt+16])
	})
	atOnce(t, "opening a pipe read only", func() {
		dir := ReadOnly(openHost(t, filepath.Dir(pipe)))
		defer dir.Close()
		require.Equal(t, EROFS, opening("pipe", OpenOptions{Read: true, Write: true})(dir))
		file, _, err := dir.Open("pipe", OpenOptions{Read: true})
		require.NoError(t, err)
		require.NoError(t, file.Close())
	})
}

func TestPipesBringAndTakeBytes(t *testing.T) {
	g, pipe, _ := pipeGuest(t)
	peer := openPeer(t, pipe, os.O_RDWR)
	in, errno := g.open(firstMount, "pipe", 0, readPipe)
	require.Equal(t, Success, errno)
	time.AfterFunc(10*time.Millisecond, func() { _, _ = peer.WriteString("hello") })
	text, errno := g.read(in)
	require.Equal(t, Success, errno)
	require.Equal(t, "hello", text)
	require.Equal(t, Success, g.FdFdstatSetFlags(in, uint32(FlagNonblock)))
	_, errno = g.read(in)
	require.Equal(t, EAGAIN, errno)
	require.Equal(t, EBADF, g.write(in, "x"))
	out, errno := g.open(firstMount, "pipe", 0, writePipe)
	require.Equal(t, Success, errno)
	require.Equal(t, Success, g.write(out, "again"))
	require.Eventually(t, func() bool {
		text, errno = g.read(in)
		return errno == Success && text == "again"
	}, time.Second, time.Millisecond)
	for name, errno := range map[string]Errno{
		"seek": g.FdSeek(out, 0, whenceSet, resultAt), "tell": g.FdTell(out, resultAt), "pread": g.FdPread(in, vectorAt, 1, 0, resultAt),
		"pwrite": g.FdPwrite(out, vectorAt, 1, 0, resultAt),
	} {
		require.Equal(t, ESPIPE, errno, name)
	}
}

// A guest that waits for a pipe can be ended. What it leaves behind goes with its files, and no thread waits meanwhile.
func TestGuestsThatWaitForPipesCanBeEnded(t *testing.T) {
	for name, wait := range map[string]func(g *guest, fd uint32) Errno{
		"read": func(g *guest, fd uint32) Errno {
			_, errno := g.read(fd)
			return errno
		},
		"write": func(g *guest, fd uint32) Errno {
			for {
				if errno := g.write(fd, strings.Repeat("x", 0x4000)); errno != Success {
					return errno
				}
			}
		},
		"poll": func(g *guest, fd uint32) Errno { return g.poll(1, eventRead, fd) },
	} {
		t.Run(name, func(t *testing.T) {
			atRest, threads := runtime.NumGoroutine(), threadCount(t)
			t.Cleanup(func() { // after what closes the guests
				require.Eventually(t, func() bool { return runtime.NumGoroutine() <= atRest+1 }, 5*time.Second, 10*time.Millisecond)
			})
			for range 10 {
				g, pipe, end := pipeGuest(t)
				openPeer(t, pipe, os.O_RDWR)
				fd, errno := g.open(firstMount, "pipe", 0, readPipe|writePipe)
				require.Equal(t, Success, errno)
				ended := make(chan Errno)
				go func() { ended <- wait(g, fd) }()
				time.Sleep(time.Millisecond)
				end()
				atOnce(t, name, func() { require.True(t, (<-ended).Stopped()) })
			}
			require.Less(t, threadCount(t), threads+8)
		})
	}
}

func threadCount(t testing.TB) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	return len(tasks)
}

func TestSocketsInAFolderAreNotOpened(t *testing.T) {
	folder, err := os.MkdirTemp("", "wasip1") // a socket's path is short
	require.NoError(t, err)
	defer os.RemoveAll(folder)
	listener, err := net.Listen("unix", filepath.Join(folder, "socket"))
	require.NoError(t, err)
	defer listener.Close()
	g := newGuest(t, openHost(t, folder))
	for _, rights := range []Rights{toRead, toWrite, toRead | toWrite} {
		_, errno := g.open(firstMount, "socket", 0, rights)
		require.Equal(t, ENXIO, errno)
	}
	_, errno := g.stat(firstMount, "socket")
	require.Equal(t, Success, errno)
	require.Equal(t, byte(TypeSocketStream), g.Memory[bufferAt+16])
}

func TestDevicesAreStreams(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	defer end()
	g := newGuestOf(t, ctx, Config{Preopens: []Preopen{{Guest: "/dev", Dir: openHost(t, "/dev")}}})
	open := func(name string) uint32 {
		fd, errno := g.open(firstMount, name, 0, readPipe|writePipe)
		require.Equal(t, Success, errno, name)
		return fd
	}
	atOnce(t, "using devices", func() {
		text, errno := g.read(open("null"))
		require.Equal(t, Success, errno)
		require.Empty(t, text)
		require.Equal(t, Success, g.write(open("null"), "x"))
		zeros, errno := g.read(open("zero"))
		require.Equal(t, Success, errno)
		require.NotEmpty(t, zeros)
		require.Empty(t, strings.Trim(zeros, "\x00"))
		require.Equal(t, ENOSPC, g.write(open("full"), "x"))
		g.open(firstMount, "tty", 0, readPipe)
	})
	terminal, errno := g.open(firstMount, "ptmx", 0, readPipe|writePipe)
	if errno != Success {
		t.Skip("there are no terminals")
	}
	time.AfterFunc(10*time.Millisecond, end)
	atOnce(t, "reading a terminal", func() {
		_, errno := g.read(terminal)
		require.Contains(t, []Errno{stopped, EIO}, errno)
	})
}

// Some files of the kernel say that they are regular, and wait nevertheless. Reading this one takes from the kernel's log.
func TestFilesThatWaitDoNotHoldTheGuest(t *testing.T) {
	if os.Getenv("WASMER_GO_SOAK") != "long" {
		t.Skip("only in the long form")
	}
	ctx, end := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer end()
	g := newGuestOf(t, ctx, Config{Preopens: []Preopen{{Guest: "/proc", Dir: openHost(t, "/proc")}}})
	fd, errno := g.open(firstMount, "kmsg", 0, toRead)
	if errno != Success {
		t.Skip("the kernel's log cannot be read")
	}
	atOnce(t, "reading the kernel's log", func() {
		for range 100 {
			text, errno := g.read(fd)
			if errno != Success || text == "" || ctx.Err() != nil {
				return
			}
		}
	})
}
